// SPDX-License-Identifier: GPL-2.0-only
/* hypr vmo pack, unpack: a VMO file for keeping, and back again. */
#include <stdio.h>

#include "cli.h"
#include "hypr/vmo.h"

enum { FORCE, LEVEL };

static const struct cli_option pack_options[] = {
	[FORCE] = { "force", 'f', NULL, "replace a file that is there" },
	[LEVEL] = { "level", 'l', "N", "1 (fast) to 19 (small); 3" },
	{ 0 },
};

static const struct cli_option unpack_options[] = {
	[FORCE] = { "force", 'f', NULL, "replace a file that is there" },
	{ 0 },
};

static void print_answer(const struct cli_args *args, const struct hypr_vmo_info *info,
			 uint64_t bytes)
{
	char root[CLI_HEX_MAX], from[CLI_SIZE_MAX], to[CLI_SIZE_MAX];
	json_t *answer;

	cli_hex(root, info->root);
	if (!args->json) {
		printf("%s: %s of %s; root %s\n", args->arg[1], cli_size(to, bytes),
		       cli_size(from, info->file_bytes), root);
		return;
	}
	answer = json_pack("{s:b, s:s*, s:s, s:I, s:I}", "ok", 1, "file", args->arg[1],
			   "root", root, "file_bytes", (json_int_t)bytes,
			   "from_bytes", (json_int_t)info->file_bytes);
	cli_print_json(answer);
	json_decref(answer);
}

static int convert(const struct cli_args *args, const char *verb, bool pack, unsigned int level)
{
	unsigned int flags = args->option[FORCE] ? HYPR_VMO_REPLACE : 0;
	struct hypr_vmo_info info;
	struct hypr_vmo *vmo;
	uint64_t bytes;
	int code, ret;

	code = cli_vmo_open(args, verb, args->arg[0], &vmo);
	if (code)
		return code;
	hypr_vmo_info(vmo, &info);
	cli_progress_start(args, verb, true);
	if (pack)
		ret = hypr_vmo_pack(vmo, args->arg[1], flags, (int)level, &bytes);
	else
		ret = hypr_vmo_unpack(vmo, args->arg[1], flags, &bytes);
	cli_progress_stop();
	hypr_vmo_close(vmo);
	if (ret)
		return cli_vmo_fail(args, verb, ret);
	print_answer(args, &info, bytes);
	return EXIT_OK;
}

static int run_pack(const struct cli_args *args)
{
	unsigned int level = 3;

	if (args->option[LEVEL] && (cli_parse_uint(args->option[LEVEL], 19, &level) || !level))
		return cli_fail(args, EXIT_USAGE, "vmo pack", "--level %.40s is not 1 to 19",
				args->option[LEVEL]);
	return convert(args, "vmo pack", true, level);
}

static int run_unpack(const struct cli_args *args)
{
	return convert(args, "vmo unpack", false, 0);
}

const struct cli_command cmd_vmo_pack = {
	.name = "vmo pack",
	.args = "FILE OUT",
	.summary = "compress a VMO file, for keeping",
	.options = pack_options,
	.nr_args = 2,
	.run = run_pack,
};

const struct cli_command cmd_vmo_unpack = {
	.name = "vmo unpack",
	.args = "FILE OUT",
	.summary = "get back what was packed, byte for byte",
	.options = unpack_options,
	.nr_args = 2,
	.run = run_unpack,
};
