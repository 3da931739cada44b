// SPDX-License-Identifier: GPL-2.0-only
/* Measured values: see stats.h. */
#include <errno.h>
#include <stdlib.h>

#include "stats.h"

int samples_add(struct samples *samples, uint64_t value)
{
	size_t room = samples->room ? 2 * samples->room : 256;
	uint64_t *more;

	if (samples->nr == samples->room) {
		more = reallocarray(samples->value, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		samples->value = more;
		samples->room = room;
	}
	samples->value[samples->nr++] = value;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The smallest value that @percent of all are not above. */
static uint64_t percentile(const struct samples *samples, unsigned int percent)
{
	size_t rank = (samples->nr * percent + 99) / 100;

	return samples->value[rank ? rank - 1 : 0];
}

void samples_summarize(struct samples *samples, struct summary *summary)
{
	*summary = (struct summary){ 0 };
	if (!samples->nr)
		return;
	qsort(samples->value, samples->nr, sizeof(*samples->value), compare);
	summary->median = percentile(samples, 50);
	summary->p99 = percentile(samples, 99);
	summary->max = percentile(samples, 100);
}

void samples_fini(struct samples *samples)
{
	free(samples->value);
	*samples = (struct samples){ 0 };
}
