// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: memory back to its moment, while a swap holds the vCPUs.
 *
 * User space says once where a view's moment is mapped (KVM_HYPR_SET_MOMENT).  A reset
 * then finds the pages that were written (ept_find.c), and copies the moment's bytes over
 * them (ept_share.c): from the page that user space has mapped to the page that the view's
 * tables map.  What maps the page stays as it is.
 *
 * Nothing faults under the locks.  A page that is not there ends the attempt before a byte
 * was written, and hypr_swap() faults it in, with no lock held, and tries again.  Of those
 * that are there the reset has references: from then on it cannot fail.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>

#include "vmx_ept_swap.h"

/*
 * Under mmu_lock, nobody zaps an entry, and so nobody takes a page away.  The vCPUs are
 * held, and no CPU sets a flag.
 */
static int hypr_put_back_locked(struct hypr_find *f)
{
	struct kvm_hypr *h = f->kvm->arch.hypr.vm;
	int r;

	lockdep_assert_held_write(&f->kvm->mmu_lock);

	r = hypr_pages_find(f);
	if (r)
		return r;
	hypr_pages_copy(h, atomic_read(&f->nr));
	hypr_pages_forget(f);
	return 0;
}

static int hypr_put_back_view(struct hypr_find *f)
{
	int r;

	write_lock(&f->kvm->mmu_lock);
	rcu_read_lock();
	pagefault_disable();
	r = hypr_put_back_locked(f);
	pagefault_enable();
	rcu_read_unlock();
	write_unlock(&f->kvm->mmu_lock);
	return r;
}

/**
 * hypr_put_back() - memory of a view back to its moment
 * @kvm: the VM
 * @swap: to the active view, which hypr_moment_check() was content with; @pages is filled
 *
 * Context: kvm_hypr.lock held, and all vCPUs (hypr_hold()); process context of the VM's
 * mm.  Takes kvm->srcu and mmu_lock.
 * Return: 0; -EOPNOTSUPP it is not known which pages were written; -E2BIG they are too
 * many, or the view has memory that the moment has not; -EFAULT pages are missing: see
 * hypr_missing_fault_in(); in these cases nothing was written.
 */
int hypr_put_back(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u32 view = array_index_nospec(swap->view, KVM_HYPR_MAX_VIEWS);
	struct hypr_find f = {
		.kvm = kvm,
		.moment = h->moment[view],
		.view = view,
		.shared_gfn = h->control_page ? gpa_to_gfn(HYPR_CONTROL_GPA) : HYPR_GFN_END,
		.nr = ATOMIC_INIT(0),
	};
	bool all = false;
	int idx, r;

	lockdep_assert_held(&h->lock);

	idx = srcu_read_lock(&kvm->srcu);
	r = hypr_written_check(kvm, view, f.moment->pages, &all);
	/* The next KVM_HYPR_GET_WRITTEN has to say so. */
	if (all)
		WRITE_ONCE(h->notes[view].all, true);
	if (!r)
		r = hypr_put_back_view(&f);
	srcu_read_unlock(&kvm->srcu, idx);
	if (r)
		return r;
	swap->pages = atomic_read(&f.nr);
	/* What CPUs have cached says that pages are dirty, and tables used. */
	hypr_view_edited(kvm, view);
	return 0;
}
