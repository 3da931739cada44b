// SPDX-License-Identifier: GPL-2.0-only
/*
 * TAP output, one process for each test; see tap.h.
 */
#include "tap.h"

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define EXIT_SKIP	77

static char *skip_reason;	/* shared with the test's process */
static const size_t skip_reason_bytes = 4096;
static uint64_t random_state;

static void print_prefixed(const char *where, const char *fmt, va_list ap)
{
	char text[900], line[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	snprintf(line, sizeof(line), "# %s%s\n", where, text);
	fputs(line, stdout);
	fflush(stdout);
}

void fail_at(const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	char where[128];
	va_list ap;

	snprintf(where, sizeof(where), "%s:%d: ", base ? base + 1 : file, line);
	va_start(ap, fmt);
	print_prefixed(where, fmt, ap);
	va_end(ap);
	_exit(1);
}

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	print_prefixed("", fmt, ap);
	va_end(ap);
}

void skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(skip_reason, skip_reason_bytes, fmt, ap);
	va_end(ap);
	_exit(EXIT_SKIP);
}

uint64_t tap_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return random_state * 0x2545F4914F6CDD1Dull;
}

static void seed_random(void)
{
	const char *given = getenv("HYPR_SEED");
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	random_state = given ? strtoull(given, NULL, 0) :
		       (uint64_t)now.tv_sec * 1000000007ull + now.tv_nsec;
	if (!random_state)
		random_state = 1;
	note("HYPR_SEED=%#llx", (unsigned long long)random_state);
}

/* Returns the status of the test's process, as waitpid() tells it. */
static int run_in_child(const struct test *test)
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		note("fork failed");
		return -1;
	}
	if (!pid) {
		alarm(TAP_DEADLINE_S);
		test->fn();
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

/* Returns the exit status that this test alone would give. */
static int run_one(const struct test *test, unsigned int number)
{
	int status, ret = 1;

	skip_reason[0] = '\0';
	status = run_in_child(test);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		printf("ok %u - %s\n", number, test->name);
		ret = 0;
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIP) {
		printf("ok %u - %s # SKIP %s\n", number, test->name, skip_reason);
		ret = EXIT_SKIP;
	} else {
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
			note("the deadline of %u s passed", TAP_DEADLINE_S);
		else if (WIFSIGNALED(status))
			note("killed by signal %d", WTERMSIG(status));
		printf("not ok %u - %s\n", number, test->name);
	}
	fflush(stdout);
	return ret;
}

static bool selected(const struct test *test, const char *filter)
{
	return !filter || strstr(test->name, filter);
}

int tap_run(const struct test *tests, size_t nr, int argc, char **argv)
{
	const char *filter = argc > 1 ? argv[1] : NULL;
	unsigned int number = 0, failed = 0, skipped = 0;
	size_t i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	skip_reason = mmap(NULL, skip_reason_bytes, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (skip_reason == MAP_FAILED)
		return 1;
	for (i = 0; i < nr; i++)
		number += selected(&tests[i], filter);
	printf("1..%u\n", number);
	seed_random();
	number = 0;
	for (i = 0; i < nr; i++) {
		int ret;

		if (!selected(&tests[i], filter))
			continue;
		ret = run_one(&tests[i], ++number);
		skipped += ret == EXIT_SKIP;
		failed += ret == 1;
	}
	munmap(skip_reason, skip_reason_bytes);
	if (failed)
		return 1;
	return number && skipped == number ? EXIT_SKIP : 0;
}
