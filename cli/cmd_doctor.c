// SPDX-License-Identifier: GPL-2.0-only
/* hypr doctor: what this host has of what HYPR needs, and what to do. */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "hypr/hypr.h"

#define CHECKS_MAX	16

static const char *state(const struct hypr_host_check *check)
{
	return check->ok > 0 ? "ok" : check->ok == 0 ? "missing" : "note";
}

enum { ENGINE };

static const struct cli_option options[] = {
	[ENGINE] = { "engine", 'e', "ENGINE", "the one to be judged: ept-swap (default) or stock" },
	{ 0 },
};

/* Engine stock needs no more than a KVM that may be opened and can do what a VM needs. */
static bool needs(const char *engine, const struct hypr_host_check *check)
{
	return !strcmp(engine, HYPR_ENGINE_EPT_SWAP) || !strcmp(check->name, "kvm") ||
	       !strcmp(check->name, "vm");
}

static int count_missing(const char *engine, const struct hypr_host_check *check, int nr)
{
	int i, missing = 0;

	for (i = 0; i < nr; i++)
		missing += needs(engine, &check[i]) && check[i].ok == 0;
	return missing;
}

static void print_json(const char *engine, const struct hypr_host_check *check, int nr)
{
	int missing = count_missing(engine, check, nr);
	json_t *list = json_array(), *answer;
	int i;

	for (i = 0; i < nr; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s}",
						"check", check[i].name,
						"state", state(&check[i]),
						"found", check[i].detail,
						"advice", check[i].advice));
	answer = json_pack("{s:b, s:s, s:i, s:{s:b, s:b}, s:o}", "ok", !missing,
			   "engine", engine, "missing", missing, "engines",
			   HYPR_ENGINE_EPT_SWAP,
			   !count_missing(HYPR_ENGINE_EPT_SWAP, check, nr),
			   HYPR_ENGINE_STOCK, !count_missing(HYPR_ENGINE_STOCK, check, nr),
			   "checks", list);
	cli_print_json(answer);
	json_decref(answer);
}

static void print_engine(const char *engine, const struct hypr_host_check *check, int nr)
{
	printf("engine %s: %s\n", engine,
	       count_missing(engine, check, nr) ? "cannot run on this host" : "ready");
}

static void print_text(const struct hypr_host_check *check, int nr)
{
	int i;

	for (i = 0; i < nr; i++) {
		printf("%-9s %-8s %s\n", check[i].name, state(&check[i]), check[i].detail);
		if (check[i].advice[0])
			printf("%-9s %-8s -> %s\n", "", "", check[i].advice);
	}
	print_engine(HYPR_ENGINE_EPT_SWAP, check, nr);
	print_engine(HYPR_ENGINE_STOCK, check, nr);
}

static int run(const struct cli_args *args)
{
	const char *engine = args->option[ENGINE] ? args->option[ENGINE] : HYPR_ENGINE_EPT_SWAP;
	struct hypr_host_check check[CHECKS_MAX];
	int nr;

	if (strcmp(engine, HYPR_ENGINE_EPT_SWAP) && strcmp(engine, HYPR_ENGINE_STOCK))
		return cli_fail(args, EXIT_USAGE, "doctor",
				"no engine '%s'; there are %s and %s", engine,
				HYPR_ENGINE_EPT_SWAP, HYPR_ENGINE_STOCK);
	nr = hypr_host_probe(check, CHECKS_MAX);
	if (nr > CHECKS_MAX)
		nr = CHECKS_MAX;
	if (args->json)
		print_json(engine, check, nr);
	else
		print_text(check, nr);
	return count_missing(engine, check, nr) ? EXIT_HOST : EXIT_OK;
}

const struct cli_command cmd_doctor = {
	.name = "doctor",
	.args = "",
	.summary = "what this host has, what it lacks, what to do",
	.nr_args = 0,
	.options = options,
	.run = run,
};
