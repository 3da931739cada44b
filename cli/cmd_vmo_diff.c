// SPDX-License-Identifier: GPL-2.0-only
/* hypr vmo diff: how the memory of two VMO files differs, as ranges or as a picture. */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "hypr/vmo.h"
#include "vmo_map.h"

enum { MAP, FORCE };

static const struct cli_option options[] = {
	[MAP] = { "map", 'm', "FILE.svg", "draw a picture of it" },
	[FORCE] = { "force", 'f', NULL, "replace the picture that is there" },
	{ 0 },
};

struct found {
	uint64_t pages[4];		/* by kind */
	json_t *ranges;			/* those that differ */
	struct cli_map *map;
};

static const char *kind_name(int kind)
{
	return kind == HYPR_VMO_ZEROED ? "zero" : "changed";
}

static int note(void *arg, uint64_t gpa, uint64_t pages, int kind)
{
	struct found *found = arg;

	found->pages[kind] += pages;
	if (found->map)
		cli_map_add(found->map, gpa / HYPR_VMO_PAGE_BYTES, pages, kind);
	if (kind == HYPR_VMO_SAME || kind == HYPR_VMO_SAME_ZERO)
		return 0;
	json_array_append_new(found->ranges,
			      json_pack("{s:I, s:I, s:I, s:s}",
					"start", (json_int_t)gpa,
					"end", (json_int_t)(gpa + pages * HYPR_VMO_PAGE_BYTES),
					"pages", (json_int_t)pages,
					"kind", kind_name(kind)));
	return 0;
}

static void print_json(const struct cli_args *args, const struct found *found)
{
	json_t *answer = json_pack("{s:b, s:s*, s:s*, s:I, s:I, s:I, s:I, s:O}", "ok", 1,
				   "from", args->arg[0], "to", args->arg[1],
				   "same", (json_int_t)found->pages[HYPR_VMO_SAME],
				   "same_zero", (json_int_t)found->pages[HYPR_VMO_SAME_ZERO],
				   "changed", (json_int_t)found->pages[HYPR_VMO_CHANGED],
				   "zero", (json_int_t)found->pages[HYPR_VMO_ZEROED],
				   "ranges", found->ranges);

	cli_print_json(answer);
	json_decref(answer);
}

static void print_text(const struct cli_args *args, const struct found *found)
{
	const json_t *range;
	size_t i;

	printf("%s -> %s: %llu pages unchanged, %llu zero in both, %llu changed, %llu changed to zero\n",
	       args->arg[0], args->arg[1], (unsigned long long)found->pages[HYPR_VMO_SAME],
	       (unsigned long long)found->pages[HYPR_VMO_SAME_ZERO],
	       (unsigned long long)found->pages[HYPR_VMO_CHANGED],
	       (unsigned long long)found->pages[HYPR_VMO_ZEROED]);
	json_array_foreach(found->ranges, i, range)
		printf("0x%09llx-0x%09llx  %-7s  %lld page%s\n", cli_int(range, "start"),
		       cli_int(range, "end"), cli_str(range, "kind"), cli_int(range, "pages"),
		       cli_int(range, "pages") > 1 ? "s" : "");
}

/* Into memory first: it is at most a square for each of a bounded number. */
static char *picture(const struct found *found, size_t *bytes)
{
	char title[120], *text = NULL;
	FILE *to = open_memstream(&text, bytes);
	bool failed;

	if (!to)
		return NULL;
	snprintf(title, sizeof(title), "%llu pages changed, %llu changed to zero",
		 (unsigned long long)found->pages[HYPR_VMO_CHANGED],
		 (unsigned long long)found->pages[HYPR_VMO_ZEROED]);
	cli_map_write(found->map, title, to);
	failed = ferror(to);
	if (!fclose(to) && !failed)
		return text;
	free(text);
	return NULL;
}

static int draw(const struct cli_args *args, const struct found *found,
		const struct hypr_vmo *from, const struct hypr_vmo *to)
{
	size_t bytes;
	char *text = picture(found, &bytes);
	int ret;

	if (!text)
		return cli_fail(args, EXIT_FAILED, "vmo diff", "no memory for a picture");
	ret = hypr_vmo_report_write(from, to, args->option[MAP],
				    args->option[FORCE] ? HYPR_VMO_REPLACE : 0, text, bytes);
	free(text);
	return ret ? cli_vmo_fail(args, "vmo diff", ret) : EXIT_OK;
}

static int compare(const struct cli_args *args, struct hypr_vmo *from, struct hypr_vmo *to)
{
	struct found found = { .ranges = json_array() };
	struct hypr_vmo_info info;
	int ret, code = EXIT_OK;

	hypr_vmo_info(from, &info);
	if (args->option[MAP]) {
		found.map = cli_map_create(info.pages);
		if (!found.map)
			code = cli_fail(args, EXIT_FAILED, "vmo diff", "no memory for a picture");
	}
	cli_progress_start(args, "vmo diff", true);
	ret = code ? 0 : hypr_vmo_diff(from, to, note, &found);
	cli_progress_stop();
	if (ret)
		code = cli_vmo_fail(args, "vmo diff", ret);
	if (!code && found.map)
		code = draw(args, &found, from, to);
	if (!code) {
		if (args->json)
			print_json(args, &found);
		else
			print_text(args, &found);
		code = json_array_size(found.ranges) ? EXIT_FAILED : EXIT_OK;
	}
	cli_map_destroy(found.map);
	json_decref(found.ranges);
	return code;
}

static int run(const struct cli_args *args)
{
	struct hypr_vmo *from, *to;
	int code;

	code = cli_vmo_open(args, "vmo diff", args->arg[0], &from);
	if (code)
		return code;
	code = cli_vmo_open(args, "vmo diff", args->arg[1], &to);
	if (!code) {
		code = compare(args, from, to);
		hypr_vmo_close(to);
	}
	hypr_vmo_close(from);
	return code;
}

const struct cli_command cmd_vmo_diff = {
	.name = "vmo diff",
	.args = "FILE FILE",
	.summary = "how the memory of two VMO files differs",
	.options = options,
	.nr_args = 2,
	.run = run,
};
