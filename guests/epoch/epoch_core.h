/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The part of the demo guest that has no system calls in it: what is kept, how
 * it is checked, how it goes on by one epoch.  Tests run it in a process.
 */
#ifndef GUESTS_EPOCH_CORE_H
#define GUESTS_EPOCH_CORE_H

#include <stdint.h>

#define EPOCH_PAGE_BYTES	4096
#define EPOCH_PAGE_WORDS	(EPOCH_PAGE_BYTES / 8)
#define EPOCH_WORKERS_MAX	64

/**
 * struct epoch_worker - what one worker, on one vCPU, owns
 * @mem: its share of the checked memory
 * @page_hash: hash of each page of @mem
 * @nr_pages: pages in @mem, entries in @page_hash
 * @next_page: the page that the next step rewrites first
 * @table_hash: hash over @page_hash
 * @prev_chain, @chain: @chain is made of @prev_chain, @table_hash and @counter
 * @counter: steps done; equals the epoch between two steps
 * @last_ns: the clock at the last check
 * @checks: complete checks done
 * @failures: comparisons that failed
 * @what: the last comparison that failed, for a line on the console
 * @index: which worker this is
 */
struct epoch_worker {
	uint64_t *mem;
	uint64_t *page_hash;
	uint32_t nr_pages;
	uint32_t next_page;
	uint64_t table_hash;
	uint64_t prev_chain;
	uint64_t chain;
	uint64_t counter;
	uint64_t last_ns;
	uint64_t checks;
	uint64_t failures;
	const char *what;
	uint32_t index;
} __attribute__((aligned(64)));

/**
 * struct epoch_state - all of it
 * @epoch: steps that every worker has completed
 * @prev_chain, @chain: the chain over all workers, before and after that step
 */
struct epoch_state {
	uint64_t epoch;
	uint64_t prev_chain;
	uint64_t chain;
	uint32_t nr_workers;
	struct epoch_worker worker[EPOCH_WORKERS_MAX];
};

struct epoch_record;

/* Give worker @index its share and fill it.  @mem and @table are not cleared. */
void epoch_worker_init(struct epoch_state *state, uint32_t index,
		       uint64_t *mem, uint64_t *table, uint32_t nr_pages);

/* Call once when all workers are filled: state->nr_workers is set by it. */
void epoch_state_init(struct epoch_state *state, uint32_t nr_workers);

/* What a CPU register must hold between two steps of this worker. */
uint64_t epoch_worker_token(const struct epoch_worker *worker);

/*
 * Check all that @index owns, its place in time among the others, a clock and
 * a register value.  Return the comparisons that failed, now.
 */
uint32_t epoch_worker_check(struct epoch_state *state, uint32_t index,
			    uint64_t now_ns, uint64_t token);

/* Go on by one epoch: rewrite the next @nr_pages pages, extend the chain. */
void epoch_worker_advance(struct epoch_state *state, uint32_t index,
			  uint32_t nr_pages);

/*
 * All workers have advanced: close the epoch.  @salt goes into the chain, so
 * that two futures of one moment differ in every page that they write.
 */
void epoch_state_close(struct epoch_state *state, uint64_t salt,
		       struct epoch_record *record);

#endif /* GUESTS_EPOCH_CORE_H */
