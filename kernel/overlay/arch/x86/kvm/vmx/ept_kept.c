// SPDX-License-Identifier: GPL-2.0-only
/*
 * States of vCPUs that are kept for views.  KVM fills them itself, by
 * KVM_HYPR_KEEP_STATE and at each swap that leaves a view; user space reads them and
 * cannot write them.  So what a swap loads into a vCPU is what KVM has read from it.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/array_size.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/fpu/api.h>

#include "kvm_cache_regs.h"
#include "lapic.h"
#include "x86.h"

#include "vmx_ept_swap.h"

static void hypr_kept_destroy(struct hypr_kept *kept)
{
	if (!kept)
		return;
	kvfree(kept->fpu);
	kvfree(kept->data);
	kvfree(kept);
}

static struct hypr_kept *hypr_kept_create(size_t fpu_bytes, unsigned int nr_msrs)
{
	struct hypr_kept *kept;

	kept = kvzalloc(struct_size(kept, msr, nr_msrs), GFP_KERNEL_ACCOUNT);
	if (!kept)
		return NULL;
	kept->nr_msrs = nr_msrs;
	kept->fpu_bytes = fpu_bytes;
	kept->fpu = kvzalloc(ALIGN(fpu_bytes, 64), GFP_KERNEL_ACCOUNT);
	/* One more: a list may be empty. */
	kept->data = kvcalloc(nr_msrs + 1, sizeof(u64), GFP_KERNEL_ACCOUNT);
	if (!kept->fpu || !kept->data) {
		hypr_kept_destroy(kept);
		return NULL;
	}
	return kept;
}

/* ---- keep ------------------------------------------------------------------- */

/*
 * MSRs that a guest writes without a VM-exit (vmx_possible_passthrough_msrs, and
 * direct_access_msrs of SVM); DEBUGCTL, of which a debug exception clears bits; and PAT,
 * which the end of a nested guest loads.
 */
static const u32 hypr_live_msrs[] = {
	MSR_KERNEL_GS_BASE, MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP,
	MSR_IA32_SYSENTER_EIP, MSR_IA32_SPEC_CTRL, MSR_IA32_XFD, MSR_IA32_XFD_ERR,
	MSR_IA32_DEBUGCTLMSR, MSR_IA32_CR_PAT,
};

/* The same, with SVM alone. */
static const u32 hypr_svm_live_msrs[] = {
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK, MSR_TSC_AUX,
	MSR_IA32_LASTBRANCHFROMIP, MSR_IA32_LASTBRANCHTOIP, MSR_IA32_LASTINTFROMIP,
	MSR_IA32_LASTINTTOIP,
};

static_assert(ARRAY_SIZE(hypr_live_msrs) + ARRAY_SIZE(hypr_svm_live_msrs) <= HYPR_LIVE_MSRS);

/* No state of one vCPU, or in guest memory, or apart. */
static bool hypr_msr_is_refused(u32 index)
{
	return index == MSR_IA32_TSC || kvm_hypr_msr_is_apart(index) ||
	       index == MSR_KVM_WALL_CLOCK || index == MSR_KVM_SYSTEM_TIME ||
	       (index & ~0xffu) == MSR_KVM_WALL_CLOCK_NEW;
}

static bool hypr_msr_is_in(u32 index, const u32 *list, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (list[i] == index)
			return true;
	}
	return false;
}

static bool hypr_msr_is_live(u32 index)
{
	return hypr_msr_is_in(index, hypr_live_msrs, ARRAY_SIZE(hypr_live_msrs)) ||
	       (boot_cpu_has(X86_FEATURE_SVM) &&
		hypr_msr_is_in(index, hypr_svm_live_msrs, ARRAY_SIZE(hypr_svm_live_msrs)));
}

static bool hypr_msr_is_base(u32 index)
{
	return index == MSR_FS_BASE || index == MSR_GS_BASE;
}

static bool hypr_kept_has_msr(const struct hypr_kept *kept, unsigned int nr, u32 index)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (kept->msr[i].index == index)
			return true;
	}
	return false;
}

/*
 * What KVM reads it must take back: no swap may fail after its commit.  KVM_GET_MSRS
 * and KVM_SET_MSRS also answer for MSRs that KVM lists and this vCPU does not have, or
 * that cannot be set: there is nothing to move.
 */
static void hypr_kept_try_msr(struct kvm_vcpu *vcpu, struct hypr_kept *kept, unsigned int at)
{
	struct hypr_kept_msr *entry = &kept->msr[at];
	struct msr_data msr = { .index = entry->index, .host_initiated = true };

	/* The segments have it. */
	entry->fixed = hypr_msr_is_base(msr.index);
	if (entry->fixed)
		return;
	entry->fixed = __kvm_get_msr(vcpu, msr.index, &msr.data, true) ||
		       kvm_x86_call(set_msr)(vcpu, &msr);
	if (entry->fixed) {
		kept->data[at] = msr.data;
	} else if (hypr_msr_is_live(msr.index)) {
		entry->live = true;
		kept->live[kept->nr_live++].at = at;
	}
}

/* @from: user address of the list, of which @kept has the length. */
static int hypr_kept_copy_list(struct hypr_kept *kept, u64 from)
{
	struct kvm_msrs __user *list = u64_to_user_ptr(from);
	struct kvm_msr_entry entry;
	unsigned int i;

	for (i = 0; i < kept->nr_msrs; i++) {
		if (copy_from_user(&entry, &list->entries[i], sizeof(entry)))
			return -EFAULT;
		if (entry.reserved || hypr_msr_is_refused(entry.index) ||
		    hypr_kept_has_msr(kept, i, entry.index))
			return -EINVAL;
		kept->msr[i].index = entry.index;
	}
	return 0;
}

/* As KVM_SET_MSRS, with SRCU: some MSRs look at memory slots. */
static void hypr_kept_fill(struct kvm_vcpu *vcpu, u64 host_tsc, struct hypr_kept *kept)
{
	unsigned int i;
	int idx;

	idx = srcu_read_lock(&vcpu->kvm->srcu);
	for (i = 0; i < kept->nr_msrs; i++)
		hypr_kept_try_msr(vcpu, kept, i);
	vcpu->arch.hypr.msrs_written = true;
	hypr_state_read(vcpu, host_tsc, kept);
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
}

static bool hypr_kept_lists_match(const struct hypr_kept *one, const struct hypr_kept *other)
{
	unsigned int i;

	if (one->nr_msrs != other->nr_msrs)
		return false;
	for (i = 0; i < one->nr_msrs; i++) {
		if (one->msr[i].index != other->msr[i].index ||
		    one->msr[i].fixed != other->msr[i].fixed)
			return false;
	}
	return true;
}

/* A swap goes through two lists side by side. */
static bool hypr_kept_matches_all(struct kvm_vcpu *vcpu, const struct hypr_kept *kept)
{
	struct hypr_kept **all = &vcpu->arch.hypr.kept[0][0];
	int i;

	for (i = 0; i < KVM_HYPR_MAX_VIEWS * 2; i++) {
		if (all[i] && hypr_view_exists(vcpu->kvm, i / 2) &&
		    !hypr_kept_lists_match(all[i], kept))
			return false;
	}
	return true;
}

/* On success @kept is what was there before, or NULL. */
static int hypr_kept_publish(struct kvm_vcpu *vcpu, u32 view, enum hypr_kept_kind kind,
			     struct hypr_kept **kept)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	int r;

	r = hypr_vcpu_lock(vcpu);
	if (r)
		return r;
	if (!hypr_view_exists(vcpu->kvm, view)) {
		r = -ENOENT;
	} else if (!hypr_kept_matches_all(vcpu, *kept)) {
		r = -EINVAL;
	} else {
		list_add(&(*kept)->node, &h->kept);
		swap(vcpu->arch.hypr.kept[view][kind], *kept);
		if (*kept)
			list_del(&(*kept)->node);
	}
	mutex_unlock(&h->lock);
	return r;
}

/**
 * hypr_kept_keep() - KVM_HYPR_KEEP_STATE
 * @vcpu: loaded, its mutex held by this thread
 * @arg: the caller has checked flags and reserved fields
 *
 * Context: process context.  Takes kvm_hypr.lock.
 * Return: 0 or as struct kvm_hypr_keep says.
 */
long hypr_kept_keep(struct kvm_vcpu *vcpu, const struct kvm_hypr_keep *arg)
{
	struct kvm_msrs __user *list = u64_to_user_ptr(arg->msrs);
	struct hypr_kept *kept;
	u32 nr_msrs, view;
	int r;

	if (!hypr_view_is_valid(arg->view))
		return -ENOENT;
	view = array_index_nospec(arg->view, KVM_HYPR_MAX_VIEWS);
	if (get_user(nr_msrs, &list->nmsrs))
		return -EFAULT;
	if (nr_msrs > KVM_HYPR_KEPT_MAX_MSRS)
		return -E2BIG;
	if (!hypr_state_can_move(vcpu)) {
		hypr_dbg("vcpu %d: more is under way than a state can keep\n", vcpu->vcpu_id);
		return -EBUSY;
	}

	kept = hypr_kept_create(hypr_fpu_bytes(vcpu), nr_msrs);
	if (!kept)
		return -ENOMEM;
	r = hypr_kept_copy_list(kept, arg->msrs);
	if (!r) {
		hypr_kept_fill(vcpu, arg->host_tsc, kept);
		r = hypr_kept_publish(vcpu, view, hypr_kept_kind(arg->flags), &kept);
	}
	/* What is freed here may be where the values of the MSRs were. */
	vcpu->arch.hypr.msrs_of = NULL;
	hypr_kept_destroy(kept);
	return r;
}

/* ---- read ------------------------------------------------------------------- */

/* Copy to @clone, so that no user memory is touched under the lock. */
static void hypr_kept_copy(struct hypr_kept *clone, const struct hypr_kept *kept)
{
	struct fpstate *fpu = clone->fpu;
	u64 *data = clone->data;

	memcpy(clone, kept, struct_size(kept, msr, kept->nr_msrs));
	clone->fpu = fpu;
	clone->data = data;
	memcpy(fpu, kept->fpu, kept->fpu_bytes);
	memcpy(data, kept->data, kept->nr_msrs * sizeof(u64));
}

static struct hypr_kept *hypr_kept_find(struct kvm_vcpu *vcpu,
					const struct kvm_hypr_state *arg)
{
	u32 view = array_index_nospec(arg->view, KVM_HYPR_MAX_VIEWS);
	struct hypr_kept *kept;

	lockdep_assert_held(&vcpu->kvm->arch.hypr.vm->lock);

	if (!hypr_view_exists(vcpu->kvm, arg->view))
		return ERR_PTR(-ENOENT);
	kept = vcpu->arch.hypr.kept[view][hypr_kept_kind(arg->flags)];
	/* What is on its way out of a vCPU is not whole yet. */
	if (!kept || READ_ONCE(vcpu->arch.hypr.move_to))
		return ERR_PTR(-ENXIO);
	return kept;
}

/* The clone is allocated without the lock: look again whether it is large enough. */
static struct hypr_kept *hypr_kept_clone(struct kvm_vcpu *vcpu,
					 const struct kvm_hypr_state *arg)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	struct hypr_kept *clone = NULL, *kept;
	size_t bytes = 0;
	int r;

	for (;;) {
		r = mutex_lock_killable(&h->lock);
		if (r)
			break;
		kept = hypr_kept_find(vcpu, arg);
		r = PTR_ERR_OR_ZERO(kept);
		if (!r && clone && kept->fpu_bytes <= bytes) {
			hypr_kept_copy(clone, kept);
			mutex_unlock(&h->lock);
			return clone;
		}
		if (!r)
			bytes = kept->fpu_bytes;
		mutex_unlock(&h->lock);
		hypr_kept_destroy(clone);
		clone = NULL;
		if (r)
			break;
		clone = hypr_kept_create(bytes, KVM_HYPR_KEPT_MAX_MSRS);
		if (!clone)
			return ERR_PTR(-ENOMEM);
	}
	hypr_kept_destroy(clone);
	return ERR_PTR(r);
}

static void hypr_kept_to_regs(const struct hypr_kept *kept, struct kvm_regs *regs)
{
	regs->rax = kept->regs[VCPU_REGS_RAX];
	regs->rbx = kept->regs[VCPU_REGS_RBX];
	regs->rcx = kept->regs[VCPU_REGS_RCX];
	regs->rdx = kept->regs[VCPU_REGS_RDX];
	regs->rsi = kept->regs[VCPU_REGS_RSI];
	regs->rdi = kept->regs[VCPU_REGS_RDI];
	regs->rsp = kept->regs[VCPU_REGS_RSP];
	regs->rbp = kept->regs[VCPU_REGS_RBP];
	regs->r8 = kept->regs[VCPU_REGS_R8];
	regs->r9 = kept->regs[VCPU_REGS_R9];
	regs->r10 = kept->regs[VCPU_REGS_R10];
	regs->r11 = kept->regs[VCPU_REGS_R11];
	regs->r12 = kept->regs[VCPU_REGS_R12];
	regs->r13 = kept->regs[VCPU_REGS_R13];
	regs->r14 = kept->regs[VCPU_REGS_R14];
	regs->r15 = kept->regs[VCPU_REGS_R15];
	regs->rip = kept->regs[VCPU_REGS_RIP];
	regs->rflags = kept->rflags;
}

static bool hypr_copy_out(u64 to, const void *from, size_t bytes)
{
	return to && copy_to_user(u64_to_user_ptr(to), from, bytes);
}

static u64 hypr_kept_msr_value(const struct hypr_kept *kept, unsigned int at)
{
	u32 index = kept->msr[at].index;
	unsigned int i;

	if (hypr_msr_is_base(index))
		return kept->segment[index == MSR_FS_BASE ? VCPU_SREG_FS : VCPU_SREG_GS].base;
	for (i = 0; i < kept->nr_live; i++) {
		if (kept->live[i].at == at)
			return kept->live[i].data;
	}
	return kept->data[at];
}

static int hypr_copy_msrs(const struct hypr_kept *kept, u64 to)
{
	struct kvm_msrs __user *list = u64_to_user_ptr(to);
	u32 nr_msrs, index;
	unsigned int i;

	if (!to)
		return 0;
	if (get_user(nr_msrs, &list->nmsrs))
		return -EFAULT;
	if (nr_msrs != kept->nr_msrs)
		return -EINVAL;
	for (i = 0; i < nr_msrs; i++) {
		if (get_user(index, &list->entries[i].index))
			return -EFAULT;
		if (index != kept->msr[i].index)
			return -EINVAL;
		if (put_user(hypr_kept_msr_value(kept, i), &list->entries[i].data))
			return -EFAULT;
	}
	return 0;
}

static int hypr_copy_xsave(struct kvm_vcpu *vcpu, const struct hypr_kept *kept,
			   const struct kvm_hypr_state *arg)
{
	struct fpu_guest fpu = { .fpstate = kept->fpu };
	void *buffer;
	int r = 0;

	if (!arg->xsave)
		return arg->xsave_bytes ? -EINVAL : 0;
	if (arg->xsave_bytes < vcpu->arch.guest_fpu.uabi_size || arg->xsave_bytes > SZ_64K)
		return -EINVAL;
	buffer = kvzalloc(arg->xsave_bytes, GFP_KERNEL_ACCOUNT);
	if (!buffer)
		return -ENOMEM;
	fpu_copy_guest_fpstate_to_uabi(&fpu, buffer, arg->xsave_bytes,
				       vcpu->arch.guest_supported_xcr0 |
				       XFEATURE_MASK_FPSSE, kept->pkru);
	if (hypr_copy_out(arg->xsave, buffer, arg->xsave_bytes))
		r = -EFAULT;
	kvfree(buffer);
	return r;
}

static int hypr_kept_copy_out(struct kvm_vcpu *vcpu, const struct hypr_kept *kept,
			      struct kvm_hypr_state *arg)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0].value = kept->xcr0 };
	struct kvm_mp_state mp_state = { .mp_state = kept->events.mp_state };
	struct kvm_vcpu_events events;
	struct kvm_regs regs = { 0 };
	struct kvm_sregs sregs;
	int r;

	hypr_kept_to_regs(kept, &regs);
	hypr_state_sregs(kept, &sregs);
	hypr_events_copy(vcpu->kvm, &kept->events, &events);
	if (hypr_copy_out(arg->regs, &regs, sizeof(regs)) ||
	    hypr_copy_out(arg->sregs, &sregs, sizeof(sregs)) ||
	    hypr_copy_out(arg->xcrs, &xcrs, sizeof(xcrs)) ||
	    hypr_copy_out(arg->events, &events, sizeof(events)) ||
	    hypr_copy_out(arg->mp_state, &mp_state, sizeof(mp_state)) ||
	    hypr_copy_out(arg->debugregs, &kept->debugregs, sizeof(kept->debugregs)) ||
	    hypr_copy_out(arg->lapic, &kept->lapic, sizeof(kept->lapic)))
		return -EFAULT;
	r = hypr_copy_msrs(kept, arg->msrs);
	if (!r)
		r = hypr_copy_xsave(vcpu, kept, arg);
	arg->host_tsc = kept->host_tsc;
	arg->tsc_offset = kept->tsc_offset;
	arg->tsc_deadline = kept->tsc_deadline;
	return r;
}

/**
 * hypr_kept_get() - KVM_HYPR_GET_STATE
 * @kvm: the VM
 * @arg: the caller has checked flags and reserved fields; the out fields are filled
 *
 * Context: process context.  Takes kvm_hypr.lock.
 * Return: 0 or as struct kvm_hypr_state says.
 */
long hypr_kept_get(struct kvm *kvm, struct kvm_hypr_state *arg)
{
	struct hypr_kept *kept;
	struct kvm_vcpu *vcpu;
	int r;

	vcpu = kvm_get_vcpu_by_id(kvm, arg->vcpu);
	if (!hypr_view_is_valid(arg->view) || !vcpu)
		return -ENOENT;
	kept = hypr_kept_clone(vcpu, arg);
	if (IS_ERR(kept))
		return PTR_ERR(kept);
	hypr_apic_to_user(kvm, kept);
	r = hypr_kept_copy_out(vcpu, kept, arg);
	hypr_kept_destroy(kept);
	return r;
}

/**
 * hypr_kept_free() - the VM goes
 * @h: the VM's views; its vCPUs are gone
 */
void hypr_kept_free(struct kvm_hypr *h)
{
	struct hypr_kept *kept, *next;

	list_for_each_entry_safe(kept, next, &h->kept, node)
		hypr_kept_destroy(kept);
}
