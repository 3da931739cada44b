// SPDX-License-Identifier: GPL-2.0-only
/* hypr snapshot: keep this moment of a VM, and make a view on it. */
#include <stdio.h>

#include "cli.h"

static int run(const struct cli_args *args)
{
	json_t *answer;
	int code;

	code = cli_call(args, "snapshot", args->arg[0],
			json_pack("{s:s, s:s}", "op", "snapshot", "view", args->arg[1]), &answer);
	if (code)
		return code;
	if (!args->json) {
		cli_begin(answer);
		printf("view %s (%lld): %lld of %lld pages kept; pause %s %lld cycles, copy %lld, prepare %lld\n",
		       cli_str(answer, "view"), cli_int(answer, "number"),
		       cli_int(answer, "pages_stored"), cli_int(answer, "pages_total"),
		       cli_str(answer, "pause"), cli_int(answer, "pause_cycles"),
		       cli_int(answer, "copy_cycles"), cli_int(answer, "prepare_cycles"));
	}
	json_decref(answer);
	return EXIT_OK;
}

const struct cli_command cmd_snapshot = {
	.name = "snapshot",
	.args = "NAME VIEW",
	.summary = "keep this moment, and make a view on it",
	.nr_args = 2,
	.run = run,
};
