/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a reset costs with KVM alone: the pages that the dirty log names are copied back
 * and the registers set; or a new VM is made on the memory.  And the first of the two
 * with views, by the pages that KVM_HYPR_GET_WRITTEN names.
 */
#ifndef BENCH_RESET_BENCH_H
#define BENCH_RESET_BENCH_H

#include <stdbool.h>

#include "stats.h"

#define BENCH_MAX_DIRTY	1024

/**
 * bench_dirty_reset() - the tiny guest writes @pages, and is put back
 * @views: the VM has views, and the pages come from KVM_HYPR_GET_WRITTEN
 *
 * One vCPU, whose thread is out of KVM_RUN: no pause is in the figure.  The
 * pages are compared with what they were after each reset, and all memory after the last:
 * that is not in the figure either.
 */
void bench_dirty_reset(unsigned int pages, bool views, unsigned int rounds,
		       struct samples *cycles);

/**
 * bench_requested_reset() - the guest asks to be put back, and the kernel does it
 * @nr_vcpus: of which one asks
 * @spare: it goes on in another view each time, which is put back in between
 * @seen: from the asking, a few instructions before its OUT, until the guest goes on in its
 *	moment, both seen by another CPU; the guest has written one page
 * @kernel: of that what the kernel counts: from the OUT until the vCPU goes on
 */
void bench_requested_reset(int nr_vcpus, bool spare, unsigned int rounds, struct samples *seen,
			   struct samples *kernel);

#endif /* BENCH_RESET_BENCH_H */
