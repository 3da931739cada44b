// SPDX-License-Identifier: GPL-2.0-only
/* hypr stop: end a VM; its socket is gone when this returns. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli.h"
#include "hypr/hypr.h"

#define POLL_MS		20
#define POLLS_MAX	500	/* ten seconds */

static bool is_gone(const char *vm)
{
	char *answer = NULL;
	int ret = hypr_client_call(vm, "{\"op\":\"info\"}", &answer);

	free(answer);
	return ret == -ESRCH;
}

static bool wait_gone(const char *vm)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int i;

	for (i = 0; i < POLLS_MAX; i++) {
		if (is_gone(vm))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}

static int run(const struct cli_args *args)
{
	const char *vm = args->arg[0];
	json_t *answer;
	int code;

	code = cli_call(args, "stop", vm, json_pack("{s:s}", "op", "stop"), &answer);
	if (code)
		return code;
	if (!wait_gone(vm)) {
		code = cli_fail(args, EXIT_FAILED, "stop", "%s: does not end", vm);
	} else if (!args->json) {
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
