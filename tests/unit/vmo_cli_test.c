// SPDX-License-Identifier: GPL-2.0-only
/* The commands of hypr vmo, as a script meets them: exit codes, lines, files. */
#include "vmo_kit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/cli.h"

#define WORDS_MAX	12
#define SAID_MAX	(64u << 10)

static char said[SAID_MAX], complained[SAID_MAX];

static void slurp(int fd, char *text)
{
	ssize_t n = pread(fd, text, SAID_MAX - 1, 0);

	assert_true(n >= 0);
	text[n] = '\0';
	close(fd);
}

static int scratch(void)
{
	char path[] = "/tmp/hypr-said-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

/*
 * Run a command with words after its name, in the test's folder; NULL ends them.
 * What it said is in @said and @complained.  @longest: of a file that it writes; 0: any.
 */
static int run(const struct cli_command *command, rlim_t longest, ...)
{
	char *word[WORDS_MAX] = { (char *)command->name }, error[CLI_ERROR_MAX];
	int out = scratch(), err = scratch(), nr = 1, status;
	struct rlimit limit = { longest, longest };
	struct cli_args args;
	va_list ap;
	pid_t pid;

	va_start(ap, longest);
	while (nr < WORDS_MAX && (word[nr] = va_arg(ap, char *)))
		nr++;
	va_end(ap);
	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int code = EXIT_USAGE;

		dup2(out, STDOUT_FILENO);
		dup2(err, STDERR_FILENO);
		if (chdir(kit_path(".")))
			_exit(99);
		signal(SIGXFSZ, SIG_IGN);
		if (longest)
			setrlimit(RLIMIT_FSIZE, &limit);
		if (!cli_parse(command, nr, word, &args, error))
			code = command->run(&args);
		fflush(NULL);
		_exit(code);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	slurp(out, said);
	slurp(err, complained);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* a.vmo; b.vmo on it, which differs; and c.vmo on it, which does not. */
static void start(void)
{
	uint8_t *mem = kit_memory();
	struct hypr_vmo *base;

	kit_write("a.vmo", mem, NULL);
	base = kit_open("a.vmo");
	kit_write("c.vmo", mem, base);
	mem[PAGE] ^= 1;
	kit_fill(mem + 5 * PAGE, 55);
	memset(mem + 9 * PAGE, 0, 2 * PAGE);
	kit_write("b.vmo", mem, base);
	hypr_vmo_close(base);
	free(mem);
}

static void assert_text(const char *name, const char *text)
{
	char have[SAID_MAX];
	int fd = open(kit_path(name), O_RDONLY);

	assert_true(fd >= 0);
	slurp(fd, have);
	assert_string_equal(have, text);
}

static void put_text(const char *name, const char *text)
{
	int fd = open(kit_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* ---- the picture of vmo diff ----------------------------------------------- */

static void test_a_picture_is_whole_or_the_old_one(void **ctx)
{
	struct stat st;
	mode_t mask;

	(void)ctx;
	start();
	put_text("old.svg", "old");
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "b.vmo", "-m", "old.svg", NULL),
			 EXIT_EXISTS);
	assert_non_null(strstr(complained, "old.svg: it is there already"));
	assert_text("old.svg", "old");
	run(&cmd_vmo_diff, 100, "a.vmo", "b.vmo", "-m", "old.svg", "-f", NULL);
	assert_non_null(strstr(complained, "old.svg: writing: File too large"));
	assert_text("old.svg", "old");
	assert_int_equal(kit_count(), 4);
	mask = umask(027);
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "b.vmo", "-m", "old.svg", "-f", NULL),
			 EXIT_FAILED);
	umask(mask);
	assert_int_equal(stat(kit_path("old.svg"), &st), 0);
	assert_true(st.st_size > 500);
	assert_int_equal(st.st_mode & 0777, 0640);
}

static void test_a_picture_replaces_pictures_only(void **ctx)
{
	struct hypr_vmo_verify_result result;
	struct hypr_vmo *vmo;
	struct stat st;

	(void)ctx;
	start();
	put_text("theirs", "theirs");
	assert_int_equal(symlink("theirs", kit_path("link.svg")), 0);
	assert_int_equal(mkfifo(kit_path("fifo.svg"), 0600), 0);
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "b.vmo", "-m", "link.svg", "-f", NULL),
			 EXIT_EXISTS);
	assert_non_null(strstr(complained, "link.svg: a symbolic link is there"));
	assert_text("theirs", "theirs");
	assert_int_equal(lstat(kit_path("link.svg"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "b.vmo", "-m", "fifo.svg", "-f", NULL),
			 EXIT_EXISTS);
	run(&cmd_vmo_diff, 0, "a.vmo", "b.vmo", "-m", "a.vmo", "-f", NULL);
	assert_non_null(strstr(complained, "a.vmo: it would replace a.vmo"));
	run(&cmd_vmo_diff, 0, "a.vmo", "b.vmo", "-m", "b.vmo", "-f", NULL);
	assert_non_null(strstr(complained, "b.vmo: it would replace b.vmo"));
	vmo = kit_open("b.vmo");
	assert_int_equal(hypr_vmo_verify(vmo, &result), 0);
	hypr_vmo_close(vmo);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_picture_is_whole_or_the_old_one),
		T(test_a_picture_replaces_pictures_only),
	};

	return cmocka_run_group_tests_name("vmo_cli", tests, NULL, NULL) ? 1 : 0;
}
