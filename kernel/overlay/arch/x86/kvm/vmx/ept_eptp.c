// SPDX-License-Identifier: GPL-2.0-only
/*
 * The EPT pointer, as arithmetic: encode an EPTP, and check an EPTP or a nested
 * CR3 (AMD) that came from outside.  See ept_eptp.h.
 *
 * Source of the rules: Intel SDM volume 3, "Extended-Page-Table Pointer (EPTP)"
 * for the format, "Checks on VMX Controls" for what VM-entry refuses, and
 * "VPID and EPT Capabilities" for the capability MSR.
 */
#include <linux/bits.h>
#include <linux/errno.h>

#include "ept_eptp.h"

#define EPTP_MT_MASK		0x7ull
#define EPTP_MT_UC		0ull
#define EPTP_MT_WB		6ull
#define EPTP_WALK_SHIFT		3
#define EPTP_WALK_MASK		(0x7ull << EPTP_WALK_SHIFT)
#define EPTP_AD			BIT_ULL(6)
#define EPTP_RESERVED_LOW	(0x1full << 7)

#define NCR3_LOW		0xfffull

#define EPT_CAP_WALK4		BIT_ULL(6)
#define EPT_CAP_WALK5		BIT_ULL(7)
#define EPT_CAP_MT_UC		BIT_ULL(8)
#define EPT_CAP_MT_WB		BIT_ULL(14)
#define EPT_CAP_AD		BIT_ULL(21)

/**
 * hypr_ept_caps_decode() - read the capabilities that bear on an EPTP
 * @caps: filled
 * @ept_vpid_cap: value of IA32_VMX_EPT_VPID_CAP
 * @maxphyaddr: physical-address width in bits, 32 to 52
 */
void hypr_ept_caps_decode(struct hypr_ept_caps *caps, u64 ept_vpid_cap,
			  u8 maxphyaddr)
{
	*caps = (struct hypr_ept_caps) {
		.maxphyaddr = maxphyaddr,
		.mt_uc = ept_vpid_cap & EPT_CAP_MT_UC,
		.mt_wb = ept_vpid_cap & EPT_CAP_MT_WB,
		.walk4 = ept_vpid_cap & EPT_CAP_WALK4,
		.walk5 = ept_vpid_cap & EPT_CAP_WALK5,
		.ad = ept_vpid_cap & EPT_CAP_AD,
	};
}

/**
 * hypr_eptp_encode() - the EPTP of a root, as KVM loads it
 * @root_hpa: HPA of the root table, page aligned
 * @level: levels of the table, 4 or 5
 * @ad: accessed and dirty flags are in use
 *
 * Return: the EPTP, memory type write-back.
 */
u64 hypr_eptp_encode(u64 root_hpa, int level, bool ad)
{
	return root_hpa | EPTP_MT_WB | (ad ? EPTP_AD : 0) |
	       (u64)(level - 1) << EPTP_WALK_SHIFT;
}

/**
 * hypr_eptp_check() - would VM-entry take this EPTP?
 * @eptp: untrusted
 * @caps: of this host
 *
 * Passing says that the format is right, not that the address is a root: the
 * caller compares with the roots that it knows.
 *
 * Return: 0, or -EINVAL for a memory type or page-walk length that is undefined
 * or unsupported, A/D flags without support, a reserved bit, or an address
 * beyond MAXPHYADDR.
 */
int hypr_eptp_check(u64 eptp, const struct hypr_ept_caps *caps)
{
	u64 mt = eptp & EPTP_MT_MASK;
	u64 levels = ((eptp & EPTP_WALK_MASK) >> EPTP_WALK_SHIFT) + 1;

	if (!(mt == EPTP_MT_UC && caps->mt_uc) &&
	    !(mt == EPTP_MT_WB && caps->mt_wb))
		return -EINVAL;

	if (!(levels == 4 && caps->walk4) && !(levels == 5 && caps->walk5))
		return -EINVAL;

	if ((eptp & EPTP_AD) && !caps->ad)
		return -EINVAL;

	/*
	 * Bit 7 enables supervisor shadow-stack control where that exists; KVM
	 * never sets it, so here it is as reserved as bits 11:8.
	 */
	if (eptp & EPTP_RESERVED_LOW)
		return -EINVAL;

	if (eptp >> caps->maxphyaddr)
		return -EINVAL;

	return 0;
}

/**
 * hypr_ncr3_check() - would VMRUN take this nested CR3?
 * @ncr3: untrusted
 * @maxphyaddr: physical-address width in bits
 * @c_bit: mask of the memory-encryption bit, 0 without encryption
 *
 * Source of the rules: AMD APM volume 2, "Canonicalization and Consistency
 * Checks": bits beyond the physical-address width must be zero.  The low bits
 * are CR3's own (PWT, PCD and reserved ones); KVM sets none of them.
 *
 * Return: 0, or -EINVAL if it is not page aligned or beyond MAXPHYADDR.
 */
int hypr_ncr3_check(u64 ncr3, u8 maxphyaddr, u64 c_bit)
{
	ncr3 &= ~c_bit;
	if ((ncr3 & NCR3_LOW) || ncr3 >> maxphyaddr)
		return -EINVAL;
	return 0;
}
