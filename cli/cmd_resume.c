// SPDX-License-Identifier: GPL-2.0-only
/* hypr resume: let a paused VM go on. */
#include <stdio.h>

#include "cli.h"

static int run(const struct cli_args *args)
{
	json_t *answer;
	int code;

	code = cli_call(args, "resume", args->arg[0], json_pack("{s:s}", "op", "resume"),
			&answer);
	if (code)
		return code;
	if (!args->json) {
		cli_begin(answer);
		printf("resumed\n");
	}
	json_decref(answer);
	return EXIT_OK;
}

const struct cli_command cmd_resume = {
	.name = "resume",
	.args = "NAME",
	.summary = "let it go on",
	.nr_args = 1,
	.run = run,
};
