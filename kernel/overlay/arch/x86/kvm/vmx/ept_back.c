// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: a guest asks to be put back to its moment, and the kernel does it.
 *
 * The guest's OUT is seen by a device on KVM's bus of ports, which reads the request and
 * remembers it.  In front of the next VM-entry the vCPU's own thread does the reset: it is
 * a swap as any other (ept_swap.c), by a thread that is one of those which the swap holds.
 * It goes to a second copy of the moment, if user space has one ready, and else copies back.
 *
 * What this file does not know, or cannot do, goes to user space as if there were no such
 * device: an unknown request as the exit that KVM makes of any OUT, a reset that failed as
 * the same exit with the instruction complete.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/eventfd.h>
#include <linux/mm.h>

#include <kvm/iodev.h>

#include <asm/tsc.h>

#include "mmu.h"
#include "x86.h"

#include "ept_trace.h"
#include "vmx_ept_swap.h"

/* Of both ports. */
#define HYPR_BACK_PORT_BYTES	(KVM_HYPR_REQUEST_PORT_VIRTUAL + 4 - KVM_HYPR_REQUEST_PORT)

/* ---- the request ----------------------------------------------------------------- */

/* By the vCPU's own tables, as its user program would write there. */
static bool hypr_back_translate(struct kvm_vcpu *vcpu, gpa_t *gpa)
{
	struct kvm_mmu *mmu = vcpu->arch.walk_mmu;
	struct x86_exception fault;

	if (!is_paging(vcpu))
		return false;
	*gpa = mmu->gva_to_gpa(vcpu, mmu, *gpa, PFERR_USER_MASK | PFERR_WRITE_MASK, &fault);
	return *gpa != INVALID_GPA;
}

/* The block is read once.  It does not cross a page. */
static bool hypr_back_read(struct kvm_vcpu *vcpu, gpa_t gpa, struct kvm_hypr_request *block)
{
	return gpa_to_gfn(gpa) != gpa_to_gfn(HYPR_CONTROL_GPA) &&
	       !kvm_vcpu_read_guest_page(vcpu, gpa_to_gfn(gpa), block, offset_in_page(gpa),
					 sizeof(*block));
}

/* An OUT: on the vCPU's thread, with kvm->srcu held. */
static int hypr_back_write(struct kvm_vcpu *vcpu, struct kvm_io_device *device, gpa_t port,
			   int len, const void *data)
{
	struct kvm_hypr *h = container_of(device, struct kvm_hypr, requests_device);
	struct kvm_hypr_request block;
	gpa_t gpa;
	u32 at;

	if (!READ_ONCE(h->requests->view) || len != sizeof(at) ||
	    (port != KVM_HYPR_REQUEST_PORT && port != KVM_HYPR_REQUEST_PORT_VIRTUAL))
		return -EOPNOTSUPP;
	memcpy(&at, data, sizeof(at));
	gpa = at;
	if (!IS_ALIGNED(at, KVM_HYPR_REQUEST_BYTES) ||
	    (port == KVM_HYPR_REQUEST_PORT_VIRTUAL && !hypr_back_translate(vcpu, &gpa)) ||
	    !hypr_back_read(vcpu, gpa, &block) ||
	    block.op != KVM_HYPR_REQUEST_BACK || block.reserved)
		return -EOPNOTSUPP;

	vcpu->arch.hypr.back_port = port;
	vcpu->arch.hypr.back_at = at;
	vcpu->arch.hypr.back_tsc = rdtsc();
	kvm_make_request(KVM_REQ_HYPR_BACK, vcpu);
	return 0;
}

static const struct kvm_io_device_ops hypr_back_ops = {
	.write = hypr_back_write,
};

/* ---- the reset ------------------------------------------------------------------- */

/* A vCPU that is neither does not come to the barrier: that needs no deadline to see. */
static bool hypr_back_can_hold(struct kvm_hypr *h)
{
	struct kvm_vcpu *vcpu;

	hypr_for_each_vcpu(vcpu, h) {
		if (!hypr_vcpu_comes_by(vcpu))
			return false;
	}
	return true;
}

/* Only the memory of the view that is left is lost, and only if all is there to go on with. */
static int hypr_back_swap(struct kvm *kvm, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	u32 spare = READ_ONCE(h->requests->spare);
	int r;

	if (spare && spare != kvm->arch.hypr.active) {
		swap->view = spare;
		swap->flags &= ~KVM_EPT_SWAP_RESET;
		r = hypr_swap_locked(kvm, swap);
		if (r != -ENOENT && r != -ENODATA && r != -ENXIO)
			return r;
	}
	swap->view = kvm->arch.hypr.active;
	swap->flags |= KVM_EPT_SWAP_RESET;
	return hypr_swap_locked(kvm, swap);
}

static int hypr_back_locked(struct kvm_vcpu *vcpu, struct kvm_hypr_swap *swap)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int r;

	lockdep_assert_held(&h->lock);

	hypr_vcpus_update(kvm);
	if (kvm->arch.hypr.active != READ_ONCE(h->requests->view))
		return -EPERM;
	if (!hypr_back_can_hold(h))
		return -EBUSY;
	h->asker = vcpu;
	r = hypr_back_swap(kvm, swap);
	h->asker = NULL;
	if (r)
		return r;
	WRITE_ONCE(h->requests->pages, h->requests->pages + swap->pages);
	WRITE_ONCE(h->requests->generation, h->generation);
	WRITE_ONCE(h->requests->cycles,
		   h->requests->cycles + rdtsc() - vcpu->arch.hypr.back_tsc);
	return 0;
}

static int hypr_back_once(struct kvm_vcpu *vcpu, struct kvm_hypr_swap *swap)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	int r;

	r = hypr_run_lock(vcpu, h->requests_timeout_ns);
	if (r)
		return r;
	WRITE_ONCE(h->requests->serving, 1);
	/* User space writes @view, and then looks at @serving. */
	smp_mb();
	r = hypr_back_locked(vcpu, swap);
	/* User space that finds 0 finds what was counted. */
	smp_store_release(&h->requests->serving, 0);
	if (r != -EPERM)
		hypr_stat_swap(vcpu->kvm, swap, r);
	if (!r)
		vcpu->kvm->stat.hypr.asked++;
	mutex_unlock(&h->lock);
	if (!r && !(swap->flags & KVM_EPT_SWAP_RESET) && h->requests_event)
		eventfd_signal(h->requests_event);
	return r;
}

static int hypr_back(struct kvm_vcpu *vcpu)
{
	struct kvm_hypr *h = vcpu->kvm->arch.hypr.vm;
	struct kvm_hypr_swap swap = {
		.flags = KVM_EPT_SWAP_STATE | KVM_EPT_SWAP_MOMENT | KVM_EPT_SWAP_FORCE |
			 KVM_EPT_SWAP_NOTIFY |
			 (hypr_has_board(vcpu->kvm) ? KVM_EPT_SWAP_BOARD : 0),
		.timeout_ns = h->requests_timeout_ns,
	};
	unsigned int tries = 0;
	int r;

	do {
		r = hypr_back_once(vcpu, &swap);
		if (r != -EFAULT)
			break;
		/* Pages of the moment are missing: nothing was done yet. */
		r = hypr_missing_fault_in(vcpu->kvm, swap.view, swap.timeout_ns, vcpu);
	} while (!r && ++tries < HYPR_RESET_TRIES);
	if (!r && tries == HYPR_RESET_TRIES)
		r = -EAGAIN;
	trace_kvm_hypr_back(vcpu, &swap, r);
	return r == -EINTR ? -ERESTART : r;
}

/* As KVM would have left it, but that the instruction is complete. */
static void hypr_back_to_user(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = KVM_EXIT_IO_OUT;
	run->io.size = sizeof(vcpu->arch.hypr.back_at);
	run->io.port = vcpu->arch.hypr.back_port;
	run->io.count = 1;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	memcpy(vcpu->arch.pio_data, &vcpu->arch.hypr.back_at, sizeof(vcpu->arch.hypr.back_at));
	atomic64_inc(&vcpu->kvm->stat.hypr.asked_user);
}

/**
 * kvm_hypr_vcpu_back() - put the VM back, as the guest of this vCPU has asked
 * @vcpu: in KVM_RUN, in front of VM-entry
 * @ret: filled if this function returns true
 *
 * Services KVM_REQ_HYPR_BACK, behind KVM_REQ_HYPR_VIEW.  Without kvm->srcu, which a change
 * of memslots may be waiting for.
 *
 * Return: false to go on to the guest; true: vcpu_enter_guest() must return @ret at once.
 */
bool kvm_hypr_vcpu_back(struct kvm_vcpu *vcpu, int *ret)
{
	int r;

	kvm_vcpu_srcu_read_unlock(vcpu);
	r = hypr_back(vcpu);
	kvm_vcpu_srcu_read_lock(vcpu);

	*ret = 1;
	if (!r)
		return vcpu->arch.mp_state == KVM_MP_STATE_HALTED;
	/* Unanswered: it is to park. */
	if (r == -ECANCELED)
		return false;
	if (r == -ERESTART) {
		/* vcpu_run() looks for signals. */
		kvm_make_request(KVM_REQ_HYPR_BACK, vcpu);
		return true;
	}
	hypr_back_to_user(vcpu);
	*ret = 0;
	return true;
}

/* ---- to allow it ----------------------------------------------------------------- */

/* Under kvm->slots_lock. */
static int hypr_requests_publish(struct kvm *kvm, struct page *page, struct eventfd_ctx *event,
				 u64 timeout_ns)
{
	struct kvm_hypr *h = kvm->arch.hypr.vm;
	int r;

	lockdep_assert_held(&kvm->slots_lock);

	if (h->requests_page)
		return -EEXIST;
	h->requests = page_address(page);
	h->requests_timeout_ns = timeout_ns ?: KVM_EPT_SWAP_TIMEOUT_DEFAULT_NS;
	h->requests_event = event;
	kvm_iodevice_init(&h->requests_device, &hypr_back_ops);
	r = kvm_io_bus_register_dev(kvm, KVM_PIO_BUS, KVM_HYPR_REQUEST_PORT,
				    HYPR_BACK_PORT_BYTES, &h->requests_device);
	if (!r)
		h->requests_page = page;
	return r;
}

/**
 * hypr_requests_set() - KVM_HYPR_SET_REQUESTS
 * @kvm: the VM
 * @arg: the caller has checked flags, reserved fields and the time
 *
 * Context: process context of the VM's mm.  Takes kvm->slots_lock.
 * Return: 0 or as struct kvm_hypr_requests says.
 */
long hypr_requests_set(struct kvm *kvm, const struct kvm_hypr_requests *arg)
{
	unsigned long hva = untagged_addr(arg->userspace_addr);
	struct eventfd_ctx *event = NULL;
	struct page *page;
	int r;

	if (!hva || !PAGE_ALIGNED(hva))
		return -EINVAL;
	if (arg->flags & KVM_HYPR_REQUESTS_EVENTFD)
		event = eventfd_ctx_fdget(arg->eventfd);
	if (IS_ERR(event))
		return PTR_ERR(event);
	r = -EFAULT;
	if (pin_user_pages_fast(hva, 1, FOLL_WRITE | FOLL_LONGTERM, &page) != 1)
		goto put_event;
	mutex_lock(&kvm->slots_lock);
	r = hypr_requests_publish(kvm, page, event, arg->timeout_ns);
	mutex_unlock(&kvm->slots_lock);
	if (!r)
		return 0;
	unpin_user_page(page);
put_event:
	if (event)
		eventfd_ctx_put(event);
	return r;
}
