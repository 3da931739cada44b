// SPDX-License-Identifier: GPL-2.0-only
/*
 * Under memory pressure, views that are not in use give their tables back: one
 * shrinker for all VMs, which exists as long as a VM with views exists.
 *
 * The shrinker knows memory cgroups.  A VM belongs to the cgroup that its struct
 * kvm_hypr is charged to, which is that of the thread that enabled views; KVM
 * charges the tables to the cgroup of the threads that build them.  When a cgroup
 * reaches its limit, only VMs of that cgroup lose views.  A VM belongs to the NUMA
 * node of its struct kvm_hypr, wherever its tables are.
 *
 * Reclaim comes from anywhere, also from a build that allocates under the
 * builder's lock: nothing here waits for a lock.  A VM that is on its way out
 * has left vm_list, under kvm_lock, before anything of the VM goes away.
 */
#include <linux/kvm_host.h>
#include <linux/list_lru.h>
#include <linux/shrinker.h>
#include <linux/slab.h>

#include "vmx_ept_swap.h"

/* VMs of one cgroup and node that one pass looks at; the next pass takes others. */
#define HYPR_SHRINK_VMS	16

static DEFINE_MUTEX(hypr_shrinker_lock);
static unsigned int hypr_shrinker_users;	/* under hypr_shrinker_lock */
/* There while there are users. */
static struct shrinker *hypr_shrinker;
static struct kmem_cache *hypr_shrinker_cache;	/* of struct kvm_hypr */
static struct list_lru hypr_shrinker_vms;	/* kvm_hypr.shrink, by cgroup */

struct hypr_shrink_vms {
	enum lru_status then;	/* what becomes of a VM that was noted */
	unsigned int nr;
	struct kvm *kvm[HYPR_SHRINK_VMS];
};

static enum lru_status hypr_shrink_note(struct list_head *item,
					struct list_lru_one *list,
					spinlock_t *lock, void *arg)
{
	struct hypr_shrink_vms *vms = arg;

	if (vms->nr == ARRAY_SIZE(vms->kvm))
		return LRU_STOP;
	vms->kvm[vms->nr++] = container_of(item, struct kvm_hypr, shrink)->kvm;
	return vms->then;
}

/*
 * VMs of the cgroup and node that reclaim is about; each may be on its way out.
 * @then: LRU_SKIP, or LRU_ROTATE: the next pass looks at others first.
 */
static void hypr_shrink_collect(struct hypr_shrink_vms *vms,
				struct shrink_control *sc, enum lru_status then)
{
	unsigned long nr = HYPR_SHRINK_VMS;

	vms->nr = 0;
	vms->then = then;
	list_lru_walk_one(&hypr_shrinker_vms, sc->nid, sc->memcg,
			  hypr_shrink_note, vms, &nr);
}

static bool hypr_shrink_takes(const struct hypr_shrink_vms *vms,
			      const struct kvm *kvm)
{
	unsigned int i;

	for (i = 0; i < vms->nr; i++) {
		if (vms->kvm[i] == kvm)
			return true;
	}
	return false;
}

static unsigned long hypr_shrink_count(struct shrinker *shrinker,
				       struct shrink_control *sc)
{
	struct hypr_shrink_vms vms;
	struct kvm *kvm;
	u64 tables = 0;

	if (!mutex_trylock(&kvm_lock))
		return 0;
	hypr_shrink_collect(&vms, sc, LRU_SKIP);
	list_for_each_entry(kvm, &vm_list, vm_list) {
		/* Pairs with the release in hypr_enable(). */
		struct kvm_hypr *h = smp_load_acquire(&kvm->arch.hypr.vm);

		if (!h || !hypr_shrink_takes(&vms, kvm) ||
		    !mutex_trylock(&h->lock))
			continue;
		tables += hypr_lru_estimate(&h->lru, hypr_cache_candidates(kvm));
		mutex_unlock(&h->lock);
	}
	if (!tables)
		hypr_shrink_collect(&vms, sc, LRU_ROTATE);
	mutex_unlock(&kvm_lock);
	/* SHRINK_EMPTY: nobody asks again before a further VM comes. */
	return vms.nr ? tables : SHRINK_EMPTY;
}

/* The view that was not in use for the longest time, of all those VMs. */
static bool hypr_shrink_find(struct hypr_victim *victim,
			     const struct hypr_shrink_vms *vms, u64 above)
{
	struct kvm *kvm;

	victim->kvm = NULL;
	list_for_each_entry(kvm, &vm_list, vm_list) {
		if (hypr_shrink_takes(vms, kvm))
			hypr_victim_consider(victim, kvm, 0, above);
	}
	return victim->kvm;
}

static unsigned long hypr_shrink_scan(struct shrinker *shrinker,
				      struct shrink_control *sc)
{
	struct hypr_victim victim = {};
	struct hypr_shrink_vms vms;
	unsigned long freed = 0;
	u64 above = 0;

	if (!mutex_trylock(&kvm_lock))
		return SHRINK_STOP;
	hypr_shrink_collect(&vms, sc, LRU_ROTATE);
	while (freed < sc->nr_to_scan &&
	       hypr_shrink_find(&victim, &vms, above)) {
		above = victim.stamp;
		freed += hypr_victim_evict(&victim, HYPR_EVICT_SHRINKER);
	}
	mutex_unlock(&kvm_lock);
	return freed ?: SHRINK_STOP;
}

static int hypr_shrinker_create(void)
{
	hypr_shrinker_cache = KMEM_CACHE(kvm_hypr, SLAB_ACCOUNT);
	if (!hypr_shrinker_cache)
		return -ENOMEM;
	hypr_shrinker = shrinker_alloc(SHRINKER_NUMA_AWARE | SHRINKER_MEMCG_AWARE,
				       "kvm-hypr-views");
	if (!hypr_shrinker)
		goto destroy_cache;
	if (list_lru_init_memcg(&hypr_shrinker_vms, hypr_shrinker))
		goto free_shrinker;

	hypr_shrinker->count_objects = hypr_shrink_count;
	hypr_shrinker->scan_objects = hypr_shrink_scan;
	/* More, and a small cache would never be asked for all. */
	hypr_shrinker->seeks = DEFAULT_SEEKS;
	shrinker_register(hypr_shrinker);
	return 0;

free_shrinker:
	shrinker_free(hypr_shrinker);
destroy_cache:
	kmem_cache_destroy(hypr_shrinker_cache);
	return -ENOMEM;
}

static void hypr_shrinker_destroy(void)
{
	shrinker_free(hypr_shrinker);
	list_lru_destroy(&hypr_shrinker_vms);
	kmem_cache_destroy(hypr_shrinker_cache);
}

/**
 * hypr_shrinker_join() - memory for a VM's views, known to reclaim from here on
 * @kvm: the VM
 *
 * Context: process context, no lock of KVM held.  Reclaim looks at nothing of the
 * memory before kvm->arch.hypr.vm points there.
 * Return: a zeroed struct kvm_hypr but for @kvm and @shrink, NULL if memory is
 * exhausted.
 */
struct kvm_hypr *hypr_shrinker_join(struct kvm *kvm)
{
	struct kvm_hypr *h = NULL;

	mutex_lock(&hypr_shrinker_lock);
	if (hypr_shrinker_users || !hypr_shrinker_create()) {
		/* Allocates the cgroup's list, too. */
		h = kmem_cache_alloc_lru(hypr_shrinker_cache, &hypr_shrinker_vms,
					 GFP_KERNEL | __GFP_ZERO);
		if (h)
			hypr_shrinker_users++;
		else if (!hypr_shrinker_users)
			hypr_shrinker_destroy();
	}
	mutex_unlock(&hypr_shrinker_lock);
	if (!h)
		return NULL;

	h->kvm = kvm;
	INIT_LIST_HEAD(&h->shrink);
	list_lru_add_obj(&hypr_shrinker_vms, &h->shrink);
	return h;
}

/**
 * hypr_shrinker_leave() - undo hypr_shrinker_join()
 * @h: what it returned
 *
 * Context: process context, no lock of KVM held.  Waits for a scan that runs if
 * this is the last VM with views.
 */
void hypr_shrinker_leave(struct kvm_hypr *h)
{
	list_lru_del_obj(&hypr_shrinker_vms, &h->shrink);

	mutex_lock(&hypr_shrinker_lock);
	kmem_cache_free(hypr_shrinker_cache, h);
	if (!--hypr_shrinker_users)
		hypr_shrinker_destroy();
	mutex_unlock(&hypr_shrinker_lock);
}
