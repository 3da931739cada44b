/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a swap costs, in the smallest setting: tiny guests that do nothing but
 * show in which view they are, one vCPU to a CPU, and a thread that asks.  And
 * what the same would cost without views.
 */
#ifndef BENCH_SWAP_BENCH_H
#define BENCH_SWAP_BENCH_H

#include "stats.h"

#define BENCH_MAX_VCPUS	3

/**
 * struct swap_times - all in TSC cycles
 * @seen: from the request until each vCPU was seen in the new view
 * @call: the ioctl alone
 */
struct swap_times {
	struct samples seen;
	struct samples call;
};

/* KVM without any view, in one VM with one vCPU. */
void bench_exit(unsigned int rounds, struct samples *cycles);
/* A guest that edits its page tables all the time: a round of GUEST_CHURN. */
void bench_churn(unsigned int rounds, struct samples *cycles);
void bench_round_trip(unsigned int rounds, struct samples *cycles);

/* A VM with views; every vCPU has had both roots before. */
void bench_swap_cached(int nr_vcpus, unsigned int rounds,
		       struct swap_times *times);
/* One vCPU, with @ram_bytes (2 to 16 MiB) of memory in each view. */
void bench_swap_size(unsigned long ram_bytes, unsigned int rounds, struct swap_times *times);
/* One vCPU, whose guest has kvmclock and steal time on, as Linux has. */
void bench_swap_pv(unsigned int rounds, struct swap_times *times);
/* One vCPU and @nr_views in turn: more than KVM keeps roots for. */
void bench_swap_rotation(unsigned int nr_views, unsigned int rounds,
			 struct swap_times *times);
/*
 * One vCPU, while another thread takes the memory of a third view away by
 * madvise(MADV_DONTNEED), builds the view's tables again, and so on.
 */
void bench_swap_dontneed(unsigned int rounds, struct swap_times *times);
/* Prepared views that the vCPU takes for the first time. */
void bench_swap_first(unsigned int vms, struct swap_times *times);

/*
 * Two VMs on unpatched KVM: each vCPU's thread is kicked out of the one by a
 * signal, and runs its vCPU of the other.
 */
void bench_pool(int nr_vcpus, unsigned int rounds, struct samples *seen);

#endif /* BENCH_SWAP_BENCH_H */
