// SPDX-License-Identifier: GPL-2.0-only
/* hypr doctor: what this host has of what HYPR needs, and what to do. */
#include <stdio.h>

#include "cli.h"
#include "hypr/hypr.h"

#define CHECKS_MAX	16

static const char *state(const struct hypr_host_check *check)
{
	return check->ok > 0 ? "ok" : check->ok == 0 ? "missing" : "note";
}

static void print_json(const struct hypr_host_check *check, int nr, int missing)
{
	json_t *list = json_array(), *answer;
	int i;

	for (i = 0; i < nr; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s}",
						"check", check[i].name,
						"state", state(&check[i]),
						"found", check[i].detail,
						"advice", check[i].advice));
	answer = json_pack("{s:b, s:s, s:i, s:o}", "ok", !missing,
			   "engine", HYPR_ENGINE_EPT_SWAP, "missing", missing, "checks", list);
	cli_print_json(answer);
	json_decref(answer);
}

static void print_text(const struct hypr_host_check *check, int nr, int missing)
{
	int i;

	for (i = 0; i < nr; i++) {
		printf("%-9s %-8s %s\n", check[i].name, state(&check[i]), check[i].detail);
		if (check[i].advice[0])
			printf("%-9s %-8s -> %s\n", "", "", check[i].advice);
	}
	printf("engine %s: %s\n", HYPR_ENGINE_EPT_SWAP,
	       missing ? "cannot run on this host" : "ready");
}

static int run(const struct cli_args *args)
{
	struct hypr_host_check check[CHECKS_MAX];
	int nr = hypr_host_probe(check, CHECKS_MAX);
	int i, missing = 0;

	if (nr > CHECKS_MAX)
		nr = CHECKS_MAX;
	for (i = 0; i < nr; i++)
		missing += check[i].ok == 0;
	if (args->json)
		print_json(check, nr, missing);
	else
		print_text(check, nr, missing);
	return missing ? EXIT_HOST : EXIT_OK;
}

const struct cli_command cmd_doctor = {
	.name = "doctor",
	.args = "",
	.summary = "what this host has, what it lacks, what to do",
	.nr_args = 0,
	.run = run,
};
