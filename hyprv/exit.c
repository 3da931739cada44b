// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VM exit asks for: one handler for each reason that the set-up makes possible.
 * Every other reason ends the VM with a report.  Handlers of instructions are in
 * exit_instruction.c, those of memory and devices in exit_device.c.
 */
#include <asm/cpu.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>

#include "apic.h"
#include "exit.h"
#include "vmx.h"

#define VECTOR_DB	1
#define VECTOR_UD	6
#define VECTOR_DF	8
#define VECTOR_GP	13
#define VECTOR_PF	14
#define VECTOR_AC	17

/* ---- what handlers do --------------------------------------------------- */

static int shut_down(struct vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}

/* An exception on top of one under way: a double fault (SDM volume 3A, "Interrupt 8"). */
void vcpu_inject(struct vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
	/* An NMI whose delivery it interrupts comes again, after the handler's IRET. */
	if ((vcpu->event & EVENT_VALID) && (vcpu->event & EVENT_TYPE) == EVENT_NMI) {
		vcpu->nmi = true;
		vcpu_block_nmis(true);
	}
	if ((vcpu->event & EVENT_VALID) && (vcpu->event & EVENT_TYPE) == EVENT_EXCEPTION &&
	    vector != VECTOR_DB) {
		vector = VECTOR_DF;
		has_error = true;
		error = 0;
	}
	vcpu->event = EVENT_VALID | EVENT_EXCEPTION | vector | (has_error ? EVENT_HAS_ERROR : 0);
	vcpu->event_error = error;
	vcpu->event_bytes = 0;
}

int exit_fault_gp(struct vcpu *vcpu)
{
	vcpu_inject(vcpu, VECTOR_GP, true, 0);
	return 1;
}

int exit_fault_ud(struct vcpu *vcpu)
{
	vcpu_inject(vcpu, VECTOR_UD, false, 0);
	return 1;
}

/*
 * With RFLAGS.TF, blocking by STI or MOV SS goes with a pending single step: SDM volume 3C,
 * "Checks on Guest Non-Register State".  An exit for #DB leaves none behind.  The #DB that is
 * injected takes it along (KVM: handle_exception_nmi()).
 */
static void step_keep(void)
{
	if ((vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_TF) &&
	    (vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS)))
		vmcs_write(VMCS_GUEST_PENDING_DEBUG,
			   vmcs_read(VMCS_GUEST_PENDING_DEBUG) | DR_STEP);
}

int exit_fault_db(struct vcpu *vcpu)
{
	step_keep();
	vcpu->dr7 &= ~(u64)DR7_GD;
	vmcs_write(VMCS_GUEST_DR7, vcpu->dr7);
	vcpu_inject(vcpu, VECTOR_DB, false, 0);
	return 1;
}

/* The instruction is done: blocking by STI and MOV SS ends with it. */
int exit_skip(struct vcpu *vcpu)
{
	u64 rip = vcpu->exit.rip + vcpu->exit.bytes;
	u64 blocked = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	if (!state_is_64bit())
		rip = (u32)rip;
	vmcs_write(VMCS_GUEST_RIP, rip);
	if (blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS))
		vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
			   blocked & ~(BLOCKED_BY_STI | BLOCKED_BY_MOV_SS));
	if (vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_TF) {
		vcpu->dr6 |= DR_STEP;
		vcpu_inject(vcpu, VECTOR_DB, false, 0);
	}
	return 1;
}

/* 0: done; -EINVAL: #GP. */
int exit_skip_or_fault(struct vcpu *vcpu, int err)
{
	if (err == -EOPNOTSUPP)
		return vcpu_report(vcpu, "a change of CR0 or CR4 that hyprv cannot follow");
	return err ? exit_fault_gp(vcpu) : exit_skip(vcpu);
}

int vcpu_report(struct vcpu *vcpu, const char *what)
{
	const struct vcpu_exit *exit = &vcpu->exit;
	struct kvm_run *run = vcpu->run;

	WRITE_ONCE(vcpu->vm->dead, true);
	apics_wake(vcpu->vm);
	pr_warn_ratelimited("hyprv: vCPU %u: %s: exit %u (%s), qualification %#llx, RIP %#llx, GPA %#llx: the VM ends\n",
			    vcpu->index, what, exit->basic, exit_name(exit->basic),
			    exit->qualification, exit->rip, exit->gpa);
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON;
	run->internal.ndata = 4;
	run->internal.data[0] = exit->reason;
	run->internal.data[1] = exit->qualification;
	run->internal.data[2] = exit->rip;
	run->internal.data[3] = exit->gpa;
	return 0;
}

/* ---- events ------------------------------------------------------------- */

static int run_on(struct vcpu *vcpu)
{
	return 1;
}

/*
 * An #AC that the guest did not ask for: the host watches for locks that span two cache lines
 * (KVM: vmx_guest_inject_ac()).
 */
static bool is_split_lock(struct vcpu *vcpu)
{
	if (vcpu->exit.basic != 0 || (vcpu->exit.event & EVENT_VECTOR) != VECTOR_AC ||
	    !boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT))
		return false;
	return (vmcs_read(VMCS_GUEST_SS_RIGHTS) & RIGHTS_DPL) != RIGHTS_DPL ||
	       !(state_cr0() & X86_CR0_AM) ||
	       !(vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_AC);
}

/* The host warns, and slows the thread down, which sleeps; or it allows none. */
static int split_lock(struct vcpu *vcpu, bool *loaded)
{
	vmcs_put(vcpu);
	*loaded = false;
	if (handle_guest_split_lock(vcpu->exit.rip))
		return 1;
	return vcpu_report(vcpu, "a lock that spans two cache lines, which the host forbids (split_lock_detect)");
}

/* The CPU finishes INT1 as it injects it: RIP is then behind the instruction. */
static int exit_int1(struct vcpu *vcpu)
{
	exit_fault_db(vcpu);
	vcpu->event = EVENT_VALID | EVENT_PRIVILEGED | VECTOR_DB;
	vcpu->event_bytes = vcpu->exit.bytes;
	return 1;
}

/* NMIs and machine checks were the host's: enter.c has passed them on. */
static int exception(struct vcpu *vcpu)
{
	const struct vcpu_exit *exit = &vcpu->exit;
	u8 vector = exit->event & EVENT_VECTOR;

	if ((exit->event & EVENT_TYPE) == EVENT_NMI || vector == 18)
		return 1;
	if ((exit->event & EVENT_TYPE) == EVENT_PRIVILEGED)
		return exit_int1(vcpu);
	if (vector == VECTOR_DB) {
		vcpu->dr6 = (vcpu->dr6 & ~(u64)(DR_TRAP_BITS)) | DR6_RESERVED |
			    (exit->qualification & (DR_TRAP_BITS | DR_STEP | BIT(13)));
		return exit_fault_db(vcpu);
	}
	if (vector == VECTOR_AC) {
		vcpu_inject(vcpu, vector, true, exit->event_error);
		return 1;
	}
	return vcpu_report(vcpu, "an exception that was not asked for");
}

static int window(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (vcpu->interrupt >= 0 || !run->request_interrupt_window)
		return 1;
	run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	return 0;
}

static int exit_hlt(struct vcpu *vcpu)
{
	exit_skip(vcpu);
	/* The single step's #DB ends it at once. */
	if (vcpu->event & EVENT_VALID)
		return 1;
	if (vcpu->apic) {
		apic_halt(vcpu);
		return 1;
	}
	if ((vcpu->nmi && vcpu_takes_nmis()) ||
	    (vcpu->interrupt >= 0 && (vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF)))
		return 1;
	vcpu->run->exit_reason = KVM_EXIT_HLT;
	return 0;
}

/* ---- the table ---------------------------------------------------------- */

static const struct handler {
	const char *name;
	int (*handle)(struct vcpu *vcpu);
	bool sleeps;
} handlers[HYPRV_EXIT_REASONS] = {
	[0] = { "exception or NMI", exception },
	[1] = { "external interrupt", run_on },
	[2] = { "triple fault", shut_down },
	[3] = { "INIT", run_on },
	[7] = { "interrupt window", window },
	[8] = { "NMI window", run_on },
	[9] = { "task switch", NULL },
	[10] = { "CPUID", exit_cpuid },
	[11] = { "GETSEC", exit_fault_ud },
	[12] = { "HLT", exit_hlt },
	[13] = { "INVD", exit_skip },
	[14] = { "INVLPG", exit_invlpg },
	[15] = { "RDPMC", exit_fault_gp },
	[18] = { "VMCALL", exit_fault_ud },
	[19] = { "VMCLEAR", exit_fault_ud },
	[20] = { "VMLAUNCH", exit_fault_ud },
	[21] = { "VMPTRLD", exit_fault_ud },
	[22] = { "VMPTRST", exit_fault_ud },
	[23] = { "VMREAD", exit_fault_ud },
	[24] = { "VMRESUME", exit_fault_ud },
	[25] = { "VMWRITE", exit_fault_ud },
	[26] = { "VMXOFF", exit_fault_ud },
	[27] = { "VMXON", exit_fault_ud },
	[28] = { "control register", exit_control_register },
	[29] = { "debug register", exit_debug_register },
	[30] = { "I/O", exit_port },
	[31] = { "RDMSR", exit_rdmsr },
	[32] = { "WRMSR", exit_wrmsr },
	[33] = { "invalid guest state", NULL },
	[34] = { "MSR loading", NULL },
	[36] = { "MWAIT", exit_fault_ud },
	[39] = { "MONITOR", exit_fault_ud },
	[41] = { "machine check at entry", NULL },
	[48] = { "EPT violation", exit_ept_violation, true },
	[49] = { "EPT misconfiguration", NULL },
	[50] = { "INVEPT", exit_fault_ud },
	[52] = { "preemption timer", run_on },
	[53] = { "INVVPID", exit_fault_ud },
	[54] = { "WBINVD", exit_skip },
	[55] = { "XSETBV", exit_xsetbv },
	[59] = { "VMFUNC", exit_fault_ud },
};

const char *exit_name(u32 basic)
{
	return basic < HYPRV_EXIT_REASONS && handlers[basic].name ? handlers[basic].name :
								    "unknown";
}

int exit_handle(struct vcpu *vcpu, bool *loaded)
{
	const struct handler *handler = NULL;

	if (vcpu->exit.basic < HYPRV_EXIT_REASONS)
		handler = &handlers[vcpu->exit.basic];
	if (!handler || !handler->handle)
		return vcpu_report(vcpu, "an exit that hyprv does not handle");
	if (vcpu->paging && vcpu->exit.basic == 0 &&
	    (vcpu->exit.event & (EVENT_TYPE | EVENT_VECTOR)) == (EVENT_EXCEPTION | VECTOR_PF))
		return paging_fault(vcpu, loaded);
	if (is_split_lock(vcpu))
		return split_lock(vcpu, loaded);
	if (handler->sleeps) {
		vmcs_put(vcpu);
		*loaded = false;
	}
	return handler->handle(vcpu);
}
