/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HYPR views: their entries among the binary statistics of a VM.  Included by
 * x86.c inside the initialiser of kvm_vm_stats_desc[], hence no guard.
 */
#ifdef CONFIG_KVM_HYPR_EPT_SWAP
	STATS_DESC_COUNTER(VM, hypr.swaps),
	STATS_DESC_COUNTER(VM, hypr.forced),
	STATS_DESC_COUNTER(VM, hypr.pause_timeouts),
	STATS_DESC_COUNTER(VM, hypr.fail_no_view),
	STATS_DESC_COUNTER(VM, hypr.fail_unprepared),
	STATS_DESC_COUNTER(VM, hypr.fail_stale),
	STATS_DESC_COUNTER(VM, hypr.fail_busy),
	STATS_DESC_COUNTER(VM, hypr.fail_pause),
	STATS_DESC_COUNTER(VM, hypr.fail_hold),
	STATS_DESC_COUNTER(VM, hypr.fail_signal),
	STATS_DESC_COUNTER(VM, hypr.fail_other),
	STATS_DESC_COUNTER(VM, hypr.prepares),
	STATS_DESC_COUNTER(VM, hypr.prepare_failures),
	STATS_DESC_COUNTER(VM, hypr.discards),
	STATS_DESC_COUNTER(VM, hypr.reset_retries),
	STATS_DESC_COUNTER(VM, hypr.reset_pages),
	STATS_DESC_COUNTER(VM, hypr.reset_shared),
	STATS_DESC_COUNTER(VM, hypr.fail_lock),
	STATS_DESC_COUNTER(VM, hypr.asked),
	STATS_DESC_COUNTER(VM, hypr.asked_user),

	STATS_DESC_COUNTER(VM, hypr.pause.count),
	STATS_DESC_CUMULATIVE(VM, hypr.pause.sum, KVM_STATS_UNIT_CYCLES,
			      KVM_STATS_BASE_POW10, 0),
	STATS_DESC_INSTANT(VM, hypr.pause.min, KVM_STATS_UNIT_CYCLES,
			   KVM_STATS_BASE_POW10, 0),
	STATS_DESC_PEAK(VM, hypr.pause.max, KVM_STATS_UNIT_CYCLES,
			KVM_STATS_BASE_POW10, 0),
	STATS_DESC_LOG_HIST(VM, hypr.pause.hist, KVM_STATS_UNIT_CYCLES,
			    KVM_STATS_BASE_POW10, 0, KVM_HYPR_STATS_BUCKETS),

	STATS_DESC_COUNTER(VM, hypr.commit.count),
	STATS_DESC_CUMULATIVE(VM, hypr.commit.sum, KVM_STATS_UNIT_CYCLES,
			      KVM_STATS_BASE_POW10, 0),
	STATS_DESC_INSTANT(VM, hypr.commit.min, KVM_STATS_UNIT_CYCLES,
			   KVM_STATS_BASE_POW10, 0),
	STATS_DESC_PEAK(VM, hypr.commit.max, KVM_STATS_UNIT_CYCLES,
			KVM_STATS_BASE_POW10, 0),
	STATS_DESC_LOG_HIST(VM, hypr.commit.hist, KVM_STATS_UNIT_CYCLES,
			    KVM_STATS_BASE_POW10, 0, KVM_HYPR_STATS_BUCKETS),

	STATS_DESC_COUNTER(VM, hypr.tail.count),
	STATS_DESC_COUNTER(VM, hypr.tail.sum),
	STATS_DESC_ICOUNTER(VM, hypr.tail.min),
	STATS_DESC_PCOUNTER(VM, hypr.tail.max),
	STATS_DESC_LOG_HIST(VM, hypr.tail.hist, KVM_STATS_UNIT_NONE,
			    KVM_STATS_BASE_POW10, 0, KVM_HYPR_STATS_BUCKETS),
#endif
