// SPDX-License-Identifier: GPL-2.0-only
/*
 * The demo guest's memory and its checks.
 *
 * Every page has a hash in a table, the table has a hash, and that hash is
 * chained to the one of the epoch before.  A step checks all of it, and then
 * rewrites some pages with content made from the chain.  So memory of another
 * state, of another time, or half of each, cannot pass: page, table and chain
 * would have to be exchanged together, and the worker's counter, its clock and
 * its register with them.
 *
 * Emulated CPUs run this, so an instruction counts: 1.5 for each word checked.
 */
#include "epoch_core.h"
#include "epoch_report.h"

#define K0	0x9e3779b97f4a7c15ull
#define K1	0xbf58476d1ce4e5b9ull
#define K2	0x94d049bb133111ebull

static uint64_t rotl(uint64_t x, unsigned int n)
{
	return x << n | x >> (64 - n);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	uint64_t x = a + rotl(b, 23) + K0;

	x = (x ^ x >> 30) * K1;
	x = (x ^ x >> 27) * K2;
	return x ^ x >> 31;
}

/*
 * Four lanes, each a bijection of every single word that goes into it, so that
 * one changed word always changes the result.  A multiplication for four words.
 */
static uint64_t hash_words(const uint64_t *word, uint32_t nr, uint64_t seed)
{
	uint64_t a = seed, b = ~seed, c = seed + K1, d = seed + K2;
	const uint64_t *end = word + nr / 16 * 16;

	for (; word != end; word += 16) {
		a = (((a ^ word[0]) + word[4]) ^ word[8]) + word[12];
		b = (((b ^ word[1]) + word[5]) ^ word[9]) + word[13];
		c = (((c ^ word[2]) + word[6]) ^ word[10]) + word[14];
		d = (((d ^ word[3]) + word[7]) ^ word[11]) + word[15];
		a *= K0;
		b *= K0;
		c *= K0;
		d *= K0;
	}
	for (end += nr % 16; word != end; word++)
		a = (a ^ *word) * K0;
	return mix(a ^ rotl(b, 16), c ^ rotl(d, 32));
}

static uint64_t *page_of(const struct epoch_worker *worker, uint32_t page)
{
	return worker->mem + (uint64_t)page * EPOCH_PAGE_WORDS;
}

static uint64_t page_hash(const struct epoch_worker *worker, uint32_t page)
{
	return hash_words(page_of(worker, page), EPOCH_PAGE_WORDS, page);
}

static void page_write(struct epoch_worker *worker, uint32_t page,
		       uint64_t seed)
{
	uint64_t *word = page_of(worker, page);
	uint64_t x = mix(seed, (uint64_t)worker->index << 32 | page);
	uint32_t i;

	for (i = 0; i < EPOCH_PAGE_WORDS; i++) {
		x = x * K2 + K0;
		word[i] = x ^ x >> 29;
	}
	worker->page_hash[page] = page_hash(worker, page);
}

static uint64_t table_hash(const struct epoch_worker *worker)
{
	return hash_words(worker->page_hash, worker->nr_pages, worker->index);
}

static uint64_t worker_chain(const struct epoch_worker *worker)
{
	return mix(worker->prev_chain, worker->table_hash ^ worker->counter);
}

static uint64_t state_chain(const struct epoch_state *state, uint64_t salt)
{
	uint64_t chain = mix(state->chain, salt);
	uint32_t i;

	for (i = 0; i < state->nr_workers; i++)
		chain = mix(chain, state->worker[i].chain);
	return chain;
}

void epoch_worker_init(struct epoch_state *state, uint32_t index,
		       uint64_t *mem, uint64_t *table, uint32_t nr_pages)
{
	struct epoch_worker *worker = &state->worker[index];
	uint32_t page;

	worker->mem = mem;
	worker->page_hash = table;
	worker->nr_pages = nr_pages;
	worker->index = index;
	for (page = 0; page < nr_pages; page++)
		page_write(worker, page, 0);
	worker->table_hash = table_hash(worker);
	worker->chain = worker_chain(worker);
}

void epoch_state_init(struct epoch_state *state, uint32_t nr_workers)
{
	state->nr_workers = nr_workers;
	state->chain = state_chain(state, 0);
}

uint64_t epoch_worker_token(const struct epoch_worker *worker)
{
	return mix(worker->chain, worker->index);
}

static void expect(struct epoch_worker *worker, int ok, const char *what)
{
	if (ok)
		return;
	worker->failures++;
	worker->what = what;
}

/*
 * Nobody can be further than this worker's step, nor behind it: those that
 * are faster have done their step already, and wait.
 */
static void check_others(struct epoch_state *state, struct epoch_worker *worker)
{
	uint64_t counter;
	uint32_t i;

	for (i = 0; i < state->nr_workers; i++) {
		counter = __atomic_load_n(&state->worker[i].counter,
					  __ATOMIC_ACQUIRE);
		expect(worker, counter - worker->counter <= 1,
		       "another worker's counter");
	}
}

uint32_t epoch_worker_check(struct epoch_state *state, uint32_t index,
			    uint64_t now_ns, uint64_t token)
{
	struct epoch_worker *worker = &state->worker[index];
	uint64_t failures = worker->failures;
	uint32_t page;

	expect(worker, token == epoch_worker_token(worker), "CPU register");
	expect(worker, now_ns >= worker->last_ns, "clock ran backwards");
	worker->last_ns = now_ns;
	expect(worker, worker->counter == state->epoch, "counter");
	check_others(state, worker);

	for (page = 0; page < worker->nr_pages; page++)
		expect(worker, page_hash(worker, page) ==
		       worker->page_hash[page], "page");
	expect(worker, table_hash(worker) == worker->table_hash, "hash table");
	expect(worker, worker_chain(worker) == worker->chain, "hash chain");

	worker->checks++;
	return worker->failures - failures;
}

void epoch_worker_advance(struct epoch_state *state, uint32_t index,
			  uint32_t nr_pages)
{
	struct epoch_worker *worker = &state->worker[index];

	while (nr_pages--) {
		page_write(worker, worker->next_page, state->chain);
		if (++worker->next_page == worker->nr_pages)
			worker->next_page = 0;
	}
	worker->table_hash = table_hash(worker);
	worker->prev_chain = worker->chain;
	__atomic_store_n(&worker->counter, worker->counter + 1,
			 __ATOMIC_RELEASE);
	worker->chain = worker_chain(worker);
}

void epoch_state_close(struct epoch_state *state, uint64_t salt,
		       struct epoch_record *record)
{
	uint64_t checks = 0, failures = 0;
	uint32_t i;

	for (i = 0; i < state->nr_workers; i++) {
		checks += state->worker[i].checks;
		failures += state->worker[i].failures;
	}
	state->prev_chain = state->chain;
	state->chain = state_chain(state, salt);

	record->tag = EPOCH_REPORT_TAG;
	record->epoch = (uint32_t)(state->epoch + 1);
	record->checks = (uint32_t)checks;
	record->failures = (uint32_t)failures;
	record->prev_hash = (uint32_t)state->prev_chain;
	record->hash = (uint32_t)state->chain;
	__atomic_store_n(&state->epoch, state->epoch + 1, __ATOMIC_RELEASE);
}
