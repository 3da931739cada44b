// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vCPU's VMCS: which CPU has it, its controls, and the host's state in it.
 *
 * Between vmcs_get() and vmcs_put() preemption is off and the VMCS is current.  A VMCS
 * is active on at most one CPU: whoever moves it has the old CPU clear it first (SDM
 * volume 3C, "Software Use of Virtual-Machine Control Structures").
 */
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/debugreg.h>
#include <asm/mmu_context.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/tlbflush.h>
#include <asm/tsc.h>

#include "hyprv.h"
#include "vmcs_check.h"
#include "vmx.h"

void hyprv_exit_point(void);

/* ---- which CPU has it --------------------------------------------------- */

/* With interrupts off, on the CPU where it is active. */
static void clear_here(struct hypervisor_cpu *cpu, struct vcpu *vcpu)
{
	vmx_clear(plat_virt_to_hpa(vcpu->vmcs).addr);
	if (cpu->current_vcpu == vcpu)
		cpu->current_vcpu = NULL;
	list_del_init(&vcpu->on_cpu);
	vcpu->launched = false;
	WRITE_ONCE(vcpu->cpu, -1);
}

/* The CPU may have cleared it in the meantime, when it went offline. */
static void clear_ipi(void *data)
{
	struct vcpu *vcpu = data;
	unsigned long flags;

	local_irq_save(flags);
	if (vcpu->cpu == smp_processor_id())
		clear_here(this_cpu_ptr(hypervisor.cpu), vcpu);
	local_irq_restore(flags);
}

void vmcs_clear_cpu(struct hypervisor_cpu *cpu)
{
	struct vcpu *vcpu, *next;

	list_for_each_entry_safe(vcpu, next, &cpu->loaded, on_cpu)
		clear_here(cpu, vcpu);
}

void vmcs_clear(struct vcpu *vcpu)
{
	int cpu = READ_ONCE(vcpu->cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, clear_ipi, vcpu, 1);
}

/* The linear translations of this vCPU, on this CPU. */
static void flush(struct vcpu *vcpu, bool moved)
{
	u64 eptp = vcpu->view->eptp;
	const struct tlb_facts facts = {
		.tag = vcpu->paging ? TLB_TAG_ASID : TLB_TAG_ROOT,
		.edit = moved ? TLB_EDIT_NONE : TLB_EDIT_CONTEXT,
		.moved = moved,
		.vpid = vcpu->vpid,
		.root = hypr_hpa(eptp & PAGE_MASK),
		.can = hypervisor.can.ept_vpid,
	};
	const struct tlb_decision decision = tlb_decide(&facts);

	flush_count(moved ? FLUSH_MOVED : FLUSH_STATE);
	WARN_ON_ONCE(flush_tlb(&hypervisor.tlb, &eptp, &decision));
}

void vmcs_flush(struct vcpu *vcpu)
{
	flush(vcpu, false);
}

/* ---- the host's state --------------------------------------------------- */

/* What differs between CPUs. */
static void host_of_cpu_write(struct vcpu *vcpu, int cpu)
{
	u64 value;

	vmcs_write(VMCS_HOST_TR_BASE, (uintptr_t)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmcs_write(VMCS_HOST_GDTR_BASE, (uintptr_t)get_cpu_gdt_ro(cpu));
	rdmsrl(MSR_GS_BASE, value);
	vmcs_write(VMCS_HOST_GS_BASE, value);
	rdmsrl(MSR_IA32_SYSENTER_ESP, value);
	vmcs_write(VMCS_HOST_SYSENTER_ESP, value);
	vmcs_write(VMCS_VPID, vcpu->vpid);
	if (boot_cpu_has(X86_FEATURE_RDTSCP))
		rdmsrl(MSR_TSC_AUX, vcpu->msrs->host[SWITCHED_TSC_AUX].value);
	vcpu->host_cr3 = 0;
}

static void host_write(void)
{
	struct desc_ptr idt;
	u64 value;

	vmcs_write(VMCS_HOST_CR0, read_cr0());
	store_idt(&idt);
	vmcs_write(VMCS_HOST_IDTR_BASE, idt.address);
	vmcs_write(VMCS_HOST_CS_SELECTOR, __KERNEL_CS);
	vmcs_write(VMCS_HOST_SS_SELECTOR, __KERNEL_DS);
	vmcs_write(VMCS_HOST_DS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_ES_SELECTOR, 0);
	vmcs_write(VMCS_HOST_FS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_GS_SELECTOR, 0);
	vmcs_write(VMCS_HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	rdmsrl(MSR_IA32_CR_PAT, value);
	vmcs_write(VMCS_HOST_PAT, value);
	rdmsrl(MSR_EFER, value);
	vmcs_write(VMCS_HOST_EFER, value);
	rdmsrl(MSR_IA32_SYSENTER_CS, value);
	vmcs_write(VMCS_HOST_SYSENTER_CS, value);
	rdmsrl(MSR_IA32_SYSENTER_EIP, value);
	vmcs_write(VMCS_HOST_SYSENTER_EIP, value);
	vmcs_write(VMCS_HOST_RIP, (uintptr_t)hyprv_exit_point);
}

int vmcs_get(struct vcpu *vcpu)
{
	struct hypervisor_cpu *cpu;
	int number, err = 0;
	bool moved;

	might_sleep();
	preempt_disable();
	number = smp_processor_id();
	cpu = this_cpu_ptr(hypervisor.cpu);
	if (vcpu->cpu != number)
		vmcs_clear(vcpu);
	local_irq_disable();
	if (!cpu->on) {
		err = -EAGAIN;
		goto fail;
	}
	moved = vcpu->cpu != number;
	if (moved) {
		err = vmx_clear(plat_virt_to_hpa(vcpu->vmcs).addr);
		vcpu->launched = false;
	}
	if (!err && cpu->current_vcpu != vcpu) {
		/* The branches of one vCPU are not another's. */
		indirect_branch_prediction_barrier();
		err = vmx_load(plat_virt_to_hpa(vcpu->vmcs).addr);
	}
	if (err)
		goto fail;
	cpu->current_vcpu = vcpu;
	if (moved) {
		list_add(&vcpu->on_cpu, &cpu->loaded);
		WRITE_ONCE(vcpu->cpu, number);
	}
	local_irq_enable();
	if (moved) {
		/* view_load() runs once more: whoever edits the tables flushes this CPU too. */
		vcpu->loaded = NULL;
		host_of_cpu_write(vcpu, number);
		flush(vcpu, true);
	}
	return 0;

fail:
	local_irq_enable();
	preempt_enable();
	return err;
}

/* A VM exit leaves wide limits in GDTR and a short one in TR. */
void vmcs_put(struct vcpu *vcpu)
{
	if (vcpu->entered) {
		load_fixmap_gdt(smp_processor_id());
		invalidate_tss_limit();
		vcpu->entered = false;
	}
	preempt_enable();
}

/* ---- a new vCPU --------------------------------------------------------- */

static void controls_write(struct vcpu *vcpu)
{
	const struct vmx_capabilities *can = &hypervisor.can;
	u32 pin, cpu2;

	pin = vmx_controls_choose(can->pin, PIN_EXTERNAL_INTERRUPT | PIN_NMI |
				  PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER);
	vcpu->cpu_controls = vmx_controls_choose(can->cpu, CPU_TSC_OFFSETTING | CPU_HLT |
		CPU_MWAIT | CPU_MONITOR | CPU_RDPMC | CPU_CR8_LOAD | CPU_CR8_STORE |
		CPU_MOV_DR | CPU_UNCONDITIONAL_IO | CPU_MSR_BITMAPS | CPU_SECONDARY |
		(vcpu->paging ? CPU_CR3_LOAD | CPU_CR3_STORE | CPU_INVLPG : 0));
	/* Without INVPCID the instruction is a #UD: CPUID does not have it either. */
	cpu2 = vmx_controls_choose(can->cpu2, CPU2_VPID | CPU2_RDTSCP | CPU2_WBINVD |
		(vcpu->paging ? 0 : CPU2_EPT | CPU2_UNRESTRICTED | CPU2_INVPCID));
	vmcs_write(VMCS_PIN_CONTROLS, pin);
	vmcs_write(VMCS_CPU_CONTROLS, vcpu->cpu_controls);
	vmcs_write(VMCS_CPU_CONTROLS2, cpu2);
	vmcs_write(VMCS_EXIT_CONTROLS, vmx_controls_choose(can->exit, EXIT_SAVE_DEBUG |
		   EXIT_HOST_64 | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER |
		   EXIT_LOAD_EFER));
	vmcs_write(VMCS_ENTRY_CONTROLS, vmx_controls_choose(can->entry, ENTRY_LOAD_DEBUG |
		   ENTRY_LOAD_PAT | ENTRY_LOAD_EFER));
	/*
	 * A guest never keeps a CPU for longer than 10 ms, whatever holds up an
	 * interrupt.  The unit is in IA32_VMX_MISC.
	 */
	if (pin & PIN_PREEMPTION_TIMER)
		vmcs_write(VMCS_PREEMPTION_TIMER, (10 * (u64)tsc_khz) >> (can->misc & 0x1f));
	vmcs_write(VMCS_EXCEPTION_BITMAP, BIT(1) | BIT(17) | BIT(18) |
		   (vcpu->paging ? BIT(14) : 0));
	vmcs_write(VMCS_PAGE_FAULT_MASK, 0);
	vmcs_write(VMCS_PAGE_FAULT_MATCH, 0);
	vmcs_write(VMCS_CR3_TARGET_COUNT, 0);
}

static void pointers_write(struct vcpu *vcpu)
{
	struct msr_page *msrs = vcpu->msrs;

	vmcs_write(VMCS_VMCS_LINK_POINTER, ~0ull);
	vmcs_write(VMCS_MSR_BITMAP, plat_virt_to_hpa(hypervisor.msr_bitmap).addr);
	vmcs_write(VMCS_EXIT_MSR_STORE_ADDR, plat_virt_to_hpa(msrs->guest).addr);
	vmcs_write(VMCS_ENTRY_MSR_LOAD_ADDR, plat_virt_to_hpa(msrs->guest).addr);
	vmcs_write(VMCS_EXIT_MSR_LOAD_ADDR, plat_virt_to_hpa(msrs->host).addr);
	vmcs_write(VMCS_EXIT_MSR_STORE_COUNT, msr_switched_count());
	vmcs_write(VMCS_ENTRY_MSR_LOAD_COUNT, msr_switched_count());
	vmcs_write(VMCS_EXIT_MSR_LOAD_COUNT, msr_switched_count());
	vmcs_write(VMCS_TSC_OFFSET, 0);
}

/* The state after RESET or INIT (SDM volume 3A, "Processor State After Reset"). */
void vmcs_reset(struct vcpu *vcpu)
{
	static const struct {
		u16 selector, limit, rights, base;
	} reset[] = {
		{ VMCS_GUEST_ES_SELECTOR, VMCS_GUEST_ES_LIMIT, VMCS_GUEST_ES_RIGHTS,
		  VMCS_GUEST_ES_BASE },
		{ VMCS_GUEST_CS_SELECTOR, VMCS_GUEST_CS_LIMIT, VMCS_GUEST_CS_RIGHTS,
		  VMCS_GUEST_CS_BASE },
		{ VMCS_GUEST_SS_SELECTOR, VMCS_GUEST_SS_LIMIT, VMCS_GUEST_SS_RIGHTS,
		  VMCS_GUEST_SS_BASE },
		{ VMCS_GUEST_DS_SELECTOR, VMCS_GUEST_DS_LIMIT, VMCS_GUEST_DS_RIGHTS,
		  VMCS_GUEST_DS_BASE },
		{ VMCS_GUEST_FS_SELECTOR, VMCS_GUEST_FS_LIMIT, VMCS_GUEST_FS_RIGHTS,
		  VMCS_GUEST_FS_BASE },
		{ VMCS_GUEST_GS_SELECTOR, VMCS_GUEST_GS_LIMIT, VMCS_GUEST_GS_RIGHTS,
		  VMCS_GUEST_GS_BASE },
		{ VMCS_GUEST_LDTR_SELECTOR, VMCS_GUEST_LDTR_LIMIT, VMCS_GUEST_LDTR_RIGHTS,
		  VMCS_GUEST_LDTR_BASE },
		{ VMCS_GUEST_TR_SELECTOR, VMCS_GUEST_TR_LIMIT, VMCS_GUEST_TR_RIGHTS,
		  VMCS_GUEST_TR_BASE },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(reset); i++) {
		vmcs_write(reset[i].selector, 0);
		vmcs_write(reset[i].base, 0);
		vmcs_write(reset[i].limit, 0xffff);
		vmcs_write(reset[i].rights, RIGHTS_PRESENT | RIGHTS_CODE_DATA | 3);
	}
	vmcs_write(VMCS_GUEST_CS_SELECTOR, 0xf000);
	vmcs_write(VMCS_GUEST_CS_BASE, 0xffff0000);
	vmcs_write(VMCS_GUEST_CS_RIGHTS, RIGHTS_PRESENT | RIGHTS_CODE_DATA | 11);
	vmcs_write(VMCS_GUEST_LDTR_RIGHTS, RIGHTS_PRESENT | 2);
	vmcs_write(VMCS_GUEST_TR_RIGHTS, RIGHTS_PRESENT | 11);
	vmcs_write(VMCS_GUEST_GDTR_BASE, 0);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, 0xffff);
	vmcs_write(VMCS_GUEST_IDTR_BASE, 0);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, 0xffff);
	vmcs_write(VMCS_GUEST_RIP, 0xfff0);
	vmcs_write(VMCS_GUEST_RSP, 0);
	vmcs_write(VMCS_GUEST_RFLAGS, 2);
	vmcs_write(VMCS_GUEST_DR7, 0x400);
	vmcs_write(VMCS_GUEST_DEBUGCTL, 0);
	vmcs_write(VMCS_GUEST_PENDING_DEBUG, 0);
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmcs_write(VMCS_GUEST_ACTIVITY, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_CS, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_ESP, 0);
	vmcs_write(VMCS_GUEST_SYSENTER_EIP, 0);
	vmcs_write(VMCS_GUEST_PAT, 0x0007040600070406ull);
	vmcs_write(VMCS_GUEST_EFER, 0);
	vmcs_write(VMCS_GUEST_CR3, 0);
	state_set_cr4(vcpu, 0);
	state_set_cr0(vcpu, X86_CR0_NW | X86_CR0_CD | X86_CR0_ET);
}

int vmcs_setup(struct vcpu *vcpu)
{
	int err;

	*(u32 *)vcpu->vmcs = hypervisor.can.revision;
	err = vmcs_get(vcpu);
	if (err)
		return err;
	controls_write(vcpu);
	pointers_write(vcpu);
	host_write();
	vmcs_reset(vcpu);
	vmcs_put(vcpu);
	return 0;
}

/* ---- a failed entry ----------------------------------------------------- */

static u64 check_read(void *context, enum vmcs_field field)
{
	return vmcs_read(field);
}

enum vmcs_field vmcs_explain(struct vcpu *vcpu)
{
	struct vmcs_fault fault = vmcs_check(&hypervisor.can, check_read, NULL);

	pr_warn_ratelimited("hyprv: vCPU %u cannot enter the guest: %s: %s\n", vcpu->index,
			    fault.name, fault.rule);
	return fault.field;
}
