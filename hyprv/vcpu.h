/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtual CPU: its state, its VMCS, its run.  Part of hyprv.h, which includes this file.
 */
#ifndef HYPRV_VCPU_H
#define HYPRV_VCPU_H

#include <linux/kvm.h>
#include <linux/kvm_hypr.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>

#include "vmcs_field.h"

struct apic;
struct hypervisor;
struct hypervisor_cpu;
struct paging;
struct view;
struct vm;

/* Indexes of struct vcpu's registers: the encoding of instructions and exits. */
enum {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	REG_COUNT,
};

/* What user space has to answer before the guest can go on. */
enum vcpu_wait {
	WAIT_NOTHING,
	WAIT_IN,	/* IN: the data goes to RAX */
	WAIT_READ,	/* MMIO read: the data goes to a register */
};

/* What was read from the VMCS right after a VM exit. */
struct vcpu_exit {
	u32 reason;
	u32 basic;
	u64 qualification;
	u64 gpa;
	u64 rip;
	u32 bytes;
	u32 event;
	u32 event_error;
};

/* An entry of an MSR load or store area (SDM volume 3C, "VM-Exit Controls for MSRs"). */
struct msr_entry {
	u32 index;
	u32 reserved;
	u64 value;
};

/* TSC_AUX is the last: a CPU without RDTSCP has none. */
enum {
	SWITCHED_STAR, SWITCHED_LSTAR, SWITCHED_CSTAR, SWITCHED_SFMASK,
	SWITCHED_KERNEL_GS, SWITCHED_TSC_AUX,
	SWITCHED_MSRS,
};

/* One page: what VT-x stores and loads of MSRs at exits and entries. */
struct msr_page {
	struct msr_entry guest[SWITCHED_MSRS];
	struct msr_entry host[SWITCHED_MSRS];
};

/**
 * struct vcpu - a virtual CPU
 * @regs: general registers; RSP is in the VMCS
 * @vm: its VM
 * @lock: held by the ioctl that uses it
 * @index: KVM_CREATE_VCPU's
 * @vpid: its VPID
 * @cpu: where its VMCS is active, or -1
 * @on_cpu: in struct hypervisor_cpu
 * @launched: VMLAUNCH has succeeded since the last VMCLEAR
 * @entered: the guest ran since the VMCS became current: vmcs_put() repairs the host
 * @vmcs: the VMCS
 * @msrs: switched MSRs
 * @run, @data: shared with user space: struct kvm_run and the page of I/O data
 * @exit: the last VM exit
 * @apic: the local APIC, or NULL: apic.h; it has CR8 then
 * @event, @event_error, @event_bytes: to inject at the next entry
 * @interrupt: from KVM_INTERRUPT, or -1
 * @nmi: an NMI waits for the guest to take it
 * @wait, @wait_register, @wait_bytes, @wait_signed, @wait_width: the answer to wait for
 * @host_cr3, @host_cr4: as the VMCS has them
 * @cpu_controls: as the VMCS has them
 * @cr2, @cr8, @xcr0, @apic_base, @dr, @dr6, @dr7: not in the VMCS
 * @fpu: FPU and XSAVE state
 * @cpuid: @cpuids entries
 * @paging: shadow paging; NULL with EPT
 * @view: where it is, as of its last step at the barrier
 * @loaded: whose EPT pointer the VMCS has
 * @flushed: for each view, @edited as of the last flush
 * @next: the view's number that it takes at the barrier; changed while it is held
 * @asked: odd while a swap holds it: the barrier is closed
 * @came: @asked as it last saw that
 * @waits: it waits for vm->swap_lock
 * @faults: EPT violations that found memory
 * @flushes: of its TLB because it took a view
 */
struct vcpu {
	u64 regs[REG_COUNT];
	struct vm *vm;
	struct mutex lock;
	u32 index;
	u16 vpid;
	int cpu;
	struct list_head on_cpu;
	bool launched;
	bool entered;
	void *vmcs;
	struct msr_page *msrs;
	struct kvm_run *run;
	u8 *data;
	struct vcpu_exit exit;
	struct apic *apic;
	u32 event;
	u32 event_error;
	u32 event_bytes;
	int interrupt;
	bool nmi;
	enum vcpu_wait wait;
	u8 wait_register;
	u8 wait_bytes;
	u8 wait_width;
	bool wait_signed;
	u64 host_cr3;
	u64 host_cr4;
	u32 cpu_controls;
	u64 cr2;
	u64 cr8;
	u64 xcr0;
	u64 apic_base;
	u64 dr[4];
	u64 dr6;
	u64 dr7;
	struct fpu_guest fpu;
	struct kvm_cpuid_entry2 *cpuid;
	u32 cpuids;
	struct paging *paging;
	struct view *view;
	struct view *loaded;
	u64 flushed[KVM_HYPR_MAX_VIEWS];
	u32 next;
	u32 asked;
	u32 came;
	bool waits;
	u64 faults;
	u64 flushes;
};

/* ---- vmcs.c: a vCPU's VMCS ---------------------------------------------- */

/**
 * vmcs_get() - make @vcpu's VMCS current on this CPU
 *
 * Context: interrupts on; returns with preemption off, vmcs_put() ends that.
 * Return: 0; -EAGAIN if this CPU is going offline; -EIO if VT-x refuses the VMCS.
 */
int vmcs_get(struct vcpu *vcpu);
void vmcs_put(struct vcpu *vcpu);
/* Drop this vCPU's linear translations; the VMCS is current. */
void vmcs_flush(struct vcpu *vcpu);
/* Make it active nowhere. */
void vmcs_clear(struct vcpu *vcpu);
/* By this CPU, with interrupts off: clear all that is active here. */
void vmcs_clear_cpu(struct hypervisor_cpu *cpu);
/* Controls and host state of a new vCPU, and the state after reset. */
int vmcs_setup(struct vcpu *vcpu);
/* As after RESET or INIT; the VMCS is current. */
void vmcs_reset(struct vcpu *vcpu);
/* Logs why a VM entry failed, by vmcs_check(). */
enum vmcs_field vmcs_explain(struct vcpu *vcpu);

/* ---- vcpu.c: life and run ----------------------------------------------- */

int vcpus_init(struct hypervisor *hv);
void vcpus_fini(struct hypervisor *hv);
struct vcpu *vcpu_create(struct vm *vm, u32 index);
void vcpu_destroy(struct vcpu *vcpu);
int vcpu_run(struct vcpu *vcpu);

/* ---- enter.c: one VM entry, and its exit --------------------------------- */

/*
 * 1: the guest ran and exited; 0: user space must look; -EAGAIN: something comes first.
 * The VMCS is current.
 */
int vcpu_enter(struct vcpu *vcpu);
/* Would the guest take an interrupt, or an NMI, now?  The VMCS is current. */
bool vcpu_takes_interrupts(void);
bool vcpu_takes_nmis(void);
void vcpu_block_nmis(bool block);
/* A signal, or work that user space's border does. */
bool vcpu_thread_must_leave(void);

/* ---- exit.c, exit_device.c: what a VM exit asks for --------------------- */

/*
 * 1: run on; 0: to user space, vcpu->run says why; -errno.  *@loaded becomes false if the
 * VMCS had to be put.
 */
int exit_handle(struct vcpu *vcpu, bool *loaded);
/* Before the guest runs on: take user space's answer. */
int exit_complete(struct vcpu *vcpu);
/* Memory, or a device, at vcpu->exit.gpa: with the VMCS put.  As a handler. */
int exit_no_memory(struct vcpu *vcpu, u32 access);
void vcpu_inject(struct vcpu *vcpu, u8 vector, bool has_error, u32 error);
int vcpu_report(struct vcpu *vcpu, const char *what);
const char *exit_name(u32 basic);

/* ---- msr.c, cpuid.c, state.c -------------------------------------------- */

void msr_bitmap_fill(u8 *bitmap);
/* 0, or -EINVAL: #GP.  The VMCS is current. */
int msr_read(struct vcpu *vcpu, u32 index, u64 *value);
int msr_write(struct vcpu *vcpu, u32 index, u64 value, bool host);
void msr_page_fill(struct msr_page *page);
u32 msr_switched_count(void);
#define MSR_LIST_MAX	32
/* Those that are state and in no other structure of KVM's: how many. */
u32 msr_list(u32 index[MSR_LIST_MAX]);

/* ---- state_more.c: what else user space gets and sets ---------------------- */

int state_get_events(struct vcpu *vcpu, struct kvm_vcpu_events *events);
int state_set_events(struct vcpu *vcpu, const struct kvm_vcpu_events *events);
void state_get_xcrs(const struct vcpu *vcpu, struct kvm_xcrs *xcrs);
int state_set_xcrs(struct vcpu *vcpu, const struct kvm_xcrs *xcrs);
int state_get_debug(struct vcpu *vcpu, struct kvm_debugregs *regs);
int state_set_debug(struct vcpu *vcpu, const struct kvm_debugregs *regs);
/* XCR0 that a guest may have. */
bool state_xcr0_is_valid(u64 value);
/* Of KVM_VCPU_TSC_CTRL; 0, -ENXIO no such attribute, -EFAULT. */
int state_attribute(struct vcpu *vcpu, unsigned int request, const struct kvm_device_attr *attr);

int cpuid_supported(struct kvm_cpuid_entry2 *entries, u32 *count);
void cpuid_guest(struct vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);

int state_get_regs(struct vcpu *vcpu, struct kvm_regs *regs);
int state_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs);
int state_get_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs);
int state_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs);
/*
 * Of the guest's own instruction, with the VMCS current: 0; -EINVAL: #GP; -EOPNOTSUPP:
 * hyprv cannot follow.
 */
int state_set_cr0(struct vcpu *vcpu, u64 value);
int state_set_cr4(struct vcpu *vcpu, u64 value);
int state_set_efer(struct vcpu *vcpu, u64 value);
/* The VMCS is current: 64-bit mode, not compatibility mode. */
bool state_is_64bit(void);
u64 state_cr0(void);
u64 state_cr4(void);
u64 state_cr3(const struct vcpu *vcpu);
u64 state_efer(const struct vcpu *vcpu);
u64 state_reg(struct vcpu *vcpu, u32 reg);
void state_set_reg(struct vcpu *vcpu, u32 reg, u64 value);

#endif /* HYPRV_VCPU_H */
