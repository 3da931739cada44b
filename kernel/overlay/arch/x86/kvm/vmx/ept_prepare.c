// SPDX-License-Identifier: GPL-2.0-only
/*
 * Prepare a view: build its tables batch by batch, and ask the cache for room
 * between two batches.  Discard it again.  Rebuild a view that the cache has
 * evicted.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/sched/signal.h>

#include <asm/tsc.h>

#include "ept_trace.h"
#include "vmx_ept_swap.h"

/* Build [gfn, last); @gfn moves on to where the build stopped. */
static int hypr_range_build(struct kvm *kvm, gfn_t *gfn, gfn_t last,
			    struct kvm_hypr_prepare *arg)
{
	ktime_t end = kvm->arch.hypr.vm->build_end;
	bool late = false;
	int r = 1;

	while (r > 0 && *gfn < last) {
		/* What is built stays: the next build passes over it. */
		if (late)
			return -EAGAIN;
		if (signal_pending(current))
			return -EINTR;
		cond_resched();
		hypr_cache_make_room(kvm, BIT(arg->view));
		r = hypr_build_batch(kvm, gfn, last, arg);
		late = ktime_after(ktime_get(), end);
	}
	if (r < 0)
		return r;

	r = hypr_build_check(kvm);
	if (!r)
		*gfn = last;
	return r;
}

/*
 * Build the tables of the view, or of the range that @arg names.
 *
 * Return: 0; -EINVAL without a vCPU; -ENOMEM; -EINTR after a signal: what was
 * built stays, and the caller may call again; -EAGAIN KVM dropped the tables
 * concurrently, or the build was not done by kvm_hypr.build_end: what was built stays.
 */
static int hypr_tables_build(struct kvm *kvm, struct kvm_hypr_prepare *arg)
{
	gfn_t gfn = 0, last = HYPR_GFN_END;
	int r;

	r = hypr_build_begin(kvm, arg->view);
	if (r)
		return r;

	if (arg->flags & KVM_HYPR_PREPARE_RANGE) {
		gfn = gpa_to_gfn(arg->gpa);
		last = gfn + gpa_to_gfn(arg->size);
	}
	r = hypr_range_build(kvm, &gfn, last, arg);
	if (arg->flags & KVM_HYPR_PREPARE_RANGE)
		arg->next_gpa = gfn_to_gpa(gfn);

	hypr_build_end(kvm);
	return r;
}

/*
 * hypr_view_prepare() for a caller that has the builder.  @arg->view exists; the
 * page counts are filled.
 *
 * Context: process context of the VM's mm, kvm_hypr.build_lock held, and
 * kvm_hypr.patience_ns set.
 * Return: 0; -EINVAL the VM has no vCPU yet, or the view does not map the control
 * page; -EINTR, -ENOMEM, -EAGAIN of hypr_tables_build(); -EINTR, -EAGAIN of
 * hypr_lock_within().
 */
static int hypr_view_prepare_locked(struct kvm *kvm, struct kvm_hypr_prepare *arg)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	unsigned long control_hva;
	u64 before, after;
	int r, lock;

	lockdep_assert_held(&h->build_lock);

	/* User space sets it once: before it prepares the first view, or never. */
	control_hva = READ_ONCE(h->control_hva);
	if (control_hva && !hypr_control_is_mapped(kvm, arg->view, control_hva))
		return -EINVAL;

	/* The cache can evict what an error leaves behind: it has a stamp. */
	r = hypr_lock_within(&h->lock, h->patience_ns);
	if (r)
		return r;
	hypr_cache_touch(h, arg->view);
	if (test_bit(arg->view, h->prepared) &&
	    !VALID_PAGE(hypr_tables_root(kvm, arg->view, NULL)))
		hypr_cache_lost(h, arg->view);
	mutex_unlock(&h->lock);

	/* An estimate: vCPUs fault, and the cache evicts others, concurrently. */
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
 * If the VM or the host goes over its budget, the cache evicts other views.
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
	h->build_end = KTIME_MAX;
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
 * hypr_view_discard() - give a view's tables back
 * @kvm: the VM
 * @view: the view; its memslots stay
 *
 * Return: 0, also if the view was not prepared; -ENOENT no such view; -EBUSY the
 * view is active, or a vCPU is in it; -EINTR a fatal signal.
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

/*
 * Was the view prepared, and not discarded since?  @evicted: it lost its tables.
 * Return: 0; -ENODATA if not; -EAGAIN, -EINTR of hypr_lock_within().
 */
static int hypr_check_cached(struct kvm_hypr *h, u32 view, u64 timeout_ns,
			     bool *evicted)
{
	int r;

	r = hypr_lock_within(&h->lock, timeout_ns);
	if (r)
		return r;
	*evicted = h->lru.evicted & BIT(view);
	if (!*evicted && !test_bit(view, h->prepared))
		r = -ENODATA;
	mutex_unlock(&h->lock);
	return r;
}

/**
 * hypr_rebuild_begin() - build an evicted view for a swap
 * @kvm: the VM
 * @view: the view
 * @timeout_ns: how long to wait for each lock, and to build
 *
 * Context: process context of the VM's mm, no lock of HYPR held.
 * Return: 0 with kvm_hypr.build_lock held, so that nobody can evict the view: the
 * caller calls hypr_rebuild_end().  -ENODATA, without a wait for other builds, if
 * the view was never prepared or was discarded; -EAGAIN another build or a discard
 * holds a lock for longer than @timeout_ns, or the build takes longer; -EINTR,
 * -ENOMEM, -EAGAIN, -EINVAL of hypr_view_prepare_locked().
 */
int hypr_rebuild_begin(struct kvm *kvm, u32 view, u64 timeout_ns)
{
	struct kvm_hypr_prepare arg = { .view = view };
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	bool evicted;
	int r;

	r = hypr_check_cached(h, view, timeout_ns, &evicted);
	if (r)
		return r;
	r = hypr_lock_within(&h->build_lock, timeout_ns);
	if (r)
		return r;

	h->patience_ns = timeout_ns;
	h->build_end = ktime_add_safe(ktime_get(), timeout_ns);
	/* Another thread may have prepared or discarded the view by now. */
	r = hypr_check_cached(h, view, timeout_ns, &evicted);
	if (!r && evicted) {
		r = hypr_view_prepare_locked(kvm, &arg);
		h->rebuilds += !r;
	}
	if (r)
		mutex_unlock(&h->build_lock);

	hypr_dbg("rebuild %u: %d, %llu pages\n", view, r, arg.pages_mapped);
	return r;
}

/**
 * hypr_rebuild_end() - undo hypr_rebuild_begin()
 * @kvm: the VM
 * @view: the view; by now it may be active, and the cache may evict the last one
 */
void hypr_rebuild_end(struct kvm *kvm, u32 view)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;

	lockdep_assert_held(&h->build_lock);

	hypr_cache_make_room(kvm, BIT(view));
	mutex_unlock(&h->build_lock);
	hypr_host_make_room(kvm, BIT(view), 0);
}
