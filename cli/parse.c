// SPDX-License-Identifier: GPL-2.0-only
/*
 * Command lines: options by the C library's getopt_long(), from each command's
 * table, and the notations for sizes and lists.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "hypr/hypr.h"

#define KEY_TABLE	1000	/* getopt's value for entry i of the table is this + i */
#define KEY_JSON	2000
#define KEY_HELP	2001

struct getopt_tables {
	struct option longs[CLI_OPTIONS_MAX + 3];
	char shorts[2 * CLI_OPTIONS_MAX + 8];
};

static void add_short(char *shorts, char letter, bool has_value)
{
	size_t len = strlen(shorts);

	if (!letter)
		return;
	shorts[len++] = letter;
	if (has_value)
		shorts[len++] = ':';
	shorts[len] = '\0';
}

static void build_tables(const struct cli_option *options, struct getopt_tables *tables)
{
	int i = 0;

	memset(tables, 0, sizeof(*tables));
	strcpy(tables->shorts, ":jh");	/* ':' tells a missing value apart */
	for (; options && options[i].name && i < CLI_OPTIONS_MAX; i++) {
		tables->longs[i] = (struct option){
			options[i].name, options[i].value ? required_argument : no_argument,
			NULL, KEY_TABLE + i,
		};
		add_short(tables->shorts, options[i].letter, options[i].value);
	}
	tables->longs[i++] = (struct option){ "json", no_argument, NULL, KEY_JSON };
	tables->longs[i] = (struct option){ "help", no_argument, NULL, KEY_HELP };
}

static int index_of_letter(const struct cli_option *options, int letter)
{
	int i;

	for (i = 0; options && options[i].name; i++) {
		if (options[i].letter == letter)
			return i;
	}
	return -1;
}

static int take_option(const struct cli_command *command, int key, struct cli_args *args)
{
	int index;

	if (key == KEY_JSON || key == 'j') {
		args->json = true;
		return 0;
	}
	if (key == KEY_HELP || key == 'h') {
		args->help = true;
		return 0;
	}
	index = key >= KEY_TABLE ? key - KEY_TABLE : index_of_letter(command->options, key);
	if (index < 0)
		return -EINVAL;
	args->option[index] = optarg ? optarg : "";
	return 0;
}

int cli_parse(const struct cli_command *command, int argc, char **argv,
	      struct cli_args *args, char *error)
{
	struct getopt_tables tables;
	int key;

	memset(args, 0, sizeof(*args));
	build_tables(command->options, &tables);
	opterr = 0;
	optind = 0;	/* start over: the GNU way, which also resets its inner state */
	while ((key = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
		if (key == ':') {
			snprintf(error, CLI_ERROR_MAX, "%s needs a value", argv[optind - 1]);
			return -EINVAL;
		}
		if (key == '?' || take_option(command, key, args)) {
			snprintf(error, CLI_ERROR_MAX, "unknown option '%.80s'",
				 argv[optind - 1]);
			return -EINVAL;
		}
	}
	args->nr = argc - optind;
	args->arg = argv + optind;
	if (args->help || (args->nr >= command->nr_args &&
			   args->nr <= command->nr_args + command->nr_optional))
		return 0;
	snprintf(error, CLI_ERROR_MAX, "%s arguments; usage: hypr %s%s%s",
		 args->nr < command->nr_args ? "too few" : "too many", command->name,
		 *command->args ? " " : "", command->args);
	return -EINVAL;
}

int cli_parse_size(const char *text, uint64_t *bytes)
{
	unsigned int shift = 0;
	unsigned long long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno)
		return -EINVAL;
	switch (*end) {
	case 'k':
	case 'K':
		shift = 10;
		break;
	case 'm':
	case 'M':
		shift = 20;
		break;
	case 'g':
	case 'G':
		shift = 30;
		break;
	}
	if (shift)
		end++;
	if (*end || value > UINT64_MAX >> shift)
		return -EINVAL;
	*bytes = (uint64_t)value << shift;
	return 0;
}

int cli_parse_uint(const char *text, unsigned int max, unsigned int *value)
{
	unsigned long parsed;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	parsed = strtoul(text, &end, 10);
	if (errno || *end || parsed > max)
		return -EINVAL;
	*value = (unsigned int)parsed;
	return 0;
}

int cli_parse_address(const char *text, uint64_t *address)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = hex ? text + 2 : text;
	unsigned long long parsed;

	/* strtoull() would take a sign, blanks, and a second 0x. */
	if (!*digits || digits[strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789")])
		return -EINVAL;
	errno = 0;
	parsed = strtoull(digits, NULL, hex ? 16 : 10);
	if (errno)
		return -EINVAL;
	*address = parsed;
	return 0;
}

/* "7" or "4-6" up to a comma or the end. */
static int parse_range(const char **text, int *first, int *last)
{
	char *end;

	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	*first = *last = (int)strtol(*text, &end, 10);
	if (*end == '-') {
		if (!isdigit((unsigned char)end[1]))
			return -EINVAL;
		*last = (int)strtol(end + 1, &end, 10);
	}
	*text = end;
	return *first > *last || *last > 4095 ? -EINVAL : 0;
}

int cli_parse_list(const char *text, int *list, int max)
{
	int nr = 0, first, last;

	for (;;) {
		if (parse_range(&text, &first, &last) || last - first >= max - nr)
			return -EINVAL;
		while (first <= last)
			list[nr++] = first++;
		if (!*text)
			return nr;
		if (*text++ != ',')
			return -EINVAL;
	}
}
