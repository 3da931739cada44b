// SPDX-License-Identifier: GPL-2.0-only
/*
 * Function VMs: results, that calls leave nothing behind, and callers side by side.
 * HYPR_CALLS is how many calls look for what an earlier one left.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "hypr/hypr.h"
#include "tests/call/kit.h"
#include "tests/guest/tap.h"

static unsigned int calls(void)
{
	const char *text = getenv("HYPR_CALLS");

	return text ? (unsigned int)strtoul(text, NULL, 0) : 100;
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
		/* .data, .bss, heap, output and stack: 8 KiB of each. */
		CHECK(result.pages_reset >= 10);
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

/* Of KVM and of hyprv. */
static unsigned int count_vms(void)
{
	return count_fds("anon_inode:kvm-vm") + count_fds("anon_inode:hyprv-vm");
}

static void test_close_gives_all_back(void)
{
	struct hypr_func *func = open_func("upper");
	unsigned int before;

	check_upper(func);
	CHECK_EQ(count_vms(), 1);
	hypr_func_close(func);
	/* Its output may be a file in a folder that is called so. */
	CHECK_EQ(count_fds("anon_inode:kvm") + count_fds("anon_inode:hyprv") +
		 count_fds("/dev/kvm") + count_fds("/dev/hyprv"), 0);
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
	CHECK(count_vms() <= VMS);
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
