/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a test and its tiny guest share: the guest's memory map and the page
 * through which each vCPU takes commands and tells what it reads.
 *
 * The guest's machinery (page tables, descriptor tables, code, stacks, command
 * pages) stands in memory that is the same in every view, so that a vCPU which
 * is swapped between any two instructions goes on; a view's own memory holds
 * data alone.
 */
#ifndef TESTS_GUEST_GUEST_H
#define TESTS_GUEST_GUEST_H

#include <stdint.h>

/* A view's own memory: starts at 0. */
#define GUEST_PRIVATE_PD_GPA	0x2000	/* maps GUEST_PRIVATE_VA */
#define GUEST_ID_GPA		0x8000	/* holds the number of the view */
#define GUEST_ID2_GPA		0x1f8000 /* the same, far from it */
#define GUEST_FREE_GPA		0x10000	/* up to GUEST_ID2_GPA: of the test */
#define GUEST_PRIVATE_VA	0x40000000ull

/* The last 2 MiB of what the guest maps: the local APIC, when @xapic is 1. */
#define GUEST_APIC_VA		0x3fe00000ull

/* Shared by all views. */
#define GUEST_SHARED_GPA	0x1000000ull
#define GUEST_SHARED_BYTES	0x100000
#define GUEST_PML4		0x0
#define GUEST_PDPT		0x1000
#define GUEST_PD		0x2000
#define GUEST_GDT		0x3000
#define GUEST_IDT		0x4000
#define GUEST_TSS		0x5000
#define GUEST_CODE		0x8000
#define GUEST_CODE_BYTES	0x8000
#define GUEST_CPU(i)		(0x10000 + (i) * 0x2000)
#define GUEST_STACK(i)		(0x90000 + (i) * 0x1000)
#define GUEST_STACK_TOP(i)	(GUEST_STACK(i) + 0x1000)
#define GUEST_VMX		0xe0000	/* pages for the nested guest */
#define GUEST_NPT_PT		(GUEST_VMX + 0xb000) /* its NPT: the first 2 MiB */

#define GUEST_MAX_VCPUS		8
#define GUEST_LOG_MAX		3072

#define GUEST_PF_VECTOR		14
#define GUEST_WAKE_VECTOR	0x40
#define GUEST_FAULT_PORT	0x99	/* an exception that nobody expected */

enum guest_cmd {
	GUEST_READ = 1,		/* arg[0] address -> result[0] */
	GUEST_WRITE,		/* arg[0] address, arg[1] value */
	GUEST_FILL,		/* a word in each page of [arg[0], arg[1]), seed arg[2] */
	GUEST_VERIFY,		/* the same -> result[0] mismatches, result[1] first */
	GUEST_HALT,		/* until GUEST_WAKE_VECTOR finds @halt cleared */
	GUEST_OUT,		/* OUT to port arg[0], again until @halt is 0 */
	GUEST_ONLINE,		/* control page: OFFLINE -> RUNNING */
	GUEST_SET_CR8,		/* arg[0]: 15 keeps vector 0xF0 away */
	GUEST_NESTED,		/* arg[0] SVM: VMRUN, else VMLAUNCH of a guest that loops */
				/* arg[1] with NPT: -> result[1] GUEST_FREE_GPA, SVM only */
	GUEST_SCRIBBLE,		/* over the control page while @halt; seed arg[0] */
	GUEST_READ32,		/* arg[0] address -> result[0] */
	GUEST_WRITE32,		/* arg[0] address, arg[1] value */
	GUEST_RDMSR,		/* arg[0] number -> result[0] */
	GUEST_WRMSR,		/* arg[0] number, arg[1] value */
	GUEST_SHOW,		/* nothing but @view and @beats, until @halt is 0 */
	GUEST_CPUID,		/* arg[0] CPUIDs -> result[0] TSC cycles */
	GUEST_READ_CLI,		/* as GUEST_READ, with interrupts off */
	GUEST_MOVS,		/* MOVS of 8 bytes from arg[0] to arg[1] */
	GUEST_INS,		/* INS of 4 bytes from port arg[0] to arg[1] */
	GUEST_REMAP,		/* page-table entry at arg[0] becomes arg[1], INVLPG arg[2] */
	GUEST_CHURN,		/* page tables change all the time: see below */
	GUEST_REQUEST,		/* requests to the host, until @halt is 0: see below */
};

/**
 * struct guest_cpu - one vCPU's command page
 * @ask: the test counts it up; the guest copies it to @answer after it has
 *	read the view's number: what it then shows was read after the question
 * @view: GUEST_ID_GPA as last read
 * @view2: GUEST_ID2_GPA as last read
 * @beats: grows while the guest runs
 * @cmd_seq: the test counts it up to give a command
 * @done_seq: the guest sets it to @cmd_seq when it is done
 * @halt: 1 as long as GUEST_HALT or GUEST_SCRIBBLE must last
 * @ignore_pause: 1 makes the guest leave vector 0xF0 unanswered
 * @xapic: 1 from the start: the local APIC is at GUEST_APIC_VA, no x2APIC
 * @no_apic: 1 from the start: there is no local APIC in the kernel
 * @wakes: counts GUEST_WAKE_VECTOR
 * @pv_eoi_gpa: where MSR_KVM_PV_EOI_EN points, or 0
 * @apf_gpa: where MSR_KVM_ASYNC_PF_EN points, or 0
 * @apf_missing: counts pages that are said to come late; the guest then shows its
 *	view, as in GUEST_SHOW, and touches the page again
 * @pv_eois: counts GUEST_WAKE_VECTOR ended without an EOI, by @pv_eoi_gpa
 * @pause_irqs: counts vector 0xF0
 * @nested: 1 once the nested guest runs, else 2 + the VM-instruction error, on
 *	AMD 2 + the exit code
 * @log: each change of @view, in order
 */
struct guest_cpu {
	uint64_t ask;
	uint64_t answer;
	uint64_t view;
	uint64_t view2;
	uint64_t beats;
	uint32_t cmd_seq;
	uint32_t done_seq;
	uint32_t cmd;
	uint32_t halt;
	uint32_t ignore_pause;
	uint32_t xapic;
	uint32_t no_apic;
	uint64_t wakes;
	uint64_t pv_eoi_gpa;
	uint64_t pv_eois;
	uint64_t apf_gpa;
	uint64_t apf_missing;
	uint64_t pause_irqs;
	uint64_t nested;
	uint64_t arg[4];
	uint64_t result[4];
	uint64_t log_count;
	uint16_t log[GUEST_LOG_MAX];
};
_Static_assert(sizeof(struct guest_cpu) <= 0x2000, "fits its pages");

/*
 * GUEST_CHURN: arg[0] rounds, arg[1] its memory, arg[2] an entry of a level-2 table, arg[3]
 * the address that this entry maps -> result[0] wrong reads, result[1] TSC cycles.  The
 * memory has two leaf tables, then CHURN_FRAMES pages whose first words are 1, 2, 3, ...
 * A round fills one of the tables, makes the entry lead there, loads CR3, and reads each
 * page; then it exchanges two leaf entries, executes INVLPG for each, and reads them.
 */
#define CHURN_FRAMES	8
#define CHURN_BYTES	((2 + CHURN_FRAMES) * 0x1000ull)

/*
 * GUEST_REQUEST: while arg[3] is not 0, the guest takes 1 from it and writes arg[1], 32 bits,
 * to port arg[0].  Before that it counts in result[2] whether the word at arg[2], unless that is
 * 0, is all ones, and makes it so.  result[0] are requests, result[1] those behind which it
 * went on.  It is as long as @halt is not 0, in a loop that has nothing on its stack: a moment
 * taken in there, with arg[3] 0, is one to go back to.
 */

/* The word that GUEST_FILL puts into a page, and where. */
static inline uint64_t guest_pattern(uint64_t gpa, uint64_t seed)
{
	uint64_t x = (gpa >> 12) * 0x9E3779B97F4A7C15ull ^ seed;

	return x ^ (x >> 29);
}

static inline uint64_t guest_pattern_at(uint64_t gpa)
{
	return gpa + ((gpa >> 12) * 8 & 0xff8);
}

/* The guest's code, copied to GUEST_CODE: linker's bounds of its section. */
extern const char __start_guest_text[], __stop_guest_text[];
void guest_entry(uint64_t index);
void guest_irq_pause(void);
void guest_irq_wake(void);
void guest_page_fault(void);
void guest_fault(void);
void guest_nested(volatile struct guest_cpu *me);
void guest_nested_svm(volatile struct guest_cpu *me);

#endif
