// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Shadow paging: page faults.
 *
 * The work of one fault is bounded: at most 7 shadow pages are made, each one may cost
 * one recycled page, one table synchronised, and one chain of each kind cleared; and once
 * all tables may be synchronised that are out of sync, SHADOW_UNSYNC_MAX at most.
 */
#include "shadow_page.h"

#define RFLAGS_AC	BIT_ULL(18)

/* A fault being handled.  Its shadow pages are pinned. */
struct job {
	struct shadow_vcpu *vcpu;
	struct shadow_page_table *table;
	u64 gva;
	bool write;
	bool fetch;
	struct walk_result guest;
	struct shadow_host_page host;
	struct shadow_page *page;
	struct shadow_page *pinned[WALK_LEVELS + 2];
	u32 nr_pinned;
};

static u32 index_at(const struct job *job)
{
	return job->gva >> (CORE_PAGE_SHIFT + 9 * (job->page->key.level - 1)) &
	       (CORE_ENTRIES - 1);
}

/* Has the guest changed the entry since the walk read it?  From here on, it is tracked. */
static bool gpte_changed(const struct job *job, u32 level)
{
	const struct walk_memory *memory = job->table->params.memory;
	const struct walk_step *step = &job->guest.step[level - 1];
	u64 entry;

	return !memory->read(memory, step->address, 8, &entry) || entry != step->entry;
}

/*
 * What was invalidated while nothing led to the table has not been seen: not in it, and if it
 * is an upper one, not in those below it.
 */
static void see_missed(struct shadow_page_table *table, struct shadow_page *page)
{
	if (page->unsync)
		shadow_sync_page(table, page);
	else if (page->key.level > 1 && !page->key.direct && page->present)
		shadow_sync_all(table);
}

/* job->page's entry points to the shadow page of @gfn, which is job->page afterwards. */
static int descend(struct job *job, u64 gfn, bool direct, u64 rights)
{
	struct shadow_page_table *table = job->table;
	struct shadow_page *child;
	struct shadow_key key = job->vcpu->root->key;

	key.gfn = gfn;
	key.level = job->page->key.level - 1;
	if (direct) {
		key.direct = true;
		key.global = rights & SPTE_G;
		key.nxe = false;
		key.flip = false;
	}
	child = shadow_page_get(table, &key);
	if (!child)
		return -ENOMEM;
	child->pins++;
	job->pinned[job->nr_pinned++] = child;
	if (shadow_child(table, job->page, index_at(job)) != child)
		see_missed(table, child);
	shadow_entry_link(table, job->page, index_at(job), child, rights & ~SPTE_G);
	job->page = child;
	return 0;
}

/* The entry for the host's page at @hpa, with the rights that guest and host allow. */
static u64 leaf_entry(const struct job *job, u64 hpa, u64 rights)
{
	if (!job->host.executable)
		rights |= SPTE_NX | SPTE_HOST_NX;
	if (job->host.writable)
		rights |= SPTE_HOST_W;
	else
		rights &= ~SPTE_W;
	return hpa | rights;
}

/* Maps a page of 4 KiB: entry of job->page. */
static enum mmu_result map_small(struct job *job, u64 rights)
{
	struct shadow_page_table *table = job->table;
	u64 gfn = job->guest.address / CORE_PAGE_4K;
	u64 entry = leaf_entry(job, job->host.hpa.addr, rights);
	bool tracked;

	if (job->write && shadow_is_tracked(table, gfn))
		shadow_unsync_gfn(table, gfn);
	tracked = shadow_is_tracked(table, gfn);
	if (tracked)
		entry &= ~SPTE_W;
	shadow_entry_map(table, job->page, index_at(job), gfn, entry);
	return job->write && tracked ? MMU_EMULATE : MMU_RETRY;
}

/* Maps a part of a large guest page; the entry of job->page is that of @level. */
static int map_large(struct job *job, u64 rights, enum mmu_result *result)
{
	const u64 all = SPTE_W | SPTE_U | (rights & SPTE_G);
	u64 gfn = job->guest.address / CORE_PAGE_4K;
	int err;

	if (job->page->key.level == 3) {
		err = descend(job, gfn & ~(CORE_PAGE_1G / CORE_PAGE_4K - 1), true, rights);
		if (err)
			return err;
		rights = all;
	}
	gfn &= ~(u64)(CORE_ENTRIES - 1);
	if (job->host.large && !shadow_region_has_table(job->table, gfn)) {
		u64 hpa = job->host.hpa.addr & ~(CORE_PAGE_2M - 1);

		shadow_entry_map(job->table, job->page, index_at(job), gfn,
				 leaf_entry(job, hpa, rights | SPTE_LARGE));
		*result = MMU_RETRY;
		return 0;
	}
	job->table->stats.splits++;
	err = descend(job, gfn, true, rights);
	if (!err)
		*result = map_small(job, all);
	return err;
}

/* Makes the entries from the root to the page. */
static int install(struct job *job, u64 leaf_rights, enum mmu_result *result)
{
	u32 level;
	int err;

	job->page = job->vcpu->root;
	for (level = job->guest.top; level > job->guest.level; level--) {
		u64 entry = job->guest.step[level - 1].entry;

		if (gpte_changed(job, level)) {
			*result = MMU_RETRY;
			return 0;
		}
		err = descend(job, (entry & SPTE_ADDRESS) / CORE_PAGE_4K, false,
			      entry & (SPTE_W | SPTE_U | SPTE_NX));
		if (err)
			return err;
	}
	if (gpte_changed(job, level)) {
		*result = MMU_RETRY;
		return 0;
	}
	if (level > 1)
		return map_large(job, leaf_rights, result);
	*result = map_small(job, leaf_rights);
	return 0;
}

/*
 * Rights of the shadow's entry for the guest's leaf.  The entry is writable only once
 * the guest's dirty flag is set, so that the first write faults.
 *
 * With CR0.WP = 0 the guest's kernel writes to a read-only page.  The shadow's CR0.WP
 * is 1: the page becomes a writable one of the supervisor, which no one executes, and
 * turns back at the next access by the user.  With SMAP that would hide the page's U
 * flag from the processor, and a read-only table above the leaf cannot be hidden at
 * all: false, the write is emulated.
 */
static bool leaf_rights(const struct job *job, u64 *rights)
{
	const struct walk_step *step = job->guest.step;
	u64 leaf = step[job->guest.level - 1].entry;
	bool above = true;
	u32 level;

	for (level = job->guest.level + 1; level <= job->guest.top; level++)
		above = above && (step[level - 1].entry & SPTE_W);
	*rights = leaf & (SPTE_U | SPTE_G | SPTE_NX);
	if ((leaf & SPTE_W) && (leaf & SPTE_D))
		*rights |= SPTE_W;
	if (!job->write || ((leaf & SPTE_W) && above))
		return true;
	*rights = (leaf & SPTE_G) | SPTE_W | SPTE_NX;
	return above && job->vcpu->root->key.flip;
}

/* The guest's walk went through: @job->guest. */
static int resolve(struct job *job, struct shadow_fault *fault)
{
	const struct shadow_params *params = &job->table->params;
	u64 rights;
	int err;

	fault->gpa = walk_gpa(&job->guest);
	if (params->translate(params->context, hypr_gpa(fault->gpa.addr & ~(CORE_PAGE_4K - 1)),
			      job->write, &job->host) ||
	    (job->write && !job->host.writable) || (job->fetch && !job->host.executable)) {
		fault->result = MMU_NO_MEMORY;
		return 0;
	}
	if (!leaf_rights(job, &rights)) {
		fault->result = MMU_EMULATE;
		return 0;
	}
	err = install(job, rights, &fault->result);
	while (job->nr_pinned)
		job->pinned[--job->nr_pinned]->pins--;
	return err;
}

int shadow_fault(struct shadow_vcpu *vcpu, hypr_gva_t gva, u32 access, u64 rflags,
		 struct shadow_fault *fault)
{
	struct job job = {
		.vcpu = vcpu,
		.table = vcpu->table,
		.gva = gva.addr,
		.write = access & WALK_WRITE,
		.fetch = access & WALK_FETCH,
	};
	struct walk walk = vcpu->walk;
	int err;

	if (!vcpu->root)
		return -EINVAL;
	if (rflags & RFLAGS_AC)
		walk.mode.flags |= WALK_AC;
	memset(fault, 0, sizeof(*fault));
	job.table->stats.faults++;
	err = walk_translate(&walk, gva.addr, access, &job.guest);
	if (!err) {
		err = resolve(&job, fault);
		if (!err && fault->result == MMU_EMULATE)
			job.table->stats.emulated++;
		return err;
	}
	if (err == -EAGAIN) {
		fault->result = MMU_RETRY;
		return 0;
	}
	if (err != -EFAULT || job.guest.fault == WALK_FAULT_CANONICAL)
		return -EINVAL;
	if (job.guest.fault == WALK_FAULT_MEMORY) {
		fault->result = MMU_NO_TABLE;
		fault->gpa = hypr_gpa(job.guest.step[job.guest.level - 1].address);
		return 0;
	}
	fault->result = MMU_REFLECT;
	fault->error_code = job.guest.error_code;
	job.table->stats.reflected++;
	return 0;
}
