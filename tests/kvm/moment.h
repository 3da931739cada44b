/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * View A of a VM with a moment that the kernel knows (KVM_HYPR_SET_MOMENT), and resets of
 * it.  B is another view.
 */
#ifndef TESTS_KVM_MOMENT_H
#define TESTS_KVM_MOMENT_H

#include "harness.h"

#define A	KVM_HYPR_VIEW_FIRST
#define B	(KVM_HYPR_VIEW_FIRST + 1)

#define RAM_PAGES	(RAM_BYTES / 4096)
#define ALL_BYTES	(GUEST_SHARED_GPA + GUEST_SHARED_BYTES)
#define ALL_PAGES	(ALL_BYTES / 4096)
#define FIRST_PAGE	(GUEST_FREE_GPA / 4096)
#define LAST_PAGE	(GUEST_ID2_GPA / 4096)

#define RESET		(KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_RESET)
#define RESET_ALL	(RESET | KVM_EPT_SWAP_STATE | KVM_EPT_SWAP_MOMENT)

extern uint8_t *moment;			/* ALL_BYTES, once there is a VM */
extern uint64_t edited[ALL_PAGES / 64];	/* what the test says it has written itself */

int try_moment(struct vm *vm, unsigned int view, void *at, uint64_t size, void *bits);
int try_written(struct vm *vm, uint64_t *bits);
void forget_written(struct vm *vm);
/* The guest in A, whose moment the kernel knows, and nothing written since. */
struct vm *vm_reset(int nr_vcpus);
void check_is_moment(struct vm *vm);
/* Return: pages that were put back, without those that all views share. */
unsigned int reset(struct vm *vm, uint32_t flags);
void write_page(struct vm *vm, unsigned int page);
/* KVM drops SPTEs of A. */
void zap(struct vm *vm, unsigned int page, unsigned int pages);

#endif
