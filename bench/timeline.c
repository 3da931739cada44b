// SPDX-License-Identifier: GPL-2.0-only
/* The guest's reports and what must come next: see timeline.h. */
#include <stdio.h>
#include <time.h>

#include "timeline.h"

void report_log_init(struct report_log *log)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&log->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&log->more, &attr);
	pthread_condattr_destroy(&attr);
	log->head = 0;
	log->tail = 0;
	log->lost = 0;
}

void report_log_push(struct report_log *log, uint32_t word, uint64_t tsc)
{
	pthread_mutex_lock(&log->lock);
	if (log->head - log->tail == REPORT_LOG_SIZE) {
		log->lost++;
	} else {
		log->entry[log->head++ % REPORT_LOG_SIZE] = (struct report){
			.word = word, .tsc = tsc,
		};
		pthread_cond_signal(&log->more);
	}
	pthread_mutex_unlock(&log->lock);
}

bool report_log_pop(struct report_log *log, uint64_t before_tsc,
		    struct report *report)
{
	bool some = false;

	pthread_mutex_lock(&log->lock);
	if (log->tail != log->head) {
		*report = log->entry[log->tail % REPORT_LOG_SIZE];
		some = report->tsc < before_tsc;
		log->tail += some;
	}
	pthread_mutex_unlock(&log->lock);
	return some;
}

bool report_log_wait(struct report_log *log, uint64_t deadline_ns)
{
	struct timespec deadline = {
		.tv_sec = (time_t)(deadline_ns / 1000000000),
		.tv_nsec = (long)(deadline_ns % 1000000000),
	};
	int ret = 0;
	bool some;

	pthread_mutex_lock(&log->lock);
	while (log->tail == log->head && !ret)
		ret = pthread_cond_timedwait(&log->more, &log->lock, &deadline);
	some = log->tail != log->head;
	pthread_mutex_unlock(&log->lock);
	return some;
}

static void broken(struct guest_checks *checks, const char *name,
		   const struct epoch_record *last,
		   const struct epoch_record *next)
{
	if (!checks->breaks++)
		snprintf(checks->first_break, sizeof(checks->first_break),
			 "view %s: epoch %u, chain %08x after epoch %u, chain %08x",
			 name, next->epoch, next->prev_hash, last->epoch,
			 last->hash);
}

bool timeline_push(struct timeline *timeline, const char *name, uint32_t word,
		   struct guest_checks *checks)
{
	const struct epoch_record *last = &timeline->last;
	uint32_t lost = timeline->stream.lost;
	struct epoch_record next;
	bool complete;

	complete = epoch_stream_push(&timeline->stream, word, &next);
	if (timeline->stream.lost != lost && !checks->breaks++)
		snprintf(checks->first_break, sizeof(checks->first_break),
			 "view %s: 0x%08x begins no record", name, word);
	if (!complete)
		return false;

	checks->records++;
	if (timeline->has_last) {
		if (next.epoch != last->epoch + 1 ||
		    next.prev_hash != last->hash || next.checks <= last->checks)
			broken(checks, name, last, &next);
		else
			checks->checks += next.checks - last->checks;
		if (next.failures > last->failures)
			checks->failures += next.failures - last->failures;
	} else {
		checks->checks += next.checks;
		checks->failures += next.failures;
	}
	timeline->last = next;
	timeline->has_last = true;
	return true;
}
