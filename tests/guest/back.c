// SPDX-License-Identifier: GPL-2.0-only
/* A moment of the tiny guest: see back.h. */
#define _GNU_SOURCE
#include "back.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

static uint64_t bits[(GUEST_SHARED_GPA + GUEST_SHARED_BYTES) / 4096 / 64];

static int try_written(struct back *moment, unsigned int view)
{
	struct kvm_hypr_written arg = {
		.view = view,
		.nr_pages = moment->bytes / 4096,
		.bitmap = (uintptr_t)bits,
	};

	return try_ioctl(moment->vm->fd, KVM_HYPR_GET_WRITTEN, &arg);
}

static void moment_set(struct back *moment, unsigned int view)
{
	struct kvm_hypr_moment arg = {
		.view = view,
		.size = moment->bytes,
		.userspace_addr = (uintptr_t)moment->memory,
		.bitmap = (uintptr_t)moment->written,
	};

	OK(try_ioctl(moment->vm->fd, KVM_HYPR_SET_MOMENT, &arg));
	OK(try_written(moment, view));
}

/* What all views share is in the moment at the same place: put back over itself, it stays. */
static void memory_take(struct back *moment)
{
	struct vm *vm = moment->vm;

	CHECK(moment->memory);
	memcpy(moment->memory, vm->ram[moment->view], vm->ram_bytes);
	CHECK(mremap(vm->shared, 0, GUEST_SHARED_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
		     moment->memory + GUEST_SHARED_GPA) == moment->memory + GUEST_SHARED_GPA);
	moment_set(moment, moment->view);
}

static void state_keep(struct back *moment, struct vcpu *vcpu)
{
	static const struct kvm_msrs none;
	uint32_t kind;

	for (kind = 0; kind <= KVM_HYPR_KEPT_MOMENT; kind++) {
		struct kvm_hypr_keep keep = {
			.view = moment->view, .flags = kind, .msrs = (uintptr_t)&none,
		};

		OK(try_ioctl(vcpu->fd, KVM_HYPR_KEEP_STATE, &keep));
	}
}

/* Into the loop, of which each round is a beat. */
static void loop_enter(struct vcpu *vcpu)
{
	uint64_t beats = __atomic_load_n(&vcpu->guest->beats, __ATOMIC_SEQ_CST);

	vcpu->guest->halt = 1;
	vcpu->guest->arg[3] = 0;
	memset(vcpu->guest->result, 0, sizeof(vcpu->guest->result));
	vcpu_ask(vcpu, GUEST_REQUEST, KVM_HYPR_REQUEST_PORT, BACK_BLOCK_GPA, 0);
	/* The first ones may be of before. */
	WAIT_UNTIL(__atomic_load_n(&vcpu->guest->beats, __ATOMIC_SEQ_CST) > beats + 100);
}

void back_take(struct back *moment, struct vm *vm, unsigned int view)
{
	const struct kvm_hypr_request back = { .op = KVM_HYPR_REQUEST_BACK };
	struct kvm_hypr_requests arg = {
		.timeout_ns = SWAP_WAIT_NS, .flags = KVM_HYPR_REQUESTS_EVENTFD,
	};
	int i;

	memset(moment, 0, sizeof(*moment));
	moment->vm = vm;
	moment->view = view;
	moment->bytes = GUEST_SHARED_GPA + GUEST_SHARED_BYTES;
	moment->memory = memory_new(moment->bytes);
	moment->written = memory_new(moment->bytes / 4096 / 8);
	moment->page = memory_new(4096);
	if (try_written(moment, view) == -EOPNOTSUPP)
		skip("this CPU has no accessed and dirty flags");
	ram_touch(vm, view);
	memcpy(ram_word(vm, view, BACK_BLOCK_GPA), &back, sizeof(back));
	OK(try_prepare(vm, view));
	vm_commit(vm, view, KVM_EPT_SWAP_FORCE);
	for (i = 0; i < vm->nr_vcpus; i++) {
		CHECK_EQ(vcpu_view(&vm->vcpu[i]), view);
		loop_enter(&vm->vcpu[i]);
	}
	vcpus_stop(vm);
	memory_take(moment);
	for (i = 0; i < vm->nr_vcpus; i++)
		state_keep(moment, &vm->vcpu[i]);
	moment->event = eventfd(0, EFD_CLOEXEC);
	CHECK(moment->event >= 0);
	arg.eventfd = moment->event;
	arg.userspace_addr = (uintptr_t)moment->page;
	OK(try_ioctl(vm->fd, KVM_HYPR_SET_REQUESTS, &arg));
	moment->page->view = view;
	for (i = 0; i < vm->nr_vcpus; i++)
		vcpu_start(&vm->vcpu[i]);
}

void back_spare(struct back *moment, unsigned int view)
{
	struct vm *vm = moment->vm;
	struct kvm_hypr_copy copy = {
		.view = view,
		.from_view = moment->view,
		.from_flags = KVM_HYPR_KEPT_MOMENT,
	};

	ram_touch(vm, view);
	memcpy(vm->ram[view], moment->memory, vm->ram_bytes);
	OK(try_prepare(vm, view));
	moment_set(moment, view);
	for (copy.flags = 0; copy.flags <= KVM_HYPR_KEPT_MOMENT; copy.flags++)
		OK(try_ioctl(vm->fd, KVM_HYPR_COPY_STATE, &copy));
}

void back_mend(struct back *moment, unsigned int view)
{
	uint64_t page;

	OK(try_written(moment, view));
	for (page = 0; page < moment->vm->ram_bytes / 4096; page++) {
		if (bits[page / 64] >> page % 64 & 1)
			memcpy(moment->vm->ram[view] + page * 4096, moment->memory + page * 4096,
			       4096);
	}
}

void back_check(const struct back *moment)
{
	uint64_t at;

	for (at = 0; at < moment->vm->ram_bytes; at += 4096) {
		if (memcmp(moment->vm->ram[moment->page->view] + at, moment->memory + at, 4096))
			FAIL("page %llu differs from the moment", (unsigned long long)at / 4096);
	}
}

void back_request(struct vcpu *vcpu, uint64_t times, uint64_t plant)
{
	vcpu->guest->arg[2] = plant;
	__atomic_store_n(&vcpu->guest->arg[3], times, __ATOMIC_SEQ_CST);
}

uint64_t back_resets(const struct back *moment)
{
	return __atomic_load_n(&moment->page->resets, __ATOMIC_SEQ_CST);
}
