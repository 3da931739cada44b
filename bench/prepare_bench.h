/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What building the tables of memory ahead of time costs, by what the host has of the
 * memory; and KVM's own way, KVM_PRE_FAULT_MEMORY.
 */
#ifndef BENCH_PREPARE_BENCH_H
#define BENCH_PREPARE_BENCH_H

#include "stats.h"

enum prepare_memory {
	PREPARE_SHARED,		/* a private mapping of a file, all of it mapped, none written */
	PREPARE_WRITTEN,	/* plain memory, all of it written */
	PREPARE_COLD,		/* as the first, but nothing is mapped yet */
	PREPARE_HOLES,		/* as that, and the file is one hole */
	PREPARE_EMPTY,		/* plain memory that nobody has touched */
	PREPARE_HUGE,		/* plain memory of 2 MiB pages, written */
};

/**
 * bench_prepare() - KVM_PREPARE_EPT_SWAP of 16 MiB
 * @cycles: for a page of 4 KiB, with PREPARE_HUGE for one of 2 MiB; none where the host
 *	has no pages of 2 MiB
 */
void bench_prepare(enum prepare_memory kind, unsigned int rounds, struct samples *cycles);

#endif /* BENCH_PREPARE_BENCH_H */
