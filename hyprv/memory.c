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
 * memory under vm->lock; table pages come from vm->spare.
 */
#include <linux/mm.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#include "decode.h"
#include "hyprv.h"

/* ---- TLB ---------------------------------------------------------------- */

static void flush_here(void *data)
{
	u64 eptp = *(u64 *)data;
	const struct tlb_decision decision = {
		.flush = TLB_INVEPT_ROOT, .root = hypr_hpa(eptp & PAGE_MASK),
	};

	if (this_cpu_read(hypervisor.cpu->on))
		WARN_ON_ONCE(flush_tlb(&hypervisor.tlb, &eptp, &decision));
}

/* The interrupt brings a CPU out of the guest; it returns after all have flushed. */
static void flush_all(void *context)
{
	struct vm *vm = context;
	u64 eptp = ept_context_eptp(&vm->mmu.map);

	/* The edit before the look at who runs.  Pairs with the barrier in vmcs_get(). */
	smp_mb();
	on_each_cpu_mask(&vm->cpus, flush_here, &eptp, true);
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

static void *spare_take(void *context)
{
	struct vm *vm = context;

	lockdep_assert_held(&vm->lock);
	return vm->spares ? vm->spare[--vm->spares] : NULL;
}

static void table_free(void *context, void *page)
{
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

static struct region *region_by_slot(struct vm *vm, u32 slot)
{
	u32 i;

	for (i = 0; i < vm->regions; i++)
		if (vm->region[i].slot == slot)
			return &vm->region[i];
	return NULL;
}

static struct region *region_at(struct vm *vm, u64 gpa)
{
	u32 i;

	for (i = 0; i < vm->regions; i++)
		if (gpa - vm->region[i].gpa < vm->region[i].bytes)
			return &vm->region[i];
	return NULL;
}

static bool overlaps(struct vm *vm, const struct region *new)
{
	u32 i;

	for (i = 0; i < vm->regions; i++) {
		const struct region *old = &vm->region[i];

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

	if (region->slot > U16_MAX || (region->flags & ~KVM_MEM_READONLY))
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
static void unmap(struct vm *vm, u64 gpa, u64 bytes)
{
	WARN_ON_ONCE(vm->mmu.page_table->unmap(&vm->mmu, hypr_gpa(gpa), bytes));
}

static int region_change(struct vm *vm, struct region *old, const struct region *new)
{
	if (old && new->bytes && (old->bytes != new->bytes || old->address != new->address))
		return -EINVAL;
	if (!old && !new->bytes)
		return -EINVAL;
	if (new->bytes && overlaps(vm, new))
		return -EEXIST;
	if (!old && vm->regions == HYPRV_REGIONS)
		return -ENOSPC;
	if (!old) {
		vm->region[vm->regions++] = *new;
		return 0;
	}
	unmap(vm, old->gpa, old->bytes);
	if (new->bytes)
		*old = *new;
	else
		*old = vm->region[--vm->regions];
	return 0;
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

	if (err)
		return err;
	spin_lock(&vm->lock);
	err = region_change(vm, region_by_slot(vm, new.slot), &new);
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

static int page_map(struct vm *vm, u64 gpa, struct page *page, bool writable)
{
	const struct memory_mapping mapping = {
		.gpa = hypr_gpa(gpa),
		.hpa = hypr_hpa(PFN_PHYS(page_to_pfn(page))),
		.size = PAGE_SIZE,
		.permissions = EPT_READ | EPT_EXEC | (writable ? EPT_WRITE : 0) | EPT_WB |
			       EPT_IGNORE_PAT,
	};
	struct memory_mapping old;

	if (!vm->mmu.page_table->translate(&vm->mmu, mapping.gpa, PAGE_SIZE, &old)) {
		/* Another vCPU was here first. */
		if (old.hpa.addr == mapping.hpa.addr &&
		    ((old.permissions & EPT_WRITE) || !writable))
			return 0;
		unmap(vm, gpa, PAGE_SIZE);
	}
	return vm->mmu.page_table->map(&vm->mmu, &mapping);
}

static bool unchanged(struct vm *vm, u64 sequence)
{
	if (atomic_read(&vm->invalidating))
		return false;
	/* Pairs with invalidate_end(). */
	smp_rmb();
	return atomic64_read(&vm->sequence) == sequence;
}

int memory_fault(struct vcpu *vcpu, u64 gpa, u32 access)
{
	struct vm *vm = vcpu->vm;
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
	found = region_at(vm, gpa);
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
	/* If the process's memory has changed since, the guest faults once more. */
	if (!unchanged(vm, sequence) || vm->spares < 3)
		err = 0;
	else
		err = page_map(vm, gpa, page, writable);
	spin_unlock(&vm->lock);
	if (writable)
		set_page_dirty_lock(page);
	put_page(page);
	return err ? err : 1;
}

/* ---- the process's memory changes --------------------------------------- */

static void unmap_addresses(struct vm *vm, unsigned long start, unsigned long end)
{
	u32 i;

	for (i = 0; i < vm->regions; i++) {
		const struct region *region = &vm->region[i];
		unsigned long from = max(start, region->address);
		unsigned long to = min(end, region->address + region->bytes);

		if (from < to)
			unmap(vm, region->gpa + (from - region->address), to - from);
	}
}

/* It never sleeps: the OOM reaper's call must not. */
static int invalidate_start(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct vm *vm = container_of(notifier, struct vm, notifier);

	spin_lock(&vm->lock);
	atomic_inc(&vm->invalidating);
	unmap_addresses(vm, range->start & PAGE_MASK, PAGE_ALIGN(range->end));
	spin_unlock(&vm->lock);
	return 0;
}

static void invalidate_end(struct mmu_notifier *notifier, const struct mmu_notifier_range *range)
{
	struct vm *vm = container_of(notifier, struct vm, notifier);

	/* It must not sleep.  A fault that sees the count fall sees the sequence too. */
	atomic64_inc(&vm->sequence);
	/* Pairs with unchanged(). */
	smp_mb__after_atomic();
	atomic_dec(&vm->invalidating);
}

/* The process has gone; its VM may still be open elsewhere. */
static void release(struct mmu_notifier *notifier, struct mm_struct *mm)
{
	struct vm *vm = container_of(notifier, struct vm, notifier);

	spin_lock(&vm->lock);
	unmap_addresses(vm, 0, ULONG_MAX & PAGE_MASK);
	atomic64_inc(&vm->sequence);
	spin_unlock(&vm->lock);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = invalidate_start,
	.invalidate_range_end = invalidate_end,
	.release = release,
};

/* ---- reads by the host -------------------------------------------------- */

int memory_read(struct vm *vm, u64 gpa, void *buffer, u32 bytes)
{
	while (bytes) {
		u32 part = min_t(u32, bytes, PAGE_SIZE - (gpa & ~PAGE_MASK));
		struct region *region;
		unsigned long address = 0;

		spin_lock(&vm->lock);
		region = region_at(vm, gpa);
		if (region)
			address = region->address + (gpa - region->gpa);
		spin_unlock(&vm->lock);
		if (!region || copy_from_user(buffer, (void __user *)address, part))
			return -EFAULT;
		buffer += part;
		gpa += part;
		bytes -= part;
	}
	return 0;
}

static bool entry_read(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry)
{
	*entry = 0;
	return !memory_read(memory->data, address, entry, bytes);
}

/* What follows the first page may be missing, and may not be needed. */
int decode_fetch(struct vm *vm, const struct decode_state *state, u8 code[15])
{
	const struct walk_memory memory = { .read = entry_read, .data = vm };
	struct walk walk = {
		.mode.maxphyaddr = hypervisor.can.maxphyaddr,
		.memory = &memory,
		.root = state->cr3,
	};
	struct walk_result result;
	int done = 0;

	walk_set_registers(&walk, X86_CR0_PG | X86_CR0_PE, state->cr4, state->efer, 0,
			   WALK_PAGE_1G);
	while (done < 15) {
		u64 linear = state->linear + done;
		u32 part = min_t(u32, 15 - done, PAGE_SIZE - (linear & ~PAGE_MASK));

		if (walk_peek(&walk, linear, WALK_FETCH | (state->user ? WALK_USER : 0),
			      &result) || memory_read(vm, walk_gpa(&result).addr, code + done, part))
			break;
		done += part;
	}
	return done;
}

/* ---- life --------------------------------------------------------------- */

int memory_init(struct vm *vm)
{
	const struct mmu_params params = {
		.ept = true,
		.can = hypervisor.ept,
		.tlb = { flush_address, flush_context, flush_all, vm },
		.maxphyaddr = hypervisor.can.maxphyaddr,
	};
	int err = init_mmu_virtualization(&vm->mmu, &params);

	if (err)
		return err;
	/* Table pages taken beforehand, and 4 KiB pages: an edit allocates nothing. */
	vm->mmu.map.allocator = (struct ept_allocator) { spare_take, table_free, vm };
	vm->mmu.map.keep_small = true;
	vm->mm = current->mm;
	vm->notifier.ops = &notifier_ops;
	err = mmu_notifier_register(&vm->notifier, vm->mm);
	if (err)
		fini_mmu_virtualization(&vm->mmu);
	return err;
}

/* No vCPU is left. */
void memory_fini(struct vm *vm)
{
	mmu_notifier_unregister(&vm->notifier, vm->mm);
	flush_all(vm);
	fini_mmu_virtualization(&vm->mmu);
	while (vm->spares)
		plat_page_free(vm->spare[--vm->spares], 1);
}
