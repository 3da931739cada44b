/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * The EPT pointer, as arithmetic: encode an EPTP, and check an EPTP or a nested
 * CR3 (AMD) that came from outside.
 *
 * KVM's side of HYPR compiles the same file.
 */
#ifndef CORE_EPTP_H
#define CORE_EPTP_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

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

/**
 * hypr_ept_caps_decode() - read the capabilities that bear on an EPTP
 * @caps: filled
 * @ept_vpid_cap: value of IA32_VMX_EPT_VPID_CAP
 * @maxphyaddr: physical-address width in bits, 32 to 52
 */
void hypr_ept_caps_decode(struct hypr_ept_caps *caps, u64 ept_vpid_cap,
			  u8 maxphyaddr);

/**
 * hypr_eptp_encode() - the EPTP of a root
 * @root: HPA of the root table, page aligned
 * @level: levels of the table, 4 or 5
 * @ad: accessed and dirty flags are in use
 *
 * Return: the EPTP, memory type write-back.
 */
u64 hypr_eptp_encode(hypr_hpa_t root, int level, bool ad);

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
int hypr_eptp_check(u64 eptp, const struct hypr_ept_caps *caps);

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
int hypr_ncr3_check(u64 ncr3, u8 maxphyaddr, u64 c_bit);

#ifdef __cplusplus
}
#endif

#endif /* CORE_EPTP_H */
