// SPDX-License-Identifier: GPL-2.0-only
/* hypr vmo diff: how the memory of two VMO files differs, as ranges or as a picture. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "hypr/vmo.h"
#include "vmo_map.h"

enum { MAP, FORCE };

static const struct cli_option options[] = {
	[MAP] = { "map", 'm', "FILE.svg", "draw a picture of it" },
	[FORCE] = { "force", 'f', NULL, "replace the picture that is there" },
	{ 0 },
};

/* Of each page, two bits: what is the same and is not listed has none. */
enum { NOT_LISTED, CHANGED, ZEROED };

#define PAGES_EACH	32		/* of a word */

/**
 * struct found - how memory differs
 * @pages: by kind
 * @kind: of @nr_pages pages; words that nothing differs in are never touched
 */
struct found {
	uint64_t pages[4];
	uint64_t nr_pages;
	uint64_t *kind;
	struct cli_map *map;
};

/* From the weakest to the strongest. */
static const int strength[] = {
	HYPR_VMO_SAME_ZERO, HYPR_VMO_SAME, HYPR_VMO_ZEROED, HYPR_VMO_CHANGED,
};

static const struct cli_map_kind kinds[] = {
	{ "zero, unchanged", "#eceff1" },
	{ "unchanged", "#90a4ae" },
	{ "changed to zero", "#1565c0" },
	{ "changed", "#e65100" },
};

static unsigned int strength_of(int kind)
{
	unsigned int i = 0;

	while (strength[i] != kind)
		i++;
	return i;
}

static unsigned int kind_of(const struct found *found, uint64_t page)
{
	return found->kind[page / PAGES_EACH] >> 2 * (page % PAGES_EACH) & 3;
}

static int note(void *arg, uint64_t gpa, uint64_t pages, int kind)
{
	uint64_t page = gpa / HYPR_VMO_PAGE_BYTES, end = page + pages, listed;
	struct found *found = arg;

	found->pages[kind] += pages;
	if (found->map)
		cli_map_add(found->map, page, pages, strength_of(kind));
	if (kind == HYPR_VMO_SAME || kind == HYPR_VMO_SAME_ZERO)
		return 0;
	listed = kind == HYPR_VMO_ZEROED ? ZEROED : CHANGED;
	for (; page < end; page++)
		found->kind[page / PAGES_EACH] |= listed << 2 * (page % PAGES_EACH);
	return 0;
}

/* The stretch from @page on or behind it that differs in one way; false: there is none. */
static bool next_range(const struct found *found, uint64_t page, uint64_t *start, uint64_t *end)
{
	unsigned int kind;

	while (page < found->nr_pages && !kind_of(found, page))
		page += found->kind[page / PAGES_EACH] ? 1 : PAGES_EACH - page % PAGES_EACH;
	if (page >= found->nr_pages)
		return false;
	kind = kind_of(found, page);
	*start = page;
	while (page < found->nr_pages && kind_of(found, page) == kind)
		page++;
	*end = page;
	return true;
}

static const char *kind_name(unsigned int kind)
{
	return kind == ZEROED ? "zero" : "changed";
}

/* The object that json_dumps() made of the rest stays open for the ranges. */
static int print_json(const struct cli_args *args, const struct found *found)
{
	json_t *answer = json_pack("{s:b, s:s*, s:s*, s:I, s:I, s:I, s:I}", "ok", 1,
				   "from", args->arg[0], "to", args->arg[1],
				   "same", (json_int_t)found->pages[HYPR_VMO_SAME],
				   "same_zero", (json_int_t)found->pages[HYPR_VMO_SAME_ZERO],
				   "changed", (json_int_t)found->pages[HYPR_VMO_CHANGED],
				   "zero", (json_int_t)found->pages[HYPR_VMO_ZEROED]);
	char *text = json_dumps(answer, JSON_COMPACT);
	uint64_t start, end = 0;
	bool first = true;

	json_decref(answer);
	if (!text)
		return cli_fail(args, EXIT_FILE, "vmo diff", "names that are not UTF-8 cannot be in JSON; leave out --json");
	printf("%.*s,\"ranges\":[", (int)strlen(text) - 1, text);
	free(text);
	for (; next_range(found, end, &start, &end); first = false)
		printf("%s{\"start\":%llu,\"end\":%llu,\"pages\":%llu,\"kind\":\"%s\"}",
		       first ? "" : ",", (unsigned long long)start * HYPR_VMO_PAGE_BYTES,
		       (unsigned long long)end * HYPR_VMO_PAGE_BYTES,
		       (unsigned long long)(end - start), kind_name(kind_of(found, start)));
	printf("]}\n");
	return EXIT_OK;
}

static int print_text(const struct cli_args *args, const struct found *found)
{
	uint64_t start, end = 0;

	printf("%s -> %s: %llu pages unchanged, %llu zero in both, %llu changed, %llu changed to zero\n",
	       args->arg[0], args->arg[1], (unsigned long long)found->pages[HYPR_VMO_SAME],
	       (unsigned long long)found->pages[HYPR_VMO_SAME_ZERO],
	       (unsigned long long)found->pages[HYPR_VMO_CHANGED],
	       (unsigned long long)found->pages[HYPR_VMO_ZEROED]);
	while (next_range(found, end, &start, &end))
		printf("0x%09llx-0x%09llx  %-7s  %llu page%s\n",
		       (unsigned long long)start * HYPR_VMO_PAGE_BYTES,
		       (unsigned long long)end * HYPR_VMO_PAGE_BYTES,
		       kind_name(kind_of(found, start)), (unsigned long long)(end - start),
		       end - start > 1 ? "s" : "");
	return EXIT_OK;
}

/* EXIT_FAILED is an answer here. */
static int fail(const struct cli_args *args, int err)
{
	return cli_fail(args, cli_vmo_trouble(cli_vmo_code(err)), "vmo diff", "%s", hypr_error());
}

static int draw(const struct cli_args *args, const struct found *found,
		const struct hypr_vmo *from, const struct hypr_vmo *to)
{
	char title[120], *text;
	size_t bytes;
	int ret;

	snprintf(title, sizeof(title), "%llu pages changed, %llu changed to zero",
		 (unsigned long long)found->pages[HYPR_VMO_CHANGED],
		 (unsigned long long)found->pages[HYPR_VMO_ZEROED]);
	text = cli_map_text(found->map, title, &bytes);
	if (!text)
		return cli_fail(args, EXIT_FILE, "vmo diff", "no memory for a picture");
	ret = hypr_vmo_report_write(from, to, args->option[MAP],
				    args->option[FORCE] ? HYPR_VMO_REPLACE : 0, text, bytes);
	free(text);
	return ret ? fail(args, ret) : EXIT_OK;
}

/* What was found takes two bits a page, and a square of the picture one byte. */
static int found_init(struct found *found, const struct cli_args *args, uint64_t pages)
{
	*found = (struct found){ .nr_pages = pages };
	found->kind = calloc(pages / PAGES_EACH + 1, sizeof(*found->kind));
	if (args->option[MAP])
		found->map = cli_map_create(pages, kinds, sizeof(kinds) / sizeof(kinds[0]));
	if (found->kind && (found->map || !args->option[MAP]))
		return EXIT_OK;
	return cli_fail(args, EXIT_FILE, "vmo diff", "no memory to compare %llu pages",
			(unsigned long long)pages);
}

static void found_fini(struct found *found)
{
	cli_map_destroy(found->map);
	free(found->kind);
}

static int compare(const struct cli_args *args, struct hypr_vmo *from, struct hypr_vmo *to)
{
	struct hypr_vmo_info info;
	struct found found;
	int ret = 0, code;

	hypr_vmo_info(from, &info);
	code = found_init(&found, args, info.pages);
	cli_progress_start(args, "vmo diff", true);
	if (!code)
		ret = hypr_vmo_diff(from, to, note, &found);
	cli_progress_stop();
	if (ret)
		code = fail(args, ret);
	if (!code && found.map)
		code = draw(args, &found, from, to);
	if (!code)
		code = args->json ? print_json(args, &found) : print_text(args, &found);
	if (!code && (fflush(stdout) || ferror(stdout)))
		code = cli_fail(args, EXIT_FILE, "vmo diff", "the answer could not be written");
	if (!code && (found.pages[HYPR_VMO_CHANGED] || found.pages[HYPR_VMO_ZEROED]))
		code = EXIT_FAILED;
	found_fini(&found);
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
