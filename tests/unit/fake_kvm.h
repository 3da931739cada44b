/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM played in user space: the linker puts these in place of open() and
 * ioctl(), so that the whole library runs under the sanitizers, and any of its
 * ioctls can be made to fail.
 *
 * The guest that it plays counts in RAX while it runs, and parks as a patched
 * kernel does.
 */
#ifndef TESTS_UNIT_FAKE_KVM_H
#define TESTS_UNIT_FAKE_KVM_H

#include <linux/kvm.h>
#include <linux/kvm_hypr.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_VCPUS	2
#define FAKE_VMS	16	/* that there may be at a time */
#define FAKE_PARTS	4096
#define FAKE_MSRS	0x480

struct fake_vcpu {
	struct kvm_regs regs;
	uint64_t tsc_offset;
	uint64_t deadline;
	uint64_t cr3;
	uint64_t cr2;
	uint64_t fault;		/* address of a page fault that waits to be delivered */
	unsigned int sets;	/* MSRs set, one counts each time; not the deadline */
	struct kvm_lapic_state lapic;
	bool up;		/* has said so in the control page */
	bool offset_fresh;	/* set since the registers were */
	bool deadline_early;	/* a deadline was set before the offset */
	bool loaded;		/* its registers were set */
	uint64_t tsc_khz;	/* 0: that of the host */
	uint64_t msr[FAKE_MSRS];	/* by their numbers */
	uint64_t mce_banks;	/* 0: it was not told */
	bool pv_enforced;
	uint32_t apic_id;	/* of leaf 0x8000001e */
	uint32_t core;
};

#define FAKE_TSC_KHZ	2400000ull	/* of the host */

/* The host's TSC as this KVM counts it for a guest of such a frequency. */
uint64_t fake_kvm_scaled(uint64_t host_tsc, uint64_t khz);

/* Of a VM: what a line of the I/O APIC does, edge-triggered, to vCPU 0's LAPIC. */
#define FAKE_LINE_VECTOR	0x24

/* What the test sees and steers. */
struct fake_kvm {
	struct fake_vcpu vcpu[FAKE_VMS * FAKE_VCPUS];	/* those of the first VM first */
	unsigned int vms;	/* bit for each one that there is */
	unsigned int active;	/* view */
	uint64_t generation;
	unsigned int prepared;	/* bit for each view */
	unsigned int nr_parts;	/* of views, prepared alone, in this order */
	struct kvm_hypr_prepare part[FAKE_PARTS];
	int part_errno;		/* of part number @part_fails, which is half done; once */
	unsigned int part_fails;
	unsigned int swaps;
	unsigned int flushes;	/* swaps with KVM_EPT_SWAP_FLUSH */
	unsigned int moves;	/* swaps with KVM_EPT_SWAP_STATE */
	unsigned int pauses;	/* swaps with KVM_EPT_SWAP_PAUSE whose guest has parked */
	unsigned int chip_ioctls;	/* KVM_GET_IRQCHIP, KVM_SET_IRQCHIP */
	/* Called with the vCPUs moved, before KVM_EPT_SWAP_ALL returns. */
	void (*on_moved)(void);
	unsigned int flags;	/* FAKE_* */
	unsigned int cr3_flushes;
	bool tracks;		/* KVM_HYPR_GET_WRITTEN: @written of view memory's first 64 pages */
	uint64_t written;	/* a bit for each; without @tracks all pages are reported */
	uint64_t written_again;	/* what @written is after each report */
	uint64_t written_in[KVM_HYPR_MAX_VIEWS];	/* the same of one view; taken by its report */
	void (*on_written)(uint32_t view);	/* called before each report */
	int written_errno;	/* of KVM_HYPR_GET_WRITTEN */
	int pagemap_errno;	/* of the ioctl PAGEMAP_SCAN, which is no KVM's */
	unsigned int zeros;	/* pages that are zero, as the last KVM_HYPR_SET_MOMENT says */
	unsigned int put_backs;	/* swaps with KVM_EPT_SWAP_RESET that put memory back */
	int put_back_errno;	/* of each of them, instead */
	int swap_errno;		/* of the next KVM_EPT_SWAP_ALL, once */
	struct kvm_hypr_swap asked;	/* the last one, as it came */
	unsigned int ioctls;	/* so far, but for KVM_RUN and lines */
	unsigned int fail_at;	/* number of the one that fails, 0 for none */
	uint32_t exit_reason;	/* of vCPU 0's next KVM_RUN, once */
	uint16_t port;		/* KVM_EXIT_IO: what is written where */
	uint32_t value;
	uint64_t gpa;		/* KVM_EXIT_MMIO: where a write goes to */
	int run_errno[FAKE_VCPUS];	/* of its next KVM_RUN, once */
	unsigned int slots;	/* memory slots that there are */
	unsigned int logging;	/* of them, those that log dirty pages */
	unsigned int log_reads;	/* KVM_GET_DIRTY_LOG of slots 0 */
	unsigned int writes;	/* pages that vCPU 0 writes at each step */
	uint32_t irr;		/* of the I/O APIC of the VM whose line moved last */
	uint64_t arch_capabilities;	/* of a new vCPU's MSR */
	bool counters_off;	/* of the VM that was created last */
	bool ran_unloaded;	/* FAKE_SLOW_START: a vCPU ran before it had its registers */
	/* Called after each KVM_GET_LAPIC of vCPU 0 and before each KVM_GET_IRQCHIP. */
	void (*on_save)(void);
	/* Called before each of @log_reads, with its number from 0. */
	void (*on_log_read)(unsigned int n);
	/* Called by vCPU 0 before each step, on its thread. */
	void (*on_step)(void);
};

#define FAKE_NO_HYPR	1	/* a KVM without the capability */
#define FAKE_UNPATCHED	2	/* a guest that knows no control page */
#define FAKE_DEAF	4	/* a guest that never parks */
#define FAKE_SPINNING	8	/* vCPU 1 stays in until vCPU 0 has gone on, once */
#define FAKE_ONE_CALL	16	/* reading the dirty log clears it */
#define FAKE_NO_LOG	32	/* a KVM without a dirty log */
#define FAKE_NO_ROM	64	/* a KVM without read-only memory */
#define FAKE_NO_SCALING	256	/* a KVM that cannot scale a TSC */
#define FAKE_AMD	512	/* a host of that make, with 16 cores of two threads */
#define FAKE_SLOW_START	128	/* vCPU 1's thread takes 400 ms to come to KVM_RUN */

#define FAKE_HALTED	1024	/* a guest that has halted for good, interrupts off */
#define FAKE_NO_XCRS	2048	/* a KVM that lacks what every VM needs */
#define FAKE_IDLE	4096	/* one that has halted, interrupts on */
#define FAKE_LONG	16384	/* vCPUs whose paging is on, in 64-bit mode */
#define FAKE_KEEPS	8192	/* a KVM that keeps the vCPUs' state for views, */
#define FAKE_NO_COPY	32768	/* and that copies none of them */

/*
 * A guest asks to be put back, and KVM does it, as far as memory goes: on vCPU 0's thread, in
 * on_step().  Return: false: user space does not allow it now.
 */
bool fake_kvm_back(void);

/*
 * The same, but it begins before user space forbids it, and is done afterwards.
 * Return: false: @is_late(): user space did not wait.
 */
bool fake_kvm_back_late(bool (*is_late)(void));
uint32_t fake_kvm_back_view(void);	/* in which it does; 0: in none */
uint32_t fake_kvm_await_spare(void);	/* the same, within 10 s */
uint32_t fake_kvm_back_spare(void);	/* in which the guest then goes on; 0: where it is */

bool fake_kvm_is_raised(const struct kvm_lapic_state *lapic, unsigned int vector);

extern struct fake_kvm fake_kvm;

void fake_kvm_reset(void);

/* How far a vCPU of the first VM has counted. */
uint64_t fake_kvm_count(unsigned int vcpu);

/* Until both have counted on; false when they do not within five seconds. */
bool fake_kvm_runs(void);

/* The first of its vCPUs in fake_kvm.vcpu. */
unsigned int fake_kvm_vcpus_of(int vm_fd);

/* A slot as it was set last; NULL when there is none. */
const struct kvm_userspace_memory_region *fake_kvm_slot(unsigned int view, unsigned int n);

/*
 * What a guest does: write the first word of a page of the active view.  False
 * when it may not.
 */
bool fake_kvm_write(uint64_t gpa, uint64_t value);

/* Where and what vCPU 0 writes with @writes, the k-th time in its life. */
uint64_t fake_kvm_written_gpa(uint64_t k);
uint64_t fake_kvm_written_value(uint64_t k);
#define FAKE_WRITTEN_PAGES	40

#endif /* TESTS_UNIT_FAKE_KVM_H */
