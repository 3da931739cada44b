// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr vmo verify: every digest of a VMO file and its parents, and who signed it; or
 * how a view of a running VM differs from it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "hypr/vmo.h"

enum { KEY, VM, VIEW };

static const struct cli_option options[] = {
	[KEY] = { "key", 'k', "FILE", "it must be signed by this public key" },
	[VM] = { "vm", 0, "NAME", "compare this VM's memory with it instead" },
	[VIEW] = { "view", 'v', "VIEW", "with --vm: that of this view (default: the active one)" },
	{ 0 },
};

static int verify(struct hypr_vmo *vmo, const char *key, struct hypr_vmo_verify_result *result)
{
	uint8_t public_key[HYPR_VMO_KEY_BYTES];
	int ret;

	if (key) {
		ret = hypr_vmo_public_key(key, public_key);
		if (!ret)
			ret = hypr_vmo_check_signature(vmo, public_key);
		if (ret)
			return ret;
	}
	return hypr_vmo_verify(vmo, result);
}

static void print_answer(const struct cli_args *args, const struct hypr_vmo *vmo,
			 const struct hypr_vmo_verify_result *result)
{
	char root[CLI_HEX_MAX], key[CLI_HEX_MAX];
	struct hypr_vmo_info info;
	json_t *answer;

	hypr_vmo_info(vmo, &info);
	cli_hex(root, info.root);
	cli_hex(key, info.public_key);
	if (args->json) {
		answer = json_pack("{s:b, s:s, s:s, s:I, s:I, s:I}", "ok", 1,
				   "file", args->arg[0], "root", root,
				   "layers", (json_int_t)result->layers,
				   "sections", (json_int_t)result->sections,
				   "pages", (json_int_t)result->pages);
		if (info.has_signature)
			json_object_set_new(answer, "public_key", json_string(key));
		cli_print_json(answer);
		json_decref(answer);
		return;
	}
	printf("%s: all right: %llu pages, %u sections, %u layer%s; root %s\n", args->arg[0],
	       (unsigned long long)result->pages, result->sections, result->layers,
	       result->layers > 1 ? "s" : "", root);
	if (info.has_signature)
		printf("signed by %s%s\n", key,
		       args->option[KEY] ? ", as wanted" : " (whose key that is, --key can tell)");
}

/* The VM's process compares: it has the memory. */
static int compare(const struct cli_args *args)
{
	json_t *request, *answer;
	struct hypr_vmo *vmo;
	char *path;
	int code;

	/* A file that cannot be had is told from one that differs. */
	code = cli_vmo_open(args, "vmo verify", args->arg[0], &vmo);
	if (code)
		return code;
	hypr_vmo_close(vmo);
	code = cli_path(args, "vmo verify", args->arg[0], &path);
	if (code)
		return cli_vmo_trouble(code);
	request = json_pack("{s:s, s:s}", "op", "compare", "file", path);
	free(path);
	if (args->option[VIEW])
		json_object_set_new(request, "view", json_string(args->option[VIEW]));
	code = cli_call(args, "vmo verify", args->option[VM], request, &answer);
	if (code)
		return cli_vmo_trouble(code);
	if (!args->json)
		cli_compared(answer, args->arg[0]);
	code = cli_int(answer, "pages_mismatched") ? EXIT_FAILED : EXIT_OK;
	json_decref(answer);
	return code;
}

static int run(const struct cli_args *args)
{
	struct hypr_vmo_verify_result result = { 0 };
	struct hypr_vmo *vmo;
	int code, ret;

	if (args->option[VIEW] && !args->option[VM])
		return cli_fail(args, EXIT_USAGE, "vmo verify", "--view goes with --vm only");
	if (args->option[KEY] && args->option[VM])
		return cli_fail(args, EXIT_USAGE, "vmo verify",
				"--key and --vm are two questions; ask one at a time");
	if (args->option[VM])
		return compare(args);
	code = cli_vmo_open(args, "vmo verify", args->arg[0], &vmo);
	if (code)
		return code;
	cli_progress_start(args, "vmo verify", true);
	ret = verify(vmo, args->option[KEY], &result);
	cli_progress_stop();
	if (!ret)
		print_answer(args, vmo, &result);
	else if (ret == -EBADMSG && result.bad_pages > 1)
		code = cli_fail(args, cli_vmo_code(ret), "vmo verify", "%s, and %llu more",
				hypr_error(), (unsigned long long)result.bad_pages - 1);
	else
		code = cli_vmo_fail(args, "vmo verify", ret);
	hypr_vmo_close(vmo);
	return code;
}

const struct cli_command cmd_vmo_verify = {
	.name = "vmo verify",
	.args = "FILE",
	.summary = "check a VMO file and its parents, or compare a VM with it",
	.options = options,
	.nr_args = 1,
	.run = run,
};
