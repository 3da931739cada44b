// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: the swap.  hypr_swap() is the place to start reading.
 *
 * All vCPUs or none: the swap raises a flag, asks every vCPU to come to a
 * barrier in front of VM-entry (kvm_hypr_vcpu_sync()), and waits until each one
 * is there or cannot move without passing it.  Only then is it decided whether
 * the swap happens; only then does any vCPU learn of its new view.  A vCPU that no
 * ioctl was under way on, or that is halted, takes the view at its next step.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/sched/signal.h>

#include <asm/msr.h>
#include <asm/tsc.h>

#include "mmu.h"
#include "mmu/spte.h"
#include "smm.h"
#include "x86.h"

#include "ept_trace.h"
#include "vmx_ept_swap.h"

bool ept_swap_debug;
module_param(ept_swap_debug, bool, 0644);
MODULE_PARM_DESC(ept_swap_debug, "Log HYPR view operations (EPT_SWAP lines)");

/* As kvm_create_vm() does it for the address spaces that every VM has. */
static void hypr_init_memslots(struct kvm *kvm)
{
	struct kvm_memslots *slots;
	int i, j;

	for (i = KVM_HYPR_VIEW_FIRST; i < KVM_HYPR_MAX_VIEWS; i++) {
		for (j = 0; j < 2; j++) {
			slots = &kvm->__memslots[i][j];
			atomic_long_set(&slots->last_used_slot, 0);
			slots->hva_tree = RB_ROOT_CACHED;
			slots->gfn_tree = RB_ROOT;
			hash_init(slots->id_hash);
			slots->node_idx = j;
			slots->generation = i;
		}
		rcu_assign_pointer(kvm->memslots[i], &kvm->__memslots[i][0]);
	}
}

static struct kvm_hypr *hypr_create(struct kvm *kvm)
{
	struct kvm_hypr *h;

	h = kzalloc(sizeof(*h), GFP_KERNEL_ACCOUNT);
	if (!h)
		return NULL;

	h->builder = hypr_builder_create(kvm);
	if (!h->builder) {
		kfree(h);
		return NULL;
	}
	mutex_init(&h->lock);
	mutex_init(&h->build_lock);
	init_waitqueue_head(&h->wq);
	INIT_LIST_HEAD(&h->vcpus);
	return h;
}

/**
 * hypr_enable() - KVM_ENABLE_CAP(KVM_CAP_HYPR_EPT_SWAP)
 * @kvm: the VM
 * @cap: as user space passed it
 *
 * Before the first memslot, be it one that is gone by now, and the first vCPU,
 * because the number of address spaces is part of the memslot generation.
 *
 * Return: 0; -EINVAL if it is too late, done already, or not to be had with
 * this VM or host (hypr_vm_claim()); -ENOMEM.
 */
int hypr_enable(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	struct kvm_hypr *h;
	int r;

	if (cap->flags || memchr_inv(cap->args, 0, sizeof(cap->args)) ||
	    !kvm_hypr_nr_views(kvm))
		return -EINVAL;

	r = hypr_shrinker_get();
	if (r)
		return r;
	r = -ENOMEM;
	h = hypr_create(kvm);
	if (!h)
		goto put_shrinker;

	mutex_lock(&kvm->lock);
	mutex_lock(&kvm->slots_lock);
	r = hypr_vm_claim(kvm);
	if (!r) {
		hypr_init_memslots(kvm);
		/* Notifiers and other readers outside slots_lock follow. */
		smp_store_release(&kvm->arch.hypr.nr_as_ids, KVM_HYPR_MAX_VIEWS);
		kvm->arch.disabled_quirks |= KVM_X86_QUIRK_SLOT_ZAP_ALL;
		/* Complete before an ioctl on another thread sees it. */
		smp_store_release(&kvm->arch.hypr.vm, h);
	}
	mutex_unlock(&kvm->slots_lock);
	mutex_unlock(&kvm->lock);

	if (!r)
		return 0;

	hypr_builder_destroy(h->builder);
	kfree(h);
put_shrinker:
	hypr_shrinker_put();
	return r;
}

/**
 * kvm_hypr_destroy_vm() - undo hypr_enable() and all that followed
 * @kvm: a VM that nobody can reach any more; its vCPUs are gone
 */
void kvm_hypr_destroy_vm(struct kvm *kvm)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;

	if (!h)
		return;
	hypr_control_release(h);
	hypr_builder_destroy(h->builder);
	kfree(h);
	kvm->arch.hypr.vm = NULL;
	hypr_shrinker_put();
}

/**
 * hypr_view_exists() - has this view any memory of its own?
 * @kvm: the VM
 * @view: from user space
 *
 * KVM's internal slots stand in every address space and do not count.
 */
bool hypr_view_exists(struct kvm *kvm, u32 view)
{
	struct kvm_memslot_iter iter;
	bool exists = false;
	int idx;

	if (!hypr_view_is_valid(view))
		return false;

	idx = srcu_read_lock(&kvm->srcu);
	kvm_for_each_memslot_in_gfn_range(&iter, __kvm_memslots(kvm, view),
					  0, HYPR_GFN_END) {
		exists = iter.slot->id < KVM_USER_MEM_SLOTS;
		if (exists)
			break;
	}
	srcu_read_unlock(&kvm->srcu, idx);
	return exists;
}

static int hypr_check_quiescent(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_vcpu *vcpu;

	swap->forced = 0;
	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm)
		swap->forced += hypr_swap_takes(swap, vcpu) &&
				!hypr_vcpu_is_quiescent(vcpu);

	return swap->forced && !(swap->flags & KVM_EPT_SWAP_FORCE) ? -EBUSY : 0;
}

/* With the vCPUs held: is any of them where a view cannot be exchanged? */
static int hypr_check_modes(struct kvm *kvm, const struct kvm_hypr_swap *swap)
{
	struct kvm_vcpu *vcpu;

	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		if (hypr_swap_takes(swap, vcpu) &&
		    (is_smm(vcpu) || is_guest_mode(vcpu)))
			return -EBUSY;
	}
	return 0;
}

/* The point of no return. */
static void hypr_activate(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct kvm_vcpu *vcpu;
	bool all = true;
	u64 faults = 0;

	lockdep_assert_held(&h->lock);

	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		faults += READ_ONCE(vcpu->stat.pf_taken);
		if (!hypr_swap_takes(swap, vcpu)) {
			all &= vcpu->arch.hypr.next == swap->view;
			continue;
		}
		WRITE_ONCE(vcpu->arch.hypr.next, swap->view);
	}
	hypr_cache_touch(h, kvm->arch.hypr.active);
	hypr_cache_touch(h, swap->view);
	if (all) {
		/* If it ever ran it has tables; hypr_check_target() looks. */
		set_bit(kvm->arch.hypr.active, h->prepared);
		WRITE_ONCE(kvm->arch.hypr.active, swap->view);
	}
	h->faults = faults;

	h->generation++;
	if (h->control)
		WRITE_ONCE(h->control->generation, h->generation);
}

static int hypr_commit(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	u64 start = rdtsc_ordered();
	int r;

	r = hypr_hold(kvm, swap);
	if (!r)
		r = hypr_check_modes(kvm, swap);
	if (!r)
		hypr_activate(kvm, swap);
	hypr_release(kvm->arch.hypr.vm);

	swap->commit_cycles = rdtsc_ordered() - start;
	trace_kvm_hypr_commit(kvm, swap, r);
	return r;
}

static int hypr_pause(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	u64 start = rdtsc_ordered();
	int r;

	r = hypr_pause_all(kvm, swap->timeout_ns);
	swap->pause_cycles = rdtsc_ordered() - start;
	trace_kvm_hypr_pause(kvm, swap, r);

	/* A guest that does not answer is what force is for. */
	if (r == -EAGAIN && (swap->flags & KVM_EPT_SWAP_FORCE))
		r = 0;
	return r;
}

static int hypr_check_target(struct kvm *kvm, u32 view)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;

	if (!hypr_view_exists(kvm, view))
		return -ENOENT;
	if (view == kvm->arch.hypr.active)
		return 0;
	if (!test_bit(view, h->prepared))
		return -ENODATA;
	if (!VALID_PAGE(hypr_tables_root(kvm, view, NULL))) {
		hypr_cache_lost(h, view);
		return -ENODATA;
	}
	return 0;
}

/*
 * KVM_EPT_SWAP_VCPUS: each vCPU of the mask must exist.  Those that this swap knows
 * are looked at, and no others: it will hold and move these.
 */
static int hypr_check_mask(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	u64 missing = swap->vcpu_mask;
	struct kvm_vcpu *vcpu;

	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		if (!hypr_swap_takes(swap, vcpu))
			continue;
		missing &= ~BIT_ULL(vcpu->vcpu_id);
		if (vcpu->vcpu_id == __ffs64(swap->vcpu_mask))
			swap->old_view = vcpu->arch.hypr.next;
	}
	return missing ? -EINVAL : 0;
}

/* KVM_EPT_SWAP_EXPECT: is what will be swapped where the caller believes? */
static int hypr_check_expected(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_vcpu *vcpu;

	if (swap->old_view != swap->expected_view)
		return -ESTALE;

	/* KVM_SET_EPTP and masks may have taken vCPUs elsewhere. */
	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		if (!hypr_swap_takes(swap, vcpu) ||
		    vcpu->arch.hypr.next == swap->expected_view)
			continue;
		swap->old_view = vcpu->arch.hypr.next;
		return -ESTALE;
	}
	return 0;
}

static int hypr_check_flags(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	int r = 0;

	if (swap->flags & KVM_EPT_SWAP_VCPUS)
		r = hypr_check_mask(kvm, swap);
	if (!r && (swap->flags & KVM_EPT_SWAP_EXPECT))
		r = hypr_check_expected(kvm, swap);
	if (!r && (swap->flags & (KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME)) &&
	    !kvm->arch.hypr.vm->control)
		r = -EINVAL;
	if (!r && (swap->flags & KVM_EPT_SWAP_PAUSE))
		r = hypr_pause_check(kvm);
	return r;
}

static int hypr_swap_locked(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int r;

	lockdep_assert_held(&h->lock);

	swap->old_view = kvm->arch.hypr.active;

	r = hypr_check_flags(kvm, swap);
	if (!r)
		r = hypr_check_target(kvm, swap->view);
	if (r)
		return r;

	/* True whether or not the swap comes about. */
	if (swap->flags & KVM_EPT_SWAP_FLUSH)
		hypr_view_edited(kvm, swap->view);

	if (swap->flags & KVM_EPT_SWAP_PAUSE)
		r = hypr_pause(kvm, swap);
	if (!r)
		r = hypr_check_quiescent(kvm, swap);
	if (!r)
		r = hypr_commit(kvm, swap);

	if (swap->flags & KVM_EPT_SWAP_RESUME) {
		hypr_resume_all(kvm);
		trace_kvm_hypr_resume(kvm, kvm->arch.hypr.active);
	} else if (r && (swap->flags & KVM_EPT_SWAP_PAUSE)) {
		/* What an earlier call has parked stays parked. */
		hypr_pause_undo(kvm);
		trace_kvm_hypr_resume(kvm, kvm->arch.hypr.active);
	}
	return r;
}

static int hypr_swap_once(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int r;

	r = hypr_lock_within(&h->lock, swap->timeout_ns);
	if (r) {
		swap->old_view = READ_ONCE(kvm->arch.hypr.active);
		swap->generation = READ_ONCE(h->generation);
		if (r == -EAGAIN)
			hypr_stat_lock_timeout(kvm);
		return r;
	}
	hypr_vcpus_update(kvm);
	r = hypr_swap_locked(kvm, swap);
	swap->generation = h->generation;
	if (r != -ENODATA)
		hypr_stat_swap(kvm, swap, r);
	mutex_unlock(&h->lock);
	return r;
}

/* The view has no tables.  Lost, not discarded: build them, and swap. */
static int hypr_swap_evicted(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int r;

	r = hypr_cache_rebuild_begin(kvm, swap->view, swap->timeout_ns);
	if (!r) {
		r = hypr_swap_once(kvm, swap);
		hypr_cache_rebuild_end(kvm, swap->view);
		/* With build_lock held, nobody drops them but KVM itself. */
		if (r != -ENODATA)
			return r;
		r = -EAGAIN;
	}
	if (r == -EAGAIN) {
		hypr_stat_lock_timeout(kvm);
		return r;
	}
	/* hypr_swap_once() leaves the count of what has no tables to others. */
	if (!hypr_lock_within(&h->lock, swap->timeout_ns)) {
		hypr_stat_swap(kvm, swap, r);
		mutex_unlock(&h->lock);
	}
	return r;
}

/**
 * hypr_swap() - make a prepared view the active one, on all vCPUs or on none
 * @kvm: the VM
 * @swap: arguments checked for form; the out fields are filled
 *
 * With KVM_EPT_SWAP_VCPUS "all" are the vCPUs of the mask.
 *
 * Swapping to the active view is allowed and counts as a swap: the generation
 * changes, which is how a guest learns that its memory was put back.
 *
 * A view that the cache has evicted, or whose tables KVM has zapped, is built
 * first, under build_lock alone; the errors of that are those of
 * hypr_view_prepare_locked().
 *
 * Each wait of a swap (for other calls on the VM's views, for the guest to park,
 * for the vCPUs) ends at the deadline, and at a fatal signal.  A build ends at any
 * signal.
 *
 * Context: process context.
 * Return: 0; after an error every vCPU is still in the old view:
 * -ENOENT no such view; -ENODATA it was never prepared, or was discarded:
 * prepare it; -EINVAL a pause is asked for and there is no control page, or a
 * vCPU that has no entry in it or no in-kernel APIC, or a vCPU of the mask does
 * not exist; -ESTALE the VM, or a vCPU to be swapped, is
 * not in the expected view; -EAGAIN a deadline passed, or KVM zapped the tables
 * that were just built; -EBUSY a vCPU runs, or
 * has left an instruction half done, and neither pause nor force was asked for, or
 * one is in SMM or in a nested guest; -EINTR a fatal signal.
 */
int hypr_swap(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	int r;

	swap->pause_cycles = 0;
	swap->commit_cycles = 0;
	swap->forced = 0;
	if (!swap->timeout_ns)
		swap->timeout_ns = KVM_EPT_SWAP_TIMEOUT_DEFAULT_NS;

	r = hypr_swap_once(kvm, swap);
	if (r == -ENODATA)
		r = hypr_swap_evicted(kvm, swap);

	hypr_dbg("swap %u -> %u: %d, %u forced, pause %llu commit %llu cycles\n",
		 swap->old_view, swap->view, r, swap->forced,
		 swap->pause_cycles, swap->commit_cycles);
	return r;
}

/**
 * hypr_view_prepare_locked() - hypr_view_prepare() for who has the builder
 * @kvm: the VM
 * @arg: @arg->view exists; the page counts are filled
 *
 * Context: process context of the VM's mm, kvm_hypr.build_lock held, and
 * kvm_hypr.patience_ns set.
 * Return: 0; -EINVAL no vCPU yet, or the control page does not stand in this
 * view; -EINTR, -ENOMEM, -EAGAIN of hypr_tables_build(); -EINTR, -EAGAIN of
 * hypr_lock_within().
 */
int hypr_view_prepare_locked(struct kvm *kvm, struct kvm_hypr_prepare *arg)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	unsigned long control_hva;
	u64 before, after;
	int r, lock;

	lockdep_assert_held(&h->build_lock);

	/* Set once, before the first view is prepared or not at all. */
	control_hva = READ_ONCE(h->control_hva);
	if (control_hva && !hypr_control_stands_in(kvm, arg->view, control_hva))
		return -EINVAL;

	/* What an error leaves behind has a stamp, and is evicted in turn. */
	r = hypr_lock_within(&h->lock, h->patience_ns);
	if (r)
		return r;
	hypr_cache_touch(h, arg->view);
	if (test_bit(arg->view, h->prepared) &&
	    !VALID_PAGE(hypr_tables_root(kvm, arg->view, NULL)))
		hypr_cache_lost(h, arg->view);
	mutex_unlock(&h->lock);

	/* Nearly: vCPUs fault meanwhile, and others are evicted. */
	before = hypr_tables_total(kvm);
	r = hypr_tables_build(kvm, arg);
	after = hypr_tables_total(kvm);

	lock = hypr_lock_within(&h->lock, h->patience_ns);
	if (lock)
		return r ?: lock;
	hypr_stat_prepare(kvm, r);
	if (!r) {
		set_bit(arg->view, h->prepared);
		hypr_cache_touch(h, arg->view);
		hypr_lru_built(&h->lru, arg->view,
			       after > before ? after - before : 0);
	}
	mutex_unlock(&h->lock);

	if (!r)
		hypr_cache_make_room(kvm, BIT(arg->view));
	return r;
}

/**
 * hypr_view_prepare() - build a view's tables ahead of time
 * @kvm: the VM
 * @arg: arguments checked for form; the out fields are filled
 *
 * Other views are evicted if the VM or the host goes over its budget.
 *
 * Return: 0; -ENOENT no such view; errors of hypr_view_prepare_locked().
 */
int hypr_view_prepare(struct kvm *kvm, struct kvm_hypr_prepare *arg)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u64 start = rdtsc_ordered();
	int r;

	arg->pages_mapped = 0;
	arg->pages_skipped = 0;
	arg->cycles = 0;
	arg->next_gpa = arg->gpa;
	if (!hypr_view_exists(kvm, arg->view))
		return -ENOENT;

	if (mutex_lock_killable(&h->build_lock))
		return -EINTR;
	h->patience_ns = HYPR_NO_TIMEOUT;
	r = hypr_view_prepare_locked(kvm, arg);
	mutex_unlock(&h->build_lock);
	if (!r)
		hypr_host_make_room(kvm, BIT(arg->view), HYPR_NO_TIMEOUT);

	arg->cycles = rdtsc_ordered() - start;
	trace_kvm_hypr_prepare(kvm, arg, r);
	hypr_dbg("prepare %u: %d, %llu pages, %llu skipped, %llu cycles\n",
		 arg->view, r, arg->pages_mapped, arg->pages_skipped,
		 arg->cycles);
	return r;
}

/**
 * hypr_view_in_use() - is it the active view, or one that a vCPU is in?
 * @kvm: the VM
 * @view: any view
 *
 * Context: kvm_hypr.lock held, so that the answer lasts.
 */
bool hypr_view_in_use(struct kvm *kvm, u32 view)
{
	struct kvm_vcpu *vcpu;

	lockdep_assert_held(&kvm->arch.hypr.vm->lock);

	if (view == kvm->arch.hypr.active)
		return true;
	/* KVM_SET_EPTP may have taken single vCPUs elsewhere. */
	hypr_for_each_vcpu(vcpu, kvm->arch.hypr.vm) {
		if (READ_ONCE(vcpu->arch.hypr.next) == view)
			return true;
	}
	return false;
}

/**
 * hypr_view_discard() - give a view's tables back
 * @kvm: the VM
 * @view: the view; its memslots stay
 *
 * Return: 0, also if it was not prepared; -ENOENT no such view; -EBUSY it is the
 * active one, or a vCPU is in it; -EINTR a fatal signal.
 */
int hypr_view_discard(struct kvm *kvm, u32 view)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int r;

	if (!hypr_view_exists(kvm, view))
		return -ENOENT;

	if (mutex_lock_killable(&h->build_lock))
		return -EINTR;
	r = hypr_view_drop(kvm, view, false, HYPR_NO_TIMEOUT);
	mutex_unlock(&h->build_lock);

	trace_kvm_hypr_discard(kvm, view, r);
	hypr_dbg("discard %u: %d\n", view, r);
	return r;
}

/**
 * hypr_vcpu_get_eptp() - KVM_GET_EPTP
 * @vcpu: loaded, its mutex is held
 * @arg: filled
 *
 * The EPTP is read back from the VMCS (AMD: the nested CR3 from the VMCB), not
 * computed.
 *
 * Return: 0; -EBUSY in SMM or in a nested guest, where the EPTP in use is none
 * of a view; errors of loading the MMU.
 */
int hypr_vcpu_get_eptp(struct kvm_vcpu *vcpu, struct kvm_hypr_eptp *arg)
{
	struct kvm *kvm = vcpu->kvm;
	int r, idx;

	if (is_smm(vcpu) || is_guest_mode(vcpu))
		return -EBUSY;

	idx = srcu_read_lock(&kvm->srcu);
	r = kvm_mmu_reload(vcpu);
	if (!r) {
		kvm_mmu_load_pgd(vcpu);
		hypr_root_read(vcpu, arg);
	}
	srcu_read_unlock(&kvm->srcu, idx);

	arg->view = vcpu->arch.hypr.view;
	arg->generation = READ_ONCE(kvm->arch.hypr.vm->generation);
	return r;
}

static int hypr_eptp_to_view(struct kvm *kvm, u64 eptp, u32 *view)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u32 i;

	lockdep_assert_held(&h->lock);

	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++) {
		int level = 0;
		hpa_t root;

		if (!hypr_view_is_valid(i) ||
		    (i != kvm->arch.hypr.active && !test_bit(i, h->prepared)))
			continue;
		root = hypr_tables_root(kvm, i, &level);
		if (VALID_PAGE(root) && eptp == hypr_root_encode(root, level)) {
			*view = i;
			return 0;
		}
	}
	return -EINVAL;
}

/**
 * hypr_vcpu_set_eptp() - KVM_SET_EPTP: one vCPU takes the view of a root
 * @vcpu: loaded; its mutex is held, so it is not in KVM_RUN: that is the pause
 * @arg: @arg->eptp is untrusted; the out fields are filled
 *
 * The value is never loaded.  It selects a view, whose root KVM then loads.
 *
 * Return: 0; -EINVAL if VM-entry would refuse the EPTP or if it is not the root
 * of a prepared view of this VM; -EBUSY in SMM, in a nested guest, or with an
 * instruction half done; -EINTR a fatal signal.
 */
int hypr_vcpu_set_eptp(struct kvm_vcpu *vcpu, struct kvm_hypr_eptp *arg)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	int r, idx;

	r = hypr_root_check(arg->eptp);
	if (r)
		return r;
	if (is_smm(vcpu) || is_guest_mode(vcpu) || hypr_vcpu_has_io(vcpu))
		return -EBUSY;

	r = hypr_vcpu_lock(vcpu);
	if (r)
		return r;
	r = hypr_eptp_to_view(vcpu->kvm, arg->eptp, &arg->view);
	if (!r) {
		WRITE_ONCE(vcpu->arch.hypr.next, arg->view);
		hypr_cache_touch(h, arg->view);
		arg->generation = h->generation;
	}
	mutex_unlock(&h->lock);

	/*
	 * Without the lock: taking a view may fault in pages of guest memory, and
	 * these may be long in coming.  A swap waits for the end of this ioctl.
	 */
	if (!r) {
		idx = srcu_read_lock(&vcpu->kvm->srcu);
		hypr_vcpu_take_view(vcpu);
		srcu_read_unlock(&vcpu->kvm->srcu, idx);
	}

	hypr_dbg("vcpu %d: set EPTP %llx: %d\n", vcpu->vcpu_id, arg->eptp, r);
	return r;
}
