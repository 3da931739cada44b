// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest's clocks across the time that it was a file, second by second: the time of
 * day is the test's own (hypr_unix_ns() is wrapped), KVM is played (fake_kvm.c).
 *
 * Frozen, all goes on from where it was.  Going on, the TSC and what counts down
 * have moved by exactly the time in between, and nothing ever moves back.
 */

#include "unit.h"

#include "hypr/hypr.h"
#include "hypr/vmo.h"
#include "fake_kernel.h"
#include "fake_kvm.h"
#include "lib/base/time.h"
#include "lib/model/state.h"
#include "lib/model/vcpu.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/pc/rtc.h"
#include "lib/run/timers.h"
#include "lib/view/view.h"

#define S		1000000000ull
#define TSC_HZ		2400000000ull	/* of the fake */
#define STOPPED_NS	(1700000000 * S)
#define SLEEP_S		20		/* a sleeper's rest, when the state was saved */

#define LVT		0x320
#define INITIAL		0x380
#define CURRENT		0x390
#define DIVIDE		0x3e0
#define IRR		0x200
#define VECTOR		0xec
#define ONE_SHOT	0u
#define PERIODIC	(1u << 17)
#define DEADLINE	(2u << 17)
#define DIVIDE_BY_16	3		/* 16 ns a count */

static uint64_t unix_ns = STOPPED_NS;

uint64_t __wrap_hypr_unix_ns(void);

uint64_t __wrap_hypr_unix_ns(void)
{
	return unix_ns;
}

static uint32_t reg(const struct kvm_lapic_state *lapic, unsigned int at)
{
	uint32_t value;

	memcpy(&value, lapic->regs + at, sizeof(value));
	return value;
}

static void set_reg(struct kvm_lapic_state *lapic, unsigned int at, uint32_t value)
{
	memcpy(lapic->regs + at, &value, sizeof(value));
}

static bool is_raised(const struct kvm_lapic_state *lapic)
{
	return reg(lapic, IRR + VECTOR / 32 * 0x10) & 1u << VECTOR % 32;
}

struct fixture {
	char dir[32];
	char file[64], kernel[64];
	struct hypr_vm *vm;
	uint64_t saved_tsc;		/* the guest's, when it was saved */
};

static uint64_t tsc_of(const struct hypr_vm *vm)
{
	const struct hypr_state *state = vm->active->state;

	return state->host_tsc + state->vcpu[0].tsc_offset;
}

/* A VM from a kernel, both vCPUs with a deadline timer. */
static void boot(struct fixture *f)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;
	unsigned int i;

	fake_kvm_reset();
	c.name = "vm1";
	c.kernel = f->kernel;
	c.vcpus = FAKE_VCPUS;
	c.pause_timeout_ms = 200;
	assert_int_equal(hypr_vm_create(&c, &f->vm), 0);
	assert_int_equal(hypr_vm_start(f->vm), 0);
	for (i = 0; i < FAKE_VCPUS; i++) {
		set_reg(&fake_kvm.vcpu[i].lapic, LVT, VECTOR | DEADLINE);
		set_reg(&fake_kvm.vcpu[i].lapic, DIVIDE, DIVIDE_BY_16);
	}
}

static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/hypr-time-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->file, sizeof(f->file), "%s/a.vmo", f->dir);
	snprintf(f->kernel, sizeof(f->kernel), "%s/kernel", f->dir);
	fake_kernel_write(f->kernel);
	boot(f);
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;

	hypr_vm_destroy(f->vm);
	unlink(f->file);
	unlink(f->kernel);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

/* What @timer does to each vCPU's state is in the file. */
static void save(struct fixture *f, void (*timer)(struct hypr_vcpu_state *vcpu))
{
	struct hypr_save_params p = { .size = sizeof(p), .path = f->file };
	struct hypr_state *state = f->vm->active->state;
	unsigned int i;

	unix_ns = STOPPED_NS;
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	for (i = 0; timer && i < FAKE_VCPUS; i++)
		timer(&state->vcpu[i]);
	f->saved_tsc = tsc_of(f->vm);
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), 0);
	hypr_vm_destroy(f->vm);
	f->vm = NULL;
}

static void load(struct fixture *f, int64_t ns_later, unsigned int flags)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;

	hypr_vm_destroy(f->vm);
	fake_kvm_reset();
	unix_ns = STOPPED_NS + (uint64_t)ns_later;
	c.name = "vm2";
	c.vmo = f->file;
	c.load_flags = flags;
	assert_int_equal(hypr_vm_create(&c, &f->vm), 0);
}

/* The clock: what a guest reads is where it was, plus what passed, on all vCPUs. */
static void test_tsc(void **ctx)
{
	struct fixture *f = *ctx;
	uint64_t last = 0, now, s;

	save(f, NULL);
	for (s = 0; s < 90; s++) {
		load(f, (int64_t)(s * S), 0);
		assert_true(tsc_of(f->vm) == f->saved_tsc);
		load(f, (int64_t)(s * S), HYPR_LOAD_TIME_CONTINUE);
		now = tsc_of(f->vm);
		assert_true(now == f->saved_tsc + s * TSC_HZ);
		assert_true(now >= last);
		last = now;
		assert_true(f->vm->active->state->vcpu[1].tsc_offset ==
			    f->vm->active->state->vcpu[0].tsc_offset);
	}
	/* Parts of a second, ten years, and a host whose clock is behind. */
	load(f, 1500000, HYPR_LOAD_TIME_CONTINUE);
	assert_true(tsc_of(f->vm) == f->saved_tsc + 3600000);
	load(f, (int64_t)(315360000 * S), HYPR_LOAD_TIME_CONTINUE);
	assert_true(tsc_of(f->vm) == f->saved_tsc + 315360000 * TSC_HZ);
	for (s = 1; s < 90; s++) {
		load(f, -(int64_t)(s * S), HYPR_LOAD_TIME_CONTINUE);
		assert_true(tsc_of(f->vm) == f->saved_tsc);
	}
}

/* As the vCPUs run: from there on, at the host's pace, and both the same. */
static void test_running(void **ctx)
{
	static const unsigned int flags[] = { 0, HYPR_LOAD_TIME_CONTINUE };
	struct fixture *f = *ctx;
	uint64_t base, before, after, guest;
	size_t i;

	save(f, NULL);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		before = hypr_tsc();
		load(f, 7 * S, flags[i]);
		base = f->saved_tsc + (flags[i] ? 7 * TSC_HZ : 0);
		assert_int_equal(hypr_vm_start(f->vm), 0);
		guest = hypr_tsc() + fake_kvm.vcpu[0].tsc_offset;
		after = hypr_tsc();
		assert_true(guest >= base);
		assert_true(guest - base <= after - before);
		assert_true(fake_kvm.vcpu[1].tsc_offset == fake_kvm.vcpu[0].tsc_offset);
		assert_false(fake_kvm.vcpu[0].deadline_early);
	}
}

static void sleep_by_deadline(struct hypr_vcpu_state *vcpu)
{
	vcpu->tsc_deadline = hypr_tsc() + vcpu->tsc_offset + SLEEP_S * TSC_HZ;
}

/* A deadline stays the time that it is: due when the clock has come there. */
static void test_deadline(void **ctx)
{
	struct fixture *f = *ctx;
	uint64_t s, deadline, left;

	save(f, sleep_by_deadline);
	load(f, 0, 0);
	deadline = f->vm->active->state->vcpu[0].tsc_deadline;
	left = deadline - f->saved_tsc;
	assert_in_range(left, SLEEP_S * TSC_HZ, (SLEEP_S + 5) * TSC_HZ);
	for (s = 0; s < 60; s++) {
		load(f, (int64_t)(s * S), 0);
		assert_true(f->vm->active->state->vcpu[0].tsc_deadline == deadline);
		assert_true(deadline - tsc_of(f->vm) == left);
		load(f, (int64_t)(s * S), HYPR_LOAD_TIME_CONTINUE);
		assert_true(f->vm->active->state->vcpu[0].tsc_deadline == deadline);
		assert_true((tsc_of(f->vm) >= deadline) == (s * TSC_HZ >= left));
		/* A LAPIC in this mode has no count that could run. */
		assert_false(is_raised(&f->vm->active->state->vcpu[0].lapic));
	}
	assert_int_equal(hypr_vm_start(f->vm), 0);
	assert_true(fake_kvm.vcpu[0].deadline == deadline);
	assert_true(fake_kvm.vcpu[0].tsc_offset + hypr_tsc() > deadline);
}

static void sleep_by_count(struct hypr_vcpu_state *vcpu)
{
	set_reg(&vcpu->lapic, LVT, VECTOR | ONE_SHOT);
	set_reg(&vcpu->lapic, INITIAL, 60 * S / 16);
	set_reg(&vcpu->lapic, CURRENT, SLEEP_S * S / 16);
}

/* A count that runs down has run down by then, and rings when it is due: once. */
static void test_one_shot(void **ctx)
{
	struct fixture *f = *ctx;
	const struct kvm_lapic_state *lapic;
	uint64_t s;

	save(f, sleep_by_count);
	for (s = 0; s < 60; s++) {
		load(f, (int64_t)(s * S), 0);
		lapic = &f->vm->active->state->vcpu[1].lapic;
		assert_int_equal(reg(lapic, CURRENT), SLEEP_S * S / 16);
		assert_false(is_raised(lapic));
		load(f, (int64_t)(s * S), HYPR_LOAD_TIME_CONTINUE);
		lapic = &f->vm->active->state->vcpu[1].lapic;
		assert_int_equal(reg(lapic, CURRENT), s < SLEEP_S ? (SLEEP_S - s) * S / 16 : 0);
		assert_int_equal(reg(lapic, INITIAL), 60 * S / 16);
		assert_int_equal(is_raised(lapic), s >= SLEEP_S);
	}
	/* A host whose clock is behind: as it was. */
	load(f, -(int64_t)(5 * S), HYPR_LOAD_TIME_CONTINUE);
	assert_int_equal(reg(&f->vm->active->state->vcpu[0].lapic, CURRENT), SLEEP_S * S / 16);
}

static void tick(struct hypr_vcpu_state *vcpu)
{
	set_reg(&vcpu->lapic, LVT, VECTOR | PERIODIC);
	set_reg(&vcpu->lapic, INITIAL, 8 * S / 16);
	set_reg(&vcpu->lapic, CURRENT, 3 * S / 16);
}

/* Ticks keep their beat; those that were missed are one. */
static void test_periodic(void **ctx)
{
	struct fixture *f = *ctx;
	const struct kvm_lapic_state *lapic;
	uint64_t s;

	save(f, tick);
	for (s = 0; s < 60; s++) {
		load(f, (int64_t)(s * S), HYPR_LOAD_TIME_CONTINUE);
		lapic = &f->vm->active->state->vcpu[0].lapic;
		/* Due at 3, 11, 19, ... */
		assert_int_equal(reg(lapic, CURRENT), (8 - (s + 5) % 8) * S / 16);
		assert_int_equal(is_raised(lapic), s >= 3);
	}
}

static void masked(struct hypr_vcpu_state *vcpu)
{
	sleep_by_count(vcpu);
	set_reg(&vcpu->lapic, LVT, VECTOR | ONE_SHOT | 1u << 16);
}

static void stopped(struct hypr_vcpu_state *vcpu)
{
	sleep_by_count(vcpu);
	set_reg(&vcpu->lapic, INITIAL, 0);
	set_reg(&vcpu->lapic, CURRENT, 0);
}

static void no_vector(struct hypr_vcpu_state *vcpu)
{
	sleep_by_count(vcpu);
	set_reg(&vcpu->lapic, LVT, 5);
}

static void test_timers_that_are_silent(void **ctx)
{
	static void (*const timers[])(struct hypr_vcpu_state *) = { masked, stopped, no_vector };
	struct fixture *f = *ctx;
	struct kvm_lapic_state lapic;
	unsigned int i, at;

	(void)f;
	for (i = 0; i < ARRAY_SIZE(timers); i++) {
		struct hypr_vcpu_state vcpu = { 0 };

		set_reg(&vcpu.lapic, DIVIDE, DIVIDE_BY_16);
		timers[i](&vcpu);
		lapic = vcpu.lapic;
		hypr_lapic_advance(&lapic, 100 * S);
		assert_int_equal(reg(&lapic, CURRENT), 0);
		for (at = IRR; at < IRR + 0x80; at += 0x10)
			assert_int_equal(reg(&lapic, at), 0);
	}
}

/* All eight dividers; 1 is the odd one. */
static void test_dividers(void **ctx)
{
	static const struct {
		uint32_t reg, ns;
	} dividers[] = {
		{ 0, 2 }, { 1, 4 }, { 2, 8 }, { 3, 16 }, { 8, 32 }, { 9, 64 }, { 10, 128 },
		{ 11, 1 },
	};
	struct kvm_lapic_state lapic = { 0 };
	unsigned int i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(dividers); i++) {
		set_reg(&lapic, LVT, VECTOR | ONE_SHOT);
		set_reg(&lapic, DIVIDE, dividers[i].reg);
		set_reg(&lapic, INITIAL, 0xffffffff);
		set_reg(&lapic, CURRENT, 1000000);
		hypr_lapic_advance(&lapic, 999000ull * dividers[i].ns);
		assert_int_equal(reg(&lapic, CURRENT), 1000);
	}
}

/* A further view takes up the clock at the same time as a new VM does. */
static void test_view(void **ctx)
{
	struct fixture *f = *ctx;
	const struct hypr_state *state;
	uint64_t s;

	save(f, sleep_by_count);
	for (s = 0; s < 40; s += 10) {
		load(f, 0, 0);
		assert_int_equal(hypr_vm_start(f->vm), 0);
		unix_ns = STOPPED_NS + s * S;
		assert_int_equal(hypr_view_load(f->vm, "A", f->file, HYPR_LOAD_TIME_CONTINUE,
						NULL), 0);
		state = hypr_view_find(f->vm, "A")->state;
		assert_true(state->host_tsc + state->vcpu[0].tsc_offset ==
			    f->saved_tsc + s * TSC_HZ);
		assert_int_equal(is_raised(&state->vcpu[0].lapic), s >= SLEEP_S);
	}
}

/* ---- a guest of another frequency ------------------------------------------- */

/* As a file of a host with such a TSC. */
static void save_at(struct fixture *f, uint64_t khz)
{
	f->vm->tsc_khz = khz;
	save(f, NULL);
}

static int create(struct fixture *f, unsigned int kvm_flags, int64_t ns_later,
		  unsigned int flags)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;

	hypr_vm_destroy(f->vm);
	f->vm = NULL;
	fake_kvm_reset();
	fake_kvm.flags = kvm_flags;
	unix_ns = STOPPED_NS + (uint64_t)ns_later;
	c.name = "vm2";
	c.vmo = f->file;
	c.load_flags = flags;
	return hypr_vm_create(&c, &f->vm);
}

static uint64_t guest_now(uint64_t khz)
{
	return fake_kvm_scaled(hypr_tsc(), khz) + fake_kvm.vcpu[0].tsc_offset;
}

/*
 * Where KVM scales: from where it was, at the guest's own pace, through a pause and a
 * swap, and never back.
 */
static void test_scaled(void **ctx)
{
	static const uint64_t rates[] = { 4800000, 1200000, 3100000, 800000 };
	struct fixture *f = *ctx;
	uint64_t base, before, first, second, spent, s, i;

	for (i = 0; i < 2 * ARRAY_SIZE(rates); i++) {
		uint64_t khz = rates[i / 2];

		s = i % 2 ? 7 : 0;
		if (!f->vm)
			boot(f);
		save_at(f, khz);
		before = hypr_tsc();
		assert_int_equal(create(f, 0, (int64_t)(s * S), s ? HYPR_LOAD_TIME_CONTINUE : 0),
				 0);
		assert_true(f->vm->tsc_scaled);
		base = f->saved_tsc + s * khz * 1000;
		assert_int_equal(hypr_vm_start(f->vm), 0);
		first = guest_now(khz);
		spent = fake_kvm_scaled(hypr_tsc(), khz) - fake_kvm_scaled(before, khz);
		assert_true(first >= base);
		assert_true(first - base <= spent);
		assert_true(fake_kvm.vcpu[1].tsc_offset == fake_kvm.vcpu[0].tsc_offset);
		/* It stands still while it is paused, and in a view that is left. */
		assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
		first = tsc_of(f->vm);
		usleep(20000);
		before = hypr_tsc();
		assert_int_equal(hypr_vm_resume(f->vm), 0);
		second = guest_now(khz);
		spent = fake_kvm_scaled(hypr_tsc(), khz) - fake_kvm_scaled(before, khz);
		assert_true(second >= first);
		assert_true(second - first <= spent);
		hypr_vm_destroy(f->vm);
		f->vm = NULL;
		unlink(f->file);
	}
}

/* Nothing is scaled for what is as good as the same; nor is it refused. */
static void test_nearly_the_same(void **ctx)
{
	struct fixture *f = *ctx;

	save_at(f, FAKE_TSC_KHZ + 500);
	assert_int_equal(create(f, 0, 0, 0), 0);
	assert_false(f->vm->tsc_scaled);
	assert_int_equal(create(f, FAKE_NO_SCALING, 0, 0), 0);
	assert_false(f->vm->tsc_scaled);
}

/* A KVM that cannot scale takes a faster guest and lets its TSC leap: refused here. */
static void test_no_scaling(void **ctx)
{
	struct fixture *f = *ctx;

	save_at(f, 4800000);
	assert_int_equal(create(f, FAKE_NO_SCALING, 0, 0), -EOPNOTSUPP);
	assert_non_null(strstr(hypr_error(), "4800000 kHz, this host's at 2400000"));
}

/* A view's guest runs at the frequency of the VM. */
static void test_view_of_another_frequency(void **ctx)
{
	struct fixture *f = *ctx;

	save_at(f, 4800000);
	assert_int_equal(create(f, 0, 0, 0), 0);
	assert_int_equal(hypr_vm_start(f->vm), 0);
	f->vm->tsc_khz = FAKE_TSC_KHZ;
	assert_int_equal(hypr_view_load(f->vm, "A", f->file, 0, NULL), -EOPNOTSUPP);
	assert_non_null(strstr(hypr_error(), "4800000 kHz, that of the VM at 2400000"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(tsc),
		T(running),
		T(deadline),
		T(one_shot),
		T(periodic),
		T(timers_that_are_silent),
		T(dividers),
		T(view),
		T(scaled),
		T(nearly_the_same),
		T(no_scaling),
		T(view_of_another_frequency),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
