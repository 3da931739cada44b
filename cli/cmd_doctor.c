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
	[ENGINE] = { "engine", 'e', "ENGINE", "the one to be judged: ept-swap (default), stock or hyprv" },
	{ 0 },
};

static const char *const engines[] = {
	HYPR_ENGINE_EPT_SWAP, HYPR_ENGINE_STOCK, HYPR_ENGINE_HYPRV,
};

#define NR_ENGINES	(sizeof(engines) / sizeof(engines[0]))

/*
 * Engine stock needs no more than a KVM that may be opened and can do what a VM needs, engine
 * hyprv no more than its module, which no other engine needs.
 */
static bool lacks(const char *engine, const struct hypr_host_check *check)
{
	if (!strcmp(engine, HYPR_ENGINE_HYPRV))
		return !strcmp(check->name, "hyprv") && check->ok <= 0;
	return check->ok == 0 && (!strcmp(engine, HYPR_ENGINE_EPT_SWAP) ||
				  !strcmp(check->name, "kvm") || !strcmp(check->name, "vm"));
}

static bool is_engine(const char *name)
{
	size_t i;

	for (i = 0; i < NR_ENGINES; i++) {
		if (!strcmp(engines[i], name))
			return true;
	}
	return false;
}

static int count_missing(const char *engine, const struct hypr_host_check *check, int nr)
{
	int i, missing = 0;

	for (i = 0; i < nr; i++)
		missing += lacks(engine, &check[i]);
	return missing;
}

static void print_json(const char *engine, const struct hypr_host_check *check, int nr)
{
	int missing = count_missing(engine, check, nr);
	json_t *list = json_array(), *ready = json_object(), *answer;
	int i;

	for (i = 0; i < nr; i++)
		json_array_append_new(list,
				      json_pack("{s:s, s:s, s:s, s:s}",
						"check", check[i].name,
						"state", state(&check[i]),
						"found", check[i].detail,
						"advice", check[i].advice));
	for (i = 0; i < (int)NR_ENGINES; i++)
		json_object_set_new(ready, engines[i],
				    json_boolean(!count_missing(engines[i], check, nr)));
	answer = json_pack("{s:b, s:s, s:i, s:o, s:o}", "ok", !missing, "engine", engine,
			   "missing", missing, "engines", ready, "checks", list);
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
	for (i = 0; i < (int)NR_ENGINES; i++)
		print_engine(engines[i], check, nr);
}

static int run(const struct cli_args *args)
{
	const char *engine = args->option[ENGINE] ? args->option[ENGINE] : HYPR_ENGINE_EPT_SWAP;
	struct hypr_host_check check[CHECKS_MAX];
	int nr;

	if (!is_engine(engine))
		return cli_fail(args, EXIT_USAGE, "doctor",
				"no engine '%s'; there are %s, %s and %s", engine,
				HYPR_ENGINE_EPT_SWAP, HYPR_ENGINE_STOCK, HYPR_ENGINE_HYPRV);
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
