// SPDX-License-Identifier: GPL-2.0-only
/* The commands of hypr vmo, as a script meets them: exit codes, lines, files. */
#include "vmo_kit.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cli/cli.h"

/* The command itself. */
#define main hypr_main
#include "cli/main.c"
#undef main

#define WORDS_MAX	12
#define SAID_MAX	(64u << 10)
#define EACH		256u	/* pages that are written at once */

static char said[SAID_MAX], complained[SAID_MAX];
static long said_lines, grown_kib;

static void count_lines(int fd)
{
	char part[4096];
	off_t at = 0;
	ssize_t n, i;

	said_lines = 0;
	while ((n = pread(fd, part, sizeof(part), at)) > 0) {
		for (i = 0; i < n; i++)
			said_lines += part[i] == '\n';
		at += n;
	}
}

/* How much more memory this process has had at once than when it began. */
static long peak_kib(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

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
 * Run a command (NULL: hypr) with words after its name, in the test's folder; NULL ends them.
 * What it said is in @said (and @said_lines) and @complained, and how far its memory grew
 * in @grown_kib.  @longest: of a file that it writes; 0: any.
 */
static int run(const struct cli_command *command, rlim_t longest, ...)
{
	char *word[WORDS_MAX] = { (char *)(command ? command->name : "hypr") }, error[CLI_ERROR_MAX];
	int out = scratch(), err = scratch(), nr = 1, status;
	struct rlimit limit = { longest, longest };
	struct cli_args args;
	int grown[2];
	long before;
	va_list ap;
	pid_t pid;

	assert_int_equal(pipe(grown), 0);
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
		before = peak_kib();
		if (!command)
			code = hypr_main(nr, word);
		else if (!cli_parse(command, nr, word, &args, error))
			code = command->run(&args);
		fflush(NULL);
		before = peak_kib() - before;
		if (write(grown[1], &before, sizeof(before)) != sizeof(before))
			_exit(98);
		_exit(code);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(read(grown[0], &grown_kib, sizeof(grown_kib)), sizeof(grown_kib));
	close(grown[0]);
	close(grown[1]);
	count_lines(out);
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

/* ---- what vmo diff lists --------------------------------------------------- */

/* stripes.vmo, packed: a changed page, one that is the same, and so on; and zero.vmo. */
static void write_stripes(uint64_t pages)
{
	struct hypr_vmo_params params = kit_params(NULL);
	uint8_t *mem = calloc(EACH, PAGE);
	struct hypr_vmo_writer *w;
	uint64_t i;

	for (i = 0; i < EACH; i += 2)
		mem[i * PAGE] = 1;
	params.mem_bytes = pages * PAGE;
	params.flags = HYPR_VMO_COMPRESS;
	assert_int_equal(hypr_vmo_writer_create(kit_path("stripes.vmo"), &params, &w), 0);
	for (i = 0; i < pages; i += EACH)
		assert_int_equal(hypr_vmo_writer_pages(w, i * PAGE, mem, EACH, RWX), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	assert_int_equal(hypr_vmo_writer_create(kit_path("zero.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	free(mem);
}

static void test_diff_says_the_same_in_text_and_json(void **ctx)
{
	json_t *answer, *range;

	(void)ctx;
	start();
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "b.vmo", NULL), EXIT_FAILED);
	assert_string_equal(said,
		"a.vmo -> b.vmo: 11 pages unchanged, 17 zero in both, 2 changed, 2 changed to zero\n"
		"0x000001000-0x000002000  changed  1 page\n"
		"0x000005000-0x000006000  changed  1 page\n"
		"0x000009000-0x00000b000  zero     2 pages\n");
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "b.vmo", "--json", NULL), EXIT_FAILED);
	answer = json_loads(said, 0, NULL);
	assert_non_null(answer);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	assert_string_equal(cli_str(answer, "to"), "b.vmo");
	assert_int_equal(cli_int(answer, "same"), 11);
	assert_int_equal(cli_int(answer, "zero"), 2);
	assert_int_equal(json_array_size(json_object_get(answer, "ranges")), 3);
	range = json_array_get(json_object_get(answer, "ranges"), 2);
	assert_int_equal(cli_int(range, "start"), 9 * PAGE);
	assert_int_equal(cli_int(range, "end"), 11 * PAGE);
	assert_int_equal(cli_int(range, "pages"), 2);
	assert_string_equal(cli_str(range, "kind"), "zero");
	json_decref(answer);

	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "c.vmo", NULL), EXIT_OK);
	assert_string_equal(said,
		"a.vmo -> c.vmo: 14 pages unchanged, 18 zero in both, 0 changed, 0 changed to zero\n");
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "c.vmo", "-j", NULL), EXIT_OK);
	assert_non_null(strstr(said, ",\"ranges\":[]}\n"));
}

/* 65,536 ranges from a packed file of a few hundred bytes for each MiB of memory. */
static void test_diff_lists_many_ranges_in_little_memory(void **ctx)
{
	static const char *const formats[] = { NULL, "--json" };
	size_t i;

	(void)ctx;
	write_stripes(131072);
	for (i = 0; i < ARRAY_SIZE(formats); i++) {
		assert_int_equal(run(&cmd_vmo_diff, 0, "zero.vmo", "stripes.vmo", formats[i],
				     NULL), EXIT_FAILED);
		assert_int_equal(said_lines, i ? 1 : 65537);
		if (grown_kib > 16384)
			fail_msg("%s: %ld KiB of memory more than before", formats[i], grown_kib);
	}
}

/* ---- exit codes ------------------------------------------------------------ */

static const struct cli_command *const with_file[] = {
	&cmd_vmo_info, &cmd_vmo_verify, &cmd_vmo_flatten, &cmd_vmo_pack, &cmd_vmo_unpack,
	&cmd_vmo_export, &cmd_vmo_diff, &cmd_vmo_sign,
};

/* Each command with @name as its file: the code, and a line that names it. */
static void each_command(const char *name, const char *words)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(with_file); i++) {
		const struct cli_command *command = with_file[i];
		const char *more = command->nr_args > 1 ? "a.vmo" : NULL;
		int code;

		if (command == &cmd_vmo_sign)
			code = run(command, 0, name, "--key", "key", NULL);
		else if (command != &cmd_vmo_diff && more)
			code = run(command, 0, name, "out", NULL);
		else
			code = run(command, 0, name, more, NULL);
		if (code != EXIT_FILE || !strstr(complained, words))
			fail_msg("%s: %d: %s", command->name, code, complained);
		assert_ptr_equal(strchr(complained, '\n'), strrchr(complained, '\n'));
		assert_string_equal(said, "");
	}
}

static void test_a_file_that_cannot_be_had_is_code_8(void **ctx)
{
	uint8_t key[32];
	int files;

	(void)ctx;
	start();
	assert_int_equal(hypr_vmo_keygen(kit_path("key"), key), 0);
	assert_int_equal(mkfifo(kit_path("fifo.vmo"), 0600), 0);
	files = kit_count();
	each_command("none.vmo", "none.vmo: No such file");
	each_command("fifo.vmo", "fifo.vmo: not a regular file");
	each_command(".", "not a regular file");
	assert_int_equal(rename(kit_path("a.vmo"), kit_path("moved.vmo")), 0);
	each_command("b.vmo", "b.vmo: section PARENT: there is no a.vmo");
	assert_int_equal(mkfifo(kit_path("a.vmo"), 0600), 0);
	each_command("b.vmo", "a.vmo: not a regular file");
	assert_int_equal(kit_count(), files + 1);
}

/* 1 is the answer "they differ", and never that there is none. */
static void test_diff_that_cannot_answer_is_not_code_1(void **ctx)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;

	(void)ctx;
	start();
	params.mem_bytes = PAGE;
	assert_int_equal(hypr_vmo_writer_create(kit_path("small.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "b.vmo", NULL), EXIT_FAILED);
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "c.vmo", NULL), EXIT_OK);
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "none.vmo", NULL), EXIT_FILE);
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "small.vmo", NULL), EXIT_FILE);
	assert_int_equal(run(&cmd_vmo_diff, 100, "a.vmo", "b.vmo", "-m", "new.svg", NULL),
			 EXIT_FILE);
	assert_int_equal(run(&cmd_vmo_diff, 0, "a.vmo", "b.vmo", "-m", "no/new.svg", NULL),
			 EXIT_FILE);
	/* The answer itself is cut off. */
	assert_int_equal(run(&cmd_vmo_diff, 8, "a.vmo", "b.vmo", NULL), EXIT_FILE);
	assert_int_equal(run(&cmd_vmo_diff, 8, "a.vmo", "c.vmo", "--json", NULL), EXIT_FILE);
	/* Compared with a VM, too. */
	assert_int_equal(run(&cmd_vmo_verify, 0, "no/none.vmo", "--vm", "vm1", NULL), EXIT_FILE);
	assert_int_equal(run(&cmd_vmo_verify, 0, "none.vmo", "--vm", "vm1", NULL), EXIT_FILE);
}

/* ---- virtual addresses ------------------------------------------------------ */

/* A real guest with 4-level tables of its own: GVA is GPA, below 1 GiB. */
static const char *guest(void)
{
	static char path[PATH_MAX];

	assert_non_null(realpath("tests/golden/intel-guest.vmo", path));
	return path;
}

static void test_translate_says_where_or_why_not(void **ctx)
{
	const struct cli_command *translate = &cmd_translate;

	(void)ctx;
	start();
	assert_int_equal(run(translate, 0, guest(), "0x412345", NULL), EXIT_OK);
	assert_string_equal(said, "0x412345 -> 0x412345 (2 MiB page, rwx, supervisor)\n");
	assert_int_equal(run(translate, 0, guest(), "0x3ff00000", NULL), EXIT_OK);
	assert_string_equal(said, "0x3ff00000 -> 0x3ff00000 (2 MiB page, rwx, supervisor; no memory is there)\n");
	assert_int_equal(run(translate, 0, guest(), "0xffffffff81000000", NULL), EXIT_FAILED);
	assert_string_equal(said, "");
	assert_non_null(strstr(complained, "its entry of level 4, 0x0 at GPA 0x9ff8, is not present"));
	assert_int_equal(run(translate, 0, guest(), "0x412345", "--cr3", "0x800000000", NULL),
			 EXIT_FAILED);
	assert_non_null(strstr(complained, "level 4 is at GPA 0x800000000, beyond memory"));
	assert_int_equal(run(translate, 0, guest(), "4096", "--cr3", "0x9000", "--json", NULL),
			 EXIT_OK);
	assert_non_null(strstr(said, "\"gpa\":\"0x1000\",\"page_bytes\":2097152,\"rights\":\"rwx-\",\"fault\":\"none\""));
	assert_int_equal(run(translate, 0, guest(), "-j", "0x8000000000", NULL), EXIT_FAILED);
	assert_non_null(strstr(said, "\"fault\":\"not-present\",\"level\":4"));
	/* kit_write()'s vCPUs have paging off; and their number is 2. */
	assert_int_equal(run(translate, 0, "a.vmo", "0x12", "--vcpu", "1", NULL), EXIT_OK);
	assert_string_equal(said, "0x12 -> 0x12 (paging is off)\n");
	assert_int_equal(run(translate, 0, "a.vmo", "0x12", "--vcpu", "2", NULL), EXIT_FILE);
	assert_non_null(strstr(complained, "no registers of vCPU 2"));
}

static void test_translate_refuses(void **ctx)
{
	static const char *const bad[] = {
		"", "0x", "x", "-1", "0x-1", "0x0x1", "1f", "0x10000000000000000", "0x1 ", " 1",
	};
	size_t i;

	(void)ctx;
	start();
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(run(&cmd_translate, 0, "--", "a.vmo", bad[i], NULL), EXIT_USAGE);
		assert_int_equal(run(&cmd_translate, 0, "--cr3", bad[i], "a.vmo", "1", NULL),
				 EXIT_USAGE);
	}
	assert_int_equal(run(&cmd_translate, 0, "--vcpu", "x", "a.vmo", "1", NULL), EXIT_USAGE);
	assert_int_equal(run(&cmd_translate, 0, "--view", "A", "a.vmo", "1", NULL), EXIT_USAGE);
	/* A file by its name, or because it is there; else a VM. */
	assert_int_equal(run(&cmd_translate, 0, "none.vmo", "1", NULL), EXIT_FILE);
	assert_int_equal(run(&cmd_translate, 0, "./none", "1", NULL), EXIT_FILE);
	assert_int_equal(run(&cmd_translate, 0, "none", "1", NULL), EXIT_NO_VM);
	put_text("none", "text");
	assert_int_equal(run(&cmd_translate, 0, "none", "1", NULL), EXIT_FILE);
}

static void test_export_says_which_addresses(void **ctx)
{
	(void)ctx;
	start();
	assert_int_equal(run(&cmd_vmo_export, 0, guest(), "core", NULL), EXIT_OK);
	assert_string_equal(said, "core: ELF core with the registers of 1 vCPUs; addresses are guest physical\n");
	assert_int_equal(run(&cmd_vmo_export, 0, guest(), "core", "-f", "--virtual", NULL), EXIT_OK);
	assert_string_equal(said, "core: ELF core with the registers of 1 vCPUs; addresses are guest virtual, in 1 segments\n");
	assert_int_equal(run(&cmd_vmo_export, 0, guest(), "core", "-fj", "--cr3", "0x9000", NULL),
			 EXIT_OK);
	assert_string_equal(said, "{\"ok\":true,\"file\":\"core\",\"vcpus\":1,\"virtual\":true,\"loads\":1,\"repeats\":0}\n");
	assert_int_equal(run(&cmd_vmo_export, 0, "a.vmo", "new", "--vcpu", "0", NULL), EXIT_FAILED);
	assert_non_null(strstr(complained, "paging off"));
	assert_int_equal(run(&cmd_vmo_export, 0, "a.vmo", "new", "--cr3", "1g", NULL), EXIT_USAGE);
}

/* ---- hypr mem -------------------------------------------------------------- */

static unsigned int count(const char *text, const char *word)
{
	unsigned int n = 0;

	for (; (text = strstr(text, word)); text++)
		n++;
	return n;
}

static void read_text(const char *name, char *text)
{
	int fd = open(kit_path(name), O_RDONLY);

	assert_true(fd >= 0);
	slurp(fd, text);
}

static void test_mem_counts_and_draws_pages(void **ctx)
{
	char text[SAID_MAX];

	(void)ctx;
	start();
	/* kit_memory(): 14 of 32 pages are not zero; b.vmo changes 1, fills 1 and zeroes 2. */
	assert_int_equal(run(&cmd_mem, 0, "b.vmo", "-m", "b.svg", NULL), EXIT_OK);
	assert_string_equal(said, "b.vmo: 19 pages zero, 11 pages of a parent, 2 pages of this file\n");
	read_text("b.svg", text);
	assert_int_equal(strncmp(text, "<svg ", 5), 0);
	assert_non_null(strstr(text, "128 KiB of memory"));
	assert_non_null(strstr(text, "</svg>\n"));
	/* Page 1 is the file's own, between two of the parent: 6 pixels a page; and a legend. */
	assert_non_null(strstr(text, "<rect x=\"6\" y=\"28\" width=\"6\" height=\"6\" fill=\"#546e7a\"/>"));
	assert_int_equal(count(text, "fill=\"#546e7a\""), 2 + 1);
	assert_null(strstr(text, "mapped"));
	assert_int_equal(run(&cmd_mem, 0, "b.vmo", "-m", "b.svg", NULL), EXIT_EXISTS);
	assert_int_equal(run(&cmd_mem, 0, "b.vmo", "-m", "b.vmo", "-f", NULL), EXIT_FAILED);
	assert_int_equal(run(&cmd_mem, 0, "a.vmo", "--json", NULL), EXIT_OK);
	assert_string_equal(said, "{\"ok\":true,\"file\":\"a.vmo\",\"pages_zero\":18,\"pages_parent\":0,\"pages_stored\":14}\n");
}

static void test_mem_knows_what_is_mapped(void **ctx)
{
	char text[SAID_MAX];

	(void)ctx;
	start();
	assert_int_equal(run(&cmd_mem, 0, guest(), "--mapped", "-m", "g.svg", NULL), EXIT_OK);
	assert_non_null(strstr(said, ": 4084 pages zero (4084 mapped), 0 pages of a parent (0 mapped), 12 pages of this file (12 mapped)\n"));
	read_text("g.svg", text);
	assert_non_null(strstr(text, ">file, mapped</text>"));
	/* Of one page of zeroes as a table: nothing. */
	assert_int_equal(run(&cmd_mem, 0, guest(), "--cr3", "0xf00000", "-j", NULL), EXIT_OK);
	assert_non_null(strstr(said, "\"pages_stored\":12,\"mapped_zero\":0,\"mapped_parent\":0,\"mapped_stored\":0}"));
	assert_int_equal(run(&cmd_mem, 0, "a.vmo", "--mapped", NULL), EXIT_FAILED);
	assert_non_null(strstr(complained, "paging off"));
	assert_int_equal(run(&cmd_mem, 0, "a.vmo", "--view", "A", NULL), EXIT_USAGE);
	assert_non_null(strstr(complained, "has no views"));
}

/* ---- help ------------------------------------------------------------------ */

static void test_hypr_vmo_lists_its_commands(void **ctx)
{
	static const char *const asked[][2] = {
		{ "vmo", "--help" }, { "vmo", "-h" }, { "vmo", "help" }, { "help", "vmo" },
	};
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(asked); i++) {
		assert_int_equal(run(NULL, 0, asked[i][0], asked[i][1], NULL), EXIT_OK);
		assert_non_null(strstr(said, "usage: hypr vmo COMMAND"));
		assert_non_null(strstr(said, "\n  flatten"));
		assert_null(strstr(said, "snapshot"));
		assert_string_equal(complained, "");
	}
	assert_int_equal(run(NULL, 0, "vmo", NULL), EXIT_USAGE);
	assert_non_null(strstr(complained, "usage: hypr vmo COMMAND"));
	assert_string_equal(said, "");
	assert_int_equal(run(NULL, 0, "vmo", "inf", NULL), EXIT_USAGE);
	assert_string_equal(complained, "hypr: no command 'vmo inf' (hypr help lists them)\n");
	assert_int_equal(run(NULL, 0, "help", "vmo", "info", NULL), EXIT_OK);
	assert_non_null(strstr(said, "usage: hypr vmo info"));
	assert_int_equal(run(NULL, 0, "help", NULL), EXIT_OK);
	assert_non_null(strstr(said, "snapshot"));
	assert_non_null(strstr(said, "vmo flatten"));
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_picture_is_whole_or_the_old_one),
		T(test_a_picture_replaces_pictures_only),
		T(test_diff_says_the_same_in_text_and_json),
		T(test_diff_lists_many_ranges_in_little_memory),
		T(test_a_file_that_cannot_be_had_is_code_8),
		T(test_diff_that_cannot_answer_is_not_code_1),
		T(test_translate_says_where_or_why_not),
		T(test_translate_refuses),
		T(test_export_says_which_addresses),
		T(test_mem_counts_and_draws_pages),
		T(test_mem_knows_what_is_mapped),
		T(test_hypr_vmo_lists_its_commands),
	};

	return cmocka_run_group_tests_name("vmo_cli", tests, NULL, NULL) ? 1 : 0;
}
