// SPDX-License-Identifier: GPL-2.0-only
/*
 * The demo guest's checks must be worth something: undisturbed they find
 * nothing, and each thing that they guard is found when it is broken.  The core
 * runs here in the process, under the sanitizers; the program itself, which has
 * no C library, is run as it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "guests/epoch/epoch_core.h"
#include "guests/epoch/epoch_report.h"

#define PROGRAM	"out/guests/epoch/init"
#define WORKERS	2
#define PAGES	16	/* of each worker */

struct fixture {
	struct epoch_state state;
	uint64_t *mem[WORKERS];
	uint64_t *table[WORKERS];
	uint64_t now_ns;
	uint64_t token[WORKERS];
};

static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint32_t i;

	assert_non_null(f);
	for (i = 0; i < WORKERS; i++) {
		f->mem[i] = calloc(PAGES, EPOCH_PAGE_BYTES);
		f->table[i] = calloc(PAGES, sizeof(uint64_t));
		assert_non_null(f->mem[i]);
		assert_non_null(f->table[i]);
		epoch_worker_init(&f->state, i, f->mem[i], f->table[i], PAGES);
	}
	epoch_state_init(&f->state, WORKERS);
	for (i = 0; i < WORKERS; i++)
		f->token[i] = epoch_worker_token(&f->state.worker[i]);
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;
	uint32_t i;

	for (i = 0; i < WORKERS; i++) {
		free(f->mem[i]);
		free(f->table[i]);
	}
	free(f);
	return 0;
}

static uint32_t check(struct fixture *f, uint32_t index)
{
	return epoch_worker_check(&f->state, index, f->now_ns, f->token[index]);
}

/* One step of all workers; the failures that their checks found. */
static uint32_t step(struct fixture *f, uint64_t salt,
		     struct epoch_record *record)
{
	uint32_t failures = 0, i;

	f->now_ns += 1000;
	for (i = 0; i < WORKERS; i++) {
		failures += check(f, i);
		epoch_worker_advance(&f->state, i, 3);
		f->token[i] = epoch_worker_token(&f->state.worker[i]);
	}
	epoch_state_close(&f->state, salt, record);
	return failures;
}

static void test_undisturbed_finds_nothing(void **ctx)
{
	struct epoch_record record, last = { .hash = 0 };
	uint32_t i;

	for (i = 1; i <= 50; i++) {
		assert_int_equal(step(*ctx, i, &record), 0);
		assert_int_equal(record.tag, EPOCH_REPORT_TAG);
		assert_int_equal(record.epoch, i);
		assert_int_equal(record.checks, i * WORKERS);
		assert_int_equal(record.failures, 0);
		if (i > 1)
			assert_int_equal(record.prev_hash, last.hash);
		last = record;
	}
}

static void test_salt_parts_two_futures(void **ctx)
{
	struct fixture *f = *ctx;
	struct epoch_state moment;
	struct epoch_record one, other;
	static uint64_t mem[WORKERS][PAGES * EPOCH_PAGE_WORDS];
	static uint64_t table[WORKERS][PAGES];
	uint64_t token[WORKERS];
	uint32_t i;

	assert_int_equal(step(f, 1, &one), 0);
	moment = f->state;
	memcpy(token, f->token, sizeof(token));
	for (i = 0; i < WORKERS; i++) {
		memcpy(mem[i], f->mem[i], sizeof(mem[i]));
		memcpy(table[i], f->table[i], sizeof(table[i]));
	}
	assert_int_equal(step(f, 2, &one), 0);

	f->state = moment;
	memcpy(f->token, token, sizeof(token));
	for (i = 0; i < WORKERS; i++) {
		memcpy(f->mem[i], mem[i], sizeof(mem[i]));
		memcpy(f->table[i], table[i], sizeof(table[i]));
	}
	assert_int_equal(step(f, 3, &other), 0);
	assert_int_equal(one.epoch, other.epoch);
	assert_int_equal(one.prev_hash, other.prev_hash);
	assert_int_not_equal(one.hash, other.hash);
}

static void test_every_changed_bit_is_found(void **ctx)
{
	struct fixture *f = *ctx;
	uint32_t word;

	for (word = 0; word < PAGES * EPOCH_PAGE_WORDS; word += 7) {
		f->mem[1][word] ^= 1ull << word % 64;
		assert_int_equal(check(f, 1), 1);
		f->mem[1][word] ^= 1ull << word % 64;
	}
	assert_int_equal(check(f, 1), 0);
}

static void test_a_page_of_another_epoch_is_found(void **ctx)
{
	struct fixture *f = *ctx;
	struct epoch_record record;
	static uint64_t old[EPOCH_PAGE_WORDS];

	assert_int_equal(step(f, 1, &record), 0);
	memcpy(old, f->mem[0] + 3 * EPOCH_PAGE_WORDS, sizeof(old));
	assert_int_equal(step(f, 2, &record), 0);
	memcpy(f->mem[0] + 3 * EPOCH_PAGE_WORDS, old, sizeof(old));
	assert_int_equal(check(f, 0), 1);
}

static void test_a_page_with_its_hash_is_found(void **ctx)
{
	struct fixture *f = *ctx;
	struct epoch_record record;
	static uint64_t old[EPOCH_PAGE_WORDS];
	uint64_t old_hash;

	assert_int_equal(step(f, 1, &record), 0);
	memcpy(old, f->mem[0] + 3 * EPOCH_PAGE_WORDS, sizeof(old));
	old_hash = f->table[0][3];
	assert_int_equal(step(f, 2, &record), 0);
	memcpy(f->mem[0] + 3 * EPOCH_PAGE_WORDS, old, sizeof(old));
	f->table[0][3] = old_hash;
	assert_int_equal(check(f, 0), 1);	/* the table's hash */
}

static void test_lost_lock_step_is_found(void **ctx)
{
	struct fixture *f = *ctx;

	f->state.worker[1].counter += 2;
	assert_int_equal(check(f, 0), 1);
	f->state.worker[1].counter -= 3;
	assert_int_equal(check(f, 0), 1);
	f->state.worker[1].counter += 1;
	assert_int_equal(check(f, 0), 0);
}

static void test_clock_and_register_are_checked(void **ctx)
{
	struct fixture *f = *ctx;

	f->now_ns = 5000;
	assert_int_equal(check(f, 0), 0);
	f->now_ns = 4999;
	assert_int_equal(check(f, 0), 1);
	f->token[0] ^= 1;
	assert_int_equal(check(f, 0), 1);
}

static void test_failures_are_reported_and_kept(void **ctx)
{
	struct fixture *f = *ctx;
	struct epoch_record record;

	f->mem[0][100] ^= 1;
	assert_int_equal(step(f, 1, &record), 1);
	assert_int_equal(record.failures, 1);
	assert_int_equal(step(f, 2, &record), 0);	/* page was rewritten */
	assert_int_equal(record.failures, 1);
}

static void test_stream_gathers_records(void **ctx)
{
	static const uint32_t word[] = {
		7, 8, EPOCH_REPORT_TAG, 1, 2, 3, EPOCH_REPORT_TAG, 5,
		EPOCH_REPORT_TAG, 9,
	};
	struct epoch_stream stream = { .count = 0 };
	struct epoch_record record;
	unsigned int i, complete = 0;

	(void)ctx;
	for (i = 0; i < sizeof(word) / sizeof(word[0]); i++)
		complete += epoch_stream_push(&stream, word[i], &record);
	assert_int_equal(complete, 1);
	assert_int_equal(record.epoch, 1);
	assert_int_equal(record.prev_hash, EPOCH_REPORT_TAG);
	assert_int_equal(record.hash, 5);
	assert_int_equal(stream.count, 2);
	assert_int_equal(stream.lost, 2);
}

static int program_run(const char *args)
{
	char command[256];

	snprintf(command, sizeof(command),
		 PROGRAM " --selftest epoch.workers=2 %s >/dev/null", args);
	return system(command);
}

static void test_program_runs_clean(void **ctx)
{
	(void)ctx;
	if (access(PROGRAM, X_OK))
		skip();
	assert_int_equal(program_run("epoch.steps=100"), 0);
	assert_int_equal(program_run("epoch.steps=100 epoch.calls=1"), 0);
}

/* It ends by itself, long before so many steps, and says why. */
static void test_caller_finds_a_wrong_result(void **ctx)
{
	int status;

	(void)ctx;
	if (access(PROGRAM, X_OK))
		skip();
	status = program_run("epoch.steps=1000000 epoch.calls=1 epoch.corrupt=call "
			     "epoch.corrupt_step=20");
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 2);
}

static void test_program_finds_what_is_broken(void **ctx)
{
	static const char * const what[] = {
		"page", "table", "chain", "counter", "register", "clock",
	};
	char args[64];
	unsigned int i;
	int status;

	(void)ctx;
	if (access(PROGRAM, X_OK))
		skip();
	for (i = 0; i < sizeof(what) / sizeof(what[0]); i++) {
		snprintf(args, sizeof(args), "epoch.steps=4 epoch.corrupt=%s",
			 what[i]);
		status = program_run(args);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 1);
	}
}

int main(void)
{
#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH(test_undisturbed_finds_nothing),
		WITH(test_salt_parts_two_futures),
		WITH(test_every_changed_bit_is_found),
		WITH(test_a_page_of_another_epoch_is_found),
		WITH(test_a_page_with_its_hash_is_found),
		WITH(test_lost_lock_step_is_found),
		WITH(test_clock_and_register_are_checked),
		WITH(test_failures_are_reported_and_kept),
		cmocka_unit_test(test_stream_gathers_records),
		cmocka_unit_test(test_program_runs_clean),
		cmocka_unit_test(test_program_finds_what_is_broken),
		cmocka_unit_test(test_caller_finds_a_wrong_result),
	};

	return cmocka_run_group_tests_name("epoch", tests, NULL, NULL);
}
