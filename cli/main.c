// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr - one VM, many memory states.  Finds the command, parses its options,
 * runs it.  Each command is in a file of its own, cmd_<name>.c.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "hypr/hypr.h"

static const struct cli_command *const commands[] = {
	&cmd_run, &cmd_resurrect, &cmd_ps, &cmd_pause, &cmd_resume, &cmd_snapshot, &cmd_load,
	&cmd_working_set, &cmd_views, &cmd_swap, &cmd_reset, &cmd_verify, &cmd_remove, &cmd_stop,
	&cmd_translate, &cmd_mem, &cmd_call, &cmd_doctor,
	&cmd_vmo_info, &cmd_vmo_verify, &cmd_vmo_diff, &cmd_vmo_flatten, &cmd_vmo_pack,
	&cmd_vmo_unpack, &cmd_vmo_keygen, &cmd_vmo_sign, &cmd_vmo_export,
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static const struct {
	int code;
	const char *means;
} codes[] = {
	{ EXIT_OK, "done" },
	{ EXIT_FAILED, "failed; verify and diff: pages differ; translate: not mapped; call: the function did not return 0" },
	{ EXIT_USAGE, "wrong usage" },
	{ EXIT_NO_VM, "no such VM runs" },
	{ EXIT_NO_VIEW, "the VM has no such view" },
	{ EXIT_HOST, "the host lacks something (hypr doctor)" },
	{ EXIT_EXISTS, "a VM, view or file of this name is there already" },
	{ EXIT_NOT_PARKED, "the guest did not park" },
	{ EXIT_FILE, "a VMO file is missing, damaged, or not the one wanted" },
	{ EXIT_PANIC, "the guest panicked" },
	{ EXIT_TRIPLE_FAULT, "the guest had a triple fault" },
	{ EXIT_FUNCTION, "the function aborted, ran wild, or took too long" },
	{ EXIT_GUEST, "the guest exited with another value than 0 (port 0xf4)" },
	{ EXIT_INTERRUPTED, "interrupted" },
};

/* @group: "vmo " or "" */
static void print_commands(FILE *to, const char *group)
{
	size_t i, len = strlen(group);

	for (i = 0; i < NR_COMMANDS; i++) {
		if (!strncmp(commands[i]->name, group, len))
			fprintf(to, "  %-11s %-11s %s\n", commands[i]->name + len,
				commands[i]->args, commands[i]->summary);
	}
}

static void print_usage(FILE *to)
{
	size_t i;

	fprintf(to, "usage: hypr COMMAND [OPTION]... [ARGUMENT]...\n\n");
	print_commands(to, "");
	fprintf(to, "  %-11s %-11s %s\n", "version", "", "version and engines");
	fprintf(to, "  %-11s %-11s %s\n", "help", "[COMMAND]", "this, or a command's options");
	fprintf(to, "\nExit codes:\n");
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		fprintf(to, "%3d  %s\n", codes[i].code, codes[i].means);
	fprintf(to, "\nEvery command takes --json and --help.  hypr(1) has the rest.\n");
}

static void print_vmo_usage(FILE *to)
{
	fprintf(to, "usage: hypr vmo COMMAND [OPTION]... [ARGUMENT]...\n\n");
	print_commands(to, "vmo ");
	fprintf(to, "\nhypr help vmo COMMAND tells a command's options; hypr-vmo(1) has the rest.\n");
}

static void print_command(const struct cli_command *command)
{
	const struct cli_option *option;
	char left[40];

	printf("usage: hypr %s [OPTION]...%s%s\n%s\n\n", command->name,
	       *command->args ? " " : "", command->args, command->summary);
	for (option = command->options; option && option->name; option++) {
		snprintf(left, sizeof(left), "--%s%s%s", option->name,
			 option->value ? " " : "", option->value ? option->value : "");
		printf("  %c%c%s %-22s %s\n", option->letter ? '-' : ' ',
		       option->letter ? option->letter : ' ', option->letter ? "," : " ",
		       left, option->help);
	}
	printf("  -j, %-22s %s\n  -h, %-22s %s\n", "--json", "answer in JSON, one object a line",
	       "--help", "this");
}

/* The command that the words begin with, and how many of them are its name. */
static const struct cli_command *find(int nr, char **word, int *used)
{
	const char *name, *second;
	size_t i, len;

	for (i = 0; nr && i < NR_COMMANDS; i++) {
		name = commands[i]->name;
		second = strchr(name, ' ');
		len = second ? (size_t)(second - name) : strlen(name);
		if (strncmp(name, word[0], len) || word[0][len])
			continue;
		*used = second ? 2 : 1;
		if (!second || (nr > 1 && !strcmp(second + 1, word[1])))
			return commands[i];
	}
	return NULL;
}

static int unknown(int nr, char **word)
{
	bool two = nr > 1 && !strcmp(word[0], "vmo");

	fprintf(stderr, "hypr: no command '%.40s%s%.40s' (hypr help lists them)\n", word[0],
		two ? " " : "", two ? word[1] : "");
	return EXIT_USAGE;
}

static bool is_help(const char *word)
{
	return !strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h");
}

static int help(int nr, char **word)
{
	const struct cli_command *command;
	int used;

	if (nr == 1 && !strcmp(word[0], "vmo")) {
		print_vmo_usage(stdout);
		return EXIT_OK;
	}

	if (!nr) {
		print_usage(stdout);
		return EXIT_OK;
	}
	command = find(nr, word, &used);
	if (!command)
		return unknown(nr, word);
	print_command(command);
	return EXIT_OK;
}

static int version(bool json)
{
	if (json)
		printf("{\"ok\":true,\"version\":\"%s\",\"engines\":[\"%s\",\"%s\",\"%s\"]}\n",
		       hypr_version(), HYPR_ENGINE_EPT_SWAP, HYPR_ENGINE_STOCK,
		       HYPR_ENGINE_HYPRV);
	else
		printf("hypr %s\nengines: %s, %s, %s\n", hypr_version(), HYPR_ENGINE_EPT_SWAP,
		       HYPR_ENGINE_STOCK, HYPR_ENGINE_HYPRV);
	return EXIT_OK;
}

/* An answer in JSON names what it is about. */
static int check_words(const struct cli_args *args, const char *verb, int argc, char **argv)
{
	int i;

	for (i = 1; args->json && i < argc; i++) {
		if (!cli_is_utf8(argv[i]))
			return cli_fail(args, EXIT_USAGE, verb,
					"'%.200s' is not UTF-8, which JSON must be; rename it, or leave --json out",
					argv[i]);
	}
	return EXIT_OK;
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
	char error[CLI_ERROR_MAX];
	struct cli_args args;
	int code;

	if (cli_parse(command, argc, argv, &args, error))
		return cli_fail(&args, EXIT_USAGE, command->name, "%s", error);
	if (args.help) {
		print_command(command);
		return EXIT_OK;
	}
	code = check_words(&args, command->name, argc, argv);
	if (!code)
		code = command->run(&args);
	return !code && cli_json_failed() ? EXIT_FAILED : code;
}

/* A descriptor below 3 that is closed would be the next file's. */
static void open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

int main(int argc, char **argv)
{
	const struct cli_command *command;
	const char *name = argc > 1 ? argv[1] : NULL;
	int code, used;

	open_standard();
	signal(SIGPIPE, SIG_IGN);	/* a write that fails is reported */
	signal(SIGXFSZ, SIG_IGN);	/* the same: "File too large" */
	if (!name) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (is_help(name))
		return help(argc - 2, argv + 2);
	if (!strcmp(name, "vmo") && argc == 2) {
		print_vmo_usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(name, "vmo") && is_help(argv[2])) {
		/* "hypr vmo help [COMMAND]", as "hypr help vmo [COMMAND]" */
		argv[2] = argv[1];
		return help(argc - 2, argv + 2);
	}
	if (!strcmp(name, "version") || !strcmp(name, "--version"))
		return version(argc > 2 && (!strcmp(argv[2], "--json") || !strcmp(argv[2], "-j")));
	command = find(argc - 1, argv + 1, &used);
	if (!command)
		return unknown(argc - 1, argv + 1);
	code = run_command(command, argc - used, argv + used);
	if (fflush(stdout) && !code) {
		fprintf(stderr, "hypr: %s: the answer could not be written\n", name);
		code = EXIT_FAILED;
	}
	return code;
}
