// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM with views: enable them, destroy them, and meet the vCPUs that come.
 */
#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/string.h>

#include "vmx_ept_swap.h"

/* As kvm_create_vm() does it for the address spaces that every VM has. */
static void hypr_init_memslots(struct kvm *kvm)
{
	struct kvm_memslots *slots;
	int i, j;

	for (i = KVM_HYPR_VIEW_FIRST; i < KVM_HYPR_MAX_VIEWS; i++) {
		for (j = 0; j < 2; j++) {
			slots = &kvm->__memslots[i][j];
			atomic_long_set(&slots->last_used_slot, 0);
			slots->hva_tree = RB_ROOT_CACHED;
			slots->gfn_tree = RB_ROOT;
			hash_init(slots->id_hash);
			slots->node_idx = j;
			slots->generation = i;
		}
		rcu_assign_pointer(kvm->memslots[i], &kvm->__memslots[i][0]);
	}
}

static struct kvm_hypr *hypr_create(struct kvm *kvm)
{
	struct kvm_hypr *h;

	h = hypr_shrinker_join(kvm);
	if (!h)
		return NULL;

	h->builder = hypr_builder_create(kvm);
	if (!h->builder) {
		hypr_shrinker_leave(h);
		return NULL;
	}
	mutex_init(&h->lock);
	mutex_init(&h->build_lock);
	init_waitqueue_head(&h->wq);
	INIT_LIST_HEAD(&h->vcpus);
	INIT_LIST_HEAD(&h->kept);
	return h;
}

/**
 * hypr_enable() - KVM_ENABLE_CAP(KVM_CAP_HYPR_EPT_SWAP)
 * @kvm: the VM
 * @cap: as user space passed it
 *
 * User space enables views before the first memslot (a slot that is gone counts)
 * and the first vCPU, because the number of address spaces is part of the memslot
 * generation.
 *
 * Return: 0; -EINVAL if it is too late, if the VM has views already, or if this VM
 * or host cannot have them (hypr_vm_claim()); -ENOMEM.
 */
int hypr_enable(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	struct kvm_hypr *h;
	int r;

	if (cap->flags || memchr_inv(cap->args, 0, sizeof(cap->args)) ||
	    !kvm_hypr_nr_views(kvm))
		return -EINVAL;

	h = hypr_create(kvm);
	if (!h)
		return -ENOMEM;

	mutex_lock(&kvm->lock);
	mutex_lock(&kvm->slots_lock);
	r = hypr_vm_claim(kvm);
	if (!r) {
		hypr_init_memslots(kvm);
		/* Notifiers and others read it without slots_lock. */
		smp_store_release(&kvm->arch.hypr.nr_as_ids, KVM_HYPR_MAX_VIEWS);
		kvm->arch.disabled_quirks |= KVM_X86_QUIRK_SLOT_ZAP_ALL;
		/* @h is complete before an ioctl on another thread sees it. */
		smp_store_release(&kvm->arch.hypr.vm, h);
	}
	mutex_unlock(&kvm->slots_lock);
	mutex_unlock(&kvm->lock);

	if (!r)
		return 0;

	hypr_builder_destroy(h->builder);
	hypr_shrinker_leave(h);
	return r;
}

/* There is no bus any more. */
static void hypr_requests_release(struct kvm_hypr *h)
{
	if (!h->requests_page)
		return;
	unpin_user_pages_dirty_lock(&h->requests_page, 1, true);
	if (h->requests_event)
		eventfd_ctx_put(h->requests_event);
}

/**
 * kvm_hypr_destroy_vm() - undo hypr_enable() and all that came after it
 * @kvm: a VM that nobody can reach any more; its vCPUs are gone
 */
void kvm_hypr_destroy_vm(struct kvm *kvm)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;

	if (!h)
		return;
	hypr_control_release(h);
	hypr_requests_release(h);
	hypr_builder_destroy(h->builder);
	hypr_kept_free(h);
	hypr_boards_free(h);
	hypr_moments_free(h);
	hypr_notes_free(h);
	kvm->arch.hypr.vm = NULL;
	hypr_shrinker_leave(h);
}

/**
 * hypr_vcpus_update() - meet the vCPUs that came since the last time
 * @kvm: the VM
 *
 * vCPUs only come, and vcpu_idx counts them.  Each vCPU starts in the active view.
 * From here on swaps know the vCPU.  Before, it can do nothing: the first ioctl on
 * it comes by here too (hypr_vcpu_meet()).  So a swap that is under way has a new
 * vCPU or does not have it, however other code finds the vCPU.
 *
 * Context: kvm_hypr.lock held.
 */
void hypr_vcpus_update(struct kvm *kvm)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	struct kvm_vcpu *vcpu;

	lockdep_assert_held(&h->lock);

	while (h->nr_vcpus < atomic_read(&kvm->online_vcpus)) {
		vcpu = kvm_get_vcpu(kvm, h->nr_vcpus);
		WRITE_ONCE(vcpu->arch.hypr.next, kvm->arch.hypr.active);
		kvm_make_request(KVM_REQ_HYPR_VIEW, vcpu);
		list_add_tail(&vcpu->arch.hypr.node, &h->vcpus);
		if (!h->nr_vcpus)
			WRITE_ONCE(h->first, vcpu);
		h->nr_vcpus++;
		/* Pairs with the acquire in kvm_hypr_vcpu_ioctl_begin(). */
		smp_store_release(&vcpu->arch.hypr.met, true);
	}
}

/**
 * hypr_vcpu_meet() - the first ioctl on a vCPU
 * @vcpu: its mutex held by this thread; KVM_CREATE_VCPU may not have returned yet
 *
 * Return: 0; -EINTR a fatal signal; -EAGAIN it has a file descriptor, and is not yet one of the
 * VM's: user space has guessed.
 */
int hypr_vcpu_meet(struct kvm_vcpu *vcpu)
{
	int r;

	r = hypr_vcpu_lock(vcpu);
	if (r)
		return r;
	hypr_vcpus_update(vcpu->kvm);
	mutex_unlock(&vcpu->kvm->arch.hypr.vm->lock);
	return vcpu->arch.hypr.met ? 0 : -EAGAIN;
}
