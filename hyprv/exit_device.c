// SPDX-License-Identifier: GPL-2.0-only
/* Exits at memory, which sleep, and what devices answer: exit.h. */
#include "apic.h"
#include "decode.h"
#include "exit.h"
#include "vmx.h"

static u64 width_mask(u32 bytes)
{
	return bytes < 8 ? BIT_ULL(8 * bytes) - 1 : ~0ull;
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
		return vcpu_report(vcpu, EXIT_NO_INTERRUPT);
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
	bool is_64bit;
	u8 code[15];
	int bytes, err;

	err = vmcs_get(vcpu);
	if (err)
		return err;
	/* 64-bit code alone is decoded, and that has no CS.base. */
	state.linear = vcpu->exit.rip;
	state.cr3 = state_cr3(vcpu);
	state.cr4 = state_cr4();
	state.efer = state_efer(vcpu);
	state.user = (vmcs_read(VMCS_GUEST_SS_RIGHTS) & RIGHTS_DPL) == RIGHTS_DPL;
	is_64bit = state_is_64bit();
	vmcs_put(vcpu);
	if (!is_64bit)
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
	exit_skip(vcpu);
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
int exit_ept_violation(struct vcpu *vcpu)
{
	u64 qualification = vcpu->exit.qualification, itself = BIT(7) | BIT(8);

	return exit_no_memory(vcpu, (qualification & BIT(1) ? WALK_WRITE : 0) |
				    (qualification & BIT(2) ? WALK_FETCH : 0) |
				    ((qualification & itself) != itself ? WALK_TABLE : 0));
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
