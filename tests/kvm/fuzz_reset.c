// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctl fuzzer: moments, written pages, and a guest that asks to be put back to its moment.
 * Swaps that reset are do_swap()'s.
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#define BYTES	(GUEST_SHARED_GPA + GUEST_SHARED_BYTES)
#define PAGES	(BYTES / 4096)
/* Behind what the guest and its vCPUs use of the shared memory. */
#define BLOCK	(GUEST_SHARED_BYTES - 32)

/* Three of them: what user space says it wrote, what is zero, and what is reported. */
static uint64_t bits[3][PAGES / 64];

/* All that a reset needs but states, if nothing comes between. */
static void make_ready(struct fuzz *fuzz)
{
	static const uint32_t views[FUZZ_VIEWS] = { 0, A, B };
	struct kvm_hypr_requests requests = {
		.userspace_addr = (uintptr_t)fuzz->requests, .timeout_ns = 3000000,
	};
	unsigned int i;

	for (i = 0; i < FUZZ_VIEWS; i++) {
		struct kvm_hypr_moment moment = {
			.view = views[i], .size = BYTES, .userspace_addr = (uintptr_t)fuzz->moment,
		};
		struct kvm_hypr_written written = {
			.view = views[i], .nr_pages = PAGES, .bitmap = (uintptr_t)bits[2],
		};

		check_errno("set moment", try_ioctl(fuzz->vm->fd, KVM_HYPR_SET_MOMENT, &moment));
		check_errno("get written", try_ioctl(fuzz->vm->fd, KVM_HYPR_GET_WRITTEN, &written));
	}
	check_errno("set requests", try_ioctl(fuzz->vm->fd, KVM_HYPR_SET_REQUESTS, &requests));
	if (fuzz->states)
		fuzz_keep_all(fuzz);
	/* In the boot view nobody is served. */
	check_errno("commit", try_commit(fuzz->vm, A, KVM_EPT_SWAP_FORCE));
}

/* All memory that the views share is in the moment at the same place, and stays as it is. */
void fuzz_reset_setup(struct fuzz *fuzz)
{
	static const struct kvm_hypr_request back = { .op = KVM_HYPR_REQUEST_BACK };
	uint8_t *shared = fuzz->vm->shared;

	fuzz->moment = memory_new(BYTES);
	fuzz->requests = memory_new(4096);
	fuzz->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	CHECK(fuzz->moment && fuzz->event >= 0);
	memcpy(fuzz->moment, fuzz->vm->ram[0], RAM_BYTES);
	CHECK(mremap(shared, 0, GUEST_SHARED_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		     fuzz->moment + GUEST_SHARED_GPA) == fuzz->moment + GUEST_SHARED_GPA);
	memcpy(shared + BLOCK, &back, sizeof(back));
	if (fuzz->has_views && fuzz->kind.resets)
		make_ready(fuzz);
}

static void set_moment(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_moment arg = {
		.view = fuzz_any_view(r),
		.flags = next_random(r) & KVM_HYPR_MOMENT_MAP,
		.size = PICK(r, BYTES, BYTES, BYTES, BYTES, BYTES, RAM_BYTES, 4096, 0),
		.userspace_addr = (uintptr_t)(rarely(r, 8) ?
			fuzz->pool + (next_random(r) % POOL_BYTES & ~0xfffull) : fuzz->moment),
		.bitmap = rarely(r, 2) ? 0 : (uintptr_t)bits[0],
		.zeros = rarely(r, 2) ? 0 : (uintptr_t)bits[1],
	};

	bits[next_random(r) % 2][next_random(r) % (RAM_BYTES / 4096 / 64)] =
		next_random(r) & next_random(r);
	fuzz_spoil(r, &arg, sizeof(arg));
	check_errno("set moment", try_ioctl(fuzz->vm->fd, KVM_HYPR_SET_MOMENT,
					    fuzz_any_pointer(fuzz, r, &arg)));
}

static void get_written(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_written arg = {
		.view = fuzz_any_view(r),
		.nr_pages = rarely(r, 4) ? next_random(r) % (PAGES + 1) : PAGES,
		.bitmap = (uintptr_t)bits[2],
	};

	fuzz_spoil(r, &arg, sizeof(arg));
	/* Not more than there is room for. */
	if (arg.nr_pages > PAGES)
		arg.nr_pages = ~0ull;
	check_errno("get written", try_ioctl(fuzz->vm->fd, KVM_HYPR_GET_WRITTEN,
					     fuzz_any_pointer(fuzz, r, &arg)));
}

static void set_requests(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_requests arg = {
		.userspace_addr = (uintptr_t)fuzz->requests,
		.timeout_ns = PICK(r, 1, 1000, 100000, 3000000),
		.flags = KVM_HYPR_REQUESTS_EVENTFD,
		.eventfd = rarely(r, 8) ? (int)next_random(r) % 64 : fuzz->event,
	};

	fuzz_spoil(r, &arg, sizeof(arg));
	if (arg.timeout_ns > 10000000)
		arg.timeout_ns = ~0ull;
	check_errno("set requests", try_ioctl(fuzz->vm->fd, KVM_HYPR_SET_REQUESTS,
					      fuzz_any_pointer(fuzz, r, &arg)));
}

/* What the kernel reads there, and what it writes. */
static void scribble(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_requests_page *page = fuzz->requests;
	uint32_t *words = (uint32_t *)page;

	__atomic_store_n(&page->view, PICK(r, 0, A, A, A, A, A, A, B, ~0u), __ATOMIC_RELAXED);
	__atomic_store_n(&page->spare, rarely(r, 3) ? fuzz_any_view(r) : PICK(r, 0, A, B),
			 __ATOMIC_RELAXED);
	if (rarely(r, 8))
		__atomic_store_n(&words[next_random(r) % (sizeof(*page) / 4)], next_random(r),
				 __ATOMIC_RELAXED);
}

/* In a loop, which the next command ends. */
static void ask_back(struct fuzz *fuzz, uint64_t *r)
{
	struct guest_cpu *guest = (struct guest_cpu *)(fuzz->vm->shared +
						       GUEST_CPU(next_random(r) % 2));

	guest->halt = 1;
	guest->arg[0] = rarely(r, 4) ? KVM_HYPR_REQUEST_PORT_VIRTUAL : KVM_HYPR_REQUEST_PORT;
	guest->arg[1] = rarely(r, 10) ? next_random(r) : GUEST_SHARED_GPA + BLOCK;
	guest->arg[2] = LATE_GPA + (next_random(r) % LATE_BYTES & ~7ull);
	guest->arg[3] = 1 + next_random(r) % 4;
	guest->cmd = GUEST_REQUEST;
	__atomic_fetch_add(&guest->cmd_seq, 1, __ATOMIC_SEQ_CST);
}

void fuzz_reset(struct fuzz *fuzz, uint64_t *r)
{
	switch (next_random(r) % 12) {
	case 0: set_moment(fuzz, r); break;
	case 1: make_ready(fuzz); break;
	case 2: get_written(fuzz, r); break;
	case 3: set_requests(fuzz, r); break;
	case 4 ... 7: scribble(fuzz, r); break;
	default: ask_back(fuzz, r);
	}
}

void fuzz_reset_count(struct fuzz *fuzz)
{
	struct kvm_hypr_stats stats;

	if (try_ioctl(fuzz->vm->fd, KVM_HYPR_GET_STATS, &stats))
		return;
	atomic_fetch_add(&fuzz->met->asked, stats.asked + stats.asked_user);
	atomic_fetch_add(&fuzz->met->asked_back, stats.asked);
}
