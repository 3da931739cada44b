// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr - one VM, many memory states.  Finds the command, parses its options,
 * runs it.  Each command is in a file of its own, cmd_<name>.c.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "hypr/hypr.h"

static const struct cli_command *const commands[] = {
	&cmd_run, &cmd_resurrect, &cmd_ps, &cmd_pause, &cmd_resume, &cmd_snapshot, &cmd_load,
	&cmd_working_set, &cmd_views, &cmd_swap, &cmd_reset, &cmd_verify, &cmd_remove, &cmd_stop,
	&cmd_doctor,
	&cmd_vmo_info, &cmd_vmo_verify, &cmd_vmo_diff, &cmd_vmo_flatten, &cmd_vmo_pack,
	&cmd_vmo_unpack, &cmd_vmo_keygen, &cmd_vmo_sign, &cmd_vmo_export,
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

/* Those whose names begin with @first. */
static void print_list(FILE *to, const char *first)
{
	size_t i;

	for (i = 0; i < NR_COMMANDS; i++) {
		if (!strncmp(commands[i]->name, first, strlen(first)))
			fprintf(to, "  %-11s %-11s %s\n", commands[i]->name, commands[i]->args,
				commands[i]->summary);
	}
}

static void print_vmo_usage(FILE *to)
{
	fprintf(to, "usage: hypr vmo COMMAND [OPTION]... FILE...\n\n");
	print_list(to, "vmo ");
	fprintf(to, "\nhypr help vmo COMMAND lists a command's options; hypr-vmo(1) has the rest.\n");
}

static void print_usage(FILE *to)
{
	fprintf(to, "usage: hypr COMMAND [OPTION]... [ARGUMENT]...\n\n");
	print_list(to, "");
	fprintf(to, "  %-11s %-11s %s\n", "version", "", "version and engines");
	fprintf(to, "  %-11s %-11s %s\n", "help", "[COMMAND]", "this, or a command's options");
	fprintf(to, "\nEvery command takes --json and --help.  hypr(1) has the rest.\n");
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

	if (nr == 1 && !strcmp(word[0], "vmo")) {
		print_vmo_usage(stderr);
		return EXIT_USAGE;
	}
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

	if (!nr) {
		print_usage(stdout);
		return EXIT_OK;
	}
	if (nr == 1 && !strcmp(word[0], "vmo")) {
		print_vmo_usage(stdout);
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
		printf("{\"ok\":true,\"version\":\"%s\",\"engines\":[\"%s\",\"%s\"]}\n",
		       hypr_version(), HYPR_ENGINE_EPT_SWAP, HYPR_ENGINE_STOCK);
	else
		printf("hypr %s\nengines: %s, %s\n", hypr_version(), HYPR_ENGINE_EPT_SWAP,
		       HYPR_ENGINE_STOCK);
	return EXIT_OK;
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
	char error[CLI_ERROR_MAX];
	struct cli_args args;

	if (cli_parse(command, argc, argv, &args, error))
		return cli_fail(&args, EXIT_USAGE, command->name, "%s", error);
	if (args.help) {
		print_command(command);
		return EXIT_OK;
	}
	return command->run(&args);
}

int main(int argc, char **argv)
{
	const struct cli_command *command;
	const char *name = argc > 1 ? argv[1] : NULL;
	int code, used;

	signal(SIGPIPE, SIG_IGN);	/* a write that fails is reported */
	if (!name) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	if (is_help(name))
		return help(argc - 2, argv + 2);
	if (!strcmp(name, "version") || !strcmp(name, "--version"))
		return version(argc > 2 && (!strcmp(argv[2], "--json") || !strcmp(argv[2], "-j")));
	if (argc == 3 && !strcmp(name, "vmo") && is_help(argv[2]))
		return help(1, argv + 1);
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
