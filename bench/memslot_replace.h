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

struct samples;

/**
 * memslot_new_vm_measure() - a new VM with one vCPU over a file that is mapped privately
 * @first: out: cycles from the mmap() until the guest's first instruction, an OUT, was in
 *	user space
 *
 * No memory is read before and no table built.  The file and /dev/kvm are open.
 * Return: as memslot_replace_measure().
 */
int memslot_new_vm_measure(uint64_t mem_bytes, unsigned int rounds, struct samples *first);

#endif /* BENCH_MEMSLOT_REPLACE_H */
