// SPDX-License-Identifier: GPL-2.0-only
/* Measured values as JSON: see stats_json.h. */
#include <inttypes.h>
#include <stdio.h>

#include "stats_json.h"

/* Of a sorted list that is not empty: for the plot of a distribution. */
static json_t *quantiles(const struct samples *samples)
{
	json_t *array = json_array();
	size_t i, at;

	for (i = 0; i < STATS_QUANTILES; i++) {
		at = (samples->nr - 1) * i / (STATS_QUANTILES - 1);
		json_array_append_new(array, json_integer((json_int_t)samples->value[at]));
	}
	return array;
}

void samples_put(json_t *root, const char *key, const char *text, struct samples *samples)
{
	struct summary s;
	json_t *row;

	samples_summarize(samples, &s);
	if (text)
		printf("%-52s %9" PRIu64 " %9" PRIu64 " %9" PRIu64 "\n", text, s.median,
		       s.p99, s.max);
	row = json_pack("{sI sI sI sI}", "median", (json_int_t)s.median,
			"p99", (json_int_t)s.p99, "max", (json_int_t)s.max,
			"samples", (json_int_t)samples->nr);
	if (samples->nr)
		json_object_set_new(row, "quantiles", quantiles(samples));
	json_object_set_new(root, key, row);
	samples_fini(samples);
}
