// SPDX-License-Identifier: GPL-2.0-only
/*
 * Under memory pressure, views that are not in use give their tables back: one
 * shrinker for all VMs, which is there as long as a VM with views is.
 *
 * Reclaim comes from anywhere, also from a build that allocates under the
 * builder's lock: nothing here waits for a lock.  A VM that goes leaves vm_list,
 * under kvm_lock, before KVM frees anything of it.
 */
#include <linux/kvm_host.h>
#include <linux/shrinker.h>

#include "vmx_ept_swap.h"

static DEFINE_MUTEX(hypr_shrinker_lock);
static struct shrinker *hypr_shrinker;		/* under hypr_shrinker_lock */
static unsigned int hypr_shrinker_users;	/* likewise */

static unsigned long hypr_shrink_count(struct shrinker *shrinker,
				       struct shrink_control *sc)
{
	struct kvm *kvm;
	u64 tables = 0;

	if (!mutex_trylock(&kvm_lock))
		return 0;
	list_for_each_entry(kvm, &vm_list, vm_list) {
		/* Pairs with the release in hypr_enable(). */
		struct kvm_hypr *h = smp_load_acquire(&kvm->arch.hypr.vm);

		if (!h || !mutex_trylock(&h->lock))
			continue;
		tables += hypr_lru_estimate(&h->lru, hypr_cache_candidates(kvm));
		mutex_unlock(&h->lock);
	}
	mutex_unlock(&kvm_lock);
	return tables ?: SHRINK_EMPTY;
}

static unsigned long hypr_shrink_scan(struct shrinker *shrinker,
				      struct shrink_control *sc)
{
	struct hypr_victim victim = {};
	unsigned long freed = 0;
	u64 above = 0;

	if (!mutex_trylock(&kvm_lock))
		return SHRINK_STOP;
	while (freed < sc->nr_to_scan &&
	       hypr_victim_find(&victim, NULL, 0, above)) {
		above = victim.stamp;
		freed += hypr_victim_evict(&victim, HYPR_EVICT_SHRINKER);
	}
	mutex_unlock(&kvm_lock);
	return freed ?: SHRINK_STOP;
}

/**
 * hypr_shrinker_get() - one more VM with views
 *
 * Context: process context, no lock of KVM held.
 * Return: 0, -ENOMEM.
 */
int hypr_shrinker_get(void)
{
	int r = 0;

	mutex_lock(&hypr_shrinker_lock);
	if (!hypr_shrinker_users) {
		hypr_shrinker = shrinker_alloc(0, "kvm-hypr-views");
		if (hypr_shrinker) {
			hypr_shrinker->count_objects = hypr_shrink_count;
			hypr_shrinker->scan_objects = hypr_shrink_scan;
			/* With more, reclaim would never ask a small cache for all. */
			hypr_shrinker->seeks = DEFAULT_SEEKS;
			shrinker_register(hypr_shrinker);
		} else {
			r = -ENOMEM;
		}
	}
	if (!r)
		hypr_shrinker_users++;
	mutex_unlock(&hypr_shrinker_lock);
	return r;
}

/**
 * hypr_shrinker_put() - undo hypr_shrinker_get()
 *
 * Context: process context, no lock of KVM held.  Waits for a scan that runs.
 */
void hypr_shrinker_put(void)
{
	mutex_lock(&hypr_shrinker_lock);
	if (!--hypr_shrinker_users) {
		shrinker_free(hypr_shrinker);
		hypr_shrinker = NULL;
	}
	mutex_unlock(&hypr_shrinker_lock);
}
