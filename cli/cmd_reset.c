// SPDX-License-Identifier: GPL-2.0-only
/* hypr reset: put a view back to its moment, byte for byte. */
#include <stdio.h>

#include "cli.h"

enum { WAY };

static const struct cli_option options[] = {
	[WAY] = { "way", 'w', "WAY", "copy-back, compare, drop, spare; auto (default): the cheapest" },
	{ 0 },
};

static int run(const struct cli_args *args)
{
	json_t *request, *answer;
	int code;

	request = json_pack("{s:s, s:s}", "op", "reset", "view", args->arg[1]);
	code = cli_reset_way(args, "reset", args->option[WAY], request);
	if (!code)
		code = cli_call(args, "reset", args->arg[0], request, &answer);
	if (code)
		return code;
	if (!args->json) {
		cli_begin(answer);
		printf("view %s reset by %s%s: %lld pages looked at; pause %s, copy %lld cycles, prepare %lld; state by %s\n",
		       cli_str(answer, "name"), cli_str(answer, "way"),
		       cli_spare_words(cli_str(answer, "spare")),
		       cli_int(answer, "pages_restored"), cli_str(answer, "pause"),
		       cli_int(answer, "restore_cycles"),
		       cli_int(answer, "prepare_cycles"), cli_str(answer, "state_way"));
	}
	json_decref(answer);
	return EXIT_OK;
}

const struct cli_command cmd_reset = {
	.name = "reset",
	.args = "NAME VIEW",
	.summary = "put a view back to its moment",
	.options = options,
	.nr_args = 2,
	.run = run,
};
