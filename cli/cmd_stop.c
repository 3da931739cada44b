// SPDX-License-Identifier: GPL-2.0-only
/* hypr stop: end a VM; its socket is gone when this returns. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli.h"
#include "hypr/hypr.h"

#define POLL_MS		20
#define TIMEOUT_MS	10000	/* to answer, and then to end */

static bool wait_gone(const char *vm)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int i;

	for (i = 0; i < TIMEOUT_MS / POLL_MS; i++) {
		if (hypr_client_check(vm) == -ESRCH)
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static json_t *ask_info(const char *vm)
{
	char *text = NULL;
	json_t *info = NULL;

	if (!hypr_client_call_within(vm, "{\"op\":\"info\"}", POLL_MS * 50, &text))
		info = json_loads(text, 0, NULL);
	free(text);
	return info;
}

static int run(const struct cli_args *args)
{
	const char *vm = args->arg[0];
	json_t *answer, *info;
	long long pid;
	int code;

	/* Its process, for when it does not end; a VM that is gone says so below. */
	info = hypr_client_check(vm) ? NULL : ask_info(vm);
	pid = cli_int(info, "pid");
	json_decref(info);
	code = cli_ask(args, "stop", vm, json_pack("{s:s}", "op", "stop"), false, TIMEOUT_MS,
		       &answer);
	if (code)
		return code;
	if (!wait_gone(vm)) {
		code = cli_fail(args, EXIT_FAILED, "stop",
				"%s: its process, %lld, does not end within %d s (kill -KILL %lld ends it)",
				vm, pid, TIMEOUT_MS / 1000, pid);
	} else if (args->json) {
		cli_print_json(answer);
	} else {
		cli_begin(answer);
		printf("stopped\n");
	}
	json_decref(answer);
	return code;
}

const struct cli_command cmd_stop = {
	.name = "stop",
	.args = "NAME",
	.summary = "end it",
	.nr_args = 1,
	.run = run,
};
