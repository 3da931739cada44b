// SPDX-License-Identifier: GPL-2.0-only
/*
 * VT-x on this machine: what it can do, and VMXON on each CPU, also on those that come
 * later.  KVM and hyprv exclude each other by CR4.VMXE: whoever sets it first has VT-x.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/tlbflush.h>

#include "hyprv.h"
#include "vmx.h"
#include "vmx_need.h"

static int fail_cpu = -1;
module_param(fail_cpu, int, 0444);
MODULE_PARM_DESC(fail_cpu, "the CPU on which VMXON fails, for tests; -1 for none");

/* ---- what VT-x can do --------------------------------------------------- */

static struct vmx_controls controls_read(u32 msr)
{
	u64 value;

	rdmsrl(msr, value);
	return (struct vmx_controls) { .must = (u32)value, .may = (u32)(value >> 32) };
}

static void capabilities_read(struct vmx_capabilities *can)
{
	u64 basic;
	bool exact;

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	exact = basic & BIT_ULL(55);
	can->revision = basic & 0x7fffffff;
	can->maxphyaddr = boot_cpu_data.x86_phys_bits;
	can->linear_bits = boot_cpu_data.x86_virt_bits;
	can->pin = controls_read(exact ? MSR_IA32_VMX_TRUE_PINBASED_CTLS :
					 MSR_IA32_VMX_PINBASED_CTLS);
	can->cpu = controls_read(exact ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS :
					 MSR_IA32_VMX_PROCBASED_CTLS);
	can->exit = controls_read(exact ? MSR_IA32_VMX_TRUE_EXIT_CTLS :
					  MSR_IA32_VMX_EXIT_CTLS);
	can->entry = controls_read(exact ? MSR_IA32_VMX_TRUE_ENTRY_CTLS :
					   MSR_IA32_VMX_ENTRY_CTLS);
	if (can->cpu.may & CPU_SECONDARY)
		can->cpu2 = controls_read(MSR_IA32_VMX_PROCBASED_CTLS2);
	if (can->cpu2.may & (CPU2_EPT | CPU2_VPID))
		rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, can->ept_vpid);
	rdmsrl(MSR_IA32_VMX_MISC, can->misc);
	rdmsrl(MSR_IA32_VMX_CR0_FIXED0, can->cr0_fixed0);
	rdmsrl(MSR_IA32_VMX_CR0_FIXED1, can->cr0_fixed1);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED0, can->cr4_fixed0);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED1, can->cr4_fixed1);
}

static int invvpid(void *context, u32 type, u16 vpid, hypr_gva_t address)
{
	this_cpu_inc(hypervisor.cpu->invvpid);
	return vmx_invvpid(type, (struct vmx_invalidate) { vpid, address.addr });
}

/* @context is the EPTP: the CPU checks all of its bits, not only the root's address. */
static int invept(void *context, u32 type, hypr_hpa_t root)
{
	const u64 *eptp = context;

	this_cpu_inc(hypervisor.cpu->invept);
	return vmx_invept(type, (struct vmx_invalidate) {
		.tag = type == TLB_INVEPT_TYPE_ROOT ? root.addr | (*eptp & ~PAGE_MASK) : 0,
	});
}

/* entry.S has those that the kernel patches in.  Nobody keeps a guest from a sibling thread. */
static void mitigations_choose(struct hypervisor *hv)
{
	bool l1tf = boot_cpu_has_bug(X86_BUG_L1TF) && l1tf_mitigation != L1TF_MITIGATION_OFF;

	hv->l1d_flush = l1tf && boot_cpu_has(X86_FEATURE_FLUSH_L1D);
	if (l1tf && !hv->l1d_flush)
		pr_warn("hyprv: L1TF, and the microcode has no flush of the L1 data cache: run no hostile guests\n");
	else if ((l1tf || boot_cpu_has_bug(X86_BUG_MDS)) && cpu_smt_possible())
		pr_warn("hyprv: sibling threads of a core can read each other's data (L1TF, MDS): run no hostile guests\n");
}

int vmx_probe(struct hypervisor *hv)
{
	const char *missing;
	u64 feature;

	if (!(cpuid_ecx(1) & BIT(5))) {
		pr_err("hyprv: this CPU has no VT-x\n");
		return -ENODEV;
	}
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &feature) || !vmx_is_allowed(feature)) {
		pr_err("hyprv: the firmware has locked VT-x off (IA32_FEATURE_CONTROL)\n");
		return -EPERM;
	}
	if (cpu_feature_enabled(X86_FEATURE_FRED)) {
		pr_err("hyprv: a host with FRED is not supported\n");
		return -EOPNOTSUPP;
	}
	mitigations_choose(hv);
	capabilities_read(&hv->can);
	missing = vmx_missing(&hv->can, VMX_FOR_ALL);
	hv->no_ept = vmx_missing(&hv->can, VMX_FOR_EPT);
	hv->no_shadow = vmx_missing(&hv->can, VMX_FOR_SHADOW);
	if (!missing)
		missing = hv->shadow ? hv->no_shadow : hv->no_ept;
	if (missing) {
		pr_err("hyprv: this CPU's VT-x lacks, for mmu=%s: %s\n",
		       hv->shadow ? "shadow" : "ept", missing);
		return -EOPNOTSUPP;
	}
	hv->tlb.invvpid = invvpid;
	hv->tlb.invept = invept;
	return 0;
}

/* ---- VMXON -------------------------------------------------------------- */

/* The CPU checks CR0 and CR4 against what VMX operation fixes (SDM, "VMXON"). */
static int cpu_on(unsigned int number)
{
	struct hypervisor_cpu *cpu = this_cpu_ptr(hypervisor.cpu);
	unsigned long flags;
	int err = -EBUSY;

	if (fail_cpu == (int)number)
		return -ECANCELED;
	*(u32 *)cpu->page = hypervisor.can.revision;
	local_irq_save(flags);
	if (!(cr4_read_shadow() & X86_CR4_VMXE)) {
		cr4_set_bits(X86_CR4_VMXE);
		err = vmx_on(plat_virt_to_hpa(cpu->page).addr);
		/* What another hypervisor has left in the TLB. */
		if (!err) {
			if (!hypervisor.no_shadow)
				err = vmx_invvpid(TLB_INVVPID_TYPE_ALL, (struct vmx_invalidate) {});
			if (!err && !hypervisor.no_ept)
				err = vmx_invept(TLB_INVEPT_TYPE_ALL, (struct vmx_invalidate) {});
			if (err)
				vmx_off();
		}
		if (!err)
			cpu->on = true;
		else
			cr4_clear_bits(X86_CR4_VMXE);
	}
	local_irq_restore(flags);
	if (err == -EBUSY)
		pr_err("hyprv: VT-x is in use on CPU %u (by KVM?)\n", number);
	else if (err)
		pr_err("hyprv: CPU %u refuses VMXON\n", number);
	return err;
}

static int cpu_off(unsigned int number)
{
	struct hypervisor_cpu *cpu = this_cpu_ptr(hypervisor.cpu);
	unsigned long flags;

	local_irq_save(flags);
	if (cpu->on) {
		vmcs_clear_cpu(cpu);
		WARN_ON_ONCE(vmx_off());
		cr4_clear_bits(X86_CR4_VMXE);
		cpu->on = false;
	}
	local_irq_restore(flags);
	return 0;
}

void vmx_off_now(void)
{
	cpu_off(smp_processor_id());
}

int vmx_on_now(void)
{
	return cpu_on(smp_processor_id());
}

/* Perhaps in an NMI that came in the midst of anything: it reads the list of VMCSs alone. */
void vmx_off_crash(void)
{
	struct hypervisor_cpu *cpu = this_cpu_ptr(hypervisor.cpu);
	struct vcpu *vcpu;

	if (!cpu->on)
		return;
	list_for_each_entry(vcpu, &cpu->loaded, on_cpu)
		vmx_clear(plat_virt_to_hpa(vcpu->vmcs).addr);
	vmx_off();
	cr4_clear_bits(X86_CR4_VMXE);
	cpu->on = false;
}

static void regions_free(struct hypervisor *hv)
{
	int number;

	for_each_possible_cpu(number)
		page_give(hv, per_cpu_ptr(hv->cpu, number)->page);
	free_percpu(hv->cpu);
	hv->cpu = NULL;
}

static int regions_alloc(struct hypervisor *hv)
{
	int number;

	hv->cpu = alloc_percpu(struct hypervisor_cpu);
	if (!hv->cpu)
		return -ENOMEM;
	for_each_possible_cpu(number) {
		struct hypervisor_cpu *cpu = per_cpu_ptr(hv->cpu, number);

		INIT_LIST_HEAD(&cpu->loaded);
		cpu->page = page_take(hv, number);
		if (!cpu->page) {
			regions_free(hv);
			return -ENOMEM;
		}
	}
	return 0;
}

/* The hotplug machine undoes what a CPU that fails leaves on the others. */
int vmx_on_all(struct hypervisor *hv)
{
	int err = regions_alloc(hv);

	if (err)
		return err;
	err = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "hyprv:online", cpu_on, cpu_off);
	if (err < 0) {
		regions_free(hv);
		return err;
	}
	hv->hotplug = err;
	return 0;
}

void vmx_off_all(struct hypervisor *hv)
{
	cpuhp_remove_state(hv->hotplug);
	regions_free(hv);
}
