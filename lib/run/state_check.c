// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A state from a file is set in devices, and a device is code that trusts its
 * registers: it uses an index as an index.  So each field of each section has a
 * rule here, which says what its consumer can hold; a file that breaks a rule is
 * refused before anything of it is set.
 *
 * The fields cover every byte of a section: state_check_test.c fails for a byte
 * without a rule.  HYPR_ANY needs a reason.  For hypr's own devices the reason is
 * that a guest can write every value; for KVM's that KVM takes every value, or
 * judges it with more knowledge than a table has (control registers, XCR0).
 */
#include <linux/kvm.h>
#include <string.h>

#include "hypr/abi/vmo_state.h"
#include "hypr/vmo.h"
#include "base/error.h"
#include "pc/console.h"
#include "pc/rtc.h"
#include "run/state_check.h"

#define FIELD(type, name, rule, limit) \
	{ #name, offsetof(struct type, name), sizeof(((struct type *)0)->name), 1, rule, limit }
#define ARRAY(type, name, rule, limit)						\
	{ #name, offsetof(struct type, name), sizeof(((struct type *)0)->name[0]),	\
	  sizeof(((struct type *)0)->name) / sizeof(((struct type *)0)->name[0]),	\
	  rule, limit }
/* Bytes from the end of one field to @to. */
#define REST(type, from, to) \
	{ "reserved", offsetof(struct type, from) + sizeof(((struct type *)0)->from), 1,	\
	  (to) - offsetof(struct type, from) - sizeof(((struct type *)0)->from), HYPR_MAX, 0 }

/* ---- VCPU ------------------------------------------------------------------ */

#define RFLAGS_BITS	0x3f7fd7	/* SDM volume 1, EFLAGS; bit 1 is always set */

#define VCPU(name, rule, limit)		FIELD(hypr_vmo_vcpu, name, rule, limit)
#define VCPU_ARRAY(name, rule, limit)	ARRAY(hypr_vmo_vcpu, name, rule, limit)

/* Base, limit and selector are the guest's; the rest is parts of one word in the VMCS. */
#define SEGMENT(name)								\
	VCPU(sregs.name.base, HYPR_ANY, 0), VCPU(sregs.name.limit, HYPR_ANY, 0),	\
	VCPU(sregs.name.selector, HYPR_ANY, 0), VCPU(sregs.name.type, HYPR_MAX, 15),	\
	VCPU(sregs.name.present, HYPR_MAX, 1), VCPU(sregs.name.dpl, HYPR_MAX, 3),	\
	VCPU(sregs.name.db, HYPR_MAX, 1), VCPU(sregs.name.s, HYPR_MAX, 1),		\
	VCPU(sregs.name.l, HYPR_MAX, 1), VCPU(sregs.name.g, HYPR_MAX, 1),		\
	VCPU(sregs.name.avl, HYPR_MAX, 1), VCPU(sregs.name.unusable, HYPR_MAX, 1),	\
	VCPU(sregs.name.padding, HYPR_MAX, 0)
#define TABLE(name)								\
	VCPU(sregs.name.base, HYPR_ANY, 0), VCPU(sregs.name.limit, HYPR_ANY, 0),	\
	VCPU_ARRAY(sregs.name.padding, HYPR_MAX, 0)
/* KVM knows XCR0 alone, and judges it. */
#define XCR(n)									\
	VCPU(xcrs.xcrs[n].xcr, HYPR_MAX, 0), VCPU(xcrs.xcrs[n].reserved, HYPR_MAX, 0),	\
	VCPU(xcrs.xcrs[n].value, HYPR_ANY, 0)

static const struct hypr_field vcpu_fields[] = {
	/* RAX to RIP: the guest's own. */
	{ "regs", 0, 8, 17, HYPR_ANY, 0 },
	VCPU(regs.rflags, HYPR_BITS, RFLAGS_BITS),
	SEGMENT(cs), SEGMENT(ds), SEGMENT(es), SEGMENT(fs), SEGMENT(gs), SEGMENT(ss),
	SEGMENT(tr), SEGMENT(ldt),
	TABLE(gdt), TABLE(idt),
	/* Control registers, EFER and the APIC's base: KVM refuses what cannot be. */
	VCPU(sregs.cr0, HYPR_ANY, 0), VCPU(sregs.cr2, HYPR_ANY, 0),
	VCPU(sregs.cr3, HYPR_ANY, 0), VCPU(sregs.cr4, HYPR_ANY, 0),
	VCPU(sregs.cr8, HYPR_MAX, 15),
	VCPU(sregs.efer, HYPR_ANY, 0), VCPU(sregs.apic_base, HYPR_ANY, 0),
	/* A bit for each vector; KVM takes the first. */
	VCPU_ARRAY(sregs.interrupt_bitmap, HYPR_ANY, 0),
	/* The guest's time is the guest's. */
	VCPU(guest_tsc, HYPR_ANY, 0), VCPU(tsc_deadline, HYPR_ANY, 0),
	/* The further ones are of other architectures and of encrypted guests. */
	VCPU(mp_state, HYPR_MAX, KVM_MP_STATE_SIPI_RECEIVED),
	/* Of HYPR_VCPU_*: OFFLINE and RUNNING. */
	VCPU(control, HYPR_MAX, 1), VCPU(parked, HYPR_MAX, 1),
	/* Held against the length of the section, and against what the VM keeps. */
	VCPU(nr_msrs, HYPR_ANY, 0), VCPU(xsave_bytes, HYPR_ANY, 0),
	VCPU(reserved, HYPR_MAX, 0),
	VCPU(xcrs.nr_xcrs, HYPR_MAX, KVM_MAX_XCRS), VCPU(xcrs.flags, HYPR_MAX, 0),
	XCR(0), XCR(1), XCR(2), XCR(3), XCR(4), XCR(5), XCR(6), XCR(7),
	XCR(8), XCR(9), XCR(10), XCR(11), XCR(12), XCR(13), XCR(14), XCR(15),
	VCPU_ARRAY(xcrs.padding, HYPR_MAX, 0),
	VCPU(events.exception.injected, HYPR_MAX, 1), VCPU(events.exception.nr, HYPR_MAX, 31),
	VCPU(events.exception.has_error_code, HYPR_MAX, 1),
	VCPU(events.exception.pending, HYPR_MAX, 1),
	VCPU(events.exception.error_code, HYPR_ANY, 0),
	VCPU(events.interrupt.injected, HYPR_MAX, 1), VCPU(events.interrupt.nr, HYPR_ANY, 0),
	VCPU(events.interrupt.soft, HYPR_MAX, 1),
	VCPU(events.interrupt.shadow, HYPR_BITS,
	     KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI),
	VCPU(events.nmi.injected, HYPR_MAX, 1),
	/* One that is injected, one that waits, one more that the CPU holds. */
	VCPU(events.nmi.pending, HYPR_MAX, 3), VCPU(events.nmi.masked, HYPR_MAX, 1),
	VCPU(events.nmi.pad, HYPR_MAX, 0),
	VCPU(events.sipi_vector, HYPR_MAX, 255),
	VCPU(events.flags, HYPR_BITS,
	     KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SIPI_VECTOR |
	     KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_SMM |
	     KVM_VCPUEVENT_VALID_PAYLOAD | KVM_VCPUEVENT_VALID_TRIPLE_FAULT),
	VCPU(events.smi.smm, HYPR_MAX, 1), VCPU(events.smi.pending, HYPR_MAX, 1),
	VCPU(events.smi.smm_inside_nmi, HYPR_MAX, 1),
	VCPU(events.smi.latched_init, HYPR_MAX, 1),
	VCPU(events.triple_fault.pending, HYPR_MAX, 1),
	VCPU_ARRAY(events.reserved, HYPR_MAX, 0),
	VCPU(events.exception_has_payload, HYPR_MAX, 1),
	VCPU(events.exception_payload, HYPR_ANY, 0),
	VCPU_ARRAY(debugregs.db, HYPR_ANY, 0),
	VCPU(debugregs.dr6, HYPR_MAX, UINT32_MAX), VCPU(debugregs.dr7, HYPR_MAX, UINT32_MAX),
	VCPU(debugregs.flags, HYPR_MAX, 0), VCPU_ARRAY(debugregs.reserved, HYPR_MAX, 0),
	/* KVM makes what it needs fit (ID, version), and takes the other bytes as memory. */
	VCPU_ARRAY(lapic.regs, HYPR_ANY, 0),
};

/* ---- CHIPS ----------------------------------------------------------------- */

#define IOAPIC_BASE	0xfec00000ull

#define CHIP(n, name, rule, limit)	FIELD(hypr_vmo_chips, chip[n].name, rule, limit)
#define PIC(n, elcr_bits)							\
	CHIP(n, chip_id, HYPR_IS, n), CHIP(n, pad, HYPR_MAX, 0),			\
	CHIP(n, chip.pic.last_irr, HYPR_ANY, 0), CHIP(n, chip.pic.irr, HYPR_ANY, 0),	\
	CHIP(n, chip.pic.imr, HYPR_ANY, 0), CHIP(n, chip.pic.isr, HYPR_ANY, 0),		\
	CHIP(n, chip.pic.priority_add, HYPR_MAX, 7),				\
	CHIP(n, chip.pic.irq_base, HYPR_BITS, 0xf8),				\
	CHIP(n, chip.pic.read_reg_select, HYPR_MAX, 1),				\
	CHIP(n, chip.pic.poll, HYPR_MAX, 1),					\
	CHIP(n, chip.pic.special_mask, HYPR_MAX, 1),				\
	CHIP(n, chip.pic.init_state, HYPR_MAX, 3),				\
	CHIP(n, chip.pic.auto_eoi, HYPR_MAX, 1),					\
	CHIP(n, chip.pic.rotate_on_auto_eoi, HYPR_MAX, 1),			\
	CHIP(n, chip.pic.special_fully_nested_mode, HYPR_MAX, 1),		\
	CHIP(n, chip.pic.init4, HYPR_MAX, 1),					\
	CHIP(n, chip.pic.elcr, HYPR_BITS, elcr_bits),				\
	/* Of the board, not of the guest. */					\
	CHIP(n, chip.pic.elcr_mask, HYPR_IS, elcr_bits),				\
	REST(hypr_vmo_chips, chip[n].chip.pic, ((n) + 1) * sizeof(struct kvm_irqchip))

static const struct hypr_field chips_fields[] = {
	PIC(0, 0xf8),
	PIC(1, 0xde),
	CHIP(2, chip_id, HYPR_IS, KVM_IRQCHIP_IOAPIC), CHIP(2, pad, HYPR_MAX, 0),
	/* Where KVM looks for it; a guest cannot move it. */
	CHIP(2, chip.ioapic.base_address, HYPR_IS, IOAPIC_BASE),
	CHIP(2, chip.ioapic.ioregsel, HYPR_MAX, 255),
	CHIP(2, chip.ioapic.id, HYPR_MAX, 15),
	CHIP(2, chip.ioapic.irr, HYPR_MAX, (1u << KVM_IOAPIC_NUM_PINS) - 1),
	CHIP(2, chip.ioapic.pad, HYPR_MAX, 0),
	/* A guest can write every bit. */
	ARRAY(hypr_vmo_chips, chip[2].chip.ioapic.redirtbl, HYPR_ANY, 0),
	REST(hypr_vmo_chips, chip[2].chip.ioapic, 3 * sizeof(struct kvm_irqchip)),
};

/* ---- PIT ------------------------------------------------------------------- */

#define PIT_COUNT_MAX	0x10000
#define PIT_LATCH_MAX	4	/* none, low byte, high byte, both: first, second */
#define PIT_MODE_MAX	5
#define PIT_MODE_NONE	0xff	/* of a counter that nobody has set up */

#define PIT(name, rule, limit)	FIELD(hypr_vmo_pit, pit.name, rule, limit)
#define COUNTER(n)								\
	PIT(channels[n].count, HYPR_MAX, PIT_COUNT_MAX),			\
	PIT(channels[n].latched_count, HYPR_ANY, 0),				\
	PIT(channels[n].count_latched, HYPR_MAX, PIT_LATCH_MAX),			\
	PIT(channels[n].status_latched, HYPR_MAX, 1),				\
	PIT(channels[n].status, HYPR_ANY, 0),					\
	PIT(channels[n].read_state, HYPR_MAX, PIT_LATCH_MAX),			\
	PIT(channels[n].write_state, HYPR_MAX, PIT_LATCH_MAX),			\
	PIT(channels[n].write_latch, HYPR_ANY, 0),				\
	PIT(channels[n].rw_mode, HYPR_MAX, 3),					\
	PIT(channels[n].mode, HYPR_OWN, 0),					\
	PIT(channels[n].bcd, HYPR_MAX, 1), PIT(channels[n].gate, HYPR_MAX, 1),	\
	/* Of the host's clock; KVM takes its own in its place. */		\
	PIT(channels[n].count_load_time, HYPR_ANY, 0)

static const struct hypr_field pit_fields[] = {
	COUNTER(0), COUNTER(1), COUNTER(2),
	PIT(flags, HYPR_BITS, KVM_PIT_FLAGS_HPET_LEGACY | KVM_PIT_FLAGS_SPEAKER_DATA_ON),
	ARRAY(hypr_vmo_pit, pit.reserved, HYPR_MAX, 0),
};

static bool pit_mode_is_fit(uint64_t mode)
{
	return mode <= PIT_MODE_MAX || mode == PIT_MODE_NONE;
}

/* ---- CLOCK, CONSOLE, RTC, CPU ------------------------------------------------ */

static const struct hypr_field clock_fields[] = {
	/* KVM counts kHz in an int; 0: it does not know. */
	FIELD(hypr_vmo_clock, tsc_khz, HYPR_MAX, INT32_MAX),
	FIELD(hypr_vmo_clock, stopped_ns, HYPR_ANY, 0),
	ARRAY(hypr_vmo_clock, boot_id, HYPR_ANY, 0),
	FIELD(hypr_vmo_clock, generation, HYPR_ANY, 0),
};

static const struct hypr_field console_fields[] = {
	FIELD(hypr_vmo_console, dll, HYPR_ANY, 0),
	FIELD(hypr_vmo_console, dlm, HYPR_ANY, 0),
	FIELD(hypr_vmo_console, ier, HYPR_BITS, HYPR_CONSOLE_IER_BITS),
	FIELD(hypr_vmo_console, fcr, HYPR_BITS, HYPR_CONSOLE_FCR_BITS),
	FIELD(hypr_vmo_console, lcr, HYPR_ANY, 0),
	FIELD(hypr_vmo_console, mcr, HYPR_BITS, HYPR_CONSOLE_MCR_BITS),
	FIELD(hypr_vmo_console, scr, HYPR_ANY, 0),
	FIELD(hypr_vmo_console, thre_pending, HYPR_MAX, 1),
	/* Counted up for ever; what is between them is judged below. */
	FIELD(hypr_vmo_console, rx_head, HYPR_ANY, 0),
	FIELD(hypr_vmo_console, rx_tail, HYPR_ANY, 0),
	ARRAY(hypr_vmo_console, rx, HYPR_ANY, 0),
};

static const struct hypr_field rtc_fields[] = {
	FIELD(hypr_vmo_rtc, index, HYPR_MAX, HYPR_RTC_REGS - 1),
	ARRAY(hypr_vmo_rtc, reserved, HYPR_MAX, 0),
	{ "cmos", 8, 1, HYPR_RTC_REG_A, HYPR_ANY, 0 },
	{ "cmos[10]", 8 + HYPR_RTC_REG_A, 1, 1, HYPR_BITS, HYPR_RTC_REG_A_BITS },
	{ "cmos[11]", 8 + HYPR_RTC_REG_B, 1, 1, HYPR_OWN, 0 },
	{ "cmos", 8 + HYPR_RTC_REG_B + 1, 1, HYPR_RTC_REGS - HYPR_RTC_REG_B - 1, HYPR_ANY, 0 },
};

/* Which features there may be is cpu.c's to say. */
static const struct hypr_field cpu_fields[] = {
	FIELD(kvm_cpuid_entry2, function, HYPR_ANY, 0),
	FIELD(kvm_cpuid_entry2, index, HYPR_ANY, 0),
	FIELD(kvm_cpuid_entry2, flags, HYPR_BITS,
	      KVM_CPUID_FLAG_SIGNIFCANT_INDEX | KVM_CPUID_FLAG_STATEFUL_FUNC |
	      KVM_CPUID_FLAG_STATE_READ_NEXT),
	FIELD(kvm_cpuid_entry2, eax, HYPR_ANY, 0), FIELD(kvm_cpuid_entry2, ebx, HYPR_ANY, 0),
	FIELD(kvm_cpuid_entry2, ecx, HYPR_ANY, 0), FIELD(kvm_cpuid_entry2, edx, HYPR_ANY, 0),
	ARRAY(kvm_cpuid_entry2, padding, HYPR_MAX, 0),
};

static const struct hypr_field msr_fields[] = {
	/* The VM's list says which there are; KVM judges their values. */
	FIELD(hypr_vmo_msr, index, HYPR_ANY, 0),
	FIELD(hypr_vmo_msr, reserved, HYPR_MAX, 0),
	FIELD(hypr_vmo_msr, value, HYPR_ANY, 0),
};

/* ---- all of them ------------------------------------------------------------- */

#define SECTION(type, fields, struct_name) \
	{ type, fields, sizeof(fields) / sizeof(fields[0]), sizeof(struct struct_name) }

static const struct section {
	uint32_t type;
	const struct hypr_field *field;
	size_t nr;
	size_t bytes;
} sections[] = {
	SECTION(HYPR_VMO_VCPU, vcpu_fields, hypr_vmo_vcpu),
	SECTION(HYPR_VMO_CHIPS, chips_fields, hypr_vmo_chips),
	SECTION(HYPR_VMO_PIT, pit_fields, hypr_vmo_pit),
	SECTION(HYPR_VMO_CLOCK, clock_fields, hypr_vmo_clock),
	SECTION(HYPR_VMO_CONSOLE, console_fields, hypr_vmo_console),
	SECTION(HYPR_VMO_RTC, rtc_fields, hypr_vmo_rtc),
	SECTION(HYPR_VMO_CPU, cpu_fields, kvm_cpuid_entry2),
};

static const struct section msr_section = SECTION(0, msr_fields, hypr_vmo_msr);

static const struct section *find(uint32_t type)
{
	size_t i;

	for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		if (sections[i].type == type)
			return &sections[i];
	}
	return NULL;
}

const struct hypr_field *hypr_state_fields(uint32_t type, size_t *nr, size_t *bytes)
{
	const struct section *section = find(type);

	if (!section)
		return NULL;
	*nr = section->nr;
	*bytes = section->bytes;
	return section->field;
}

static bool own_is_fit(const struct hypr_field *field, uint64_t value)
{
	if (!strcmp(field->name, "cmos[11]"))
		return value == hypr_rtc_reg_b((uint8_t)value);
	return pit_mode_is_fit(value);
}

static bool is_fit(const struct hypr_field *field, uint64_t value)
{
	switch (field->rule) {
	case HYPR_ANY:
		return true;
	case HYPR_MAX:
		return value <= field->limit;
	case HYPR_BITS:
		return !(value & ~field->limit);
	case HYPR_IS:
		return value == field->limit;
	default:
		return own_is_fit(field, value);
	}
}

/* What is wrong, or NULL. */
static const struct hypr_field *misfit(const struct section *section, const uint8_t *data,
				       uint64_t *value)
{
	size_t i, n;

	for (i = 0; i < section->nr; i++) {
		const struct hypr_field *field = &section->field[i];

		for (n = 0; n < field->nr && field->rule != HYPR_ANY; n++) {
			*value = 0;
			memcpy(value, data + field->at + n * field->bytes, field->bytes);
			if (!is_fit(field, *value))
				return field;
		}
	}
	return NULL;
}

static int check_one(const char *path, uint32_t type, uint32_t index,
		     const struct section *section, const uint8_t *data)
{
	const struct hypr_field *field;
	uint64_t value;

	field = misfit(section, data, &value);
	if (!field)
		return 0;
	return hypr_fail(-EBADMSG, "%s: section %s %u: %s is 0x%llx, which nothing here can hold",
			 path, hypr_vmo_section_name(type), index, field->name,
			 (unsigned long long)value);
}

static int check_ring(const char *path, const struct hypr_vmo_console *console)
{
	uint32_t used = console->rx_tail - console->rx_head;

	if (used > sizeof(console->rx))
		return hypr_fail(-EBADMSG,
				 "%s: section CONSOLE 0: %u received bytes in a ring of %zu", path,
				 used, sizeof(console->rx));
	return 0;
}

static int check_msrs(const char *path, uint32_t index, const struct hypr_vmo_vcpu *vcpu,
		      size_t bytes)
{
	const struct hypr_vmo_msr *msr = (const struct hypr_vmo_msr *)(vcpu + 1);
	uint32_t i;
	int ret = 0;

	if (bytes != sizeof(*vcpu) + (uint64_t)vcpu->nr_msrs * sizeof(*msr) + vcpu->xsave_bytes)
		return hypr_fail(-EBADMSG, "%s: section VCPU %u has %zu bytes", path, index,
				 bytes);
	for (i = 0; i < vcpu->nr_msrs && !ret; i++)
		ret = check_one(path, HYPR_VMO_VCPU, index, &msr_section,
				(const uint8_t *)&msr[i]);
	return ret;
}

int hypr_state_check(const char *path, uint32_t type, uint32_t index, const void *data,
		     size_t bytes)
{
	const struct section *section = find(type);
	size_t at = 0;
	int ret = 0;

	if (!section)
		return 0;
	do {
		ret = check_one(path, type, index, section, (const uint8_t *)data + at);
		at += section->bytes;
	} while (!ret && type == HYPR_VMO_CPU && at + section->bytes <= bytes);
	if (!ret && type == HYPR_VMO_CONSOLE)
		ret = check_ring(path, data);
	if (!ret && type == HYPR_VMO_VCPU)
		ret = check_msrs(path, index, data, bytes);
	return ret;
}
