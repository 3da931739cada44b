// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/hyprv: KVM's API, with KVM's numbers and structures, as far as docs/hyprv.md says.
 * Files: the device, a VM, a vCPU.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hyprv.h"
#include "vmx.h"

#define MSRS_MAX	256

static const struct file_operations vm_fops;

/* ---- vCPU: state ------------------------------------------------------------------------ */

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

static int supported_cpuid(struct kvm_cpuid2 __user *user)
{
	struct kvm_cpuid_entry2 *entries;
	struct kvm_cpuid2 head;
	int err;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	head.nent = min_t(u32, head.nent, HYPRV_CPUID_ENTRIES);
	entries = kcalloc(head.nent, sizeof(*entries), GFP_KERNEL);
	if (!entries)
		return -ENOMEM;
	err = cpuid_supported(entries, &head.nent);
	if (!err && (copy_to_user(user, &head, sizeof(head)) ||
		     copy_to_user(user->entries, entries, array_size(head.nent, sizeof(*entries)))))
		err = -EFAULT;
	kfree(entries);
	return err;
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

static int mp_state(void __user *user, bool write)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_RUNNABLE };

	if (!write)
		return put_user_struct(user, &state, sizeof(state));
	if (copy_from_user(&state, user, sizeof(state)))
		return -EFAULT;
	return state.mp_state == KVM_MP_STATE_RUNNABLE ? 0 : -EINVAL;
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
		return mp_state(user, false);
	case KVM_SET_MP_STATE:
		return mp_state(user, true);
	case KVM_GET_LAPIC:
	case KVM_SET_LAPIC:
		/* As KVM without a local APIC in the kernel. */
		return -EINVAL;
	}
	return -ENOTTY;
}

static long vcpu_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct vcpu *vcpu = file->private_data;
	long ret;

	if (vcpu->vm->mm != current->mm)
		return -EIO;
	if (mutex_lock_killable(&vcpu->lock))
		return -EINTR;
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

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
};

/* ---- VM ------------------------------------------------------------------------------------ */

void vm_put(struct vm *vm)
{
	u32 i;

	if (!refcount_dec_and_test(&vm->users))
		return;
	for (i = 0; i < HYPRV_MAX_VCPUS; i++)
		vcpu_destroy(vm->vcpu[i]);
	memory_fini(vm);
	mutex_destroy(&vm->lock);
	kvfree(vm);
	atomic_dec(&hypervisor.vms);
}

static int vm_create(unsigned long type)
{
	struct vm *vm;
	int fd;

	if (type)
		return -EINVAL;
	vm = kvzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return -ENOMEM;
	refcount_set(&vm->users, 1);
	mutex_init(&vm->lock);
	fd = memory_init(vm);
	if (fd) {
		kvfree(vm);
		return fd;
	}
	atomic_inc(&hypervisor.vms);
	fd = anon_inode_getfd("hyprv-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		vm_put(vm);
	return fd;
}

/* Under vm->lock only the place is taken: creation allocates. */
static int vcpu_add(struct vm *vm, unsigned long index)
{
	struct vcpu *vcpu;
	int fd;

	if (index >= HYPRV_MAX_VCPUS)
		return -EINVAL;
	vcpu = vcpu_create(vm, index);
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	mutex_lock(&vm->lock);
	if (vm->vcpu[index]) {
		mutex_unlock(&vm->lock);
		vcpu_destroy(vcpu);
		return -EEXIST;
	}
	vm->vcpu[index] = vcpu;
	mutex_unlock(&vm->lock);
	refcount_inc(&vm->users);
	fd = anon_inode_getfd("hyprv-vcpu", &vcpu_fops, vcpu, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		mutex_lock(&vm->lock);
		vm->vcpu[index] = NULL;
		mutex_unlock(&vm->lock);
		vcpu_destroy(vcpu);
		vm_put(vm);
	}
	return fd;
}

static int set_region(struct vm *vm, void __user *user)
{
	struct kvm_userspace_memory_region region;

	return copy_from_user(&region, user, sizeof(region)) ? -EFAULT :
							       memory_set_region(vm, &region);
}

static int check_extension(unsigned long extension)
{
	switch (extension) {
	case KVM_CAP_USER_MEMORY:
	case KVM_CAP_EXT_CPUID:
	case KVM_CAP_SYNC_MMU:
	case KVM_CAP_MP_STATE:
	case KVM_CAP_XSAVE:
	case KVM_CAP_READONLY_MEM:
	case KVM_CAP_IMMEDIATE_EXIT:
	case KVM_CAP_CHECK_EXTENSION_VM:
	case KVM_CAP_INTERNAL_ERROR_DATA:
	case KVM_CAP_DESTROY_MEMORY_REGION_WORKS:
		return 1;
	case KVM_CAP_NR_VCPUS:
		return num_online_cpus();
	case KVM_CAP_MAX_VCPUS:
	case KVM_CAP_MAX_VCPU_ID:
		return HYPRV_MAX_VCPUS;
	case KVM_CAP_NR_MEMSLOTS:
		return HYPRV_REGIONS;
	}
	return 0;
}

static long vm_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	struct vm *vm = file->private_data;

	if (vm->mm != current->mm)
		return -EIO;
	switch (request) {
	case KVM_CREATE_VCPU:
		return vcpu_add(vm, argument);
	case KVM_SET_USER_MEMORY_REGION:
		return set_region(vm, (void __user *)argument);
	case KVM_CHECK_EXTENSION:
		return check_extension(argument);
	}
	return -ENOTTY;
}

static int vm_release(struct inode *inode, struct file *file)
{
	vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vm_ioctl,
	.release = vm_release,
};

/* ---- the device -------------------------------------------------------------------------------- */

static long device_ioctl(struct file *file, unsigned int request, unsigned long argument)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return argument ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM:
		return vm_create(argument);
	case KVM_CHECK_EXTENSION:
		return check_extension(argument);
	case KVM_GET_VCPU_MMAP_SIZE:
		return argument ? -EINVAL : 2 * PAGE_SIZE;
	case KVM_GET_SUPPORTED_CPUID:
		return supported_cpuid((void __user *)argument);
	}
	return -ENOTTY;
}

static const struct file_operations device_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = device_ioctl,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "hyprv",
	.fops = &device_fops,
	.mode = 0600,
};

int device_init(struct hypervisor *hv)
{
	return misc_register(&device);
}

void device_fini(struct hypervisor *hv)
{
	misc_deregister(&device);
}
