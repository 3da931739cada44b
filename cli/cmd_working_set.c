// SPDX-License-Identifier: GPL-2.0-only
/* hypr working-set: record which pages a guest touched since it was loaded. */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"

enum { OUTPUT, REPLACE };

static const struct cli_option options[] = {
	[OUTPUT] = { "output", 'o', "FILE", "write it there (FILE.vmo.ws, beside the VMO)" },
	[REPLACE] = { "replace", 0, NULL, "the file may be there already" },
	{ 0 },
};

static int ask(const struct cli_args *args, const char *file, json_t **answer)
{
	json_t *request = json_pack("{s:s, s:b}", "op", "working-set",
				    "replace", args->option[REPLACE] != NULL);

	if (file)
		json_object_set_new(request, "file", json_string(file));
	if (args->nr > 1)
		json_object_set_new(request, "view", json_string(args->arg[1]));
	return cli_call(args, "working-set", args->arg[0], request, answer);
}

static int run(const struct cli_args *args)
{
	char *file = NULL;
	int code = EXIT_OK;
	json_t *answer;

	if (args->option[OUTPUT])
		code = cli_path(args, "working-set", args->option[OUTPUT], &file);
	if (!code)
		code = ask(args, file, &answer);
	free(file);
	if (code)
		return code;
	if (!args->json) {
		cli_begin(answer);
		printf("%s: %lld of %lld pages touched, in %lld ranges\n",
		       cli_str(answer, "path"), cli_int(answer, "pages"),
		       cli_int(answer, "pages_total"), cli_int(answer, "ranges"));
	}
	json_decref(answer);
	return EXIT_OK;
}

const struct cli_command cmd_working_set = {
	.name = "working-set",
	.args = "NAME [VIEW]",
	.summary = "record which pages the guest touched",
	.options = options,
	.nr_args = 1,
	.nr_optional = 1,
	.run = run,
};
