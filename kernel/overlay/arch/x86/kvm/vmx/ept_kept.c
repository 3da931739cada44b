// SPDX-License-Identifier: GPL-2.0-only
/*
 * States of vCPUs that are kept for views.  KVM fills them itself, by
 * KVM_HYPR_KEEP_STATE and at each swap that leaves a view; user space reads them and has
 * them copied (ept_copy.c), and cannot write them.  So what a swap loads into a vCPU is what
 * KVM has read from it.
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

/**
 * hypr_kept_destroy() - of one that nobody finds
 * @kept: or NULL
 */
void hypr_kept_destroy(struct hypr_kept *kept)
{
	if (!kept)
		return;
	kvfree(kept->fpu);
	kvfree(kept->data);
	kvfree(kept);
}

/**
 * hypr_kept_create() - room for a state, which nobody finds
 * @fpu_bytes: of its FPU
 * @nr_msrs: how many MSRs
 *
 * Return: NULL without memory.
 */
struct hypr_kept *hypr_kept_create(size_t fpu_bytes, unsigned int nr_msrs)
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

/*
 * A swap goes through two lists side by side.  A view that does not exist may come again, with
 * what was kept for it.
 */
static bool hypr_kept_matches_all(struct kvm_vcpu *vcpu, const struct hypr_kept *kept)
{
	struct hypr_kept **all = &vcpu->arch.hypr.kept[0][0];
	int i;

	for (i = 0; i < KVM_HYPR_MAX_VIEWS * 2; i++) {
		if (all[i] && !hypr_kept_lists_match(all[i], kept))
			return false;
	}
	return true;
}

/**
 * hypr_kept_put() - what is kept of a vCPU for a view from now on
 * @vcpu: the vCPU, which may run
 * @view: any number up to KVM_HYPR_MAX_VIEWS
 * @kind: which of the two
 * @kept: on success out: what was there before, or NULL
 *
 * Context: kvm_hypr.lock held.
 * Return: 0; -ENOENT no such view; -EINVAL the vCPU's other states have other MSRs.
 */
int hypr_kept_put(struct kvm_vcpu *vcpu, u32 view, enum hypr_kept_kind kind,
		  struct hypr_kept **kept)
{
	struct hypr_kept **at = &vcpu->arch.hypr.kept[view][kind];
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;

	lockdep_assert_held(&h->lock);

	if (!hypr_view_exists(vcpu->kvm, view))
		return -ENOENT;
	if (!hypr_kept_matches_all(vcpu, *kept))
		return -EINVAL;
	/* The vCPU's thread looks there in a swap alone, and in its own KVM_HYPR_KEEP_STATE. */
	if (*at && READ_ONCE(vcpu->arch.hypr.msrs_of) == *at)
		WRITE_ONCE(vcpu->arch.hypr.msrs_of, NULL);
	list_add(&(*kept)->node, &h->kept);
	swap(*at, *kept);
	if (*kept)
		list_del(&(*kept)->node);
	return 0;
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
		r = hypr_vcpu_lock(vcpu);
	}
	if (!r) {
		r = hypr_kept_put(vcpu, view, hypr_kept_kind(arg->flags), &kept);
		mutex_unlock(&vcpu->kvm->arch.hypr.vm->lock);
	}
	/* The values of the MSRs were read into what may be freed here. */
	WRITE_ONCE(vcpu->arch.hypr.msrs_of, NULL);
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
