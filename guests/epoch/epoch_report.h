/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the demo guest "epoch" tells its host: one record of 32-bit words for
 * each step that all of its workers have completed, each word written to one
 * I/O port.  Used by both sides; compiles alone, in C and in C++.
 *
 * A guest may be swapped away in the middle of a record.  It goes on with the
 * record's next word when it is continued, so a host keeps one epoch_stream for
 * each memory state, and a copy of it for each moment that it goes back to.
 */
#ifndef GUESTS_EPOCH_REPORT_H
#define GUESTS_EPOCH_REPORT_H

#include <stdint.h>

#define EPOCH_REPORT_PORT	0x5e0
#define EPOCH_REPORT_TAG	0x45504f43u	/* "EPOC" */
#define EPOCH_REPORT_WORDS	6

/**
 * struct epoch_record - one completed step
 * @tag: EPOCH_REPORT_TAG
 * @epoch: the epoch that the step has reached
 * @checks: complete checks done since boot, one for each worker and step
 * @failures: comparisons that failed since boot
 * @prev_hash: low half of the hash chain before the step ...
 * @hash: ... and after it: @prev_hash of the next record
 */
struct epoch_record {
	uint32_t tag;
	uint32_t epoch;
	uint32_t checks;
	uint32_t failures;
	uint32_t prev_hash;
	uint32_t hash;
};

/* What has arrived of a record so far. */
struct epoch_stream {
	uint32_t word[EPOCH_REPORT_WORDS];
	uint32_t count;
	uint32_t lost;		/* words that belong to no record */
};

/* Take one word.  Return 1 when it completes @record, else 0. */
static inline int epoch_stream_push(struct epoch_stream *stream, uint32_t word,
				    struct epoch_record *record)
{
	if (stream->count == 0 && word != EPOCH_REPORT_TAG) {
		stream->lost++;
		return 0;
	}
	stream->word[stream->count++] = word;
	if (stream->count < EPOCH_REPORT_WORDS)
		return 0;
	stream->count = 0;
	record->tag = stream->word[0];
	record->epoch = stream->word[1];
	record->checks = stream->word[2];
	record->failures = stream->word[3];
	record->prev_hash = stream->word[4];
	record->hash = stream->word[5];
	return 1;
}

#endif /* GUESTS_EPOCH_REPORT_H */
