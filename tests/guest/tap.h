/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TAP output for the ioctl tests.  Each test runs in a process of its own, so
 * that a failed one leaves no VM, thread or file descriptor behind, and has a
 * deadline.  Anything that goes wrong ends that process through fail_at().
 */
#ifndef TESTS_GUEST_TAP_H
#define TESTS_GUEST_TAP_H

#include <stddef.h>
#include <stdint.h>

#define TAP_DEADLINE_S	120

/**
 * struct test - one behaviour
 * @name: what is expected, in words
 * @fn: the test: returns when all is well, else ends by FAIL, CHECK or skip()
 */
struct test {
	const char *name;
	void (*fn)(void);
};

/* Runs those whose name contains argv[1], or all.  Returns the exit status. */
int tap_run(const struct test *tests, size_t nr, int argc, char **argv);

_Noreturn void fail_at(const char *file, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
_Noreturn void skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* xorshift64*; the seed is HYPR_SEED or the time, and printed. */
uint64_t tap_random(void);

#define TAP_RUN(tests, argc, argv) \
	tap_run(tests, sizeof(tests) / sizeof((tests)[0]), argc, argv)

#define FAIL(...) fail_at(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK(cond) do {						\
	if (!(cond))							\
		FAIL("expected: %s", #cond);				\
} while (0)

#define CHECK_EQ(got, want) do {					\
	unsigned long long got_ = (unsigned long long)(got);		\
	unsigned long long want_ = (unsigned long long)(want);		\
									\
	if (got_ != want_)						\
		FAIL("%s is %#llx, expected %#llx (%s)", #got, got_,	\
		     want_, #want);					\
} while (0)

/* For calls that return 0 or -errno. */
#define CHECK_RET(call, want) do {					\
	int got_ = (call), want_ = (want);				\
									\
	if (got_ != want_)						\
		FAIL("%s returned %d, expected %d (%s)", #call, got_,	\
		     want_, #want);					\
} while (0)

/* Not by CHECK_RET(): the name of an ioctl shall be shown, not its number. */
#define OK(call) do {							\
	int got_ = (call);						\
									\
	if (got_)							\
		FAIL("%s returned %d, expected 0", #call, got_);	\
} while (0)

#endif
