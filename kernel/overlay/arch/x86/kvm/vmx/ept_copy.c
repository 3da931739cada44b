// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is kept of vCPUs and board is read while the vCPUs run: for user space, or to be
 * copied for another view or as the other kind.  A view that is made of a moment has the
 * state of that moment so, and can be entered and left for the first time without a vCPU's
 * thread in user space.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/delay.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/fpu/api.h>

#include "x86.h"

#include "vmx_ept_swap.h"

/* A vCPU's thread may be preempted in the middle of a move. */
#define HYPR_MOVE_SPINS		4000
#define HYPR_MOVE_SLEEPS	20000

/*
 * Wait until the states that the last swap has exchanged are whole; no other begins.
 *
 * Return: false if a signal that kills has taken the vCPU's thread, or this one, out of KVM.
 */
static bool hypr_kept_is_whole(struct kvm_vcpu *vcpu)
{
	unsigned int spins = 0;

	lockdep_assert_held(&vcpu->kvm->arch.hypr.vm->lock);

	/* Pairs with the release in hypr_state_move(). */
	while (smp_load_acquire(&vcpu->arch.hypr.move_to)) {
		if (spins++ < HYPR_MOVE_SPINS) {
			cpu_relax();
			continue;
		}
		if (fatal_signal_pending(current) || spins > HYPR_MOVE_SPINS + HYPR_MOVE_SLEEPS)
			return false;
		usleep_range(10, 20);
	}
	return true;
}

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

static struct hypr_kept *hypr_kept_find(struct kvm_vcpu *vcpu, u32 view,
					enum hypr_kept_kind kind)
{
	struct hypr_kept *kept;

	lockdep_assert_held(&vcpu->kvm->arch.hypr.vm->lock);

	if (!hypr_view_exists(vcpu->kvm, view))
		return ERR_PTR(-ENOENT);
	kept = vcpu->arch.hypr.kept[array_index_nospec(view, KVM_HYPR_MAX_VIEWS)][kind];
	if (!kept || !hypr_kept_is_whole(vcpu))
		return ERR_PTR(-ENXIO);
	return kept;
}

/*
 * A copy that nobody else finds, or an error.  It is allocated without the lock: look again
 * whether it has the right size.
 */
static struct hypr_kept *hypr_kept_clone(struct kvm_vcpu *vcpu, u32 view,
					 enum hypr_kept_kind kind)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	struct hypr_kept *clone = NULL, *kept;
	unsigned int nr_msrs = 0;
	size_t bytes = 0;
	int r;

	for (;;) {
		r = mutex_lock_killable(&h->lock);
		if (r)
			break;
		kept = hypr_kept_find(vcpu, view, kind);
		r = PTR_ERR_OR_ZERO(kept);
		if (!r && clone && kept->fpu_bytes == bytes && kept->nr_msrs == nr_msrs) {
			hypr_kept_copy(clone, kept);
			mutex_unlock(&h->lock);
			return clone;
		}
		if (!r) {
			bytes = kept->fpu_bytes;
			nr_msrs = kept->nr_msrs;
		}
		mutex_unlock(&h->lock);
		hypr_kept_destroy(clone);
		clone = NULL;
		if (r)
			break;
		clone = hypr_kept_create(bytes, nr_msrs);
		if (!clone)
			return ERR_PTR(-ENOMEM);
	}
	hypr_kept_destroy(clone);
	return ERR_PTR(r);
}

/* ---- for user space --------------------------------------------------------- */

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
	kept = hypr_kept_clone(vcpu, arg->view, hypr_kept_kind(arg->flags));
	if (IS_ERR(kept))
		return PTR_ERR(kept);
	hypr_apic_to_user(kvm, kept);
	r = hypr_kept_copy_out(vcpu, kept, arg);
	hypr_kept_destroy(kept);
	return r;
}

/* ---- for another view ------------------------------------------------------- */

static int hypr_copy_vcpu(struct kvm_vcpu *vcpu, u32 view, const struct kvm_hypr_copy *arg)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	struct hypr_kept *kept;
	int r;

	kept = hypr_kept_clone(vcpu, arg->from_view, hypr_kept_kind(arg->from_flags));
	if (IS_ERR(kept))
		return PTR_ERR(kept);
	r = mutex_lock_killable(&h->lock);
	if (!r) {
		r = !hypr_kept_is_whole(vcpu) ? -ENXIO :
		    hypr_kept_put(vcpu, view, hypr_kept_kind(arg->flags), &kept);
		mutex_unlock(&h->lock);
	}
	/* What was replaced: a vCPU may be at it in hypr_vcpu_is_movable(). */
	if (!r && kept)
		synchronize_rcu();
	hypr_kept_destroy(kept);
	return r;
}

static int hypr_copy_board(struct kvm_hypr *h, u32 view, const struct kvm_hypr_copy *arg)
{
	struct hypr_board *board, *from;
	int r;

	board = kmalloc(sizeof(*board), GFP_KERNEL_ACCOUNT);
	if (!board)
		return -ENOMEM;
	r = mutex_lock_killable(&h->lock);
	if (!r) {
		from = hypr_board_find(h, arg->from_view, hypr_kept_kind(arg->from_flags));
		if (from) {
			*board = *from;
			swap(h->board[view][hypr_kept_kind(arg->flags)], board);
		}
		mutex_unlock(&h->lock);
	}
	kfree(board);
	return r;
}

/**
 * hypr_kept_copy_to() - KVM_HYPR_COPY_STATE
 * @kvm: the VM
 * @arg: the caller has checked flags and reserved fields
 *
 * Context: process context.  Takes kvm_hypr.lock.
 * Return: 0 or as struct kvm_hypr_copy says.
 */
long hypr_kept_copy_to(struct kvm *kvm, const struct kvm_hypr_copy *arg)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u32 view;
	int r;

	if (!hypr_view_is_valid(arg->view) || !hypr_view_is_valid(arg->from_view))
		return -ENOENT;
	if (arg->view == arg->from_view && arg->flags == arg->from_flags)
		return -EINVAL;
	view = array_index_nospec(arg->view, KVM_HYPR_MAX_VIEWS);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		r = hypr_copy_vcpu(vcpu, view, arg);
		if (r)
			return r;
	}
	return hypr_copy_board(kvm->arch.hypr.vm, view, arg);
}
