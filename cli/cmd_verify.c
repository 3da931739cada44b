// SPDX-License-Identifier: GPL-2.0-only
/* hypr verify: compare every page of a view with its moment. */
#include <stdio.h>

#include "cli.h"

static void print_answer(const json_t *answer)
{
	const json_t *range;
	size_t i;

	cli_begin(answer);
	printf("view %s: %lld pages compared (the shared control page left out), %lld differ",
	       cli_str(answer, "view"), cli_int(answer, "pages_compared"),
	       cli_int(answer, "pages_mismatched"));
	json_array_foreach(json_object_get(answer, "mismatched"), i, range)
		printf("%s0x%llx-0x%llx", i ? ", " : "; first at ", cli_int(range, "start"),
		       cli_int(range, "end"));
	printf("\n");
}

static int run(const struct cli_args *args)
{
	json_t *answer;
	int code;

	code = cli_call(args, "verify", args->arg[0],
			json_pack("{s:s, s:s}", "op", "verify", "view", args->arg[1]), &answer);
	if (code)
		return code;
	if (!args->json)
		print_answer(answer);
	code = cli_int(answer, "pages_mismatched") ? EXIT_FAILED : EXIT_OK;
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
