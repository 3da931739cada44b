// SPDX-License-Identifier: GPL-2.0-only
/* A vCPU's file: KVM's ioctls on vCPUs, and the pages shared with user space. */
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/tsc.h>

#include "apic.h"
#include "hyprv.h"

#define MSRS_MAX	256

/* ---- vCPU: state -------------------------------------------------------- */

static int put_user_struct(void __user *to, const void *from, size_t bytes)
{
	return copy_to_user(to, from, bytes) ? -EFAULT : 0;
}

static int get_regs(struct vcpu *vcpu, void __user *user)
{
	struct kvm_regs regs;
	int err = state_get_regs(vcpu, &regs);

	return err ? err : put_user_struct(user, &regs, sizeof(regs));
}

static int set_regs(struct vcpu *vcpu, void __user *user)
{
	struct kvm_regs regs;

	return copy_from_user(&regs, user, sizeof(regs)) ? -EFAULT :
							   state_set_regs(vcpu, &regs);
}

static int get_sregs(struct vcpu *vcpu, void __user *user)
{
	struct kvm_sregs *sregs = kzalloc(sizeof(*sregs), GFP_KERNEL);
	int err;

	if (!sregs)
		return -ENOMEM;
	err = state_get_sregs(vcpu, sregs);
	if (!err)
		err = put_user_struct(user, sregs, sizeof(*sregs));
	kfree(sregs);
	return err;
}

static int set_sregs(struct vcpu *vcpu, void __user *user)
{
	struct kvm_sregs *sregs = memdup_user(user, sizeof(*sregs));
	int err;

	if (IS_ERR(sregs))
		return PTR_ERR(sregs);
	err = state_set_sregs(vcpu, sregs);
	kfree(sregs);
	return err;
}

/* struct kvm_fpu is FXSAVE's image in another order. */
static int get_fpu(struct vcpu *vcpu, void __user *user)
{
	const struct fxregs_state *fx = &vcpu->fpu.fpstate->regs.fxsave;
	struct kvm_fpu fpu = {
		.fcw = fx->cwd, .fsw = fx->swd, .ftwx = fx->twd, .last_opcode = fx->fop,
		.last_ip = fx->rip, .last_dp = fx->rdp, .mxcsr = fx->mxcsr,
	};

	memcpy(fpu.fpr, fx->st_space, sizeof(fpu.fpr));
	memcpy(fpu.xmm, fx->xmm_space, sizeof(fpu.xmm));
	return put_user_struct(user, &fpu, sizeof(fpu));
}

static int set_fpu(struct vcpu *vcpu, void __user *user)
{
	union fpregs_state *regs = &vcpu->fpu.fpstate->regs;
	struct kvm_fpu fpu;

	if (copy_from_user(&fpu, user, sizeof(fpu)))
		return -EFAULT;
	/* FXRSTOR faults on a bit of MXCSR that the CPU lacks; bits 0 to 15 it has. */
	if (fpu.mxcsr >> 16)
		return -EINVAL;
	regs->fxsave.cwd = fpu.fcw;
	regs->fxsave.swd = fpu.fsw;
	regs->fxsave.twd = fpu.ftwx;
	regs->fxsave.fop = fpu.last_opcode;
	regs->fxsave.rip = fpu.last_ip;
	regs->fxsave.rdp = fpu.last_dp;
	regs->fxsave.mxcsr = fpu.mxcsr;
	memcpy(regs->fxsave.st_space, fpu.fpr, sizeof(fpu.fpr));
	memcpy(regs->fxsave.xmm_space, fpu.xmm, sizeof(fpu.xmm));
	if (hypervisor.xcr0)
		regs->xsave.header.xfeatures |= XFEATURE_MASK_FPSSE;
	return 0;
}

static int get_xsave(struct vcpu *vcpu, void __user *user)
{
	struct kvm_xsave *xsave = kzalloc(sizeof(*xsave), GFP_KERNEL);
	int err;

	if (!xsave)
		return -ENOMEM;
	fpu_copy_guest_fpstate_to_uabi(&vcpu->fpu, xsave, sizeof(*xsave),
				       hypervisor.xcr0 | XFEATURE_MASK_FPSSE, 0);
	err = put_user_struct(user, xsave, sizeof(*xsave));
	kfree(xsave);
	return err;
}

static int set_xsave(struct vcpu *vcpu, void __user *user)
{
	struct kvm_xsave *xsave = memdup_user(user, sizeof(*xsave));
	u32 pkru = 0;
	int err;

	if (IS_ERR(xsave))
		return PTR_ERR(xsave);
	err = fpu_copy_uabi_to_guest_fpstate(&vcpu->fpu, xsave,
					     hypervisor.xcr0 | XFEATURE_MASK_FPSSE, &pkru);
	kfree(xsave);
	return err;
}

/* How many were done: it ends at the first one that is refused. */
static int msrs_do(struct vcpu *vcpu, struct kvm_msr_entry *entry, u32 count, bool write)
{
	u32 i;
	int err = vmcs_get(vcpu);

	if (err)
		return err;
	for (i = 0; i < count; i++) {
		err = write ? msr_write(vcpu, entry[i].index, entry[i].data, true) :
			      msr_read(vcpu, entry[i].index, &entry[i].data);
		if (err)
			break;
	}
	vmcs_put(vcpu);
	return i;
}

static int msrs(struct vcpu *vcpu, struct kvm_msrs __user *user, bool write)
{
	struct kvm_msr_entry *entry;
	struct kvm_msrs head;
	int done;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs > MSRS_MAX)
		return -E2BIG;
	entry = memdup_user(user->entries, array_size(head.nmsrs, sizeof(*entry)));
	if (IS_ERR(entry))
		return PTR_ERR(entry);
	done = msrs_do(vcpu, entry, head.nmsrs, write);
	if (done > 0 && !write &&
	    copy_to_user(user->entries, entry, array_size(done, sizeof(*entry))))
		done = -EFAULT;
	kfree(entry);
	return done;
}

static int set_cpuid(struct vcpu *vcpu, struct kvm_cpuid2 __user *user)
{
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid2 head;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nent > HYPRV_CPUID_ENTRIES)
		return -E2BIG;
	entries = vmemdup_user(user->entries, array_size(head.nent, sizeof(*entries)));
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	kvfree(vcpu->cpuid);
	vcpu->cpuid = entries;
	vcpu->cpuids = head.nent;
	return 0;
}

static int get_cpuid(struct vcpu *vcpu, struct kvm_cpuid2 __user *user)
{
	struct kvm_cpuid2 head;
	u32 room;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	room = head.nent;
	head.nent = vcpu->cpuids;
	if (copy_to_user(user, &head, sizeof(head)))
		return -EFAULT;
	if (room < vcpu->cpuids)
		return -E2BIG;
	return put_user_struct(user->entries, vcpu->cpuid,
			       array_size(vcpu->cpuids, sizeof(*vcpu->cpuid)));
}

static int set_interrupt(struct vcpu *vcpu, void __user *user)
{
	struct kvm_interrupt interrupt;

	if (copy_from_user(&interrupt, user, sizeof(interrupt)))
		return -EFAULT;
	if (interrupt.irq > 255)
		return -EINVAL;
	if (vcpu->interrupt >= 0)
		return -EEXIST;
	vcpu->interrupt = interrupt.irq;
	return 0;
}

static int get_mp_state(struct vcpu *vcpu, void __user *user)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	int err = vcpu->apic ? apic_get_activity(vcpu, &state.mp_state) : 0;

	return err ? err : put_user_struct(user, &state, sizeof(state));
}

static int set_mp_state(struct vcpu *vcpu, void __user *user)
{
	struct kvm_mp_state state;

	if (copy_from_user(&state, user, sizeof(state)))
		return -EFAULT;
	if (vcpu->apic)
		return apic_set_activity(vcpu, state.mp_state);
	return state.mp_state == KVM_MP_STATE_RUNNABLE ? 0 : -EINVAL;
}

static int get_lapic(struct vcpu *vcpu, void __user *user)
{
	struct kvm_lapic_state *state = kmalloc(sizeof(*state), GFP_KERNEL);
	int err;

	if (!state)
		return -ENOMEM;
	err = apic_get_state(vcpu, state);
	if (!err)
		err = put_user_struct(user, state, sizeof(*state));
	kfree(state);
	return err;
}

static int set_lapic(struct vcpu *vcpu, void __user *user)
{
	struct kvm_lapic_state *state = memdup_user(user, sizeof(*state));
	int err;

	if (IS_ERR(state))
		return PTR_ERR(state);
	err = apic_set_state(vcpu, state);
	kfree(state);
	return err;
}

static int get_events(struct vcpu *vcpu, void __user *user)
{
	struct kvm_vcpu_events events;
	int err = state_get_events(vcpu, &events);

	return err ? err : put_user_struct(user, &events, sizeof(events));
}

static int set_events(struct vcpu *vcpu, void __user *user)
{
	struct kvm_vcpu_events events;

	return copy_from_user(&events, user, sizeof(events)) ? -EFAULT :
							       state_set_events(vcpu, &events);
}

static int get_debug(struct vcpu *vcpu, void __user *user)
{
	struct kvm_debugregs regs;
	int err = state_get_debug(vcpu, &regs);

	return err ? err : put_user_struct(user, &regs, sizeof(regs));
}

static int set_debug(struct vcpu *vcpu, void __user *user)
{
	struct kvm_debugregs regs;

	return copy_from_user(&regs, user, sizeof(regs)) ? -EFAULT : state_set_debug(vcpu, &regs);
}

static int get_xcrs(struct vcpu *vcpu, void __user *user)
{
	struct kvm_xcrs xcrs;

	state_get_xcrs(vcpu, &xcrs);
	return put_user_struct(user, &xcrs, sizeof(xcrs));
}

static int set_xcrs(struct vcpu *vcpu, void __user *user)
{
	struct kvm_xcrs xcrs;

	return copy_from_user(&xcrs, user, sizeof(xcrs)) ? -EFAULT : state_set_xcrs(vcpu, &xcrs);
}

static int attribute(struct vcpu *vcpu, unsigned int request, void __user *user)
{
	struct kvm_device_attr attr;

	return copy_from_user(&attr, user, sizeof(attr)) ? -EFAULT :
							   state_attribute(vcpu, request, &attr);
}

static long vcpu_do(struct vcpu *vcpu, unsigned int request, unsigned long argument)
{
	void __user *user = (void __user *)argument;

	switch (request) {
	case KVM_RUN:
		return argument ? -EINVAL : vcpu_run(vcpu);
	case KVM_GET_REGS:
		return get_regs(vcpu, user);
	case KVM_SET_REGS:
		return set_regs(vcpu, user);
	case KVM_GET_SREGS:
		return get_sregs(vcpu, user);
	case KVM_SET_SREGS:
		return set_sregs(vcpu, user);
	case KVM_GET_FPU:
		return get_fpu(vcpu, user);
	case KVM_SET_FPU:
		return set_fpu(vcpu, user);
	case KVM_GET_XSAVE:
		return get_xsave(vcpu, user);
	case KVM_SET_XSAVE:
		return set_xsave(vcpu, user);
	case KVM_GET_MSRS:
		return msrs(vcpu, user, false);
	case KVM_SET_MSRS:
		return msrs(vcpu, user, true);
	case KVM_SET_CPUID2:
		return set_cpuid(vcpu, user);
	case KVM_GET_CPUID2:
		return get_cpuid(vcpu, user);
	case KVM_INTERRUPT:
		return set_interrupt(vcpu, user);
	case KVM_GET_MP_STATE:
		return get_mp_state(vcpu, user);
	case KVM_SET_MP_STATE:
		return set_mp_state(vcpu, user);
	case KVM_GET_LAPIC:
		return vcpu->apic ? get_lapic(vcpu, user) : -EINVAL;
	case KVM_SET_LAPIC:
		return vcpu->apic ? set_lapic(vcpu, user) : -EINVAL;
	case KVM_GET_VCPU_EVENTS:
		return get_events(vcpu, user);
	case KVM_SET_VCPU_EVENTS:
		return set_events(vcpu, user);
	case KVM_GET_DEBUGREGS:
		return get_debug(vcpu, user);
	case KVM_SET_DEBUGREGS:
		return set_debug(vcpu, user);
	case KVM_GET_XCRS:
		return get_xcrs(vcpu, user);
	case KVM_SET_XCRS:
		return set_xcrs(vcpu, user);
	case KVM_GET_TSC_KHZ:
		return tsc_khz;
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_SET_DEVICE_ATTR:
		return attribute(vcpu, request, user);
	}
	return view_vcpu_ioctl(vcpu, request, user);
}

/* KVM_RUN has the barrier in front of the guest.  Other ioctls may look at guest memory. */
static int swap_wait(struct vcpu *vcpu)
{
	int err = 0;

	/* It leaves the old view when the instruction is complete. */
	if (vcpu->wait != WAIT_NOTHING)
		return 0;
	while (!err && !swap_pass(vcpu))
		err = swap_sleep(vcpu, true);
	return err;
}

static long vcpu_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct vcpu *vcpu = file->private_data;
	long ret;

	if (vcpu->vm->mm != current->mm)
		return -EIO;
	if (mutex_lock_killable(&vcpu->lock))
		return -EINTR;
	ret = request == KVM_RUN ? 0 : swap_wait(vcpu);
	if (!ret)
		ret = vcpu_do(vcpu, request, argument);
	mutex_unlock(&vcpu->lock);
	return ret;
}

/* Two pages: struct kvm_run and the data of I/O. */
static vm_fault_t vcpu_fault(struct vm_fault *fault)
{
	struct vcpu *vcpu = fault->vma->vm_file->private_data;
	void *page = fault->pgoff == 0 ? (void *)vcpu->run : fault->pgoff == 1 ? vcpu->data : NULL;

	if (!page)
		return VM_FAULT_SIGBUS;
	fault->page = virt_to_page(page);
	get_page(fault->page);
	return 0;
}

static const struct vm_operations_struct vcpu_vm_ops = { .fault = vcpu_fault };

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &vcpu_vm_ops;
	return 0;
}

/* The vCPU stays with its VM: only the file goes. */
static int vcpu_release(struct inode *inode, struct file *file)
{
	struct vcpu *vcpu = file->private_data;

	vm_put(vcpu->vm);
	return 0;
}

const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
};
