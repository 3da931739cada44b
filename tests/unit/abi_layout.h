/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ABI as the compiler lays it out, for abi_test.c: included by a C and by a
 * C++ file, each of which fills a table of its own.
 */
#ifndef TESTS_UNIT_ABI_LAYOUT_H
#define TESTS_UNIT_ABI_LAYOUT_H

#include <stddef.h>
#include <linux/kvm_hypr.h>

struct abi_entry {
	const char *name;
	unsigned long value;
};

#define ABI_SIZE(type)		{ "sizeof " #type, sizeof(struct type) }
#define ABI_AT(type, field)	{ #type "." #field, offsetof(struct type, field) }
#define ABI_VALUE(name)		{ #name, (unsigned long)(name) }

#define ABI_ENTRIES							\
	ABI_SIZE(kvm_hypr_eptp), ABI_AT(kvm_hypr_eptp, eptp),		\
	ABI_AT(kvm_hypr_eptp, generation), ABI_AT(kvm_hypr_eptp, view),	\
	ABI_AT(kvm_hypr_eptp, flags), ABI_AT(kvm_hypr_eptp, reserved),	\
	ABI_SIZE(kvm_hypr_prepare), ABI_AT(kvm_hypr_prepare, view),	\
	ABI_AT(kvm_hypr_prepare, flags),				\
	ABI_AT(kvm_hypr_prepare, pages_mapped),				\
	ABI_AT(kvm_hypr_prepare, pages_skipped),			\
	ABI_AT(kvm_hypr_prepare, cycles),				\
	ABI_AT(kvm_hypr_prepare, gpa), ABI_AT(kvm_hypr_prepare, size),	\
	ABI_AT(kvm_hypr_prepare, next_gpa),				\
	ABI_AT(kvm_hypr_prepare, reserved),				\
	ABI_SIZE(kvm_hypr_swap), ABI_AT(kvm_hypr_swap, view),		\
	ABI_AT(kvm_hypr_swap, flags), ABI_AT(kvm_hypr_swap, timeout_ns),\
	ABI_AT(kvm_hypr_swap, old_view), ABI_AT(kvm_hypr_swap, forced),	\
	ABI_AT(kvm_hypr_swap, generation),				\
	ABI_AT(kvm_hypr_swap, pause_cycles),				\
	ABI_AT(kvm_hypr_swap, commit_cycles),				\
	ABI_AT(kvm_hypr_swap, vcpu_mask),				\
	ABI_AT(kvm_hypr_swap, expected_view),				\
	ABI_AT(kvm_hypr_swap, reserved),				\
	ABI_SIZE(kvm_hypr_dist), ABI_AT(kvm_hypr_dist, count),		\
	ABI_AT(kvm_hypr_dist, sum), ABI_AT(kvm_hypr_dist, min),		\
	ABI_AT(kvm_hypr_dist, max), ABI_AT(kvm_hypr_dist, hist),	\
	ABI_SIZE(kvm_hypr_stats), ABI_AT(kvm_hypr_stats, swaps),	\
	ABI_AT(kvm_hypr_stats, fail_no_view),				\
	ABI_AT(kvm_hypr_stats, prepares),				\
	ABI_AT(kvm_hypr_stats, tail_open),				\
	ABI_AT(kvm_hypr_stats, fail_lock),				\
	ABI_AT(kvm_hypr_stats, reserved),				\
	ABI_AT(kvm_hypr_stats, pause), ABI_AT(kvm_hypr_stats, commit),	\
	ABI_AT(kvm_hypr_stats, tail),					\
	ABI_SIZE(kvm_hypr_discard), ABI_AT(kvm_hypr_discard, view),	\
	ABI_AT(kvm_hypr_discard, flags),				\
	ABI_AT(kvm_hypr_discard, reserved),				\
	ABI_SIZE(kvm_hypr_control), ABI_AT(kvm_hypr_control, gpa),	\
	ABI_AT(kvm_hypr_control, userspace_addr),			\
	ABI_AT(kvm_hypr_control, flags),				\
	ABI_AT(kvm_hypr_control, reserved0),				\
	ABI_AT(kvm_hypr_control, reserved),				\
	ABI_SIZE(kvm_hypr_cache), ABI_AT(kvm_hypr_cache, flags),	\
	ABI_AT(kvm_hypr_cache, prepared),				\
	ABI_AT(kvm_hypr_cache, evicted), ABI_AT(kvm_hypr_cache, pinned),\
	ABI_AT(kvm_hypr_cache, max_tables),				\
	ABI_AT(kvm_hypr_cache, max_pages),				\
	ABI_AT(kvm_hypr_cache, tables), ABI_AT(kvm_hypr_cache, pages),	\
	ABI_AT(kvm_hypr_cache, evictions),				\
	ABI_AT(kvm_hypr_cache, rebuilds),				\
	ABI_AT(kvm_hypr_cache, reserved),				\
	ABI_SIZE(kvm_hypr_pin), ABI_AT(kvm_hypr_pin, view),		\
	ABI_AT(kvm_hypr_pin, flags), ABI_AT(kvm_hypr_pin, reserved),	\
	ABI_SIZE(kvm_hypr_mark_edited),					\
	ABI_AT(kvm_hypr_mark_edited, view),				\
	ABI_AT(kvm_hypr_mark_edited, flags),				\
	ABI_AT(kvm_hypr_mark_edited, reserved),				\
	ABI_SIZE(hypr_control_vcpu), ABI_AT(hypr_control_vcpu, state),	\
	ABI_AT(hypr_control_vcpu, reserved0),				\
	ABI_AT(hypr_control_vcpu, pauses),				\
	ABI_AT(hypr_control_vcpu, generation),				\
	ABI_AT(hypr_control_vcpu, reserved1),				\
	ABI_SIZE(hypr_control_page), ABI_AT(hypr_control_page, magic),	\
	ABI_AT(hypr_control_page, version),				\
	ABI_AT(hypr_control_page, nr_vcpus),				\
	ABI_AT(hypr_control_page, generation),				\
	ABI_AT(hypr_control_page, boot_id),				\
	ABI_AT(hypr_control_page, jump),				\
	ABI_AT(hypr_control_page, reserved0),				\
	ABI_AT(hypr_control_page, vcpu),				\
	ABI_AT(hypr_control_page, reserved1),				\
	ABI_VALUE(KVM_CAP_HYPR_EPT_SWAP), ABI_VALUE(KVM_GET_EPTP),	\
	ABI_VALUE(KVM_SET_EPTP), ABI_VALUE(KVM_PREPARE_EPT_SWAP),	\
	ABI_VALUE(KVM_COMMIT_EPT_SWAP), ABI_VALUE(KVM_EPT_SWAP_ALL),	\
	ABI_VALUE(KVM_HYPR_DISCARD_VIEW),				\
	ABI_VALUE(KVM_HYPR_SET_CONTROL_PAGE),				\
	ABI_VALUE(KVM_HYPR_GET_STATS),					\
	ABI_VALUE(KVM_HYPR_SET_CACHE), ABI_VALUE(KVM_HYPR_PIN_VIEW),	\
	ABI_VALUE(KVM_HYPR_CACHE_GET), ABI_VALUE(KVM_HYPR_PIN_UNPIN),	\
	ABI_VALUE(KVM_HYPR_PREPARE_RANGE),				\
	ABI_VALUE(KVM_EPT_SWAP_EXPECT), ABI_VALUE(KVM_EPT_SWAP_VCPUS),	\
	ABI_VALUE(KVM_HYPR_MARK_EDITED),				\
	ABI_VALUE(KVM_EPT_SWAP_PAUSE), ABI_VALUE(KVM_EPT_SWAP_RESUME),	\
	ABI_VALUE(KVM_EPT_SWAP_FORCE), ABI_VALUE(KVM_EPT_SWAP_FLUSH),	\
	ABI_VALUE(HYPR_CONTROL_GPA), ABI_VALUE(HYPR_CONTROL_SIZE),	\
	ABI_VALUE(HYPR_CONTROL_MAGIC), ABI_VALUE(HYPR_CONTROL_VECTOR),	\
	ABI_VALUE(HYPR_CONTROL_MAX_VCPUS),				\
	ABI_VALUE(HYPR_VCPU_OFFLINE), ABI_VALUE(HYPR_VCPU_RUNNING),	\
	ABI_VALUE(HYPR_VCPU_PAUSE_REQUESTED), ABI_VALUE(HYPR_VCPU_PAUSED)

#ifdef __cplusplus
extern "C" {
#endif

extern const struct abi_entry abi_in_cxx[];
extern const size_t abi_in_cxx_nr;

#ifdef __cplusplus
}
#endif

#endif
