// SPDX-License-Identifier: GPL-2.0-only
/*
 * One VM entry and the exit that ends it: what the guest is to take, the host's state out of
 * the way and back.
 */
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/task_work.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/fpu/xcr.h>
#include <asm/mce.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>

#include "apic.h"
#include "hyprv.h"
#include "vmx.h"

#define VECTOR_NMI	2
#define VECTOR_DF	8

int hyprv_enter(u64 *regs, bool launched);

/* ---- events for the guest ----------------------------------------------- */

bool vcpu_takes_interrupts(void)
{
	return (vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF) &&
	       !(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS));
}

bool vcpu_takes_nmis(void)
{
	return !(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) &
		 (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS | BLOCKED_BY_NMI));
}

/* Exits when the guest could take an interrupt, or an NMI. */
static void windows_set(struct vcpu *vcpu, bool interrupt, bool nmi)
{
	u32 controls = vcpu->cpu_controls & ~(CPU_INTERRUPT_WINDOW | CPU_NMI_WINDOW);

	controls |= (interrupt ? CPU_INTERRUPT_WINDOW : 0) | (nmi ? CPU_NMI_WINDOW : 0);
	if (controls == vcpu->cpu_controls)
		return;
	vcpu->cpu_controls = controls;
	vmcs_write(VMCS_CPU_CONTROLS, controls);
}

/* User space's, or else the APIC's. */
static int interrupt_next(struct vcpu *vcpu)
{
	return vcpu->interrupt >= 0 || !vcpu->apic ? vcpu->interrupt : apic_next(vcpu);
}

static void interrupt_take(struct vcpu *vcpu, u8 vector)
{
	vcpu->event = EVENT_VALID | EVENT_EXTERNAL | vector;
	if (vcpu->interrupt >= 0)
		vcpu->interrupt = -1;
	else
		apic_take(vcpu, vector);
}

/* User space has taken RFLAGS.IF from a guest that was taking an interrupt: it waits. */
static void interrupt_hold(struct vcpu *vcpu)
{
	if (!(vcpu->event & EVENT_VALID) || (vcpu->event & EVENT_TYPE) != EVENT_EXTERNAL ||
	    vcpu_takes_interrupts())
		return;
	if (vcpu->interrupt < 0)
		vcpu->interrupt = vcpu->event & EVENT_VECTOR;
	vcpu->event = 0;
}

/* An event that was under way comes first, then an NMI; the others wait. */
static void event_write(struct vcpu *vcpu)
{
	bool window = vcpu->run->request_interrupt_window;
	int vector;

	interrupt_hold(vcpu);
	vector = interrupt_next(vcpu);
	if (vcpu->nmi && !vcpu->event && vcpu_takes_nmis()) {
		vcpu->event = EVENT_VALID | EVENT_NMI | VECTOR_NMI;
		vcpu->nmi = false;
	}
	if (vector >= 0 && !vcpu->event && vcpu_takes_interrupts()) {
		interrupt_take(vcpu, vector);
		vector = interrupt_next(vcpu);
	}
	windows_set(vcpu, window || vector >= 0, vcpu->nmi);
	if (!vcpu->event)
		return;
	/* In real mode none has an error code (SDM volume 3C, "Event Injection"). */
	if (!(vmcs_read(VMCS_GUEST_CR0) & X86_CR0_PE))
		vcpu->event &= ~(u32)EVENT_HAS_ERROR;
	vmcs_write(VMCS_ENTRY_EVENT, vcpu->event);
	if (vcpu->event & EVENT_HAS_ERROR)
		vmcs_write(VMCS_ENTRY_EVENT_ERROR, vcpu->event_error);
	vmcs_write(VMCS_ENTRY_INSTRUCTION_BYTES, vcpu->event_bytes);
	vcpu->event = 0;
}

void vcpu_block_nmis(bool block)
{
	u64 blocked = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & ~BLOCKED_BY_NMI;

	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, blocked | (block ? BLOCKED_BY_NMI : 0));
}

/* An IRET that is executed again has ended the blocking too soon. */
static bool iret_exited(const struct vcpu_exit *exit)
{
	if (exit->basic == 48)
		return exit->qualification & EVENT_NMI_UNBLOCKED;
	return exit->basic == 0 && (exit->event & EVENT_VALID) &&
	       (exit->event & EVENT_NMI_UNBLOCKED) && (exit->event & EVENT_VECTOR) != VECTOR_DF;
}

/*
 * An exit in the midst of an event's delivery: it is delivered again (SDM volume 3C,
 * "Information for VM Exits During Event Delivery").
 */
static void event_recover(struct vcpu *vcpu)
{
	u32 event = vmcs_read(VMCS_VECTORING_EVENT);

	if (!(event & EVENT_VALID)) {
		if (unlikely(iret_exited(&vcpu->exit)))
			vcpu_block_nmis(true);
		return;
	}
	if ((event & EVENT_TYPE) == EVENT_NMI)
		vcpu_block_nmis(false);
	vcpu->event = event & (EVENT_VALID | EVENT_HAS_ERROR | EVENT_TYPE | EVENT_VECTOR);
	vcpu->event_error = vmcs_read(VMCS_VECTORING_EVENT_ERROR);
	vcpu->event_bytes = vmcs_read(VMCS_EXIT_INSTRUCTION_BYTES);
}

/* ---- from host to guest and back ---------------------------------------- */

struct host_segments {
	u16 ds, es, fs, gs, ldt;
	u64 fs_base;
	u64 kernel_gs_base;
	u64 debugctl;
};

/* With interrupts off.  What differs between threads, or may change at any time. */
static void host_save(struct vcpu *vcpu, struct host_segments *host)
{
	u64 cr3 = __get_current_cr3_fast(), cr4 = cr4_read_shadow();

	savesegment(ds, host->ds);
	savesegment(es, host->es);
	savesegment(fs, host->fs);
	savesegment(gs, host->gs);
	store_ldt(host->ldt);
	rdmsrl(MSR_FS_BASE, host->fs_base);
	rdmsrl(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
	/* A VM exit clears it. */
	host->debugctl = get_debugctlmsr();
	vcpu->msrs->host[SWITCHED_KERNEL_GS].value = host->kernel_gs_base;
	vmcs_write(VMCS_HOST_FS_BASE, host->fs_base);
	if (cr3 != vcpu->host_cr3) {
		vmcs_write(VMCS_HOST_CR3, cr3);
		vcpu->host_cr3 = cr3;
	}
	if (cr4 != vcpu->host_cr4) {
		vmcs_write(VMCS_HOST_CR4, cr4);
		vcpu->host_cr4 = cr4;
	}
}

/* A 64-bit thread has null selectors, which a VM exit leaves as they are. */
static void host_load(const struct host_segments *host)
{
	if (unlikely(host->debugctl))
		update_debugctlmsr(host->debugctl);
	if (unlikely(host->ldt))
		load_ldt(host->ldt);
	if (unlikely(host->ds | host->es)) {
		loadsegment(ds, host->ds);
		loadsegment(es, host->es);
	}
	if (unlikely(host->fs)) {
		loadsegment(fs, host->fs);
		wrmsrl(MSR_FS_BASE, host->fs_base);
	}
	if (unlikely(host->gs)) {
		load_gs_index(host->gs);
		wrmsrl(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
	}
}

static void guest_load(struct vcpu *vcpu)
{
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	if (hypervisor.xcr0 && vcpu->xcr0 != xgetbv(XCR_XFEATURE_ENABLED_MASK))
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->xcr0);
	if (unlikely(vcpu->dr7 & 0xff)) {
		/* The host's breakpoints must not be at the guest's addresses. */
		set_debugreg(DR7_FIXED_1, 7);
		set_debugreg(vcpu->dr[0], 0);
		set_debugreg(vcpu->dr[1], 1);
		set_debugreg(vcpu->dr[2], 2);
		set_debugreg(vcpu->dr[3], 3);
	}
	native_write_cr2(vcpu->cr2);
}

/* A VM exit has set DR7 to a value that breaks nowhere. */
static void guest_save(struct vcpu *vcpu, u64 host_xcr0)
{
	vcpu->cr2 = native_read_cr2();
	if (hypervisor.xcr0 && vcpu->xcr0 != host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, host_xcr0);
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
}

static void exit_read(struct vcpu *vcpu)
{
	struct vcpu_exit *exit = &vcpu->exit;

	exit->reason = vmcs_read(VMCS_EXIT_REASON);
	exit->basic = exit->reason & 0xffff;
	exit->qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	exit->rip = vmcs_read(VMCS_GUEST_RIP);
	exit->bytes = vmcs_read(VMCS_EXIT_INSTRUCTION_BYTES);
	exit->event = vmcs_read(VMCS_EXIT_EVENT);
	exit->event_error = vmcs_read(VMCS_EXIT_EVENT_ERROR);
	exit->gpa = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	if (exit->basic < HYPRV_EXIT_REASONS)
		this_cpu_inc(hypervisor.cpu->exits[exit->basic]);
}

static int entry_failed(struct vcpu *vcpu, u64 reason)
{
	struct kvm_run *run = vcpu->run;

	vmcs_explain(vcpu);
	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = reason;
	run->fail_entry.cpu = smp_processor_id();
	return 0;
}

/* As if it came in user mode: the host survives what this thread can do without. */
static void machine_check(void)
{
	struct pt_regs regs = { .cs = 3, .flags = X86_EFLAGS_IF };

	if (IS_ENABLED(CONFIG_X86_MCE))
		do_machine_check(&regs);
}

/* The host's handlers see an NMI and a machine check as if there were no guest. */
static void host_event(struct vcpu *vcpu)
{
	const struct vcpu_exit *exit = &vcpu->exit;
	bool event = exit->basic == 0 && (exit->event & EVENT_VALID);

	if (event && (exit->event & EVENT_TYPE) == EVENT_NMI)
		asm volatile("int $2");
	else if (exit->basic == 41 || (event && (exit->event & EVENT_VECTOR) == 18))
		machine_check();
}

/*
 * A limit of CPU time comes as task work, which user space's border does.  The self test
 * has no such border until the module is loaded: work would end its guests for good.
 */
bool vcpu_thread_must_leave(void)
{
	return signal_pending(current) ||
	       (task_work_pending(current) && THIS_MODULE->state != MODULE_STATE_COMING);
}

int vcpu_enter(struct vcpu *vcpu)
{
	struct host_segments host;
	u64 host_xcr0 = 0;
	int failed;

	event_write(vcpu);
	local_irq_disable();
	if (vcpu_thread_must_leave() || need_resched() ||
	    READ_ONCE(vcpu->run->immediate_exit__unsafe) || READ_ONCE(vcpu->vm->dead) ||
	    !this_cpu_read(hypervisor.cpu->on) || swap_is_asked(vcpu) ||
	    (vcpu->paging && paging_is_stale(vcpu)) || apic_is_posted(vcpu)) {
		vcpu->event = vmcs_read(VMCS_ENTRY_EVENT);
		if (vcpu->event & EVENT_VALID)
			vmcs_write(VMCS_ENTRY_EVENT, 0);
		else
			vcpu->event = 0;
		local_irq_enable();
		return -EAGAIN;
	}
	if (hypervisor.xcr0)
		host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	host_save(vcpu, &host);
	guest_load(vcpu);
	this_cpu_inc(hypervisor.cpu->entries);
	vcpu->entered = true;
	if (hypervisor.l1d_flush)
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	failed = hyprv_enter(vcpu->regs, vcpu->launched);
	guest_save(vcpu, host_xcr0);
	host_load(&host);
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
	if (unlikely(failed)) {
		u64 error = vmcs_read(VMCS_INSTRUCTION_ERROR);

		local_irq_enable();
		return entry_failed(vcpu, error);
	}
	exit_read(vcpu);
	host_event(vcpu);
	/* The interrupt that ended the guest's turn comes here. */
	local_irq_enable();
	if (unlikely(vcpu->exit.reason & BIT(31)))
		return entry_failed(vcpu, vcpu->exit.reason);
	vcpu->launched = true;
	event_recover(vcpu);
	return 1;
}
