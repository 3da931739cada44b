// SPDX-License-Identifier: GPL-2.0-only
/* Function VMs: each error, what it says, and that the next call works. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "hypr/hypr.h"
#include "tests/call/kit.h"
#include "tests/guest/tap.h"

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
	char place[160];

	CHECK_RET(call(func, "write-null", &result), -EFAULT);
	CHECK_EQ(result.vector, 14);
	CHECK_EQ(result.error_code, 6);
	CHECK_EQ(result.address, 8);
	CHECK(result.rip >= 0x200000 && result.rip < 0x202000);
	CHECK(!strncmp(result.symbol, "run_wild+0x", 11));
	CHECK(!strcmp(result.source, "verbs.c") && result.line);
	snprintf(place, sizeof(place), "at 0x%llx (%s, verbs.c:%u)", (unsigned long long)result.rip,
		 result.symbol, result.line);
	CHECK(strstr(hypr_error(), place));
	CHECK_RET(call(func, "abort", &result), -ECANCELED);
	CHECK(!strcmp(result.reason, "as it was told?"));
	CHECK(!strncmp(result.symbol, "run_wild", 8));	/* or run_wild.cold */
	/* The runtime names the line that asked, and not its own. */
	CHECK_RET(call(func, "free", &result), -ECANCELED);
	CHECK(!strcmp(result.source, "verbs.c") && result.line);
	CHECK_RET(call(func, "big 5000000", &result), -ENOBUFS);
	CHECK(!strcmp(result.source, "verbs.c") && result.line);
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

/* A second is enough for it to get there, however slow the machine is to begin with. */
static void test_loop_is_found(void)
{
	struct hypr_func *func = open_func("verbs");
	struct hypr_call_params params = {
		.size = sizeof(params), .in = "loop", .in_bytes = 4, .timeout_ms = 1000,
	};
	struct hypr_call_result result;

	CHECK_RET(hypr_func_call(func, &params, &result), -ETIMEDOUT);
	CHECK(!strcmp(result.source, "verbs.c") && result.line);
	CHECK(result.rip >= 0x200000 && strstr(hypr_error(), "1000 ms, at 0x"));
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
	if (!access("/dev/hyprv", F_OK)) {
		/* hyprv has VT-x, and KVM makes no VM. */
		CHECK_RET(ret, -ENODEV);
		CHECK(strstr(hypr_error(), "the module hyprv has VT-x"));
		return;
	}
	check_refused("upper", HYPR_ENGINE_HYPRV, -ENODEV);
	CHECK(strstr(hypr_error(), "/dev/hyprv (load the module hyprv as root"));
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

int main(int argc, char **argv)
{
	static const struct test tests[] = {
		{ "wild functions end in an error, and the next call works",
		  test_wild_functions_end_in_an_error },
		{ "faults are described", test_faults_are_described },
		{ "wide registers do not exist", test_wide_registers_do_not_exist },
		{ "a loop ends at its limit", test_loop_ends_at_its_limit },
		{ "an error says where a function loops", test_loop_is_found },
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
	};

	return TAP_RUN(tests, argc, argv);
}
