// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory: regions of the process's memory, bound to core's tables page by page as
 * the guest touches them.
 *
 * Nothing is pinned.  A notifier follows the process's memory: what the host takes away
 * (swap, madvise, migration, fork) leaves the tables first.  A fault looks the page up
 * without vm->lock, and maps it only if no invalidation came in between.
 *
 * The notifier takes vm->lock, a spin lock: the host calls the notifier also where it must
 * not sleep, and while it looks for free memory.  Nobody allocates, sleeps or touches user
 * memory under vm->lock; table pages come from vm->spare.  The notifier is in memory_notify.c.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#include "hyprv.h"
#include "lapic.h"

/* ---- TLB ---------------------------------------------------------------- */

static void flush_here(void *data)
{
	u64 eptp = *(u64 *)data;
	const struct tlb_decision decision = {
		.flush = TLB_INVEPT_ROOT, .root = hypr_hpa(eptp & PAGE_MASK),
	};

	if (!this_cpu_read(hypervisor.cpu->on))
		return;
	flush_count(FLUSH_TAKEN);
	WARN_ON_ONCE(flush_tlb(&hypervisor.tlb, &eptp, &decision));
}

/* The interrupt brings a CPU out of the guest; it returns after all have flushed. */
static void flush_all(void *context)
{
	struct view *view = context;

	/* The edit before the look at who runs.  Pairs with the barrier in view_load(). */
	smp_mb();
	on_each_cpu_mask(&view->cpus, flush_here, &view->eptp, true);
}

static void flush_address(void *context, u16 pcid, hypr_gva_t gva)
{
	flush_all(context);
}

static void flush_context(void *context, u16 pcid)
{
	flush_all(context);
}

/* ---- table pages -------------------------------------------------------- */

/* SecPageTables in /proc/meminfo, and the like of the memory cgroup. */
static void *table_account(void *table, int pages)
{
	if (table)
		mod_lruvec_page_state(virt_to_page(table), NR_SECONDARY_PAGETABLE, pages);
	return table;
}

static void *spare_take(void *context)
{
	struct vm *vm = context;

	lockdep_assert_held(&vm->lock);
	return vm->spares ? table_account(vm->spare[--vm->spares], 1) : NULL;
}

static void table_free(void *context, void *page)
{
	table_account(page, -1);
	plat_page_free(page, 1);
}

/* As many as one fault can need.  Without vm->lock. */
static int spare_fill(struct vm *vm)
{
	while (READ_ONCE(vm->spares) < HYPRV_SPARE_PAGES) {
		void *page = plat_page_alloc(1, PLAT_NODE_ANY);

		if (!page)
			return -ENOMEM;
		spin_lock(&vm->lock);
		if (vm->spares < HYPRV_SPARE_PAGES) {
			vm->spare[vm->spares++] = page;
			page = NULL;
		}
		spin_unlock(&vm->lock);
		plat_page_free(page, 1);
	}
	return 0;
}

/* ---- regions ------------------------------------------------------------ */

static struct region *region_by_slot(struct view *view, u32 slot)
{
	u32 i;

	for (i = 0; i < view->regions; i++)
		if (view->region[i].slot == slot)
			return &view->region[i];
	return NULL;
}

static struct region *region_at(struct view *view, u64 gpa)
{
	u32 i;

	for (i = 0; i < view->regions; i++)
		if (gpa - view->region[i].gpa < view->region[i].bytes)
			return &view->region[i];
	return NULL;
}

static bool overlaps(struct view *view, const struct region *new)
{
	u32 i;

	for (i = 0; i < view->regions; i++) {
		const struct region *old = &view->region[i];

		if (old->slot != new->slot && old->gpa < new->gpa + new->bytes &&
		    new->gpa < old->gpa + old->bytes)
			return true;
	}
	return false;
}

static int region_check(const struct kvm_userspace_memory_region *region)
{
	u64 limit = BIT_ULL(min_t(u32, hypervisor.can.maxphyaddr, 48));
	u64 end;

	if (region->flags & ~KVM_MEM_READONLY)
		return -EINVAL;
	if ((region->guest_phys_addr | region->memory_size | region->userspace_addr) & ~PAGE_MASK)
		return -EINVAL;
	if (check_add_overflow(region->guest_phys_addr, region->memory_size, &end) || end > limit)
		return -EINVAL;
	if (region->memory_size &&
	    !access_ok((void __user *)region->userspace_addr, region->memory_size))
		return -EINVAL;
	return 0;
}

/* Small pages alone are mapped: this needs no table page, and cannot fail. */
void memory_unmap(struct view *view, u64 gpa, u64 bytes)
{
	WARN_ON_ONCE(view->mmu.page_table->unmap(&view->mmu, hypr_gpa(gpa), bytes));
}

static int region_change(struct view *view, struct region *old, const struct region *new)
{
	if (old && new->bytes && (old->bytes != new->bytes || old->address != new->address))
		return -EINVAL;
	if (!old && !new->bytes)
		return -EINVAL;
	if (new->bytes && overlaps(view, new))
		return -EEXIST;
	if (!old && view->regions == HYPRV_REGIONS)
		return -ENOSPC;
	if (!old) {
		view->region[view->regions++] = *new;
		return 0;
	}
	memory_unmap(view, old->gpa, old->bytes);
	if (new->bytes)
		*old = *new;
	else
		*old = view->region[--view->regions];
	return 0;
}

/* Shadow paging: which regions of other views have the same memory. */
static void note_shared(struct view *view, struct region *new)
{
	u32 i, number;

	for (number = 0; number < KVM_HYPR_MAX_VIEWS; number++) {
		struct view *other = view_at(view->vm, number);

		for (i = 0; other && other != view && i < other->regions; i++) {
			struct region *old = &other->region[i];

			if (old->address < new->address + new->bytes &&
			    new->address < old->address + old->bytes)
				old->shared = new->shared = true;
		}
	}
}

int memory_set_region(struct vm *vm, const struct kvm_userspace_memory_region *region)
{
	const struct region new = {
		.slot = region->slot,
		.flags = region->flags,
		.gpa = region->guest_phys_addr,
		.bytes = region->memory_size,
		.address = region->userspace_addr,
	};
	int err = region_check(region);
	struct view *view;

	if (err)
		return err;
	if (READ_ONCE(vm->apics) && new.bytes && new.gpa < LAPIC_GPA + PAGE_SIZE &&
	    new.gpa + new.bytes > LAPIC_GPA)
		return -EEXIST;
	view = view_make(vm, region->slot >> 16);
	if (IS_ERR(view))
		return PTR_ERR(view);
	spin_lock(&vm->lock);
	err = region_change(view, region_by_slot(view, new.slot), &new);
	if (!err && new.bytes)
		note_shared(view, region_by_slot(view, new.slot));
	vm->had_regions |= !err;
	atomic64_inc(&vm->sequence);
	spin_unlock(&vm->lock);
	return err;
}

/* ---- faults ------------------------------------------------------------- */

/* A page that a read brings in is writable at once if the process could write to it. */
static struct page *page_get(unsigned long address, bool write, bool may_write, bool *writable)
{
	struct page *page;

	*writable = may_write && get_user_pages_fast_only(address, 1, FOLL_WRITE, &page) == 1;
	if (*writable)
		return page;
	*writable = write;
	return get_user_pages_unlocked(address, 1, &page, write ? FOLL_WRITE : 0) == 1 ? page :
											 NULL;
}

static int page_map(struct view *view, u64 gpa, struct page *page, bool writable)
{
	const struct memory_mapping mapping = {
		.gpa = hypr_gpa(gpa),
		.hpa = hypr_hpa(PFN_PHYS(page_to_pfn(page))),
		.size = PAGE_SIZE,
		.permissions = EPT_READ | EPT_EXEC | (writable ? EPT_WRITE : 0) | EPT_WB |
			       EPT_IGNORE_PAT,
	};
	struct memory_mapping old;

	if (!view->mmu.page_table->translate(&view->mmu, mapping.gpa, PAGE_SIZE, &old)) {
		/* Another vCPU was here first. */
		if (old.hpa.addr == mapping.hpa.addr &&
		    ((old.permissions & EPT_WRITE) || !writable))
			return 0;
		memory_unmap(view, gpa, PAGE_SIZE);
	}
	return view->mmu.page_table->map(&view->mmu, &mapping);
}

static bool unchanged(struct vm *vm, u64 sequence)
{
	if (atomic_read(&vm->invalidating))
		return false;
	/* Pairs with invalidation_end(). */
	smp_rmb();
	return atomic64_read(&vm->sequence) == sequence;
}

int memory_bring(struct view *view, u64 gpa, u32 access)
{
	struct vm *vm = view->vm;
	bool write = access & WALK_WRITE, writable;
	struct region region;
	struct region *found;
	struct page *page;
	u64 sequence;
	int err = spare_fill(vm);

	if (err)
		return err;
	gpa &= PAGE_MASK;
	spin_lock(&vm->lock);
	found = region_at(view, gpa);
	if (found)
		region = *found;
	sequence = atomic64_read(&vm->sequence);
	spin_unlock(&vm->lock);
	if (!found || (write && (region.flags & KVM_MEM_READONLY)))
		return 0;
	page = page_get(region.address + (gpa - region.gpa), write,
			!(region.flags & KVM_MEM_READONLY), &writable);
	if (!page)
		return signal_pending(current) ? -EINTR : -EFAULT;
	spin_lock(&vm->lock);
	if (!unchanged(vm, sequence) || vm->spares < 3)
		err = -EAGAIN;
	else
		err = page_map(view, gpa, page, writable);
	spin_unlock(&vm->lock);
	if (writable)
		set_page_dirty_lock(page);
	put_page(page);
	return err ? err : 1;
}

/* If the process's memory has changed concurrently, the guest faults once more. */
int memory_fault(struct vcpu *vcpu, u64 gpa, u32 access)
{
	int ret = memory_bring(vcpu->view, gpa, access);

	vcpu->faults += ret > 0;
	return ret == -EAGAIN ? 1 : ret;
}

bool memory_is_mapped(struct view *view, u64 gpa)
{
	struct memory_mapping run;
	bool mapped;

	spin_lock(&view->vm->lock);
	mapped = !view->mmu.page_table->translate(&view->mmu, hypr_gpa(gpa), PAGE_SIZE, &run);
	spin_unlock(&view->vm->lock);
	return mapped;
}

unsigned long memory_address(struct view *view, u64 gpa)
{
	unsigned long address = 0;
	struct region *region;

	spin_lock(&view->vm->lock);
	region = region_at(view, gpa);
	if (region)
		address = region->address + (gpa - region->gpa);
	spin_unlock(&view->vm->lock);
	return address;
}

bool memory_next(struct view *view, u64 *gpa)
{
	u64 next = U64_MAX;
	u32 i;

	spin_lock(&view->vm->lock);
	for (i = 0; i < view->regions; i++) {
		const struct region *region = &view->region[i];

		if (region->gpa + region->bytes > *gpa)
			next = min(next, max(*gpa, region->gpa));
	}
	spin_unlock(&view->vm->lock);
	*gpa = next;
	return next != U64_MAX;
}

/* ---- life --------------------------------------------------------------- */

static int view_init(struct view *view, struct vm *vm)
{
	struct mmu_params params = {
		.ept = true,
		.can = hypervisor.ept,
		.tlb = { flush_address, flush_context, flush_all, view },
		.maxphyaddr = hypervisor.can.maxphyaddr,
	};
	int err;

	view->vm = vm;
	INIT_LIST_HEAD(&view->open);
	if (vm->shadow)
		paging_params(view, &params);
	err = init_mmu_virtualization(&view->mmu, &params);
	if (err)
		return err;
	/* Table pages taken beforehand, and 4 KiB pages: an edit allocates nothing. */
	view->mmu.map.allocator = (struct ept_allocator) { spare_take, table_free, vm };
	view->mmu.map.keep_small = true;
	table_account(view->mmu.map.root, 1);
	view->eptp = ept_context_eptp(&view->mmu.map);
	return 0;
}

struct view *view_make(struct vm *vm, u32 number)
{
	struct view *view = view_at(vm, number), *new;
	int err;

	if (view)
		return view;
	if (number && !(vm->views && view_is_number(number)))
		return ERR_PTR(-EINVAL);
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return ERR_PTR(-ENOMEM);
	new->number = number;
	err = view_init(new, vm);
	if (err) {
		kfree(new);
		return ERR_PTR(err);
	}
	/* It stays until the VM ends: whoever has seen the pointer may use it. */
	view = cmpxchg(&vm->view[number], NULL, new);
	if (!view) {
		if (vm->shadow)
			paging_stats_add(new);
		return new;
	}
	fini_mmu_virtualization(&new->mmu);
	kfree(new);
	return view;
}

static void view_free(struct view *view)
{
	if (!view)
		return;
	if (view->vm->shadow)
		paging_stats_remove(view);
	view->mmu.hardware.flush_all(view);
	fini_mmu_virtualization(&view->mmu);
	kfree(view);
}

int memory_init(struct vm *vm)
{
	struct view *boot = view_make(vm, KVM_HYPR_VIEW_BOOT);
	int err;

	if (IS_ERR(boot))
		return PTR_ERR(boot);
	err = memory_follow(vm);
	if (err)
		view_free(boot);
	return err;
}

/* No vCPU is left. */
void memory_fini(struct vm *vm)
{
	u32 i;

	mmu_notifier_unregister(&vm->notifier, vm->mm);
	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++)
		view_free(vm->view[i]);
	while (vm->spares)
		plat_page_free(vm->spare[--vm->spares], 1);
	paging_store_empty(vm);
}
