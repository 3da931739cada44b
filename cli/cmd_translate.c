// SPDX-License-Identifier: GPL-2.0-only
/* hypr translate: where a guest's virtual address is, in a running VM or in a VMO file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "hypr/vmo.h"

enum { CR3, VCPU, VIEW };

static const struct cli_option options[] = {
	[CR3] = { "cr3", 0, "ADDRESS", "by these page tables, not those in use" },
	[VCPU] = { "vcpu", 0, "N", "by those that this vCPU uses (0)" },
	[VIEW] = { "view", 'v', "VIEW", "of a VM: in this view (the active one)" },
	{ 0 },
};

static json_t *json_address(uint64_t address)
{
	return json_sprintf("0x%llx", (unsigned long long)address);
}

/* As a VM answers. */
static json_t *translation_json(const struct hypr_translation *t)
{
	char rights[] = "----";
	unsigned int i;

	for (i = 0; i < 4; i++)
		rights[i] = t->rights & 1u << i ? "rwxu"[i] : '-';
	return json_pack("{s:o, s:o, s:I, s:s, s:s, s:i, s:i, s:b, s:o, s:o, s:o}",
			 "gva", json_address(t->gva), "gpa", json_address(t->gpa),
			 "page_bytes", (json_int_t)t->page_bytes, "rights", rights,
			 "fault", hypr_fault_name((int)t->fault), "level", (int)t->level,
			 "levels", (int)t->levels, "in_memory", (int)t->in_memory,
			 "entry_gpa", json_address(t->entry_gpa),
			 "entry", json_address(t->entry), "cr3", json_address(t->cr3));
}

static int ask_file(const struct cli_args *args, uint64_t gva, const struct hypr_paging *paging,
		    json_t **answer)
{
	struct hypr_translation translation;
	struct hypr_vmo *vmo;
	int code, ret;

	if (args->option[VIEW])
		return cli_fail(args, EXIT_USAGE, "translate", "%s is a file and has no views",
				args->arg[0]);
	code = cli_vmo_open(args, "translate", args->arg[0], &vmo);
	if (code)
		return code;
	ret = hypr_vmo_translate(vmo, gva, paging, &translation);
	hypr_vmo_close(vmo);
	if (ret && ret != -EFAULT)
		return cli_fail(args, cli_vmo_trouble(cli_vmo_code(ret)), "translate", "%s",
				hypr_error());
	*answer = translation_json(&translation);
	json_object_set_new(*answer, "ok", json_true());
	json_object_set_new(*answer, "file", json_string(args->arg[0]));
	if (ret)
		json_object_set_new(*answer, "reason", json_string(hypr_error()));
	if (args->json)
		cli_print_json(*answer);
	return EXIT_OK;
}

static int ask_vm(const struct cli_args *args, uint64_t gva, const struct hypr_paging *paging,
		  json_t **answer)
{
	json_t *request = json_pack("{s:s, s:o, s:i}", "op", "translate",
				    "gva", json_address(gva), "vcpu", (int)paging->vcpu);
	int code;

	if (paging->flags & HYPR_PAGING_CR3)
		json_object_set_new(request, "cr3", json_address(paging->cr3));
	if (args->option[VIEW])
		json_object_set_new(request, "view", json_string(args->option[VIEW]));
	code = cli_call(args, "translate", args->arg[0], request, answer);
	/* EXIT_FAILED is the answer that it is not mapped. */
	return code == EXIT_FAILED ? EXIT_TROUBLE : code;
}

/* "2 MiB": always a power of two. */
static void print_page(uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB" };
	unsigned int unit = 0;

	for (; bytes >= 1024 && unit < 3; unit++)
		bytes /= 1024;
	printf("%llu %s page", (unsigned long long)bytes, units[unit]);
}

static void print_text(const json_t *answer, bool is_vm)
{
	const char *rights = cli_str(answer, "rights");

	if (is_vm)
		cli_begin(answer);
	printf("%s -> %s (", cli_str(answer, "gva"), cli_str(answer, "gpa"));
	if (cli_int(answer, "level")) {
		print_page((uint64_t)cli_int(answer, "page_bytes"));
		printf(", %.3s, %s", rights, strchr(rights, 'u') ? "user" : "supervisor");
	} else {
		printf("paging is off");
	}
	printf("%s)\n", json_is_true(json_object_get(answer, "in_memory")) ? "" :
	       "; no memory is there");
}

static int run(const struct cli_args *args)
{
	bool is_vm = !cli_is_file(args->arg[0]);
	struct hypr_paging paging;
	json_t *answer;
	uint64_t gva;
	int code;

	if (cli_parse_address(args->arg[1], &gva))
		return cli_fail(args, EXIT_USAGE, "translate",
				"'%.40s' is no address (0x and hexadecimal digits)", args->arg[1]);
	code = cli_paging(args, "translate", args->option[CR3], args->option[VCPU], &paging);
	if (!code)
		code = is_vm ? ask_vm(args, gva, &paging, &answer) :
			       ask_file(args, gva, &paging, &answer);
	if (code)
		return code;
	if (*cli_str(answer, "reason")) {
		code = EXIT_FAILED;
		fprintf(stderr, "hypr: translate: %s: %s\n", args->arg[0], cli_str(answer, "reason"));
	} else if (!args->json) {
		print_text(answer, is_vm);
	}
	json_decref(answer);
	return code;
}

const struct cli_command cmd_translate = {
	.name = "translate",
	.args = "NAME|FILE.vmo GVA",
	.summary = "where a guest's virtual address is in its memory",
	.options = options,
	.nr_args = 2,
	.run = run,
};
