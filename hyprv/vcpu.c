// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a vCPU, and its run: enter the guest, handle the exit, again, until user
 * space has to do something.
 */
#include <linux/bitmap.h>
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/fpu/xcr.h>

#include "apic.h"
#include "hyprv.h"
#include "vmx.h"

#define VPID_COUNT	BIT(16)

/* ---- for all vCPUs ------------------------------------------------------ */

int vcpus_init(struct hypervisor *hv)
{
	hv->msr_bitmap = page_take(hv, -1);
	hv->vpid = bitmap_zalloc(VPID_COUNT, GFP_KERNEL);
	if (!hv->msr_bitmap || !hv->vpid) {
		vcpus_fini(hv);
		return -ENOMEM;
	}
	mutex_init(&hv->vpid_lock);
	__set_bit(0, hv->vpid);
	msr_bitmap_fill(hv->msr_bitmap);
	hv->xcr0 = boot_cpu_has(X86_FEATURE_XSAVE) ?
		   xgetbv(XCR_XFEATURE_ENABLED_MASK) &
		   (XFEATURE_MASK_FPSSE | XFEATURE_MASK_YMM | XFEATURE_MASK_AVX512) : 0;
	return 0;
}

void vcpus_fini(struct hypervisor *hv)
{
	bitmap_free(hv->vpid);
	hv->vpid = NULL;
	page_give(hv, hv->msr_bitmap);
	hv->msr_bitmap = NULL;
}

static u16 vpid_get(void)
{
	u64 vpid;

	mutex_lock(&hypervisor.vpid_lock);
	vpid = find_first_zero_bit(hypervisor.vpid, VPID_COUNT);
	if (vpid < VPID_COUNT)
		__set_bit(vpid, hypervisor.vpid);
	mutex_unlock(&hypervisor.vpid_lock);
	return vpid < VPID_COUNT ? vpid : 0;
}

static void flush_vpid(void *vpid)
{
	const struct tlb_decision decision = {
		.flush = TLB_INVVPID_CONTEXT, .vpid = (uintptr_t)vpid,
	};

	if (!this_cpu_read(hypervisor.cpu->on))
		return;
	flush_count(FLUSH_VPID);
	WARN_ON_ONCE(flush_tlb(&hypervisor.tlb, NULL, &decision));
}

/* The next vCPU with this VPID finds nothing of this one. */
static void vpid_put(u16 vpid)
{
	if (!vpid)
		return;
	on_each_cpu(flush_vpid, (void *)(uintptr_t)vpid, 1);
	mutex_lock(&hypervisor.vpid_lock);
	__clear_bit(vpid, hypervisor.vpid);
	mutex_unlock(&hypervisor.vpid_lock);
}

/* ---- one vCPU ----------------------------------------------------------- */

struct vcpu *vcpu_create(struct vm *vm, u32 index)
{
	struct vcpu *vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	int err = -ENOMEM;

	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	mutex_init(&vcpu->lock);
	INIT_LIST_HEAD(&vcpu->on_cpu);
	vcpu->vm = vm;
	vcpu->index = index;
	vcpu->cpu = -1;
	vcpu->interrupt = -1;
	vcpu->dr6 = DR6_RESERVED;
	vcpu->dr7 = DR7_FIXED_1;
	vcpu->xcr0 = hypervisor.xcr0 ? XFEATURE_MASK_FP : 0;
	vcpu->apic_base = 0xfee00800 | (index ? 0 : 0x100);
	vcpu->view = vm->view[KVM_HYPR_VIEW_BOOT];
	vcpu->vmcs = page_take(&hypervisor, -1);
	vcpu->msrs = page_take(&hypervisor, -1);
	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	vcpu->data = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->vmcs || !vcpu->msrs || !vcpu->run || !vcpu->data)
		goto fail;
	vcpu->vpid = vpid_get();
	if (!vcpu->vpid || !fpu_alloc_guest_fpstate(&vcpu->fpu))
		goto fail;
	if (vm->shadow && paging_create(vcpu))
		goto fail;
	msr_page_fill(vcpu->msrs);
	err = vmcs_setup(vcpu);
	if (!err && READ_ONCE(vm->apics))
		err = apic_create(vcpu);
	if (err)
		goto fail;
	return vcpu;

fail:
	vcpu_destroy(vcpu);
	return ERR_PTR(err);
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu)
		return;
	apic_destroy(vcpu);
	vmcs_clear(vcpu);
	vpid_put(vcpu->vpid);
	paging_destroy(vcpu);
	fpu_free_guest_fpstate(&vcpu->fpu);
	kvfree(vcpu->cpuid);
	free_page((unsigned long)vcpu->data);
	free_page((unsigned long)vcpu->run);
	page_give(&hypervisor, vcpu->msrs);
	page_give(&hypervisor, vcpu->vmcs);
	kfree(vcpu);
}

/* ---- run ---------------------------------------------------------------- */

static void run_leave(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (vmcs_get(vcpu))
		return;
	run->if_flag = !!(vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF);
	run->ready_for_interrupt_injection = vcpu->interrupt < 0 && !vcpu->event &&
					     vcpu_takes_interrupts();
	vmcs_put(vcpu);
	run->cr8 = apic_cr8(vcpu);
	run->apic_base = vcpu->apic_base;
}

/* One turn: until something must sleep, or user space must look. */
static int turn(struct vcpu *vcpu)
{
	bool loaded = true;
	int ret = vcpu->paging ? paging_store_fill(vcpu->vm) : 0;

	if (!ret)
		ret = vmcs_get(vcpu);
	if (ret)
		return ret;
	for (;;) {
		if (!swap_pass(vcpu)) {
			vmcs_put(vcpu);
			ret = swap_sleep(vcpu, false);
			return ret ? ret : -EAGAIN;
		}
		/* First: INIT is another mode. */
		if (vcpu->apic && !apic_sync(vcpu)) {
			ret = 1;
			break;
		}
		ret = view_load(vcpu);
		if (ret <= 0)
			break;
		ret = vcpu_enter(vcpu);
		/* A swap came in between. */
		if (ret == -EAGAIN && swap_is_asked(vcpu))
			continue;
		if (vcpu->paging && ret != -EAGAIN)
			paging_exited(vcpu);
		if (ret <= 0)
			break;
		ret = exit_handle(vcpu, &loaded);
		if (ret <= 0 || !loaded)
			break;
	}
	if (loaded)
		vmcs_put(vcpu);
	return ret;
}

int vcpu_run(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	int ret;

	ret = exit_complete(vcpu);
	if (ret)
		return ret;
	if (!vcpu->apic)
		vcpu->cr8 = run->cr8 & 0xf;
	run->exit_reason = KVM_EXIT_UNKNOWN;
	fpu_swap_kvm_fpstate(&vcpu->fpu, true);
	for (;;) {
		if (vcpu_thread_must_leave() || READ_ONCE(run->immediate_exit__unsafe)) {
			ret = -EINTR;
			break;
		}
		/* Another vCPU's report ends this one too. */
		if (READ_ONCE(vcpu->vm->dead)) {
			ret = -EIO;
			break;
		}
		cond_resched();
		ret = apic_is_idle(vcpu) ? apic_wait(vcpu) : turn(vcpu);
		if (ret == -EAGAIN && raw_cpu_read(hypervisor.cpu->on))
			continue;
		if (ret <= 0)
			break;
	}
	fpu_swap_kvm_fpstate(&vcpu->fpu, false);
	if (ret == -EINTR)
		run->exit_reason = KVM_EXIT_INTR;
	run_leave(vcpu);
	return ret;
}
