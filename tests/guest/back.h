/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A moment of the tiny guest, to which the kernel can put it back: in a view, in the loop of
 * GUEST_REQUEST.  The guest may then ask for it itself.
 */
#ifndef TESTS_GUEST_BACK_H
#define TESTS_GUEST_BACK_H

#include "harness.h"

/* Where the guest's request to be put back is, in the view's memory. */
#define BACK_BLOCK_GPA	0x1f0000ull

/**
 * struct back - a view of a VM, and its moment
 * @view: it
 * @memory: its bytes, of all that the view has
 * @bytes: of @memory
 * @written: pages that the test has written: a bitmap for the kernel
 * @page: where the kernel serves the guest's requests: @page->view
 * @event: an eventfd that it signals
 */
struct back {
	struct vm *vm;
	unsigned int view;
	uint8_t *memory;
	uint64_t bytes;
	uint64_t *written;
	struct kvm_hypr_requests_page *page;
	int event;
};

/**
 * back_take() - @vm, whose vCPUs run in its boot view, goes to @view, and that is its moment
 *
 * Each vCPU is in the loop of GUEST_REQUEST, asks for nothing, and will ask to be put back by a
 * block at BACK_BLOCK_GPA.  The kernel serves that.  Skips the test without dirty flags.
 */
void back_take(struct back *moment, struct vm *vm, unsigned int view);

/** back_spare() - make @view another one that is at the moment, ready to go on in */
void back_spare(struct back *moment, unsigned int view);

/** back_mend() - put a view back in which no vCPU is */
void back_mend(struct back *moment, unsigned int view);

/** back_check() - is the memory of the view that requests are served in that of the moment? */
void back_check(const struct back *moment);

/** back_request() - have a vCPU ask so often; @plant: see GUEST_REQUEST */
void back_request(struct vcpu *vcpu, uint64_t times, uint64_t plant);

/** back_resets() - of the kernel, so far */
uint64_t back_resets(const struct back *moment);

#endif /* TESTS_GUEST_BACK_H */
