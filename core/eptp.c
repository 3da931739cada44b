// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/*
 * Source of the rules: Intel SDM volume 3, "Extended-Page-Table Pointer (EPTP)"
 * for the format, "Checks on VMX Controls" for what VM-entry refuses, and
 * "VPID and EPT Capabilities" for the capability MSR.
 */
#include "eptp.h"

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

u64 hypr_eptp_encode(hypr_hpa_t root, int level, bool ad)
{
	return root.addr | EPTP_MT_WB | (ad ? EPTP_AD : 0) |
	       (u64)(level - 1) << EPTP_WALK_SHIFT;
}

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

int hypr_ncr3_check(u64 ncr3, u8 maxphyaddr, u64 c_bit)
{
	ncr3 &= ~c_bit;
	if ((ncr3 & NCR3_LOW) || ncr3 >> maxphyaddr)
		return -EINVAL;
	return 0;
}
