// SPDX-License-Identifier: GPL-2.0-only
/*
 * The cache of prepared views.  Views keep their tables within a budget of their
 * VM and a budget of the host; the view that was not in use for the longest time
 * loses its tables first.  For user space the view stays prepared: a swap to the
 * view rebuilds the tables, before it pauses any vCPU.
 *
 * A budget is a target, not a hard limit: the cache never evicts the active view, a
 * view that a vCPU is in, a pinned view, or the view that is being built.  The
 * arithmetic is in ept_lru.c, the shrinker in ept_shrink.c.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/jiffies.h>
#include <linux/module.h>

#include "mmu/tdp_mmu.h"

#include "ept_trace.h"
#include "vmx_ept_swap.h"

static_assert(HYPR_LRU_VIEWS == KVM_HYPR_MAX_VIEWS);

static ulong ept_cache_tables;
module_param(ept_cache_tables, ulong, 0644);
MODULE_PARM_DESC(ept_cache_tables,
		 "Budget of all VMs with HYPR views: page-table pages (0: none)");

static ulong ept_cache_pages;
module_param(ept_cache_pages, ulong, 0644);
MODULE_PARM_DESC(ept_cache_pages,
		 "Budget of all VMs with HYPR views: mapped 4 KiB pages (0: none)");

static ulong ept_cache_vm_tables;
module_param(ept_cache_vm_tables, ulong, 0644);
MODULE_PARM_DESC(ept_cache_vm_tables,
		 "Budget of a VM that sets none: page-table pages (0: none)");

static ulong ept_cache_vm_pages;
module_param(ept_cache_vm_pages, ulong, 0644);
MODULE_PARM_DESC(ept_cache_vm_pages,
		 "Budget of a VM that sets none: mapped 4 KiB pages (0: none)");

/* What all views of the VM take: KVM counts it, so this is exact. */
static struct hypr_use hypr_vm_use(struct kvm *kvm)
{
	atomic64_t *pages = kvm->stat.pages;

	return (struct hypr_use) {
		.tables = hypr_tables_total(kvm),
		.pages = hypr_use_pages(atomic64_read(&pages[PG_LEVEL_4K - 1]),
					atomic64_read(&pages[PG_LEVEL_2M - 1]),
					atomic64_read(&pages[PG_LEVEL_1G - 1])),
	};
}

static bool hypr_vm_is_over(struct kvm *kvm)
{
	struct hypr_use budget = kvm->arch.hypr.vm->budget;
	struct hypr_use use, fallback = {
		.tables = READ_ONCE(ept_cache_vm_tables),
		.pages = READ_ONCE(ept_cache_vm_pages),
	};

	hypr_budget_default(&budget, &fallback);
	if (!budget.tables && !budget.pages)
		return false;
	use = hypr_vm_use(kvm);
	return hypr_budget_is_exceeded(&budget, &use);
}

/**
 * hypr_cache_touch() - a view is in use, or was until now
 * @h: the VM's views
 * @view: the view
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_cache_touch(struct kvm_hypr *h, u32 view)
{
	lockdep_assert_held(&h->lock);

	hypr_lru_touch(&h->lru, view, get_jiffies_64());
}

/**
 * hypr_cache_lost() - KVM has dropped the tables of a prepared view by itself
 * @h: the VM's views
 * @view: the view
 *
 * KVM zaps all tables of a VM when the generation of MMIO entries wraps around,
 * when somebody switches nx_huge_pages, and in other cases.  From then on the view
 * counts as evicted: the next swap to the view builds the tables.
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_cache_lost(struct kvm_hypr *h, u32 view)
{
	lockdep_assert_held(&h->lock);

	clear_bit(view, h->prepared);
	hypr_lru_dropped(&h->lru, view, true);
}

/**
 * hypr_cache_candidates() - views that may be evicted
 * @kvm: the VM
 *
 * Context: kvm_hypr.lock held.
 * Return: a mask of views.
 */
u32 hypr_cache_candidates(struct kvm *kvm)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u32 in_use = 0, view;

	lockdep_assert_held(&h->lock);

	for (view = 0; view < KVM_HYPR_MAX_VIEWS; view++) {
		if (!hypr_view_is_valid(view) || hypr_view_in_use(kvm, view))
			in_use |= BIT(view);
	}
	return hypr_lru_candidates(&h->lru, hypr_tables_resident(kvm), in_use);
}

/**
 * hypr_view_drop() - give a view's tables back
 * @kvm: the VM
 * @view: the view; its memslots stay
 * @evict: for the cache: not a pinned view, and a swap rebuilds the tables
 * @timeout_ns: how long to wait for each lock, see hypr_lock_within()
 *
 * Swaps of the VM wait until the roots are invalid, not until all is zapped.
 *
 * Context: kvm_hypr.build_lock held.  Takes kvm->slots_lock and kvm_hypr.lock.
 * Reclaim calls it with a timeout of 0: it allocates nothing.
 * Return: 0; -EBUSY if the view is in use or pinned; -EAGAIN it did not get a lock
 * in time; -EINTR a fatal signal.
 */
int hypr_view_drop(struct kvm *kvm, u32 view, bool evict, u64 timeout_ns)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	bool again;
	int r;

	lockdep_assert_held(&h->build_lock);

	r = hypr_lock_to_drop(kvm, timeout_ns);
	if (r)
		return r;
	if (hypr_view_in_use(kvm, view) ||
	    (evict && (h->lru.pinned & BIT(view)))) {
		mutex_unlock(&h->lock);
		mutex_unlock(&kvm->slots_lock);
		return -EBUSY;
	}

	hypr_tables_invalidate(kvm, view);
	/* A view that a swap is rebuilding, and that is not ready, stays evicted. */
	again = test_bit(view, h->prepared) || (h->lru.evicted & BIT(view));
	hypr_lru_dropped(&h->lru, view, evict && again);
	clear_bit(view, h->prepared);
	if (evict)
		h->evictions++;
	else
		kvm->stat.hypr.discards++;
	mutex_unlock(&h->lock);

	kvm_tdp_mmu_zap_invalidated_roots(kvm);
	mutex_unlock(&kvm->slots_lock);

	hypr_dbg("%s %u\n", evict ? "evict" : "drop", view);
	return 0;
}

/* Return: table pages that were given back, 0 if the view cannot be evicted now. */
static u64 hypr_view_evict(struct kvm *kvm, u32 view, u64 timeout_ns,
			   enum hypr_evict_reason reason)
{
	u64 before = hypr_tables_total(kvm), after;

	if (hypr_view_drop(kvm, view, true, timeout_ns))
		return 0;

	/* vCPUs may have got tables by faults in between. */
	after = hypr_tables_total(kvm);
	after = before > after ? before - after : 0;
	trace_kvm_hypr_evict(kvm, view, after, reason);
	return after;
}

/*
 * The view of @kvm to evict next, -1 if there is none.  @above: only a view with a
 * greater stamp; changes to the view's stamp.
 */
static int hypr_cache_oldest(struct kvm *kvm, u32 keep, u64 *above)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int view;

	lockdep_assert_held(&h->lock);

	view = hypr_lru_oldest(&h->lru, hypr_cache_candidates(kvm) & ~keep,
			       *above);
	if (view >= 0)
		*above = h->lru.stamp[view];
	return view;
}

/**
 * hypr_cache_make_room() - evict until the VM is within its budget
 * @kvm: the VM
 * @keep: mask of views not to evict
 *
 * A view whose locks it does not get stays; a swap waits for none of them
 * (kvm_hypr.patience_ns).
 *
 * Context: kvm_hypr.build_lock held, kvm->srcu not.  Takes kvm->slots_lock and
 * kvm_hypr.lock if there is something to evict.
 */
void hypr_cache_make_room(struct kvm *kvm, u32 keep)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u64 above = 0, timeout_ns = h->patience_ns;
	int view;

	lockdep_assert_held(&h->build_lock);

	if (timeout_ns != HYPR_NO_TIMEOUT)
		timeout_ns = 0;
	while (hypr_vm_is_over(kvm)) {
		if (hypr_lock_within(&h->lock, timeout_ns))
			break;
		view = hypr_cache_oldest(kvm, keep, &above);
		mutex_unlock(&h->lock);
		if (view < 0)
			break;
		hypr_view_evict(kvm, view, timeout_ns, HYPR_EVICT_VM_BUDGET);
	}
}

/**
 * hypr_victim_consider() - take a VM's oldest view for the victim, if it is older
 * @victim: the best one so far, filled if @kvm has a better one
 * @kvm: any VM
 * @keep: mask of its views not to take
 * @above: views with this stamp or a smaller one were tried before
 *
 * A VM in the middle of a swap is passed over.
 *
 * Context: kvm_lock held.  Waits for no lock.
 */
void hypr_victim_consider(struct hypr_victim *victim, struct kvm *kvm, u32 keep,
			  u64 above)
{
	/* Pairs with the release in hypr_enable(). */
	struct kvm_hypr *h = smp_load_acquire(&kvm->arch.hypr.vm);
	u64 stamp = above;
	int view;

	lockdep_assert_held(&kvm_lock);

	if (!h || !mutex_trylock(&h->lock))
		return;
	view = hypr_cache_oldest(kvm, keep, &stamp);
	mutex_unlock(&h->lock);

	if (view < 0 || (victim->kvm && stamp >= victim->stamp))
		return;
	victim->kvm = kvm;
	victim->view = view;
	victim->stamp = stamp;
}

/**
 * hypr_victim_find() - of all VMs, the view to evict next
 * @victim: filled
 * @self: a VM with views to keep
 * @keep: mask of its views
 * @above: views with this stamp or a smaller one were tried before
 *
 * Context: kvm_lock held.  Waits for no lock.
 * Return: false if there is none.
 */
bool hypr_victim_find(struct hypr_victim *victim, struct kvm *self, u32 keep,
		      u64 above)
{
	struct kvm *kvm;

	victim->kvm = NULL;
	list_for_each_entry(kvm, &vm_list, vm_list)
		hypr_victim_consider(victim, kvm, kvm == self ? keep : 0, above);
	return victim->kvm;
}

/**
 * hypr_victim_evict() - evict what hypr_victim_find() found, if that is possible now
 * @victim: its VM cannot go away
 * @reason: for the tracepoint
 *
 * Context: waits for no lock, allocates nothing.
 * Return: table pages that were given back.
 */
u64 hypr_victim_evict(const struct hypr_victim *victim,
		      enum hypr_evict_reason reason)
{
	struct kvm *kvm = victim->kvm;
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u64 freed;

	if (!mutex_trylock(&h->build_lock))
		return 0;
	freed = hypr_view_evict(kvm, victim->view, 0, reason);
	mutex_unlock(&h->build_lock);
	return freed;
}

static bool hypr_host_is_over(void)
{
	struct hypr_use sum = {}, budget = {
		.tables = READ_ONCE(ept_cache_tables),
		.pages = READ_ONCE(ept_cache_pages),
	};
	struct kvm *kvm;

	lockdep_assert_held(&kvm_lock);

	list_for_each_entry(kvm, &vm_list, vm_list) {
		struct hypr_use use;

		/* Pairs with the release in hypr_enable(). */
		if (!smp_load_acquire(&kvm->arch.hypr.vm))
			continue;
		use = hypr_vm_use(kvm);
		hypr_use_add(&sum, &use);
	}
	return hypr_budget_is_exceeded(&budget, &sum);
}

/**
 * hypr_host_make_room() - evict until all VMs together are within the host's budget
 * @self: the VM that went over it
 * @keep: mask of its views not to evict
 * @timeout_ns: how long to wait for kvm_lock, see hypr_lock_within()
 *
 * A view whose locks it does not get stays until the next time.
 *
 * Context: process context, no lock of HYPR held.  Takes kvm_lock.  If the last
 * user of another VM went in between, this destroys that VM.
 */
void hypr_host_make_room(struct kvm *self, u32 keep, u64 timeout_ns)
{
	struct hypr_victim victim = {};
	u64 above = 0;

	while (READ_ONCE(ept_cache_tables) || READ_ONCE(ept_cache_pages)) {
		bool found;

		if (hypr_lock_within(&kvm_lock, timeout_ns))
			break;
		found = hypr_host_is_over() &&
			hypr_victim_find(&victim, self, keep, above);
		if (found && !kvm_get_kvm_safe(victim.kvm))
			victim.kvm = NULL;
		mutex_unlock(&kvm_lock);
		if (!found)
			break;

		above = victim.stamp;
		if (!victim.kvm)
			continue;
		hypr_victim_evict(&victim, HYPR_EVICT_HOST_BUDGET);
		kvm_put_kvm(victim.kvm);
	}
}

/**
 * hypr_cache_set() - KVM_HYPR_SET_CACHE: the VM's budget, and what is in use
 * @kvm: the VM
 * @arg: arguments checked for form; the out fields are filled
 *
 * It evicts the views that a smaller budget has no room for at once.
 *
 * Context: process context, no lock of HYPR held.
 * Return: 0; -EINTR a fatal signal.
 */
int hypr_cache_set(struct kvm *kvm, struct kvm_hypr_cache *arg)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct hypr_use use;
	int r;

	if (mutex_lock_killable(&h->build_lock))
		return -EINTR;

	h->patience_ns = HYPR_NO_TIMEOUT;
	if (!(arg->flags & KVM_HYPR_CACHE_GET)) {
		h->budget.tables = arg->max_tables;
		h->budget.pages = arg->max_pages;
		hypr_cache_make_room(kvm, 0);
	}
	use = hypr_vm_use(kvm);

	arg->max_tables = h->budget.tables;
	arg->max_pages = h->budget.pages;
	arg->tables = use.tables;
	arg->pages = use.pages;
	arg->rebuilds = h->rebuilds;
	r = mutex_lock_killable(&h->lock);
	if (!r) {
		arg->prepared = h->prepared[0];
		arg->evicted = h->lru.evicted;
		arg->pinned = h->lru.pinned;
		arg->evictions = h->evictions;
		mutex_unlock(&h->lock);
	}
	mutex_unlock(&h->build_lock);
	return r;
}

/**
 * hypr_view_pin() - KVM_HYPR_PIN_VIEW: keep a view's tables, or no longer
 * @kvm: the VM
 * @view: a view that exists; user space can unpin a view without memory
 * @pin: keep the tables
 *
 * User space can pin a view before it prepares the view.
 *
 * Return: 0, also if the view was pinned (unpinned) before; -ENOENT no such view;
 * -EINTR a fatal signal.
 */
int hypr_view_pin(struct kvm *kvm, u32 view, bool pin)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;

	if (pin ? !hypr_view_exists(kvm, view) : !hypr_view_is_valid(view))
		return -ENOENT;

	if (mutex_lock_killable(&h->lock))
		return -EINTR;
	hypr_lru_pin(&h->lru, view, pin);
	mutex_unlock(&h->lock);
	return 0;
}
