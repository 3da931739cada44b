// SPDX-License-Identifier: GPL-2.0-only
/*
 * Running until something happens, guest requests, and memory and registers by the
 * library, on a KVM that is played.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "hypr/abi/request.h"
#include "hypr/run.h"
#include "lib/engine/engine.h"
#include "lib/model/state.h"
#include "lib/model/vcpu.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/view/view.h"
#include "played_vm.h"

#define BLOCK	0xa00000u		/* of the guest's request */
#define ROOM	0xa01000u	/* for its input */
#define TABLES	0x900000u
#define SECOND	0xa02000u	/* of the report that ends a run */
#define LIMIT	300000		/* microseconds */

static const struct hypr_run_params limited = { .size = sizeof(limited), .timeout_us = LIMIT };

static int setup(void **ctx)
{
	played_setup(ctx);
	((struct played *)*ctx)->vm->flags |= HYPR_VM_GUEST_REQUESTS;
	return 0;
}

static void pause_it(struct played *p)
{
	int ret = hypr_vm_pause(p->vm, NULL);

	assert_true(!ret || ret == -EALREADY);
}

static void put(struct played *p, uint64_t gpa, const void *from, size_t bytes)
{
	if (hypr_view_write(p->vm, NULL, gpa, from, bytes))
		fail_msg("%s", hypr_error());
}

/* What vCPU 0 does next, once. */
static void plan(uint32_t exit_reason, uint16_t port, uint32_t value)
{
	fake_kvm.port = port;
	fake_kvm.value = value;
	__atomic_store_n(&fake_kvm.exit_reason, exit_reason, __ATOMIC_SEQ_CST);
}

/* The paused VM's next request, whose block is at BLOCK. */
static void plan_request(struct played *p, uint32_t op, uint64_t value, uint64_t addr,
			 uint32_t bytes)
{
	const struct hypr_request block = {
		.op = op, .status = HYPR_REQUEST_UNANSWERED, .value = value, .addr = addr,
		.bytes = bytes,
	};

	put(p, BLOCK, &block, sizeof(block));
	plan(KVM_EXIT_IO, HYPR_REQUEST_PORT, BLOCK);
}

static struct hypr_request answer(struct played *p)
{
	struct hypr_request block;

	assert_int_equal(hypr_view_read(p->vm, NULL, BLOCK, &block, sizeof(block)), 0);
	return block;
}

static struct hypr_run_result run(struct played *p, const struct hypr_run_params *params,
				  int what)
{
	struct hypr_run_result result;
	struct hypr_vm_info info;

	if (hypr_vm_run(p->vm, params, &result))
		fail_msg("%s", hypr_error());
	assert_string_equal(hypr_run_name(result.what), hypr_run_name(what));
	hypr_vm_info(p->vm, &info);
	assert_int_equal(info.state, HYPR_VM_PAUSED);
	return result;
}

/* vCPU 0, which goes on when its request was served, or refused. */
static void report_next(void)
{
	fake_kvm.on_step = NULL;
	plan(KVM_EXIT_IO, HYPR_REQUEST_PORT, SECOND);
}

/* Run over what is planned, to the report of the next step. */
static struct hypr_run_result run_over(struct played *p, const struct hypr_run_params *params)
{
	const struct hypr_request block = {
		.op = HYPR_REQUEST_REPORT, .status = HYPR_REQUEST_UNANSWERED, .value = 0xd0e,
	};
	struct hypr_run_result result;

	put(p, SECOND, &block, sizeof(block));
	fake_kvm.on_step = report_next;
	result = run(p, params, HYPR_RUN_REPORT);
	assert_int_equal(result.value, 0xd0e);
	return result;
}

static void snapshot_and_swap(struct played *p, const char *name)
{
	assert_int_equal(hypr_view_snapshot(p->vm, name, NULL), 0);
	assert_int_equal(hypr_view_swap(p->vm, name, 0, NULL), 0);
}

static void assert_at_moment(struct played *p)
{
	struct hypr_verify_result verify;

	assert_int_equal(hypr_view_verify(p->vm, p->vm->active->name, &verify), 0);
	assert_int_equal(verify.pages_mismatched, 0);
}

/* ---- memory ---------------------------------------------------------------- */

static void test_memory_is_read_and_written(void **ctx)
{
	static const char text[] = "over the end of a page";
	struct played *p = *ctx;
	char got[sizeof(text)];

	put(p, 0x9ffa, text, sizeof(text));
	assert_int_equal(hypr_view_read(p->vm, "boot", 0x9ffa, got, sizeof(got)), 0);
	assert_string_equal(got, text);
	assert_memory_equal(p->vm->active->mem.host + 0x9ffa, text, sizeof(text));
	assert_true(fake_kvm_runs());
}

static void test_memory_beyond_bounds_is_refused(void **ctx)
{
	static const struct { uint64_t gpa; size_t bytes; } bad[] = {
		{ HYPR_MEM_MIN_BYTES, 1 }, { HYPR_MEM_MIN_BYTES - 1, 2 }, { UINT64_MAX, 1 },
		{ UINT64_MAX - 7, 16 }, { 0, HYPR_MEM_MIN_BYTES + 1 }, { 1, SIZE_MAX },
		{ HYPR_CONTROL_GPA, 1 }, { HYPR_CONTROL_GPA - 1, 2 },
		{ HYPR_CONTROL_GPA + HYPR_CONTROL_SIZE - 1, 2 },
	};
	struct played *p = *ctx;
	char byte[16] = "untouched";
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(hypr_view_read(p->vm, NULL, bad[i].gpa, byte, bad[i].bytes),
				 -EFAULT);
		assert_string_equal(byte, "untouched");
		assert_int_equal(hypr_view_write(p->vm, NULL, bad[i].gpa, byte, bad[i].bytes),
				 -EFAULT);
		assert_null(strchr(hypr_error(), '\n'));
	}
	put(p, HYPR_CONTROL_GPA - 1, byte, 1);
	put(p, HYPR_CONTROL_GPA + HYPR_CONTROL_SIZE, byte, 1);
	put(p, HYPR_MEM_MIN_BYTES, NULL, 0);
	assert_int_equal(hypr_view_read(p->vm, "none", 0, byte, 1), -ENOENT);
	assert_int_equal(hypr_vm_stop(p->vm), 0);
	assert_int_equal(hypr_view_read(p->vm, NULL, 0, byte, 1), -ESHUTDOWN);
	assert_int_equal(hypr_view_write(p->vm, NULL, 0, byte, 1), -ESHUTDOWN);
}

/* The kernel reports no page: it did not see the host write. */
static void test_reset_puts_back_what_the_host_wrote(void **ctx)
{
	struct hypr_reset_result reset;
	struct hypr_verify_result verify;
	struct played *p = *ctx;

	fake_kvm.tracks = true;
	snapshot_and_swap(p, "A");
	put(p, 0x9ff0, "0123456789abcdef0", 17);
	assert_int_equal(hypr_view_verify(p->vm, "A", &verify), 0);
	assert_int_equal(verify.pages_mismatched, 2);
	assert_int_equal(hypr_view_reset(p->vm, NULL, &reset), 0);
	assert_int_equal(reset.way, HYPR_RESET_COPY_BACK);
	assert_int_equal(reset.pages_restored, 2);
	assert_at_moment(p);
	/* Also into a view in which nothing runs. */
	assert_int_equal(hypr_view_swap(p->vm, "boot", 0, NULL), 0);
	assert_int_equal(hypr_view_write(p->vm, "A", 0x5000, "x", 1), 0);
	assert_int_equal(hypr_view_reset(p->vm, "A", &reset), 0);
	assert_int_equal(reset.pages_restored, 1);
	assert_int_equal(hypr_view_verify(p->vm, "A", &verify), 0);
	assert_int_equal(verify.pages_mismatched, 0);
}

static void test_memory_of_a_file(void **ctx)
{
	struct hypr_reset_result reset;
	struct played *p = *ctx;
	char got[12];

	put(p, 0x9ffa, "of a file..", 12);
	played_save(p, p->file);
	assert_int_equal(played_resurrect(p, p->file, 0), 0);
	fake_kvm.tracks = true;
	assert_int_equal(hypr_view_reset(p->vm, NULL, NULL), 0);
	assert_int_equal(hypr_view_read(p->vm, NULL, 0x9ffa, got, sizeof(got)), 0);
	assert_string_equal(got, "of a file..");
	put(p, 0x9ffc, "no", 2);
	assert_int_equal(hypr_view_read(p->vm, NULL, 0x9ffa, got, sizeof(got)), 0);
	assert_string_equal(got, "ofno file..");
	assert_int_equal(hypr_view_reset(p->vm, NULL, &reset), 0);
	assert_int_equal(reset.way, HYPR_RESET_COPY_BACK);
	assert_at_moment(p);
	assert_int_equal(truncate(p->file, 0), 0);
	assert_int_equal(hypr_view_read(p->vm, NULL, 0x9ffa, got, sizeof(got)), -EBADMSG);
	assert_int_equal(hypr_view_write(p->vm, NULL, 0x9ffa, got, sizeof(got)), -EBADMSG);
}

/* ---- registers ------------------------------------------------------------- */

static void test_registers(void **ctx)
{
	struct hypr_registers r = { .size = sizeof(r) }, again = { .size = sizeof(again) };
	struct played *p = *ctx;

	assert_int_equal(hypr_vcpu_get_registers(p->vm, 0, &r), -EBUSY);
	assert_int_equal(hypr_vcpu_set_registers(p->vm, 0, &r), -EBUSY);
	pause_it(p);
	assert_int_equal(hypr_vcpu_get_registers(p->vm, FAKE_VCPUS, &r), -EINVAL);
	assert_int_equal(hypr_vcpu_get_registers(p->vm, 1, &r), 0);
	assert_int_equal(r.rax, fake_kvm_count(1));
	r.rax = 1ull << 40;
	r.rip = 0x1234;
	r.cr3 = 0x7000;
	assert_int_equal(hypr_vcpu_set_registers(p->vm, 1, &r), 0);
	assert_int_equal(hypr_vcpu_get_registers(p->vm, 1, &again), 0);
	assert_memory_equal(&r, &again, sizeof(r));
	assert_int_equal(fake_kvm.vcpu[1].regs.rip, 0x1234);
	assert_int_equal(fake_kvm.vcpu[1].cr3, 0x7000);
	/* A snapshot of the paused VM has them. */
	snapshot_and_swap(p, "A");
	assert_int_equal(p->vm->active->moment->state->vcpu[1].regs.rip, 0x1234);
	again.cr8 = 16;
	again.rip = 0x5678;
	assert_int_equal(hypr_vcpu_set_registers(p->vm, 1, &again), -EINVAL);
	assert_int_equal(fake_kvm.vcpu[1].regs.rip, 0x1234);
	again.cr8 = 0;
	assert_int_equal(hypr_vcpu_set_registers(p->vm, 1, &again), 0);
	assert_int_equal(hypr_view_reset(p->vm, NULL, NULL), 0);
	assert_int_equal(fake_kvm.vcpu[1].regs.rip, 0x1234);
	r.reserved = 1;
	assert_int_equal(hypr_vcpu_set_registers(p->vm, 1, &r), -EINVAL);
	r.size = 8;
	assert_int_equal(hypr_vcpu_get_registers(p->vm, 1, &r), -EINVAL);
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	assert_true(fake_kvm_runs());
	assert_true(fake_kvm_count(1) > 1ull << 40);
	assert_int_equal(hypr_vm_stop(p->vm), 0);
	r.size = sizeof(r);
	assert_int_equal(hypr_vcpu_get_registers(p->vm, 1, &r), -ESHUTDOWN);
}

/* ---- runs ------------------------------------------------------------------ */

static void test_run_to_its_limit(void **ctx)
{
	struct played *p = *ctx;
	uint64_t was = fake_kvm_count(1);

	run(p, &limited, HYPR_RUN_TIMEOUT);
	assert_true(fake_kvm_count(1) > was);
	was = fake_kvm_count(1);
	run(p, &limited, HYPR_RUN_TIMEOUT);
	assert_true(fake_kvm_count(1) > was);
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	assert_true(fake_kvm_runs());
}

static void test_run_to_a_report(void **ctx)
{
	struct hypr_run_result result;
	struct played *p = *ctx;

	pause_it(p);
	plan_request(p, HYPR_REQUEST_REPORT, 0x123456789aull, 0, 0);
	result = run(p, NULL, HYPR_RUN_REPORT);
	assert_int_equal(result.value, 0x123456789aull);
	assert_int_equal(result.vcpu, 0);
	assert_int_equal(result.requests, 1);
	assert_int_equal(answer(p).status, HYPR_REQUEST_DONE);
	plan_request(p, HYPR_REQUEST_PANIC, 7, 0, 0);
	result = run(p, NULL, HYPR_RUN_CRASH);
	assert_int_equal(result.end, HYPR_END_PANIC);
	assert_int_equal(result.value, 7);
	assert_non_null(strstr(result.reason, "0x7"));
}

/* Each ends a VM; in a run it stops the VM, which a reset brings back. */
static void test_run_to_a_crash(void **ctx)
{
	static const struct {
		uint32_t exit_reason;
		uint16_t port;
		uint32_t value;
		int what, end;
	} crash[] = {
		{ KVM_EXIT_SHUTDOWN, 0, 0, HYPR_RUN_CRASH, HYPR_END_TRIPLE_FAULT },
		{ KVM_EXIT_INTERNAL_ERROR, 0, 0, HYPR_RUN_CRASH, HYPR_END_FAILED },
		{ KVM_EXIT_FAIL_ENTRY, 0, 0, HYPR_RUN_CRASH, HYPR_END_FAILED },
		{ KVM_EXIT_IO, 0x505, 1, HYPR_RUN_CRASH, HYPR_END_PANIC },
		{ KVM_EXIT_IO, 0x64, 0xfe, HYPR_RUN_QUIT, HYPR_END_RESET },
		{ KVM_EXIT_IO, 0xf4, 0, HYPR_RUN_QUIT, HYPR_END_EXIT },
		{ KVM_EXIT_IO, 0xf4, 3, HYPR_RUN_CRASH, HYPR_END_EXIT_FAILED },
	};
	struct hypr_run_result result;
	struct hypr_vm_info info;
	struct played *p = *ctx;
	uint64_t was;
	size_t i;

	pause_it(p);
	snapshot_and_swap(p, "A");
	was = p->vm->active->moment->state->vcpu[0].regs.rax;
	for (i = 0; i < ARRAY_SIZE(crash); i++) {
		plan(crash[i].exit_reason, crash[i].port, crash[i].value);
		result = run(p, NULL, crash[i].what);
		assert_int_equal(result.end, crash[i].end);
		assert_string_not_equal(result.reason, "");
		assert_int_equal(hypr_view_reset(p->vm, NULL, NULL), 0);
		assert_int_equal(fake_kvm_count(0), was);
		assert_at_moment(p);
	}
	run(p, &limited, HYPR_RUN_TIMEOUT);
	/* Outside of a run it ends the VM, as it always did. */
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	plan(KVM_EXIT_SHUTDOWN, 0, 0);
	assert_int_equal(hypr_vm_wait(p->vm, 5000), -EIO);
	hypr_vm_info(p->vm, &info);
	assert_int_equal(info.end, HYPR_END_TRIPLE_FAULT);
	assert_int_equal(hypr_vm_run(p->vm, &limited, &result), -ESHUTDOWN);
}

static void test_run_refuses(void **ctx)
{
	struct hypr_run_params params = limited;
	struct hypr_run_result result;
	struct played *p = *ctx;

	params.flags = HYPR_RUN_KEEP_PAUSED << 1;
	assert_int_equal(hypr_vm_run(p->vm, &params, &result), -EINVAL);
	params = limited;
	params.size--;
	assert_int_equal(hypr_vm_run(p->vm, &params, &result), -EINVAL);
	params = limited;
	params.input_bytes = 1ull << 32;
	assert_int_equal(hypr_vm_run(p->vm, &params, &result), -EINVAL);
	assert_true(fake_kvm_runs());
}

struct runner {
	struct hypr_vm *vm;
	int ret;
};

static void *runner(void *arg)
{
	struct runner *r = arg;
	struct hypr_run_result result;

	r->ret = hypr_vm_run(r->vm, NULL, &result);
	return NULL;
}

static bool is_on(struct hypr_vm *vm)
{
	bool on;

	pthread_mutex_lock(&vm->run_lock);
	on = vm->runner.on;
	pthread_mutex_unlock(&vm->run_lock);
	return on;
}

static void test_run_while_others_use_the_vm(void **ctx)
{
	struct played *p = *ctx;
	struct runner r = { .vm = p->vm };
	struct hypr_run_result result;
	pthread_t thread;
	int i;

	assert_int_equal(pthread_create(&thread, NULL, runner, &r), 0);
	for (i = 0; i < 5000 && !is_on(p->vm); i++)
		usleep(1000);
	assert_int_equal(hypr_vm_run(p->vm, &limited, &result), -EBUSY);
	snapshot_and_swap(p, "A");
	assert_int_equal(hypr_vm_pause(p->vm, NULL), 0);
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_vm_stop(p->vm), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(r.ret, -ESHUTDOWN);
}

/* It looks at the VM all the time: with each look all vCPUs are held, and let go. */
struct looker {
	struct hypr_vm *vm;
	bool ends;
};

static void *looker(void *arg)
{
	struct looker *l = arg;
	char byte;

	while (!__atomic_load_n(&l->ends, __ATOMIC_SEQ_CST)) {
		if (hypr_view_read(l->vm, NULL, 0, &byte, 1))
			break;
		sched_yield();
	}
	return NULL;
}

static uint64_t count_at_end;

static void end_next(void)
{
	fake_kvm.on_step = NULL;
	count_at_end = fake_kvm_count(0);
	plan(KVM_EXIT_IO, 0xf4, 3);
}

/* Nothing runs on between what ends a run and its end. */
static void test_run_ends_while_others_use_the_vm(void **ctx)
{
	struct played *p = *ctx;
	struct looker l = { .vm = p->vm };
	struct hypr_run_result result;
	pthread_t thread;
	int i;

	/* What is planned comes in a run, not before it. */
	pause_it(p);
	assert_int_equal(pthread_create(&thread, NULL, looker, &l), 0);
	for (i = 0; i < 200; i++) {
		fake_kvm.on_step = end_next;
		result = run(p, NULL, HYPR_RUN_CRASH);
		assert_int_equal(result.end, HYPR_END_EXIT_FAILED);
		assert_int_equal(fake_kvm_count(0), count_at_end);
	}
	__atomic_store_n(&l.ends, true, __ATOMIC_SEQ_CST);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Who pauses a VM between two runs has it paused, if the caller of the runs wants that. */
static void test_a_pause_outlives_a_run(void **ctx)
{
	struct hypr_run_params params = limited;
	struct hypr_run_result result;
	struct played *p = *ctx;
	uint64_t was;

	params.flags = HYPR_RUN_KEEP_PAUSED;
	run(p, &params, HYPR_RUN_TIMEOUT);
	/* Its own pause is no obstacle, as long as nobody takes it over. */
	was = fake_kvm_count(0);
	run(p, &params, HYPR_RUN_TIMEOUT);
	assert_true(fake_kvm_count(0) > was);
	assert_int_equal(hypr_vm_pause(p->vm, NULL), 0);
	assert_int_equal(hypr_vm_pause(p->vm, NULL), -EALREADY);
	was = fake_kvm_count(0);
	assert_int_equal(hypr_vm_run(p->vm, &params, &result), 0);
	assert_int_equal(result.what, HYPR_RUN_TIMEOUT);
	assert_int_equal(fake_kvm_count(0), was);
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	run(p, &params, HYPR_RUN_TIMEOUT);
	assert_true(fake_kvm_count(0) > was);
	/* Without the flag a run resumes it. */
	assert_int_equal(hypr_vm_pause(p->vm, NULL), 0);
	was = fake_kvm_count(0);
	run(p, &limited, HYPR_RUN_TIMEOUT);
	assert_true(fake_kvm_count(0) > was);
}

static void test_limit_that_is_none(void **ctx)
{
	struct hypr_run_params params = limited;
	struct played *p = *ctx;

	params.timeout_us = UINT64_MAX;
	run_over(p, &params);
}

/* ---- requests -------------------------------------------------------------- */

/* A run that is over has the VM paused; only who wants to know more pays for it, once. */
static void test_state_is_saved_when_wanted(void **ctx)
{
	struct played *p = *ctx;
	const struct hypr_state *state = p->vm->active->state;
	struct hypr_registers registers = { .size = sizeof(registers) };
	unsigned int chip_ioctls, i;
	uint64_t host_tsc;

	pause_it(p);
	for (i = 0; i < 3; i++) {
		chip_ioctls = fake_kvm.chip_ioctls;
		plan_request(p, HYPR_REQUEST_REPORT, 1, 0, 0);
		run(p, NULL, HYPR_RUN_REPORT);
		assert_true(p->vm->paused && !state->valid);
		assert_int_equal(answer(p).status, HYPR_REQUEST_DONE);
		assert_int_equal(fake_kvm.chip_ioctls, chip_ioctls);
	}
	/* Time stands still since the report, whenever it is looked at. */
	host_tsc = state->host_tsc;
	for (i = 0; i < 2; i++) {
		assert_int_equal(hypr_vcpu_get_registers(p->vm, 0, &registers), 0);
		assert_int_equal(registers.rax, fake_kvm_count(0));
		assert_int_equal(fake_kvm.chip_ioctls - chip_ioctls, 3);
		assert_true(state->valid);
		assert_int_equal(state->host_tsc, host_tsc);
	}
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	assert_true(fake_kvm_runs());
}

/* Each call to KVM fails once: the one who wanted the state hears of it, the next has it. */
static void test_state_that_cannot_be_saved(void **ctx)
{
	struct hypr_registers registers = { .size = sizeof(registers) };
	struct played *p = *ctx;
	uint64_t host_tsc;
	unsigned int i;
	int ret;

	pause_it(p);
	for (i = 1, ret = -EIO; ret; i++) {
		plan_request(p, HYPR_REQUEST_REPORT, 1, 0, 0);
		run(p, NULL, HYPR_RUN_REPORT);
		host_tsc = p->vm->active->state->host_tsc;
		fake_kvm.fail_at = fake_kvm.ioctls + i;
		ret = hypr_vcpu_get_registers(p->vm, 0, &registers);
		fake_kvm.fail_at = 0;
		if (ret)
			assert_false(p->vm->active->state->valid);
		assert_int_equal(p->vm->active->state->host_tsc, host_tsc);
		assert_int_equal(hypr_vcpu_get_registers(p->vm, 0, &registers), 0);
		assert_int_equal(registers.rax, fake_kvm_count(0));
		assert_int_equal(p->vm->active->state->host_tsc, host_tsc);
	}
	/* As many as a state has, of two vCPUs and the chips. */
	assert_in_range(i, 20, 100);
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	assert_true(fake_kvm_runs());
}

static void test_input(void **ctx)
{
	struct hypr_run_params params = {
		.size = sizeof(params), .input = "hello", .input_bytes = 5,
	};
	struct hypr_run_result result;
	struct played *p = *ctx;
	char got[6] = "";

	pause_it(p);
	plan_request(p, HYPR_REQUEST_INPUT, 0, ROOM, 4);
	run_over(p, &params);
	assert_int_equal(answer(p).status, HYPR_REQUEST_TOO_LONG);
	assert_int_equal(answer(p).bytes, 5);
	assert_int_equal(hypr_view_read(p->vm, NULL, ROOM, got, 5), 0);
	assert_string_equal(got, "");
	plan_request(p, HYPR_REQUEST_INPUT, 0, HYPR_MEM_MIN_BYTES - 4, 64);
	run_over(p, &params);
	assert_int_equal(answer(p).status, HYPR_REQUEST_FAULT);
	plan_request(p, HYPR_REQUEST_INPUT, 0, HYPR_CONTROL_GPA, 64);
	run_over(p, &params);
	assert_int_equal(answer(p).status, HYPR_REQUEST_FAULT);
	plan_request(p, HYPR_REQUEST_INPUT, 0, UINT64_MAX, 64);
	run_over(p, &params);
	assert_int_equal(answer(p).status, HYPR_REQUEST_FAULT);
	/* Without an input the request waits, over runs. */
	plan_request(p, HYPR_REQUEST_INPUT, 0, ROOM, 64);
	run(p, NULL, HYPR_RUN_INPUT);
	run(p, NULL, HYPR_RUN_INPUT);
	assert_int_equal(answer(p).status, HYPR_REQUEST_UNANSWERED);
	result = run_over(p, &params);
	assert_int_equal(result.inputs, 1);
	assert_int_equal(answer(p).status, HYPR_REQUEST_DONE);
	assert_int_equal(answer(p).bytes, 5);
	assert_int_equal(hypr_view_read(p->vm, NULL, ROOM, got, 5), 0);
	assert_string_equal(got, "hello");
}

/* Tables at TABLES: virtual 0x40000000 is ROOM, the page after it BLOCK; @flags of both. */
static void write_tables(struct played *p, uint64_t flags)
{
	const uint64_t high[] = { TABLES + 0x1000, TABLES + 0x2000, TABLES + 0x3000 };
	uint64_t entry = high[0] | 7, leaf[2] = { ROOM | flags, BLOCK | flags };

	put(p, TABLES, &entry, 8);
	entry = high[1] | 7;
	put(p, high[0] + 8, &entry, 8);
	entry = high[2] | 7;
	put(p, high[1], &entry, 8);
	put(p, high[2], leaf, sizeof(leaf));
}

static unsigned int saves;

static void count_save(void)
{
	saves++;
}

static void test_virtual_addresses(void **ctx)
{
	struct hypr_run_params params = {
		.size = sizeof(params), .input = "hello", .input_bytes = 5,
	};
	struct hypr_registers registers = { .size = sizeof(registers) };
	struct played *p = *ctx;
	struct hypr_vm_info info;
	char got[6] = "";
	int i;

	pause_it(p);
	assert_int_equal(hypr_vcpu_get_registers(p->vm, 0, &registers), 0);
	registers.cr3 = TABLES;
	assert_int_equal(hypr_vcpu_set_registers(p->vm, 0, &registers), 0);
	fake_kvm.flags |= FAKE_LONG;
	/* A supervisor's page, and one that is read-only: there is no block. */
	for (i = 0; i < 2; i++) {
		write_tables(p, i ? 5 : 3);
		plan_request(p, HYPR_REQUEST_INPUT, 0, 0x40000ffd, 64);
		plan(KVM_EXIT_IO, HYPR_REQUEST_PORT_VIRTUAL, 0x40001000);
		run_over(p, &params);
		assert_int_equal(answer(p).status, HYPR_REQUEST_UNANSWERED);
	}
	hypr_vm_info(p->vm, &info);
	assert_int_equal(info.requests_refused, 2);
	write_tables(p, 7);
	/* The input ends in a page that is not there: nothing is written. */
	plan_request(p, HYPR_REQUEST_INPUT, 0, 0x40001ffd, 64);
	plan(KVM_EXIT_IO, HYPR_REQUEST_PORT_VIRTUAL, 0x40001000);
	run_over(p, &params);
	assert_int_equal(answer(p).status, HYPR_REQUEST_FAULT);
	assert_int_equal(hypr_view_read(p->vm, NULL, BLOCK + 0xffd, got, 3), 0);
	assert_string_equal(got, "");
	/* Over the end of a page, whose neighbour is below it in memory.  No state is saved. */
	plan_request(p, HYPR_REQUEST_INPUT, 0, 0x40000ffd, 64);
	plan(KVM_EXIT_IO, HYPR_REQUEST_PORT_VIRTUAL, 0x40001020);
	put(p, BLOCK + 32, p->vm->active->mem.host + BLOCK, 32);
	saves = 0;
	fake_kvm.on_save = count_save;
	run_over(p, &params);
	fake_kvm.on_save = NULL;
	assert_int_equal(saves, 0);
	assert_int_equal(hypr_view_read(p->vm, NULL, ROOM + 0xffd, got, 3), 0);
	assert_int_equal(hypr_view_read(p->vm, NULL, BLOCK, got + 3, 2), 0);
	assert_string_equal(got, "hello");
}

/* A request that waits is by the tables that the vCPU has when it is served. */
static void test_tables_change_while_a_request_waits(void **ctx)
{
	struct hypr_run_params params = {
		.size = sizeof(params), .input = "hello", .input_bytes = 5,
	};
	struct hypr_registers registers = { .size = sizeof(registers) };
	struct played *p = *ctx;
	char got[6] = "";

	pause_it(p);
	write_tables(p, 7);
	assert_int_equal(hypr_vcpu_get_registers(p->vm, 0, &registers), 0);
	registers.cr3 = TABLES;
	assert_int_equal(hypr_vcpu_set_registers(p->vm, 0, &registers), 0);
	fake_kvm.flags |= FAKE_LONG;
	plan_request(p, HYPR_REQUEST_INPUT, 0, 0x40000000, 64);
	plan(KVM_EXIT_IO, HYPR_REQUEST_PORT_VIRTUAL, 0x40001000);
	run(p, NULL, HYPR_RUN_INPUT);
	assert_int_equal(hypr_vcpu_get_registers(p->vm, 0, &registers), 0);
	registers.cr3 = ROOM;	/* where no tables are */
	assert_int_equal(hypr_vcpu_set_registers(p->vm, 0, &registers), 0);
	run_over(p, &params);
	assert_int_equal(answer(p).status, HYPR_REQUEST_UNANSWERED);
	assert_int_equal(hypr_view_read(p->vm, NULL, ROOM, got, 5), 0);
	assert_string_equal(got, "");
}

/* The first call to KVM after the OUT is for the tables. */
static void ask_without_tables(void)
{
	fake_kvm.on_step = report_next;
	fake_kvm.fail_at = __atomic_load_n(&fake_kvm.ioctls, __ATOMIC_SEQ_CST) + 1;
	plan(KVM_EXIT_IO, HYPR_REQUEST_PORT_VIRTUAL, 0x40001000);
}

static void test_tables_that_kvm_does_not_tell(void **ctx)
{
	const struct hypr_request block = { .op = HYPR_REQUEST_REPORT };
	struct played *p = *ctx;
	struct hypr_vm_info info;

	pause_it(p);
	put(p, SECOND, &block, sizeof(block));
	fake_kvm.on_step = ask_without_tables;
	run(p, NULL, HYPR_RUN_REPORT);
	fake_kvm.fail_at = 0;
	hypr_vm_info(p->vm, &info);
	assert_int_equal(info.requests_refused, 1);
}

static void test_moments_and_back(void **ctx)
{
	struct hypr_verify_result verify;
	struct hypr_view_info views[4];
	struct hypr_run_result result;
	struct played *p = *ctx;

	pause_it(p);
	plan_request(p, HYPR_REQUEST_BACK, 0, 0, 0);
	result = run_over(p, NULL);
	assert_int_equal(answer(p).status, HYPR_REQUEST_NO_MOMENT);
	assert_int_equal(result.resets, 0);
	plan_request(p, HYPR_REQUEST_MOMENT, 0, 0, 0);
	result = run_over(p, NULL);
	assert_int_equal(result.moments, 1);
	assert_string_equal(p->vm->active->name, "guest.1");
	assert_int_equal(answer(p).status, HYPR_REQUEST_DONE);
	put(p, ROOM, "dirty", 5);
	plan_request(p, HYPR_REQUEST_BACK, 0, 0, 0);
	result = run_over(p, NULL);
	assert_int_equal(result.resets, 1);
	/* The answer is the moment's, and so is all but the report since. */
	assert_int_equal(answer(p).op, HYPR_REQUEST_MOMENT);
	assert_int_equal(answer(p).status, HYPR_REQUEST_DONE);
	assert_int_equal(hypr_view_verify(p->vm, "guest.1", &verify), 0);
	assert_int_equal(verify.pages_mismatched, 1);
	assert_int_equal(verify.range[0].start, SECOND);
	/* A later moment takes the place of the first. */
	plan_request(p, HYPR_REQUEST_MOMENT, 0, 0, 0);
	run_over(p, NULL);
	assert_int_equal(hypr_view_list(p->vm, views, 4), 2);
	assert_string_equal(views[1].name, "guest.2");
	assert_true(views[1].active);
	/* The host's views keep their names. */
	assert_int_equal(hypr_view_snapshot(p->vm, "guest.3", NULL), 0);
	plan_request(p, HYPR_REQUEST_MOMENT, 0, 0, 0);
	run_over(p, NULL);
	assert_int_equal(answer(p).status, HYPR_REQUEST_DONE);
	assert_string_equal(p->vm->active->name, "guest.4");
	assert_int_equal(hypr_view_list(p->vm, views, 4), 3);
	assert_string_equal(views[1].name, "guest.3");
	assert_string_equal(views[2].name, "guest.4");
}

/* ---- resets that the kernel does ------------------------------------------------ */

static unsigned int steps, backs, views_seen;
static struct hypr_view_info while_running[4];
static const struct hypr_vcpu *asking_vcpu;
static struct hypr_vm *running_vm;

static void note_view(void)
{
	views_seen |= fake_kvm_back_view() != 0;
}

/* It touches the clock chip, goes back, reads nothing, and reports. */
static void step_back(void)
{
	switch (steps++) {
	case 0:
		plan(KVM_EXIT_IO, HYPR_RTC_PORT, 5);
		break;
	case 1:
		backs += fake_kvm_back();
		backs += fake_kvm_back();
		hypr_view_list(running_vm, while_running, 4);
		fake_kvm.on_save = note_view;
		break;
	default:
		report_next();
	}
}

/* A VM at a moment that its guest has asked for, of a KVM that can do it. */
static void start_with_backs(struct played *p)
{
	played_end(p);
	played_start(p, FAKE_KEEPS);
	fake_kvm.tracks = true;
	p->vm->flags |= HYPR_VM_GUEST_REQUESTS;
	assert_int_equal(p->vm->engine->requests(p->vm), 0);
	assert_non_null(p->vm->back.page);
	pause_it(p);
	plan_request(p, HYPR_REQUEST_MOMENT, 0, 0, 0);
	run_over(p, NULL);
	assert_string_equal(p->vm->active->name, "guest.1");
}

/* To the report, whose answer is all that differs from the moment afterwards. */
static struct hypr_run_result run_back(struct played *p)
{
	struct hypr_verify_result verify;
	struct hypr_run_result result;

	steps = 0;
	backs = 0;
	running_vm = p->vm;
	fake_kvm.on_step = step_back;
	result = run(p, &limited, HYPR_RUN_REPORT);
	fake_kvm.on_save = NULL;
	assert_int_equal(backs, 2);
	assert_int_equal(hypr_view_verify(p->vm, p->vm->active->name, &verify), 0);
	assert_int_equal(verify.pages_mismatched, 1);
	assert_int_equal(verify.range[0].start, SECOND);
	return result;
}

/* Nothing stops for it. */
static void test_kernel_goes_back(void **ctx)
{
	struct hypr_view_info views[4];
	struct hypr_run_result result;
	struct played *p = *ctx;
	struct hypr_vm_info before, info;
	char got[6] = "";

	start_with_backs(p);
	hypr_vm_info(p->vm, &before);
	put(p, ROOM, "dirty", 5);
	result = run_back(p);
	assert_int_equal(result.resets, 2);
	assert_int_equal(result.resets_in_kernel, 2);
	assert_int_equal(result.requests, 3);
	assert_int_equal(hypr_view_read(p->vm, NULL, ROOM, got, 5), 0);
	assert_string_equal(got, "");
	/* The clock chip follows, which nobody has touched since. */
	assert_int_equal(p->vm->rtc.s.index, 0);
	hypr_vm_info(p->vm, &info);
	assert_int_equal(info.resets_in_kernel, 2);
	assert_int_equal(info.requests, before.requests + 3);
	assert_int_equal(info.swaps, before.swaps + 2);
	assert_int_equal(info.generation, fake_kvm.generation);
	assert_int_equal(hypr_view_list(p->vm, views, 4), 2);
	assert_int_equal(views[1].resets, 2);
	/* Nor did a look wait for an operation. */
	assert_int_equal(while_running[1].resets, 2);
	assert_int_equal(while_running[1].swaps, views[1].swaps);
	/* Neither in an operation nor in a VM that nobody runs. */
	assert_int_equal(views_seen, 0);
	assert_int_equal(fake_kvm_back_view(), 0);
}

static unsigned int spare_seen;

static void note_spare(void)
{
	spare_seen |= fake_kvm_back_spare();
}

static const char *file;

static void step_back_and_truncate(void)
{
	if (truncate(file, 0))
		return;
	backs += fake_kvm_back();
	fake_kvm.on_step = note_spare;
}

static unsigned int spares_wanted;
static uint32_t went_to[2];

/* A guest that asks so often, each time when there is a spare. */
static void step_back_by_spare(void)
{
	if (steps < spares_wanted && fake_kvm_await_spare()) {
		backs += fake_kvm_back();
		went_to[steps++] = fake_kvm.active;
	} else {
		report_next();
	}
}

/* The answer to the report is all that differs afterwards, wherever the guest goes on. */
static void check_spares(struct played *p, unsigned int times)
{
	const uint32_t number = p->vm->active->number;
	const uint32_t other = p->vm->active->spare->view->number;
	struct hypr_verify_result verify;
	struct hypr_run_result result;

	put(p, ROOM, "dirty", 5);
	steps = backs = 0;
	spares_wanted = times;
	fake_kvm.on_step = step_back_by_spare;
	result = run(p, &limited, HYPR_RUN_REPORT);
	assert_int_equal(backs, times);
	assert_int_equal(result.resets, times);
	assert_int_equal(result.resets_in_kernel, times);
	assert_int_equal(result.resets_by_spare, times);
	assert_int_equal(result.reset_pages, 0);
	assert_int_equal(went_to[0], other);
	assert_int_equal(fake_kvm.active, times % 2 ? other : number);
	assert_int_equal(p->vm->active->number, fake_kvm.active);
	assert_int_equal(hypr_view_verify(p->vm, p->vm->active->name, &verify), 0);
	assert_int_equal(verify.pages_mismatched, 1);
	assert_int_equal(verify.range[0].start, SECOND);
	/* Neither in an operation nor in a VM that nobody runs. */
	assert_int_equal(fake_kvm_back_view(), 0);
	assert_int_equal(fake_kvm_back_spare(), 0);
}

/* View and spare change places behind the kernel's back, and the other one is put back. */
static void test_kernel_goes_on_in_spare(void **ctx)
{
	struct hypr_reset_result reset;
	struct hypr_view_info views[4];
	struct played *p = *ctx;

	start_with_backs(p);
	assert_int_equal(hypr_view_spare(p->vm, "guest.1"), 0);
	check_spares(p, 1);
	check_spares(p, 2);
	assert_int_equal(hypr_view_list(p->vm, views, 4), 2);
	assert_int_equal(views[1].resets, 3);
	/* Of this process again, and the kernel finds what that has left. */
	assert_int_equal(hypr_view_reset_by(p->vm, NULL, HYPR_RESET_ONLY(HYPR_RESET_SPARE), &reset),
			 0);
	assert_at_moment(p);
	check_spares(p, 1);
}

static bool is_held(void)
{
	return __atomic_load_n(&asking_vcpu->hold, __ATOMIC_SEQ_CST);
}

static void step_back_late(void)
{
	fake_kvm.on_step = NULL;
	backs += fake_kvm_back_late(is_held);
}

/* The limit is over while the kernel puts the guest back: the run waits for that. */
static void test_run_ends_while_the_kernel_goes_back(void **ctx)
{
	struct hypr_run_result result;
	struct played *p = *ctx;
	char got[6] = "";

	start_with_backs(p);
	put(p, ROOM, "dirty", 5);
	asking_vcpu = &p->vm->vcpu[0];
	backs = 0;
	fake_kvm.on_step = step_back_late;
	result = run(p, &limited, HYPR_RUN_TIMEOUT);
	assert_int_equal(backs, 1);
	assert_int_equal(result.resets_in_kernel, 1);
	assert_int_equal(hypr_view_read(p->vm, NULL, ROOM, got, 5), 0);
	assert_string_equal(got, "");
	assert_at_moment(p);
}

/* What is left cannot be put back: the file is gone.  The guest goes on without a spare. */
static void test_spare_is_lost_while_the_kernel_serves(void **ctx)
{
	struct hypr_view_info views[4];
	struct hypr_run_result result;
	struct played *p = *ctx;

	start_with_backs(p);
	played_save(p, p->file);
	assert_int_equal(hypr_view_load(p->vm, "F", p->file, 0, NULL), 0);
	assert_int_equal(hypr_view_spare(p->vm, "F"), 0);
	assert_int_equal(hypr_view_swap(p->vm, "F", 0, NULL), 0);
	pause_it(p);
	put(p, ROOM, "dirty", 5);
	fake_kvm.on_step = step_back_and_truncate;
	file = p->file;
	backs = 0;
	result = run(p, &limited, HYPR_RUN_TIMEOUT);
	assert_int_equal(backs, 1);
	assert_int_equal(result.resets_by_spare, 1);
	assert_int_equal(hypr_view_list(p->vm, views, 4), 3);
	assert_int_equal(views[2].spare, HYPR_SPARE_FAILED);
	run(p, &limited, HYPR_RUN_TIMEOUT);
	assert_int_equal(spare_seen, 0);
}

/* The moments that it asks for have spares then.  There is no moment without. */
static void test_moments_with_spares(void **ctx)
{
	struct hypr_view_info views[4];
	struct hypr_run_result result;
	struct played *p = *ctx;

	start_with_backs(p);
	p->vm->flags |= HYPR_VM_GUEST_SPARES;
	plan_request(p, HYPR_REQUEST_MOMENT, 0, 0, 0);
	run_over(p, NULL);
	assert_string_equal(p->vm->active->name, "guest.2");
	check_spares(p, 2);
	/* Room for one view more. */
	p->vm->views_max = 4;
	plan_request(p, HYPR_REQUEST_MOMENT, 0, 0, 0);
	result = run_over(p, NULL);
	assert_int_equal(answer(p).status, HYPR_REQUEST_FAILED);
	assert_int_equal(result.moments, 0);
	assert_string_equal(p->vm->active->name, "guest.2");
	assert_int_equal(hypr_view_list(p->vm, views, 4), 2);
	/* Room for none. */
	p->vm->views_max = 3;
	plan_request(p, HYPR_REQUEST_MOMENT, 0, 0, 0);
	result = run_over(p, NULL);
	assert_int_equal(answer(p).status, HYPR_REQUEST_FAILED);
	assert_int_equal(result.moments, 0);
	assert_int_equal(hypr_view_list(p->vm, views, 4), 2);
	/* The next one takes the place of the last that there is. */
	p->vm->views_max = 5;
	plan_request(p, HYPR_REQUEST_MOMENT, 0, 0, 0);
	run_over(p, NULL);
	assert_string_equal(p->vm->active->name, "guest.3");
	assert_int_equal(hypr_view_list(p->vm, views, 4), 2);
}

/* What the host writes later is put back by the next one, wherever it is done. */
static void test_kernel_goes_back_again(void **ctx)
{
	struct played *p = *ctx;
	unsigned int i;

	start_with_backs(p);
	for (i = 0; i < 3; i++) {
		put(p, ROOM, "dirty", 5);
		run_back(p);
		put(p, ROOM, "dirty", 5);
		assert_int_equal(hypr_view_reset(p->vm, NULL, NULL), 0);
		assert_at_moment(p);
	}
}

/* An engine that cannot says so: the library serves the request. */
static void test_kernel_cannot_go_back(void **ctx)
{
	struct hypr_run_result result;
	struct played *p = *ctx;

	played_end(p);
	played_start(p, 0);
	p->vm->flags |= HYPR_VM_GUEST_REQUESTS;
	assert_int_equal(p->vm->engine->requests(p->vm), 0);
	assert_null(p->vm->back.page);
	pause_it(p);
	plan_request(p, HYPR_REQUEST_MOMENT, 0, 0, 0);
	run_over(p, NULL);
	plan_request(p, HYPR_REQUEST_BACK, 0, 0, 0);
	result = run_over(p, NULL);
	assert_int_equal(result.resets, 1);
	assert_int_equal(result.resets_in_kernel, 0);
}

/* A moment is kept while a request waits: after a reset the guest has to ask again. */
static void test_reset_forgets_a_request(void **ctx)
{
	struct hypr_run_params params = {
		.size = sizeof(params), .input = "hello", .input_bytes = 5,
	};
	struct hypr_run_result result;
	struct played *p = *ctx;

	pause_it(p);
	plan_request(p, HYPR_REQUEST_INPUT, 0, ROOM, 64);
	run(p, NULL, HYPR_RUN_INPUT);
	snapshot_and_swap(p, "A");
	result = run_over(p, &params);
	assert_int_equal(result.inputs, 0);
	assert_int_equal(answer(p).status, HYPR_REQUEST_UNANSWERED);
}

static void test_hostile_requests(void **ctx)
{
	static const uint32_t blocks[] = {
		BLOCK + 4, HYPR_MEM_MIN_BYTES, HYPR_CONTROL_GPA, 0xffffffe0, 0xffffffff,
	};
	struct hypr_request bad = {
		.op = HYPR_REQUEST_REPORT, .status = HYPR_REQUEST_UNANSWERED, .reserved = 1,
	};
	struct hypr_vm_info info;
	struct played *p = *ctx;
	size_t i;

	pause_it(p);
	for (i = 0; i < ARRAY_SIZE(blocks); i++) {
		plan(KVM_EXIT_IO, HYPR_REQUEST_PORT, blocks[i]);
		run_over(p, NULL);
	}
	hypr_vm_info(p->vm, &info);
	assert_int_equal(info.requests, ARRAY_SIZE(blocks));
	assert_int_equal(info.requests_refused, ARRAY_SIZE(blocks));
	put(p, BLOCK, &bad, sizeof(bad));
	plan(KVM_EXIT_IO, HYPR_REQUEST_PORT, BLOCK);
	run_over(p, NULL);
	assert_int_equal(answer(p).status, HYPR_REQUEST_INVALID);
	plan_request(p, 6, 0, 0, 0);
	run_over(p, NULL);
	assert_int_equal(answer(p).status, HYPR_REQUEST_INVALID);
}

/* Not allowed, and nobody there to serve it: nothing happens, and it is counted. */
static void test_requests_that_nobody_serves(void **ctx)
{
	struct hypr_vm_info info;
	struct played *p = *ctx;
	uint64_t want;

	p->vm->flags &= ~HYPR_VM_GUEST_REQUESTS;
	for (want = 1; want <= 2; want++) {
		pause_it(p);
		plan_request(p, HYPR_REQUEST_PANIC, 1, 0, 0);
		if (want == 1)
			run(p, &limited, HYPR_RUN_TIMEOUT);
		p->vm->flags |= HYPR_VM_GUEST_REQUESTS;
		assert_int_equal(hypr_vm_resume(p->vm), 0);
		assert_true(fake_kvm_runs());
		assert_int_equal(answer(p).status, HYPR_REQUEST_UNANSWERED);
		hypr_vm_info(p->vm, &info);
		assert_int_equal(info.requests_refused, want);
		assert_int_equal(info.requests, 0);
		assert_int_equal(info.state, HYPR_VM_RUNNING);
	}
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, played_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_memory_is_read_and_written),
		T(test_memory_beyond_bounds_is_refused),
		T(test_reset_puts_back_what_the_host_wrote),
		T(test_memory_of_a_file),
		T(test_registers),
		T(test_run_to_its_limit),
		T(test_run_to_a_report),
		T(test_run_to_a_crash),
		T(test_run_refuses),
		T(test_run_while_others_use_the_vm),
		T(test_run_ends_while_others_use_the_vm),
		T(test_a_pause_outlives_a_run),
		T(test_limit_that_is_none),
		T(test_state_is_saved_when_wanted),
		T(test_state_that_cannot_be_saved),
		T(test_input),
		T(test_virtual_addresses),
		T(test_tables_change_while_a_request_waits),
		T(test_tables_that_kvm_does_not_tell),
		T(test_moments_and_back),
		T(test_kernel_goes_back),
		T(test_kernel_goes_on_in_spare),
		T(test_run_ends_while_the_kernel_goes_back),
		T(test_spare_is_lost_while_the_kernel_serves),
		T(test_moments_with_spares),
		T(test_kernel_goes_back_again),
		T(test_kernel_cannot_go_back),
		T(test_reset_forgets_a_request),
		T(test_hostile_requests),
		T(test_requests_that_nobody_serves),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
