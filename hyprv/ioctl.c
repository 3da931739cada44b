// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/hyprv: KVM's API, with KVM's numbers and structures, as far as docs/hyprv.md says.
 * Files: the device and VMs here, vCPUs in ioctl_vcpu.c.
 */
#include <linux/anon_inodes.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "abi.h"
#include "apic.h"
#include "hyprv.h"

static const struct file_operations vm_fops;

/* ---- VM ---------------------------------------------------------------- */

void vm_put(struct vm *vm)
{
	u32 i;

	if (!refcount_dec_and_test(&vm->users))
		return;
	for (i = 0; i < vm->vcpus; i++)
		vcpu_destroy(vm->vcpu[i]);
	memory_fini(vm);
	mutex_destroy(&vm->swap_lock);
	mutex_destroy(&vm->build_lock);
	kvfree(vm);
	atomic_dec(&hypervisor.vms);
}

struct vm *vm_new(bool shadow)
{
	struct vm *vm = kvzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	int err;

	if (!vm)
		return ERR_PTR(-ENOMEM);
	refcount_set(&vm->users, 1);
	vm->shadow = shadow;
	spin_lock_init(&vm->lock);
	mutex_init(&vm->build_lock);
	mutex_init(&vm->swap_lock);
	init_waitqueue_head(&vm->barrier);
	err = memory_init(vm);
	if (err) {
		kvfree(vm);
		return ERR_PTR(err);
	}
	atomic_inc(&hypervisor.vms);
	return vm;
}

static int vm_create(unsigned long type)
{
	bool shadow = type ? type == HYPRV_VM_SHADOW : hypervisor.shadow;
	struct vm *vm;
	int fd;

	if (type && type != HYPRV_VM_EPT && type != HYPRV_VM_SHADOW)
		return -EINVAL;
	if (shadow ? hypervisor.no_shadow : hypervisor.no_ept)
		return -EOPNOTSUPP;
	vm = vm_new(shadow);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = anon_inode_getfd("hyprv-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		vm_put(vm);
	return fd;
}

static int vcpu_add(struct vm *vm, unsigned long index)
{
	struct vcpu *vcpu;
	int fd;

	if (index >= HYPRV_MAX_VCPUS)
		return -EINVAL;
	vcpu = vcpu_create(vm, index);
	if (IS_ERR(vcpu))
		return PTR_ERR(vcpu);
	fd = swap_add(vm, vcpu);
	if (fd) {
		vcpu_destroy(vcpu);
		return fd;
	}
	refcount_inc(&vm->users);
	fd = anon_inode_getfd("hyprv-vcpu", &vcpu_fops, vcpu, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		swap_remove(vm, vcpu);
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

static int enable_cap(struct vm *vm, void __user *user)
{
	struct kvm_enable_cap cap;

	if (copy_from_user(&cap, user, sizeof(cap)))
		return -EFAULT;
	switch (cap.cap) {
	case KVM_CAP_HYPR_EPT_SWAP:
		return views_enable(vm, &cap);
	case KVM_CAP_SPLIT_IRQCHIP:
		return apics_enable(vm, &cap);
	}
	return -EINVAL;
}

static int signal_msi(struct vm *vm, void __user *user)
{
	struct kvm_msi msi;

	return copy_from_user(&msi, user, sizeof(msi)) ? -EFAULT : apic_signal_msi(vm, &msi);
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
	case KVM_CAP_ENABLE_CAP_VM:
	case KVM_CAP_SPLIT_IRQCHIP:
	case KVM_CAP_SIGNAL_MSI:
	case KVM_CAP_VCPU_EVENTS:
	case KVM_CAP_DEBUGREGS:
	case KVM_CAP_XCRS:
	case KVM_CAP_GET_TSC_KHZ:
	case KVM_CAP_VCPU_ATTRIBUTES:
		return 1;
	case KVM_CAP_NR_VCPUS:
		return num_online_cpus();
	case KVM_CAP_MAX_VCPUS:
	case KVM_CAP_MAX_VCPU_ID:
		return HYPRV_MAX_VCPUS;
	case KVM_CAP_NR_MEMSLOTS:
		return HYPRV_REGIONS;
	case KVM_CAP_HYPR_EPT_SWAP:
		return KVM_HYPR_MAX_VIEWS - KVM_HYPR_VIEW_FIRST;
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
	case KVM_ENABLE_CAP:
		return enable_cap(vm, (void __user *)argument);
	case KVM_CHECK_EXTENSION:
		return check_extension(argument);
	case KVM_SIGNAL_MSI:
		return signal_msi(vm, (void __user *)argument);
	}
	return view_vm_ioctl(vm, request, (void __user *)argument);
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

/* ---- the device --------------------------------------------------------- */

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
		     copy_to_user(user->entries, entries,
				  array_size(head.nent, sizeof(*entries)))))
		err = -EFAULT;
	kfree(entries);
	return err;
}

static int msr_index_list(struct kvm_msr_list __user *user)
{
	u32 index[MSR_LIST_MAX], room, count = msr_list(index);

	if (get_user(room, &user->nmsrs) || put_user(count, &user->nmsrs))
		return -EFAULT;
	if (room < count)
		return -E2BIG;
	return copy_to_user(user->indices, index, array_size(count, sizeof(*index))) ? -EFAULT : 0;
}

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
	case KVM_GET_MSR_INDEX_LIST:
		return msr_index_list((void __user *)argument);
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
