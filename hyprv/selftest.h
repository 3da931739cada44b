/* SPDX-License-Identifier: GPL-2.0-only */
/* How the rows of the self test ended, and who reports it beside the kernel's log. */
#ifndef HYPRV_SELFTEST_H
#define HYPRV_SELFTEST_H

#include <linux/kconfig.h>
#include <linux/types.h>

/**
 * struct selftest_result - one row
 * @name: of the test
 * @setup_error: -errno of its setup, or 0
 * @line: in selftest.c, of what was not so, or 0
 */
struct selftest_result {
	const char *name;
	int setup_error;
	int line;
};

#if IS_BUILTIN(CONFIG_KUNIT)
/* Makes KUnit's suite "hyprv" of @rows, which stay; 0 or -EINTR. */
int selftest_kunit_init(const struct selftest_result *rows, size_t count);
void selftest_kunit_fini(void);
#else
static inline int selftest_kunit_init(const struct selftest_result *rows, size_t count)
{
	return 0;
}

static inline void selftest_kunit_fini(void) { }
#endif

#endif /* HYPRV_SELFTEST_H */
