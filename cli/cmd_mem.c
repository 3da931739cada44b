// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr mem: what the pages of a VMO file's memory are, and which of them the guest's page
 * tables map, in numbers or as a picture.  Those of a running VM: mem_vm.c.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "hypr/vmo.h"
#include "mem.h"
#include "vmo_map.h"

static const struct cli_option options[] = {
	[CLI_MEM_MAP] = { "map", 'm', "FILE.svg", "draw a picture of it" },
	[CLI_MEM_FORCE] = { "force", 'f', NULL, "replace the picture that is there" },
	[CLI_MEM_VIEW] = { "view", 'v', "VIEW", "of a VM: of this view (the active one)" },
	[CLI_MEM_MAPPED] = { "mapped", 0, NULL, "of a file: tell apart what the guest's page tables map" },
	[CLI_MEM_CR3] = { "cr3", 0, "ADDRESS", "those of these page tables; implies --mapped" },
	[CLI_MEM_VCPU] = { "vcpu", 0, "N", "those of this vCPU (0); implies --mapped" },
	{ 0 },
};

/* A page that the tables map is its kind and MAPS. */
enum { ZERO, PARENT, STORED, MAPS, NR_KINDS = 2 * MAPS };

static const struct cli_map_kind kinds[NR_KINDS] = {
	{ "zero", "#eceff1" },
	{ "of a parent", "#90a4ae" },
	{ "of this file", "#546e7a" },
	{ "zero, mapped", "#ffe0b2" },
	{ "parent, mapped", "#ffa726" },
	{ "file, mapped", "#e65100" },
};

/**
 * struct memory - what was found
 * @pages: by kind
 * @mapped: a bit for each page; NULL: not asked
 */
struct memory {
	uint64_t pages[NR_KINDS];
	uint8_t *mapped;
	struct cli_map *map;
};

static int note_mapping(void *arg, const struct hypr_vmo_mapping *mapping)
{
	uint64_t page = mapping->gpa / HYPR_VMO_PAGE_BYTES;
	uint64_t end = (mapping->gpa + mapping->bytes) / HYPR_VMO_PAGE_BYTES;
	struct memory *memory = arg;

	for (; page < end; page++)
		memory->mapped[page / 8] |= (uint8_t)(1u << page % 8);
	return 0;
}

static bool is_mapped(const struct memory *memory, uint64_t page)
{
	return memory->mapped && memory->mapped[page / 8] >> page % 8 & 1;
}

static void note_segment(struct memory *memory, const struct hypr_vmo_segment *segment)
{
	uint64_t page = segment->gpa / HYPR_VMO_PAGE_BYTES, end = page + segment->pages, next;
	unsigned int kind;

	for (; page < end; page = next) {
		kind = segment->flags & HYPR_VMO_RUN_ZERO ? ZERO : segment->layer ? PARENT : STORED;
		if (is_mapped(memory, page))
			kind += MAPS;
		for (next = page + 1; next < end; next++) {
			if (is_mapped(memory, next) != (kind >= MAPS))
				break;
		}
		memory->pages[kind] += next - page;
		if (memory->map)
			cli_map_add(memory->map, page, next - page, kind);
	}
}

static int look(struct memory *memory, struct hypr_vmo *vmo, const struct hypr_paging *paging)
{
	struct hypr_vmo_segment segment;
	struct hypr_vmo_info info;
	uint64_t gpa;
	int ret = 0;

	hypr_vmo_info(vmo, &info);
	if (memory->mapped)
		ret = hypr_vmo_mappings(vmo, paging, note_mapping, memory, NULL);
	for (gpa = 0; !ret && gpa < info.mem_bytes; gpa += segment.pages * HYPR_VMO_PAGE_BYTES) {
		ret = hypr_vmo_segment(vmo, gpa, &segment);
		if (!ret)
			note_segment(memory, &segment);
	}
	return ret;
}

int cli_mem_draw(const struct cli_args *args, const struct cli_map *map, uint64_t mem_bytes,
		 const struct hypr_vmo *vmo)
{
	char size[CLI_SIZE_MAX], title[120], *text;
	size_t bytes;
	int ret;

	snprintf(title, sizeof(title), "%s of memory, from 0 at the top left",
		 cli_size(size, mem_bytes));
	text = cli_map_text(map, title, &bytes);
	if (!text)
		return cli_fail(args, EXIT_FILE, "mem", "no memory for a picture");
	ret = hypr_vmo_report_write(vmo, NULL, args->option[CLI_MEM_MAP],
				    args->option[CLI_MEM_FORCE] ? HYPR_VMO_REPLACE : 0,
				    text, bytes);
	free(text);
	return ret ? cli_vmo_fail(args, "mem", ret) : EXIT_OK;
}

static void print_json(const struct cli_args *args, const struct memory *memory)
{
	const uint64_t *pages = memory->pages;
	json_t *answer = json_pack("{s:b, s:s, s:I, s:I, s:I}", "ok", 1, "file", args->arg[0],
				   "pages_zero", (json_int_t)(pages[ZERO] + pages[ZERO + MAPS]),
				   "pages_parent",
				   (json_int_t)(pages[PARENT] + pages[PARENT + MAPS]),
				   "pages_stored",
				   (json_int_t)(pages[STORED] + pages[STORED + MAPS]));

	if (memory->mapped) {
		json_object_set_new(answer, "mapped_zero",
				    json_integer((json_int_t)pages[ZERO + MAPS]));
		json_object_set_new(answer, "mapped_parent",
				    json_integer((json_int_t)pages[PARENT + MAPS]));
		json_object_set_new(answer, "mapped_stored",
				    json_integer((json_int_t)pages[STORED + MAPS]));
	}
	cli_print_json(answer);
	json_decref(answer);
}

static void print_text(const struct cli_args *args, const struct memory *memory)
{
	static const char *const names[] = { "zero", "of a parent", "of this file" };
	const uint64_t *pages = memory->pages;
	int i;

	printf("%s:", args->arg[0]);
	for (i = ZERO; i < MAPS; i++) {
		printf("%s %llu pages %s", i ? "," : "",
		       (unsigned long long)(pages[i] + pages[i + MAPS]), names[i]);
		if (memory->mapped)
			printf(" (%llu mapped)", (unsigned long long)pages[i + MAPS]);
	}
	printf("\n");
}

/* What is noted takes a bit a page, and a square of the picture one byte. */
static int memory_init(struct memory *memory, const struct cli_args *args, uint64_t pages)
{
	bool mapped = cli_mem_wants_mapped(args);

	*memory = (struct memory){ 0 };
	if (mapped)
		memory->mapped = calloc(pages / 8 + 1, 1);
	if (args->option[CLI_MEM_MAP])
		memory->map = cli_map_create(pages, kinds, mapped ? NR_KINDS : MAPS);
	if ((memory->mapped || !mapped) && (memory->map || !args->option[CLI_MEM_MAP]))
		return EXIT_OK;
	return cli_fail(args, EXIT_FILE, "mem", "no memory to look at %llu pages",
			(unsigned long long)pages);
}

static int show(const struct cli_args *args, struct hypr_vmo *vmo,
		const struct hypr_paging *paging)
{
	struct hypr_vmo_info info;
	struct memory memory;
	int code, ret;

	hypr_vmo_info(vmo, &info);
	code = memory_init(&memory, args, info.pages);
	if (!code) {
		ret = look(&memory, vmo, paging);
		code = ret ? cli_vmo_fail(args, "mem", ret) : EXIT_OK;
	}
	if (!code && memory.map)
		code = cli_mem_draw(args, memory.map, info.mem_bytes, vmo);
	if (!code && args->json)
		print_json(args, &memory);
	else if (!code)
		print_text(args, &memory);
	cli_map_destroy(memory.map);
	free(memory.mapped);
	return code;
}

static int run(const struct cli_args *args)
{
	struct hypr_paging paging;
	struct hypr_vmo *vmo;
	int code;

	if (!cli_is_file(args->arg[0]))
		return cli_mem_vm(args);
	if (args->option[CLI_MEM_VIEW])
		return cli_fail(args, EXIT_USAGE, "mem", "%s is a file and has no views",
				args->arg[0]);
	code = cli_paging(args, "mem", args->option[CLI_MEM_CR3], args->option[CLI_MEM_VCPU],
			  &paging);
	if (!code)
		code = cli_vmo_open(args, "mem", args->arg[0], &vmo);
	if (code)
		return code;
	code = show(args, vmo, &paging);
	hypr_vmo_close(vmo);
	return code;
}

const struct cli_command cmd_mem = {
	.name = "mem",
	.args = "NAME|FILE.vmo",
	.summary = "what a memory's pages are, in numbers or as a picture",
	.options = options,
	.nr_args = 1,
	.run = run,
};
