// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A caller reads and writes the registers of a vCPU.  A paused VM has them twice: in the
 * vCPU, which goes on with them, and in the state of the active view, which a snapshot or a
 * swap takes.
 */
#include <string.h>
#include <sys/ioctl.h>

#include "hypr/run.h"
#include "base/error.h"
#include "model/state.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "run/hold.h"
#include "run/op.h"

static void fill(const struct hypr_vcpu_state *state, struct hypr_registers *r)
{
	const struct kvm_sregs *sregs = &state->sregs;
	const struct kvm_regs *regs = &state->regs;

	*r = (struct hypr_registers){
		.size = sizeof(*r),
		.rax = regs->rax, .rbx = regs->rbx, .rcx = regs->rcx, .rdx = regs->rdx,
		.rsi = regs->rsi, .rdi = regs->rdi, .rsp = regs->rsp, .rbp = regs->rbp,
		.r8 = regs->r8, .r9 = regs->r9, .r10 = regs->r10, .r11 = regs->r11,
		.r12 = regs->r12, .r13 = regs->r13, .r14 = regs->r14, .r15 = regs->r15,
		.rip = regs->rip, .rflags = regs->rflags,
		.cr0 = sregs->cr0, .cr2 = sregs->cr2, .cr3 = sregs->cr3, .cr4 = sregs->cr4,
		.cr8 = sregs->cr8, .efer = sregs->efer,
		.fs_base = sregs->fs.base, .gs_base = sregs->gs.base,
	};
}

static void take(const struct hypr_registers *r, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
	*regs = (struct kvm_regs){
		.rax = r->rax, .rbx = r->rbx, .rcx = r->rcx, .rdx = r->rdx,
		.rsi = r->rsi, .rdi = r->rdi, .rsp = r->rsp, .rbp = r->rbp,
		.r8 = r->r8, .r9 = r->r9, .r10 = r->r10, .r11 = r->r11,
		.r12 = r->r12, .r13 = r->r13, .r14 = r->r14, .r15 = r->r15,
		.rip = r->rip, .rflags = r->rflags,
	};
	sregs->cr0 = r->cr0;
	sregs->cr2 = r->cr2;
	sregs->cr3 = r->cr3;
	sregs->cr4 = r->cr4;
	sregs->cr8 = r->cr8;
	sregs->efer = r->efer;
	sregs->fs.base = r->fs_base;
	sregs->gs.base = r->gs_base;
}

struct setting {
	unsigned int vcpu;
	struct kvm_regs *regs;
	struct kvm_sregs *sregs;	/* NULL: the vCPU has these */
};

static int set(struct hypr_vcpu *vcpu, void *arg)
{
	const struct setting *setting = arg;

	if (vcpu->index != setting->vcpu)
		return 0;
	if (setting->sregs && ioctl(vcpu->fd, KVM_SET_SREGS, setting->sregs) < 0)
		return -errno;
	return ioctl(vcpu->fd, KVM_SET_REGS, setting->regs) < 0 ? -errno : 0;
}

static int set_locked(struct hypr_vm *vm, unsigned int vcpu, const struct hypr_registers *r)
{
	struct hypr_vcpu_state *state = &vm->active->state->vcpu[vcpu];
	struct kvm_sregs sregs = state->sregs;
	struct kvm_regs regs;
	struct setting setting = { vcpu, &regs, &sregs };
	struct setting old = { vcpu, &state->regs, &state->sregs };
	int ret;

	take(r, &regs, &sregs);
	if (!memcmp(&sregs, &state->sregs, sizeof(sregs)))
		setting.sregs = old.sregs = NULL;
	ret = hypr_vcpus_do(vm, set, &setting);
	if (ret == -ESHUTDOWN)
		return hypr_fail(ret, "the guest has ended");
	if (ret) {
		if (hypr_vcpus_do(vm, set, &old))
			hypr_vm_end(vm, true, "vCPU %u: its registers cannot be set again", vcpu);
		return hypr_fail(-EINVAL, "vCPU %u: KVM refuses these registers: %s", vcpu,
				 strerrorname_np(-ret));
	}
	state->regs = regs;
	state->sregs = sregs;
	/* A request that waits is served by the new tables. */
	vm->vcpu[vcpu].ask.sregs = sregs;
	return 0;
}

/* Return: 0 with op_lock held. */
static int begin(struct hypr_vm *vm, unsigned int vcpu, const struct hypr_registers *registers)
{
	int ret;

	if (registers->size != sizeof(*registers))
		return hypr_fail(-EINVAL, "struct hypr_registers of %u bytes is not known",
				 registers->size);
	ret = hypr_vm_op_begin(vm);
	if (ret)
		return ret;
	if (vcpu >= vm->nr_vcpus)
		ret = hypr_fail(-EINVAL, "the VM has no vCPU %u", vcpu);
	else if (!vm->paused)
		ret = hypr_fail(-EBUSY, "%s runs; pause it first", vm->name);
	if (ret)
		hypr_vm_op_end(vm);
	return ret;
}

int hypr_vcpu_get_registers(struct hypr_vm *vm, unsigned int vcpu,
			    struct hypr_registers *registers)
{
	int ret = begin(vm, vcpu, registers);

	if (ret)
		return ret;
	fill(&vm->active->state->vcpu[vcpu], registers);
	hypr_vm_op_end(vm);
	return 0;
}

int hypr_vcpu_set_registers(struct hypr_vm *vm, unsigned int vcpu,
			    const struct hypr_registers *registers)
{
	int ret = begin(vm, vcpu, registers);

	if (ret)
		return ret;
	if (registers->reserved)
		ret = hypr_fail(-EINVAL, "struct hypr_registers.reserved is not 0");
	else
		ret = set_locked(vm, vcpu, registers);
	hypr_vm_op_end(vm);
	return ret;
}
