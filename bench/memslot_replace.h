/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What an unpatched KVM offers for exchanging a VM's memory: delete the memory
 * slot, add it again with other memory, and fault every page in once more.
 */
#ifndef BENCH_MEMSLOT_REPLACE_H
#define BENCH_MEMSLOT_REPLACE_H

#include <stdint.h>

/**
 * struct memslot_replace - medians over the rounds, in TSC cycles
 * @replace: deleting the slot and adding it again
 * @touch: until the guest had read a word of every page
 * @total: of both in one round
 */
struct memslot_replace {
	uint64_t replace;
	uint64_t touch;
	uint64_t total;
};

/**
 * memslot_replace_measure() - in a VM of its own, with one vCPU
 * @mem_bytes: size of the slot, a multiple of 4096
 * @rounds: measured rounds, after one to warm up
 *
 * Return: 0 or -errno; -EIO when the guest did something else than it should,
 * or read other memory than that of the new slot.
 */
int memslot_replace_measure(uint64_t mem_bytes, unsigned int rounds,
			    struct memslot_replace *result);

#endif /* BENCH_MEMSLOT_REPLACE_H */
