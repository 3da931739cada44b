// SPDX-License-Identifier: GPL-2.0-only
/*
 * The errors of the ioctls of memory views: arguments of a wrong form, and
 * states of a view in which a call is refused.
 */
#include "hypr.h"

#define VIEW		KVM_HYPR_VIEW_FIRST
#define VIEW_UNPREPARED	(KVM_HYPR_VIEW_FIRST + 1)
#define VIEW_EMPTY	(KVM_HYPR_VIEW_FIRST + 2)

/* The last word of every struct is reserved. */
union arg {
	struct kvm_hypr_eptp eptp;
	struct kvm_hypr_prepare prepare;
	struct kvm_hypr_swap swap;
	struct kvm_hypr_discard discard;
	struct kvm_hypr_control control;
	uint32_t word[64];
};

struct form {
	const char *name;
	unsigned long request;
	size_t flags;
	bool vcpu;
};

#define FORM(number, type, on_vcpu) {					\
	.name = #number,						\
	.request = number,						\
	.flags = offsetof(struct type, flags) / sizeof(uint32_t),	\
	.vcpu = on_vcpu,						\
}

static const struct form forms[] = {
	FORM(KVM_PREPARE_EPT_SWAP, kvm_hypr_prepare, false),
	FORM(KVM_COMMIT_EPT_SWAP, kvm_hypr_swap, false),
	FORM(KVM_EPT_SWAP_ALL, kvm_hypr_swap, false),
	FORM(KVM_HYPR_DISCARD_VIEW, kvm_hypr_discard, false),
	FORM(KVM_HYPR_SET_CONTROL_PAGE, kvm_hypr_control, false),
	FORM(KVM_SET_EPTP, kvm_hypr_eptp, true),
};

/* What refuses a view by its number or its state. */
static const struct {
	const char *name;
	unsigned long request;
	uint32_t view;
	uint32_t flags;
	int error;
} states[] = {
	{ "prepare a view without memory", KVM_PREPARE_EPT_SWAP, VIEW_EMPTY,
	  0, ENOENT },
	{ "prepare SMM's address space", KVM_PREPARE_EPT_SWAP,
	  KVM_HYPR_VIEW_SMM, 0, ENOENT },
	{ "prepare a number beyond the last", KVM_PREPARE_EPT_SWAP,
	  KVM_HYPR_MAX_VIEWS, 0, ENOENT },
	{ "prepare the largest number", KVM_PREPARE_EPT_SWAP, UINT32_MAX,
	  0, ENOENT },
	{ "commit a view without memory", KVM_COMMIT_EPT_SWAP, VIEW_EMPTY,
	  0, ENOENT },
	{ "commit SMM's address space", KVM_COMMIT_EPT_SWAP,
	  KVM_HYPR_VIEW_SMM, 0, ENOENT },
	{ "commit a number beyond the last", KVM_COMMIT_EPT_SWAP,
	  KVM_HYPR_MAX_VIEWS, 0, ENOENT },
	{ "pause on commit", KVM_COMMIT_EPT_SWAP, VIEW,
	  KVM_EPT_SWAP_PAUSE, EINVAL },
	{ "swap all to a view without memory", KVM_EPT_SWAP_ALL, VIEW_EMPTY,
	  0, ENOENT },
	{ "pause without a control page", KVM_EPT_SWAP_ALL, VIEW,
	  KVM_EPT_SWAP_PAUSE, EINVAL },
	{ "resume without a control page", KVM_EPT_SWAP_ALL, VIEW,
	  KVM_EPT_SWAP_RESUME, EINVAL },
	{ "discard a view without memory", KVM_HYPR_DISCARD_VIEW, VIEW_EMPTY,
	  0, ENOENT },
	{ "discard the active view", KVM_HYPR_DISCARD_VIEW,
	  KVM_HYPR_VIEW_BOOT, 0, EBUSY },
};

static void expect(const char *what, int r, int error)
{
	TEST_ASSERT(r == -1 && errno == error, "%s: returned %d, errno %d, not %d",
		    what, r, errno, error);
}

static int call(struct kvm_vm *vm, struct kvm_vcpu *vcpu, bool on_vcpu,
		unsigned long request, void *arg)
{
	return ioctl(on_vcpu ? vcpu->fd : vm->fd, request, arg);
}

static void test_forms(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	const struct form *form;
	union arg arg;
	int i, bit;

	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		form = &forms[i];
		if (form->vcpu && !host_cpu_is_intel)
			continue;
		expect(form->name, call(vm, vcpu, form->vcpu, form->request, NULL),
		       EFAULT);
		/* The upper half of the flags has no meaning anywhere. */
		for (bit = 16; bit < 32; bit++) {
			memset(&arg, 0, sizeof(arg));
			arg.word[form->flags] = 1u << bit;
			expect(form->name, call(vm, vcpu, form->vcpu,
						form->request, &arg), EINVAL);
		}
		memset(&arg, 0, sizeof(arg));
		arg.word[_IOC_SIZE(form->request) / sizeof(uint32_t) - 1] = 1;
		expect(form->name, call(vm, vcpu, form->vcpu, form->request, &arg),
		       EINVAL);
	}
}

static void test_states(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	union arg arg;
	int i;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		/* All of these structs begin with view and flags. */
		memset(&arg, 0, sizeof(arg));
		arg.word[0] = states[i].view;
		arg.word[1] = states[i].flags;
		expect(states[i].name, ioctl(vm->fd, states[i].request, &arg),
		       states[i].error);
	}
}

static void test_unprepared(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	struct kvm_hypr_discard discard = { .view = VIEW_UNPREPARED };

	expect("commit", __hypr_commit(vm, VIEW_UNPREPARED, 0), ENODATA);
	hypr_prepare(vm, VIEW_UNPREPARED);
	vm_ioctl(vm, KVM_HYPR_DISCARD_VIEW, &discard);
	expect("commit after discard", __hypr_commit(vm, VIEW_UNPREPARED, 0),
	       ENODATA);
}

static void test_timeout(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	struct kvm_hypr_swap swap = {
		.view = VIEW,
		.timeout_ns = KVM_EPT_SWAP_TIMEOUT_MAX_NS + 1,
	};

	expect("timeout", __vm_ioctl(vm, KVM_COMMIT_EPT_SWAP, &swap), EINVAL);
	expect("timeout", __vm_ioctl(vm, KVM_EPT_SWAP_ALL, &swap), EINVAL);
}

static void test_control_page(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	struct kvm_hypr_control control = { .gpa = HYPR_CONTROL_GPA + 4096 };

	expect("another GPA", __vm_ioctl(vm, KVM_HYPR_SET_CONTROL_PAGE, &control),
	       EINVAL);
	control.gpa = HYPR_CONTROL_GPA;
	expect("no slot", __vm_ioctl(vm, KVM_HYPR_SET_CONTROL_PAGE, &control),
	       EINVAL);
}

static void test_set_eptp(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	struct kvm_hypr_eptp good = { 0 }, eptp = { 0 };

	if (!host_cpu_is_intel)
		return;
	vcpu_ioctl(vcpu, KVM_GET_EPTP, &good);
	/* Page 0, since the page beside a root may be the root of another view. */
	eptp.eptp = good.eptp & (PAGE_SIZE - 1);
	expect("a page that is no root", __vcpu_ioctl(vcpu, KVM_SET_EPTP, &eptp),
	       EINVAL);
	eptp.eptp = good.eptp ^ 0x6;
	expect("another memory type", __vcpu_ioctl(vcpu, KVM_SET_EPTP, &eptp),
	       EINVAL);
	eptp.eptp = good.eptp | BIT_ULL(63);
	expect("beyond MAXPHYADDR", __vcpu_ioctl(vcpu, KVM_SET_EPTP, &eptp),
	       EINVAL);
}

static void test_without_views(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	struct kvm_vcpu *plain_vcpu;
	struct kvm_vm *plain;
	union arg arg;
	int i;

	plain = vm_create_with_one_vcpu(&plain_vcpu, NULL);
	for (i = 0; i < ARRAY_SIZE(forms); i++) {
		memset(&arg, 0, sizeof(arg));
		expect(forms[i].name, call(plain, plain_vcpu, forms[i].vcpu,
					   forms[i].request, &arg), EINVAL);
	}
	kvm_vm_free(plain);
}

static const struct {
	const char *name;
	void (*run)(struct kvm_vm *vm, struct kvm_vcpu *vcpu);
} tests[] = {
	{ "EINVAL, EFAULT: unknown flags, reserved words, bad pointers", test_forms },
	{ "ENOENT, EBUSY, EINVAL: views that cannot be had", test_states },
	{ "ENODATA: a view that is not prepared", test_unprepared },
	{ "EINVAL: a timeout above the maximum", test_timeout },
	{ "EINVAL: a control page elsewhere, or without a slot", test_control_page },
	{ "EINVAL: an EPTP that is not the root of a view", test_set_eptp },
	{ "EINVAL: every ioctl on a VM without views", test_without_views },
};

int main(int argc, char *argv[])
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	uint64_t *data;
	int i;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_HYPR_EPT_SWAP));

	vm = hypr_vm_create(&vcpu, NULL, &data);
	hypr_view_add(vm, VIEW);
	hypr_view_add(vm, VIEW_UNPREPARED);
	hypr_prepare(vm, VIEW);

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(tests));
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		tests[i].run(vm, vcpu);
		/* No refusal has moved the VM. */
		TEST_ASSERT(!__hypr_commit(vm, 0, 0), "the boot view is lost");
		ksft_test_result_pass("%s\n", tests[i].name);
	}
	kvm_vm_free(vm);
	ksft_finished();
}
