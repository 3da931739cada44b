// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers of the guest: general, segments, control registers; as user space gets and
 * sets them, and as the guest's own MOV to CR changes them.
 */
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>

#include "apic.h"
#include "hyprv.h"
#include "vmx.h"

#define CR0_KNOWN	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | \
			 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | \
			 X86_CR0_PG)
/* The guest changes these without an exit. */
#define CR0_GUEST	(X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_AM)
/* These too, unless the tables are the shadow's. */
#define CR0_PAGING	(X86_CR0_PE | X86_CR0_WP | X86_CR0_PG)
#define CR4_PAGING	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PCIDE | \
			 X86_CR4_SMEP | X86_CR4_SMAP)
#define CR0_CACHING	(X86_CR0_CD | X86_CR0_NW)
/* A MOV that changes one of these loads PDPTEs: loads_pdptes(). */
#define CR0_PDPTES	(X86_CR0_PG | CR0_CACHING)
#define CR4_PDPTES	(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP)
#define CR4_KNOWN	(X86_CR4_VME | X86_CR4_PVI | X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | \
			 X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE | X86_CR4_PCE | \
			 X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_UMIP | \
			 X86_CR4_FSGSBASE | X86_CR4_PCIDE | X86_CR4_OSXSAVE | X86_CR4_SMEP | \
			 X86_CR4_SMAP)
#define EFER_KNOWN	(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX)

/* In the access rights of TR. */
#define TYPE_TSS_16_BUSY	3

static u64 cr4_allowed(void)
{
	return CR4_KNOWN & hypervisor.can.cr4_fixed1;
}

/* ---- control registers -------------------------------------------------- */

/* The bits of a mask are the host's. */
static u64 merge(enum vmcs_field guest, enum vmcs_field shadow, enum vmcs_field mask)
{
	u64 host = vmcs_read(mask);

	return (vmcs_read(guest) & ~host) | (vmcs_read(shadow) & host);
}

u64 state_cr0(void)
{
	return merge(VMCS_GUEST_CR0, VMCS_CR0_SHADOW, VMCS_CR0_MASK);
}

u64 state_cr4(void)
{
	return merge(VMCS_GUEST_CR4, VMCS_CR4_SHADOW, VMCS_CR4_MASK);
}

u64 state_cr3(const struct vcpu *vcpu)
{
	return vcpu->paging ? vcpu->paging->cr3 : vmcs_read(VMCS_GUEST_CR3);
}

static void cr3_write(struct vcpu *vcpu, u64 value)
{
	if (!vcpu->paging)
		vmcs_write(VMCS_GUEST_CR3, value);
	else
		vcpu->paging->cr3 = value;
	paging_changed(vcpu, PAGING_CR3 | PAGING_READ_AGAIN);
}

u64 state_efer(const struct vcpu *vcpu)
{
	u64 efer = vmcs_read(VMCS_GUEST_EFER);

	return vcpu->paging && !vcpu->paging->no_execute ? efer & ~(u64)EFER_NX : efer;
}

/* EFER.LMA and the VM-entry control for 64-bit guests go together. */
static void efer_write(struct vcpu *vcpu, u64 efer)
{
	u64 entry = vmcs_read(VMCS_ENTRY_CONTROLS) & ~ENTRY_GUEST_64;

	vmcs_write(VMCS_ENTRY_CONTROLS, entry | (efer & EFER_LMA ? ENTRY_GUEST_64 : 0));
	if (vcpu->paging) {
		vcpu->paging->no_execute = efer & EFER_NX;
		efer |= EFER_NX;
	}
	vmcs_write(VMCS_GUEST_EFER, efer);
	paging_changed(vcpu, PAGING_REGISTERS);
}

static bool cr0_valid(u64 value)
{
	return !(value & ~(u64)CR0_KNOWN) && (!(value & X86_CR0_PG) || (value & X86_CR0_PE)) &&
	       (!(value & X86_CR0_NW) || (value & X86_CR0_CD));
}

static void cr0_write(struct vcpu *vcpu, u64 value)
{
	u64 fixed = vcpu->paging ? hypervisor.can.cr0_fixed0 | CR0_PAGING :
				   hypervisor.can.cr0_fixed0 & ~(u64)(X86_CR0_PE | X86_CR0_PG);

	value |= X86_CR0_ET;
	vmcs_write(VMCS_CR0_MASK, ~(u64)(CR0_GUEST | (vcpu->paging ? 0 : CR0_PAGING)));
	vmcs_write(VMCS_CR0_SHADOW, value);
	paging_changed(vcpu, PAGING_REGISTERS);
	vmcs_write(VMCS_GUEST_CR0, (value | fixed) & ~(u64)CR0_CACHING);
}

static void cr4_write(struct vcpu *vcpu, u64 value)
{
	u64 host = hypervisor.can.cr4_fixed0 | (cr4_read_shadow() & X86_CR4_MCE);
	u64 mine = X86_CR4_MCE | (vcpu->paging ? CR4_PAGING : 0);

	vmcs_write(VMCS_CR4_MASK, ~(cr4_allowed() & ~mine));
	vmcs_write(VMCS_CR4_SHADOW, value);
	vmcs_write(VMCS_GUEST_CR4, value | host);
	paging_changed(vcpu, PAGING_REGISTERS);
}

bool state_is_64bit(void)
{
	return (vmcs_read(VMCS_GUEST_EFER) & EFER_LMA) &&
	       (vmcs_read(VMCS_GUEST_CS_RIGHTS) & RIGHTS_LONG);
}

/* EFER.LMA as CR0.PG makes it.  The rules are those of SDM volume 2, "MOV - Move to/from CR". */
static int paging_goes_on(u64 *efer)
{
	if (!(*efer & EFER_LME))
		return 0;
	if (!(state_cr4() & X86_CR4_PAE) || (vmcs_read(VMCS_GUEST_CS_RIGHTS) & RIGHTS_LONG) ||
	    (vmcs_read(VMCS_GUEST_TR_RIGHTS) & RIGHTS_TYPE) == TYPE_TSS_16_BUSY)
		return -EINVAL;
	*efer |= EFER_LMA;
	return 0;
}

static int paging_goes_off(u64 *efer)
{
	if (state_is_64bit() || (state_cr4() & X86_CR4_PCIDE))
		return -EINVAL;
	*efer &= ~(u64)EFER_LMA;
	return 0;
}

/*
 * Would the CPU load PDPTEs from memory for these values, which nobody here does?  The rule is
 * that of SDM volume 3, "PDPTE Registers".
 */
static bool loads_pdptes(u64 cr0, u64 cr4, u64 efer)
{
	bool pae_paging = (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(efer & EFER_LMA);

	return pae_paging && (((cr0 ^ state_cr0()) & CR0_PDPTES) ||
			      ((cr4 ^ state_cr4()) & CR4_PDPTES));
}

int state_set_cr0(struct vcpu *vcpu, u64 value)
{
	u64 efer = state_efer(vcpu);
	int err;

	if (!cr0_valid(value))
		return -EINVAL;
	if ((state_cr0() ^ value) & X86_CR0_PG) {
		err = value & X86_CR0_PG ? paging_goes_on(&efer) : paging_goes_off(&efer);
		if (err)
			return err;
	}
	if (loads_pdptes(value, state_cr4(), efer))
		return -EOPNOTSUPP;
	efer_write(vcpu, efer);
	cr0_write(vcpu, value);
	vmcs_flush(vcpu);
	return 0;
}

/* The CPU checks a bit that is the guest's, unless one of the host's changes with it. */
int state_set_cr4(struct vcpu *vcpu, u64 value)
{
	u64 on = value & ~state_cr4();
	u64 efer = vmcs_read(VMCS_GUEST_EFER);
	bool long_mode = efer & EFER_LMA;

	if (value & ~cr4_allowed())
		return -EINVAL;
	if (long_mode && !(value & X86_CR4_PAE))
		return -EINVAL;
	if ((on & X86_CR4_PCIDE) && (!long_mode || (state_cr3(vcpu) & 0xfff)))
		return -EINVAL;
	if (loads_pdptes(state_cr0(), value, efer))
		return -EOPNOTSUPP;
	cr4_write(vcpu, value);
	vmcs_flush(vcpu);
	return 0;
}

int state_set_efer(struct vcpu *vcpu, u64 value)
{
	u64 old = state_efer(vcpu);

	if (value & ~(u64)EFER_KNOWN)
		return -EINVAL;
	if (((old ^ value) & EFER_LME) && (state_cr0() & X86_CR0_PG))
		return -EINVAL;
	efer_write(vcpu, (value & ~(u64)EFER_LMA) | (old & EFER_LMA));
	return 0;
}

/* ---- general registers -------------------------------------------------- */

u64 state_reg(struct vcpu *vcpu, u32 reg)
{
	return reg == REG_RSP ? vmcs_read(VMCS_GUEST_RSP) : vcpu->regs[reg];
}

void state_set_reg(struct vcpu *vcpu, u32 reg, u64 value)
{
	if (reg == REG_RSP)
		vmcs_write(VMCS_GUEST_RSP, value);
	else
		vcpu->regs[reg] = value;
}

/* In the order of struct kvm_regs. */
static const u8 kvm_order[REG_COUNT] = {
	REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, REG_RSP, REG_RBP,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

int state_get_regs(struct vcpu *vcpu, struct kvm_regs *regs)
{
	int err = vmcs_get(vcpu);
	u32 i;

	if (err)
		return err;
	for (i = 0; i < REG_COUNT; i++)
		(&regs->rax)[i] = state_reg(vcpu, kvm_order[i]);
	regs->rip = vmcs_read(VMCS_GUEST_RIP);
	regs->rflags = vmcs_read(VMCS_GUEST_RFLAGS);
	vmcs_put(vcpu);
	return 0;
}

/* It did not come of the instruction that the vCPU leaves. */
static bool is_from_outside(u32 event)
{
	u32 type = event & EVENT_TYPE;

	return (event & EVENT_VALID) && (type == EVENT_EXTERNAL || type == EVENT_NMI);
}

int state_set_regs(struct vcpu *vcpu, const struct kvm_regs *regs)
{
	int err = vmcs_get(vcpu);
	u32 i;

	if (err)
		return err;
	for (i = 0; i < REG_COUNT; i++)
		state_set_reg(vcpu, kvm_order[i], (&regs->rax)[i]);
	vmcs_write(VMCS_GUEST_RIP, regs->rip);
	vmcs_write(VMCS_GUEST_RFLAGS, regs->rflags | X86_EFLAGS_FIXED);
	/* Blocking belongs to the instruction that the vCPU has left. */
	vmcs_write(VMCS_GUEST_INTERRUPTIBILITY,
		   vmcs_read(VMCS_GUEST_INTERRUPTIBILITY) & BLOCKED_BY_NMI);
	if (!is_from_outside(vcpu->event))
		vcpu->event = 0;
	vmcs_put(vcpu);
	return 0;
}

/* ---- segments and system registers -------------------------------------- */

#define SEGMENT(name, field) {						\
	offsetof(struct kvm_sregs, name), VMCS_GUEST_##field##_SELECTOR,	\
	VMCS_GUEST_##field##_BASE, VMCS_GUEST_##field##_LIMIT,		\
	VMCS_GUEST_##field##_RIGHTS }

static const struct {
	size_t offset;
	u16 selector, base, limit, rights;
} segments[] = {
	SEGMENT(cs, CS), SEGMENT(ds, DS), SEGMENT(es, ES), SEGMENT(fs, FS),
	SEGMENT(gs, GS), SEGMENT(ss, SS), SEGMENT(tr, TR), SEGMENT(ldt, LDTR),
};

static u32 rights_of(const struct kvm_segment *s)
{
	return (s->type & 0xf) | (s->s & 1) << 4 | (s->dpl & 3) << 5 | (s->present & 1) << 7 |
	       (s->avl & 1) << 12 | (s->l & 1) << 13 | (s->db & 1) << 14 | (s->g & 1) << 15 |
	       (u32)(s->unusable || !s->present) << 16;
}

static void segment_read(struct kvm_sregs *sregs, size_t i)
{
	struct kvm_segment *s = (void *)sregs + segments[i].offset;
	u32 rights = vmcs_read(segments[i].rights);

	*s = (struct kvm_segment) {
		.base = vmcs_read(segments[i].base),
		.limit = vmcs_read(segments[i].limit),
		.selector = vmcs_read(segments[i].selector),
		.type = rights & RIGHTS_TYPE,
		.s = rights >> 4 & 1,
		.dpl = rights >> 5 & 3,
		.present = rights >> 7 & 1,
		.avl = rights >> 12 & 1,
		.l = rights >> 13 & 1,
		.db = rights >> 14 & 1,
		.g = rights >> 15 & 1,
		.unusable = rights >> 16 & 1,
	};
}

static void segment_write(const struct kvm_sregs *sregs, size_t i)
{
	const struct kvm_segment *s = (const void *)sregs + segments[i].offset;

	vmcs_write(segments[i].base, s->base);
	vmcs_write(segments[i].limit, s->limit);
	vmcs_write(segments[i].selector, s->selector);
	vmcs_write(segments[i].rights, rights_of(s));
}

int state_get_sregs(struct vcpu *vcpu, struct kvm_sregs *sregs)
{
	int err = vmcs_get(vcpu);
	size_t i;

	if (err)
		return err;
	for (i = 0; i < ARRAY_SIZE(segments); i++)
		segment_read(sregs, i);
	sregs->gdt.base = vmcs_read(VMCS_GUEST_GDTR_BASE);
	sregs->gdt.limit = vmcs_read(VMCS_GUEST_GDTR_LIMIT);
	sregs->idt.base = vmcs_read(VMCS_GUEST_IDTR_BASE);
	sregs->idt.limit = vmcs_read(VMCS_GUEST_IDTR_LIMIT);
	sregs->cr0 = state_cr0();
	sregs->cr2 = vcpu->cr2;
	sregs->cr3 = state_cr3(vcpu);
	sregs->cr4 = state_cr4();
	sregs->cr8 = apic_cr8(vcpu);
	sregs->efer = state_efer(vcpu);
	sregs->apic_base = vcpu->apic_base;
	if (vcpu->interrupt >= 0)
		__set_bit(vcpu->interrupt, (unsigned long *)sregs->interrupt_bitmap);
	vmcs_put(vcpu);
	return 0;
}

static bool sregs_valid(const struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	bool paging = sregs->cr0 & X86_CR0_PG, lme = sregs->efer & EFER_LME;

	if (!cr0_valid(sregs->cr0) || (sregs->cr4 & ~cr4_allowed()) ||
	    (sregs->efer & ~(u64)EFER_KNOWN) || sregs->cr8 > 15)
		return false;
	if (vcpu->apic && !lapic_base_is_valid(sregs->apic_base))
		return false;
	if (sregs->cr3 >> hypervisor.can.maxphyaddr)
		return false;
	if (!(sregs->efer & EFER_LMA) != !(paging && lme))
		return false;
	return !(sregs->efer & EFER_LMA) || (sregs->cr4 & X86_CR4_PAE);
}

int state_set_sregs(struct vcpu *vcpu, const struct kvm_sregs *sregs)
{
	u64 pdpte[4] = {};
	size_t i;
	int err;

	if (!sregs_valid(vcpu, sregs))
		return -EINVAL;
	/* With PAE paging the CPU enters with PDPTEs from the VMCS. */
	if ((sregs->cr0 & X86_CR0_PG) && (sregs->cr4 & X86_CR4_PAE) &&
	    !(sregs->efer & EFER_LMA)) {
		err = memory_read(vcpu->view, sregs->cr3 & 0xffffffe0, pdpte, sizeof(pdpte));
		if (err)
			return err;
	}
	err = vmcs_get(vcpu);
	if (err)
		return err;
	for (i = 0; i < ARRAY_SIZE(segments); i++)
		segment_write(sregs, i);
	for (i = 0; i < 4; i++)
		vmcs_write(VMCS_GUEST_PDPTE0 + 2 * i, pdpte[i]);
	vmcs_write(VMCS_GUEST_GDTR_BASE, sregs->gdt.base);
	vmcs_write(VMCS_GUEST_GDTR_LIMIT, sregs->gdt.limit);
	vmcs_write(VMCS_GUEST_IDTR_BASE, sregs->idt.base);
	vmcs_write(VMCS_GUEST_IDTR_LIMIT, sregs->idt.limit);
	cr3_write(vcpu, sregs->cr3);
	efer_write(vcpu, sregs->efer);
	cr4_write(vcpu, sregs->cr4);
	cr0_write(vcpu, sregs->cr0);
	vmcs_flush(vcpu);
	vmcs_put(vcpu);
	vcpu->cr2 = sregs->cr2;
	apic_set_cr8(vcpu, sregs->cr8);
	if (vcpu->apic)
		apic_set_base(vcpu, sregs->apic_base, true);
	else
		vcpu->apic_base = sregs->apic_base;
	vcpu->run->cr8 = sregs->cr8;
	i = find_first_bit((unsigned long *)sregs->interrupt_bitmap, 256);
	vcpu->interrupt = i < 256 ? (int)i : -1;
	return 0;
}
