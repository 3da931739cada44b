// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR's ioctls: the ABI is <linux/kvm_hypr.h>.  Here is the form of the arguments, and
 * who may ask.
 */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "hyprv.h"

#define SWAP_ALL_FLAGS	(KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_FLUSH | KVM_EPT_SWAP_EXPECT)
#define COMMIT_FLAGS	(SWAP_ALL_FLAGS | KVM_EPT_SWAP_VCPUS)

#define is_zero(field)	(!memchr_inv(field, 0, sizeof(field)))

static bool prepare_is_valid(const struct kvm_hypr_prepare *arg)
{
	u64 end;

	if ((arg->flags & ~KVM_HYPR_PREPARE_RANGE) || arg->reserved)
		return false;
	if (!(arg->flags & KVM_HYPR_PREPARE_RANGE))
		return !arg->gpa && !arg->size;
	return PAGE_ALIGNED(arg->gpa) && PAGE_ALIGNED(arg->size) && arg->size &&
	       !check_add_overflow(arg->gpa, arg->size, &end);
}

/* After an error too, the out fields go back: they say how far the build came. */
static long prepare(struct vm *vm, void __user *user)
{
	struct kvm_hypr_prepare arg;
	int err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (!prepare_is_valid(&arg))
		return -EINVAL;
	err = view_prepare(vm, &arg);
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : err;
}

/* A field whose flag is not set must be zero. */
static bool swap_is_valid(const struct kvm_hypr_swap *arg, u32 flags)
{
	if ((arg->flags & ~flags) || arg->pages ||
	    arg->timeout_ns > KVM_EPT_SWAP_TIMEOUT_MAX_NS)
		return false;
	if (!(arg->flags & KVM_EPT_SWAP_EXPECT) && arg->expected_view)
		return false;
	return !(arg->flags & KVM_EPT_SWAP_VCPUS) == !arg->vcpu_mask;
}

/* -EFAULT if the result cannot be written, also after a swap that happened. */
static long swap_ioctl(struct vm *vm, void __user *user, u32 flags)
{
	struct kvm_hypr_swap arg;
	int err;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (!swap_is_valid(&arg, flags))
		return -EINVAL;
	err = swap_views(vm, &arg);
	return copy_to_user(user, &arg, sizeof(arg)) ? -EFAULT : err;
}

static long discard(struct vm *vm, void __user *user)
{
	struct kvm_hypr_discard arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags || !is_zero(arg.reserved))
		return -EINVAL;
	return view_discard(vm, arg.view);
}

static long mark_edited(struct vm *vm, void __user *user)
{
	struct kvm_hypr_mark_edited arg;

	if (copy_from_user(&arg, user, sizeof(arg)))
		return -EFAULT;
	if (arg.flags || !is_zero(arg.reserved))
		return -EINVAL;
	return swap_mark_edited(vm, arg.view);
}

static long get_stats(struct vm *vm, void __user *user)
{
	struct kvm_hypr_stats *stats = kzalloc(sizeof(*stats), GFP_KERNEL);
	long err = 0;

	if (!stats)
		return -ENOMEM;
	if (mutex_lock_killable(&vm->swap_lock)) {
		kfree(stats);
		return -EINTR;
	}
	swap_stats(vm, stats);
	mutex_unlock(&vm->swap_lock);
	if (copy_to_user(user, stats, sizeof(*stats)))
		err = -EFAULT;
	kfree(stats);
	return err;
}

long view_vm_ioctl(struct vm *vm, unsigned int request, void __user *user)
{
	switch (request) {
	case KVM_PREPARE_EPT_SWAP:
		return vm->views ? prepare(vm, user) : -EINVAL;
	case KVM_COMMIT_EPT_SWAP:
		return vm->views ? swap_ioctl(vm, user, COMMIT_FLAGS) : -EINVAL;
	case KVM_EPT_SWAP_ALL:
		return vm->views ? swap_ioctl(vm, user, SWAP_ALL_FLAGS) : -EINVAL;
	case KVM_HYPR_DISCARD_VIEW:
		return vm->views ? discard(vm, user) : -EINVAL;
	case KVM_HYPR_MARK_EDITED:
		return vm->views ? mark_edited(vm, user) : -EINVAL;
	case KVM_HYPR_GET_STATS:
		return vm->views ? get_stats(vm, user) : -EINVAL;
	}
	return -ENOTTY;
}

/* An EPT pointer is an address of the host. */
long view_vcpu_ioctl(struct vcpu *vcpu, unsigned int request, void __user *user)
{
	struct kvm_hypr_eptp arg = {};
	int err;

	if (request != KVM_GET_EPTP && request != KVM_SET_EPTP)
		return -ENOTTY;
	if (!vcpu->vm->views)
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (request == KVM_GET_EPTP) {
		err = eptp_get(vcpu, &arg);
	} else {
		if (copy_from_user(&arg, user, sizeof(arg)))
			return -EFAULT;
		if (arg.flags || !is_zero(arg.reserved))
			return -EINVAL;
		err = eptp_set(vcpu, &arg);
	}
	if (!err && copy_to_user(user, &arg, sizeof(arg)))
		err = -EFAULT;
	return err;
}
