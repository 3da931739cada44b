// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VM exit asks for: one handler for each reason that the set-up makes possible.
 * Every other reason ends the VM with a report.
 *
 * A handler returns 1 to run on, 0 for user space (vcpu->run says why), or -errno.  It
 * runs with the VMCS current and must not sleep, but for those marked so.
 */
#include <asm/debugreg.h>
#include <asm/fpu/xcr.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>

#include "apic.h"
#include "decode.h"
#include "hyprv.h"
#include "vmx.h"

#define VECTOR_DB	1
#define VECTOR_UD	6
#define VECTOR_DF	8
#define VECTOR_GP	13
#define VECTOR_PF	14
#define VECTOR_AC	17

#define DR7_GD		BIT(13)

static const char no_interrupt[] = "an interrupt command for which hyprv has no interrupt";

static u64 width_mask(u32 bytes)
{
	return bytes < 8 ? BIT_ULL(8 * bytes) - 1 : ~0ull;
}

/* ---- what handlers do --------------------------------------------------- */

static int shut_down(struct vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}

/* An exception on top of one under way: a double fault (SDM volume 3A, "Interrupt 8"). */
void vcpu_inject(struct vcpu *vcpu, u8 vector, bool has_error, u32 error)
{
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

static int fault_gp(struct vcpu *vcpu)
{
	vcpu_inject(vcpu, VECTOR_GP, true, 0);
	return 1;
}

static int fault_ud(struct vcpu *vcpu)
{
	vcpu_inject(vcpu, VECTOR_UD, false, 0);
	return 1;
}

/* The instruction is done: blocking by STI and MOV SS ends with it. */
static int skip(struct vcpu *vcpu)
{
	u64 rip = vcpu->exit.rip + vcpu->exit.bytes;
	u64 blocked = vmcs_read(VMCS_GUEST_INTERRUPTIBILITY);

	if (!(vmcs_read(VMCS_GUEST_CS_RIGHTS) & RIGHTS_LONG) ||
	    !(vmcs_read(VMCS_GUEST_EFER) & EFER_LMA))
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
static int skip_or_gp(struct vcpu *vcpu, int err)
{
	if (err == -EOPNOTSUPP)
		return vcpu_report(vcpu, "a change of CR0 that hyprv cannot follow");
	return err ? fault_gp(vcpu) : skip(vcpu);
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

/* NMIs and machine checks were the host's: vcpu.c has passed them on. */
static int exception(struct vcpu *vcpu)
{
	const struct vcpu_exit *exit = &vcpu->exit;
	u8 vector = exit->event & EVENT_VECTOR;

	if ((exit->event & EVENT_TYPE) == EVENT_NMI || vector == 18)
		return 1;
	if (vector == VECTOR_DB) {
		vcpu->dr6 = (vcpu->dr6 & ~(u64)(DR_TRAP_BITS)) | DR6_RESERVED |
			    (exit->qualification & (DR_TRAP_BITS | DR_STEP | BIT(13)));
		vcpu->dr7 &= ~(u64)DR7_GD;
		vmcs_write(VMCS_GUEST_DR7, vcpu->dr7);
		vcpu_inject(vcpu, vector, false, 0);
		return 1;
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

static int on_halt(struct vcpu *vcpu)
{
	skip(vcpu);
	if (vcpu->apic) {
		apic_halt(vcpu);
		return 1;
	}
	if (vcpu->interrupt >= 0 && (vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF))
		return 1;
	vcpu->run->exit_reason = KVM_EXIT_HLT;
	return 0;
}

/* ---- instructions ------------------------------------------------------- */

static int on_cpuid(struct vcpu *vcpu)
{
	u64 *regs = vcpu->regs;
	u32 eax = regs[REG_RAX], ecx = regs[REG_RCX], ebx, edx;

	cpuid_guest(vcpu, &eax, &ebx, &ecx, &edx);
	regs[REG_RAX] = eax;
	regs[REG_RBX] = ebx;
	regs[REG_RCX] = ecx;
	regs[REG_RDX] = edx;
	return skip(vcpu);
}

static int on_rdmsr(struct vcpu *vcpu)
{
	u32 index = vcpu->regs[REG_RCX];
	u64 value;
	int err;

	err = apic_is_msr(vcpu, index) ? apic_msr_read(vcpu, index, &value) :
					 msr_read(vcpu, index, &value);
	if (err)
		return fault_gp(vcpu);
	vcpu->regs[REG_RAX] = (u32)value;
	vcpu->regs[REG_RDX] = value >> 32;
	return skip(vcpu);
}

static int on_wrmsr(struct vcpu *vcpu)
{
	u64 value = (u32)vcpu->regs[REG_RAX] | vcpu->regs[REG_RDX] << 32;

	u32 index = vcpu->regs[REG_RCX];
	int err = apic_is_msr(vcpu, index) ? apic_msr_write(vcpu, index, value) :
					     msr_write(vcpu, index, value, false);

	if (err == -EOPNOTSUPP)
		return vcpu_report(vcpu, no_interrupt);
	return skip_or_gp(vcpu, err);
}

static int on_xsetbv(struct vcpu *vcpu)
{
	u64 value = (u32)vcpu->regs[REG_RAX] | vcpu->regs[REG_RDX] << 32;

	if ((u32)vcpu->regs[REG_RCX] || !state_xcr0_is_valid(value))
		return fault_gp(vcpu);
	vcpu->xcr0 = value;
	return skip(vcpu);
}

static int control_register(struct vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification;
	u32 cr = qualification & 15, type = qualification >> 4 & 3;
	u32 reg = qualification >> 8 & 15;

	if (type == 0 && cr == 0)
		return skip_or_gp(vcpu, state_set_cr0(vcpu, state_reg(vcpu, reg)));
	if (type == 0 && cr == 4)
		return skip_or_gp(vcpu, state_set_cr4(vcpu, state_reg(vcpu, reg)));
	if (type == 0 && cr == 8) {
		u64 value = state_reg(vcpu, reg);

		if (value > 15)
			return fault_gp(vcpu);
		apic_set_cr8(vcpu, value);
		return skip(vcpu);
	}
	if (vcpu->paging && type == 0 && cr == 3)
		return skip_or_gp(vcpu, paging_set_cr3(vcpu, state_reg(vcpu, reg)));
	if (vcpu->paging && type == 1 && cr == 3) {
		state_set_reg(vcpu, reg, state_cr3(vcpu));
		return skip(vcpu);
	}
	if (type == 1 && cr == 8) {
		state_set_reg(vcpu, reg, apic_cr8(vcpu));
		return skip(vcpu);
	}
	return vcpu_report(vcpu, "an access to a control register that was not asked for");
}

static int on_invlpg(struct vcpu *vcpu)
{
	paging_invlpg(vcpu, vcpu->exit.qualification);
	return skip(vcpu);
}

/* The CPU has checked the privilege level. */
static int debug_register(struct vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification, value;
	u32 dr = qualification & 7, reg = qualification >> 8 & 15;

	if ((dr == 4 || dr == 5) && (state_cr4() & X86_CR4_DE))
		return fault_ud(vcpu);
	dr = dr == 4 || dr == 5 ? dr + 2 : dr;
	if (vcpu->dr7 & DR7_GD) {
		vcpu->dr7 &= ~(u64)DR7_GD;
		vcpu->dr6 |= BIT(13);
		vmcs_write(VMCS_GUEST_DR7, vcpu->dr7);
		vcpu_inject(vcpu, VECTOR_DB, false, 0);
		return 1;
	}
	if (qualification & BIT(4)) {
		value = dr < 4 ? vcpu->dr[dr] : dr == 6 ? vcpu->dr6 : vcpu->dr7;
		state_set_reg(vcpu, reg, value);
		return skip(vcpu);
	}
	value = state_reg(vcpu, reg);
	if (dr < 4) {
		vcpu->dr[dr] = value;
		return skip(vcpu);
	}
	if (value >> 32)
		return fault_gp(vcpu);
	if (dr == 6) {
		vcpu->dr6 = (value & 0xe00f) | DR6_RESERVED;
	} else {
		vcpu->dr7 = (value & 0xffff2bffull) | DR7_FIXED_1;
		vmcs_write(VMCS_GUEST_DR7, vcpu->dr7);
	}
	return skip(vcpu);
}

static int port(struct vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification;
	struct kvm_run *run = vcpu->run;
	bool in = qualification & BIT(3);
	u32 bytes = (qualification & 7) + 1;

	if (qualification & BIT(4))
		return vcpu_report(vcpu, "INS or OUTS, which hyprv does not emulate");
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = bytes;
	run->io.port = qualification >> 16 & 0xffff;
	run->io.count = 1;
	run->io.data_offset = PAGE_SIZE;
	memset(vcpu->data, 0, sizeof(u64));
	if (!in)
		memcpy(vcpu->data, &vcpu->regs[REG_RAX], bytes);
	vcpu->wait = in ? WAIT_IN : WAIT_NOTHING;
	vcpu->wait_bytes = bytes;
	skip(vcpu);
	return 0;
}

/* ---- memory, which sleeps ----------------------------------------------- */

/* 8 and 16 bits leave the rest of a register; 32 bits clear it. */
static u64 merge(u64 old, u64 value, u32 bytes)
{
	u64 mask = width_mask(bytes);

	return bytes >= 4 ? value & mask : (old & ~mask) | (value & mask);
}

/* What a device answered goes to the register that waits for it; the VMCS is current. */
static void read_done(struct vcpu *vcpu, u64 value)
{
	u64 old = state_reg(vcpu, vcpu->wait_register);

	if (vcpu->wait_signed && vcpu->wait_bytes < 8 && (value >> (8 * vcpu->wait_bytes - 1) & 1))
		value |= ~width_mask(vcpu->wait_bytes);
	/* Width 0: the second byte of a register. */
	value = vcpu->wait_width ? merge(old, value, vcpu->wait_width) :
				   (old & ~0xff00ull) | (value & 0xff) << 8;
	state_set_reg(vcpu, vcpu->wait_register, value);
}

/* The local APIC answers at once. */
static int apic_page(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	bool write = vcpu->wait != WAIT_READ;
	u64 value = 0;
	int err;

	memcpy(&value, run->mmio.data, sizeof(value));
	err = apic_page_access(vcpu, vcpu->exit.gpa, write, run->mmio.len, &value);
	vcpu->wait = WAIT_NOTHING;
	if (err)
		return vcpu_report(vcpu, no_interrupt);
	if (!write)
		read_done(vcpu, value);
	return 1;
}

/* Fetch the instruction, find out what it stores or loads, and ask user space. */
static int mmio(struct vcpu *vcpu, bool write)
{
	struct kvm_run *run = vcpu->run;
	struct decode_state state;
	struct decoded access;
	u8 code[15];
	int bytes, err;

	err = vmcs_get(vcpu);
	if (err)
		return err;
	state.linear = vmcs_read(VMCS_GUEST_CS_BASE) + vcpu->exit.rip;
	state.cr3 = state_cr3(vcpu);
	state.cr4 = state_cr4();
	state.efer = state_efer(vcpu);
	state.long_mode = vmcs_read(VMCS_GUEST_CS_RIGHTS) & RIGHTS_LONG;
	state.user = (vmcs_read(VMCS_GUEST_SS_RIGHTS) & RIGHTS_DPL) == RIGHTS_DPL;
	vmcs_put(vcpu);
	if (!(state.efer & EFER_LMA) || !state.long_mode)
		return vcpu_report(vcpu, "an access to a device outside of 64-bit mode");
	bytes = decode_fetch(vcpu->view, &state, code);
	if (bytes <= 0 || decode(code, bytes, &access))
		return vcpu_report(vcpu, "an access to a device by an instruction that hyprv does not decode");
	if (write != access.write)
		return vcpu_report(vcpu, "an access to a device that its instruction does not make");
	err = vmcs_get(vcpu);
	if (err)
		return err;
	vcpu->exit.bytes = access.bytes;
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = vcpu->exit.gpa;
	run->mmio.len = access.width;
	run->mmio.is_write = access.write;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (access.write) {
		u64 value = access.immediate ? access.value :
			    state_reg(vcpu, access.reg) >> (access.high ? 8 : 0);

		memcpy(run->mmio.data, &value, access.width);
	} else {
		vcpu->wait = WAIT_READ;
		vcpu->wait_register = access.reg;
		vcpu->wait_bytes = access.width;
		vcpu->wait_width = access.high ? 0 : access.target;
		vcpu->wait_signed = access.extend_sign;
	}
	skip(vcpu);
	err = apic_is_page(vcpu, vcpu->exit.gpa) ? apic_page(vcpu) : 0;
	vmcs_put(vcpu);
	return err;
}

/* What is no memory is a device. */
static int device(struct vcpu *vcpu, u32 access)
{
	if (access & WALK_FETCH)
		return vcpu_report(vcpu, "a jump to where no memory is");
	if (access & WALK_TABLE)
		return vcpu_report(vcpu, "a page table where no memory is");
	if (vcpu->event & EVENT_VALID)
		return vcpu_report(vcpu, "an event whose delivery needs memory that is not there");
	return mmio(vcpu, access & WALK_WRITE);
}

int exit_no_memory(struct vcpu *vcpu, u32 access)
{
	int ret = memory_fault(vcpu, vcpu->exit.gpa, access);

	return ret ? ret : device(vcpu, access);
}

/* Bit 7: a linear address; bit 8: the access itself, not the walk of a page table. */
static int ept_violation(struct vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification, itself = BIT(7) | BIT(8);

	return exit_no_memory(vcpu, (qualification & BIT(1) ? WALK_WRITE : 0) |
				    (qualification & BIT(2) ? WALK_FETCH : 0) |
				    ((qualification & itself) != itself ? WALK_TABLE : 0));
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
	[9] = { "task switch", NULL },
	[10] = { "CPUID", on_cpuid },
	[11] = { "GETSEC", fault_ud },
	[12] = { "HLT", on_halt },
	[13] = { "INVD", skip },
	[14] = { "INVLPG", on_invlpg },
	[15] = { "RDPMC", fault_gp },
	[18] = { "VMCALL", fault_ud },
	[19] = { "VMCLEAR", fault_ud },
	[20] = { "VMLAUNCH", fault_ud },
	[21] = { "VMPTRLD", fault_ud },
	[22] = { "VMPTRST", fault_ud },
	[23] = { "VMREAD", fault_ud },
	[24] = { "VMRESUME", fault_ud },
	[25] = { "VMWRITE", fault_ud },
	[26] = { "VMXOFF", fault_ud },
	[27] = { "VMXON", fault_ud },
	[28] = { "control register", control_register },
	[29] = { "debug register", debug_register },
	[30] = { "I/O", port },
	[31] = { "RDMSR", on_rdmsr },
	[32] = { "WRMSR", on_wrmsr },
	[33] = { "invalid guest state", NULL },
	[34] = { "MSR loading", NULL },
	[36] = { "MWAIT", fault_ud },
	[39] = { "MONITOR", fault_ud },
	[41] = { "machine check at entry", NULL },
	[48] = { "EPT violation", ept_violation, true },
	[49] = { "EPT misconfiguration", NULL },
	[50] = { "INVEPT", fault_ud },
	[52] = { "preemption timer", run_on },
	[53] = { "INVVPID", fault_ud },
	[54] = { "WBINVD", skip },
	[55] = { "XSETBV", on_xsetbv },
	[59] = { "VMFUNC", fault_ud },
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
	if (handler->sleeps) {
		vmcs_put(vcpu);
		*loaded = false;
	}
	return handler->handle(vcpu);
}

/* ---- user space's answer ------------------------------------------------ */

int exit_complete(struct vcpu *vcpu)
{
	enum vcpu_wait wait = vcpu->wait;
	u64 value = 0;
	int err;

	vcpu->wait = WAIT_NOTHING;
	if (wait == WAIT_IN) {
		memcpy(&value, vcpu->data, vcpu->wait_bytes);
		vcpu->regs[REG_RAX] = merge(vcpu->regs[REG_RAX], value, vcpu->wait_bytes);
	} else if (wait == WAIT_READ) {
		memcpy(&value, vcpu->run->mmio.data, vcpu->wait_bytes);
		err = vmcs_get(vcpu);
		if (err) {
			vcpu->wait = wait;
			return err;
		}
		read_done(vcpu, value);
		vmcs_put(vcpu);
	}
	return 0;
}
