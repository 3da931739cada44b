// SPDX-License-Identifier: GPL-2.0-only
/* hypr vmo keygen, sign: keys, and signatures in VMO files. */
#include <stdio.h>

#include "cli.h"
#include "hypr/vmo.h"

enum { KEY };

static const struct cli_option sign_options[] = {
	[KEY] = { "key", 'k', "FILE", "the secret key (needed)" },
	{ 0 },
};

static void print_key(const struct cli_args *args, const char *what, const uint8_t *public_key)
{
	char key[CLI_HEX_MAX];
	json_t *answer;

	cli_hex(key, public_key);
	if (!args->json) {
		printf("%s: %s %s\n", args->arg[0], what, key);
		return;
	}
	answer = json_pack("{s:b, s:s*, s:s}", "ok", 1, "file", args->arg[0], "public_key", key);
	cli_print_json(answer);
	json_decref(answer);
}

static int run_keygen(const struct cli_args *args)
{
	uint8_t public_key[HYPR_VMO_KEY_BYTES];
	int ret = hypr_vmo_keygen(args->arg[0], public_key);

	if (ret)
		return cli_vmo_fail(args, "vmo keygen", ret);
	print_key(args, "keep it secret; the public key, also in the same name with .pub, is",
		  public_key);
	return EXIT_OK;
}

static int run_sign(const struct cli_args *args)
{
	struct hypr_vmo_info info;
	struct hypr_vmo *vmo;
	int code, ret;

	if (!args->option[KEY])
		return cli_fail(args, EXIT_USAGE, "vmo sign",
				"--key is needed (hypr vmo keygen makes one)");
	/* For its exit code: that of a key that is missing is another. */
	code = cli_vmo_open(args, "vmo sign", args->arg[0], &vmo);
	if (code)
		return code;
	hypr_vmo_close(vmo);
	cli_progress_start(args, "vmo sign", true);
	ret = hypr_vmo_sign(args->arg[0], args->option[KEY]);
	cli_progress_stop();
	if (ret)
		return cli_vmo_fail(args, "vmo sign", ret);
	code = cli_vmo_open(args, "vmo sign", args->arg[0], &vmo);
	if (code)
		return code;
	hypr_vmo_info(vmo, &info);
	hypr_vmo_close(vmo);
	print_key(args, "signed by", info.public_key);
	return EXIT_OK;
}

const struct cli_command cmd_vmo_keygen = {
	.name = "vmo keygen",
	.args = "KEY",
	.summary = "make a pair of keys for signing",
	.nr_args = 1,
	.run = run_keygen,
};

const struct cli_command cmd_vmo_sign = {
	.name = "vmo sign",
	.args = "FILE",
	.summary = "sign a VMO file, in place",
	.options = sign_options,
	.nr_args = 1,
	.run = run_sign,
};
