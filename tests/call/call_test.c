// SPDX-License-Identifier: GPL-2.0-only
/*
 * Function VMs on a real KVM: results, errors, that calls leave nothing behind, and
 * callers side by side.  Runs on this machine and on the emulated PC; HYPR_TEST_ENGINE
 * is the engine, HYPR_CALL_FILES the folder of the function files, HYPR_CALLS how many
 * calls look for what an earlier one left.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypr/func.h"
#include "hypr/hypr.h"
#include "tests/guest/tap.h"

#define ROOM		(64 << 10)
#define TIMEOUT_MS	20000	/* of calls that are to be done; an emulator is slow */

static char out[ROOM];

static const char *engine(void)
{
	return getenv("HYPR_TEST_ENGINE") ?: HYPR_ENGINE_STOCK;
}

static unsigned int calls(void)
{
	const char *text = getenv("HYPR_CALLS");

	return text ? (unsigned int)strtoul(text, NULL, 0) : 100;
}

static const char *path(const char *name)
{
	static char text[256];

	snprintf(text, sizeof(text), "%s/%s.elf", getenv("HYPR_CALL_FILES") ?: "out/guests/call",
		 name);
	return text;
}

static struct hypr_func_config config_of(const char *name)
{
	struct hypr_func_config config = HYPR_FUNC_CONFIG_INIT;

	if (access("/dev/kvm", R_OK | W_OK))
		skip("no /dev/kvm that may be used");
	config.path = path(name);
	config.engine = engine();
	config.timeout_ms = TIMEOUT_MS;
	return config;
}

static struct hypr_func *load(const struct hypr_func_config *config)
{
	struct hypr_func *func = NULL;
	int ret = hypr_func_open(config, &func);

	if (ret)
		FAIL("hypr_func_open: %d: %s", ret, hypr_error());
	return func;
}

static struct hypr_func *open_func(const char *name)
{
	struct hypr_func_config config = config_of(name);

	return load(&config);
}

/* The input is text; the output goes to @out. */
static int call(struct hypr_func *func, const char *in, struct hypr_call_result *result)
{
	const struct hypr_call_params params = {
		.size = sizeof(params),
		.in = in,
		.in_bytes = strlen(in),
		.out = out,
		.out_room = sizeof(out),
	};

	return hypr_func_call(func, &params, result);
}

static void check_upper(struct hypr_func *func)
{
	struct hypr_call_result result;

	CHECK_RET(call(func, "Hello, World 1", &result), 0);
	CHECK_EQ(result.out_bytes, 14);
	CHECK(!memcmp(out, "HELLO, WORLD 1", 14));
	CHECK_EQ(result.value, 0);
	CHECK_EQ(result.cause, HYPR_CALL_OK);
}

static void check_verbs(struct hypr_func *func)
{
	struct hypr_call_result result;

	CHECK_RET(call(func, "value 7", &result), 0);
	CHECK_EQ(result.value, 7);
}

/* ---- results ------------------------------------------------------------- */

static void test_output_is_what_the_function_wrote(void)
{
	struct hypr_func *func = open_func("upper");

	check_upper(func);
	check_upper(func);
	CHECK(!strcmp(hypr_func_engine_name(func), engine()));
	hypr_func_close(func);
}

static void test_each_call_has_what_init_made(void)
{
	struct hypr_func *func = open_func("checksum");
	struct hypr_call_result result;
	int i;

	/* The check value of this CRC, as its catalogues have it. */
	for (i = 0; i < 3; i++) {
		CHECK_RET(call(func, "123456789", &result), 0);
		CHECK_EQ(result.out_bytes, 9);
		CHECK(!memcmp(out, "cbf43926\n", 9));
	}
	hypr_func_close(func);
}

static void test_sizes_at_their_limits_work(void)
{
	struct hypr_func_config config = config_of("upper");
	struct hypr_call_params params = { .size = sizeof(params), .in_bytes = 8192, .out = out };
	struct hypr_call_result result;
	static char in[8193];
	struct hypr_func *func;

	config.in_max = 8192;
	config.out_max = 8192;
	func = load(&config);
	memset(in, 'x', sizeof(in));
	params.in = in;
	params.out_room = 8192;
	CHECK_RET(hypr_func_call(func, &params, &result), 0);
	CHECK_EQ(result.out_bytes, 8192);
	CHECK_EQ(out[8191], 'X');
	params.in_bytes = 0;
	params.in = NULL;
	params.out = NULL;
	params.out_room = 0;
	CHECK_RET(hypr_func_call(func, &params, NULL), 0);
	hypr_func_close(func);
}

/* ---- errors -------------------------------------------------------------- */

static const struct wild {
	const char *verb;
	int ret;
	int cause;
	const char *words;
} wilds[] = {
	{ "null", -EFAULT, HYPR_CALL_POINTER, "a bad read of address 0x0, at 0x2" },
	{ "write-null", -EFAULT, HYPR_CALL_POINTER, "a bad write of address 0x8" },
	{ "write-code", -EFAULT, HYPR_CALL_POINTER, "a bad write of address 0x2" },
	{ "run-data", -EFAULT, HYPR_CALL_POINTER, "a bad execution of address" },
	{ "read-monitor", -EFAULT, HYPR_CALL_POINTER, "a bad read of address 0x6000" },
	{ "write-monitor", -EFAULT, HYPR_CALL_POINTER, "a bad write of address 0x4000" },
	{ "write-tables", -EFAULT, HYPR_CALL_POINTER, "a bad write of address 0xd000" },
	{ "run-monitor", -EFAULT, HYPR_CALL_POINTER, "a bad execution of address 0x8000" },
	{ "beyond", -EFAULT, HYPR_CALL_POINTER, "a bad read of address 0x40000000" },
	{ "stack", -EFAULT, HYPR_CALL_STACK, "(overflow" },
	{ "divide", -EFAULT, HYPR_CALL_DIVIDE, "a division by zero" },
	{ "cli", -EFAULT, HYPR_CALL_PRIVILEGED, "(run_wild+0x" },
	{ "hlt", -EFAULT, HYPR_CALL_PRIVILEGED, "a privileged instruction" },
	{ "cr3", -EFAULT, HYPR_CALL_PRIVILEGED, "a privileged instruction" },
	{ "wrmsr", -EFAULT, HYPR_CALL_PRIVILEGED, "a privileged instruction" },
	{ "out", -EFAULT, HYPR_CALL_PRIVILEGED, "a privileged instruction" },
	{ "noncanonical", -EFAULT, HYPR_CALL_PRIVILEGED, "not canonical" },
	{ "ud2", -EFAULT, HYPR_CALL_INSTRUCTION, "an instruction that a function VM has not" },
	{ "int3", -EFAULT, HYPR_CALL_EXCEPTION, "exception 3" },
	{ "abort", -ECANCELED, HYPR_CALL_ABORT, "as it was told?" },
	{ "free", -ECANCELED, HYPR_CALL_ABORT, "of what malloc() did not return" },
	{ "eat", -ECANCELED, HYPR_CALL_ABORT, "the heap is used up" },
	{ "grow", -ECANCELED, HYPR_CALL_ABORT, "the heap works" },
	{ "big 5000000", -ENOBUFS, HYPR_CALL_OUTPUT, "5000000 bytes of output" },
	{ "big 18446744073709551615", -ENOBUFS, HYPR_CALL_OUTPUT, "bytes of output" },
};

static void test_wild_functions_end_in_an_error(void)
{
	struct hypr_func *func = open_func("verbs");
	struct hypr_call_result result;
	size_t i;
	int ret;

	for (i = 0; i < sizeof(wilds) / sizeof(wilds[0]); i++) {
		const struct wild *wild = &wilds[i];

		ret = call(func, wild->verb, &result);
		if (ret != wild->ret || result.cause != wild->cause ||
		    !strstr(hypr_error(), wild->words))
			FAIL("%s: %d, cause %s: %s", wild->verb, ret,
			     hypr_call_cause_name(result.cause), hypr_error());
		check_verbs(func);
	}
	hypr_func_close(func);
}

static void test_faults_are_described(void)
{
	struct hypr_func *func = open_func("verbs");
	struct hypr_call_result result;

	CHECK_RET(call(func, "write-null", &result), -EFAULT);
	CHECK_EQ(result.vector, 14);
	CHECK_EQ(result.error_code, 6);
	CHECK_EQ(result.address, 8);
	CHECK(result.rip >= 0x200000 && result.rip < 0x202000);
	CHECK(!strncmp(result.symbol, "run_wild+0x", 11));
	CHECK_RET(call(func, "abort", &result), -ECANCELED);
	CHECK(!strcmp(result.reason, "as it was told?"));
	/* Privilege: no gate but the one of INT3 is the function's. */
	CHECK_RET(call(func, "int80", &result), -EFAULT);
	CHECK(result.vector == 13 || result.vector == 6);
	hypr_func_close(func);
}

/* The monitor keeps the SSE registers only; the processor must refuse what is wider. */
static void test_wide_registers_do_not_exist(void)
{
	struct hypr_func *func = open_func("verbs");
	struct hypr_call_result result;
	int ret = call(func, "avx", &result);

	hypr_func_close(func);
	if (!ret && result.value == 99)
		skip("this KVM runs AVX although CR4.OSXSAVE is clear");
	CHECK_RET(ret, -EFAULT);
	CHECK_EQ(result.cause, HYPR_CALL_INSTRUCTION);
}

static void test_loop_ends_at_its_limit(void)
{
	struct hypr_func *func = open_func("verbs");
	struct hypr_call_params params = {
		.size = sizeof(params), .in = "loop", .in_bytes = 4, .timeout_ms = 50,
	};
	struct hypr_call_result result;
	int i;

	for (i = 0; i < 3; i++) {
		CHECK_RET(hypr_func_call(func, &params, &result), -ETIMEDOUT);
		CHECK_EQ(result.cause, HYPR_CALL_TIMEOUT);
		CHECK(strstr(hypr_error(), "50 ms"));
		check_verbs(func);
	}
	hypr_func_close(func);
}

static void test_sizes_beyond_the_limits_are_refused(void)
{
	struct hypr_func_config config = config_of("verbs");
	struct hypr_call_params params = { .size = sizeof(params), .in = out, .in_bytes = 4097 };
	struct hypr_call_result result;
	struct hypr_func *func;

	config.in_max = 4096;
	config.out_max = 8192;
	func = load(&config);
	CHECK_RET(hypr_func_call(func, &params, &result), -EMSGSIZE);
	CHECK_RET(call(func, "big 8193", &result), -ENOBUFS);
	CHECK_EQ(result.out_bytes, 8193);
	params.in = "big 100";
	params.in_bytes = 7;
	params.out = out;
	params.out_room = 99;
	out[99] = '!';
	CHECK_RET(hypr_func_call(func, &params, &result), -ENOBUFS);
	CHECK_EQ(result.out_bytes, 100);
	CHECK_EQ(out[99], '!');
	check_verbs(func);
	hypr_func_close(func);
}

static void test_params_out_of_range_are_refused(void)
{
	struct hypr_func *func = open_func("verbs");
	struct hypr_call_params params = { .size = sizeof(params) }, bad;

	bad = params;
	bad.size = 8;
	CHECK_RET(hypr_func_call(func, &bad, NULL), -EINVAL);
	bad = params;
	bad.flags = 1;
	CHECK_RET(hypr_func_call(func, &bad, NULL), -EINVAL);
	bad = params;
	bad.in_bytes = 1;
	CHECK_RET(hypr_func_call(func, &bad, NULL), -EINVAL);
	bad = params;
	bad.out_room = 1;
	CHECK_RET(hypr_func_call(func, &bad, NULL), -EINVAL);
	bad = params;
	bad.timeout_ms = HYPR_FUNC_TIMEOUT_MAX_MS + 1;
	CHECK_RET(hypr_func_call(func, &bad, NULL), -EINVAL);
	CHECK_RET(hypr_func_call(func, &params, NULL), 0);
	hypr_func_close(func);
}

static void check_refused(const char *name, const char *at_engine, int want)
{
	struct hypr_func_config config = config_of(name);
	struct hypr_func *func = NULL;

	config.engine = at_engine;
	if (want == -ETIMEDOUT)
		config.timeout_ms = 50;
	CHECK_RET(hypr_func_open(&config, &func), want);
	CHECK(!func);
}

static void test_function_whose_init_fails_is_refused(void)
{
	check_refused("abort_init", engine(), -ECANCELED);
	CHECK(strstr(hypr_error(), "its init: the function aborted: no table"));
	check_refused("loop_init", engine(), -ETIMEDOUT);
	check_refused("other_abi", engine(), -ENOEXEC);
	check_refused("nowhere", engine(), -ENOENT);
}

static void test_engine_is_strict(void)
{
	struct hypr_func_config config = config_of("upper");
	struct hypr_func *func = NULL;
	int ret;

	config.engine = HYPR_ENGINE_EPT_SWAP;
	ret = hypr_func_open(&config, &func);
	if (!ret) {
		CHECK(!strcmp(hypr_func_engine_name(func), HYPR_ENGINE_EPT_SWAP));
		check_upper(func);
		hypr_func_close(func);
		note("this host has the HYPR kernel");
		return;
	}
	CHECK_RET(ret, -EOPNOTSUPP);
}

static void test_file_that_may_not_be_read_is_refused(void)
{
	struct hypr_func_config config = config_of("upper");
	char name[] = "/tmp/hypr-call-XXXXXX";
	struct hypr_func *func;
	int fd = mkstemp(name), ret;

	CHECK(fd >= 0);
	config.path = name;
	if (!geteuid())
		OK(seteuid(65534));
	else
		OK(fchmod(fd, 0));
	ret = hypr_func_open(&config, &func);
	if (geteuid() == 65534)
		OK(seteuid(0));
	unlink(name);
	CHECK_RET(ret, -EACCES);
}

static void test_memory_that_is_not_there_is_an_error(void)
{
	struct hypr_func_config config = config_of("upper");
	struct rlimit limit = { 64 << 20, 64 << 20 };
	struct hypr_func *func;

	config.heap_bytes = 400 << 20;
	OK(setrlimit(RLIMIT_AS, &limit));
	CHECK_RET(hypr_func_open(&config, &func), -ENOMEM);
}

/* KVM runs a VM in the process that made it, and nowhere else. */
static void test_child_of_fork_cannot_call(void)
{
	struct hypr_func *func = open_func("verbs");
	struct hypr_call_result result;
	int status;
	pid_t pid;

	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		_exit(call(func, "empty", &result) == -EIO &&
		      result.cause == HYPR_CALL_MACHINE ? 0 : 1);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	check_verbs(func);
	hypr_func_close(func);
}

/* ---- nothing is left ----------------------------------------------------- */

static void test_no_call_finds_what_another_wrote(void)
{
	struct hypr_func *func = open_func("verbs");
	struct hypr_call_result result;
	unsigned int i;

	for (i = 0; i < calls(); i++) {
		CHECK_RET(call(func, "state", &result), 0);
		if (result.value)
			FAIL("call %u: %d", i, result.value);
		/* .data, .bss, heap, output and stack: 128 KiB. */
		CHECK(result.pages_reset >= 28);
	}
	note("%u calls", i);
	hypr_func_close(func);
}

/* A call that fails plants as well: the fault comes after. */
static void test_failed_calls_leave_nothing(void)
{
	struct hypr_func *func = open_func("verbs");
	struct hypr_call_params params = {
		.size = sizeof(params), .in = "state", .in_bytes = 5, .out = out, .out_room = 8,
	};
	struct hypr_call_result result;
	int i;

	for (i = 0; i < 10; i++) {
		CHECK_RET(hypr_func_call(func, &params, &result), -ENOBUFS);
		CHECK_RET(call(func, "state", &result), 0);
		CHECK_EQ(result.value, 0);
	}
	hypr_func_close(func);
}

static void test_registers_are_the_same_in_each_call(void)
{
	struct hypr_func *func = open_func("regs");
	struct hypr_call_result result;
	int i;

	for (i = 0; i < 20; i++) {
		CHECK_RET(call(func, "", &result), 0);
		CHECK_EQ(result.value, 0);
	}
	hypr_func_close(func);
}

static void test_shorter_input_has_no_rest_of_a_longer_one(void)
{
	struct hypr_func *func = open_func("verbs");
	static char in[20000] = "tail";
	struct hypr_call_params params = { .size = sizeof(params), .in = in };
	struct hypr_call_result result;
	int i;

	memset(in + 4, 'x', sizeof(in) - 4);
	for (i = 0; i < 3; i++) {
		params.in_bytes = sizeof(in);
		CHECK_RET(hypr_func_call(func, &params, &result), 0);
		params.in_bytes = 4;
		CHECK_RET(hypr_func_call(func, &params, &result), 0);
		CHECK_EQ(result.value, 0);
	}
	hypr_func_close(func);
}

static unsigned int count_fds(const char *of)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	unsigned int nr = 0;
	char target[256];
	ssize_t n;

	CHECK(dir);
	while ((entry = readdir(dir))) {
		n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);
		if (n < 0)
			continue;
		target[n] = '\0';
		nr += strstr(target, of) != NULL;
	}
	closedir(dir);
	return nr;
}

static void test_close_gives_all_back(void)
{
	struct hypr_func *func = open_func("upper");
	unsigned int before;

	check_upper(func);
	CHECK_EQ(count_fds("kvm-vm"), 1);
	hypr_func_close(func);
	CHECK_EQ(count_fds("kvm"), 0);
	before = count_fds("");
	check_refused("abort_init", engine(), -ECANCELED);
	CHECK_EQ(count_fds(""), before);
}

/* ---- side by side -------------------------------------------------------- */

#define CALLERS		6
#define VMS		3

struct caller {
	pthread_t thread;
	struct hypr_func *func;
	unsigned int number;
	unsigned int rounds;
	unsigned int wrong;
};

/* Now and then a call that fails, and one that costs its VM. */
static void *caller_thread(void *arg)
{
	struct caller *caller = arg;
	char verb[32];
	struct hypr_call_params params = { .size = sizeof(params), .in = verb };
	struct hypr_call_result result;
	unsigned int i;
	int ret, want;

	for (i = 0; i < caller->rounds; i++) {
		want = 0;
		params.timeout_ms = 0;
		snprintf(verb, sizeof(verb), "value %u", caller->number * 1000 + i);
		if (i % 5 == 3) {
			want = -EFAULT;
			strcpy(verb, "null");
		} else if (i % 8 == 7) {
			want = -ETIMEDOUT;
			strcpy(verb, "loop");
			params.timeout_ms = 20 + caller->number;
		}
		params.in_bytes = strlen(verb);
		ret = hypr_func_call(caller->func, &params, &result);
		if (ret != want || (!ret && result.value != (int)(caller->number * 1000 + i)))
			caller->wrong++;
	}
	return NULL;
}

static void test_callers_share_a_pool(void)
{
	struct hypr_func_config config = config_of("verbs");
	struct caller caller[CALLERS];
	struct hypr_func *func;
	unsigned int i;

	config.vms = VMS;
	func = load(&config);
	for (i = 0; i < CALLERS; i++) {
		caller[i] = (struct caller){ .func = func, .number = i, .rounds = 24 };
		OK(pthread_create(&caller[i].thread, NULL, caller_thread, &caller[i]));
	}
	for (i = 0; i < CALLERS; i++) {
		OK(pthread_join(caller[i].thread, NULL));
		CHECK_EQ(caller[i].wrong, 0);
	}
	CHECK(count_fds("kvm-vm") <= VMS);
	check_verbs(func);
	hypr_func_close(func);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void test_signals_do_not_end_calls(void)
{
	struct hypr_func *func = open_func("verbs");
	struct sigaction sa = { .sa_handler = on_alarm };
	struct itimerval every = { { 0, 2000 }, { 0, 2000 } }, never = { 0 };
	int i;

	OK(sigaction(SIGALRM, &sa, NULL));
	OK(setitimer(ITIMER_REAL, &every, NULL));
	for (i = 0; i < 50; i++)
		check_verbs(func);
	OK(setitimer(ITIMER_REAL, &never, NULL));
	hypr_func_close(func);
}

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "output is what the function wrote", test_output_is_what_the_function_wrote },
		{ "each call has what init made", test_each_call_has_what_init_made },
		{ "sizes at their limits work", test_sizes_at_their_limits_work },
		{ "wild functions end in an error, and the next call works",
		  test_wild_functions_end_in_an_error },
		{ "faults are described", test_faults_are_described },
		{ "wide registers do not exist", test_wide_registers_do_not_exist },
		{ "a loop ends at its limit", test_loop_ends_at_its_limit },
		{ "sizes beyond the limits are refused",
		  test_sizes_beyond_the_limits_are_refused },
		{ "params out of range are refused", test_params_out_of_range_are_refused },
		{ "a function whose init fails is refused",
		  test_function_whose_init_fails_is_refused },
		{ "the engine is strict", test_engine_is_strict },
		{ "a file that may not be read is refused",
		  test_file_that_may_not_be_read_is_refused },
		{ "memory that is not there is an error",
		  test_memory_that_is_not_there_is_an_error },
		{ "a child of fork() cannot call", test_child_of_fork_cannot_call },
		{ "no call finds what another wrote", test_no_call_finds_what_another_wrote },
		{ "failed calls leave nothing", test_failed_calls_leave_nothing },
		{ "registers are the same in each call", test_registers_are_the_same_in_each_call },
		{ "a shorter input has no rest of a longer one",
		  test_shorter_input_has_no_rest_of_a_longer_one },
		{ "close gives all back", test_close_gives_all_back },
		{ "callers share a pool", test_callers_share_a_pool },
		{ "signals do not end calls", test_signals_do_not_end_calls },
	};

	return TAP_RUN(tests, argc, argv);
}
