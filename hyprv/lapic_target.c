// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whom an interrupt reaches: lapic.h.  The sender's thread asks, and the APIC that it asks
 * about may change: what counts is one register each, as it was or as it will be.
 */
#include "lapic.h"

#define DEST_ALL	0xffu
#define DEST_ALL_WIDE	0xffffffffu

static bool logical_match(const struct lapic *lapic, const struct lapic_ipi *ipi)
{
	u32 ldr = lapic->reg[LAPIC_LDR / 16];

	/* 8 bits are of cluster 0, as in KVM: kvm_apic_match_logical_addr(). */
	if (lapic_mode(lapic) == LAPIC_X2APIC)
		return ipi->dest >> 16 == ldr >> 16 && (ipi->dest & ldr & 0xffff);
	ldr >>= 24;
	/* Flat, or clusters of four. */
	if (lapic->reg[LAPIC_DFR / 16] >> 28 == 0xf)
		return ipi->dest & ldr;
	return ipi->dest >> 4 == ldr >> 4 && (ipi->dest & ldr & 0xf);
}

bool lapic_is_target(const struct lapic *lapic, const struct lapic_ipi *ipi, u32 from)
{
	if (lapic_mode(lapic) == LAPIC_OFF)
		return false;
	switch (ipi->shorthand) {
	case LAPIC_TO_SELF:
		return lapic->id == from;
	case LAPIC_TO_ALL:
		return true;
	case LAPIC_TO_OTHERS:
		return lapic->id != from;
	case LAPIC_TO_DEST:
		break;
	}
	if (ipi->dest == (ipi->wide ? DEST_ALL_WIDE : DEST_ALL))
		return true;
	return ipi->logical ? logical_match(lapic, ipi) : lapic->id == ipi->dest;
}

void lapic_msi(struct lapic_ipi *ipi, u64 address, u32 data)
{
	*ipi = (struct lapic_ipi) {
		.delivery = (enum lapic_delivery)(data >> 8 & 7),
		.shorthand = LAPIC_TO_DEST,
		.vector = (u8)data,
		.logical = address >> 2 & 1,
		.dest = address >> 12 & 0xff,
	};
}
