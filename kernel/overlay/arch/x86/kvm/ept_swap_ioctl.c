// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: the ioctls.  They copy the arguments, check their form and the
 * caller's rights, and call vmx/.  The ABI is <uapi/linux/kvm_hypr.h>.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitmap.h>
#include <linux/capability.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "vmx/vmx_ept_swap.h"

/*
 * An EPTP is a host physical address: it shows where the kernel's tables are.
 * Swaps by view number need no such right.
 */
static bool ept_swap_unprivileged;
module_param(ept_swap_unprivileged, bool, 0644);
MODULE_PARM_DESC(ept_swap_unprivileged,
		 "Let a VM's owner use KVM_GET_EPTP and KVM_SET_EPTP without CAP_SYS_ADMIN");

#define HYPR_SWAP_FLAGS							\
	(KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_FLUSH | KVM_EPT_SWAP_EXPECT)
#define HYPR_COMMIT_FLAGS	(HYPR_SWAP_FLAGS | KVM_EPT_SWAP_VCPUS)
#define HYPR_SWAP_ALL_FLAGS						\
	(HYPR_SWAP_FLAGS | KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME |	\
	 KVM_EPT_SWAP_STATE | KVM_EPT_SWAP_MOMENT | KVM_EPT_SWAP_BOARD |	\
	 KVM_EPT_SWAP_NOTIFY | KVM_EPT_SWAP_RESET)

#define reserved_is_zero(field)	(!memchr_inv(field, 0, sizeof(field)))

/* Page-aligned and not empty, and its end is an address. */
static bool hypr_range_is_valid(u64 gpa, u64 size)
{
	u64 end;

	return PAGE_ALIGNED(gpa) && PAGE_ALIGNED(size) && size &&
	       !check_add_overflow(gpa, size, &end);
}

static bool hypr_prepare_is_valid(const struct kvm_hypr_prepare *arg)
{
	if ((arg->flags & ~KVM_HYPR_PREPARE_RANGE) || arg->reserved)
		return false;
	if (arg->flags & KVM_HYPR_PREPARE_RANGE)
		return hypr_range_is_valid(arg->gpa, arg->size);
	return !arg->gpa && !arg->size;
}

/* After an error too, the out fields go back: they say how far the build came. */
static long hypr_ioctl_prepare(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_prepare arg;
	int r;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (!hypr_prepare_is_valid(&arg))
		return -EINVAL;

	r = hypr_view_prepare(kvm, &arg);
	if (copy_to_user(argp, &arg, sizeof(arg)))
		r = -EFAULT;
	return r;
}

/* A field whose flag is not set must be zero. */
static bool hypr_swap_is_valid(const struct kvm_hypr_swap *arg, u32 flags)
{
	if ((arg->flags & ~flags) || arg->pages ||
	    arg->timeout_ns > KVM_EPT_SWAP_TIMEOUT_MAX_NS)
		return false;
	if (!(arg->flags & KVM_EPT_SWAP_EXPECT) && arg->expected_view)
		return false;
	if ((arg->flags & KVM_EPT_SWAP_STATE) && (arg->flags & KVM_EPT_SWAP_RESUME) &&
	    !(arg->flags & KVM_EPT_SWAP_BOARD))
		return false;
	if ((arg->flags & (KVM_EPT_SWAP_MOMENT | KVM_EPT_SWAP_BOARD | KVM_EPT_SWAP_NOTIFY)) &&
	    !(arg->flags & KVM_EPT_SWAP_STATE))
		return false;
	/* The state that the vCPUs left goes with memory that is gone. */
	if ((arg->flags & KVM_EPT_SWAP_RESET) && (arg->flags & KVM_EPT_SWAP_STATE) &&
	    !(arg->flags & KVM_EPT_SWAP_MOMENT))
		return false;
	return !(arg->flags & KVM_EPT_SWAP_VCPUS) == !arg->vcpu_mask;
}

static_assert(sizeof(struct kvm_hypr_swap) % sizeof(u64) == 0);

#define HYPR_SWAP_WORDS	(sizeof(struct kvm_hypr_swap) / sizeof(u64))

/*
 * copy_from_user() and copy_to_user() take REP MOVSB for so many bytes, which is slow to
 * begin.  Faults are injected here as there.
 */
static int hypr_swap_get(struct kvm_hypr_swap *arg, const u64 __user *from)
{
	u64 *to = (u64 *)arg;
	unsigned int i;

	if (should_fail_usercopy() || !user_read_access_begin(from, sizeof(*arg)))
		return -EFAULT;
	for (i = 0; i < HYPR_SWAP_WORDS; i++)
		unsafe_get_user(to[i], &from[i], fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

static int hypr_swap_put(u64 __user *to, const struct kvm_hypr_swap *arg)
{
	const u64 *from = (const u64 *)arg;
	unsigned int i;

	if (should_fail_usercopy() || !user_write_access_begin(to, sizeof(*arg)))
		return -EFAULT;
	for (i = 0; i < HYPR_SWAP_WORDS; i++)
		unsafe_put_user(from[i], &to[i], fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

/*
 * After an error too, the out fields go back: the old view, and how long the pause
 * was.  If they cannot be written, the result is -EFAULT even for a swap that
 * happened: the caller reads the active view with KVM_GET_EPTP.
 */
static long hypr_ioctl_swap(struct kvm *kvm, void __user *argp, u32 flags)
{
	struct kvm_hypr_swap arg;
	int r;

	if (hypr_swap_get(&arg, argp))
		return -EFAULT;
	if (!hypr_swap_is_valid(&arg, flags))
		return -EINVAL;

	r = hypr_swap(kvm, &arg);
	if (hypr_swap_put(argp, &arg))
		r = -EFAULT;
	return r;
}

static long hypr_ioctl_discard(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_discard arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (arg.flags || !reserved_is_zero(arg.reserved))
		return -EINVAL;
	return hypr_view_discard(kvm, arg.view);
}

static long hypr_ioctl_mark_edited(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_mark_edited arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (arg.flags || !reserved_is_zero(arg.reserved))
		return -EINVAL;
	return hypr_view_mark_edited(kvm, arg.view);
}

static long hypr_ioctl_control(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_control arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (arg.flags || arg.reserved0 || !reserved_is_zero(arg.reserved))
		return -EINVAL;
	return hypr_control_register(kvm, &arg);
}

static long hypr_ioctl_stats(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_stats *stats;
	long r;

	stats = kzalloc(sizeof(*stats), GFP_KERNEL_ACCOUNT);
	if (!stats)
		return -ENOMEM;
	r = hypr_stats_get(kvm, stats);
	if (!r && copy_to_user(argp, stats, sizeof(*stats)))
		r = -EFAULT;
	kfree(stats);
	return r;
}

static long hypr_ioctl_cache(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_cache arg;
	int r;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if ((arg.flags & ~KVM_HYPR_CACHE_GET) || !reserved_is_zero(arg.reserved))
		return -EINVAL;

	r = hypr_cache_set(kvm, &arg);
	if (!r && copy_to_user(argp, &arg, sizeof(arg)))
		r = -EFAULT;
	return r;
}

static long hypr_ioctl_pin(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_pin arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if ((arg.flags & ~KVM_HYPR_PIN_UNPIN) || !reserved_is_zero(arg.reserved))
		return -EINVAL;
	return hypr_view_pin(kvm, arg.view, !(arg.flags & KVM_HYPR_PIN_UNPIN));
}

static long hypr_ioctl_written(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_written arg;
	unsigned long *bitmap;
	size_t bytes;
	long r;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (arg.flags || !reserved_is_zero(arg.reserved) || !arg.nr_pages ||
	    arg.nr_pages % BITS_PER_LONG ||
	    arg.nr_pages > KVM_HYPR_WRITTEN_MAX_PAGES)
		return -EINVAL;

	bytes = arg.nr_pages / BITS_PER_BYTE;
	bitmap = kvzalloc(bytes, GFP_KERNEL_ACCOUNT);
	if (!bitmap)
		return -ENOMEM;
	r = hypr_view_written(kvm, arg.view, arg.nr_pages, bitmap);
	if (r)
		goto free;
	arg.pages = bitmap_weight(bitmap, arg.nr_pages);
	if (copy_to_user(u64_to_user_ptr(arg.bitmap), bitmap, bytes) ||
	    copy_to_user(argp, &arg, sizeof(arg))) {
		kvm_hypr_note_written(kvm, arg.view, 0, arg.nr_pages);
		r = -EFAULT;
	}
free:
	kvfree(bitmap);
	return r;
}

/* After an error the out fields are not filled. */
static long hypr_ioctl_get_state(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_state arg;
	long r;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if ((arg.flags & ~KVM_HYPR_KEPT_MOMENT) || !reserved_is_zero(arg.reserved))
		return -EINVAL;
	r = hypr_kept_get(kvm, &arg);
	if (!r && copy_to_user(argp, &arg, sizeof(arg)))
		r = -EFAULT;
	return r;
}

static long hypr_ioctl_keep_board(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_keep_board arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if ((arg.flags & ~KVM_HYPR_KEPT_MOMENT) || !reserved_is_zero(arg.reserved))
		return -EINVAL;
	return hypr_board_keep(kvm, &arg);
}

static long hypr_ioctl_get_board(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_board arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if ((arg.flags & ~KVM_HYPR_KEPT_MOMENT) || !reserved_is_zero(arg.reserved))
		return -EINVAL;
	return hypr_board_get(kvm, &arg);
}

static long hypr_ioctl_keep_state(struct kvm_vcpu *vcpu, void __user *argp)
{
	struct kvm_hypr_keep arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if ((arg.flags & ~KVM_HYPR_KEPT_MOMENT) || !reserved_is_zero(arg.reserved))
		return -EINVAL;
	return hypr_kept_keep(vcpu, &arg);
}

static long hypr_ioctl_copy(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_copy arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (((arg.flags | arg.from_flags) & ~KVM_HYPR_KEPT_MOMENT) ||
	    !reserved_is_zero(arg.reserved))
		return -EINVAL;
	return hypr_kept_copy_to(kvm, &arg);
}

static long hypr_ioctl_moment(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_moment arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if ((arg.flags & ~KVM_HYPR_MOMENT_MAP) || !reserved_is_zero(arg.reserved))
		return -EINVAL;
	return hypr_moment_set(kvm, &arg);
}

static long hypr_ioctl_requests(struct kvm *kvm, void __user *argp)
{
	struct kvm_hypr_requests arg;

	if (copy_from_user(&arg, argp, sizeof(arg)))
		return -EFAULT;
	if (arg.timeout_ns > KVM_EPT_SWAP_TIMEOUT_MAX_NS ||
	    (arg.flags & ~KVM_HYPR_REQUESTS_EVENTFD) ||
	    (!arg.flags && arg.eventfd) || arg.reserved)
		return -EINVAL;
	return hypr_requests_set(kvm, &arg);
}

/*
 * Return: -ENOTTY for a number that is not HYPR's, -EINVAL if the VM has not
 * enabled KVM_CAP_HYPR_EPT_SWAP.
 */
static int hypr_vm_ioctl(struct kvm *kvm, unsigned int ioctl, unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (ioctl) {
	case KVM_PREPARE_EPT_SWAP:
	case KVM_COMMIT_EPT_SWAP:
	case KVM_EPT_SWAP_ALL:
	case KVM_HYPR_DISCARD_VIEW:
	case KVM_HYPR_SET_CONTROL_PAGE:
	case KVM_HYPR_GET_STATS:
	case KVM_HYPR_SET_CACHE:
	case KVM_HYPR_PIN_VIEW:
	case KVM_HYPR_MARK_EDITED:
	case KVM_HYPR_GET_WRITTEN:
	case KVM_HYPR_GET_STATE:
	case KVM_HYPR_KEEP_BOARD:
	case KVM_HYPR_GET_BOARD:
	case KVM_HYPR_SET_MOMENT:
	case KVM_HYPR_COPY_STATE:
	case KVM_HYPR_SET_REQUESTS:
		break;
	default:
		return -ENOTTY;
	}

	if (!kvm->arch.hypr.vm)
		return -EINVAL;

	switch (ioctl) {
	case KVM_PREPARE_EPT_SWAP:
		return hypr_ioctl_prepare(kvm, argp);
	case KVM_COMMIT_EPT_SWAP:
		return hypr_ioctl_swap(kvm, argp, HYPR_COMMIT_FLAGS);
	case KVM_EPT_SWAP_ALL:
		return hypr_ioctl_swap(kvm, argp, HYPR_SWAP_ALL_FLAGS);
	case KVM_HYPR_DISCARD_VIEW:
		return hypr_ioctl_discard(kvm, argp);
	case KVM_HYPR_GET_STATS:
		return hypr_ioctl_stats(kvm, argp);
	case KVM_HYPR_SET_CACHE:
		return hypr_ioctl_cache(kvm, argp);
	case KVM_HYPR_PIN_VIEW:
		return hypr_ioctl_pin(kvm, argp);
	case KVM_HYPR_MARK_EDITED:
		return hypr_ioctl_mark_edited(kvm, argp);
	case KVM_HYPR_GET_WRITTEN:
		return hypr_ioctl_written(kvm, argp);
	case KVM_HYPR_GET_STATE:
		return hypr_ioctl_get_state(kvm, argp);
	case KVM_HYPR_KEEP_BOARD:
		return hypr_ioctl_keep_board(kvm, argp);
	case KVM_HYPR_GET_BOARD:
		return hypr_ioctl_get_board(kvm, argp);
	case KVM_HYPR_SET_MOMENT:
		return hypr_ioctl_moment(kvm, argp);
	case KVM_HYPR_COPY_STATE:
		return hypr_ioctl_copy(kvm, argp);
	case KVM_HYPR_SET_REQUESTS:
		return hypr_ioctl_requests(kvm, argp);
	default:
		return hypr_ioctl_control(kvm, argp);
	}
}

/**
 * kvm_hypr_vm_ioctl() - before KVM looks at an ioctl on the VM fd
 * @kvm: the VM
 * @ioctl: number
 * @arg: user pointer
 * @ret: what the ioctl returns, filled if this function returns true
 *
 * Return: true if there is nothing left to do for KVM: the ioctl is HYPR's own, or
 * is refused with -EINVAL.
 */
bool kvm_hypr_vm_ioctl(struct kvm *kvm, unsigned int ioctl, unsigned long arg,
		       int *ret)
{
	*ret = hypr_vm_ioctl(kvm, ioctl, arg);
	if (*ret != -ENOTTY)
		return true;
	*ret = -EINVAL;
	return hypr_refuses_vm_ioctl(ioctl) && !kvm_hypr_claim_other(kvm);
}

/**
 * kvm_hypr_enable_cap() - before KVM looks at KVM_ENABLE_CAP on the VM fd
 * @kvm: the VM
 * @cap: as user space passed it
 * @ret: what the ioctl returns, filled if this function returns true
 *
 * Return: as kvm_hypr_vm_ioctl().
 */
bool kvm_hypr_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap, int *ret)
{
	if (hypr_refuses_vm_cap(cap->cap)) {
		*ret = -EINVAL;
		return !kvm_hypr_claim_other(kvm);
	}
	if (cap->cap != KVM_CAP_HYPR_EPT_SWAP)
		return false;
	*ret = hypr_enable(kvm, cap);
	return true;
}

/**
 * kvm_hypr_vcpu_ioctl() - ioctls on the vCPU fd
 * @vcpu: loaded, its mutex is held
 * @ioctl: number
 * @arg: user pointer
 *
 * Return: -EINVAL for a number that is not HYPR's, as KVM answers here, and if
 * the VM has not enabled KVM_CAP_HYPR_EPT_SWAP; -EPERM without CAP_SYS_ADMIN, unless the
 * module parameter ept_swap_unprivileged opens EPTPs to the VM's owner.
 */
long kvm_hypr_vcpu_ioctl(struct kvm_vcpu *vcpu, unsigned int ioctl,
			 unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	struct kvm_hypr_eptp eptp = { 0 };
	int r;

	if (!vcpu->kvm->arch.hypr.vm)
		return -EINVAL;
	if (ioctl == KVM_HYPR_KEEP_STATE)
		return hypr_ioctl_keep_state(vcpu, argp);
	if (ioctl != KVM_GET_EPTP && ioctl != KVM_SET_EPTP)
		return -EINVAL;
	if (!READ_ONCE(ept_swap_unprivileged) && !capable(CAP_SYS_ADMIN))
		return -EPERM;

	if (ioctl == KVM_GET_EPTP) {
		r = hypr_vcpu_get_eptp(vcpu, &eptp);
	} else {
		if (copy_from_user(&eptp, argp, sizeof(eptp)))
			return -EFAULT;
		if (eptp.flags || !reserved_is_zero(eptp.reserved))
			return -EINVAL;
		r = hypr_vcpu_set_eptp(vcpu, &eptp);
	}
	if (!r && copy_to_user(argp, &eptp, sizeof(eptp)))
		r = -EFAULT;
	return r;
}
