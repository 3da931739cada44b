// SPDX-License-Identifier: GPL-2.0-only
/* hypr mem of a running VM: which pages of a view were touched, are private, were written. */
#include <errno.h>

#include "hypr/hypr.h"
#include "mem.h"
#include "vmo_map.h"

#define PAGE_BYTES	4096

enum { UNTOUCHED, TOUCHED, PRIVATE, WRITTEN, NR_KINDS };

static const struct cli_map_kind kinds[NR_KINDS] = {
	{ "not touched", "#eceff1" },
	{ "touched", "#90a4ae" },
	{ "private", "#ffa726" },
	{ "written", "#e65100" },
};

static unsigned int kind_of(json_int_t flags)
{
	if (flags & HYPR_PAGE_WRITTEN)
		return WRITTEN;
	if (flags & HYPR_PAGE_PRIVATE)
		return PRIVATE;
	return flags & HYPR_PAGE_TOUCHED ? TOUCHED : UNTOUCHED;
}

static bool written_known(const json_t *answer)
{
	return json_is_true(json_object_get(answer, "written_known"));
}

/* [page, pages, flags] each.  Return: false: the VM says what cannot be. */
static bool add_runs(struct cli_map *map, const json_t *runs, json_int_t total)
{
	json_int_t page, pages;
	const json_t *run;
	size_t i;

	json_array_foreach(runs, i, run) {
		page = json_integer_value(json_array_get(run, 0));
		pages = json_integer_value(json_array_get(run, 1));
		if (page < 0 || page >= total || pages <= 0 || pages > total - page)
			return false;
		cli_map_add(map, (uint64_t)page, (uint64_t)pages,
			    kind_of(json_integer_value(json_array_get(run, 2))));
	}
	return json_is_array(runs);
}

static int draw(const struct cli_args *args, const json_t *answer)
{
	json_int_t total = cli_int(answer, "pages_total");
	struct cli_map *map;
	int code;

	if (total <= 0 || total > (json_int_t)(HYPR_MEM_MAX_BYTES / PAGE_BYTES))
		return cli_fail(args, EXIT_FAILED, "mem", "%s: its answer has no pages",
				args->arg[0]);
	map = cli_map_create((uint64_t)total, kinds, written_known(answer) ? NR_KINDS : WRITTEN);
	if (!map)
		return cli_fail(args, EXIT_FILE, "mem", "no memory to look at %lld pages",
				(long long)total);
	if (add_runs(map, json_object_get(answer, "run"), total))
		code = cli_mem_draw(args, map, (uint64_t)total * PAGE_BYTES, NULL);
	else
		code = cli_fail(args, EXIT_FAILED, "mem", "%s: its answer has pages beyond memory",
				args->arg[0]);
	cli_map_destroy(map);
	return code;
}

static void print_text(const json_t *answer)
{
	cli_begin(answer);
	printf("view %s: %lld pages, %lld touched, %lld private, ", cli_str(answer, "name"),
	       cli_int(answer, "pages_total"), cli_int(answer, "pages_touched"),
	       cli_int(answer, "pages_private"));
	if (written_known(answer))
		printf("%lld written since the last reset\n", cli_int(answer, "pages_written"));
	else
		printf("written since the last reset: not known\n");
}

int cli_mem_vm(const struct cli_args *args)
{
	json_t *request, *answer;
	int code;

	if (cli_mem_wants_mapped(args))
		return cli_fail(args, EXIT_USAGE, "mem",
				"%s: what the guest's page tables map is found in files only; write one (hypr snapshot %s -o FILE)",
				args->arg[0], args->arg[0]);
	request = json_pack("{s:s}", "op", "mem");
	if (args->option[CLI_MEM_VIEW])
		json_object_set_new(request, "view", json_string(args->option[CLI_MEM_VIEW]));
	if (args->option[CLI_MEM_MAP])
		json_object_set_new(request, "runs", json_true());
	code = cli_ask(args, "mem", args->arg[0], request, false, 0, &answer);
	if (code)
		return code;
	if (args->option[CLI_MEM_MAP])
		code = draw(args, answer);
	json_object_del(answer, "run");
	if (!code && args->json)
		cli_print_json(answer);
	else if (!code)
		print_text(answer);
	json_decref(answer);
	return code;
}
