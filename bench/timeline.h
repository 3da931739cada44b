/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's knowledge of what the demo guest must do next, in each view.
 *
 * Words arrive on a vCPU's thread and go into a log with their time; the
 * demo's thread takes them out, and knows by the time in which view each was
 * written.  A timeline is one view's sequence of records: each must be the next
 * epoch, and begin with the hash that the last one ended with.
 */
#ifndef BENCH_TIMELINE_H
#define BENCH_TIMELINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "guests/epoch/epoch_report.h"

#define REPORT_LOG_SIZE	65536	/* words, a power of two */

struct report {
	uint32_t word;
	uint64_t tsc;
};

/**
 * struct report_log - words on their way; all but @lock and @more under @lock
 * @lost: words that came when it was full
 */
struct report_log {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct report entry[REPORT_LOG_SIZE];
	uint64_t head;
	uint64_t tail;
	uint64_t lost;
};

void report_log_init(struct report_log *log);
void report_log_push(struct report_log *log, uint32_t word, uint64_t tsc);

/* Take one word that was written before @before_tsc.  False: there is none. */
bool report_log_pop(struct report_log *log, uint64_t before_tsc,
		    struct report *report);

/* Sleep until there is a word.  False when @deadline_ns has passed. */
bool report_log_wait(struct report_log *log, uint64_t deadline_ns);

/* Where a view stands. */
struct timeline {
	struct epoch_stream stream;
	struct epoch_record last;
	bool has_last;
};

/**
 * struct guest_checks - what all timelines have told
 * @records: steps completed
 * @checks: complete checks of the guest's memory
 * @failures: comparisons in the guest that failed
 * @breaks: records that were not what had to come next
 * @first_break: the first of them, in words
 */
struct guest_checks {
	uint64_t records;
	uint64_t checks;
	uint64_t failures;
	uint64_t breaks;
	char first_break[120];
};

/* Take one word.  True when it completes a record, which is then ->last. */
bool timeline_push(struct timeline *timeline, const char *name, uint32_t word,
		   struct guest_checks *checks);

#endif /* BENCH_TIMELINE_H */
