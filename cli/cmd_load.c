// SPDX-License-Identifier: GPL-2.0-only
/* hypr load: a VMO as a further view of a VM that runs. */
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "hypr/hypr.h"

enum { VIEW, TIME, PREFAULT, SPARE };

static const struct cli_option options[] = {
	[VIEW] = { "view", 'v', "VIEW", "its name (that of the file, without .vmo)" },
	[TIME] = { "time", 't', "HOW", "the guest's clock: freeze (default) or continue" },
	[PREFAULT] = { "prefault", 0, "WHAT",
		       "tables built ahead: all (default), none, used, record" },
	[SPARE] = { "spare", 0, NULL, "it gets a second copy, for resets by spare" },
	{ 0 },
};

/* Return: false when it is too long for one. */
static bool name_of_file(const char *path, char name[HYPR_NAME_MAX])
{
	char *copy = strdup(path);
	const char *base = copy ? basename(copy) : "";
	size_t len = strlen(base);
	bool fits;

	if (len > 4 && !strcmp(base + len - 4, ".vmo"))
		len -= 4;
	fits = len < HYPR_NAME_MAX;
	snprintf(name, HYPR_NAME_MAX, "%.*s", (int)len, base);
	free(copy);
	return fits;
}

static int run(const struct cli_args *args)
{
	const char *time = args->option[TIME], *prefault = args->option[PREFAULT];
	char name[HYPR_NAME_MAX];
	json_t *answer;
	char *path;
	int code;

	if (time && strcmp(time, "freeze") && strcmp(time, "continue"))
		return cli_fail(args, EXIT_USAGE, "load", "--time is freeze or continue");
	if (prefault && hypr_prefault_flags(prefault) < 0)
		return cli_fail(args, EXIT_USAGE, "load",
				"--prefault is all, none, used or record");
	if (!name_of_file(args->arg[1], name) && !args->option[VIEW])
		return cli_fail(args, EXIT_USAGE, "load",
				"%.200s: the file's name is too long for a view's, of at most %d characters; --view gives another",
				args->arg[1], HYPR_NAME_MAX - 1);
	code = cli_path(args, "load", args->arg[1], &path);
	if (code)
		return code;
	code = cli_call(args, "load", args->arg[0],
			json_pack("{s:s, s:s, s:s, s:b, s:b, s:s}", "op", "load", "view",
				  args->option[VIEW] ? args->option[VIEW] : name, "file", path,
				  "continue", time && !strcmp(time, "continue"),
				  "spare", args->option[SPARE] != NULL,
				  "prefault", prefault ? prefault : "all"), &answer);
	free(path);
	if (code)
		return code;
	if (!args->json) {
		cli_begin(answer);
		printf("view %s (%lld): %lld of %lld pages in the file; %lld mapped ahead, prepare %lld cycles\n",
		       cli_str(answer, "name"), cli_int(answer, "view"),
		       cli_int(answer, "pages_stored"), cli_int(answer, "pages_total"),
		       cli_int(answer, "pages_mapped"),
		       cli_int(answer, "prepare_cycles"));
	}
	json_decref(answer);
	return EXIT_OK;
}

const struct cli_command cmd_load = {
	.name = "load",
	.args = "NAME FILE",
	.summary = "a VMO as a further view",
	.options = options,
	.nr_args = 2,
	.run = run,
};
