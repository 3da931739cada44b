// SPDX-License-Identifier: GPL-2.0-only
/* hypr pause: stop a VM's vCPUs; its clock stands still too. */
#include <stdio.h>

#include "cli.h"

static int run(const struct cli_args *args)
{
	const char *vm = args->arg[0];
	json_t *answer;
	int code;

	code = cli_call(args, "pause", vm, json_pack("{s:s}", "op", "pause"), &answer);
	if (code)
		return code;
	if (!args->json) {
		cli_begin(answer);
		printf("paused, %s, in %lld cycles\n", cli_str(answer, "pause"),
		       cli_int(answer, "pause_cycles"));
	}
	json_decref(answer);
	return EXIT_OK;
}

const struct cli_command cmd_pause = {
	.name = "pause",
	.args = "NAME",
	.summary = "stop its vCPUs",
	.nr_args = 1,
	.run = run,
};
