// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM as a target of AFL++, by the protocol of its fork server: AFL++ believes that each
 * execution is a new process.  Here each is the same VM, put back to its moment.
 *
 *	afl-fuzz -i in -o out -t 500 -- hypr-fuzz-afl --guest fuzz-guest --limit 1000
 *
 * --limit is longer than AFL++'s -t: then it is AFL++ who notes the timeout.  Without
 * AFL++ it executes the input on stdin once and says what happened; the exit status is 1
 * for a crash.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fuzz.h"

#define COMMAND_FD	198	/* AFL++ asks for an execution */
#define STATUS_FD	199	/* and reads a PID, then a wait status */
#define SHM_VARIABLE	"__AFL_SHM_ID"

extern char **environ;

/* A process that AFL++ can kill when it thinks that an execution takes too long. */
static pid_t victim;

static _Noreturn void victim_main(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

static int victim_ready(void)
{
	char *const argv[] = { "hypr-fuzz-afl", "--victim", NULL };

	if (victim > 0 && !waitpid(victim, NULL, WNOHANG))
		return 0;
	if (!posix_spawn(&victim, "/proc/self/exe", NULL, NULL, argv, environ))
		return 0;
	fprintf(stderr, "no process for AFL++ to kill: %s\n", strerror(errno));
	return -1;
}

/* As the wait status of a process that ended so. */
static uint32_t wait_status(const struct hypr_run_result *result)
{
	switch (result->what) {
	case HYPR_RUN_REPORT:
		return 0;
	case HYPR_RUN_TIMEOUT:
		return SIGKILL;
	case HYPR_RUN_CRASH:
		return result->end == HYPR_END_PANIC ? SIGABRT : SIGSEGV;
	default:
		return 1u << 8;
	}
}

/* AFL++ writes its input to the file that is our stdin.  Return: its length; -1. */
static ssize_t read_input(uint8_t *input)
{
	ssize_t bytes = pread(STDIN_FILENO, input, INPUT_MAX, 0);

	/* A pipe has no beginning to go back to. */
	return bytes < 0 && errno == ESPIPE ? read(STDIN_FILENO, input, INPUT_MAX) : bytes;
}

static int execute(struct fuzz *fuzz, const struct fuzz_options *options,
		   struct hypr_run_result *result)
{
	uint8_t input[INPUT_MAX];
	ssize_t bytes = read_input(input);

	if (bytes < 0) {
		fprintf(stderr, "input: %s\n", strerror(errno));
		return -1;
	}
	return fuzz_execute(fuzz, options, input, (size_t)bytes, result);
}

/* Until AFL++ is gone.  Return: 0; -1 the VM failed. */
static int serve(struct fuzz *fuzz, const struct fuzz_options *options, uint8_t *map)
{
	struct hypr_run_result result;
	uint32_t word = 0;

	if (write(STATUS_FD, &word, sizeof(word)) != sizeof(word))
		return 0;
	while (read(COMMAND_FD, &word, sizeof(word)) == sizeof(word)) {
		if (victim_ready())
			return -1;
		word = (uint32_t)victim;
		if (write(STATUS_FD, &word, sizeof(word)) != sizeof(word))
			return 0;
		if (execute(fuzz, options, &result))
			return -1;
		memcpy(map, fuzz->coverage, COVERAGE_BYTES);
		map[0] |= 1;	/* AFL++ takes an empty map for a target without counters */
		word = wait_status(&result);
		if (write(STATUS_FD, &word, sizeof(word)) != sizeof(word))
			return 0;
	}
	return 0;
}

static int serve_afl(struct fuzz *fuzz, const struct fuzz_options *options, const char *id)
{
	uint8_t *map = shmat(atoi(id), NULL, 0);
	int ret;

	if (map == (void *)-1) {
		fprintf(stderr, "AFL++'s map: %s\n", strerror(errno));
		return 2;
	}
	/* The victim must not keep AFL++ waiting for us. */
	fcntl(COMMAND_FD, F_SETFD, FD_CLOEXEC);
	fcntl(STATUS_FD, F_SETFD, FD_CLOEXEC);
	ret = serve(fuzz, options, map);
	if (victim > 0)
		kill(victim, SIGKILL);
	return ret ? 1 : 0;
}

static int once(struct fuzz *fuzz, const struct fuzz_options *options)
{
	struct hypr_run_result result;

	if (execute(fuzz, options, &result))
		return 2;
	printf("%s %s\n", hypr_run_name(result.what), result.reason);
	return result.what == HYPR_RUN_CRASH;
}

int main(int argc, char **argv)
{
	struct fuzz_options options = { .limit_ms = 1000 };
	const char *id = getenv(SHM_VARIABLE);
	struct fuzz fuzz;
	int i, ret = 2;

	if (argc == 2 && !strcmp(argv[1], "--victim"))
		victim_main();
	for (i = 1; i + 1 < argc && !fuzz_option(&options, argv[i], argv[i + 1]); i += 2)
		;
	if (i != argc || !options.guest) {
		fprintf(stderr, "usage: hypr-fuzz-afl --guest FILE [--limit MS] [--pin 1,2] [--spare 1] [--engine NAME]\n");
		return 2;
	}
	if (!fuzz_open(&fuzz, &options))
		ret = id ? serve_afl(&fuzz, &options, id) : once(&fuzz, &options);
	fuzz_close(&fuzz);
	return ret;
}
