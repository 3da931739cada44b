// SPDX-License-Identifier: GPL-2.0-only
/* hypr vmo export: a VMO file as an ELF core, for debuggers. */
#include <stdio.h>

#include "cli.h"
#include "hypr/vmo.h"

enum { FORCE, VIRTUAL, CR3, VCPU };

static const struct cli_option options[] = {
	[FORCE] = { "force", 'f', NULL, "replace a file that is there" },
	[VIRTUAL] = { "virtual", 'v', NULL, "by the guest's virtual addresses" },
	[CR3] = { "cr3", 0, "ADDRESS", "those of these page tables; implies --virtual" },
	[VCPU] = { "vcpu", 0, "N", "those of this vCPU (0); implies --virtual" },
	{ 0 },
};

static int export(const struct cli_args *args, struct hypr_vmo *vmo, bool virtual,
		  const struct hypr_paging *paging, struct hypr_vmo_exported *exported)
{
	unsigned int flags = args->option[FORCE] ? HYPR_VMO_REPLACE : 0;

	if (virtual)
		return hypr_vmo_export_virtual(vmo, args->arg[1], flags, paging, exported);
	return hypr_vmo_export(vmo, args->arg[1], flags, &exported->vcpus);
}

static void print_text(const struct cli_args *args, bool virtual,
		       const struct hypr_vmo_exported *exported)
{
	printf("%s: ELF core with the registers of %u vCPUs; addresses are guest %s",
	       args->arg[1], exported->vcpus, virtual ? "virtual" : "physical");
	if (virtual)
		printf(", in %u segments", exported->loads);
	if (exported->repeats)
		printf("; %llu repeated page tables left out",
		       (unsigned long long)exported->repeats);
	printf("\n");
}

static void print_json(const struct cli_args *args, bool virtual,
		       const struct hypr_vmo_exported *exported)
{
	json_t *answer = json_pack("{s:b, s:s, s:i, s:b}", "ok", 1, "file", args->arg[1],
				   "vcpus", (int)exported->vcpus, "virtual", virtual);

	if (virtual) {
		json_object_set_new(answer, "loads", json_integer(exported->loads));
		json_object_set_new(answer, "repeats",
				    json_integer((json_int_t)exported->repeats));
	}
	cli_print_json(answer);
	json_decref(answer);
}

static int run(const struct cli_args *args)
{
	bool virtual = args->option[VIRTUAL] || args->option[CR3] || args->option[VCPU];
	struct hypr_vmo_exported exported = { 0 };
	struct hypr_paging paging;
	struct hypr_vmo *vmo;
	int code, ret;

	code = cli_paging(args, "vmo export", args->option[CR3], args->option[VCPU], &paging);
	if (!code)
		code = cli_vmo_open(args, "vmo export", args->arg[0], &vmo);
	if (code)
		return code;
	cli_progress_start(args, "vmo export", true);
	ret = export(args, vmo, virtual, &paging, &exported);
	cli_progress_stop();
	hypr_vmo_close(vmo);
	if (ret)
		return cli_vmo_fail(args, "vmo export", ret);
	if (args->json)
		print_json(args, virtual, &exported);
	else
		print_text(args, virtual, &exported);
	return EXIT_OK;
}

const struct cli_command cmd_vmo_export = {
	.name = "vmo export",
	.args = "FILE OUT",
	.summary = "an ELF core file of it, for debuggers",
	.options = options,
	.nr_args = 2,
	.run = run,
};
