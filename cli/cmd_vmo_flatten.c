// SPDX-License-Identifier: GPL-2.0-only
/* hypr vmo flatten: one VMO file of a file and all its parents. */
#include <stdio.h>

#include "cli.h"
#include "hypr/vmo.h"

enum { FORCE };

static const struct cli_option options[] = {
	[FORCE] = { "force", 'f', NULL, "replace a file that is there" },
	{ 0 },
};

static void print_answer(const struct cli_args *args, const struct hypr_vmo_written *written)
{
	char root[CLI_HEX_MAX], size[CLI_SIZE_MAX];
	json_t *answer;

	cli_hex(root, written->root);
	if (!args->json) {
		printf("%s: %s, %llu pages stored; root %s\n", args->arg[1],
		       cli_size(size, written->file_bytes),
		       (unsigned long long)written->pages_stored, root);
		return;
	}
	answer = json_pack("{s:b, s:s*, s:s, s:I, s:I, s:I}", "ok", 1, "file", args->arg[1],
			   "root", root, "file_bytes", (json_int_t)written->file_bytes,
			   "pages_stored", (json_int_t)written->pages_stored,
			   "pages_zero", (json_int_t)written->pages_zero);
	cli_print_json(answer);
	json_decref(answer);
}

static int run(const struct cli_args *args)
{
	struct hypr_vmo_written written;
	struct hypr_vmo *vmo;
	int code, ret;

	code = cli_vmo_open(args, "vmo flatten", args->arg[0], &vmo);
	if (code)
		return code;
	cli_progress_start(args, "vmo flatten", true);
	ret = hypr_vmo_flatten(vmo, args->arg[1], args->option[FORCE] ? HYPR_VMO_REPLACE : 0,
			       &written);
	cli_progress_stop();
	hypr_vmo_close(vmo);
	if (ret)
		return cli_vmo_fail(args, "vmo flatten", ret);
	print_answer(args, &written);
	return EXIT_OK;
}

const struct cli_command cmd_vmo_flatten = {
	.name = "vmo flatten",
	.args = "FILE OUT",
	.summary = "one file of a VMO file and its parents",
	.options = options,
	.nr_args = 2,
	.run = run,
};
