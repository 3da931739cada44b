// SPDX-License-Identifier: GPL-2.0-only
/* hypr vmo info: what a VMO file has in it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli.h"
#include "hypr/vmo.h"

static const char *time_text(char *text, size_t size, uint64_t created_ns)
{
	time_t seconds = (time_t)(created_ns / 1000000000u);
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(text, size, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(text, size, "?");
	return text;
}

static json_t *sections_json(const struct hypr_vmo *vmo)
{
	const struct hypr_vmo_section *table;
	unsigned int i, nr = hypr_vmo_sections(vmo, &table);
	json_t *list = json_array();

	for (i = 0; i < nr; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:I, s:I, s:I, s:b, s:I, s:I}",
						"section", hypr_vmo_section_name(table[i].type),
						"type", (json_int_t)table[i].type,
						"index", (json_int_t)table[i].index,
						"version", (json_int_t)table[i].version,
						"optional",
						!!(table[i].flags & HYPR_VMO_SECTION_OPTIONAL),
						"offset", (json_int_t)table[i].offset,
						"bytes", (json_int_t)table[i].bytes));
	return list;
}

static json_t *layer_json(struct hypr_vmo *vmo, const char *name)
{
	char root[CLI_HEX_MAX], parent[CLI_HEX_MAX], key[CLI_HEX_MAX];
	struct hypr_vmo_info info;
	json_t *layer;

	hypr_vmo_info(vmo, &info);
	layer = json_pack("{s:s*, s:i, s:s, s:b, s:I, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I, s:o}",
			  "file", name,
			  "version", (int)info.version,
			  "root", cli_hex(root, info.root),
			  "packed", info.packed,
			  "file_bytes", (json_int_t)info.file_bytes,
			  "unpacked_bytes", (json_int_t)info.unpacked_bytes,
			  "mem_bytes", (json_int_t)info.mem_bytes,
			  "vcpus", (int)info.nr_vcpus,
			  "created_ns", (json_int_t)info.created_ns,
			  "runs", (json_int_t)info.nr_runs,
			  "pages_stored", (json_int_t)info.pages_stored,
			  "pages_zero", (json_int_t)info.pages_zero,
			  "pages_parent", (json_int_t)info.pages_parent,
			  "sections", sections_json(vmo));
	if (info.has_parent) {
		json_object_set_new(layer, "parent", json_string(info.parent_name));
		json_object_set_new(layer, "parent_root",
				    json_string(cli_hex(parent, info.parent)));
	}
	if (info.has_signature)
		json_object_set_new(layer, "public_key",
				    json_string(cli_hex(key, info.public_key)));
	return layer;
}

/* What is recorded of the file that would run: NULL when nothing is. */
static json_t *working_set(struct hypr_vmo *vmo)
{
	struct hypr_vmo_range *range;
	json_int_t pages = 0;
	json_t *set;
	size_t nr, i;
	int ret;

	ret = hypr_vmo_ws_read(vmo, &range, &nr);
	if (ret == -ENODATA)
		return NULL;
	if (ret)
		return json_pack("{s:s}", "error", hypr_error());
	for (i = 0; i < nr; i++)
		pages += (json_int_t)range[i].pages;
	set = json_pack("{s:I, s:I}", "pages", pages, "ranges", (json_int_t)nr);
	free(range);
	return set;
}

static void print_json(struct hypr_vmo *vmo, const char *path)
{
	json_t *layers = json_array(), *answer, *set = working_set(vmo);
	struct hypr_vmo_info info;
	const char *name = path;
	char names[HYPR_VMO_NAME_MAX_BYTES + 1];

	for (; vmo; vmo = hypr_vmo_parent(vmo)) {
		json_array_append_new(layers, layer_json(vmo, name));
		hypr_vmo_info(vmo, &info);
		snprintf(names, sizeof(names), "%s", info.parent_name);
		name = names;
	}
	answer = json_pack("{s:b, s:o}", "ok", 1, "layers", layers);
	if (set)
		json_object_set_new(answer, "working_set", set);
	cli_print_json(answer);
	json_decref(answer);
}

static void print_sections(const struct hypr_vmo *vmo)
{
	const struct hypr_vmo_section *table;
	unsigned int i, nr = hypr_vmo_sections(vmo, &table);

	printf("%-14s %5s %5s %7s %12s %12s\n", "SECTION", "TYPE", "INDEX", "VERSION", "OFFSET",
	       "BYTES");
	for (i = 0; i < nr; i++)
		printf("%-14s %5u %5u %7u %12llu %12llu%s\n",
		       hypr_vmo_section_name(table[i].type), table[i].type, table[i].index,
		       table[i].version, (unsigned long long)table[i].offset,
		       (unsigned long long)table[i].bytes,
		       table[i].flags & HYPR_VMO_SECTION_OPTIONAL ? " (optional)" : "");
}

static void print_layer(const struct hypr_vmo *vmo, const struct hypr_vmo_info *info)
{
	char text[CLI_HEX_MAX], size[CLI_SIZE_MAX], other[CLI_SIZE_MAX];

	printf("root       %s\n", cli_hex(text, info->root));
	printf("created    %s\n", time_text(text, sizeof(text), info->created_ns));
	printf("file       %s%s%s\n", cli_size(size, info->file_bytes),
	       info->packed ? ", packed; unpacked " : "",
	       info->packed ? cli_size(other, info->unpacked_bytes) : "");
	printf("memory     %s, %u vCPUs\n", cli_size(size, info->mem_bytes), info->nr_vcpus);
	printf("pages      %llu: %llu stored, %llu zero, %llu as in the parent, in %u runs\n",
	       (unsigned long long)info->pages, (unsigned long long)info->pages_stored,
	       (unsigned long long)info->pages_zero, (unsigned long long)info->pages_parent,
	       info->nr_runs);
	if (info->has_signature)
		printf("signed by  %s (hypr vmo verify tells whether it fits)\n",
		       cli_hex(text, info->public_key));
	if (info->has_parent)
		printf("parent     %s, root %s\n", info->parent_name,
		       cli_hex(text, info->parent));
	print_sections(vmo);
}

static void print_working_set(struct hypr_vmo *vmo)
{
	json_t *set = working_set(vmo);

	if (set && *cli_str(set, "error"))
		printf("working set that cannot be used: %s\n", cli_str(set, "error"));
	else if (set)
		printf("working set of %lld pages in %lld ranges\n", cli_int(set, "pages"),
		       cli_int(set, "ranges"));
	json_decref(set);
}

static void print_text(struct hypr_vmo *vmo, const char *path)
{
	struct hypr_vmo_info info;
	unsigned int layer;

	hypr_vmo_info(vmo, &info);
	printf("%s: VMO, format version %u, %u layer%s\n", path, info.version, info.layers,
	       info.layers > 1 ? "s" : "");
	print_layer(vmo, &info);
	print_working_set(vmo);
	for (layer = 1; info.has_parent; layer++) {
		printf("\nlayer %u: %s\n", layer, info.parent_name);
		vmo = hypr_vmo_parent(vmo);
		hypr_vmo_info(vmo, &info);
		print_layer(vmo, &info);
	}
}

static int run(const struct cli_args *args)
{
	const char *path = args->arg[0];
	struct hypr_vmo *vmo;
	int code;

	code = cli_vmo_open(args, "vmo info", path, &vmo);
	if (code)
		return code;
	if (args->json)
		print_json(vmo, path);
	else
		print_text(vmo, path);
	hypr_vmo_close(vmo);
	return EXIT_OK;
}

const struct cli_command cmd_vmo_info = {
	.name = "vmo info",
	.args = "FILE",
	.summary = "what a VMO file has in it",
	.nr_args = 1,
	.run = run,
};
