// SPDX-License-Identifier: GPL-2.0-only
/* Command lines of hypr: what is taken, what is refused, and with which words. */
#include "unit.h"

#include "cli/cli.h"
#include "hypr/hypr.h"

#define MAX_WORDS	20

struct parsed {
	struct cli_args args;
	char error[CLI_ERROR_MAX];
	char *argv[MAX_WORDS];
	char words[512];
	int ret;
};

static struct parsed p;

/* Parse a line of blank-separated words, the command's name first. */
static int parse(const struct cli_command *command, const char *line)
{
	int argc = 0;
	char *word;

	memset(&p, 0, sizeof(p));
	snprintf(p.words, sizeof(p.words), "%s", line);
	for (word = strtok(p.words, " "); word; word = strtok(NULL, " "))
		p.argv[argc++] = word;
	p.ret = cli_parse(command, argc, p.argv, &p.args, p.error);
	return p.ret;
}

static const char *value(const struct cli_command *command, const char *name)
{
	int i;

	for (i = 0; command->options[i].name; i++) {
		if (!strcmp(command->options[i].name, name))
			return p.args.option[i];
	}
	fail();
	return NULL;
}

static void test_cli_options_and_arguments(void **ctx)
{
	(void)ctx;
	assert_int_equal(parse(&cmd_swap, "swap vm1 --reset A --json"), 0);
	assert_true(p.args.json);
	assert_int_equal(p.args.nr, 2);
	assert_string_equal(p.args.arg[0], "vm1");
	assert_string_equal(p.args.arg[1], "A");
	assert_non_null(value(&cmd_swap, "reset"));
	assert_null(value(&cmd_swap, "force"));

	assert_int_equal(parse(&cmd_swap, "swap -rf vm1 -- -A"), 0);
	assert_non_null(value(&cmd_swap, "reset"));
	assert_non_null(value(&cmd_swap, "force"));
	assert_false(p.args.json);
	assert_string_equal(p.args.arg[1], "-A");
}

static void test_cli_values(void **ctx)
{
	(void)ctx;
	assert_int_equal(parse(&cmd_run, "run --name=vm1 --kernel k -m 32M --vcpus 2 -d"), 0);
	assert_string_equal(value(&cmd_run, "name"), "vm1");
	assert_string_equal(value(&cmd_run, "kernel"), "k");
	assert_string_equal(value(&cmd_run, "mem"), "32M");
	assert_string_equal(value(&cmd_run, "vcpus"), "2");
	assert_string_equal(value(&cmd_run, "detach"), "");
	assert_null(value(&cmd_run, "initrd"));
}

static void test_cli_parses_again_from_the_start(void **ctx)
{
	(void)ctx;
	assert_int_equal(parse(&cmd_swap, "swap --nonsense a b"), -EINVAL);
	assert_int_equal(parse(&cmd_swap, "swap a b"), 0);
	assert_int_equal(p.args.nr, 2);
}

static void test_cli_refuses(void **ctx)
{
	static const struct {
		const struct cli_command *command;
		const char *line;
		const char *words;
	} bad[] = {
		{ &cmd_swap, "swap", "too few arguments; usage: hypr swap NAME VIEW" },
		{ &cmd_swap, "swap a", "too few arguments; usage: hypr swap NAME VIEW" },
		{ &cmd_swap, "swap a b c", "too many arguments; usage: hypr swap NAME VIEW" },
		{ &cmd_swap, "swap --rest a b", "unknown option '--rest'" },
		{ &cmd_swap, "swap --reset=1 a b", "unknown option '--reset=1'" },
		{ &cmd_ps, "ps x", "too many arguments; usage: hypr ps" },
		{ &cmd_run, "run --name", "--name needs a value" },
		{ &cmd_run, "run -k", "-k needs a value" },
	};
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i].command, bad[i].line), -EINVAL);
		assert_string_equal(p.error, bad[i].words);
	}
}

static void test_cli_help_needs_no_arguments(void **ctx)
{
	(void)ctx;
	assert_int_equal(parse(&cmd_swap, "swap --help"), 0);
	assert_true(p.args.help);
	assert_int_equal(parse(&cmd_run, "run -h"), 0);
	assert_true(p.args.help);
}

static void test_cli_sizes(void **ctx)
{
	static const char *const bad[] = {
		"", "M", "-1", "16X", "16MB", "1.5G", " 16M", "0x10", "99999999999999999999",
		"99999999999G", "16M ",
	};
	uint64_t bytes;
	size_t i;

	(void)ctx;
	assert_int_equal(cli_parse_size("16M", &bytes), 0);
	assert_int_equal(bytes, 16 << 20);
	assert_int_equal(cli_parse_size("4096", &bytes), 0);
	assert_int_equal(bytes, 4096);
	assert_int_equal(cli_parse_size("3g", &bytes), 0);
	assert_int_equal(bytes, 3ull << 30);
	assert_int_equal(cli_parse_size("64k", &bytes), 0);
	assert_int_equal(bytes, 65536);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(cli_parse_size(bad[i], &bytes), -EINVAL);
}

static void test_cli_numbers(void **ctx)
{
	unsigned int n;

	(void)ctx;
	assert_int_equal(cli_parse_uint("64", 64, &n), 0);
	assert_int_equal(n, 64);
	assert_int_equal(cli_parse_uint("65", 64, &n), -EINVAL);
	assert_int_equal(cli_parse_uint("", 64, &n), -EINVAL);
	assert_int_equal(cli_parse_uint("-1", 64, &n), -EINVAL);
	assert_int_equal(cli_parse_uint("2x", 64, &n), -EINVAL);
	assert_int_equal(cli_parse_uint("18446744073709551617", 64, &n), -EINVAL);
}

static void test_cli_lists(void **ctx)
{
	static const char *const bad[] = {
		"", ",", "1,", ",1", "3-1", "1-", "-1", "a", "1;2", "1,,2", "0-4", "99999",
		"1-99999999999999999999",
	};
	int list[4];
	size_t i;

	(void)ctx;
	assert_int_equal(cli_parse_list("2", list, 4), 1);
	assert_int_equal(list[0], 2);
	assert_int_equal(cli_parse_list("1,5-7", list, 4), 4);
	assert_int_equal(list[3], 7);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(cli_parse_list(bad[i], list, 4), -EINVAL);
}

static void test_cli_exit_codes(void **ctx)
{
	(void)ctx;
	assert_int_equal(cli_code(0), EXIT_OK);
	assert_int_equal(cli_code(-ESRCH), EXIT_NO_VM);
	assert_int_equal(cli_code(-ENODEV), EXIT_HOST);
	assert_int_equal(cli_code(-EOPNOTSUPP), EXIT_HOST);
	assert_int_equal(cli_code(-EEXIST), EXIT_EXISTS);
	assert_int_equal(cli_code(-EADDRINUSE), EXIT_EXISTS);
	assert_int_equal(cli_code(-EAGAIN), EXIT_FAILED);
	assert_int_equal(cli_code(-ECANCELED), EXIT_INTERRUPTED);
	assert_int_equal(cli_code(-EIO), EXIT_FAILED);
}

static void test_cli_prefault(void **ctx)
{
	(void)ctx;
	assert_int_equal(hypr_prefault_flags("all"), 0);
	assert_int_equal(hypr_prefault_flags("none"), HYPR_LOAD_PREFAULT_NONE);
	assert_int_equal(hypr_prefault_flags("used"), HYPR_LOAD_PREFAULT_USED);
	assert_int_equal(hypr_prefault_flags("record"), HYPR_LOAD_RECORD);
	assert_int_equal(hypr_prefault_flags(""), -EINVAL);
	assert_int_equal(hypr_prefault_flags("USED"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cli_options_and_arguments),
		cmocka_unit_test(test_cli_values),
		cmocka_unit_test(test_cli_parses_again_from_the_start),
		cmocka_unit_test(test_cli_refuses),
		cmocka_unit_test(test_cli_help_needs_no_arguments),
		cmocka_unit_test(test_cli_sizes),
		cmocka_unit_test(test_cli_numbers),
		cmocka_unit_test(test_cli_lists),
		cmocka_unit_test(test_cli_exit_codes),
		cmocka_unit_test(test_cli_prefault),
	};

	return cmocka_run_group_tests_name("cli", tests, NULL, NULL) ? 1 : 0;
}
