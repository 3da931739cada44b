// SPDX-License-Identifier: GPL-2.0-only
/* The demo's figures and bars: see demo_result.h. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "demo_result.h"

void demo_result_close(struct demo_result *result)
{
	samples_summarize(&result->pause_cycles, &result->pause);
	samples_summarize(&result->commit_cycles, &result->commit);
	samples_summarize(&result->first_cycles, &result->first);
	samples_summarize(&result->total_cycles, &result->total);
	samples_summarize(&result->reset_cycles, &result->reset);
	samples_summarize(&result->first_reset_cycles, &result->first_reset);
	result->ratio = result->commit.median ?
		(double)result->memslot.total / (double)result->commit.median :
		0;
}

void demo_result_fini(struct demo_result *result)
{
	samples_fini(&result->pause_cycles);
	samples_fini(&result->commit_cycles);
	samples_fini(&result->first_cycles);
	samples_fini(&result->total_cycles);
	samples_fini(&result->reset_cycles);
	samples_fini(&result->first_reset_cycles);
}

/* ---- on the screen ------------------------------------------------------- */

/* 1234567 as "1,234,567". */
static const char *grouped(uint64_t value, char buf[27])
{
	char digits[21];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, value), i;
	char *to = buf;

	for (i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return buf;
}

static void row(const char *what, const struct summary *summary)
{
	char median[27], p99[27], max[27];

	printf("  %-42s %11s %11s %11s\n", what,
	       grouped(summary->median, median), grouped(summary->p99, p99),
	       grouped(summary->max, max));
}

static void row_single(const char *what, uint64_t value)
{
	char buf[27];

	printf("  %-42s %11s\n", what, grouped(value, buf));
}

void demo_result_print(const struct demo_result *result)
{
	char buf[27];

	printf("\n  %-42s %11s %11s %11s\n",
	       result->emulated ?
	       "emulated cycles (instructions, not time)" : "TSC cycles",
	       "median", "p99", "max");
	row("pause: until all vCPUs had parked", &result->pause);
	row("commit: until all had left the old view", &result->commit);
	row("whole swap, with the vCPUs' state", &result->total);
	row("first useful work: a full check reported", &result->first);
	row("reset of the active view, all of it", &result->reset);
	row("first useful work after a reset", &result->first_reset);
	row_single("without views: replace the memory slot",
		   result->memslot.replace);
	row_single("  and touch every page again", result->memslot.touch);
	printf("  A swap's commit is %s times cheaper than replacing the memory.\n",
	       grouped((uint64_t)result->ratio, buf));
}

/* ---- bars ---------------------------------------------------------------- */

static unsigned int missed(bool is_missed, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static unsigned int missed(bool is_missed, const char *fmt, ...)
{
	va_list args;

	if (!is_missed)
		return 0;
	va_start(args, fmt);
	printf("  MISSED: ");
	vprintf(fmt, args);
	printf("\n");
	va_end(args);
	return 1;
}

unsigned int demo_result_bars(const struct demo_result *r)
{
	unsigned int n = 0;

	n += missed(r->swaps < r->swaps_wanted,
		    "%" PRIu64 " swaps of %" PRIu64, r->swaps, r->swaps_wanted);
	n += missed(r->guest.failures, "%" PRIu64 " failed checks in the guest",
		    r->guest.failures);
	n += missed(r->guest.breaks, "%" PRIu64 " reports out of turn (%s)",
		    r->guest.breaks, r->guest.first_break);
	n += missed(r->reports_lost, "%" PRIu64 " reports lost by the demo",
		    r->reports_lost);
	n += missed(r->unchecked, "%" PRIu64 " swaps without a check after them",
		    r->unchecked);
	n += missed(!r->pages_verified, "no page was verified");
	n += missed(r->pages_mismatched, "%" PRIu64 " of %" PRIu64
		    " pages differ from their moment after a reset",
		    r->pages_mismatched, r->pages_verified);
	n += missed(r->emulated && r->commit.median > BAR_COMMIT_CYCLES,
		    "commit takes %" PRIu64 " emulated cycles, %d are allowed",
		    r->commit.median, BAR_COMMIT_CYCLES);
	n += missed(r->ratio < BAR_RATIO,
		    "replacing memory is %.0f times dearer, not %d", r->ratio,
		    BAR_RATIO);
	return n;
}

/* ---- JSON ---------------------------------------------------------------- */

static void put_summary(json_t *root, const char *name,
			const struct summary *summary)
{
	static const char * const suffix[] = { "median", "p99", "max" };
	const uint64_t value[] = { summary->median, summary->p99, summary->max };
	char key[64];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		snprintf(key, sizeof(key), "%s_%s", name, suffix[i]);
		json_object_set_new(root, key,
				    json_integer((json_int_t)value[i]));
	}
}

static void put_counts(json_t *root, const struct demo_result *r)
{
	const struct {
		const char *key;
		uint64_t value;
	} table[] = {
		{ "vcpus", r->vcpus },
		{ "mem_bytes", r->mem_bytes },
		{ "seed", r->seed },
		{ "swaps", r->swaps },
		{ "swaps_continued", r->swaps_continued },
		{ "swaps_reset", r->swaps_reset },
		{ "swaps_forced", r->forced },
		{ "swaps_unchecked", r->unchecked },
		{ "guest_steps", r->guest.records },
		{ "guest_checks", r->guest.checks },
		{ "guest_check_failures", r->guest.failures },
		{ "guest_reports_out_of_turn", r->guest.breaks },
		{ "pages_differing_before_reset", r->pages_differing },
		{ "pages_verified", r->pages_verified },
		{ "pages_mismatched", r->pages_mismatched },
		{ "memslot_replace_cycles", r->memslot.total },
		{ "memslot_replace_slot_cycles", r->memslot.replace },
		{ "memslot_replace_touch_cycles", r->memslot.touch },
	};
	unsigned int i;

	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		json_object_set_new(root, table[i].key,
				    json_integer((json_int_t)table[i].value));
}

int demo_result_json(const struct demo_result *r, bool passed, const char *path)
{
	json_t *root = json_object();
	int ret;

	if (!root)
		return -ENOMEM;
	json_object_set_new(root, "passed", json_boolean(passed));
	json_object_set_new(root, "engine", json_string(r->engine));
	json_object_set_new(root, "host_kernel", json_string(r->host_kernel));
	json_object_set_new(root, "guest_kernel", json_string(r->guest_kernel));
	json_object_set_new(root, "cycles",
			    json_string(r->emulated ? "emulated" : "tsc"));
	put_counts(root, r);
	put_summary(root, "swap_pause_cycles", &r->pause);
	put_summary(root, "swap_commit_cycles", &r->commit);
	put_summary(root, "swap_first_work_cycles", &r->first);
	put_summary(root, "swap_total_cycles", &r->total);
	put_summary(root, "reset_cycles", &r->reset);
	put_summary(root, "reset_first_work_cycles", &r->first_reset);
	json_object_set_new(root, "ratio", json_real(r->ratio));
	ret = json_dump_file(root, path, JSON_INDENT(2)) ? -EIO : 0;
	json_decref(root);
	return ret;
}
