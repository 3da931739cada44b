// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctl fuzzer: states of vCPUs and boards that are kept for views, and read again.
 * Swaps that move them are do_swap()'s.
 */
#include "fuzz.h"

#include <errno.h>
#include <sys/ioctl.h>

#define RFLAGS_IF	(1ull << 9)
#define NR_MSRS		4

struct msr_list {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[NR_MSRS];
};

static const struct msr_list plain_list = {
	.head.nmsrs = 3,
	.entry = {
		{ .index = 0x277 },		/* PAT */
		{ .index = 0xc0000082 },	/* LSTAR */
		{ .index = 0xc0000102 },	/* KERNEL_GS_BASE */
		{ .index = 0x10 },		/* the TSC is in no list */
	},
};

/* The lists of one vCPU's states must be alike, so this is mostly the same one. */
static struct msr_list any_list(uint64_t *r)
{
	struct msr_list list = plain_list;

	if (rarely(r, 20))
		list.head.nmsrs = PICK(r, 0, 1, 2, 4, KVM_HYPR_KEPT_MAX_MSRS + 1, ~0u);
	fuzz_spoil(r, &list, sizeof(list));
	return list;
}

/*
 * Of a vCPU that never ran, interrupts are off for ever: what goes on with such a state
 * runs through zeroes, and the emulator's CPU hears of nothing any more.
 */
static bool has_interrupts(struct fuzz_vcpu *vcpu)
{
	struct kvm_regs regs;

	return !try_ioctl(vcpu->fd, KVM_GET_REGS, &regs) && (regs.rflags & RFLAGS_IF);
}

/* What it has now, if it is not running; where resets want it, when it is not. */
static void keep(struct fuzz *fuzz, struct fuzz_vcpu *vcpu, void *arg)
{
	int ret;

	if (fuzz->kind.resets)
		pthread_mutex_lock(&vcpu->running);
	else if (pthread_mutex_trylock(&vcpu->running))
		return;
	if (has_interrupts(vcpu)) {
		ret = try_ioctl(vcpu->fd, KVM_HYPR_KEEP_STATE, arg);
		check_errno("keep state", ret);
		atomic_fetch_add(&fuzz->met->kept, !ret);
	}
	pthread_mutex_unlock(&vcpu->running);
}

static void keep_state(struct fuzz *fuzz, uint64_t *r)
{
	struct fuzz_vcpu *vcpu = &fuzz->vcpu[next_random(r) % 2];
	struct msr_list list = any_list(r);
	struct kvm_hypr_keep arg = {
		.view = fuzz_any_view(r),
		.flags = next_random(r) & KVM_HYPR_KEPT_MOMENT,
		.host_tsc = rarely(r, 4) ? next_random(r) : 0,
		.msrs = (uintptr_t)fuzz_any_pointer(fuzz, r, &list),
	};

	fuzz_spoil(r, &arg, sizeof(arg));
	keep(fuzz, vcpu, fuzz_any_pointer(fuzz, r, &arg));
}

/* An address to fill, or none. */
static uint64_t any_room(struct fuzz *fuzz, uint64_t *r, void *room)
{
	return rarely(r, 3) ? 0 : (uintptr_t)fuzz_any_pointer(fuzz, r, room);
}

static void get_state(struct fuzz *fuzz, uint64_t *r)
{
	uint64_t xsave[STATE_BYTES / 8];
	struct msr_list list = any_list(r);
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_sregs sregs;
	struct kvm_xcrs xcrs;
	struct kvm_regs regs;
	struct kvm_hypr_state arg = {
		.view = fuzz_any_view(r),
		.flags = next_random(r) & KVM_HYPR_KEPT_MOMENT,
		.vcpu = PICK(r, 0, 0, 1, 1, 2, 77),
		.regs = any_room(fuzz, r, &regs),
		.sregs = any_room(fuzz, r, &sregs),
		.xcrs = any_room(fuzz, r, &xcrs),
		.debugregs = any_room(fuzz, r, &debugregs),
		.lapic = any_room(fuzz, r, &lapic),
		.msrs = any_room(fuzz, r, &list),
		.xsave = any_room(fuzz, r, xsave),
	};
	int bytes = ioctl(fuzz->vm->fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

	if (arg.xsave)
		arg.xsave_bytes = bytes;
	if (rarely(r, 8))
		arg.xsave_bytes = next_random(r) % sizeof(xsave);
	fuzz_spoil(r, &arg, sizeof(arg));
	check_errno("get state", try_ioctl(fuzz->vm->fd, KVM_HYPR_GET_STATE,
					   fuzz_any_pointer(fuzz, r, &arg)));
}

static void keep_board(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_keep_board arg = {
		.view = fuzz_any_view(r),
		.flags = next_random(r) & KVM_HYPR_KEPT_MOMENT,
	};
	struct kvm_pit_config pit = { 0 };

	if (rarely(r, 8))
		try_ioctl(fuzz->vm->fd, KVM_CREATE_PIT2, &pit);
	fuzz_spoil(r, &arg, sizeof(arg));
	check_errno("keep board", try_ioctl(fuzz->vm->fd, KVM_HYPR_KEEP_BOARD,
					    fuzz_any_pointer(fuzz, r, &arg)));
}

static void copy_state(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_hypr_copy arg = {
		.view = fuzz_any_view(r),
		.flags = next_random(r) & KVM_HYPR_KEPT_MOMENT,
		.from_view = fuzz_any_view(r),
		.from_flags = next_random(r) & KVM_HYPR_KEPT_MOMENT,
	};

	fuzz_spoil(r, &arg, sizeof(arg));
	check_errno("copy state", try_ioctl(fuzz->vm->fd, KVM_HYPR_COPY_STATE,
					    fuzz_any_pointer(fuzz, r, &arg)));
}

static void get_board(struct fuzz *fuzz, uint64_t *r)
{
	struct kvm_ioapic_state ioapic;
	struct kvm_pic_state pic[2];
	struct kvm_pit_state2 pit;
	struct kvm_hypr_board arg = {
		.view = fuzz_any_view(r),
		.flags = next_random(r) & KVM_HYPR_KEPT_MOMENT,
		.pic_master = any_room(fuzz, r, &pic[0]),
		.pic_slave = any_room(fuzz, r, &pic[1]),
		.ioapic = any_room(fuzz, r, &ioapic),
		.pit = any_room(fuzz, r, &pit),
	};

	fuzz_spoil(r, &arg, sizeof(arg));
	check_errno("get board", try_ioctl(fuzz->vm->fd, KVM_HYPR_GET_BOARD,
					   fuzz_any_pointer(fuzz, r, &arg)));
}

/* All that a swap with states needs, if nothing comes between. */
void fuzz_keep_all(struct fuzz *fuzz)
{
	static const uint32_t views[FUZZ_VIEWS] = { 0, A, B };
	struct msr_list list = plain_list;
	unsigned int i, v;

	for (i = 0; i < 2 * FUZZ_VIEWS; i++) {
		uint32_t kind = i % 2 ? KVM_HYPR_KEPT_MOMENT : 0;
		struct kvm_hypr_keep arg = {
			.view = views[i / 2], .flags = kind, .msrs = (uintptr_t)&list,
		};
		struct kvm_hypr_keep_board board = { .view = views[i / 2], .flags = kind };

		for (v = 0; v < 2; v++)
			keep(fuzz, &fuzz->vcpu[v], &arg);
		check_errno("keep board", try_ioctl(fuzz->vm->fd, KVM_HYPR_KEEP_BOARD, &board));
	}
}

void fuzz_state(struct fuzz *fuzz, uint64_t *r)
{
	switch (next_random(r) % 15) {
	case 8 ... 11: fuzz_keep_all(fuzz); break;
	case 12 ... 14: copy_state(fuzz, r); break;
	case 0 ... 3: keep_state(fuzz, r); break;
	case 4: get_state(fuzz, r); break;
	case 5 ... 6: keep_board(fuzz, r); break;
	default: get_board(fuzz, r);
	}
}
