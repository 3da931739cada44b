/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Stands in for arch/x86/kvm/vmx/vmx_ept_swap.h in user space: the same include
 * guard, so that the real file's include of its header finds nothing to do, and
 * what ept_eptp.c takes from it.  A field that is missing here does not compile.
 */
#ifndef __KVM_X86_VMX_EPT_SWAP_H
#define __KVM_X86_VMX_EPT_SWAP_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

#define BIT_ULL(n)	(1ULL << (n))

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

#endif
