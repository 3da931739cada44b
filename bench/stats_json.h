/* SPDX-License-Identifier: GPL-2.0-only */
/* Measured values as JSON. */
#ifndef BENCH_STATS_JSON_H
#define BENCH_STATS_JSON_H

#include <jansson.h>

#include "stats.h"

#define STATS_QUANTILES	21	/* 0 %, 5 %, ... 100 % */

/**
 * samples_put() - print a line of the table, put the same under @key, empty the list
 * @text: of the line; NULL: print none
 */
void samples_put(json_t *root, const char *key, const char *text, struct samples *samples);

#endif /* BENCH_STATS_JSON_H */
