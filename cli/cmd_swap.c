// SPDX-License-Identifier: GPL-2.0-only
/* hypr swap: make another view the active one, on every vCPU. */
#include <stdio.h>

#include "cli.h"

enum { RESET, WAY, FORCE, COOPERATIVE };

static const struct cli_option options[] = {
	[RESET] = { "reset", 'r', NULL, "put the view back to its moment first" },
	[WAY] = { "way", 'w', "WAY", "of --reset: copy-back, compare, drop, spare; auto" },
	[FORCE] = { "force", 'f', NULL, "do not ask the guest to park" },
	[COOPERATIVE] = { "cooperative", 'c', NULL, "fail rather than force" },
	{ 0 },
};

static void print_answer(const json_t *answer)
{
	bool is_reset = json_is_true(json_object_get(answer, "reset"));

	cli_begin(answer);
	printf("%s -> %s%s: pause %s %lld cycles, commit %lld, state %lld (%s), total %lld; generation %lld",
	       cli_str(answer, "old_name"), cli_str(answer, "new_name"),
	       is_reset ? " (reset)" : "",
	       cli_str(answer, "pause"), cli_int(answer, "pause_cycles"),
	       cli_int(answer, "commit_cycles"), cli_int(answer, "state_cycles"),
	       cli_str(answer, "state_way"), cli_int(answer, "total_cycles"), cli_int(answer, "generation"));
	if (is_reset)
		printf("; reset by %s%s", cli_str(answer, "reset_way"),
		       cli_spare_words(cli_str(answer, "reset_spare")));
	printf("\n");
}

static int run(const struct cli_args *args)
{
	json_t *request, *answer;
	int code;

	if (args->option[FORCE] && args->option[COOPERATIVE])
		return cli_fail(args, EXIT_USAGE, "swap",
				"--force and --cooperative rule each other out");
	if (args->option[WAY] && !args->option[RESET])
		return cli_fail(args, EXIT_USAGE, "swap", "--way is of --reset");
	request = json_pack("{s:s, s:s, s:b, s:b, s:b}", "op", "swap", "view", args->arg[1],
			    "reset", args->option[RESET] != NULL,
			    "force", args->option[FORCE] != NULL,
			    "cooperative", args->option[COOPERATIVE] != NULL);
	code = cli_reset_way(args, "swap", args->option[WAY], request);
	if (!code)
		code = cli_call(args, "swap", args->arg[0], request, &answer);
	if (code)
		return code;
	if (!args->json)
		print_answer(answer);
	json_decref(answer);
	return EXIT_OK;
}

const struct cli_command cmd_swap = {
	.name = "swap",
	.args = "NAME VIEW",
	.summary = "go on in a view, where it was left",
	.options = options,
	.nr_args = 2,
	.run = run,
};
