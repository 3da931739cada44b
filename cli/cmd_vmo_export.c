// SPDX-License-Identifier: GPL-2.0-only
/* hypr vmo export: a VMO file as an ELF core, for debuggers. */
#include <stdio.h>

#include "cli.h"
#include "hypr/vmo.h"

enum { FORCE };

static const struct cli_option options[] = {
	[FORCE] = { "force", 'f', NULL, "replace a file that is there" },
	{ 0 },
};

static int run(const struct cli_args *args)
{
	unsigned int vcpus;
	struct hypr_vmo *vmo;
	json_t *answer;
	int code, ret;

	code = cli_vmo_open(args, "vmo export", args->arg[0], &vmo);
	if (code)
		return code;
	cli_progress_start(args, "vmo export", true);
	ret = hypr_vmo_export(vmo, args->arg[1], args->option[FORCE] ? HYPR_VMO_REPLACE : 0,
			      &vcpus);
	cli_progress_stop();
	hypr_vmo_close(vmo);
	if (ret)
		return cli_vmo_fail(args, "vmo export", ret);
	if (args->json) {
		answer = json_pack("{s:b, s:s*, s:i}", "ok", 1, "file", args->arg[1],
				   "vcpus", (int)vcpus);
		cli_print_json(answer);
		json_decref(answer);
	} else {
		printf("%s: ELF core with the registers of %u vCPUs; addresses are guest physical\n",
		       args->arg[1], vcpus);
	}
	return EXIT_OK;
}

const struct cli_command cmd_vmo_export = {
	.name = "vmo export",
	.args = "FILE OUT",
	.summary = "an ELF core file of it, for debuggers",
	.options = options,
	.nr_args = 2,
	.run = run,
};
