// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: writes into a view that leave no dirty flag.  Pages that KVM itself writes
 * (kvmclock, emulated instructions) and dirty SPTEs that KVM zaps are noted, a bit for each
 * page, without a lock: both happen under locks of KVM.
 *
 * The room for notes is made when somebody first asks what was written.  Before that, and
 * beyond it, any page counts as written.
 */
#include <linux/bitmap.h>
#include <linux/slab.h>

#include "vmx_ept_swap.h"

static void hypr_note_region(struct hypr_note_map *map, gfn_t region)
{
	if (!test_bit(region, map->used))
		set_bit(region, map->used);
}

static void hypr_note_pages(struct hypr_note_map *map, gfn_t gfn, u64 pages)
{
	gfn_t first = gfn, end = gfn + pages, region;

	while (gfn < end) {
		if (!(gfn % BITS_PER_LONG) && end - gfn >= BITS_PER_LONG) {
			WRITE_ONCE(map->page[gfn / BITS_PER_LONG], ~0ul);
			gfn += BITS_PER_LONG;
		} else {
			if (!test_bit(gfn, map->page))
				set_bit(gfn, map->page);
			gfn++;
		}
	}
	/* The pages before what says that there are some. */
	smp_mb();
	for (region = first / HYPR_REGION_PAGES; region * HYPR_REGION_PAGES < end; region++)
		hypr_note_region(map, region);
}

/**
 * kvm_hypr_note_written() - pages of an address space were written without a flag
 * @kvm: any VM
 * @as_id: the address space
 * @gfn: the first page
 * @pages: how many
 *
 * Context: any; takes no lock.
 */
void kvm_hypr_note_written(struct kvm *kvm, int as_id, gfn_t gfn, u64 pages)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct hypr_note_map *map;
	struct hypr_notes *notes;

	if (!h || !hypr_view_is_valid(as_id))
		return;
	notes = &h->notes[as_id];
	rcu_read_lock();
	map = rcu_dereference(notes->map);
	if (map && gfn + pages <= map->pages)
		hypr_note_pages(map, gfn, pages);
	else
		WRITE_ONCE(notes->all, true);
	rcu_read_unlock();
}

/**
 * hypr_notes_fit() - have room for notes of so many pages
 * @h: the VM's views
 * @view: the view
 * @pages: the first one is that at GPA 0
 *
 * Other room than there was: then any page counts as written, once.
 *
 * Context: kvm_hypr.build_lock held; sleeps.
 * Return: 0, -ENOMEM.
 */
int hypr_notes_fit(struct kvm_hypr *h, u32 view, gfn_t pages)
{
	size_t regions = DIV_ROUND_UP(pages, HYPR_REGION_PAGES);
	size_t words = regions * HYPR_REGION_WORDS;
	struct hypr_notes *notes = &h->notes[view];
	struct hypr_note_map *map, *old;

	old = rcu_dereference_protected(notes->map, lockdep_is_held(&h->build_lock));
	if (old && old->pages == pages)
		return 0;
	map = kvzalloc(struct_size(map, page, words + BITS_TO_LONGS(regions)),
		       GFP_KERNEL_ACCOUNT);
	if (!map)
		return -ENOMEM;
	map->pages = pages;
	map->used = map->page + words;
	/* Before the old notes are lost. */
	WRITE_ONCE(notes->all, true);
	rcu_assign_pointer(notes->map, map);
	if (old) {
		synchronize_rcu();
		kvfree(old);
	}
	return 0;
}

/**
 * hypr_notes_take() - what is noted of 2 MiB, and is from here on with the caller alone
 * @map: of the view
 * @region: which 2 MiB
 * @to: the notes are added to it
 * @words: that @to has
 */
void hypr_notes_take(struct hypr_note_map *map, unsigned int region, unsigned long *to,
		     unsigned int words)
{
	unsigned long *from = map->page + region * HYPR_REGION_WORDS;
	unsigned int i;

	/* Pairs with the barrier in hypr_note_pages(). */
	if (!test_bit(region, map->used) || !test_and_clear_bit(region, map->used))
		return;
	for (i = 0; i < words; i++) {
		if (READ_ONCE(from[i]))
			to[i] |= xchg(&from[i], 0);
	}
}

/**
 * hypr_notes_return() - what was taken, and was for nothing
 * @map: of the view
 * @region: which 2 MiB
 * @from: notes
 */
void hypr_notes_return(struct hypr_note_map *map, unsigned int region,
		       const unsigned long *from)
{
	gfn_t first = (gfn_t)region * HYPR_REGION_PAGES;
	unsigned int i;

	for_each_set_bit(i, from, HYPR_REGION_PAGES) {
		if (first + i < map->pages)
			set_bit(first + i, map->page);
	}
	/* As in hypr_note_pages(). */
	smp_mb();
	hypr_note_region(map, region);
}

/**
 * hypr_notes_free() - the VM goes
 * @h: the VM's views
 */
void hypr_notes_free(struct kvm_hypr *h)
{
	int i;

	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++)
		kvfree(rcu_dereference_protected(h->notes[i].map, true));
}
