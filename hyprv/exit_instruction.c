// SPDX-License-Identifier: GPL-2.0-only
/* Exits of instructions but for those that reach memory: exit.h. */
#include <asm/debugreg.h>
#include <asm/processor-flags.h>

#include "apic.h"
#include "exit.h"
#include "vmx.h"

int exit_cpuid(struct vcpu *vcpu)
{
	u64 *regs = vcpu->regs;
	u32 eax = regs[REG_RAX], ecx = regs[REG_RCX], ebx, edx;

	cpuid_guest(vcpu, &eax, &ebx, &ecx, &edx);
	regs[REG_RAX] = eax;
	regs[REG_RBX] = ebx;
	regs[REG_RCX] = ecx;
	regs[REG_RDX] = edx;
	return exit_skip(vcpu);
}

int exit_rdmsr(struct vcpu *vcpu)
{
	u32 index = vcpu->regs[REG_RCX];
	u64 value;
	int err;

	err = apic_is_msr(vcpu, index) ? apic_msr_read(vcpu, index, &value) :
					 msr_read(vcpu, index, &value);
	if (err)
		return exit_fault_gp(vcpu);
	vcpu->regs[REG_RAX] = (u32)value;
	vcpu->regs[REG_RDX] = value >> 32;
	return exit_skip(vcpu);
}

int exit_wrmsr(struct vcpu *vcpu)
{
	u64 value = (u32)vcpu->regs[REG_RAX] | vcpu->regs[REG_RDX] << 32;
	u32 index = vcpu->regs[REG_RCX];
	int err = apic_is_msr(vcpu, index) ? apic_msr_write(vcpu, index, value) :
					     msr_write(vcpu, index, value, false);

	if (err == -EOPNOTSUPP)
		return vcpu_report(vcpu, EXIT_NO_INTERRUPT);
	return exit_skip_or_fault(vcpu, err);
}

int exit_xsetbv(struct vcpu *vcpu)
{
	u64 value = (u32)vcpu->regs[REG_RAX] | vcpu->regs[REG_RDX] << 32;

	if ((u32)vcpu->regs[REG_RCX] || !state_xcr0_is_valid(value))
		return exit_fault_gp(vcpu);
	vcpu->xcr0 = value;
	return exit_skip(vcpu);
}

/* Outside of 64-bit mode the upper half of a register is no part of it. */
static u64 operand(struct vcpu *vcpu, u32 reg)
{
	u64 value = state_reg(vcpu, reg);

	return state_is_64bit() ? value : (u32)value;
}

int exit_control_register(struct vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification;
	u32 cr = qualification & 15, type = qualification >> 4 & 3;
	u32 reg = qualification >> 8 & 15;

	if (type == 0 && cr == 0)
		return exit_skip_or_fault(vcpu, state_set_cr0(vcpu, operand(vcpu, reg)));
	if (type == 0 && cr == 4)
		return exit_skip_or_fault(vcpu, state_set_cr4(vcpu, operand(vcpu, reg)));
	if (type == 0 && cr == 8) {
		u64 value = state_reg(vcpu, reg);

		if (value > 15)
			return exit_fault_gp(vcpu);
		apic_set_cr8(vcpu, value);
		return exit_skip(vcpu);
	}
	if (vcpu->paging && type == 0 && cr == 3)
		return exit_skip_or_fault(vcpu, paging_set_cr3(vcpu, state_reg(vcpu, reg)));
	if (vcpu->paging && type == 1 && cr == 3) {
		state_set_reg(vcpu, reg, state_cr3(vcpu));
		return exit_skip(vcpu);
	}
	if (type == 1 && cr == 8) {
		state_set_reg(vcpu, reg, apic_cr8(vcpu));
		return exit_skip(vcpu);
	}
	return vcpu_report(vcpu, "an access to a control register that was not asked for");
}

int exit_invlpg(struct vcpu *vcpu)
{
	paging_invlpg(vcpu, vcpu->exit.qualification);
	return exit_skip(vcpu);
}

/*
 * The exit comes before the CPU's own checks, also that of the privilege level (SDM volume 3C,
 * "Instructions That Cause VM Exits Conditionally"; KVM: handle_dr()).
 */
int exit_debug_register(struct vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification, value;
	u32 dr = qualification & 7, reg = qualification >> 8 & 15;

	if ((dr == 4 || dr == 5) && (state_cr4() & X86_CR4_DE))
		return exit_fault_ud(vcpu);
	dr = dr == 4 || dr == 5 ? dr + 2 : dr;
	if (vmcs_read(VMCS_GUEST_SS_RIGHTS) & RIGHTS_DPL)
		return exit_fault_gp(vcpu);
	if (vcpu->dr7 & DR7_GD) {
		vcpu->dr6 |= BIT(13);
		return exit_fault_db(vcpu);
	}
	if (qualification & BIT(4)) {
		value = dr < 4 ? vcpu->dr[dr] : dr == 6 ? vcpu->dr6 : vcpu->dr7;
		state_set_reg(vcpu, reg, value);
		return exit_skip(vcpu);
	}
	value = state_reg(vcpu, reg);
	if (dr < 4) {
		vcpu->dr[dr] = value;
		return exit_skip(vcpu);
	}
	if (value >> 32)
		return exit_fault_gp(vcpu);
	if (dr == 6) {
		vcpu->dr6 = (value & 0xe00f) | DR6_RESERVED;
	} else {
		vcpu->dr7 = (value & 0xffff2bffull) | DR7_FIXED_1;
		vmcs_write(VMCS_GUEST_DR7, vcpu->dr7);
	}
	return exit_skip(vcpu);
}

int exit_port(struct vcpu *vcpu)
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
	exit_skip(vcpu);
	return 0;
}
