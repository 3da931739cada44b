// SPDX-License-Identifier: GPL-2.0-only
/*
 * The checks of VM entry, in the order of SDM volume 3C, chapter "VM Entries": the
 * controls and the host's state here, the guest's state in vmcs_check_guest.c.
 */
#include "vmcs_check.h"
#include "vmcs_check_parts.h"

const char *vmcs_field_name(enum vmcs_field field)
{
#define NAME(name, encoding)	case encoding: return #name;
	switch ((u32)field) {
	VMCS_FIELDS(NAME)
	}
#undef NAME
	return "no field";
}

/* ---- what several fields have in common --------------------------------- */

/* 0, or not aligned to @align, or beyond MAXPHYADDR. */
static bool bad_address(struct check *c, u64 address, u64 align)
{
	return (address & (align - 1)) || address >> c->can->maxphyaddr;
}

bool check_canonical(struct check *c, u64 address)
{
	u32 unused = 64 - c->can->linear_bits;

	return (u64)((s64)(address << unused) >> unused) == address;
}

bool check_pat(u64 pat)
{
	for (u32 i = 0; i < 64; i += 8) {
		u32 type = pat >> i & 0xff;

		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

static void controls(struct check *c, enum vmcs_field field, struct vmx_controls can)
{
	u32 value = get(c, field);

	refuse(c, field, (value & can.must) != can.must, "a bit that must be 1 is 0");
	refuse(c, field, value & ~can.may, "a bit that must be 0 is 1");
}

static void msr_area(struct check *c, enum vmcs_field address, enum vmcs_field count)
{
	u64 where = get(c, address), entries = get(c, count);

	if (!entries)
		return;
	refuse(c, address, bad_address(c, where, 16),
	       "the MSR area must be aligned to 16 bytes and below MAXPHYADDR");
	refuse(c, count, (where + 16 * entries - 1) >> c->can->maxphyaddr,
	       "the MSR area must end below MAXPHYADDR");
}

/* ---- controls ----------------------------------------------------------- */

static void eptp(struct check *c)
{
	u64 eptp = get(c, VMCS_EPT_POINTER);
	u32 type = eptp & 7, levels = (eptp >> 3 & 7) + 1;
	bool cached = type == 6 && (c->can->ept_vpid & EPT_CAP_WRITE_BACK);
	bool uncached = type == 0 && (c->can->ept_vpid & EPT_CAP_UNCACHED);

	refuse(c, VMCS_EPT_POINTER, !cached && !uncached, "memory type that the CPU lacks");
	refuse(c, VMCS_EPT_POINTER,
	       !(levels == 4 && (c->can->ept_vpid & EPT_CAP_WALK_4)) &&
	       !(levels == 5 && (c->can->ept_vpid & EPT_CAP_WALK_5)),
	       "number of levels that the CPU lacks");
	refuse(c, VMCS_EPT_POINTER,
	       (eptp & BIT_ULL(6)) && !(c->can->ept_vpid & EPT_CAP_ACCESSED_DIRTY),
	       "accessed and dirty flags that the CPU lacks");
	refuse(c, VMCS_EPT_POINTER, (eptp & 0xf80) || eptp >> c->can->maxphyaddr,
	       "a reserved bit is 1");
}

static void execution(struct check *c)
{
	u32 pin, cpu, cpu2;

	controls(c, VMCS_PIN_CONTROLS, c->can->pin);
	controls(c, VMCS_CPU_CONTROLS, c->can->cpu);
	pin = get(c, VMCS_PIN_CONTROLS);
	cpu = get(c, VMCS_CPU_CONTROLS);
	if (cpu & CPU_SECONDARY)
		controls(c, VMCS_CPU_CONTROLS2, c->can->cpu2);
	cpu2 = c->cpu2;
	refuse(c, VMCS_CR3_TARGET_COUNT, get(c, VMCS_CR3_TARGET_COUNT) > 4,
	       "more than 4 CR3 targets");
	refuse(c, VMCS_MSR_BITMAP, (cpu & CPU_MSR_BITMAPS) &&
	       bad_address(c, get(c, VMCS_MSR_BITMAP), 4096),
	       "the MSR bitmap must be a page below MAXPHYADDR");
	refuse(c, VMCS_PIN_CONTROLS, (pin & PIN_VIRTUAL_NMI) && !(pin & PIN_NMI),
	       "virtual NMIs need exits at NMIs");
	refuse(c, VMCS_CPU_CONTROLS, (cpu & CPU_NMI_WINDOW) && !(pin & PIN_VIRTUAL_NMI),
	       "an NMI window needs virtual NMIs");
	refuse(c, VMCS_VPID, (cpu2 & CPU2_VPID) && !(u16)get(c, VMCS_VPID), "the VPID is 0");
	refuse(c, VMCS_CPU_CONTROLS2, (cpu2 & CPU2_UNRESTRICTED) && !(cpu2 & CPU2_EPT),
	       "an unrestricted guest needs EPT");
	if (cpu2 & CPU2_EPT)
		eptp(c);
}

static void exits(struct check *c)
{
	controls(c, VMCS_EXIT_CONTROLS, c->can->exit);
	refuse(c, VMCS_EXIT_CONTROLS, (get(c, VMCS_EXIT_CONTROLS) & BIT_ULL(22)) &&
	       !(get(c, VMCS_PIN_CONTROLS) & PIN_PREEMPTION_TIMER),
	       "to save the preemption timer needs the timer");
	msr_area(c, VMCS_EXIT_MSR_STORE_ADDR, VMCS_EXIT_MSR_STORE_COUNT);
	msr_area(c, VMCS_EXIT_MSR_LOAD_ADDR, VMCS_EXIT_MSR_LOAD_COUNT);
}

/* Exceptions that push an error code. */
static bool has_error_code(u32 vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static void event(struct check *c)
{
	u32 event = get(c, VMCS_ENTRY_EVENT), vector = event & EVENT_VECTOR;
	u32 type = event & EVENT_TYPE, bytes = get(c, VMCS_ENTRY_INSTRUCTION_BYTES);
	bool protected = get(c, VMCS_GUEST_CR0) & 1;
	bool wants_error = type == EVENT_EXCEPTION && has_error_code(vector) && protected;
	bool soft = type == EVENT_SOFT_INTERRUPT || type == EVENT_PRIVILEGED ||
		    type == EVENT_SOFT_EXCEPTION;

	if (!(event & EVENT_VALID))
		return;
	refuse(c, VMCS_ENTRY_EVENT, type == 1 << 8, "reserved type of event");
	refuse(c, VMCS_ENTRY_EVENT, type == EVENT_NMI && vector != 2, "an NMI has vector 2");
	refuse(c, VMCS_ENTRY_EVENT, type == EVENT_EXCEPTION && vector > 31,
	       "an exception has a vector up to 31");
	refuse(c, VMCS_ENTRY_EVENT, type == EVENT_OTHER && vector, "another event has vector 0");
	refuse(c, VMCS_ENTRY_EVENT, !(event & EVENT_HAS_ERROR) != !wants_error,
	       "an error code where none belongs, or none where one does");
	refuse(c, VMCS_ENTRY_EVENT, event & 0x7ffff000, "a reserved bit is 1");
	refuse(c, VMCS_ENTRY_EVENT_ERROR, (event & EVENT_HAS_ERROR) &&
	       get(c, VMCS_ENTRY_EVENT_ERROR) >> 15, "a reserved bit of the error code is 1");
	refuse(c, VMCS_ENTRY_INSTRUCTION_BYTES, soft && (bytes < 1 || bytes > 15),
	       "an instruction has 1 to 15 bytes");
}

static void entries(struct check *c)
{
	controls(c, VMCS_ENTRY_CONTROLS, c->can->entry);
	refuse(c, VMCS_ENTRY_CONTROLS, c->entry & (ENTRY_SMM | ENTRY_DUAL_MONITOR),
	       "an entry to SMM from outside of it");
	event(c);
	msr_area(c, VMCS_ENTRY_MSR_LOAD_ADDR, VMCS_ENTRY_MSR_LOAD_COUNT);
}

/* ---- the host's state --------------------------------------------------- */

static void host_registers(struct check *c)
{
	static const enum vmcs_field canonical[] = {
		VMCS_HOST_SYSENTER_ESP, VMCS_HOST_SYSENTER_EIP, VMCS_HOST_FS_BASE,
		VMCS_HOST_GS_BASE, VMCS_HOST_GDTR_BASE, VMCS_HOST_IDTR_BASE,
		VMCS_HOST_TR_BASE, VMCS_HOST_RIP,
	};
	u64 cr0 = get(c, VMCS_HOST_CR0), cr4 = get(c, VMCS_HOST_CR4);

	refuse(c, VMCS_HOST_CR0, (cr0 & c->can->cr0_fixed0) != c->can->cr0_fixed0 ||
	       (cr0 & ~c->can->cr0_fixed1), "a bit that VMX operation fixes is wrong");
	refuse(c, VMCS_HOST_CR4, (cr4 & c->can->cr4_fixed0) != c->can->cr4_fixed0 ||
	       (cr4 & ~c->can->cr4_fixed1), "a bit that VMX operation fixes is wrong");
	refuse(c, VMCS_HOST_CR3, (get(c, VMCS_HOST_CR3) & ~BIT_ULL(63)) >> c->can->maxphyaddr,
	       "beyond MAXPHYADDR");
	for (u32 i = 0; i < sizeof(canonical) / sizeof(canonical[0]); i++)
		refuse(c, canonical[i], !check_canonical(c, get(c, canonical[i])),
		       "the address is not canonical");
	refuse(c, VMCS_HOST_CR4, !(cr4 & BIT_ULL(5)), "a 64-bit host has CR4.PAE");
}

static void host_selectors(struct check *c)
{
	static const enum vmcs_field selectors[] = {
		VMCS_HOST_ES_SELECTOR, VMCS_HOST_CS_SELECTOR, VMCS_HOST_SS_SELECTOR,
		VMCS_HOST_DS_SELECTOR, VMCS_HOST_FS_SELECTOR, VMCS_HOST_GS_SELECTOR,
		VMCS_HOST_TR_SELECTOR,
	};

	for (u32 i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++)
		refuse(c, selectors[i], get(c, selectors[i]) & 7, "RPL and TI must be 0");
	refuse(c, VMCS_HOST_CS_SELECTOR, !get(c, VMCS_HOST_CS_SELECTOR), "the selector is null");
	refuse(c, VMCS_HOST_TR_SELECTOR, !get(c, VMCS_HOST_TR_SELECTOR), "the selector is null");
}

static void host_msrs(struct check *c)
{
	static const u64 known = BIT_ULL(0) | BIT_ULL(8) | BIT_ULL(10) | BIT_ULL(11);
	u32 exit = get(c, VMCS_EXIT_CONTROLS);
	u64 efer = get(c, VMCS_HOST_EFER);

	refuse(c, VMCS_HOST_PAT, (exit & EXIT_LOAD_PAT) && !check_pat(get(c, VMCS_HOST_PAT)),
	       "a memory type that does not exist");
	if (exit & EXIT_LOAD_EFER) {
		refuse(c, VMCS_HOST_EFER, efer & ~known, "a reserved bit is 1");
		refuse(c, VMCS_HOST_EFER, !(efer & BIT_ULL(8)) || !(efer & BIT_ULL(10)),
		       "a 64-bit host has LME and LMA");
	}
	refuse(c, VMCS_EXIT_CONTROLS, !(exit & EXIT_HOST_64), "the host is a 64-bit one");
}

struct vmcs_fault vmcs_check(const struct vmx_capabilities *can,
			     u64 (*read)(void *context, enum vmcs_field field), void *context)
{
	struct check c = { .can = can, .read = read, .context = context };

	c.fault = (struct vmcs_fault) { VMCS_NO_FIELD, vmcs_field_name(VMCS_NO_FIELD),
					"no rule is broken" };
	c.entry = get(&c, VMCS_ENTRY_CONTROLS);
	c.cpu2 = get(&c, VMCS_CPU_CONTROLS) & CPU_SECONDARY ? get(&c, VMCS_CPU_CONTROLS2) : 0;
	execution(&c);
	exits(&c);
	entries(&c);
	host_registers(&c);
	host_selectors(&c);
	host_msrs(&c);
	vmcs_check_guest(&c);
	return c.fault;
}
