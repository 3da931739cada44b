// SPDX-License-Identifier: GPL-2.0-only
/* hypr remove: give up a view and its moment. */
#include <stdio.h>

#include "cli.h"

static int run(const struct cli_args *args)
{
	json_t *answer;
	int code;

	code = cli_call(args, "remove", args->arg[0],
			json_pack("{s:s, s:s}", "op", "remove", "view", args->arg[1]), &answer);
	if (code)
		return code;
	if (!args->json) {
		cli_begin(answer);
		printf("view %s removed\n", cli_str(answer, "name"));
	}
	json_decref(answer);
	return EXIT_OK;
}

const struct cli_command cmd_remove = {
	.name = "remove",
	.args = "NAME VIEW",
	.summary = "give up a view and its moment",
	.nr_args = 2,
	.run = run,
};
