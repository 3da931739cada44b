// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the hypr command does to terminals, files, processes and exit codes: the
 * command as a whole, on a KVM that is played (played_hypr.c).
 */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#include "fake_kernel.h"

#define TEXT_MAX	65536

static char dir[32], hypr[4096], kernel[64];

/* Of a file there; one of a few strings, used in turn. */
static char *path(const char *name)
{
	static char text[8][128];
	static unsigned int n;

	n = (n + 1) % 8;
	snprintf(text[n], sizeof(text[n]), "%s/%s", dir, name);
	return text[n];
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- the command ------------------------------------------------------------- */

struct child {
	pid_t pid;
	int out, err;		/* to be read */
	char text[TEXT_MAX];	/* what its stderr said */
	char answer[TEXT_MAX];	/* what its stdout said */
};

static struct child c;

/* Words of a line, @k for the kernel's name. */
static void exec_line(const char *line)
{
	char words[1024], *argv[32] = { hypr }, *word;
	int n = 1;

	snprintf(words, sizeof(words), "%s", line);
	for (word = strtok(words, " "); word; word = strtok(NULL, " "))
		argv[n++] = strcmp(word, "@k") ? word : kernel;
	execv(hypr, argv);
	_exit(99);
}

/* @script: of HYPR_PLAYED.  Its stdout and stderr are pipes, to be read or not. */
static void start(const char *script, const char *line)
{
	int out[2], err[2];

	memset(&c, 0, sizeof(c));
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	c.pid = fork();
	if (!c.pid) {
		int null = open("/dev/null", O_RDWR);

		setenv("HYPR_PLAYED", script, 1);
		dup2(null, 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		exec_line(line);
	}
	assert_true(c.pid > 0);
	close(out[1]);
	close(err[1]);
	c.out = out[0];
	c.err = err[0];
}

static bool more(int fd, char *text)
{
	size_t len = strlen(text);
	ssize_t n = read(fd, text + len, TEXT_MAX - 1 - len);

	return n > 0;
}

/* Return: exit code, or 1000 and the signal that killed it, or -1: it runs on. */
static int end_within(int ms)
{
	struct pollfd pfd[2] = {
		{ .fd = c.out, .events = POLLIN }, { .fd = c.err, .events = POLLIN },
	};
	uint64_t until = now_ms() + (uint64_t)ms;
	int status;

	while (now_ms() < until && (pfd[0].fd >= 0 || pfd[1].fd >= 0)) {
		poll(pfd, 2, 50);
		if (pfd[0].revents && !more(c.out, c.answer))
			pfd[0].fd = -1;
		if (pfd[1].revents && !more(c.err, c.text))
			pfd[1].fd = -1;
	}
	while (waitpid(c.pid, &status, WNOHANG) == 0) {
		if (now_ms() >= until)
			return -1;
		usleep(10000);
	}
	close(c.out);
	close(c.err);
	assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 99);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int run(const char *script, const char *line)
{
	int code;

	start(script, line);
	code = end_within(60000);
	assert_true(code >= 0);
	return code;
}

#define RUN	"run --name vm1 --kernel @k --vcpus 2 "

static void stop(void)
{
	assert_int_equal(run("", "stop vm1"), 0);
}

static void remove_files(void)
{
	struct dirent *entry;
	DIR *list = opendir(dir);

	while ((entry = readdir(list))) {
		if (strcmp(entry->d_name, "kernel"))
			unlink(path(entry->d_name));
	}
	closedir(list);
}

/* ---- how a VM ends ------------------------------------------------------------ */

#define PANIC	"say:[_1.0]_Kernel_panic_-_not_syncing:_VFS:_no_root say:[_1.1]_CPU:_0 "

static void test_ends(void **ctx)
{
	static const struct {
		const char *script;
		int code;
		const char *words;
	} ends[] = {
		{ "port:64:fe", 0, "vm1 (ept-swap): ended: guest reset (port 0x64)\n" },
		{ "halt", 0, "vm1 (ept-swap): ended: guest halted, or powered itself off\n" },
		{ PANIC "port:64:fe", 9, "hypr: run: vm1: guest panicked: VFS: no root\n" },
		{ PANIC "exit:8", 9, "hypr: run: vm1: guest panicked: VFS: no root\n" },
		{ PANIC "port:505:1", 9, "hypr: run: vm1: guest panicked: VFS: no root\n" },
		{ "port:505:1", 9, "hypr: run: vm1: guest panicked (port 0x505)\n" },
		{ "exit:8", 10, "hypr: run: vm1: vCPU 0: triple fault\n" },
		{ "exit:17", 1, "hypr: run: vm1: vCPU 0: KVM internal error, suberror 0\n" },
	};
	char script[256];
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(script, sizeof(script), "wait:200 %s", ends[i].script);
		assert_int_equal(run(script, RUN), ends[i].code);
		assert_non_null(strstr(c.text, ends[i].words));
	}
}

/* One that only waits, and one that was told to stay. */
static void test_halted_guests_that_stay(void **ctx)
{
	static const char *const lines[] = { RUN, RUN "--stay-halted" };
	static const char *const scripts[] = { "wait:200 idle", "wait:200 halt" };
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		start(scripts[i], lines[i]);
		assert_int_equal(end_within(3000), -1);
		kill(c.pid, SIGTERM);
		assert_int_equal(end_within(20000), 0);
		assert_non_null(strstr(c.text, "ended: stopped"));
	}
}

/* The guest has stdout to itself. */
static void test_json_in_the_foreground(void **ctx)
{
	(void)ctx;
	assert_int_equal(run("say:hello wait:200 port:64:fe", RUN "--json"), 0);
	assert_string_equal(c.answer, "hello\n");
	assert_non_null(strstr(c.text, "\"end\":\"reset\""));
	assert_int_equal(run("say:hello wait:200 exit:8", RUN "--json"), 10);
	assert_string_equal(c.answer, "hello\n");
	assert_non_null(strstr(c.text, "\"exit\":10"));
}

/* Nobody reads its stdout and stderr. */
static void test_end_with_a_reader_that_does_not_read(void **ctx)
{
	int status, i;

	(void)ctx;
	start("print:400000", RUN);
	usleep(1500000);
	kill(c.pid, SIGTERM);
	for (i = 0; i < 150 && !waitpid(c.pid, &status, WNOHANG); i++)
		usleep(100000);
	if (i == 150)
		kill(c.pid, SIGKILL);
	assert_true(i < 150);
	assert_int_equal(status, 0);
	close(c.out);
	close(c.err);
}

/* ---- a VM that does not answer -------------------------------------------------- */

static pid_t started_pid(void)
{
	const char *pid = strstr(c.answer, "\"pid\":");

	assert_non_null(pid);
	return atoi(pid + 6);
}

static void test_stopped_process(void **ctx)
{
	char words[32];
	uint64_t before;
	struct stat st;
	pid_t pid;

	(void)ctx;
	assert_int_equal(run("say:alive", RUN "--detach --json"), 0);
	pid = started_pid();
	usleep(500000);
	kill(pid, SIGSTOP);
	assert_int_equal(run("", "ps"), 0);
	assert_non_null(strstr(c.answer, "no answer"));
	/* It has its name, and its log. */
	assert_int_equal(run("", RUN "--detach"), 6);
	assert_int_equal(stat(path("vm1.log"), &st), 0);
	assert_true(st.st_size > 0);
	before = now_ms();
	assert_int_equal(run("", "stop vm1"), 1);
	assert_true(now_ms() - before < 15000);
	snprintf(words, sizeof(words), "process, %d,", (int)pid);
	assert_non_null(strstr(c.text, words));
	/* And then it does end: it has the request. */
	kill(pid, SIGCONT);
	for (int i = 0; i < 100 && !access(path("vm1.sock"), F_OK); i++)
		usleep(100000);
	assert_int_equal(access(path("vm1.sock"), F_OK), -1);
	remove_files();
}

static void test_stop_answers_when_it_knows(void **ctx)
{
	(void)ctx;
	assert_int_equal(run("", RUN "--detach"), 0);
	assert_int_equal(run("", "stop --json vm1"), 0);
	assert_non_null(strstr(c.answer, "\"ok\":true"));
	assert_int_equal(run("", "stop --json vm1"), 3);
	remove_files();
}

/* ---- detached --------------------------------------------------------------------- */

static void test_detached_keeps_no_descriptor(void **ctx)
{
	struct pollfd pfd;
	int fds[2], status;
	pid_t pid;

	(void)ctx;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (!pid) {
		setenv("HYPR_PLAYED", "", 1);
		dup2(fds[1], 77);
		dup2(fds[1], 3);
		exec_line(RUN "--detach");
	}
	close(fds[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	pfd = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	assert_int_equal(poll(&pfd, 1, 5000), 1);
	assert_true(pfd.revents & POLLHUP);
	close(fds[0]);
	stop();
	remove_files();
}

static off_t size_of(const char *name)
{
	struct stat st;

	return stat(path(name), &st) ? -1 : st.st_size;
}

static void wait_for_size(const char *name, off_t least)
{
	int i;

	for (i = 0; i < 300 && size_of(name) < least; i++)
		usleep(100000);
	assert_true(size_of(name) >= least);
}

static void test_log_has_a_size(void **ctx)
{
	(void)ctx;
	assert_int_equal(run("print:300000 say:last", RUN "--detach --log-max 64K"), 0);
	wait_for_size("vm1.log.1", 40000);
	usleep(2000000);
	stop();
	assert_true(size_of("vm1.log") <= 65536);
	assert_true(size_of("vm1.log.1") <= 65536);
	assert_int_equal(run("", RUN "--detach --log-max 5"), 2);
	assert_int_equal(run("", RUN "--guest-spares"), 2);
	assert_non_null(strstr(c.text, "goes with --guest-requests only"));
	remove_files();
}

/* It was cut short by another program: no hole, no old place. */
static void test_log_is_appended_to(void **ctx)
{
	char buf[8] = "";
	int fd;

	(void)ctx;
	assert_int_equal(run("print:10000 wait:3000 say:after", RUN "--detach"), 0);
	wait_for_size("vm1.log", 10000);
	assert_int_equal(truncate(path("vm1.log"), 0), 0);
	wait_for_size("vm1.log", 6);
	fd = open(path("vm1.log"), O_RDONLY);
	assert_int_equal(read(fd, buf, 5), 5);
	assert_string_equal(buf, "after");
	close(fd);
	stop();
	remove_files();
}

static void test_log_is_one_vms(void **ctx)
{
	char line[256];

	(void)ctx;
	snprintf(line, sizeof(line), RUN "--detach --log %s/both", dir);
	assert_int_equal(run("say:first", line), 0);
	wait_for_size("both", 6);
	snprintf(line, sizeof(line),
		 "run --name vm2 --kernel @k --vcpus 2 --detach --log %s/both", dir);
	assert_int_equal(run("say:second", line), 1);
	assert_non_null(strstr(c.text, "is that of another VM that runs"));
	assert_true(size_of("both") >= 6);
	stop();
	/* A FIFO that nobody reads is not waited for; a link is not followed. */
	assert_int_equal(mkfifo(path("fifo"), 0600), 0);
	snprintf(line, sizeof(line), RUN "--detach --log %s/fifo", dir);
	assert_int_equal(run("", line), 1);
	assert_non_null(strstr(c.text, "a FIFO that nobody reads"));
	assert_int_equal(symlink("both", path("link")), 0);
	snprintf(line, sizeof(line), RUN "--detach --log %s/link", dir);
	assert_int_equal(run("", line), 1);
	assert_non_null(strstr(c.text, "symbolic link"));
	if (!geteuid()) {
		assert_int_equal(chown(path("both"), 12345, (gid_t)-1), 0);
		snprintf(line, sizeof(line), RUN "--detach --log %s/both", dir);
		assert_int_equal(run("", line), 1);
		assert_non_null(strstr(c.text, "belongs to user 12345"));
	}
	remove_files();
}

/* ---- a terminal ----------------------------------------------------------------- */

static bool is_raw(int fd)
{
	struct termios t;

	assert_int_equal(tcgetattr(fd, &t), 0);
	return !(t.c_lflag & ICANON);
}

static bool becomes_raw(int fd, bool raw)
{
	int i;

	for (i = 0; i < 500 && is_raw(fd) != raw; i++)
		usleep(10000);
	return is_raw(fd) == raw;
}

/* @slave: kept open, so that its modes can be looked at after the end */
static int start_on_tty(const char *script, int *slave)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(*slave >= 0);
	c.pid = fork();
	if (!c.pid) {
		setsid();
		ioctl(*slave, TIOCSCTTY, 0);
		dup2(*slave, 0);
		dup2(*slave, 1);
		dup2(*slave, 2);
		setenv("HYPR_PLAYED", script, 1);
		exec_line(RUN);
	}
	assert_true(becomes_raw(*slave, true));
	/* Its signals are blocked, or caught, before. */
	return master;
}

static int tty_end(int master, int slave)
{
	int status, i;

	for (i = 0; i < 2000 && !waitpid(c.pid, &status, WNOHANG); i++)
		usleep(10000);
	if (i == 2000) {
		kill(c.pid, SIGKILL);
		waitpid(c.pid, &status, 0);
		status = -1;
	}
	assert_false(is_raw(slave));
	close(slave);
	close(master);
	return status;
}

static void test_terminal_is_given_back(void **ctx)
{
	static const int signals[] = {
		SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGALRM, SIGUSR2, SIGVTALRM, SIGPROF, SIGXCPU,
		SIGIO, SIGPWR, SIGSTKFLT, SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS,
	};
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(signals); i++) {
		int slave, master = start_on_tty("", &slave), status;

		kill(c.pid, signals[i]);
		status = tty_end(master, slave);
		if (signals[i] != SIGTERM && WIFSIGNALED(status))
			assert_int_equal(WTERMSIG(status), signals[i]);
		else
			assert_int_equal(status, 0);
		remove_files();
	}
}

static void test_terminal_while_stopped(void **ctx)
{
	int slave, master = start_on_tty("", &slave), status;

	(void)ctx;
	usleep(300000);
	kill(c.pid, SIGTSTP);
	assert_int_equal(waitpid(c.pid, &status, WUNTRACED), c.pid);
	assert_true(WIFSTOPPED(status));
	assert_true(becomes_raw(slave, false));
	kill(c.pid, SIGCONT);
	assert_true(becomes_raw(slave, true));
	kill(c.pid, SIGTERM);
	assert_int_equal(tty_end(master, slave), 0);
}

/* The guest reads nothing, and much was pasted. */
static void test_escape_after_much_input(void **ctx)
{
	int slave, master = start_on_tty("", &slave), i, n = 0;
	char many[1024];

	(void)ctx;
	memset(many, 'x', sizeof(many));
	fcntl(master, F_SETFL, O_NONBLOCK);
	for (i = 0; i < 2000 && n < 200; i++) {
		if (write(master, many, sizeof(many)) > 0)
			n++;
		else
			usleep(5000);
	}
	for (i = 0; i < 100 && write(master, "\x1d", 1) != 1; i++)
		usleep(20000);
	assert_int_equal(tty_end(master, slave), 0);
}

/* ---- files and words ---------------------------------------------------------------- */

static void test_snapshot_is_all_or_nothing(void **ctx)
{
	char line[256];
	int fd;

	(void)ctx;
	assert_int_equal(run("", RUN "--detach"), 0);
	fd = open(path("there.vmo"), O_WRONLY | O_CREAT, 0600);
	close(fd);
	snprintf(line, sizeof(line), "snapshot vm1 A -o %s/there.vmo", dir);
	assert_int_equal(run("", line), 6);
	/* A parent that is none is found out after the view was made. */
	snprintf(line, sizeof(line), "snapshot vm1 A -o %s/new.vmo --parent %s/there.vmo", dir, dir);
	assert_int_not_equal(run("", line), 0);
	assert_int_equal(run("", "views vm1"), 0);
	assert_null(strstr(c.answer, "\nA "));
	snprintf(line, sizeof(line), "snapshot --json vm1 A -o %s/new.vmo", dir);
	assert_int_equal(run("", line), 0);
	/* One object. */
	assert_ptr_equal(strchr(c.answer, '\n') + 1, c.answer + strlen(c.answer));
	assert_non_null(strstr(c.answer, "\"saved\":{"));
	assert_non_null(strstr(c.answer, "\"name\":\"A\""));
	stop();
	remove_files();
}

static void test_names_that_are_not_utf8(void **ctx)
{
	static const char *const lines[] = {
		"vmo info --json %s/a\xff.vmo", "vmo verify --json %s/a\xff.vmo",
		"snapshot --json vm1 -o %s/a\xff.vmo", "load --json vm1 %s/a\xff.vmo",
		"resurrect --json --name vm2 %s/a\xff.vmo", "views --json a\xff%s",
	};
	char line[256];
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		snprintf(line, sizeof(line), lines[i], dir);
		assert_int_equal(run("", line), 2);
		assert_non_null(strstr(c.answer, "{\"ok\":false,\"exit\":2,"));
		assert_non_null(strstr(c.answer, "is not UTF-8"));
		assert_non_null(strstr(c.text, "is not UTF-8"));
	}
}

/* A signal that kills would be no word of it. */
static void test_file_size_limit(void **ctx)
{
	const struct rlimit few = { 4096, 4096 };
	char line[256];
	int status;
	pid_t pid;

	(void)ctx;
	assert_int_equal(run("", RUN "--detach"), 0);
	snprintf(line, sizeof(line), "snapshot vm1 -o %s/a.vmo", dir);
	assert_int_equal(run("", line), 0);
	stop();
	snprintf(line, sizeof(line), "vmo flatten %s/a.vmo %s/b.vmo", dir, dir);
	pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_FSIZE, &few);
		exec_line(line);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	assert_int_equal(access(path("b.vmo"), F_OK), -1);
	remove_files();
}

static void test_files_that_are_none(void **ctx)
{
	char line[256];

	(void)ctx;
	assert_int_equal(run("", RUN "--detach"), 0);
	assert_int_equal(mkfifo(path("fifo"), 0600), 0);
	snprintf(line, sizeof(line), "vmo info %s/none.vmo", dir);
	assert_int_equal(run("", line), 8);
	snprintf(line, sizeof(line), "vmo info %s/fifo", dir);
	assert_int_equal(run("", line), 8);
	snprintf(line, sizeof(line), "resurrect --name vm2 %s/none.vmo", dir);
	assert_int_equal(run("", line), 8);
	snprintf(line, sizeof(line), "snapshot vm1 -o %s/a.vmo --parent %s/none.vmo", dir, dir);
	assert_int_equal(run("", line), 8);
	snprintf(line, sizeof(line), "load vm1 %s/a-name-of-more-than-31-characters.vmo", dir);
	assert_int_equal(run("", line), 2);
	assert_non_null(strstr(c.text, "too long for a view's"));
	stop();
	remove_files();
}

/* A script must not take "could not compare" for "differs". */
static void test_verify_tells_trouble_from_difference(void **ctx)
{
	(void)ctx;
	assert_int_equal(run("", RUN "--detach"), 0);
	assert_int_equal(run("", "verify vm1 boot"), 11);
	assert_non_null(strstr(c.text, "no moment"));
	assert_int_equal(run("", "verify vm1 none"), 4);
	assert_int_equal(run("", "translate vm1 0x1000 --view none"), 4);
	assert_int_equal(run("", "translate vm1 0x1000 --vcpu 99"), 11);
	assert_int_equal(run("", "translate vm1 0x1000"), 0);
	assert_non_null(strstr(c.answer, "0x1000 -> 0x1000 (paging is off)"));
	assert_int_equal(run("", "translate vm1 0x1000 --cr3 0xfffffffff000"), 1);
	assert_non_null(strstr(c.text, "beyond memory"));
	stop();
	remove_files();
}

static void read_file(const char *name, char *text)
{
	int fd = open(path(name), O_RDONLY);

	assert_true(fd >= 0);
	assert_true(read(fd, text, TEXT_MAX - 1) > 0);
	close(fd);
}

static void test_mem_of_a_vm(void **ctx)
{
	static char text[TEXT_MAX];
	struct stat before, after;
	char line[256];

	(void)ctx;
	assert_int_equal(run("", RUN "--detach"), 0);
	assert_int_equal(run("", "mem vm1"), 0);
	assert_ptr_equal(strstr(c.answer, "vm1 (ept-swap): view boot: "), c.answer);
	assert_non_null(strstr(c.answer, " private, written since the last reset: not known\n"));
	assert_int_equal(run("", "snapshot vm1 A"), 0);
	assert_int_equal(run("", "mem vm1 --view A --json"), 0);
	assert_non_null(strstr(c.answer, "\"name\":\"A\""));
	assert_non_null(strstr(c.answer, "\"pages_private\":0"));
	assert_null(strstr(c.answer, "\"run\""));
	assert_int_equal(run("", "mem vm1 --view none"), 4);
	assert_int_equal(run("", "mem vm2"), 3);
	assert_int_equal(run("", "mem vm1 --mapped"), 2);
	assert_non_null(strstr(c.text, "hypr snapshot vm1 -o FILE"));

	snprintf(line, sizeof(line), "mem vm1 --json --map %s/boot.svg", dir);
	assert_int_equal(run("", line), 0);
	assert_non_null(strstr(c.answer, "\"pages_total\":"));
	assert_null(strstr(c.answer, "\"run\""));
	read_file("boot.svg", text);
	assert_ptr_equal(strstr(text, "<svg "), text);
	assert_non_null(strstr(text, "MiB of memory, from 0 at the top left"));
	/* A square that is private, and the legend, which has nothing that is not known. */
	assert_non_null(strstr(text, "height=\"6\" fill=\"#ffa726\"/>"));
	assert_non_null(strstr(text, ">private</text>"));
	assert_null(strstr(text, ">written</text>"));
	assert_non_null(strstr(text, "</svg>\n"));
	/* What is there stays, or is replaced as a whole. */
	assert_int_equal(stat(path("boot.svg"), &before), 0);
	assert_int_equal(run("", line), 6);
	assert_int_equal(stat(path("boot.svg"), &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	strcat(line, " --force");
	assert_int_equal(run("", line), 0);
	assert_int_equal(stat(path("boot.svg"), &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	stop();
	remove_files();
}

static void test_mem_of_a_vm_shows_what_was_written(void **ctx)
{
	static char text[TEXT_MAX];
	char line[256];

	(void)ctx;
	assert_int_equal(run("tracking", RUN "--detach"), 0);
	assert_int_equal(run("", "snapshot vm1 A"), 0);
	snprintf(line, sizeof(line), "mem vm1 -v A -m %s/a.svg", dir);
	assert_int_equal(run("", line), 0);
	assert_non_null(strstr(c.answer, "vm1 (ept-swap): view A: "));
	assert_non_null(strstr(c.answer, " 0 private, 1 written since the last reset\n"));
	read_file("a.svg", text);
	assert_non_null(strstr(text, "<rect x=\"120\" y=\"28\" width=\"6\" height=\"6\" fill=\"#e65100\"/>"));
	assert_non_null(strstr(text, ">written</text>"));
	stop();
	remove_files();
}

/* That /dev/kvm opens is not enough. */
static void test_doctor_for_engine_stock(void **ctx)
{
	(void)ctx;
	assert_int_equal(run("", "doctor --engine stock"), 0);
	assert_non_null(strstr(c.answer, "engine stock: ready"));
	assert_int_equal(run("lacking", "doctor --engine stock"), 5);
	assert_non_null(strstr(c.answer, "KVM lacks KVM_CAP_XCRS"));
	assert_non_null(strstr(c.answer, "engine stock: cannot run"));
}

static void test_help(void **ctx)
{
	(void)ctx;
	assert_int_equal(run("", "vmo"), 2);
	assert_non_null(strstr(c.text, "usage: hypr vmo COMMAND"));
	assert_int_equal(run("", "vmo --help"), 0);
	assert_non_null(strstr(c.answer, "  flatten "));
	assert_null(strstr(c.answer, "  swap "));
	assert_int_equal(run("", "help vmo"), 0);
	assert_non_null(strstr(c.answer, "  flatten "));
	assert_int_equal(run("", "vmo fly"), 2);
	assert_non_null(strstr(c.text, "no command 'vmo fly'"));
	assert_int_equal(run("", "help"), 0);
	assert_non_null(strstr(c.answer, "  9  the guest panicked"));
}

static int group_setup(void **ctx)
{
	const char *bin = getenv("HYPR_BIN");

	(void)ctx;
	if (!realpath(bin ? bin : "out/tests/unit/hypr", hypr))
		return 1;
	strcpy(dir, "/tmp/hypr-command-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	setenv("HYPR_RUNTIME_DIR", dir, 1);
	strcpy(kernel, path("kernel"));
	fake_kernel_write(kernel);
	return 0;
}

static int group_teardown(void **ctx)
{
	(void)ctx;
	unlink(kernel);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_halted_guests_that_stay),
		cmocka_unit_test(test_json_in_the_foreground),
		cmocka_unit_test(test_end_with_a_reader_that_does_not_read),
		cmocka_unit_test(test_stopped_process),
		cmocka_unit_test(test_stop_answers_when_it_knows),
		cmocka_unit_test(test_detached_keeps_no_descriptor),
		cmocka_unit_test(test_log_has_a_size),
		cmocka_unit_test(test_log_is_appended_to),
		cmocka_unit_test(test_log_is_one_vms),
		cmocka_unit_test(test_terminal_is_given_back),
		cmocka_unit_test(test_terminal_while_stopped),
		cmocka_unit_test(test_escape_after_much_input),
		cmocka_unit_test(test_snapshot_is_all_or_nothing),
		cmocka_unit_test(test_names_that_are_not_utf8),
		cmocka_unit_test(test_file_size_limit),
		cmocka_unit_test(test_files_that_are_none),
		cmocka_unit_test(test_verify_tells_trouble_from_difference),
		cmocka_unit_test(test_mem_of_a_vm),
		cmocka_unit_test(test_mem_of_a_vm_shows_what_was_written),
		cmocka_unit_test(test_doctor_for_engine_stock),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests_name("command", tests, group_setup, group_teardown) ? 1 : 0;
}
