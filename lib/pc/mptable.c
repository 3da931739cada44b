// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The MP table (Intel MultiProcessor Specification 1.4): processors, one ISA
 * bus, one I/O APIC, its sixteen ISA interrupts, and the local interrupts.
 * Interrupt n is pin n of the I/O APIC, as KVM routes them by default.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "pc/mptable.h"

#define LAPIC_GPA	0xfee00000u
#define IOAPIC_GPA	0xfec00000u
#define LAPIC_VERSION	0x14
#define IOAPIC_VERSION	0x11

#define VCPUS_MAX	64
#define ISA_INTERRUPTS	16
#define LOCAL_INTERRUPTS 2
#define NR_INTERRUPTS	(ISA_INTERRUPTS + LOCAL_INTERRUPTS)

enum {
	ENTRY_PROCESSOR,
	ENTRY_BUS,
	ENTRY_IOAPIC,
	ENTRY_IO_INT,
	ENTRY_LOCAL_INT,
};

enum {
	INT_INT,
	INT_NMI,
	INT_SMI,
	INT_EXTINT,
};

struct mp_pointer {
	char signature[4];
	uint32_t table;
	uint8_t paragraphs;
	uint8_t revision;
	uint8_t checksum;
	uint8_t feature[5];
} __attribute__((packed));

struct mp_header {
	char signature[4];
	uint16_t bytes;
	uint8_t revision;
	uint8_t checksum;
	char oem[8];
	char product[12];
	uint32_t oem_table;
	uint16_t oem_bytes;
	uint16_t entries;
	uint32_t lapic;
	uint16_t extended_bytes;
	uint8_t extended_checksum;
	uint8_t reserved;
} __attribute__((packed));

struct mp_processor {
	uint8_t type;
	uint8_t apic_id;
	uint8_t apic_version;
	uint8_t flags;			/* bit 0 enabled, bit 1 boot processor */
	uint32_t signature;
	uint32_t features;
	uint32_t reserved[2];
} __attribute__((packed));

struct mp_bus {
	uint8_t type;
	uint8_t id;
	char name[6];
} __attribute__((packed));

struct mp_ioapic {
	uint8_t type;
	uint8_t id;
	uint8_t version;
	uint8_t flags;
	uint32_t address;
} __attribute__((packed));

struct mp_interrupt {
	uint8_t type;
	uint8_t kind;
	uint16_t flags;			/* 0: polarity and trigger as the bus has them */
	uint8_t source_bus;
	uint8_t source_irq;
	uint8_t apic;
	uint8_t pin;
} __attribute__((packed));

_Static_assert(sizeof(struct mp_pointer) == 16, "MP floating pointer");
_Static_assert(sizeof(struct mp_header) == 44, "MP configuration header");
_Static_assert(sizeof(struct mp_processor) == 20, "MP processor entry");
_Static_assert(sizeof(struct mp_bus) == 8, "MP bus entry");
_Static_assert(sizeof(struct mp_ioapic) == 8, "MP I/O APIC entry");
_Static_assert(sizeof(struct mp_interrupt) == 8, "MP interrupt entry");

/* The byte that makes the sum of all bytes zero. */
static uint8_t checksum(const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint8_t sum = 0;

	while (bytes--)
		sum += *p++;
	return (uint8_t)-sum;
}

/* The table as it grows, with its header at the front. */
struct table {
	struct mp_header header;
	uint8_t entries[VCPUS_MAX * sizeof(struct mp_processor) + sizeof(struct mp_bus) +
			sizeof(struct mp_ioapic) + NR_INTERRUPTS * sizeof(struct mp_interrupt)];
};

static void append(struct table *table, const void *entry, size_t bytes)
{
	memcpy((uint8_t *)table + table->header.bytes, entry, bytes);
	table->header.bytes += bytes;
	table->header.entries++;
}

static void append_processors(struct table *table, unsigned int vcpus)
{
	unsigned int i;

	for (i = 0; i < vcpus; i++) {
		struct mp_processor cpu = {
			.type = ENTRY_PROCESSOR,
			.apic_id = (uint8_t)i,
			.apic_version = LAPIC_VERSION,
			.flags = i == 0 ? 3 : 1,
			.signature = 0x600,
			.features = 0x201,	/* FPU, APIC */
		};

		append(table, &cpu, sizeof(cpu));
	}
}

static void append_interrupts(struct table *table, uint8_t ioapic)
{
	unsigned int i;

	for (i = 0; i < ISA_INTERRUPTS; i++) {
		struct mp_interrupt isa = {
			.type = ENTRY_IO_INT,
			.kind = INT_INT,
			.source_irq = (uint8_t)i,
			.apic = ioapic,
			.pin = (uint8_t)i,
		};

		append(table, &isa, sizeof(isa));
	}
	for (i = 0; i < LOCAL_INTERRUPTS; i++) {
		struct mp_interrupt local = {
			.type = ENTRY_LOCAL_INT,
			.kind = i == 0 ? INT_EXTINT : INT_NMI,
			.apic = 0xff,		/* every local APIC */
			.pin = (uint8_t)i,
		};

		append(table, &local, sizeof(local));
	}
}

int hypr_mptable_write(const struct hypr_guest *guest, unsigned int vcpus)
{
	/* Processors have 0 to vcpus - 1; an I/O APIC's own register has 4 bits. */
	uint8_t ioapic_id = vcpus < 15 ? (uint8_t)vcpus : 15;
	struct table table = { .header = {
		.signature = { 'P', 'C', 'M', 'P' },
		.bytes = sizeof(table.header),
		.revision = 4,
		.oem = { 'H', 'Y', 'P', 'R', ' ', ' ', ' ', ' ' },
		.product = { 'M', 'I', 'C', 'R', 'O', 'V', 'M', ' ', ' ', ' ', ' ', ' ' },
		.lapic = LAPIC_GPA,
	} };
	struct mp_bus bus = {
		.type = ENTRY_BUS,
		.name = { 'I', 'S', 'A', ' ', ' ', ' ' },
	};
	struct mp_ioapic ioapic = {
		.type = ENTRY_IOAPIC,
		.id = ioapic_id,
		.version = IOAPIC_VERSION,
		.flags = 1,
		.address = IOAPIC_GPA,
	};
	struct mp_pointer pointer = {
		.signature = { '_', 'M', 'P', '_' },
		.table = HYPR_MP_TABLE_GPA,
		.paragraphs = 1,
		.revision = 4,
	};

	if (vcpus > VCPUS_MAX)
		return hypr_fail(-EINVAL, "the MP table has room for %d vCPUs, not for %u",
				 VCPUS_MAX, vcpus);
	append_processors(&table, vcpus);
	append(&table, &bus, sizeof(bus));
	append(&table, &ioapic, sizeof(ioapic));
	append_interrupts(&table, ioapic_id);
	table.header.checksum = checksum(&table, table.header.bytes);
	pointer.checksum = checksum(&pointer, sizeof(pointer));

	if (hypr_guest_write(guest, hypr_gpa(HYPR_MP_TABLE_GPA), &table, table.header.bytes))
		return hypr_guest_fail(guest, hypr_gpa(HYPR_MP_TABLE_GPA), table.header.bytes,
				       "the MP table");
	if (hypr_guest_write(guest, hypr_gpa(HYPR_MP_POINTER_GPA), &pointer, sizeof(pointer)))
		return hypr_guest_fail(guest, hypr_gpa(HYPR_MP_POINTER_GPA), sizeof(pointer),
				       "the MP table's pointer");
	return 0;
}
