// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: where the bytes of a view's moment are in user memory, for ept_find.c; and
 * pages that a reset has missed.
 */
#include <linux/bitmap.h>
#include <linux/err.h>
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
		return !arg->userspace_addr && !arg->bitmap && !arg->zeros && !arg->flags;
	return PAGE_ALIGNED(arg->size) && PAGE_ALIGNED(arg->userspace_addr) &&
	       arg->size >> PAGE_SHIFT <= KVM_HYPR_WRITTEN_MAX_PAGES &&
	       IS_ALIGNED(arg->bitmap, sizeof(long)) && IS_ALIGNED(arg->zeros, sizeof(long)) &&
	       access_ok(u64_to_user_ptr(arg->userspace_addr), arg->size) &&
	       access_ok(u64_to_user_ptr(arg->bitmap), bitmap_bytes);
}

/* Which pages are zero, as user space says. */
static int hypr_zeros_read(struct hypr_moment *moment, u64 zeros)
{
	unsigned int n;

	for (n = 0; zeros && n < moment->nr_regions; n++) {
		gfn_t left = moment->pages - (gfn_t)n * HYPR_REGION_PAGES;
		size_t bytes = BITS_TO_LONGS(min_t(gfn_t, left, HYPR_REGION_PAGES)) *
			       sizeof(long);

		if (copy_from_user(moment->region[n].zero, u64_to_user_ptr(zeros), bytes))
			return -EFAULT;
		zeros += bytes;
	}
	return 0;
}

static struct hypr_moment *hypr_moment_create(const struct kvm_hypr_moment *arg)
{
	gfn_t pages = arg->size >> PAGE_SHIFT;
	unsigned int nr = DIV_ROUND_UP(pages, HYPR_REGION_PAGES);
	struct hypr_moment *moment;

	moment = kvzalloc(struct_size(moment, region, nr), GFP_KERNEL_ACCOUNT);
	if (!moment)
		return ERR_PTR(-ENOMEM);
	moment->hva = arg->userspace_addr;
	moment->bitmap = arg->bitmap;
	moment->pages = pages;
	moment->nr_regions = nr;
	if (hypr_zeros_read(moment, arg->zeros)) {
		kvfree(moment);
		return ERR_PTR(-EFAULT);
	}
	return moment;
}

/* Have the host map what its cache has of the moment, but for what is zero. */
static int hypr_moment_map(const struct hypr_moment *moment)
{
	unsigned int first, end, n, part;

	for (n = 0; n < moment->nr_regions; n++) {
		const struct hypr_region *region = &moment->region[n];
		gfn_t gfn = (gfn_t)n * HYPR_REGION_PAGES;

		for_each_clear_bitrange(first, end, region->zero,
					min_t(gfn_t, HYPR_REGION_PAGES, moment->pages - gfn)) {
			for (; first < end; first += part) {
				unsigned long hva = moment->hva + (gfn + first) * PAGE_SIZE;

				if (fatal_signal_pending(current))
					return -EINTR;
				cond_resched();
				part = hypr_host_map(current->mm, hva, end - first);
				/* What faults in a page makes the table. */
				if (!part && !fault_in_readable((char __user *)hva, 1))
					part = hypr_host_map(current->mm, hva, end - first);
				if (!part)
					part = 1;
			}
		}
	}
	return 0;
}

/**
 * hypr_moment_set() - KVM_HYPR_SET_MOMENT
 * @kvm: the VM
 * @arg: the caller has checked flags and reserved fields
 *
 * Context: process context of the VM's mm.  Takes kvm_hypr.build_lock and kvm_hypr.lock.
 * Return: 0 or as struct kvm_hypr_moment says.
 */
long hypr_moment_set(struct kvm *kvm, const struct kvm_hypr_moment *arg)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct hypr_moment *moment = NULL;
	struct hypr_put *put = NULL;
	unsigned int room = 0;
	long r;

	if (!hypr_moment_is_valid(arg))
		return -EINVAL;
	if (!hypr_view_is_valid(arg->view))
		return -ENOENT;
	if (arg->size) {
		moment = hypr_moment_create(arg);
		if (IS_ERR(moment))
			return PTR_ERR(moment);
		room = min_t(gfn_t, moment->pages, KVM_HYPR_RESET_MAX_PAGES);
		r = -ENOMEM;
		put = hypr_share_room(room);
		if (!put)
			goto free;
	}
	r = arg->flags & KVM_HYPR_MOMENT_MAP ? hypr_moment_map(moment) : 0;
	if (r)
		goto free;
	/* A build looks at it for long. */
	r = mutex_lock_killable(&h->build_lock);
	if (r)
		goto free;
	r = mutex_lock_killable(&h->lock);
	if (r)
		goto unlock_build;
	if (!hypr_view_exists(kvm, arg->view)) {
		r = -ENOENT;
	} else {
		swap(h->moment[array_index_nospec(arg->view, KVM_HYPR_MAX_VIEWS)], moment);
		if (room > h->share.room) {
			swap(h->share.put, put);
			h->share.room = room;
		}
	}
	mutex_unlock(&h->lock);
unlock_build:
	mutex_unlock(&h->build_lock);
free:
	kvfree(put);
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
	kvfree(h->share.put);
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

/* Pages of 2 MiB that a reset has missed: of the moment, which begins at @hva; of the view. */
struct hypr_missed {
	unsigned int region;
	unsigned long hva;
	DECLARE_BITMAP(moment, HYPR_REGION_PAGES);
	DECLARE_BITMAP(view, HYPR_REGION_PAGES);
};

/*
 * Take the next region of which pages are missing, from that of @missed on.
 *
 * Return: 1 with @missed filled; 0 there is none; -EAGAIN, -EINTR, -EFAULT, -ERESTART.
 */
static int hypr_missed_take(struct kvm *kvm, u32 view, u64 timeout_ns, struct kvm_vcpu *asker,
			    struct hypr_missed *missed)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	unsigned long bitmap = 0, bytes = 0;
	struct hypr_moment *moment;
	int r;

	r = asker ? hypr_run_lock(asker, timeout_ns) : hypr_lock_within(&h->lock, timeout_ns);
	if (r)
		return r;
	moment = h->moment[array_index_nospec(view, KVM_HYPR_MAX_VIEWS)];
	if (moment && moment->bitmap_missing) {
		moment->bitmap_missing = false;
		bitmap = moment->bitmap;
		bytes = BITS_TO_LONGS(moment->pages) * sizeof(long);
	}
	for (; !r && moment && missed->region < moment->nr_regions; missed->region++) {
		struct hypr_region *region = &moment->region[missed->region];

		if (bitmap_empty(region->missing, HYPR_REGION_PAGES))
			continue;
		missed->hva = moment->hva;
		bitmap_andnot(missed->moment, region->missing, region->zero, HYPR_REGION_PAGES);
		bitmap_zero(missed->view, HYPR_REGION_PAGES);
		if (region->unmapped)
			bitmap_copy(missed->view, region->missing, HYPR_REGION_PAGES);
		bitmap_zero(region->missing, HYPR_REGION_PAGES);
		region->unmapped = false;
		r = 1;
		break;
	}
	mutex_unlock(&h->lock);
	if (bytes && fault_in_readable((char __user *)bitmap, bytes))
		return -EFAULT;
	return r;
}

/* A page of the view that its tables do not map. */
static int hypr_view_fault_in(struct kvm *kvm, u32 view, gfn_t gfn)
{
	struct kvm_memory_slot *slot;
	unsigned long hva = 0;
	int idx;

	idx = srcu_read_lock(&kvm->srcu);
	slot = __gfn_to_memslot(__kvm_memslots(kvm, view), gfn);
	if (slot)
		hva = __gfn_to_hva_memslot(slot, gfn);
	srcu_read_unlock(&kvm->srcu, idx);
	return hva && fault_in_safe_writeable((char __user *)hva, 1) ? -EFAULT : 0;
}

static int hypr_missed_fault_in(struct kvm *kvm, u32 view, const struct hypr_missed *missed)
{
	gfn_t first = (gfn_t)missed->region * HYPR_REGION_PAGES;
	unsigned int start, end, i;

	for_each_set_bitrange(start, end, missed->moment, HYPR_REGION_PAGES) {
		if (fault_in_readable((char __user *)missed->hva + (first + start) * PAGE_SIZE,
				      (end - start) * PAGE_SIZE))
			return -EFAULT;
		cond_resched();
	}
	for_each_set_bit(i, missed->view, HYPR_REGION_PAGES) {
		if (fatal_signal_pending(current) || hypr_view_fault_in(kvm, view, first + i))
			return -EFAULT;
	}
	return 0;
}

/**
 * hypr_missing_fault_in() - have all pages that a reset has missed
 * @kvm: the VM
 * @view: which was to be put back
 * @timeout_ns: give up to wait for kvm_hypr.lock after this long
 * @asker: the vCPU whose thread, in KVM_RUN, this is; else NULL
 *
 * Context: process context of the VM's mm, no lock held.  Takes kvm_hypr.lock for moments.
 * Return: 0; -EFAULT one of them cannot be had; -EAGAIN the deadline; -EINTR a fatal signal;
 * -ERESTART or -ECANCELED of hypr_run_lock().
 */
int hypr_missing_fault_in(struct kvm *kvm, u32 view, u64 timeout_ns, struct kvm_vcpu *asker)
{
	struct hypr_missed missed = { 0 };
	int r;

	for (;; missed.region++) {
		r = hypr_missed_take(kvm, view, timeout_ns, asker, &missed);
		if (r > 0)
			r = hypr_missed_fault_in(kvm, view, &missed) ?: 1;
		if (r <= 0)
			break;
	}
	return r && fatal_signal_pending(current) ? -EINTR : r;
}
