// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: the work of a reset, shared among threads.  The thread of the swap, and those
 * of the vCPUs that it holds, which have nothing to do at the barrier, list the pages to be
 * put back (ept_find.c), and then copy them.
 *
 * The swap's thread holds mmu_lock for writing all the while: so nobody takes away what the
 * tables, and the list, point to.  The others work under its protection, without a lock.  A
 * thread that has taken some of the work is not preempted and takes no page fault before it
 * is done: the swap's thread spins for it.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "mmu/spte.h"

#include "vmx_ept_swap.h"

/* Pages that a thread takes at a time. */
#define HYPR_SHARE_PAGES	2

/* In hypr_share.cursor: how many items there are, and how many of them are taken. */
static u64 hypr_cursor(u32 nr, u32 taken)
{
	return (u64)nr << 32 | taken;
}

static bool hypr_cursor_has_more(u64 cursor)
{
	return (u32)cursor < cursor >> 32;
}

/* Return: did this thread, @helper of another, do something?  No: all is taken. */
static bool hypr_share_step(struct kvm_hypr *h, bool helper)
{
	struct hypr_share *share = &h->share;
	u32 batch, nr = 0, i, end;
	u64 cursor;

	if (!hypr_cursor_has_more(atomic64_read(&share->cursor)))
		return false;
	preempt_disable();
	pagefault_disable();
	batch = READ_ONCE(share->batch);
	/*
	 * How many there are and how many are taken is one word: a thread that comes late,
	 * for what was shared before, takes of this or takes nothing.  Pairs with the
	 * release in hypr_share_run().
	 */
	cursor = atomic64_fetch_add_acquire(batch, &share->cursor);
	if (hypr_cursor_has_more(cursor)) {
		i = (u32)cursor;
		end = min_t(u32, i + batch, cursor >> 32);
		nr = end - i;
		for (; i < end; i++)
			share->work(h, i);
		if (helper)
			atomic_add(nr, &share->helped);
		/* All that this thread wrote is visible before. */
		atomic_add_return_release(nr, &share->done);
	}
	pagefault_enable();
	preempt_enable();
	return nr;
}

/**
 * hypr_share_help() - a thread that waits at the barrier does some of the work
 * @h: the VM's views
 *
 * Context: a vCPU's thread that the barrier holds; process context of the VM's mm.
 * Return: was there something to do?
 */
bool hypr_share_help(struct kvm_hypr *h)
{
	if (likely(!hypr_cursor_has_more(atomic64_read(&h->share.cursor))))
		return false;
	/* The moment is at addresses of this mm. */
	if (WARN_ON_ONCE(current->mm != h->kvm->mm))
		return false;
	return hypr_share_step(h, true);
}

/**
 * hypr_share_run() - work that several threads can do together
 * @h: the VM's views
 * @work: is called with each number below @nr, in any order; it neither sleeps nor takes a
 *	page fault, nor a lock
 * @nr: how often
 * @batch: numbers that a thread takes at a time
 *
 * Context: kvm_hypr.lock and mmu_lock, for write, held; all vCPUs held (hypr_hold()).
 */
void hypr_share_run(struct kvm_hypr *h, void (*work)(struct kvm_hypr *h, u32 i), u32 nr,
		    u32 batch)
{
	struct hypr_share *share = &h->share;

	lockdep_assert_held(&h->lock);
	lockdep_assert_held_write(&h->kvm->mmu_lock);

	share->work = work;
	WRITE_ONCE(share->batch, batch);
	atomic_set(&share->helped, 0);
	atomic_set(&share->done, 0);
	atomic64_set_release(&share->cursor, hypr_cursor(nr, 0));
	while (hypr_share_step(h, false))
		;
	/* Pairs with the release in hypr_share_step(). */
	while (atomic_read_acquire(&share->done) != nr)
		cpu_relax();
}

/* Not copy_page(), which is a loop of single words where REP is not known to be good. */
static __always_inline void hypr_page_copy(void *to, unsigned long from)
{
	unsigned long words = PAGE_SIZE / sizeof(u64);

	asm volatile("rep movsq" : "+c" (words), "+D" (to), "+S" (from) : : "memory");
}

static __always_inline void hypr_page_clear(void *to)
{
	unsigned long words = PAGE_SIZE / sizeof(u64);

	asm volatile("rep stosq" : "+c" (words), "+D" (to) : "a" (0ul) : "memory");
}

/* Work of hypr_share_run(): page @i of the list. */
static void hypr_page_put_back(struct kvm_hypr *h, u32 i)
{
	const struct hypr_put *put = &h->share.put[i];
	u64 *sptep = put->at & HYPR_PUT_ADDRESS ? NULL : (u64 *)put->at;
	void *to;

	if (!put->at)
		goto put;
	to = sptep ? pfn_to_kaddr(spte_to_pfn(*sptep)) : (void *)(put->at & ~HYPR_PUT_FLAGS);
	if (put->from)
		hypr_page_copy(to, put->from);
	else
		hypr_page_clear(to);
	/* No vCPU is in the guest, so no CPU sets it. */
	if (sptep)
		*sptep &= ~shadow_dirty_mask;
	/* As KVM does wherever it clears the flag. */
	kvm_set_pfn_dirty(PHYS_PFN(__pa(to)));
put:
	if (put->from)
		put_page(virt_to_page((void *)put->from));
}

/**
 * hypr_pages_copy() - put all pages of the list back, and take their dirty flags
 * @h: the VM's views; kvm_hypr.share has the list
 * @nr: of pages in the list
 *
 * The references to the moment's pages go.
 *
 * Context: as hypr_share_run().
 */
void hypr_pages_copy(struct kvm_hypr *h, u32 nr)
{
	hypr_share_run(h, hypr_page_put_back, nr, HYPR_SHARE_PAGES);
}

/**
 * hypr_share_room() - memory for a list
 * @pages: at most, that are put back at once
 *
 * Return: it, or NULL.
 */
struct hypr_put *hypr_share_room(unsigned int pages)
{
	return kvmalloc_array(pages, sizeof(struct hypr_put), GFP_KERNEL_ACCOUNT);
}
