// SPDX-License-Identifier: GPL-2.0-only
/* hypr ps: the VMs that run. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "hypr/hypr.h"

#define TIMEOUT_MS	3000	/* for each VM */

static json_t *unknown(const char *vm, const char *state)
{
	return json_pack("{s:s, s:s, s:s}", "vm", vm, "engine", "?", "state", state);
}

/* Add what one VM says of itself; one that ends meanwhile is left out. */
static int add_vm(void *arg, const char *vm)
{
	json_t *list = arg, *info;
	char *answer = NULL;
	int ret;

	ret = hypr_client_call_within(vm, "{\"op\":\"info\"}", TIMEOUT_MS, &answer);
	if (ret == -EACCES) {
		info = unknown(vm, "not yours");
	} else if (ret == -ETIMEDOUT) {
		info = unknown(vm, "no answer");
	} else {
		info = ret ? NULL : json_loads(answer, 0, NULL);
		free(answer);
	}
	if (info)
		json_array_append_new(list, info);
	return 0;
}

/* A VM that is busy does not tell all of them. */
static const char *number(char *text, const json_t *vm, const char *key)
{
	if (!json_object_get(vm, key))
		return "-";
	sprintf(text, "%lld", cli_int(vm, key));
	return text;
}

static void print_vm(const json_t *vm)
{
	const char *view = cli_str(vm, "active_view");
	char text[4][24];

	printf("%-16s %7s %-9s %-9s %5s %5lldM %-16s %5s %8s\n", cli_str(vm, "vm"),
	       number(text[0], vm, "pid"), cli_str(vm, "engine"), cli_str(vm, "state"),
	       number(text[1], vm, "vcpus"), cli_int(vm, "mem_bytes") >> 20,
	       *view ? view : "-", number(text[2], vm, "views"), number(text[3], vm, "swaps"));
}

static void print_list(const json_t *list)
{
	json_t *vm;
	size_t i;

	printf("%-16s %7s %-9s %-9s %5s %6s %-16s %5s %8s\n", "NAME", "PID", "ENGINE", "STATE",
	       "VCPUS", "MEM", "ACTIVE", "VIEWS", "SWAPS");
	json_array_foreach(list, i, vm)
		print_vm(vm);
}

static int run(const struct cli_args *args)
{
	json_t *list = json_array(), *answer;
	int ret;

	ret = hypr_client_list(add_vm, list);
	if (ret < 0) {
		json_decref(list);
		return cli_fail(args, cli_code(ret), "ps", "%s", hypr_error());
	}
	if (args->json) {
		answer = json_pack("{s:b, s:O}", "ok", 1, "vms", list);
		cli_print_json(answer);
		json_decref(answer);
	} else {
		print_list(list);
	}
	json_decref(list);
	return EXIT_OK;
}

const struct cli_command cmd_ps = {
	.name = "ps",
	.args = "",
	.summary = "list the VMs that run",
	.nr_args = 0,
	.run = run,
};
