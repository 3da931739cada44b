// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: where the bytes of a view's moment are in user memory, for ept_reset.c; and
 * pages of it that a reset has missed.
 */
#include <linux/mm.h>
#include <linux/nospec.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vmx_ept_swap.h"

static bool hypr_moment_is_valid(const struct kvm_hypr_moment *arg)
{
	u64 bitmap_bytes = DIV_ROUND_UP(arg->size >> PAGE_SHIFT, BITS_PER_LONG) * sizeof(long);

	if (!arg->size)
		return !arg->userspace_addr && !arg->bitmap;
	return PAGE_ALIGNED(arg->size) && PAGE_ALIGNED(arg->userspace_addr) &&
	       arg->size >> PAGE_SHIFT <= KVM_HYPR_WRITTEN_MAX_PAGES &&
	       IS_ALIGNED(arg->bitmap, sizeof(long)) &&
	       access_ok(u64_to_user_ptr(arg->userspace_addr), arg->size) &&
	       access_ok(u64_to_user_ptr(arg->bitmap), bitmap_bytes);
}

static struct hypr_moment *hypr_moment_create(const struct kvm_hypr_moment *arg)
{
	gfn_t pages = arg->size >> PAGE_SHIFT;
	unsigned int nr = DIV_ROUND_UP(pages, HYPR_REGION_PAGES);
	struct hypr_moment *moment;

	moment = kvzalloc(struct_size(moment, region, nr), GFP_KERNEL_ACCOUNT);
	if (!moment)
		return NULL;
	moment->hva = arg->userspace_addr;
	moment->bitmap = arg->bitmap;
	moment->pages = pages;
	moment->nr_regions = nr;
	return moment;
}

/**
 * hypr_moment_set() - KVM_HYPR_SET_MOMENT
 * @kvm: the VM
 * @arg: the caller has checked flags and reserved fields
 *
 * Context: process context of the VM's mm.  Takes kvm_hypr.lock.
 * Return: 0 or as struct kvm_hypr_moment says.
 */
long hypr_moment_set(struct kvm *kvm, const struct kvm_hypr_moment *arg)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct hypr_moment *moment = NULL;
	long r;

	if (!hypr_moment_is_valid(arg))
		return -EINVAL;
	if (!hypr_view_is_valid(arg->view))
		return -ENOENT;
	if (arg->size) {
		moment = hypr_moment_create(arg);
		if (!moment)
			return -ENOMEM;
	}
	r = mutex_lock_killable(&h->lock);
	if (r)
		goto free;
	if (!hypr_view_exists(kvm, arg->view))
		r = -ENOENT;
	else
		swap(h->moment[array_index_nospec(arg->view, KVM_HYPR_MAX_VIEWS)], moment);
	mutex_unlock(&h->lock);
free:
	kvfree(moment);
	return r;
}

/**
 * hypr_moments_free() - the VM goes
 * @h: the VM's views
 */
void hypr_moments_free(struct kvm_hypr *h)
{
	int i;

	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++)
		kvfree(h->moment[i]);
}

/**
 * hypr_moment_check() - does the kernel know where the moment of a view is?
 * @kvm: the VM
 * @view: a view that exists
 *
 * Context: kvm_hypr.lock held.
 * Return: 0; -ENXIO.
 */
int hypr_moment_check(struct kvm *kvm, u32 view)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;

	lockdep_assert_held(&h->lock);

	return h->moment[array_index_nospec(view, KVM_HYPR_MAX_VIEWS)] ? 0 : -ENXIO;
}

/**
 * hypr_missing_fault_in() - have the pages that a reset has missed
 * @missing: emptied
 *
 * Context: process context of the VM's mm, no lock held.
 * Return: 0; -EFAULT one of them cannot be had; -EINTR a fatal signal.
 */
int hypr_missing_fault_in(struct hypr_missing *missing)
{
	unsigned int i, nr = missing->nr;

	missing->nr = 0;
	for (i = 0; i < nr; i++) {
		unsigned long hva = missing->hva[i] & ~HYPR_MISSING_WRITE;
		bool write = missing->hva[i] & HYPR_MISSING_WRITE;

		if (fatal_signal_pending(current))
			return -EINTR;
		if (write ? fault_in_safe_writeable((char __user *)hva, 1) :
			    fault_in_readable((char __user *)hva, 1))
			return fatal_signal_pending(current) ? -EINTR : -EFAULT;
	}
	return 0;
}
