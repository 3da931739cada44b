// SPDX-License-Identifier: GPL-2.0-only
/*
 * The control socket: requests that are understood, requests that are not, and
 * a server and client in a folder of their own, stale sockets included.
 */
#include "lib/model/vm.h"
#include "unit.h"

#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "fake_vm.h"
#include "lib/serve/protocol.h"

/* ---- requests ------------------------------------------------------------ */

static int parse(const char *text, struct hypr_request *request)
{
	/* A copy of just that size, so that reading past it is seen. */
	size_t len = strlen(text);
	char *line = malloc(len ? len : 1);
	int ret;

	memcpy(line, text, len);
	ret = hypr_request_parse(line, len, request);
	free(line);
	return ret;
}

static void test_request_is_understood(void **ctx)
{
	struct hypr_request r;

	(void)ctx;
	assert_int_equal(parse("{\"op\":\"info\"}", &r), 0);
	assert_int_equal(r.op, HYPR_OP_INFO);
	assert_int_equal(parse(" { \"view\" : \"A\", \"op\" : \"snapshot\" } ", &r), 0);
	assert_int_equal(r.op, HYPR_OP_SNAPSHOT);
	assert_string_equal(r.view, "A");
	assert_int_equal(parse("{\"op\":\"swap\",\"view\":\"B\",\"reset\":true,\"force\":false}",
			       &r), 0);
	assert_int_equal(r.flags, HYPR_SWAP_RESET);
	assert_int_equal(parse("{\"op\":\"swap\",\"view\":\"B\",\"cooperative\":true}", &r), 0);
	assert_int_equal(r.flags, HYPR_SWAP_COOPERATIVE);
	assert_int_equal(parse("{\"op\":\"compare\",\"file\":\"/a.vmo\"}", &r), 0);
	assert_int_equal(r.op, HYPR_OP_COMPARE);
	assert_string_equal(r.file, "/a.vmo");
	assert_string_equal(r.view, "");
	assert_int_equal(parse("{\"op\":\"compare\",\"file\":\"/a.vmo\",\"view\":\"A\"}", &r), 0);
	assert_string_equal(r.view, "A");
	assert_int_equal(parse("{\"op\":\"load\",\"view\":\"A\",\"file\":\"/a\",\"continue\":true,"
			       "\"prefault\":\"used\"}", &r), 0);
	assert_int_equal(r.flags, HYPR_LOAD_TIME_CONTINUE | HYPR_LOAD_PREFAULT_USED);
	assert_int_equal(parse("{\"op\":\"load\",\"view\":\"A\",\"file\":\"/a\","
			       "\"prefault\":\"record\"}", &r), 0);
	assert_int_equal(r.flags, HYPR_LOAD_RECORD);
	assert_int_equal(parse("{\"op\":\"load\",\"view\":\"A\",\"file\":\"/a\","
			       "\"prefault\":\"all\"}", &r), 0);
	assert_int_equal(r.flags, 0);
	assert_int_equal(parse("{\"op\":\"working-set\"}", &r), 0);
	assert_string_equal(r.file, "");
	assert_int_equal(parse("{\"op\":\"working-set\",\"view\":\"A\",\"file\":\"/a.ws\","
			       "\"replace\":true}", &r), 0);
	assert_int_equal(r.flags, HYPR_SAVE_REPLACE);
	assert_int_equal(parse("{\"op\":\"save\",\"file\":\"/a\",\"compress\":true,"
			       "\"progress\":true}", &r), 0);
	assert_int_equal(r.flags, HYPR_SAVE_COMPRESS);
	assert_true(r.progress);
	assert_int_equal(parse("{\"op\":\"save\",\"file\":\"/a\",\"progress\":false}", &r), 0);
	assert_false(r.progress);
	assert_int_equal(parse("{\"op\":\"translate\",\"gva\":\"0xffffffff81000000\"}", &r), 0);
	assert_int_equal(r.op, HYPR_OP_TRANSLATE);
	assert_int_equal(r.gva, 0xffffffff81000000);
	assert_int_equal(r.paging.size, sizeof(r.paging));
	assert_int_equal(r.paging.flags, 0);
	assert_int_equal(parse("{\"op\":\"translate\",\"gva\":\"0x0\",\"cr3\":\"0x1f000\","
			       "\"vcpu\":3,\"view\":\"A\"}", &r), 0);
	assert_int_equal(r.gva, 0);
	assert_int_equal(r.paging.flags, HYPR_PAGING_CR3);
	assert_int_equal(r.paging.cr3, 0x1f000);
	assert_int_equal(r.paging.vcpu, 3);
	assert_string_equal(r.view, "A");
	assert_int_equal(parse("{\"op\":\"reset\",\"view\":\"A\",\"way\":\"spare\"}", &r), 0);
	assert_int_equal(r.flags, HYPR_RESET_ONLY(HYPR_RESET_SPARE));
	assert_false(r.spare);
	assert_int_equal(parse("{\"op\":\"snapshot\",\"view\":\"A\",\"spare\":true}", &r), 0);
	assert_true(r.spare);
	assert_int_equal(r.flags, 0);
	assert_int_equal(parse("{\"op\":\"load\",\"view\":\"A\",\"file\":\"/a\",\"spare\":true,"
			       "\"continue\":true}", &r), 0);
	assert_true(r.spare);
	assert_int_equal(r.flags, HYPR_LOAD_TIME_CONTINUE);
	assert_int_equal(parse("{\"op\":\"mem\"}", &r), 0);
	assert_int_equal(r.op, HYPR_OP_MEM);
	assert_false(r.runs);
	assert_int_equal(parse("{\"op\":\"mem\",\"view\":\"A\",\"runs\":true}", &r), 0);
	assert_true(r.runs);
	assert_int_equal(r.flags, 0);
	assert_string_equal(r.view, "A");
}

static void test_request_is_refused(void **ctx)
{
	static const char *const bad[] = {
		"", "{", "null", "[]", "\"info\"", "{}", "{\"op\":1}", "{\"op\":\"fly\"}",
		"{\"op\":\"info\"} x", "{\"op\":\"info\",\"op\":\"stop\"}",
		"{\"op\":\"info\",\"view\":\"A\"}", "{\"op\":\"swap\"}",
		"{\"op\":\"swap\",\"view\":\"\"}", "{\"op\":\"swap\",\"view\":7}",
		"{\"op\":\"swap\",\"view\":\"A\",\"reset\":1}",
		"{\"op\":\"swap\",\"view\":\"A\",\"rest\":true}",
		"{\"op\":\"reset\",\"view\":\"A\",\"way\":\"auto\"}",
		"{\"op\":\"reset\",\"view\":\"A\",\"way\":2}",
		"{\"op\":\"verify\",\"view\":\"A\",\"way\":\"drop\"}",
		"{\"op\":\"snapshot\",\"view\":\"A\",\"spare\":1}",
		"{\"op\":\"swap\",\"view\":\"A\",\"spare\":true}",
		"{\"op\":\"reset\",\"view\":\"A\",\"force\":true}",
		"{\"op\":\"compare\"}", "{\"op\":\"compare\",\"view\":\"A\"}",
		"{\"op\":\"compare\",\"file\":\"a.vmo\"}",
		"{\"op\":\"load\",\"view\":\"A\",\"file\":\"/a\",\"prefault\":\"some\"}",
		"{\"op\":\"load\",\"view\":\"A\",\"file\":\"/a\",\"prefault\":true}",
		"{\"op\":\"save\",\"file\":\"/a\",\"prefault\":\"used\"}",
		"{\"op\":\"working-set\",\"file\":\"a.ws\"}",
		"{\"op\":\"working-set\",\"compress\":true}",
		"{\"op\":\"translate\"}", "{\"op\":\"translate\",\"gva\":4096}",
		"{\"op\":\"translate\",\"gva\":\"4096\"}", "{\"op\":\"translate\",\"gva\":\"0x\"}",
		"{\"op\":\"translate\",\"gva\":\"0x1g\"}",
		"{\"op\":\"translate\",\"gva\":\"0x10000000000000000\"}",
		"{\"op\":\"translate\",\"gva\":\"0x-1\"}",
		"{\"op\":\"translate\",\"gva\":\"0x0x1\"}",
		"{\"op\":\"translate\",\"gva\":\"0x1\",\"cr3\":1}",
		"{\"op\":\"translate\",\"gva\":\"0x1\",\"vcpu\":-1}",
		"{\"op\":\"translate\",\"gva\":\"0x1\",\"vcpu\":4294967296}",
		"{\"op\":\"info\",\"gva\":\"0x1\"}", "{\"op\":\"mem\",\"runs\":1}",
		"{\"op\":\"mem\",\"gva\":\"0x1\"}", "{\"op\":\"save\",\"file\":\"/a\",\"runs\":true}",
		"{\"op\":\"pause\",\"force\":true}", "\xff\xfe", "{\"op\":\"\xff\"}",
	};
	struct hypr_request r;
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i], &r), -EINVAL);
		assert_int_not_equal(hypr_error()[0], 0);
	}
}

static void test_request_has_a_longest(void **ctx)
{
	char text[HYPR_LINE_MAX + 100], view[200];
	struct hypr_request r;

	(void)ctx;
	memset(text, ' ', sizeof(text));
	assert_int_equal(hypr_request_parse(text, sizeof(text), &r), -EINVAL);
	memset(view, 'x', sizeof(view) - 1);
	view[sizeof(view) - 1] = '\0';
	snprintf(text, sizeof(text), "{\"op\":\"swap\",\"view\":\"%s\"}", view);
	assert_int_equal(parse(text, &r), -EINVAL);
	/* Nested as deep as it goes. */
	memset(text, '[', HYPR_LINE_MAX - 1);
	assert_int_equal(hypr_request_parse(text, HYPR_LINE_MAX - 1, &r), -EINVAL);
}

/* ---- answers ------------------------------------------------------------- */

static json_t *ask(struct hypr_vm *vm, const char *text)
{
	struct hypr_request request;
	json_t *answer;
	bool stop;
	char *line;

	assert_int_equal(parse(text, &request), 0);
	line = hypr_request_serve(vm, &request, &stop);
	assert_non_null(line);
	assert_null(strchr(line, '\n'));
	answer = json_loads(line, 0, NULL);
	assert_non_null(answer);
	free(line);
	return answer;
}

static void test_answer_names_vm_and_engine(void **ctx)
{
	struct hypr_vm *vm = fake_vm_create(2);
	json_t *answer = ask(vm, "{\"op\":\"info\"}");

	(void)ctx;
	assert_true(json_is_true(json_object_get(answer, "ok")));
	assert_string_equal(json_string_value(json_object_get(answer, "vm")), "fake");
	assert_string_equal(json_string_value(json_object_get(answer, "engine")), "ept-swap");
	assert_string_equal(json_string_value(json_object_get(answer, "state")), "running");
	assert_int_equal(json_integer_value(json_object_get(answer, "vcpus")), 2);
	json_decref(answer);
	answer = ask(vm, "{\"op\":\"views\"}");
	assert_int_equal(json_array_size(json_object_get(answer, "views")), 1);
	json_decref(answer);
	fake_vm_destroy(vm);
}

static void test_answer_tells_what_failed(void **ctx)
{
	struct hypr_vm *vm = fake_vm_create(1);
	json_t *answer = ask(vm, "{\"op\":\"swap\",\"view\":\"B\"}");

	(void)ctx;
	assert_true(json_is_false(json_object_get(answer, "ok")));
	assert_int_equal(json_integer_value(json_object_get(answer, "errno")), ENOENT);
	assert_string_equal(json_string_value(json_object_get(answer, "error")),
			    "no view 'B': there is boot");
	json_decref(answer);
	answer = ask(vm, "{\"op\":\"snapshot\",\"view\":\"../x\"}");
	assert_int_equal(json_integer_value(json_object_get(answer, "errno")), EINVAL);
	json_decref(answer);
	answer = ask(vm, "{\"op\":\"snapshot\",\"view\":\"boot\"}");
	assert_int_equal(json_integer_value(json_object_get(answer, "errno")), EEXIST);
	json_decref(answer);
	answer = ask(vm, "{\"op\":\"resume\"}");
	assert_int_equal(json_integer_value(json_object_get(answer, "errno")), EALREADY);
	json_decref(answer);
	fake_vm_destroy(vm);
}

/* ---- server and client --------------------------------------------------- */

struct fixture {
	char dir[64];
	char path[128];
	struct hypr_vm *vm;
	struct hypr_server *server;
};

static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/hypr-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	setenv("HYPR_RUNTIME_DIR", f->dir, 1);
	snprintf(f->path, sizeof(f->path), "%s/fake.sock", f->dir);
	f->vm = fake_vm_create(1);
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;

	hypr_server_stop(f->server);
	/* Nothing may be left behind. */
	assert_int_equal(rmdir(f->dir), 0);
	fake_vm_destroy(f->vm);
	free(f);
	return 0;
}

static int count_vm(void *arg, const char *vm)
{
	assert_string_equal(vm, "fake");
	++*(int *)arg;
	return 0;
}

static void test_server_answers(void **ctx)
{
	struct fixture *f = *ctx;
	struct stat st;
	char *answer;
	int n = 0;

	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"info\"}", &answer), 0);
	assert_non_null(strstr(answer, "\"ok\":true"));
	free(answer);
	assert_int_equal(hypr_client_call("fake", "nonsense", &answer), 0);
	assert_non_null(strstr(answer, "\"ok\":false"));
	free(answer);
	assert_int_equal(hypr_client_list(count_vm, &n), 1);
	assert_int_equal(n, 1);
	assert_int_equal(hypr_client_call("other", "{}", &answer), -ESRCH);
	assert_int_equal(hypr_client_call("../fake", "{}", &answer), -EINVAL);
}

static void test_server_refuses_a_second_of_its_name(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_server *second;
	char *answer;

	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	assert_int_equal(hypr_server_start(f->vm, &second), -EADDRINUSE);
	assert_null(second);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"info\"}", &answer), 0);
	free(answer);
}

/* A socket that nobody listens on any more. */
static void make_stale(const struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, f->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

static void test_stale_socket_is_replaced(void **ctx)
{
	struct fixture *f = *ctx;
	char *answer;

	make_stale(f);
	assert_int_equal(hypr_client_call("fake", "{}", &answer), -ESRCH);
	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"info\"}", &answer), 0);
	free(answer);
}

static void test_stale_socket_is_not_listed(void **ctx)
{
	struct fixture *f = *ctx;
	int n = 0;

	make_stale(f);
	assert_int_equal(hypr_client_list(count_vm, &n), 0);
	assert_int_equal(access(f->path, F_OK), -1);
}

/* What a VM's process has when it is stopped: others wait, nobody accepts. */
struct stopped {
	int listen_fd;
	int waiting[16];
	unsigned int nr;
	char path[128];
};

static void make_stopped(const struct fixture *f, struct stopped *s)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(s->path, sizeof(s->path), "%s/stopped.sock", f->dir);
	strcpy(address.sun_path, s->path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	s->listen_fd = fd;
	for (s->nr = 0; s->nr < ARRAY_SIZE(s->waiting); s->nr++) {
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		s->waiting[s->nr] = fd;
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			break;
	}
	assert_int_equal(errno, EAGAIN);
	s->nr++;
}

static void end_stopped(struct stopped *s)
{
	while (s->nr)
		close(s->waiting[--s->nr]);
	close(s->listen_fd);
	unlink(s->path);
}

static int count_any(void *arg, const char *vm)
{
	(void)vm;
	++*(int *)arg;
	return 0;
}

static void test_stopped_vm_blocks_no_other(void **ctx)
{
	struct fixture *f = *ctx;
	struct stopped s;
	char *answer;
	int n = 0;

	make_stopped(f, &s);
	alarm(30);
	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"info\"}", &answer), 0);
	free(answer);
	assert_int_equal(hypr_client_list(count_any, &n), 2);
	/* It counts as one that runs, and a call to it has an end. */
	assert_int_equal(hypr_client_check("stopped"), 0);
	assert_int_equal(hypr_client_check("fake"), 0);
	assert_int_equal(hypr_client_check("other"), -ESRCH);
	assert_int_equal(hypr_client_call_within("stopped", "{}", 200, &answer), -ETIMEDOUT);
	assert_non_null(strstr(hypr_error(), "VM 'stopped' accepts no connections"));
	alarm(0);
	end_stopped(&s);
}

static void test_vm_that_does_not_answer(void **ctx)
{
	struct fixture *f = *ctx;
	struct stopped s;
	char *answer, words[64];

	make_stopped(f, &s);
	/* Room for one. */
	close(accept(s.listen_fd, NULL, NULL));
	alarm(30);
	assert_int_equal(hypr_client_call_within("stopped", "{}", 200, &answer), -ETIMEDOUT);
	alarm(0);
	snprintf(words, sizeof(words), "within 1 s; its process, %d, is busy", (int)getpid());
	assert_non_null(strstr(hypr_error(), words));
	end_stopped(&s);
}

static void test_locked_folder_is_not_waited_for(void **ctx)
{
	struct fixture *f = *ctx;
	int fd = open(f->dir, O_RDONLY | O_DIRECTORY), n = 0;

	assert_int_equal(flock(fd, LOCK_EX), 0);
	alarm(30);
	assert_int_equal(hypr_client_list(count_any, &n), -ETIMEDOUT);
	assert_non_null(strstr(hypr_error(), "locked for 5 s"));
	alarm(0);
	close(fd);
}

/* Whatever is of a socket's name and is none stays. */
static void test_other_files_stay(void **ctx)
{
	struct fixture *f = *ctx;
	int fd = open(f->path, O_WRONLY | O_CREAT, 0600), n = 0;

	close(fd);
	assert_int_equal(hypr_client_list(count_any, &n), 0);
	assert_int_equal(access(f->path, F_OK), 0);
	assert_int_equal(hypr_server_start(f->vm, &f->server), -EADDRINUSE);
	unlink(f->path);
}

static int connect_raw(const struct fixture *f);

/* What others could put into the folder is not gone by. */
static void test_folder_of_others_is_refused(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_server *none;
	char link[80], name[200] = "", *answer;
	int n = 0;

	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	assert_int_equal(chmod(f->dir, 0720), 0);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"info\"}", &answer), -EPERM);
	assert_non_null(strstr(hypr_error(), "others may write to it (mode 720): chmod go-w"));
	assert_int_equal(hypr_client_list(count_any, &n), -EPERM);
	assert_int_equal(hypr_client_check("fake"), -EPERM);
	assert_int_equal(hypr_server_start(f->vm, &none), -EPERM);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(hypr_client_check("fake"), 0);
	/* By another's symbolic link. */
	snprintf(link, sizeof(link), "%s-link", f->dir);
	assert_int_equal(symlink(f->dir, link), 0);
	setenv("HYPR_RUNTIME_DIR", link, 1);
	assert_int_equal(hypr_client_check("fake"), -ENOTDIR);
	/* A path that no socket's address can hold. */
	memset(name, 'x', sizeof(name) - 1);
	name[0] = '/';
	setenv("HYPR_RUNTIME_DIR", name, 1);
	assert_int_equal(hypr_client_check("fake"), -ENAMETOOLONG);
	setenv("HYPR_RUNTIME_DIR", f->dir, 1);
	unlink(link);
	if (geteuid())
		return;
	assert_int_equal(chown(f->dir, 12345, (gid_t)-1), 0);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"info\"}", &answer), -EPERM);
	assert_non_null(strstr(hypr_error(), "belongs to user 12345, not to you (0)"));
	assert_int_equal(hypr_client_list(count_any, &n), -EPERM);
	assert_int_equal(chown(f->dir, 0, (gid_t)-1), 0);
}

/* Even if the socket's mode let them: no other user is answered, nor asked. */
static void test_other_users_are_refused(void **ctx)
{
	struct fixture *f = *ctx;
	int fds[2], status, fd;
	char *answer, c;
	pid_t pid;

	if (geteuid()) {
		print_message("# not root: no other user to try it as\n");
		skip();
	}
	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(chmod(f->path, 0666), 0);
	pid = fork();
	if (!pid) {
		alarm(30);
		/* The other end may be gone before the request is written. */
		signal(SIGPIPE, SIG_IGN);
		if (setuid(12345))
			_exit(2);
		fd = connect_raw(f);
		_exit(write(fd, "{\"op\":\"stop\"}\n", 14) < 0 || read(fd, &c, 1) <= 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(hypr_vm_wait(f->vm, 0), -ETIMEDOUT);
	hypr_server_stop(f->server);
	f->server = NULL;

	/* A socket that another user has planted. */
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(chmod(f->dir, 0777), 0);
	pid = fork();
	if (!pid) {
		struct sockaddr_un address = { .sun_family = AF_UNIX };

		strcpy(address.sun_path, f->path);
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (setuid(12345) || bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
		    listen(fd, 5) || write(fds[1], "x", 1) != 1)
			_exit(2);
		pause();
	}
	assert_int_equal(read(fds[0], &c, 1), 1);
	assert_int_equal(chmod(f->dir, 0755), 0);
	assert_int_equal(hypr_client_call_within("fake", "{}", 1000, &answer), -EACCES);
	assert_non_null(strstr(hypr_error(), "another user's"));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(f->path);
	close(fds[0]);
	close(fds[1]);
}

static int connect_raw(const struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(address.sun_path, f->path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void test_server_takes_requests_in_pieces(void **ctx)
{
	static const char text[] = "{\"op\":\"info\"}\n{\"op\":\"views\"}\n";
	struct fixture *f = *ctx;
	char buf[4096] = "";
	size_t i, len = 0;
	ssize_t n;
	int fd;

	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	fd = connect_raw(f);
	for (i = 0; i < strlen(text); i += 5)
		assert_true(write(fd, text + i, strlen(text) - i < 5 ? strlen(text) - i : 5) > 0);
	while (!strstr(buf, "\"views\":[")) {
		n = read(fd, buf + len, sizeof(buf) - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
	}
	assert_non_null(strstr(buf, "\"state\":"));
	close(fd);
}

static void test_server_hangs_up_on_endless_lines(void **ctx)
{
	struct fixture *f = *ctx;
	char junk[HYPR_LINE_MAX], c;
	char *answer;
	int fd;

	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	fd = connect_raw(f);
	memset(junk, 'x', sizeof(junk));
	assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
	assert_true(read(fd, &c, 1) <= 0);
	close(fd);
	/* And serves others as before. */
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"info\"}", &answer), 0);
	free(answer);
}

/* They make room, those that have been silent for longest. */
static void test_server_outlives_silent_clients(void **ctx)
{
	struct fixture *f = *ctx;
	char *answer, c;
	int fd[100];
	size_t i;

	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	alarm(30);
	for (i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = connect_raw(f);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"info\"}", &answer), 0);
	free(answer);
	assert_int_equal(read(fd[0], &c, 1), 0);
	/* The last of them has been heard of last. */
	assert_int_equal(write(fd[i - 1], "{\"op\":\"info\"}\n", 14), 14);
	assert_int_equal(read(fd[i - 1], &c, 1), 1);
	alarm(0);
	for (i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
}

/* Many answers, none of which is taken. */
static void test_server_outlives_clients_that_do_not_read(void **ctx)
{
	static const char text[] = "{\"op\":\"views\"}\n";
	struct fixture *f = *ctx;
	char *answer;
	int fd, i;

	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	fd = connect_raw(f);
	for (i = 0; i < 20000; i++) {
		if (send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			break;
	}
	alarm(30);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"views\"}", &answer), 0);
	alarm(0);
	free(answer);
	close(fd);
}

static void *ask_for_views(void *arg)
{
	char *answer = NULL;

	assert_int_equal(hypr_client_call("fake", "{\"op\":\"views\"}", &answer), 0);
	*(bool *)arg = strstr(answer, "\"ok\":true") != NULL;
	free(answer);
	return NULL;
}

/* An operation that takes long: the VM can be looked at, and told to end. */
static void test_busy_vm_answers(void **ctx)
{
	struct fixture *f = *ctx;
	bool viewed = false;
	pthread_t thread;
	char *answer;

	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	pthread_mutex_lock(&f->vm->op_lock);
	pthread_create(&thread, NULL, ask_for_views, &viewed);
	alarm(30);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"info\"}", &answer), 0);
	assert_non_null(strstr(answer, "\"state\":\"busy\""));
	assert_non_null(strstr(answer, "\"pid\":"));
	assert_null(strstr(answer, "active_view"));
	free(answer);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"stop\"}", &answer), 0);
	assert_non_null(strstr(answer, "\"ok\":true"));
	free(answer);
	assert_int_equal(hypr_vm_wait(f->vm, 0), 0);
	pthread_mutex_unlock(&f->vm->op_lock);
	pthread_join(thread, NULL);
	alarm(0);
	assert_true(viewed);
}

static uint64_t cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void test_server_waits_for_descriptors(void **ctx)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), filler[256], nr = 0;
	struct rlimit old, few;
	struct fixture *f = *ctx;
	uint64_t before;
	char c;

	strcpy(address.sun_path, f->path);
	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 200;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (nr < 256 && (filler[nr] = dup(fd)) >= 0)
		nr++;
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	before = cpu_ms();
	usleep(1000000);
	before = cpu_ms() - before;
	while (nr)
		close(filler[--nr]);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_true(before < 300);
	/* And then it is served. */
	alarm(30);
	assert_int_equal(write(fd, "{\"op\":\"info\"}\n", 14), 14);
	assert_int_equal(read(fd, &c, 1), 1);
	alarm(0);
	close(fd);
}

static void test_stop_ends_the_vm(void **ctx)
{
	struct fixture *f = *ctx;
	char *answer;

	assert_int_equal(hypr_server_start(f->vm, &f->server), 0);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"stop\"}", &answer), 0);
	assert_non_null(strstr(answer, "\"ok\":true"));
	free(answer);
	assert_int_equal(hypr_vm_wait(f->vm, -1), 0);
	assert_int_equal(hypr_client_call("fake", "{\"op\":\"pause\"}", &answer), 0);
	assert_non_null(strstr(answer, "stopped"));
	free(answer);
}

static void test_names(void **ctx)
{
	(void)ctx;
	assert_int_equal(hypr_name_check("vm-1.a_B"), 0);
	assert_int_equal(hypr_name_check("1234567890123456789012345678901"), 0);
	assert_int_equal(hypr_name_check("12345678901234567890123456789012"), -EINVAL);
	assert_int_equal(hypr_name_check(""), -EINVAL);
	assert_int_equal(hypr_name_check(NULL), -EINVAL);
	assert_int_equal(hypr_name_check("a/b"), -EINVAL);
	assert_int_equal(hypr_name_check(".."), -EINVAL);
	assert_int_equal(hypr_name_check("-x"), -EINVAL);
	assert_int_equal(hypr_name_check("a b"), -EINVAL);
	assert_int_equal(hypr_name_check("\xc3\xa4"), -EINVAL);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request_is_understood),
		cmocka_unit_test(test_request_is_refused),
		cmocka_unit_test(test_request_has_a_longest),
		cmocka_unit_test(test_answer_names_vm_and_engine),
		cmocka_unit_test(test_answer_tells_what_failed),
		cmocka_unit_test(test_names),
		T(test_server_answers),
		T(test_server_refuses_a_second_of_its_name),
		T(test_stale_socket_is_replaced),
		T(test_stale_socket_is_not_listed),
		T(test_stopped_vm_blocks_no_other),
		T(test_vm_that_does_not_answer),
		T(test_locked_folder_is_not_waited_for),
		T(test_other_files_stay),
		T(test_folder_of_others_is_refused),
		T(test_other_users_are_refused),
		T(test_server_takes_requests_in_pieces),
		T(test_server_hangs_up_on_endless_lines),
		T(test_server_outlives_silent_clients),
		T(test_server_outlives_clients_that_do_not_read),
		T(test_busy_vm_answers),
		T(test_server_waits_for_descriptors),
		T(test_stop_ends_the_vm),
	};

	return cmocka_run_group_tests_name("protocol", tests, NULL, NULL) ? 1 : 0;
}
