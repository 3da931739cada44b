// SPDX-License-Identifier: GPL-2.0-only
/*
 * The swap: all vCPUs to another view, or none.  Read swap_views() first.
 *
 * While the barrier (barrier.c) holds the vCPUs, the swap writes their next view.  Each
 * vCPU takes it on its way back to the guest, by one VMWRITE.
 */
#include <linux/sched/signal.h>
#include <asm/tsc.h>

#include "apic.h"
#include "hyprv.h"

/* ---- statistics --------------------------------------------------------- */

static void dist_add(struct kvm_hypr_dist *dist, u64 value)
{
	u32 bucket = min_t(u32, fls64(value), KVM_HYPR_STATS_BUCKETS - 1);

	dist->min = dist->count ? min(dist->min, value) : value;
	dist->max = max(dist->max, value);
	dist->sum += value;
	dist->count++;
	dist->hist[bucket]++;
}

static u64 faults_of(struct vm *vm)
{
	u64 faults = 0;
	u32 i;

	for (i = 0; i < vm->vcpus; i++)
		faults += READ_ONCE(vm->vcpu[i]->faults);
	return faults;
}

static void count_swap(struct vm *vm, const struct kvm_hypr_swap *swap)
{
	struct kvm_hypr_stats *stats = &vm->stats;
	u64 faults = faults_of(vm);

	if (stats->swaps++)
		dist_add(&stats->tail, faults - vm->faults);
	vm->faults = faults;
	stats->forced += swap->forced;
	dist_add(&stats->commit, swap->commit_cycles);
}

static void count_refusal(struct kvm_hypr_stats *stats, int err)
{
	u64 *count = &stats->fail_other;

	switch (err) {
	case -ENOENT:
		count = &stats->fail_no_view;
		break;
	case -ENODATA:
		count = &stats->fail_unprepared;
		break;
	case -ESTALE:
		count = &stats->fail_stale;
		break;
	case -EBUSY:
		count = &stats->fail_busy;
		break;
	case -EAGAIN:
		count = &stats->fail_hold;
		break;
	case -EINTR:
		count = &stats->fail_signal;
		break;
	}
	++*count;
}

void swap_stats(struct vm *vm, struct kvm_hypr_stats *stats)
{
	u32 i;

	lockdep_assert_held(&vm->swap_lock);
	*stats = vm->stats;
	stats->fail_lock = atomic64_read(&vm->lock_timeouts);
	for (i = 0; i < vm->vcpus; i++)
		stats->flushes += READ_ONCE(vm->vcpu[i]->flushes);
	stats->tail_open = stats->swaps ? faults_of(vm) - vm->faults : 0;
}

/* ---- what a swap needs -------------------------------------------------- */

static int check_mask(struct vm *vm, struct kvm_hypr_swap *swap)
{
	u64 missing = swap->vcpu_mask;
	u32 i;

	for (i = 0; i < vm->vcpus; i++) {
		struct vcpu *vcpu = vm->vcpu[i];

		if (!swap_takes(swap, vcpu))
			continue;
		missing &= ~BIT_ULL(vcpu->index);
		if (vcpu->index == __ffs64(swap->vcpu_mask))
			swap->old_view = vcpu->next;
	}
	return missing ? -EINVAL : 0;
}

static int check_expected(struct vm *vm, struct kvm_hypr_swap *swap)
{
	u32 i;

	for (i = 0; i < vm->vcpus && swap->old_view == swap->expected_view; i++)
		if (swap_takes(swap, vm->vcpu[i]))
			swap->old_view = vm->vcpu[i]->next;
	return swap->old_view == swap->expected_view ? 0 : -ESTALE;
}

static int check_target(struct vm *vm, u32 number)
{
	struct view *view = view_find(vm, number);

	if (!view)
		return -ENOENT;
	/* Of the active view nobody has to say that it is prepared. */
	return view->prepared || number == vm->active ? 0 : -ENODATA;
}

/* The answer to an IN or to a read of a device goes to a register of the old view. */
static int check_quiescent(struct vm *vm, struct kvm_hypr_swap *swap)
{
	u32 i;

	for (i = 0; i < vm->vcpus; i++)
		swap->forced += swap_takes(swap, vm->vcpu[i]) &&
				(mutex_is_locked(&vm->vcpu[i]->lock) ||
				 READ_ONCE(vm->vcpu[i]->wait) != WAIT_NOTHING);
	return swap->forced && !(swap->flags & KVM_EPT_SWAP_FORCE) ? -EBUSY : 0;
}

/* ---- the swap ----------------------------------------------------------- */

/* The point of no return. */
static void activate(struct vm *vm, const struct kvm_hypr_swap *swap)
{
	bool all = true;
	u32 i;

	for (i = 0; i < vm->vcpus; i++) {
		if (swap_takes(swap, vm->vcpu[i]))
			vm->vcpu[i]->next = swap->view;
		else
			all &= vm->vcpu[i]->next == swap->view;
	}
	if (all) {
		vm->view[vm->active]->prepared = true;
		WRITE_ONCE(vm->active, swap->view);
	}
	WRITE_ONCE(vm->generation, vm->generation + 1);
}

static int commit(struct vm *vm, struct kvm_hypr_swap *swap)
{
	u64 start = rdtsc_ordered();
	int err = barrier_close(vm, swap, false);

	if (!err)
		activate(vm, swap);
	barrier_open(vm, swap);
	swap->commit_cycles = rdtsc_ordered() - start;
	return err;
}

static int swap_locked(struct vm *vm, struct kvm_hypr_swap *swap)
{
	int err = 0;

	swap->old_view = vm->active;
	if (swap->flags & KVM_EPT_SWAP_VCPUS)
		err = check_mask(vm, swap);
	if (!err && (swap->flags & KVM_EPT_SWAP_EXPECT))
		err = check_expected(vm, swap);
	if (!err)
		err = check_target(vm, swap->view);
	if (err)
		return err;
	/* The bytes are edited whether or not the swap happens. */
	if (swap->flags & KVM_EPT_SWAP_FLUSH)
		vm->view[swap->view]->edited++;
	err = check_quiescent(vm, swap);
	return err ? err : commit(vm, swap);
}

/**
 * swap_views() - all vCPUs, or with KVM_EPT_SWAP_VCPUS those of the mask, to a view
 * @swap: arguments checked for form; the out fields are filled
 *
 * Return: 0; after an error every vCPU is in the view that it was in.  The errors are
 * those of KVM_COMMIT_EPT_SWAP.
 */
int swap_views(struct vm *vm, struct kvm_hypr_swap *swap)
{
	int err;

	swap->pause_cycles = 0;
	swap->commit_cycles = 0;
	swap->forced = 0;
	if (!swap->timeout_ns)
		swap->timeout_ns = KVM_EPT_SWAP_TIMEOUT_DEFAULT_NS;
	err = swap_lock_within(vm, swap->timeout_ns);
	if (err) {
		swap->old_view = READ_ONCE(vm->active);
		swap->generation = READ_ONCE(vm->generation);
		if (err == -EAGAIN)
			atomic64_inc(&vm->lock_timeouts);
		return err;
	}
	err = swap_locked(vm, swap);
	swap->generation = vm->generation;
	if (err)
		count_refusal(&vm->stats, err);
	else
		count_swap(vm, swap);
	mutex_unlock(&vm->swap_lock);
	return err;
}

/*
 * The vCPUs in the view pass the barrier once, and find what to flush behind it.  One that
 * takes longer in the handler of an exit is out of the guest, and flushes on its way back.
 */
int swap_mark_edited(struct vm *vm, u32 number)
{
	struct kvm_hypr_swap in_view = {
		.flags = KVM_EPT_SWAP_VCPUS,
		.timeout_ns = KVM_EPT_SWAP_TIMEOUT_DEFAULT_NS,
	};
	struct view *view = view_find(vm, number);
	int err;
	u32 i;

	if (!view)
		return -ENOENT;
	if (mutex_lock_killable(&vm->swap_lock))
		return -EINTR;
	WRITE_ONCE(view->edited, view->edited + 1);
	for (i = 0; i < vm->vcpus; i++)
		if (vm->vcpu[i]->next == number)
			in_view.vcpu_mask |= BIT_ULL(vm->vcpu[i]->index);
	err = barrier_close(vm, &in_view, true);
	barrier_open(vm, &in_view);
	mutex_unlock(&vm->swap_lock);
	return err == -EAGAIN ? 0 : err;
}

/* ---- vCPUs come and go -------------------------------------------------- */

int swap_add(struct vm *vm, struct vcpu *vcpu)
{
	int err = 0;
	u32 i;

	if (mutex_lock_killable(&vm->swap_lock))
		return -EINTR;
	for (i = 0; i < vm->vcpus; i++)
		if (vm->vcpu[i]->index == vcpu->index)
			err = -EEXIST;
	if (!err) {
		vcpu->next = vm->active;
		vcpu->view = vm->view[vm->active];
		vm->vcpu[vm->vcpus] = vcpu;
		WRITE_ONCE(vm->vcpus, vm->vcpus + 1);
		if (vcpu->apic)
			smp_store_release(&vm->by_index[vcpu->index], vcpu);
	}
	mutex_unlock(&vm->swap_lock);
	return err;
}

void swap_remove(struct vm *vm, struct vcpu *vcpu)
{
	u32 i;

	mutex_lock(&vm->swap_lock);
	for (i = 0; vm->vcpu[i] != vcpu; i++)
		;
	WRITE_ONCE(vm->vcpus, vm->vcpus - 1);
	vm->vcpu[i] = vm->vcpu[vm->vcpus];
	WRITE_ONCE(vm->by_index[vcpu->index], NULL);
	mutex_unlock(&vm->swap_lock);
	/* Whoever sends it an interrupt has done so. */
	synchronize_rcu();
}
