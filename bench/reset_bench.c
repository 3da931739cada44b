// SPDX-License-Identifier: GPL-2.0-only
/* Resets with KVM alone, and with views: see reset_bench.h. */
#include "reset_bench.h"

#include <string.h>

#include "bench.h"
#include "tests/guest/harness.h"
#include "tests/guest/back.h"

#define MEM_BYTES	(16ul << 20)
#define PAGE_BYTES	4096ul
#define DIRTY_GPA	0x200000ul	/* where the guest writes */
#define WARM_UP		4
/* The slot of the view's own memory ends before the control page. */
#define SLOT_PAGES	(HYPR_CONTROL_GPA / PAGE_BYTES)
/* All that a view has: KVM_HYPR_GET_WRITTEN wants room for them. */
#define ALL_PAGES	((GUEST_SHARED_GPA + GUEST_SHARED_BYTES) / PAGE_BYTES)
#define WORDS		(ALL_PAGES / 64)

struct copy {
	uint8_t *ram;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

/* Names the pages that were written since the last call, and forgets them. */
static void written_take(struct vm *vm, bool views, uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = SLOT_RAM, .dirty_bitmap = bitmap };
	struct kvm_hypr_written written = {
		.view = KVM_HYPR_VIEW_BOOT,
		.nr_pages = ALL_PAGES,
		.bitmap = (uintptr_t)bitmap,
	};

	if (views)
		OK(try_ioctl(vm->fd, KVM_HYPR_GET_WRITTEN, &written));
	else
		OK(try_ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
}

/* All of a reset. */
static uint64_t put_back(struct vm *vm, bool views, const struct copy *moment,
			 uint64_t *bitmap)
{
	struct vcpu *vcpu = &vm->vcpu[0];
	uint64_t start = bench_tsc(), word, page, i;

	written_take(vm, views, bitmap);
	for (i = 0; i < WORDS; i++) {
		for (word = bitmap[i]; word; word &= word - 1) {
			page = i * 64 + (uint64_t)__builtin_ctzll(word);
			if (page >= SLOT_PAGES)
				continue;
			memcpy(vm->ram[0] + page * PAGE_BYTES, moment->ram + page * PAGE_BYTES,
			       PAGE_BYTES);
		}
	}
	OK(try_ioctl(vcpu->fd, KVM_SET_SREGS, (void *)&moment->sregs));
	OK(try_ioctl(vcpu->fd, KVM_SET_REGS, (void *)&moment->regs));
	return bench_tsc() - start;
}

static struct vm *vm_16mib(bool views)
{
	struct vm *vm = vm_new_plain();

	vm->ram_bytes = MEM_BYTES;
	if (views)
		OK(try_enable_views(vm));
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	ram_touch(vm, KVM_HYPR_VIEW_BOOT);
	vm_vcpu_add(vm);
	return vm;
}

static void copy_take(struct vm *vm, bool views, struct copy *moment, uint64_t *bitmap)
{
	struct vcpu *vcpu = &vm->vcpu[0];

	vcpu_start(vcpu);
	vcpu_stop(vcpu);
	if (!views)
		OK(try_set_slot(vm, KVM_HYPR_VIEW_BOOT, SLOT_RAM, KVM_MEM_LOG_DIRTY_PAGES, 0,
				HYPR_CONTROL_GPA, vm->ram[0]));
	written_take(vm, views, bitmap);
	moment->ram = memory_new(MEM_BYTES);
	memcpy(moment->ram, vm->ram[0], MEM_BYTES);
	OK(try_ioctl(vcpu->fd, KVM_GET_REGS, &moment->regs));
	OK(try_ioctl(vcpu->fd, KVM_GET_SREGS, &moment->sregs));
}

void bench_dirty_reset(unsigned int pages, bool views, unsigned int rounds,
		       struct samples *cycles)
{
	static uint64_t bitmap[WORDS];
	struct vm *vm = vm_16mib(views);
	struct copy moment;
	unsigned int i;
	uint64_t took;

	copy_take(vm, views, &moment, bitmap);
	for (i = 0; i < WARM_UP + rounds; i++) {
		vcpu_start(&vm->vcpu[0]);
		vcpu_do(&vm->vcpu[0], GUEST_FILL, DIRTY_GPA, DIRTY_GPA + pages * PAGE_BYTES, i + 1);
		vcpu_stop(&vm->vcpu[0]);
		CHECK(memcmp(vm->ram[0] + DIRTY_GPA, moment.ram + DIRTY_GPA, pages * PAGE_BYTES));
		took = put_back(vm, views, &moment, bitmap);
		CHECK(!memcmp(vm->ram[0] + DIRTY_GPA, moment.ram + DIRTY_GPA, pages * PAGE_BYTES));
		if (i >= WARM_UP)
			OK(samples_add(cycles, took));
	}
	CHECK(!memcmp(vm->ram[0], moment.ram, HYPR_CONTROL_GPA));
	vm_close(vm);
}

/* ---- asked for by the guest -------------------------------------------------- */

#define VIEW		KVM_HYPR_VIEW_FIRST
#define SPARE		(KVM_HYPR_VIEW_FIRST + 1)
#define PLANT		(GUEST_FREE_GPA + 8)

/* Without a pause: on the emulator that would be time for others. */
static void wait_other(const uint64_t *word, uint64_t value)
{
	while (__atomic_load_n(word, __ATOMIC_RELAXED) == value)
		;
}

/* The view that the guest is not in is put back, and the kernel may go on there. */
static void spare_offer(struct back *moment)
{
	uint32_t spare = moment->page->view == VIEW ? SPARE : VIEW;

	back_mend(moment, spare);
	__atomic_store_n(&moment->page->spare, spare, __ATOMIC_SEQ_CST);
}

static void requested_once(struct back *moment, bool spare, struct samples *seen,
			   struct samples *kernel)
{
	struct guest_cpu *guest = moment->vm->vcpu[0].guest;
	uint64_t asked = guest->result[0], cycles = moment->page->cycles, start, beats;

	if (spare)
		spare_offer(moment);
	back_request(&moment->vm->vcpu[0], 1, PLANT);
	wait_other(&guest->result[0], asked);
	start = bench_tsc();
	/* The beat of this round of its loop was before. */
	beats = __atomic_load_n(&guest->beats, __ATOMIC_RELAXED);
	wait_other(&guest->beats, beats);
	if (seen)
		OK(samples_add(seen, bench_tsc() - start));
	wait_other((uint64_t *)&moment->page->cycles, cycles);
	if (kernel)
		OK(samples_add(kernel, moment->page->cycles - cycles));
}

void bench_requested_reset(int nr_vcpus, bool spare, unsigned int rounds, struct samples *seen,
			   struct samples *kernel)
{
	struct vm *vm = vm_new_plain();
	struct back moment;
	unsigned int i;

	OK(try_enable_views(vm));
	vm_views_add(vm, 2);
	vcpus_start(vm, nr_vcpus);
	back_take(&moment, vm, VIEW);
	if (spare)
		back_spare(&moment, SPARE);
	for (i = 0; i < WARM_UP + rounds; i++)
		requested_once(&moment, spare, i < WARM_UP ? NULL : seen,
			       i < WARM_UP ? NULL : kernel);
	CHECK_EQ(back_resets(&moment), WARM_UP + rounds);
	CHECK_EQ(moment.page->spares, spare ? WARM_UP + rounds : 0);
	CHECK_EQ(vm->vcpu[0].guest->result[1], 0);
	CHECK_EQ(vm->vcpu[0].guest->result[2], 0);
	vcpus_stop(vm);
	back_check(&moment);
	vm_close(vm);
}
