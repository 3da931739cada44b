// SPDX-License-Identifier: GPL-2.0-only
/* hypr snapshot: keep this moment of a VM, as a view, as a file, or as both. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli.h"

enum { OUTPUT, PARENT, REPLACE, COMPRESS, SPARE };

static const struct cli_option options[] = {
	[OUTPUT] = { "output", 'o', "FILE", "write it to a VMO" },
	[PARENT] = { "parent", 'p', "FILE", "only what differs from this VMO, in the same folder" },
	[REPLACE] = { "replace", 0, NULL, "FILE may be there already" },
	[COMPRESS] = { "compress", 0, NULL, "packed, for keeping; hypr vmo unpack before it runs" },
	[SPARE] = { "spare", 0, NULL, "the view gets a second copy, for resets by spare" },
	{ 0 },
};

static void print_view(const json_t *answer)
{
	cli_begin(answer);
	printf("view %s (%lld): %lld of %lld pages kept; pause %s %lld cycles, copy in it %lld (%lld pages), before it %lld (%s, %lld rounds), prepare %lld\n",
	       cli_str(answer, "name"), cli_int(answer, "view"),
	       cli_int(answer, "pages_stored"), cli_int(answer, "pages_total"),
	       cli_str(answer, "pause"), cli_int(answer, "pause_cycles"),
	       cli_int(answer, "copy_cycles"), cli_int(answer, "pages_in_pause"),
	       cli_int(answer, "precopy_cycles"), cli_str(answer, "copy"),
	       cli_int(answer, "rounds"), cli_int(answer, "prepare_cycles"));
}

static void print_file(const json_t *answer)
{
	cli_begin(answer);
	printf("%s: %lld pages, %lld zero, %lld as in the parent, %lld bytes; pause %s %lld cycles, copy in it %lld (%lld pages), before it %lld (%s, %lld rounds), written in %lld ms\n",
	       cli_str(answer, "file"), cli_int(answer, "pages_stored"),
	       cli_int(answer, "pages_zero"), cli_int(answer, "pages_parent"),
	       cli_int(answer, "file_bytes"), cli_str(answer, "pause"),
	       cli_int(answer, "pause_cycles"), cli_int(answer, "copy_cycles"),
	       cli_int(answer, "pages_in_pause"), cli_int(answer, "precopy_cycles"),
	       cli_str(answer, "copy"), cli_int(answer, "rounds"),
	       cli_int(answer, "write_ns") / 1000000);
}

static int take_view(const struct cli_args *args, json_t **answer)
{
	return cli_ask(args, "snapshot", args->arg[0],
		       json_pack("{s:s, s:s, s:b}", "op", "snapshot", "view", args->arg[1],
				 "spare", args->option[SPARE] != NULL), false, 0, answer);
}

/* The view's moment; without a view, this one. */
static int save(const struct cli_args *args, const char *file, const char *parent,
		json_t **answer)
{
	json_t *request = json_pack("{s:s, s:s, s:b, s:b}", "op", "save", "file", file,
				    "replace", args->option[REPLACE] != NULL,
				    "compress", args->option[COMPRESS] != NULL);

	if (parent)
		json_object_set_new(request, "parent", json_string(parent));
	if (args->nr > 1)
		json_object_set_new(request, "view", json_string(args->arg[1]));
	return cli_ask(args, "snapshot", args->arg[0], request, true, 0, answer);
}

/* All or nothing: a view whose file could not be written does not stay. */
static void remove_view(const struct cli_args *args)
{
	json_t *answer;

	cli_ask(args, "snapshot", args->arg[0],
		json_pack("{s:s, s:s}", "op", "remove", "view", args->arg[1]), false, 0, &answer);
	json_decref(answer);
}

/* One object: what is told of the file alone is in "saved" when there is a view, too. */
static void print(const struct cli_args *args, json_t *view, json_t *file)
{
	if (!args->json) {
		if (view)
			print_view(view);
		if (file)
			print_file(file);
		return;
	}
	if (view && file) {
		json_object_set(view, "file", json_object_get(file, "file"));
		json_object_set(view, "saved", file);
	}
	cli_print_json(view ? view : file);
}

static int take(const struct cli_args *args, const char *path, const char *parent)
{
	json_t *view = NULL, *file = NULL;
	int code = EXIT_OK;

	/* What can be told before is not found out after the VM was paused for it. */
	if (path && !args->option[REPLACE] && !access(path, F_OK))
		return cli_fail(args, EXIT_EXISTS, "snapshot",
				"%.300s is there already (--replace replaces it)", path);
	if (args->nr > 1)
		code = take_view(args, &view);
	if (!code && path) {
		code = save(args, path, parent, &file);
		if (code && view)
			remove_view(args);
	}
	if (!code)
		print(args, view, file);
	json_decref(view);
	json_decref(file);
	return code;
}

static int run(const struct cli_args *args)
{
	char *file = NULL, *parent = NULL;
	int code = EXIT_OK;

	if (args->nr < 2 && !args->option[OUTPUT])
		return cli_fail(args, EXIT_USAGE, "snapshot",
				"where to: a view's name, or --output FILE, or both");
	if (!args->option[OUTPUT] &&
	    (args->option[PARENT] || args->option[REPLACE] || args->option[COMPRESS]))
		return cli_fail(args, EXIT_USAGE, "snapshot",
				"--parent, --replace and --compress go with --output only");
	if (args->nr < 2 && args->option[SPARE])
		return cli_fail(args, EXIT_USAGE, "snapshot", "--spare goes with a view only");
	if (args->option[OUTPUT])
		code = cli_path(args, "snapshot", args->option[OUTPUT], &file);
	if (!code && args->option[PARENT])
		code = cli_path(args, "snapshot", args->option[PARENT], &parent);
	if (!code)
		code = take(args, file, parent);
	free(file);
	free(parent);
	return code;
}

const struct cli_command cmd_snapshot = {
	.name = "snapshot",
	.args = "NAME [VIEW]",
	.summary = "keep this moment: as a view, as a file, or both",
	.options = options,
	.nr_args = 1,
	.nr_optional = 1,
	.run = run,
};
