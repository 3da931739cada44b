// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a vCPU, and its run: enter the guest, handle the exit, again, until user
 * space has to do something.
 */
#include <linux/bitmap.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/task_work.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/fpu/xcr.h>
#include <asm/mce.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>

#include "apic.h"
#include "hyprv.h"
#include "vmx.h"

#define VPID_COUNT	BIT(16)

int hyprv_enter(u64 *regs, bool launched);

/* ---- for all vCPUs ------------------------------------------------------ */

int vcpus_init(struct hypervisor *hv)
{
	hv->msr_bitmap = pool_page_get(&hv->pool);
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
	pool_page_put(&hv->pool, hv->msr_bitmap);
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

	if (this_cpu_read(hypervisor.cpu->on))
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

static void *page_get(void)
{
	void *page = pool_page_get(&hypervisor.pool);

	return page ? memset(page, 0, PAGE_SIZE) : NULL;
}

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
	vcpu->vmcs = page_get();
	vcpu->msrs = page_get();
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
	pool_page_put(&hypervisor.pool, vcpu->msrs);
	pool_page_put(&hypervisor.pool, vcpu->vmcs);
	kfree(vcpu);
}

/* ---- events for the guest ----------------------------------------------- */

static bool interrupts_allowed(void)
{
	return (vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF) &&
	       !(vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS));
}

static void window_set(struct vcpu *vcpu, bool wanted)
{
	u32 controls = vcpu->cpu_controls & ~CPU_INTERRUPT_WINDOW;

	if (wanted)
		controls |= CPU_INTERRUPT_WINDOW;
	if (controls == vcpu->cpu_controls)
		return;
	vcpu->cpu_controls = controls;
	vmcs_write(VMCS_CPU_CONTROLS, controls);
}

/* User space's, or else the APIC's. */
static int interrupt_next(struct vcpu *vcpu)
{
	return vcpu->interrupt >= 0 || !vcpu->apic ? vcpu->interrupt : apic_next(vcpu);
}

static void interrupt_take(struct vcpu *vcpu, u8 vector)
{
	vcpu->event = EVENT_VALID | EVENT_EXTERNAL | vector;
	if (vcpu->interrupt >= 0)
		vcpu->interrupt = -1;
	else
		apic_take(vcpu, vector);
}

/* An event that was under way comes first; an interrupt waits until the guest takes it. */
static void event_write(struct vcpu *vcpu)
{
	bool window = vcpu->run->request_interrupt_window;
	int vector = interrupt_next(vcpu);

	if (vector >= 0 && !vcpu->event && interrupts_allowed()) {
		interrupt_take(vcpu, vector);
		vector = interrupt_next(vcpu);
	}
	window_set(vcpu, window || vector >= 0);
	if (!vcpu->event)
		return;
	vmcs_write(VMCS_ENTRY_EVENT, vcpu->event);
	if (vcpu->event & EVENT_HAS_ERROR)
		vmcs_write(VMCS_ENTRY_EVENT_ERROR, vcpu->event_error);
	vmcs_write(VMCS_ENTRY_INSTRUCTION_BYTES, vcpu->event_bytes);
	vcpu->event = 0;
}

/* An exit in the midst of an event's delivery: it is delivered again. */
static void event_recover(struct vcpu *vcpu)
{
	u32 event = vmcs_read(VMCS_VECTORING_EVENT);

	if (!(event & EVENT_VALID))
		return;
	vcpu->event = event & (EVENT_VALID | EVENT_HAS_ERROR | EVENT_TYPE | EVENT_VECTOR);
	vcpu->event_error = vmcs_read(VMCS_VECTORING_EVENT_ERROR);
	vcpu->event_bytes = vmcs_read(VMCS_EXIT_INSTRUCTION_BYTES);
}

/* ---- from host to guest and back ---------------------------------------- */

struct host_segments {
	u16 ds, es, fs, gs, ldt;
	u64 fs_base;
	u64 kernel_gs_base;
	u64 debugctl;
};

/* With interrupts off.  What differs between threads, or may change at any time. */
static void host_save(struct vcpu *vcpu, struct host_segments *host)
{
	u64 cr3 = __get_current_cr3_fast(), cr4 = cr4_read_shadow();

	savesegment(ds, host->ds);
	savesegment(es, host->es);
	savesegment(fs, host->fs);
	savesegment(gs, host->gs);
	store_ldt(host->ldt);
	rdmsrl(MSR_FS_BASE, host->fs_base);
	rdmsrl(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
	/* A VM exit clears it. */
	host->debugctl = get_debugctlmsr();
	vcpu->msrs->host[SWITCHED_KERNEL_GS].value = host->kernel_gs_base;
	vmcs_write(VMCS_HOST_FS_BASE, host->fs_base);
	if (cr3 != vcpu->host_cr3) {
		vmcs_write(VMCS_HOST_CR3, cr3);
		vcpu->host_cr3 = cr3;
	}
	if (cr4 != vcpu->host_cr4) {
		vmcs_write(VMCS_HOST_CR4, cr4);
		vcpu->host_cr4 = cr4;
	}
}

/* A 64-bit thread has null selectors, which a VM exit leaves as they are. */
static void host_load(const struct host_segments *host)
{
	if (unlikely(host->debugctl))
		update_debugctlmsr(host->debugctl);
	if (unlikely(host->ldt))
		load_ldt(host->ldt);
	if (unlikely(host->ds | host->es)) {
		loadsegment(ds, host->ds);
		loadsegment(es, host->es);
	}
	if (unlikely(host->fs)) {
		loadsegment(fs, host->fs);
		wrmsrl(MSR_FS_BASE, host->fs_base);
	}
	if (unlikely(host->gs)) {
		load_gs_index(host->gs);
		wrmsrl(MSR_KERNEL_GS_BASE, host->kernel_gs_base);
	}
}

static void guest_load(struct vcpu *vcpu)
{
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	if (hypervisor.xcr0 && vcpu->xcr0 != xgetbv(XCR_XFEATURE_ENABLED_MASK))
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->xcr0);
	if (unlikely(vcpu->dr7 & 0xff)) {
		/* The host's breakpoints must not be at the guest's addresses. */
		set_debugreg(DR7_FIXED_1, 7);
		set_debugreg(vcpu->dr[0], 0);
		set_debugreg(vcpu->dr[1], 1);
		set_debugreg(vcpu->dr[2], 2);
		set_debugreg(vcpu->dr[3], 3);
	}
	native_write_cr2(vcpu->cr2);
}

/* A VM exit has set DR7 to a value that breaks nowhere. */
static void guest_save(struct vcpu *vcpu, u64 host_xcr0)
{
	vcpu->cr2 = native_read_cr2();
	if (hypervisor.xcr0 && vcpu->xcr0 != host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, host_xcr0);
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
}

static void exit_read(struct vcpu *vcpu)
{
	struct vcpu_exit *exit = &vcpu->exit;

	exit->reason = vmcs_read(VMCS_EXIT_REASON);
	exit->basic = exit->reason & 0xffff;
	exit->qualification = vmcs_read(VMCS_EXIT_QUALIFICATION);
	exit->rip = vmcs_read(VMCS_GUEST_RIP);
	exit->bytes = vmcs_read(VMCS_EXIT_INSTRUCTION_BYTES);
	exit->event = vmcs_read(VMCS_EXIT_EVENT);
	exit->event_error = vmcs_read(VMCS_EXIT_EVENT_ERROR);
	exit->gpa = vmcs_read(VMCS_GUEST_PHYSICAL_ADDRESS);
	if (exit->basic < HYPRV_EXIT_REASONS)
		this_cpu_inc(hypervisor.cpu->exits[exit->basic]);
}

static int entry_failed(struct vcpu *vcpu, u64 reason)
{
	struct kvm_run *run = vcpu->run;

	vmcs_explain(vcpu);
	run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	run->fail_entry.hardware_entry_failure_reason = reason;
	run->fail_entry.cpu = smp_processor_id();
	return 0;
}

/* As if it came in user mode: the host survives what this thread can do without. */
static void machine_check(void)
{
	struct pt_regs regs = { .cs = 3, .flags = X86_EFLAGS_IF };

	if (IS_ENABLED(CONFIG_X86_MCE))
		do_machine_check(&regs);
}

/* The host's handlers see an NMI and a machine check as if there were no guest. */
static void host_event(struct vcpu *vcpu)
{
	const struct vcpu_exit *exit = &vcpu->exit;
	bool event = exit->basic == 0 && (exit->event & EVENT_VALID);

	if (event && (exit->event & EVENT_TYPE) == EVENT_NMI)
		asm volatile("int $2");
	else if (exit->basic == 41 || (event && (exit->event & EVENT_VECTOR) == 18))
		machine_check();
}

/*
 * A limit of CPU time comes as task work, which user space's border does.  The self test
 * has no such border until the module is loaded: work would end its guests for good.
 */
static bool thread_must_leave(void)
{
	return signal_pending(current) ||
	       (task_work_pending(current) && THIS_MODULE->state != MODULE_STATE_COMING);
}

/* 1: the guest ran and exited; 0: user space must look; -errno.  The VMCS is current. */
static int enter(struct vcpu *vcpu)
{
	struct host_segments host;
	u64 host_xcr0 = 0;
	int failed;

	event_write(vcpu);
	local_irq_disable();
	if (thread_must_leave() || need_resched() ||
	    READ_ONCE(vcpu->run->immediate_exit__unsafe) || READ_ONCE(vcpu->vm->dead) ||
	    !this_cpu_read(hypervisor.cpu->on) || swap_is_asked(vcpu) ||
	    (vcpu->paging && paging_is_stale(vcpu)) || apic_is_posted(vcpu)) {
		vcpu->event = vmcs_read(VMCS_ENTRY_EVENT);
		if (vcpu->event & EVENT_VALID)
			vmcs_write(VMCS_ENTRY_EVENT, 0);
		else
			vcpu->event = 0;
		local_irq_enable();
		return -EAGAIN;
	}
	if (hypervisor.xcr0)
		host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	host_save(vcpu, &host);
	guest_load(vcpu);
	this_cpu_inc(hypervisor.cpu->entries);
	vcpu->entered = true;
	if (hypervisor.l1d_flush)
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	failed = hyprv_enter(vcpu->regs, vcpu->launched);
	guest_save(vcpu, host_xcr0);
	host_load(&host);
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
	if (unlikely(failed)) {
		u64 error = vmcs_read(VMCS_INSTRUCTION_ERROR);

		local_irq_enable();
		return entry_failed(vcpu, error);
	}
	exit_read(vcpu);
	host_event(vcpu);
	/* The interrupt that ended the guest's turn comes here. */
	local_irq_enable();
	if (unlikely(vcpu->exit.reason & BIT(31)))
		return entry_failed(vcpu, vcpu->exit.reason);
	vcpu->launched = true;
	event_recover(vcpu);
	return 1;
}

/* ---- run ---------------------------------------------------------------- */

static void run_leave(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (vmcs_get(vcpu))
		return;
	run->if_flag = !!(vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF);
	run->ready_for_interrupt_injection = vcpu->interrupt < 0 && !vcpu->event &&
					     interrupts_allowed();
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
		ret = enter(vcpu);
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
		if (thread_must_leave() || READ_ONCE(run->immediate_exit__unsafe)) {
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
