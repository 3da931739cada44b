// SPDX-License-Identifier: GPL-2.0-only
/* hypr views: the views of a VM. */
#include <stdio.h>

#include "cli.h"

static void print_view(const json_t *view)
{
	printf("%-16s %6lld %-7s %-9s %8lld %7lld %8lld %8lld %s\n", cli_str(view, "name"),
	       cli_int(view, "view"),
	       json_is_true(json_object_get(view, "active")) ? "active" : "",
	       json_is_true(json_object_get(view, "prepared")) ? "prepared" : "",
	       cli_int(view, "swaps"), cli_int(view, "resets"),
	       cli_int(view, "private_pages"), cli_int(view, "stored_pages"),
	       cli_str(view, "spare"));
}

static int run(const struct cli_args *args)
{
	json_t *answer, *view;
	size_t i;
	int code;

	code = cli_call(args, "views", args->arg[0], json_pack("{s:s}", "op", "views"), &answer);
	if (code)
		return code;
	if (!args->json) {
		cli_begin(answer);
		printf("%zu views\n", json_array_size(json_object_get(answer, "views")));
		printf("%-16s %6s %-7s %-9s %8s %7s %8s %8s %s\n", "VIEW", "NUMBER", "ACTIVE",
		       "PREPARED", "SWAPS", "RESETS", "PRIVATE", "STORED", "SPARE");
		json_array_foreach(json_object_get(answer, "views"), i, view)
			print_view(view);
	}
	json_decref(answer);
	return EXIT_OK;
}

const struct cli_command cmd_views = {
	.name = "views",
	.args = "NAME",
	.summary = "list its views",
	.nr_args = 1,
	.run = run,
};
