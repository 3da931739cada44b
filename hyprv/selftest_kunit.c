// SPDX-License-Identifier: GPL-2.0-only
/*
 * The self test's results as a KUnit suite, in a kernel that has KUnit built in and enabled
 * (kunit.enable=1): KTAP in the log, and /sys/kernel/debug/kunit/hyprv/results.
 *
 * A case of KUnit runs in a kernel thread, which has neither process memory nor an FPU state
 * that survives a change of threads: no guest can run there.  So the rows run before, in the
 * process that loads the module, and a case says how its row ended.
 */
#include "selftest.h"

#if IS_BUILTIN(CONFIG_KUNIT)
#include <kunit/test.h>

static struct {
	const struct selftest_result *row;
	size_t count;
} results;

static const void *next_row(const void *previous, char *description)
{
	const struct selftest_result *row = previous;

	row = row ? row + 1 : results.row;
	if (row == results.row + results.count)
		return NULL;
	strscpy(description, row->name, KUNIT_PARAM_DESC_SIZE);
	return row;
}

static void passed(struct kunit *test)
{
	const struct selftest_result *row = test->param_value;

	KUNIT_EXPECT_EQ_MSG(test, row->setup_error, 0, "the setup failed");
	KUNIT_EXPECT_EQ_MSG(test, row->line, 0, "see selftest.c:%d", row->line);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(passed, next_row),
	{}
};

/* Of the module's start: there is no file to run it again, when VMs may run. */
static struct kunit_suite suite = { .name = "hyprv", .test_cases = cases, .is_init = true };
static struct kunit_suite *suites[] = { &suite };

int selftest_kunit_init(const struct selftest_result *rows, size_t count)
{
	results.row = rows;
	results.count = count;
	return __kunit_test_suites_init(suites, ARRAY_SIZE(suites));
}

void selftest_kunit_fini(void)
{
	if (results.row)
		__kunit_test_suites_exit(suites, ARRAY_SIZE(suites));
}
#endif
