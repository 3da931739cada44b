// SPDX-License-Identifier: GPL-2.0-only
/*
 * Long commands, by the hypr that people run: on a terminal they tell how far they
 * are, and Ctrl-C at any moment leaves no file, no litter, exit code 130, and a VM
 * that runs on.  The VM is one on a KVM that is played (fake_kvm.c).
 */
#include "unit.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "hypr/hypr.h"
#include "hypr/vmo.h"
#include "fake_kernel.h"
#include "fake_kvm.h"
#include "lib/base/time.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"

#define BIG_BYTES	(64ull << 20)
#define ROUNDS		30
#define ROUNDS_MAX	300
#define INTERRUPTED	130

static char dir[32];
static char hypr[512];
static uint64_t seed;

static uint64_t next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* ---- files ----------------------------------------------------------------- */

/* Of a file there; one of a few strings, used in turn. */
static const char *path(const char *name)
{
	static char text[8][128];
	static unsigned int n;

	n = (n + 1) % 8;
	snprintf(text[n], sizeof(text[n]), "%s/%s", dir, name);
	return text[n];
}

static int files(void)
{
	DIR *list = opendir(dir);
	struct dirent *entry;
	int n = 0;

	while ((entry = readdir(list)))
		n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
	closedir(list);
	return n;
}

/* Words that a compressor has to look for. */
static void fill(uint8_t *mem, uint64_t bytes)
{
	uint64_t i, word = 0;

	for (i = 0; i < bytes; i++) {
		if (i % 8 == 0)
			word = next_random();
		mem[i] = (uint8_t)('a' + (word >> i % 8 * 8) % 17);
	}
}

static void write_big(const char *name, const uint8_t *mem, struct hypr_vmo *parent)
{
	struct hypr_vmo_params params = {
		.size = sizeof(params), .mem_bytes = BIG_BYTES, .parent = parent,
	};
	struct hypr_vmo_writer *w;

	assert_int_equal(hypr_vmo_writer_create(path(name), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 0, mem, BIG_BYTES / 4096, HYPR_VMO_RUN_RWX),
			 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
}

/* a.vmo; b.vmo, a layer on it; p.vmo, packed */
static void write_files(void)
{
	uint8_t *mem = malloc(BIG_BYTES);
	struct hypr_vmo *vmo;
	uint64_t page;

	fill(mem, BIG_BYTES);
	write_big("a.vmo", mem, NULL);
	for (page = 0; page < BIG_BYTES / 4096; page += 2)
		mem[page * 4096] ^= 1;
	assert_int_equal(hypr_vmo_open(path("a.vmo"), &vmo), 0);
	write_big("b.vmo", mem, vmo);
	assert_int_equal(hypr_vmo_pack(vmo, path("p.vmo"), 0, 1, NULL), 0);
	hypr_vmo_close(vmo);
	free(mem);
}

/* ---- the command ----------------------------------------------------------- */

struct child {
	pid_t pid;
	int err;	/* its stderr, to be read; or -1 */
};

static void start(struct child *child, char *const argv[], int err)
{
	child->pid = fork();
	if (!child->pid) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		dup2(err < 0 ? null : err, 2);
		execv(hypr, argv);
		_exit(99);
	}
	assert_true(child->pid > 0);
}

/* Return: exit code, or 1000 and the signal that killed it. */
static int end(struct child *child)
{
	int status;

	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 99);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int run_for(char *const argv[], uint64_t us, int signal)
{
	struct child child;

	start(&child, argv, -1);
	usleep((useconds_t)us);
	kill(child.pid, signal);
	return end(&child);
}

static uint64_t time_us(char *const argv[], int code)
{
	uint64_t from = hypr_now_ns();
	struct child child;

	start(&child, argv, -1);
	assert_int_equal(end(&child), code);
	return (hypr_now_ns() - from) / 1000;
}

static int any_signal(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };

	return signals[next_random() % 3];
}

/* The file is whole, or it is not there; and nothing else has come. */
static void check_out(int code, int ok, const char *out, int before)
{
	struct stat st;
	bool is_there = out && !stat(out, &st);

	/* A signal before it had begun kills it. */
	if (code > 1000)
		assert_true(code == 1000 + SIGINT || code == 1000 + SIGTERM ||
			    code == 1000 + SIGHUP);
	else if (code != INTERRUPTED)
		assert_int_equal(code, ok);
	/* One after it was done, before the command ends, kills it, too. */
	if (out && code < 1000)
		assert_int_equal(is_there, code == ok);
	if (is_there)
		unlink(out);
	assert_int_equal(files(), before);
}

static void test_interrupted_commands(void **ctx)
{
	static const struct {
		const char *verb, *from, *second;	/* NULL: a file that is written */
		int ok;
	} commands[] = {
		{ "pack", "a.vmo", NULL, 0 },
		{ "unpack", "p.vmo", NULL, 0 },
		{ "flatten", "b.vmo", NULL, 0 },
		{ "export", "b.vmo", NULL, 0 },
		{ "verify", "b.vmo", "", 0 },
		{ "diff", "a.vmo", "b.vmo", 1 },
	};
	int before = files(), round, interrupted, code;
	uint64_t whole_us;
	unsigned int i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		const char *out = commands[i].second ? NULL : path("out.vmo");
		char *argv[] = {
			hypr, "vmo", (char *)commands[i].verb,
			(char *)path(commands[i].from), (char *)out, NULL,
		};
		char written[128] = "";

		if (commands[i].second && *commands[i].second)
			argv[4] = (char *)path(commands[i].second);
		if (out)
			argv[4] = strcpy(written, out);
		argv[3] = strdup(argv[3]);
		whole_us = time_us(argv, commands[i].ok);
		unlink(written);
		for (round = interrupted = 0; round < ROUNDS_MAX; round++) {
			code = run_for(argv, next_random() % (whole_us + 1000), any_signal());
			check_out(code, commands[i].ok, out ? written : NULL, before);
			interrupted += code == INTERRUPTED;
			if (round >= ROUNDS && interrupted)
				break;
		}
		print_message("# %s: %llu us, %d of %d interrupted\n", commands[i].verb,
			      (unsigned long long)whole_us, interrupted, round);
		assert_true(interrupted > 0);
		free(argv[3]);
	}
}

/* ---- a terminal ------------------------------------------------------------ */

/* Its stdin and stderr are a terminal, which is its own. */
static int start_on_tty(struct child *child, char *const argv[])
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, null;
	const char *name;

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	name = ptsname(master);
	child->pid = fork();
	if (!child->pid) {
		setsid();
		slave = open(name, O_RDWR);
		ioctl(slave, TIOCSCTTY, 0);
		null = open("/dev/null", O_WRONLY);
		dup2(slave, 0);
		dup2(null, 1);
		dup2(slave, 2);
		execv(hypr, argv);
		_exit(99);
	}
	assert_true(child->pid > 0);
	return master;
}

/* What it says, until it has said @words or @ms are over.  Return: has it? */
static bool listen_for(int fd, const char *words, int ms, char *text, size_t size)
{
	uint64_t until = hypr_now_ns() + (uint64_t)ms * 1000000;
	size_t len = strlen(text);

	while (hypr_now_ns() < until && len < size - 1) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (words && strstr(text, words))
			return true;
		if (poll(&pfd, 1, 50) <= 0)
			continue;
		n = read(fd, text + len, size - 1 - len);
		if (n <= 0)
			break;
		len += (size_t)n;
		text[len] = '\0';
	}
	return words && strstr(text, words);
}

/* Slow enough for a person to wonder. */
static void test_terminal(void **ctx)
{
	char out[128], from[128], text[4096] = "";
	char *argv[] = { hypr, "vmo", "pack", "--level", "19", from, out, NULL };
	struct child child;
	int fd, before = files();
	uint64_t start_ns;

	(void)ctx;
	strcpy(out, path("out.vmo"));
	strcpy(from, path("a.vmo"));
	start_ns = hypr_now_ns();
	fd = start_on_tty(&child, argv);
	assert_true(listen_for(fd, " %, ", 60000, text, sizeof(text)));
	assert_true(hypr_now_ns() - start_ns >= 2000000000ull);
	assert_non_null(strstr(text, "hypr: vmo pack: "));
	/* Ctrl-C, typed. */
	assert_int_equal(write(fd, "\x03", 1), 1);
	assert_true(listen_for(fd, "interrupted", 60000, text, sizeof(text)));
	assert_non_null(strstr(text, "\r\033[Khypr: vmo pack: interrupted"));
	assert_int_equal(end(&child), INTERRUPTED);
	close(fd);
	assert_int_equal(files(), before);
}

/* With --json, and where stderr is no terminal, nobody wants to see it. */
static void test_no_terminal(void **ctx)
{
	char out[128], from[128], text[4096] = "";
	char *argv[] = { hypr, "vmo", "pack", "--level", "19", from, out, NULL };
	char *json[] = { hypr, "vmo", "pack", "--json", "--level", "19", from, out, NULL };
	struct child child;
	int fd, fds[2], before = files();

	(void)ctx;
	strcpy(out, path("out.vmo"));
	strcpy(from, path("a.vmo"));
	fd = start_on_tty(&child, json);
	assert_false(listen_for(fd, "%", 3000, text, sizeof(text)));
	assert_string_equal(text, "");
	kill(child.pid, SIGINT);
	assert_int_equal(end(&child), INTERRUPTED);
	close(fd);

	assert_int_equal(pipe(fds), 0);
	start(&child, argv, fds[1]);
	close(fds[1]);
	assert_false(listen_for(fds[0], "%", 3000, text, sizeof(text)));
	kill(child.pid, SIGTERM);
	listen_for(fds[0], NULL, 60000, text, sizeof(text));
	assert_string_equal(text, "hypr: vmo pack: interrupted\n");
	assert_int_equal(end(&child), INTERRUPTED);
	close(fds[0]);
	assert_int_equal(files(), before);
}

/* ---- a VM ------------------------------------------------------------------ */

static struct hypr_server *server;

static struct hypr_vm *make_vm(void)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;
	struct hypr_vm *vm;

	fake_kvm_reset();
	setenv("HYPR_RUNTIME_DIR", dir, 1);
	fake_kernel_write(path("kernel"));
	c.name = "vm1";
	c.kernel = path("kernel");
	c.vcpus = FAKE_VCPUS;
	c.pause_timeout_ms = 200;
	assert_int_equal(hypr_vm_create(&c, &vm), 0);
	fill(vm->active->mem.host + (2 << 20), 13 << 20);
	assert_int_equal(hypr_server_start(vm, &server), 0);
	assert_int_equal(hypr_vm_start(vm), 0);
	assert_true(fake_kvm_runs());
	return vm;
}

static void end_vm(struct hypr_vm *vm)
{
	hypr_server_stop(server);
	hypr_vm_destroy(vm);
	unlink(path("kernel"));
	unlink(path(".lock"));
}

static void check_whole(const char *file)
{
	struct hypr_vmo_verify_result result;
	struct hypr_vmo *vmo;

	assert_int_equal(hypr_vmo_open(file, &vmo), 0);
	assert_int_equal(hypr_vmo_verify(vmo, &result), 0);
	hypr_vmo_close(vmo);
}

static void test_interrupted_snapshots(void **ctx)
{
	char out[128];
	char *plain[] = { hypr, "snapshot", "vm1", "-o", out, NULL };
	char *packed[] = { hypr, "snapshot", "vm1", "-o", out, "--compress", NULL };
	struct hypr_vm *vm = make_vm();
	int before, round, code, interrupted[2] = { 0 }, done = 0;
	uint64_t whole_us[2];

	(void)ctx;
	strcpy(out, path("out.vmo"));
	whole_us[0] = time_us(plain, 0);
	unlink(out);
	whole_us[1] = time_us(packed, 0);
	unlink(out);
	before = files();
	for (round = 0; round < ROUNDS_MAX; round++) {
		int which = round % 2;

		code = run_for(which ? packed : plain,
			       next_random() % (whole_us[which] * 5 / 4), any_signal());
		assert_true(fake_kvm_runs());
		if (code == 0) {
			check_whole(out);
			done++;
		}
		interrupted[which] += code == INTERRUPTED;
		check_out(code, 0, out, before);
		if (round >= 2 * ROUNDS && interrupted[0] && interrupted[1])
			break;
	}
	print_message("# %llu, %llu us; %d and %d interrupted, %d done\n",
		      (unsigned long long)whole_us[0], (unsigned long long)whole_us[1],
		      interrupted[0], interrupted[1], done);
	assert_true(interrupted[0] && interrupted[1]);
	/* And it can still be done. */
	time_us(plain, 0);
	check_whole(out);
	unlink(out);
	end_vm(vm);
}

/* Who is killed waits for nothing any more: no file is written for nobody. */
static void test_killed_snapshots(void **ctx)
{
	char out[128], *answer;
	char *argv[] = { hypr, "snapshot", "vm1", "-o", out, "--compress", NULL };
	struct hypr_vm *vm = make_vm();
	int before, round, whole = 0, none = 0;
	uint64_t whole_us;

	(void)ctx;
	strcpy(out, path("out.vmo"));
	whole_us = time_us(argv, 0);
	unlink(out);
	before = files();
	for (round = 0; round < ROUNDS; round++) {
		run_for(argv, next_random() % whole_us, SIGKILL);
		/* One request after the other: when this is answered, that has ended. */
		assert_int_equal(hypr_client_call("vm1", "{\"op\":\"views\"}", &answer), 0);
		free(answer);
		if (!access(out, F_OK)) {
			check_whole(out);
			unlink(out);
			whole++;
		} else {
			none++;
		}
		assert_int_equal(files(), before);
		assert_true(fake_kvm_runs());
	}
	print_message("# %d whole, %d not there\n", whole, none);
	assert_true(none > 0);
	end_vm(vm);
}

/* Who ends the VM does not wait for a file: it is given up, and that is said. */
static void test_stop_ends_a_snapshot(void **ctx)
{
	char out[128];
	char *argv[] = { hypr, "snapshot", "vm1", "-o", out, "--compress", NULL };
	int round, code, before = files(), given_up = 0;
	struct hypr_vm *vm = make_vm();
	uint64_t whole_us;

	(void)ctx;
	strcpy(out, path("out.vmo"));
	whole_us = time_us(argv, 0);
	unlink(out);
	for (round = 0; round < 20 && !given_up; round++) {
		char text[512] = "";
		struct child child;
		int fds[2];

		assert_int_equal(pipe(fds), 0);
		start(&child, argv, fds[1]);
		close(fds[1]);
		usleep((useconds_t)(whole_us / 2));
		hypr_vm_stop(vm);
		end_vm(vm);
		listen_for(fds[0], NULL, 60000, text, sizeof(text));
		close(fds[0]);
		code = end(&child);
		given_up = code == 1 && access(out, F_OK) &&
			   strstr(text, "given up: the guest has ended: stopped");
		assert_true(given_up || code == 0 || code == 1);
		unlink(out);
		assert_int_equal(files(), before);
		vm = make_vm();
	}
	assert_true(given_up);
	end_vm(vm);
}

/* What comes before an answer, and only for who asked. */
static int note(void *arg, uint64_t done, uint64_t total)
{
	uint64_t *last = arg, part = total ? done * 1000 / total : 0;

	/* The unit may be another one from line to line, what it comes to is not. */
	assert_true(done <= total);
	assert_true(part >= last[0]);
	last[0] = part;
	last[1] += total != 0;
	return 0;
}

static void test_progress_of_a_snapshot(void **ctx)
{
	struct hypr_vm *vm = make_vm();
	uint64_t last[2] = { 0, 0 };
	char request[256], *answer;

	(void)ctx;
	snprintf(request, sizeof(request),
		 "{\"op\":\"save\",\"file\":\"%s\",\"compress\":true,\"progress\":true}",
		 path("out.vmo"));
	hypr_progress_set(note, last);
	assert_int_equal(hypr_client_call("vm1", request, &answer), 0);
	hypr_progress_set(NULL, NULL);
	assert_non_null(strstr(answer, "\"ok\":true"));
	free(answer);
	unlink(path("out.vmo"));
	assert_true(last[1] > 0);
	assert_int_equal(hypr_client_call("vm1", "{\"op\":\"info\",\"progress\":true}", &answer),
			 0);
	assert_non_null(strstr(answer, "takes no \\\"progress\\\""));
	free(answer);
	end_vm(vm);
}

static int group_setup(void **ctx)
{
	const char *text = getenv("HYPR_SEED"), *bin = getenv("HYPR_BIN");

	(void)ctx;
	seed = text ? strtoull(text, NULL, 0) : hypr_now_ns() | 1;
	print_message("# HYPR_SEED=%llu\n", (unsigned long long)seed);
	snprintf(hypr, sizeof(hypr), "%s", bin ? bin : "out/bin/hypr");
	strcpy(dir, "/tmp/hypr-interrupt-XXXXXX");
	if (!mkdtemp(dir))
		return 1;
	write_files();
	return 0;
}

static int group_teardown(void **ctx)
{
	(void)ctx;
	unlink(path("a.vmo"));
	unlink(path("b.vmo"));
	unlink(path("p.vmo"));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interrupted_commands),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_no_terminal),
		cmocka_unit_test(test_interrupted_snapshots),
		cmocka_unit_test(test_killed_snapshots),
		cmocka_unit_test(test_stop_ends_a_snapshot),
		cmocka_unit_test(test_progress_of_a_snapshot),
	};

	/* A shell that runs this in the background has it ignore Ctrl-C. */
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	return cmocka_run_group_tests_name("interrupt", tests, group_setup, group_teardown) ? 1 : 0;
}
