// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process's memory changes: what the host takes away leaves the tables of all views
 * first.  vm->lock, a spin lock, is held for one step at a time.
 */
#include <linux/mm.h>
#include <linux/sched.h>

#include "hyprv.h"

/* What one step unmaps at most: shadow paging looks at each page, up to this many. */
#define UNMAP_STEP	(64ull << 20)
#define UNMAP_STEP_SHADOW (4ull << 20)

/*
 * One step under vm->lock, from @gpa on: skip what is not mapped, or unmap a part.  Where the
 * next step begins; U64_MAX: it was the last.  The order is that of GPAs, which a change of
 * regions between two steps leaves as it is.
 */
static u64 unmap_step(struct view *view, u64 gpa, unsigned long start, unsigned long end)
{
	struct memory_mapping run;
	u64 next = U64_MAX, bytes = 0;
	u32 i;

	lockdep_assert_held(&view->vm->lock);
	for (i = 0; i < view->regions; i++) {
		const struct region *region = &view->region[i];
		unsigned long from = max(start, region->address);
		unsigned long to = min(end, region->address + region->bytes);
		u64 first = region->gpa + (from - region->address);
		u64 last = region->gpa + (to - region->address);

		if (from >= to || last <= gpa || first >= next)
			continue;
		next = max(first, gpa);
		bytes = last - next;
	}
	if (next == U64_MAX)
		return next;
	if (view->mmu.page_table->translate(&view->mmu, hypr_gpa(next), PAGE_SIZE, &run)) {
		run.size = bytes;
		/* A short look: tables without a mapped page are freed. */
		view->mmu.page_table->translate(&view->mmu, hypr_gpa(next), bytes, &run);
		return next + run.size;
	}
	bytes = min_t(u64, bytes, view->vm->shadow ? UNMAP_STEP_SHADOW : UNMAP_STEP);
	memory_unmap(view, next, bytes);
	return next + bytes;
}

static void unmap_in_view(struct view *view, unsigned long start, unsigned long end,
			  bool may_sleep)
{
	u64 gpa = 0;

	do {
		spin_lock(&view->vm->lock);
		gpa = unmap_step(view, gpa, start, end);
		spin_unlock(&view->vm->lock);
		if (may_sleep)
			cond_resched();
	} while (gpa != U64_MAX);
}

void memory_forget(struct view *view)
{
	unmap_in_view(view, 0, ULONG_MAX & PAGE_MASK, true);
	if (!view->vm->shadow)
		return;
	spin_lock(&view->vm->lock);
	shadow_trim(view->mmu.shadow);
	spin_unlock(&view->vm->lock);
}

/*
 * From the tables of all views.  Nothing is mapped until invalidation_end(), also where a step
 * has been: memory_bring() looks at @invalidating under vm->lock.
 */
static void unmap_in_all(struct vm *vm, unsigned long start, unsigned long end, bool may_sleep)
{
	u32 i;

	spin_lock(&vm->lock);
	atomic_inc(&vm->invalidating);
	spin_unlock(&vm->lock);
	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++) {
		struct view *view = view_at(vm, i);

		if (view)
			unmap_in_view(view, start, end, may_sleep);
	}
}

/* The OOM reaper's call must not sleep. */
static int invalidate_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct vm *vm = container_of(notifier, struct vm, notifier);

	unmap_in_all(vm, range->start & PAGE_MASK, PAGE_ALIGN(range->end),
		     mmu_notifier_range_blockable(range));
	return 0;
}

static void invalidation_end(struct vm *vm)
{
	/* It must not sleep.  A fault that sees the count fall sees the sequence too. */
	atomic64_inc(&vm->sequence);
	/* Pairs with unchanged(). */
	smp_mb__after_atomic();
	atomic_dec(&vm->invalidating);
}

static void invalidate_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	invalidation_end(container_of(notifier, struct vm, notifier));
}

/* The process has gone; its VM may still be open elsewhere. */
static void release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct vm *vm = container_of(notifier, struct vm, notifier);

	unmap_in_all(vm, 0, ULONG_MAX & PAGE_MASK, true);
	invalidation_end(vm);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.release = release,
};

int memory_follow(struct vm *vm)
{
	vm->mm = current->mm;
	vm->notifier.ops = &notifier_ops;
	return mmu_notifier_register(&vm->notifier, vm->mm);
}
