// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which vCPUs a swap is refused for, and which not: running, halted, in user
 * space, in SMM, in a nested guest, and one whose guest lies.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <errno.h>
#include <string.h>

#define A	KVM_HYPR_VIEW_FIRST

static struct vm *vm_with_view(void)
{
	struct vm *vm;

	need_cpus(1);
	vm = vm_new();
	vm_views_add(vm, 1);
	return vm;
}

static struct vm *running_vm(int nr_vcpus)
{
	struct vm *vm;

	need_cpus(nr_vcpus);
	vm = vm_with_view();
	vcpus_start(vm, nr_vcpus);
	OK(try_prepare(vm, A));
	return vm;
}

static void test_running(void)
{
	struct vm *vm = running_vm(1);

	CHECK_RET(try_commit(vm, A, 0), -EBUSY);
	CHECK_RET(try_swap_all(vm, A, 0), -EBUSY);
	CHECK_RET(try_commit(vm, A, KVM_EPT_SWAP_FLUSH), -EBUSY);
	check_all_in_view(vm, 0);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	check_all_in_view(vm, A);
}

static void test_one_of_two_running(void)
{
	struct vm *vm = running_vm(2);

	vcpu_stop(&vm->vcpu[1]);
	CHECK_RET(try_commit(vm, A, 0), -EBUSY);
	vcpu_start(&vm->vcpu[1]);
	check_all_in_view(vm, 0);
	CHECK_EQ(vm->vcpu[1].guest->log_count, 1);
}

static void test_forced_counts(void)
{
	struct vm *vm = running_vm(3);

	CHECK_EQ(vm_commit(vm, A, KVM_EPT_SWAP_FORCE).forced, 3);
	vcpu_stop(&vm->vcpu[1]);
	CHECK_EQ(vm_commit(vm, 0, KVM_EPT_SWAP_FORCE).forced, 2);
	vcpu_start(&vm->vcpu[1]);
	check_all_in_view(vm, 0);
}

static void test_in_user_space(void)
{
	struct vm *vm = running_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];

	vcpu_ask(vcpu, GUEST_OUT, 0x10, 0, 0);
	vcpu_wait_outside(vcpu);
	vcpu_finish_io(vcpu);
	CHECK_EQ(vm_commit(vm, A, 0).forced, 0);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);
}

#define DEVICE_GPA	0x5000000
#define DEVICE_WORD	0xd0d0d0d0c1c1c1c1ull
#define TARGET_GPA	GUEST_FREE_GPA

/* What an exit answers with belongs to the view that the instruction began in. */
static void check_unfinished(struct vm *vm, struct vcpu *vcpu, uint64_t word)
{
	struct kvm_hypr_eptp eptp = { 0 };
	struct kvm_hypr_swap swap = {
		.view = A, .flags = KVM_EPT_SWAP_FORCE, .timeout_ns = 2000000,
	};

	CHECK_RET(try_commit(vm, A, 0), -EBUSY);
	CHECK_RET(try_swap_all(vm, A, 0), -EBUSY);
	/* By force it is waited for. */
	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -EAGAIN);
	OK(try_ioctl(vcpu->fd, KVM_GET_EPTP, &eptp));
	CHECK_EQ(eptp.view, 0);
	eptp.flags = 0;
	CHECK_RET(try_ioctl(vcpu->fd, KVM_SET_EPTP, &eptp), -EBUSY);

	vcpu_finish_io(vcpu);
	CHECK_EQ(*ram_word(vm, 0, TARGET_GPA), word);
	CHECK_EQ(vm_commit(vm, A, 0).forced, 0);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);
	CHECK_EQ(*ram_word(vm, A, TARGET_GPA), 0);
}

static void test_unfinished_mmio(void)
{
	struct vm *vm = running_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	const uint64_t word = DEVICE_WORD;

	need_kvm("MOVS from a device");
	vcpu->catch = true;
	vcpu_ask(vcpu, GUEST_MOVS, DEVICE_GPA, TARGET_GPA, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->caught, KVM_EXIT_MMIO);
	CHECK(!vcpu->run->mmio.is_write);
	memcpy(vcpu->run->mmio.data, &word, sizeof(word));
	check_unfinished(vm, vcpu, word);
}

static void test_unfinished_ins(void)
{
	struct vm *vm = running_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	const uint32_t word = (uint32_t)DEVICE_WORD;

	need_kvm("INS");
	vcpu_ask(vcpu, GUEST_INS, 0x10, TARGET_GPA, 0);
	vcpu_wait_outside(vcpu);
	CHECK_EQ(vcpu->run->io.direction, KVM_EXIT_IO_IN);
	memcpy((uint8_t *)vcpu->run + vcpu->run->io.data_offset, &word,
	       sizeof(word));
	check_unfinished(vm, vcpu, word);
}

struct long_swap {
	struct vm *vm;
	pthread_t thread;
	int ret;
};

static void *long_swap_thread(void *arg)
{
	struct long_swap *call = arg;
	struct kvm_hypr_swap swap = {
		.view = A, .flags = KVM_EPT_SWAP_FORCE,
		.timeout_ns = KVM_EPT_SWAP_TIMEOUT_MAX_NS,
	};

	call->ret = try_ioctl(call->vm->fd, KVM_COMMIT_EPT_SWAP, &swap);
	return NULL;
}

/*
 * One vCPU has an instruction half done, so that the swap waits; the other sleeps at
 * the barrier.  It keeps no change of memslots waiting, and a signal takes it out.
 */
static void test_asleep_at_the_barrier(void)
{
	struct vm *vm = running_vm(2);
	struct vcpu *vcpu = &vm->vcpu[0];
	struct long_swap call = { .vm = vm };

	need_kvm("MOVS from a device");
	vcpu->catch = true;
	vcpu_ask(vcpu, GUEST_MOVS, DEVICE_GPA, TARGET_GPA, 0);
	vcpu_wait_outside(vcpu);
	CHECK_RET(pthread_create(&call.thread, NULL, long_swap_thread, &call), 0);
	vcpu_wait_asleep(&vm->vcpu[1]);
	OK(try_set_slot(vm, 0, SLOT_FREE, 0, 0x8000000, 4096, memory_new(4096)));
	vcpu_stop(&vm->vcpu[1]);
	/* All of that while the swap goes on. */
	CHECK_EQ(pthread_tryjoin_np(call.thread, NULL), EBUSY);

	vcpu_finish_io(vcpu);
	CHECK_RET(pthread_join(call.thread, NULL), 0);
	CHECK_EQ(call.ret, 0);
	vcpu_start(&vm->vcpu[1]);
	CHECK_EQ(vcpu_view(&vm->vcpu[1]), A);
}

static void *force_thread(void *arg)
{
	struct vm *vm = arg;
	unsigned int i;

	for (i = 0; i < 100; i++)
		vm_commit(vm, i % 2 ? 0 : A, KVM_EPT_SWAP_FORCE);
	return NULL;
}

/* A device model at work: the swaps come between two of its exits. */
static void test_unfinished_then_forced(void)
{
	struct vm *vm = running_vm(2);
	struct vcpu *vcpu = &vm->vcpu[0];
	pthread_t thread;

	vcpu->guest->halt = 1;
	vcpu_ask(vcpu, GUEST_OUT, 0x10, 0, 0);
	CHECK_RET(pthread_create(&thread, NULL, force_thread, vm), 0);
	while (pthread_tryjoin_np(thread, NULL) == EBUSY) {
		atomic_store(&vcpu->resume, true);
		wait_relax();
	}
	vcpu->guest->halt = 0;
	atomic_store(&vcpu->resume, true);
	vcpu_wait_done(vcpu);
	check_all_in_view(vm, 0);
}

static void test_halted(void)
{
	struct vm *vm = running_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];

	vcpu_halt(vcpu);
	CHECK_RET(try_commit(vm, A, 0), -EBUSY);
	CHECK_EQ(vm_commit(vm, A, KVM_EPT_SWAP_FORCE).forced, 1);
	CHECK_EQ(vcpu->guest->view, 0);
	vcpu_wake(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);
}

static void test_halted_and_refused(void)
{
	struct vm *vm = running_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];

	vcpu_halt(vcpu);
	CHECK_RET(try_commit(vm, A, 0), -EBUSY);
	vcpu_wake(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
}

/* Application processors before their SIPI have nothing to pause. */
static void test_uninitialized(void)
{
	struct vm *vm = vm_with_view();
	struct vcpu *vcpu;

	need_kvm("MP state but runnable");
	vcpu = vm_vcpu_add(vm);
	vm_vcpu_add(vm);
	vcpu_mp_state_set(&vm->vcpu[1], KVM_MP_STATE_UNINITIALIZED);
	OK(try_prepare(vm, A));
	vcpu_start(vcpu);
	vcpu_stop(vcpu);
	CHECK_EQ(vm_commit(vm, A, 0).forced, 0);
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), A);
}

/* What the guest claims frees it from being asked, never from being held. */
static void test_lies_that_it_parked(void)
{
	struct vm *vm = running_vm(1);
	struct vcpu *vcpu = &vm->vcpu[0];
	unsigned int i;

	vm_control_page_register(vm);
	OK(try_prepare(vm, A));
	vm->control->vcpu[0].state = HYPR_VCPU_PAUSED;
	for (i = 0; i < 100; i++) {
		unsigned int view = i % 2 ? 0 : A;

		CHECK_EQ(vm_commit(vm, view, 0).forced, 0);
		CHECK_EQ(vcpu_view(vcpu), view);
	}
}

static void test_other_states_do_not_count(void)
{
	static const uint32_t states[] = {
		HYPR_VCPU_OFFLINE, HYPR_VCPU_RUNNING,
		HYPR_VCPU_PAUSE_REQUESTED, 4, 0xffffffff,
	};
	struct vm *vm = running_vm(1);
	unsigned int i;

	vm_control_page_register(vm);
	OK(try_prepare(vm, A));
	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		vm->control->vcpu[0].state = states[i];
		if (try_commit(vm, A, 0) != -EBUSY)
			FAIL("a running vCPU in state %#x is swapped", states[i]);
	}
	check_all_in_view(vm, 0);
}

static void set_smm(struct vcpu *vcpu, uint8_t smm)
{
	struct kvm_vcpu_events events;
	int smm_works = try_ioctl(vcpu->vm->fd, KVM_CHECK_EXTENSION,
				  (void *)KVM_CAP_X86_SMM);

	if (smm_works <= 0)
		skip("this KVM has no SMM");
	OK(try_ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events));
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	events.smi.smm = smm;
	OK(try_ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events));
}

static void test_in_smm(void)
{
	struct vm *vm = vm_with_view();
	struct vcpu *vcpu = vm_vcpu_add(vm);

	OK(try_prepare(vm, A));
	set_smm(vcpu, 1);
	CHECK_RET(try_commit(vm, A, 0), -EBUSY);
	CHECK_RET(try_commit(vm, A, KVM_EPT_SWAP_FORCE), -EBUSY);
	CHECK_RET(try_swap_all(vm, A, KVM_EPT_SWAP_FORCE), -EBUSY);
	set_smm(vcpu, 0);
	vcpu_start(vcpu);
	CHECK_EQ(vcpu_view(vcpu), 0);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	CHECK_EQ(vcpu_view(vcpu), A);
}

static void test_other_vcpu_in_smm(void)
{
	struct vm *vm = running_vm(1);
	struct vcpu *vcpu = vm_vcpu_add(vm);

	set_smm(vcpu, 1);
	CHECK_RET(try_commit(vm, A, KVM_EPT_SWAP_FORCE), -EBUSY);
	check_all_in_view(vm, 0);
	set_smm(vcpu, 0);
	vm_commit(vm, A, KVM_EPT_SWAP_FORCE);
	check_all_in_view(vm, A);
}

static struct vcpu *vcpu_in_nested_guest(struct vm *vm)
{
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t beats;

	vcpu_ask(vcpu, GUEST_NESTED, vm_has_svm(vm), 0, 0);
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->nested, __ATOMIC_SEQ_CST));
	if (vcpu->guest->nested != 1)
		FAIL("VMLAUNCH failed: instruction error %llu",
		     (unsigned long long)vcpu->guest->nested - 2);
	beats = vcpu->guest->beats;
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->beats, __ATOMIC_SEQ_CST) > beats);
	return vcpu;
}

static struct vm *nested_vm(void)
{
	struct vm *vm = vm_with_view();

	if (!vm_has_vmx(vm) && !vm_has_svm(vm))
		skip("this KVM gives its guests neither VMX nor SVM");
	vm->nested = true;
	vcpus_start(vm, 1);
	OK(try_prepare(vm, A));
	return vm;
}

static void test_in_nested_guest(void)
{
	struct vm *vm = nested_vm();
	struct vcpu *vcpu = vcpu_in_nested_guest(vm);
	uint64_t beats;

	CHECK_RET(try_commit(vm, A, 0), -EBUSY);
	CHECK_RET(try_commit(vm, A, KVM_EPT_SWAP_FORCE), -EBUSY);
	CHECK_RET(try_swap_all(vm, A, KVM_EPT_SWAP_FORCE), -EBUSY);
	beats = vcpu->guest->beats;
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->beats, __ATOMIC_SEQ_CST) > beats);
	CHECK_EQ(vcpu->guest->nested, 1);
	vcpu_stop(vcpu);
	CHECK_RET(try_commit(vm, A, 0), -EBUSY);
}

static void test_other_vcpu_nested(void)
{
	struct vm *vm;

	need_cpus(2);
	vm = nested_vm();
	vcpu_in_nested_guest(vm);
	vcpu_start(vm_vcpu_add(vm));
	CHECK_RET(try_commit(vm, A, KVM_EPT_SWAP_FORCE), -EBUSY);
	CHECK_EQ(vcpu_view(&vm->vcpu[1]), 0);
}

/*
 * Its own view was edited, so the vCPU must flush, and a swap that is refused brings
 * it to the barrier, where it does.  It stays in its nested guest.
 */
static void test_flush_in_nested_guest(void)
{
	static uint64_t buffer[STATE_BYTES / 8];
	struct kvm_hypr_mark_edited edited = { .view = 0 };
	struct kvm_nested_state *state = (void *)buffer;
	struct vm *vm = nested_vm();
	struct vcpu *vcpu = vcpu_in_nested_guest(vm);
	unsigned int i;

	for (i = 0; i < 20; i++) {
		struct kvm_hypr_swap swap = {
			.view = i % 2 ? A : 0,
			.flags = KVM_EPT_SWAP_FORCE |
				 (i & 2 ? KVM_EPT_SWAP_FLUSH : 0),
			.timeout_ns = SWAP_WAIT_NS,
		};
		uint64_t beats = vcpu->guest->beats;

		OK(try_ioctl(vm->fd, KVM_HYPR_MARK_EDITED, &edited));
		CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &swap), -EBUSY);
		WAIT_UNTIL(__atomic_load_n(&vcpu->guest->beats,
					   __ATOMIC_SEQ_CST) > beats);
	}
	CHECK_EQ(vcpu->guest->nested, 1);
	vcpu_stop(vcpu);
	state->size = STATE_BYTES;
	OK(try_ioctl(vcpu->fd, KVM_GET_NESTED_STATE, state));
	CHECK(state->flags & KVM_STATE_NESTED_GUEST_MODE);
}

/* ---- nested state that comes while a swap is decided ---------------------- */

struct nested_race {
	struct vm *vm;
	pthread_t thread;
	atomic_bool stop;
	atomic_uint done;
	unsigned int busy;
};

static void *swap_thread(void *arg)
{
	struct nested_race *race = arg;

	pin_to_cpu(1);		/* the vCPU's own thread has ended */
	while (!atomic_load(&race->stop)) {
		int ret = try_commit(race->vm, race->done % 2 ? 0 : A, 0);

		if (ret && ret != -EBUSY)
			FAIL("a swap gives %d", ret);
		race->done += !ret;
		race->busy += !!ret;
	}
	return NULL;
}

/* What a thread has loaded stays: no swap makes the vCPU leave it afterwards. */
static void test_nested_state_beside_swaps(void)
{
	static uint64_t in[STATE_BYTES / 8], out[STATE_BYTES / 8], now[STATE_BYTES / 8];
	struct kvm_nested_state *inside = (void *)in, *outside = (void *)out;
	struct kvm_nested_state *read = (void *)now;
	static struct nested_race race;
	struct vcpu *vcpu;
	unsigned int i;

	race.vm = nested_vm();
	vcpu = vcpu_in_nested_guest(race.vm);
	vcpu_stop(vcpu);
	inside->size = STATE_BYTES;
	OK(try_ioctl(vcpu->fd, KVM_GET_NESTED_STATE, inside));
	CHECK(inside->flags & KVM_STATE_NESTED_GUEST_MODE);
	/* The same without its guest. */
	*outside = *inside;
	outside->flags &= ~(KVM_STATE_NESTED_GUEST_MODE |
			    KVM_STATE_NESTED_RUN_PENDING);
	outside->size = sizeof(*outside);
	if (inside->format == KVM_STATE_NESTED_FORMAT_VMX)
		outside->hdr.vmx.vmcs12_pa = ~0ull;
	OK(try_ioctl(vcpu->fd, KVM_SET_NESTED_STATE, outside));

	CHECK_RET(pthread_create(&race.thread, NULL, swap_thread, &race), 0);
	/* On a busy machine the swaps' thread may come too late many times. */
	for (i = 0; i < 2000 || !atomic_load(&race.done); i++) {
		OK(try_ioctl(vcpu->fd, KVM_SET_NESTED_STATE, inside));
		read->size = STATE_BYTES;
		OK(try_ioctl(vcpu->fd, KVM_GET_NESTED_STATE, read));
		if (!(read->flags & KVM_STATE_NESTED_GUEST_MODE))
			FAIL("round %u: a swap has taken the nested guest away", i);
		OK(try_ioctl(vcpu->fd, KVM_SET_NESTED_STATE, outside));
	}
	atomic_store(&race.stop, true);
	CHECK_RET(pthread_join(race.thread, NULL), 0);
	note("%u swaps done, %u refused", race.done, race.busy);
}

static const struct test tests[] = {
	{ "EBUSY: a running vCPU, neither pause nor force", test_running },
	{ "EBUSY: one of two vCPUs runs", test_one_of_two_running },
	{ "FORCE counts the vCPUs that ran", test_forced_counts },
	{ "a vCPU in user space is no obstacle", test_in_user_space },
	{ "EBUSY: an MMIO read to memory is half done; it ends where it began",
	  test_unfinished_mmio },
	{ "EBUSY: INS is half done; it ends where it began",
	  test_unfinished_ins },
	{ "FORCE waits for a vCPU whose I/O is being done",
	  test_unfinished_then_forced },
	{ "a vCPU asleep at the barrier: memslots change, a signal takes it out",
	  test_asleep_at_the_barrier },
	{ "EBUSY: a halted vCPU; by force it wakes in the new view", test_halted },
	{ "a halted vCPU whose swap was refused wakes in the old view",
	  test_halted_and_refused },
	{ "a vCPU that was never started is no obstacle", test_uninitialized },
	{ "a guest that lies about having parked is swapped safely",
	  test_lies_that_it_parked },
	{ "EBUSY: no state but PAUSED counts as paused",
	  test_other_states_do_not_count },
	{ "EBUSY: a vCPU in SMM, even by force", test_in_smm },
	{ "EBUSY: another vCPU in SMM, all stay", test_other_vcpu_in_smm },
	{ "EBUSY: a vCPU in a nested guest, even by force", test_in_nested_guest },
	{ "EBUSY: another vCPU in a nested guest, all stay",
	  test_other_vcpu_nested },
	{ "a refused swap and a flush leave a vCPU in its nested guest",
	  test_flush_in_nested_guest },
	{ "nested state that is loaded beside swaps stays loaded",
	  test_nested_state_beside_swaps },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
