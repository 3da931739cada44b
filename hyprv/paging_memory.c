// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow paging, what belongs to a view: memory for its shadow pages, taken before
 * vm->lock, the flushes that core/shadow.h asks for, and its statistics.
 *
 * A CPU tags linear translations by VPID and PCID, not by the tables that they came from:
 * a flush of a view's tables is one of all VPIDs, on each CPU that has run in the view.
 */
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/seq_file.h>
#include <linux/smp.h>

#include "hyprv.h"

/* More than 64 vCPUs and one fault can pin. */
#define PAGES_MIN	128u

static unsigned int shadow_pages = 1024;
module_param(shadow_pages, uint, 0444);
MODULE_PARM_DESC(shadow_pages, "shadow pages of a view at most, 12 KiB each; 128 and more");

/* ---- TLB ---------------------------------------------------------------- */

static void flush(const struct tlb_facts *facts, enum flush_reason reason)
{
	const struct tlb_decision decision = tlb_decide(facts);

	flush_count(reason);
	WARN_ON_ONCE(flush_tlb(&hypervisor.tlb, NULL, &decision));
}

static void flush_here(void *unused)
{
	const struct tlb_facts facts = {
		.tag = TLB_TAG_ASID, .edit = TLB_EDIT_ALL, .vpid = 1,
		.can = hypervisor.can.ept_vpid,
	};

	if (this_cpu_read(hypervisor.cpu->on))
		flush(&facts, FLUSH_TAKEN);
}

/* The interrupt brings a CPU out of the guest; it returns after all have flushed. */
static void flush_all(void *context)
{
	struct view *view = context;

	/* Open pages are gone with this: paging_is_stale(). */
	WRITE_ONCE(view->flushes, view->flushes + 1);
	/* The edit before the look at who runs.  Pairs with the barrier in paging_load(). */
	smp_mb();
	on_each_cpu_mask(&view->cpus, flush_here, NULL, true);
}

/* What the guest asks for is up to the vCPU that asks: its VMCS is current here. */
static void flush_caller(void *context, enum tlb_edit edit, hypr_gva_t gva)
{
	struct view *view = context;
	const struct tlb_facts facts = {
		.tag = TLB_TAG_ASID, .edit = edit, .vpid = view->caller->vpid,
		.address = gva, .can = hypervisor.can.ept_vpid,
	};

	lockdep_assert_held(&view->vm->lock);
	flush(&facts, FLUSH_GUEST);
}

static void flush_address(void *context, u16 pcid, hypr_gva_t gva)
{
	flush_caller(context, TLB_EDIT_ADDRESS, gva);
}

static void flush_context(void *context, u16 pcid)
{
	flush_caller(context, TLB_EDIT_NON_GLOBAL, hypr_gva(0));
}

void paging_flush(struct vcpu *vcpu, enum flush_reason reason)
{
	const struct tlb_facts facts = {
		.tag = TLB_TAG_ASID, .edit = TLB_EDIT_CONTEXT, .vpid = vcpu->vpid,
		.can = hypervisor.can.ept_vpid,
	};

	flush(&facts, reason);
}

/* ---- memory ------------------------------------------------------------- */

static void *store_get(void *context, u32 pages)
{
	struct vm *vm = context;
	struct paging_store *store = &vm->store;
	void *memory;

	lockdep_assert_held(&vm->lock);
	if (pages == 2)
		return store->pairs ? store->pair[--store->pairs] : NULL;
	memory = store->pages ? store->page[--store->pages] : NULL;
	if (memory)
		mod_lruvec_page_state(virt_to_page(memory), NR_SECONDARY_PAGETABLE, 1);
	return memory;
}

static void store_put(void *context, void *memory, u32 pages)
{
	if (pages == 1)
		mod_lruvec_page_state(virt_to_page(memory), NR_SECONDARY_PAGETABLE, -1);
	plat_page_free(memory, pages);
}

bool paging_store_is_full(const struct vm *vm)
{
	return READ_ONCE(vm->store.pages) == SHADOW_TAKES &&
	       READ_ONCE(vm->store.pairs) == SHADOW_TAKES;
}

int paging_store_fill(struct vm *vm)
{
	struct paging_store *store = &vm->store;

	while (!paging_store_is_full(vm)) {
		void *page = plat_page_alloc(1, PLAT_NODE_ANY);
		void *pair = plat_page_alloc(2, PLAT_NODE_ANY);
		int err = page && pair ? 0 : -ENOMEM;

		spin_lock(&vm->lock);
		if (!err && store->pages < SHADOW_TAKES) {
			store->page[store->pages++] = page;
			page = NULL;
		}
		if (!err && store->pairs < SHADOW_TAKES) {
			store->pair[store->pairs++] = pair;
			pair = NULL;
		}
		spin_unlock(&vm->lock);
		plat_page_free(page, 1);
		plat_page_free(pair, 2);
		if (err)
			return err;
	}
	return 0;
}

/* No vCPU is left. */
void paging_store_empty(struct vm *vm)
{
	while (vm->store.pages)
		plat_page_free(vm->store.page[--vm->store.pages], 1);
	while (vm->store.pairs)
		plat_page_free(vm->store.pair[--vm->store.pairs], 2);
}

void paging_params(struct view *view, struct mmu_params *params)
{
	params->ept = false;
	params->tlb = (struct mmu_tlb) { flush_address, flush_context, flush_all, view };
	params->cpu_flags = boot_cpu_has(X86_FEATURE_GBPAGES) ? WALK_PAGE_1G : 0;
	params->max_pages = clamp(shadow_pages, PAGES_MIN, SHADOW_PAGES_MAX);
	params->hash_key = get_random_u64();
	params->allocator = (struct shadow_allocator) { store_get, store_put, view->vm };
}

/* ---- statistics --------------------------------------------------------- */

static DEFINE_MUTEX(stats_lock);
static LIST_HEAD(stats_views);
static struct shadow_stats stats_ended;

static void stats_sum(struct shadow_stats *sum, struct view *view)
{
	struct shadow_stats stats;

	spin_lock(&view->vm->lock);
	shadow_stats(view->mmu.shadow, &stats);
	spin_unlock(&view->vm->lock);
	sum->pages += stats.pages;
	sum->unsync += stats.unsync;
	sum->faults += stats.faults;
	sum->reflected += stats.reflected;
	sum->emulated += stats.emulated;
	sum->recycled += stats.recycled;
	sum->flooded += stats.flooded;
	sum->synced += stats.synced;
	sum->splits += stats.splits;
	sum->flushes += stats.flushes;
}

void paging_stats_add(struct view *view)
{
	mutex_lock(&stats_lock);
	list_add(&view->on_stats, &stats_views);
	mutex_unlock(&stats_lock);
}

void paging_stats_remove(struct view *view)
{
	mutex_lock(&stats_lock);
	list_del(&view->on_stats);
	stats_sum(&stats_ended, view);
	stats_ended.pages = 0;
	stats_ended.unsync = 0;
	mutex_unlock(&stats_lock);
}

void paging_stats_show(struct seq_file *file)
{
	struct shadow_stats sum;
	struct view *view;

	mutex_lock(&stats_lock);
	sum = stats_ended;
	list_for_each_entry(view, &stats_views, on_stats)
		stats_sum(&sum, view);
	mutex_unlock(&stats_lock);
	seq_printf(file, "pages %llu\nunsync %llu\nfaults %llu\nreflected %llu\nemulated %llu\n",
		   sum.pages, sum.unsync, sum.faults, sum.reflected, sum.emulated);
	seq_printf(file, "recycled %llu\nflooded %llu\nsynced %llu\nsplits %llu\nflushes %llu\n",
		   sum.recycled, sum.flooded, sum.synced, sum.splits, sum.flushes);
}
