// SPDX-License-Identifier: GPL-2.0-only
/*
 * The checks of VM entry on the guest's state, in the order of SDM volume 3C, "Checking
 * and Loading Guest State".
 */
#include "vmcs_check_parts.h"

#define CR0_PE		BIT_ULL(0)
#define CR0_PG		BIT_ULL(31)
#define CR4_PAE		BIT_ULL(5)
#define CR4_PCIDE	BIT_ULL(17)
#define EFER_SCE_LME_LMA_NXE (BIT_ULL(0) | BIT_ULL(8) | BIT_ULL(10) | BIT_ULL(11))
#define EFER_LME_BIT	BIT_ULL(8)
#define EFER_LMA_BIT	BIT_ULL(10)
#define FLAGS_TF	BIT_ULL(8)
#define FLAGS_IF	BIT_ULL(9)
#define FLAGS_VM	BIT_ULL(17)

static bool unrestricted(struct check *c)
{
	return c->cpu2 & CPU2_UNRESTRICTED;
}

static bool virtual_8086(struct check *c)
{
	return get(c, VMCS_GUEST_RFLAGS) & FLAGS_VM;
}

/* ---- control registers, debug registers, MSRs --------------------------- */

static void control_registers(struct check *c)
{
	u64 cr0 = get(c, VMCS_GUEST_CR0), cr4 = get(c, VMCS_GUEST_CR4);
	u64 fixed = c->can->cr0_fixed0 & (unrestricted(c) ? ~(CR0_PE | CR0_PG) : ~0ull);
	bool wide = c->entry & ENTRY_GUEST_64;

	refuse(c, VMCS_GUEST_CR0, (cr0 & fixed) != fixed || (cr0 & ~c->can->cr0_fixed1),
	       "a bit that VMX operation fixes is wrong");
	refuse(c, VMCS_GUEST_CR0, (cr0 & CR0_PG) && !(cr0 & CR0_PE), "PG without PE");
	refuse(c, VMCS_GUEST_CR4, (cr4 & c->can->cr4_fixed0) != c->can->cr4_fixed0 ||
	       (cr4 & ~c->can->cr4_fixed1), "a bit that VMX operation fixes is wrong");
	if (c->entry & ENTRY_LOAD_DEBUG) {
		refuse(c, VMCS_GUEST_DEBUGCTL, get(c, VMCS_GUEST_DEBUGCTL) & ~0xffc3ull,
		       "a reserved bit is 1");
		refuse(c, VMCS_GUEST_DR7, get(c, VMCS_GUEST_DR7) >> 32, "a reserved bit is 1");
	}
	refuse(c, VMCS_GUEST_CR0, wide && !(cr0 & CR0_PG), "a 64-bit guest has paging");
	refuse(c, VMCS_GUEST_CR4, wide && !(cr4 & CR4_PAE), "a 64-bit guest has CR4.PAE");
	refuse(c, VMCS_GUEST_CR4, !wide && (cr4 & CR4_PCIDE), "PCIDs need a 64-bit guest");
	refuse(c, VMCS_GUEST_CR3, get(c, VMCS_GUEST_CR3) >> c->can->maxphyaddr,
	       "beyond MAXPHYADDR");
	refuse(c, VMCS_GUEST_SYSENTER_ESP, !check_canonical(c, get(c, VMCS_GUEST_SYSENTER_ESP)),
	       "the address is not canonical");
	refuse(c, VMCS_GUEST_SYSENTER_EIP, !check_canonical(c, get(c, VMCS_GUEST_SYSENTER_EIP)),
	       "the address is not canonical");
	refuse(c, VMCS_GUEST_PAT, (c->entry & ENTRY_LOAD_PAT) && !check_pat(get(c, VMCS_GUEST_PAT)),
	       "a memory type that does not exist");
}

static void efer(struct check *c)
{
	u64 efer = get(c, VMCS_GUEST_EFER);
	bool lma = efer & EFER_LMA_BIT, lme = efer & EFER_LME_BIT;

	if (!(c->entry & ENTRY_LOAD_EFER))
		return;
	refuse(c, VMCS_GUEST_EFER, efer & ~EFER_SCE_LME_LMA_NXE, "a reserved bit is 1");
	refuse(c, VMCS_GUEST_EFER, lma != !!(c->entry & ENTRY_GUEST_64),
	       "LMA differs from the VM-entry control");
	refuse(c, VMCS_GUEST_EFER, (get(c, VMCS_GUEST_CR0) & CR0_PG) && lma != lme,
	       "with paging, LMA and LME are equal");
}

/* ---- segments ----------------------------------------------------------- */

enum { ES, CS, SS, DS, FS, GS, LDTR, TR };

/* Fields of the segments follow each other in the order above. */
static enum vmcs_field selector(u32 s)
{
	return VMCS_GUEST_ES_SELECTOR + 2 * s;
}

static enum vmcs_field base(u32 s)
{
	return VMCS_GUEST_ES_BASE + 2 * s;
}

static enum vmcs_field limit(u32 s)
{
	return VMCS_GUEST_ES_LIMIT + 2 * s;
}

static enum vmcs_field rights(u32 s)
{
	return VMCS_GUEST_ES_RIGHTS + 2 * s;
}

static bool usable(struct check *c, u32 s)
{
	return !(get(c, rights(s)) & RIGHTS_UNUSABLE);
}

static u32 dpl(struct check *c, u32 s)
{
	return get(c, rights(s)) >> 5 & 3;
}

static void selectors(struct check *c)
{
	refuse(c, selector(TR), get(c, selector(TR)) & 4, "TI must be 0");
	refuse(c, selector(LDTR), usable(c, LDTR) && (get(c, selector(LDTR)) & 4),
	       "TI must be 0");
	refuse(c, selector(SS), !virtual_8086(c) && !unrestricted(c) &&
	       ((get(c, selector(SS)) ^ get(c, selector(CS))) & 3), "RPL differs from CS's");
}

static void bases(struct check *c)
{
	static const u8 wide[] = { TR, FS, GS };
	static const u8 narrow[] = { SS, DS, ES };
	u32 i;

	for (i = 0; virtual_8086(c) && i <= GS; i++)
		refuse(c, base(i), get(c, base(i)) != get(c, selector(i)) << 4,
		       "in virtual-8086 mode, the base is 16 times the selector");
	for (i = 0; i < sizeof(wide); i++)
		refuse(c, base(wide[i]), !check_canonical(c, get(c, base(wide[i]))),
		       "the address is not canonical");
	refuse(c, base(LDTR), usable(c, LDTR) && !check_canonical(c, get(c, base(LDTR))),
	       "the address is not canonical");
	refuse(c, base(CS), get(c, base(CS)) >> 32, "beyond 32 bits");
	for (i = 0; i < sizeof(narrow); i++)
		refuse(c, base(narrow[i]), usable(c, narrow[i]) && get(c, base(narrow[i])) >> 32,
		       "beyond 32 bits");
}

/* What access rights have in common: reserved bits, presence, limit and granularity. */
static void rights_common(struct check *c, u32 s)
{
	u32 value = get(c, rights(s)), bytes = get(c, limit(s));

	refuse(c, rights(s), !(value & RIGHTS_PRESENT), "the segment is not present");
	refuse(c, rights(s), value & 0xfffe0f00, "a reserved bit is 1");
	refuse(c, rights(s), (value & RIGHTS_GRANULAR) && (bytes & 0xfff) != 0xfff,
	       "with G, bits 11:0 of the limit are 1");
	refuse(c, rights(s), !(value & RIGHTS_GRANULAR) && (bytes & 0xfff00000),
	       "without G, bits 31:20 of the limit are 0");
}

static void code_rights(struct check *c)
{
	u32 value = get(c, rights(CS)), type = value & RIGHTS_TYPE;
	bool code = (type & 9) == 9;

	refuse(c, rights(CS), !code && !(type == 3 && unrestricted(c)),
	       "CS is no accessed code segment");
	refuse(c, rights(CS), !(value & RIGHTS_CODE_DATA), "CS is a system segment");
	refuse(c, rights(CS), type == 3 && dpl(c, CS), "CS as data has DPL 0");
	refuse(c, rights(CS), (type == 9 || type == 11) && dpl(c, CS) != dpl(c, SS),
	       "CS has another DPL than SS");
	refuse(c, rights(CS), (type == 13 || type == 15) && dpl(c, CS) > dpl(c, SS),
	       "a conforming CS has a higher DPL than SS");
	refuse(c, rights(CS), (c->entry & ENTRY_GUEST_64) && (value & RIGHTS_LONG) &&
	       (value & RIGHTS_BIG), "L and D are both 1");
	rights_common(c, CS);
}

static void stack_rights(struct check *c)
{
	u32 value = get(c, rights(SS)), type = value & RIGHTS_TYPE;
	bool real = !(get(c, VMCS_GUEST_CR0) & CR0_PE);

	refuse(c, rights(SS), !unrestricted(c) && dpl(c, SS) != (get(c, selector(SS)) & 3),
	       "DPL differs from RPL");
	refuse(c, rights(SS), dpl(c, SS) &&
	       (real || (get(c, rights(CS)) & RIGHTS_TYPE) == 3), "DPL must be 0");
	if (!usable(c, SS))
		return;
	refuse(c, rights(SS), type != 3 && type != 7, "SS is no writable data segment");
	refuse(c, rights(SS), !(value & RIGHTS_CODE_DATA), "SS is a system segment");
	rights_common(c, SS);
}

static void data_rights(struct check *c, u32 s)
{
	u32 value = get(c, rights(s)), type = value & RIGHTS_TYPE;

	if (!usable(c, s))
		return;
	refuse(c, rights(s), !(type & 1), "the segment is not accessed");
	refuse(c, rights(s), (type & 8) && !(type & 2), "code that cannot be read");
	refuse(c, rights(s), !(value & RIGHTS_CODE_DATA), "the segment is a system segment");
	refuse(c, rights(s), !unrestricted(c) && type <= 11 &&
	       dpl(c, s) < (get(c, selector(s)) & 3), "DPL is below RPL");
	rights_common(c, s);
}

static void system_rights(struct check *c)
{
	u32 tr = get(c, rights(TR)), ldtr = get(c, rights(LDTR));
	bool wide = c->entry & ENTRY_GUEST_64;

	refuse(c, rights(TR), !usable(c, TR), "TR is unusable");
	refuse(c, rights(TR), (tr & RIGHTS_TYPE) != 11 && ((tr & RIGHTS_TYPE) != 3 || wide),
	       "TR is no busy TSS of this mode");
	refuse(c, rights(TR), tr & RIGHTS_CODE_DATA, "TR is no system segment");
	rights_common(c, TR);
	if (!usable(c, LDTR))
		return;
	refuse(c, rights(LDTR), (ldtr & RIGHTS_TYPE) != 2, "LDTR is no LDT");
	refuse(c, rights(LDTR), ldtr & RIGHTS_CODE_DATA, "LDTR is no system segment");
	rights_common(c, LDTR);
}

static void segments(struct check *c)
{
	static const u8 data[] = { DS, ES, FS, GS };
	u32 i;

	selectors(c);
	bases(c);
	if (virtual_8086(c)) {
		for (i = 0; i <= GS; i++) {
			refuse(c, limit(i), (u32)get(c, limit(i)) != 0xffff,
			       "in virtual-8086 mode, the limit is FFFFH");
			refuse(c, rights(i), (u32)get(c, rights(i)) != 0xf3,
			       "in virtual-8086 mode, the access rights are F3H");
		}
	} else {
		code_rights(c);
		stack_rights(c);
		for (i = 0; i < sizeof(data); i++)
			data_rights(c, data[i]);
	}
	system_rights(c);
}

static void tables(struct check *c)
{
	refuse(c, VMCS_GUEST_GDTR_BASE, !check_canonical(c, get(c, VMCS_GUEST_GDTR_BASE)),
	       "the address is not canonical");
	refuse(c, VMCS_GUEST_IDTR_BASE, !check_canonical(c, get(c, VMCS_GUEST_IDTR_BASE)),
	       "the address is not canonical");
	refuse(c, VMCS_GUEST_GDTR_LIMIT, get(c, VMCS_GUEST_GDTR_LIMIT) >> 16, "beyond 16 bits");
	refuse(c, VMCS_GUEST_IDTR_LIMIT, get(c, VMCS_GUEST_IDTR_LIMIT) >> 16, "beyond 16 bits");
}

/* ---- RIP, RFLAGS, what else there is ------------------------------------ */

static void flags(struct check *c)
{
	u64 rip = get(c, VMCS_GUEST_RIP), flags = get(c, VMCS_GUEST_RFLAGS);
	bool wide = c->entry & ENTRY_GUEST_64;
	u32 event = get(c, VMCS_ENTRY_EVENT);

	if (wide && (get(c, VMCS_GUEST_CS_RIGHTS) & RIGHTS_LONG))
		refuse(c, VMCS_GUEST_RIP, !check_canonical(c, rip), "the address is not canonical");
	else
		refuse(c, VMCS_GUEST_RIP, rip >> 32, "beyond 32 bits");
	refuse(c, VMCS_GUEST_RFLAGS, (flags & ~0x3f7fd7ull) || !(flags & 2),
	       "a reserved bit is wrong");
	refuse(c, VMCS_GUEST_RFLAGS, (flags & FLAGS_VM) &&
	       (wide || !(get(c, VMCS_GUEST_CR0) & CR0_PE)),
	       "virtual-8086 mode needs 32-bit protected mode");
	refuse(c, VMCS_GUEST_RFLAGS, (event & EVENT_VALID) &&
	       (event & EVENT_TYPE) == EVENT_EXTERNAL && !(flags & FLAGS_IF),
	       "an interrupt to inject needs IF");
}

static void blocking(struct check *c)
{
	u32 blocked = get(c, VMCS_GUEST_INTERRUPTIBILITY), event = get(c, VMCS_ENTRY_EVENT);
	u32 activity = get(c, VMCS_GUEST_ACTIVITY), type = event & EVENT_TYPE;
	bool shadow = blocked & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS);
	bool injected = event & EVENT_VALID;

	refuse(c, VMCS_GUEST_ACTIVITY, activity > 3, "the activity does not exist");
	refuse(c, VMCS_GUEST_ACTIVITY, activity && activity <= 3 &&
	       !(c->can->misc >> (5 + activity) & 1), "an activity that the CPU lacks");
	refuse(c, VMCS_GUEST_ACTIVITY, activity == 1 && dpl(c, SS), "HLT at SS.DPL above 0");
	refuse(c, VMCS_GUEST_ACTIVITY, activity && shadow, "an inactive guest has no STI pending");
	refuse(c, VMCS_GUEST_INTERRUPTIBILITY, blocked & ~0x1full, "a reserved bit is 1");
	refuse(c, VMCS_GUEST_INTERRUPTIBILITY,
	       (blocked & BLOCKED_BY_STI) && (blocked & BLOCKED_BY_MOV_SS),
	       "blocking by STI and by MOV SS at once");
	refuse(c, VMCS_GUEST_INTERRUPTIBILITY, (blocked & BLOCKED_BY_STI) &&
	       !(get(c, VMCS_GUEST_RFLAGS) & FLAGS_IF), "blocking by STI without IF");
	refuse(c, VMCS_GUEST_INTERRUPTIBILITY, injected && type == EVENT_EXTERNAL && shadow,
	       "an interrupt to inject while it is blocked");
	refuse(c, VMCS_GUEST_INTERRUPTIBILITY, injected && type == EVENT_NMI &&
	       ((blocked & BLOCKED_BY_MOV_SS) || ((blocked & BLOCKED_BY_NMI) &&
	       (get(c, VMCS_PIN_CONTROLS) & PIN_VIRTUAL_NMI))),
	       "an NMI to inject while it is blocked");
	refuse(c, VMCS_GUEST_INTERRUPTIBILITY, blocked & BLOCKED_BY_SMI,
	       "blocking by SMI outside of SMM");
}

static void debug_exceptions(struct check *c)
{
	u64 pending = get(c, VMCS_GUEST_PENDING_DEBUG), flags = get(c, VMCS_GUEST_RFLAGS);
	bool shadow = get(c, VMCS_GUEST_INTERRUPTIBILITY) & (BLOCKED_BY_STI | BLOCKED_BY_MOV_SS);
	bool step = (flags & FLAGS_TF) && !(get(c, VMCS_GUEST_DEBUGCTL) & 2);

	refuse(c, VMCS_GUEST_PENDING_DEBUG, pending & ~0x1500full, "a reserved bit is 1");
	refuse(c, VMCS_GUEST_PENDING_DEBUG, (shadow || get(c, VMCS_GUEST_ACTIVITY) == 1) &&
	       !(pending >> 14 & 1) != !step, "BS is not as TF says");
}

static void pdptes(struct check *c)
{
	u64 cr0 = get(c, VMCS_GUEST_CR0), cr4 = get(c, VMCS_GUEST_CR4);

	if (!(cr0 & CR0_PG) || !(cr4 & CR4_PAE) || (c->entry & ENTRY_GUEST_64) ||
	    !(c->cpu2 & CPU2_EPT))
		return;
	for (u32 i = 0; i < 4; i++) {
		u64 entry = get(c, VMCS_GUEST_PDPTE0 + 2 * i);

		refuse(c, VMCS_GUEST_PDPTE0 + 2 * i, (entry & 1) &&
		       ((entry & 0x1e6) || entry >> c->can->maxphyaddr), "a reserved bit is 1");
	}
}

void vmcs_check_guest(struct check *c)
{
	u64 link = get(c, VMCS_VMCS_LINK_POINTER);

	control_registers(c);
	efer(c);
	segments(c);
	tables(c);
	flags(c);
	blocking(c);
	debug_exceptions(c);
	refuse(c, VMCS_VMCS_LINK_POINTER, link != ~0ull, "no VMCS is linked");
	pdptes(c);
}
