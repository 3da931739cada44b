/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The EPT pointer, as arithmetic.  ept_eptp.c touches no KVM state, so that user
 * space and KUnit test the same file.
 */
#ifndef __KVM_X86_VMX_EPT_EPTP_H
#define __KVM_X86_VMX_EPT_EPTP_H

#include <linux/types.h>

/**
 * struct hypr_ept_caps - what the CPU takes in an EPTP
 * @maxphyaddr: physical-address width in bits
 * @mt_uc: memory type 0 (uncacheable) is supported
 * @mt_wb: memory type 6 (write-back) is supported
 * @walk4: page-walk length 4 is supported
 * @walk5: page-walk length 5 is supported
 * @ad: accessed and dirty flags are supported
 */
struct hypr_ept_caps {
	u8 maxphyaddr;
	bool mt_uc;
	bool mt_wb;
	bool walk4;
	bool walk5;
	bool ad;
};

u64 hypr_eptp_encode(u64 root_hpa, int level, bool ad);
int hypr_eptp_check(u64 eptp, const struct hypr_ept_caps *caps);
void hypr_ept_caps_decode(struct hypr_ept_caps *caps, u64 ept_vpid_cap,
			  u8 maxphyaddr);
int hypr_ncr3_check(u64 ncr3, u8 maxphyaddr, u64 c_bit);

#endif /* __KVM_X86_VMX_EPT_EPTP_H */
