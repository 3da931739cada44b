// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: statistics of a VM, the tracepoints, and the switch of the log.
 *
 * The figures are in kvm->stat, where KVM's binary statistics read them.  A swap
 * writes them under kvm_hypr.lock, after it has released the vCPUs.  A swap that
 * did not get the lock is counted without it.
 */
#include <linux/module.h>

#include "vmx_ept_swap.h"

#define CREATE_TRACE_POINTS
#include "ept_trace.h"

bool ept_swap_debug;
module_param(ept_swap_debug, bool, 0644);
MODULE_PARM_DESC(ept_swap_debug, "Log HYPR view operations (EPT_SWAP lines)");

static void hypr_dist_add(struct kvm_hypr_dist *dist, u64 value)
{
	if (!dist->count++ || value < dist->min)
		dist->min = value;
	if (value > dist->max)
		dist->max = value;
	dist->sum += value;
	KVM_STATS_LOG_HIST_UPDATE(dist->hist, value);
}

static void hypr_stat_failure(struct kvm_hypr_vm_stat *stat,
			      const struct kvm_hypr_swap *swap, int r)
{
	switch (r) {
	case -ENOENT:
		stat->fail_no_view++;
		break;
	case -ENODATA:
		stat->fail_unprepared++;
		break;
	case -ESTALE:
		stat->fail_stale++;
		break;
	case -EBUSY:
		stat->fail_busy++;
		break;
	case -EAGAIN:
		/* Only a swap that came to the barrier has measured it. */
		if (swap->commit_cycles)
			stat->fail_hold++;
		else
			stat->fail_pause++;
		break;
	case -EINTR:
		stat->fail_signal++;
		break;
	default:
		stat->fail_other++;
	}
}

/**
 * hypr_stat_swap() - count a swap that happened, or that did not
 * @kvm: the VM
 * @swap: its out fields are filled
 * @r: 0 or the error
 *
 * Context: kvm_hypr.lock held, no vCPU held.
 */
void hypr_stat_swap(struct kvm *kvm, const struct kvm_hypr_swap *swap, int r)
{
	struct kvm_hypr_vm_stat *stat = &kvm->stat.hypr;
	struct kvm_hypr *h = kvm->arch.hypr.vm;

	lockdep_assert_held(&h->lock);

	/* It begins again, and is counted then. */
	if (r == -EFAULT) {
		stat->reset_retries++;
		return;
	}
	if (r) {
		hypr_stat_failure(stat, swap, r);
		return;
	}

	/* No tail ends at the first swap. */
	if (stat->swaps++)
		hypr_dist_add(&stat->tail, h->faults - h->faults_before);
	h->faults_before = h->faults;

	if (swap->flags & KVM_EPT_SWAP_RESET) {
		stat->reset_pages += swap->pages;
		stat->reset_shared += atomic_read(&h->share.helped);
	}
	hypr_dist_add(&stat->commit, swap->commit_cycles);
	stat->forced += swap->forced;
	if (!(swap->flags & KVM_EPT_SWAP_PAUSE))
		return;
	if (swap->forced)
		stat->pause_timeouts++;
	else
		hypr_dist_add(&stat->pause, swap->pause_cycles);
}

/**
 * hypr_stat_lock_timeout() - count a swap that did not get a lock in time
 * @kvm: the VM
 *
 * Context: any; kvm_hypr.lock may be the lock that the swap did not get.
 */
void hypr_stat_lock_timeout(struct kvm *kvm)
{
	atomic64_inc(&kvm->stat.hypr.fail_lock);
}

/**
 * hypr_stat_prepare() - count a build of tables
 * @kvm: the VM
 * @r: 0 or the error
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_stat_prepare(struct kvm *kvm, int r)
{
	lockdep_assert_held(&kvm->arch.hypr.vm->lock);

	if (r)
		kvm->stat.hypr.prepare_failures++;
	else
		kvm->stat.hypr.prepares++;
}

/**
 * hypr_stats_get() - KVM_HYPR_GET_STATS
 * @kvm: the VM
 * @stats: zeroed; filled
 *
 * Context: process context.  Takes kvm_hypr.lock, so that no swap is half counted.
 * Return: 0; -EINTR a fatal signal.
 */
int hypr_stats_get(struct kvm *kvm, struct kvm_hypr_stats *stats)
{
	const struct kvm_hypr_vm_stat *stat = &kvm->stat.hypr;
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 faults = 0;

	if (mutex_lock_killable(&h->lock))
		return -EINTR;
	stats->swaps = stat->swaps;
	stats->forced = stat->forced;
	stats->pause_timeouts = stat->pause_timeouts;
	stats->fail_no_view = stat->fail_no_view;
	stats->fail_unprepared = stat->fail_unprepared;
	stats->fail_stale = stat->fail_stale;
	stats->fail_busy = stat->fail_busy;
	stats->fail_pause = stat->fail_pause;
	stats->fail_hold = stat->fail_hold;
	stats->fail_signal = stat->fail_signal;
	stats->fail_other = stat->fail_other;
	stats->fail_lock = atomic64_read(&stat->fail_lock);
	stats->asked = stat->asked;
	stats->asked_user = atomic64_read(&stat->asked_user);
	stats->prepares = stat->prepares;
	stats->prepare_failures = stat->prepare_failures;
	stats->discards = stat->discards;
	stats->pause = stat->pause;
	stats->commit = stat->commit;
	stats->tail = stat->tail;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		stats->flushes += READ_ONCE(vcpu->arch.hypr.flushes);
		faults += READ_ONCE(vcpu->stat.pf_taken);
	}
	if (stat->swaps)
		stats->tail_open = faults - h->faults_before;
	mutex_unlock(&h->lock);
	return 0;
}
