// SPDX-License-Identifier: GPL-2.0-only
/* hypr verify: compare every page of a view with its moment. */
#include <stdio.h>

#include "cli.h"

static int run(const struct cli_args *args)
{
	json_t *answer;
	int code;

	code = cli_call(args, "verify", args->arg[0],
			json_pack("{s:s, s:s}", "op", "verify", "view", args->arg[1]), &answer);
	/* EXIT_FAILED is the answer that memory differs. */
	if (code)
		return code == EXIT_FAILED ? EXIT_TROUBLE : code;
	if (!args->json)
		cli_compared(answer, NULL);
	code = cli_int(answer, "pages_mismatched") || cli_int(answer, "spare_mismatched") ?
	       EXIT_FAILED : EXIT_OK;
	json_decref(answer);
	return code;
}

const struct cli_command cmd_verify = {
	.name = "verify",
	.args = "NAME VIEW",
	.summary = "compare a view with its moment",
	.nr_args = 2,
	.run = run,
};
