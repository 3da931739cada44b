/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * HYPR: the layout of <linux/kvm_hypr.h> as a table: for each struct its fields in
 * order and then its size, in bytes.  Append only.
 *
 * The file has no include guard.  By default each line is an assertion.  After
 * <linux/kvm_hypr.h>, who wants another use of the lines defines HYPR_ABI_AT() and
 * HYPR_ABI_SIZE() and includes the file; the file undefines both.
 */
#include <linux/kvm_hypr.h>

#ifndef HYPR_ABI_AT
/* Fails to compile unless @cond: no language's own assertion is in all three. */
#define HYPR_ABI_ASSERT(cond) \
	extern char (*hypr_abi_assert(void))[sizeof(char[1 - 2 * !(cond)])]
#define HYPR_ABI_AT(type, field, offset) \
	HYPR_ABI_ASSERT(__builtin_offsetof(struct type, field) == (offset))
#define HYPR_ABI_SIZE(type, size) HYPR_ABI_ASSERT(sizeof(struct type) == (size))
#endif

HYPR_ABI_AT(kvm_hypr_eptp, eptp, 0);
HYPR_ABI_AT(kvm_hypr_eptp, generation, 8);
HYPR_ABI_AT(kvm_hypr_eptp, view, 16);
HYPR_ABI_AT(kvm_hypr_eptp, flags, 20);
HYPR_ABI_AT(kvm_hypr_eptp, reserved, 24);
HYPR_ABI_SIZE(kvm_hypr_eptp, 64);

HYPR_ABI_AT(kvm_hypr_prepare, view, 0);
HYPR_ABI_AT(kvm_hypr_prepare, flags, 4);
HYPR_ABI_AT(kvm_hypr_prepare, pages_mapped, 8);
HYPR_ABI_AT(kvm_hypr_prepare, pages_skipped, 16);
HYPR_ABI_AT(kvm_hypr_prepare, cycles, 24);
HYPR_ABI_AT(kvm_hypr_prepare, gpa, 32);
HYPR_ABI_AT(kvm_hypr_prepare, size, 40);
HYPR_ABI_AT(kvm_hypr_prepare, next_gpa, 48);
HYPR_ABI_AT(kvm_hypr_prepare, reserved, 56);
HYPR_ABI_SIZE(kvm_hypr_prepare, 64);

HYPR_ABI_AT(kvm_hypr_swap, view, 0);
HYPR_ABI_AT(kvm_hypr_swap, flags, 4);
HYPR_ABI_AT(kvm_hypr_swap, timeout_ns, 8);
HYPR_ABI_AT(kvm_hypr_swap, old_view, 16);
HYPR_ABI_AT(kvm_hypr_swap, forced, 20);
HYPR_ABI_AT(kvm_hypr_swap, generation, 24);
HYPR_ABI_AT(kvm_hypr_swap, pause_cycles, 32);
HYPR_ABI_AT(kvm_hypr_swap, commit_cycles, 40);
HYPR_ABI_AT(kvm_hypr_swap, vcpu_mask, 48);
HYPR_ABI_AT(kvm_hypr_swap, expected_view, 56);
HYPR_ABI_AT(kvm_hypr_swap, pages, 60);
HYPR_ABI_SIZE(kvm_hypr_swap, 64);

HYPR_ABI_AT(kvm_hypr_discard, view, 0);
HYPR_ABI_AT(kvm_hypr_discard, flags, 4);
HYPR_ABI_AT(kvm_hypr_discard, reserved, 8);
HYPR_ABI_SIZE(kvm_hypr_discard, 32);

HYPR_ABI_AT(kvm_hypr_control, gpa, 0);
HYPR_ABI_AT(kvm_hypr_control, userspace_addr, 8);
HYPR_ABI_AT(kvm_hypr_control, flags, 16);
HYPR_ABI_AT(kvm_hypr_control, reserved0, 20);
HYPR_ABI_AT(kvm_hypr_control, reserved, 24);
HYPR_ABI_SIZE(kvm_hypr_control, 64);

HYPR_ABI_AT(kvm_hypr_dist, count, 0);
HYPR_ABI_AT(kvm_hypr_dist, sum, 8);
HYPR_ABI_AT(kvm_hypr_dist, min, 16);
HYPR_ABI_AT(kvm_hypr_dist, max, 24);
HYPR_ABI_AT(kvm_hypr_dist, hist, 32);
HYPR_ABI_SIZE(kvm_hypr_dist, 352);

HYPR_ABI_AT(kvm_hypr_stats, swaps, 0);
HYPR_ABI_AT(kvm_hypr_stats, forced, 8);
HYPR_ABI_AT(kvm_hypr_stats, pause_timeouts, 16);
HYPR_ABI_AT(kvm_hypr_stats, fail_no_view, 24);
HYPR_ABI_AT(kvm_hypr_stats, fail_unprepared, 32);
HYPR_ABI_AT(kvm_hypr_stats, fail_stale, 40);
HYPR_ABI_AT(kvm_hypr_stats, fail_busy, 48);
HYPR_ABI_AT(kvm_hypr_stats, fail_pause, 56);
HYPR_ABI_AT(kvm_hypr_stats, fail_hold, 64);
HYPR_ABI_AT(kvm_hypr_stats, fail_signal, 72);
HYPR_ABI_AT(kvm_hypr_stats, fail_other, 80);
HYPR_ABI_AT(kvm_hypr_stats, prepares, 88);
HYPR_ABI_AT(kvm_hypr_stats, prepare_failures, 96);
HYPR_ABI_AT(kvm_hypr_stats, discards, 104);
HYPR_ABI_AT(kvm_hypr_stats, flushes, 112);
HYPR_ABI_AT(kvm_hypr_stats, tail_open, 120);
HYPR_ABI_AT(kvm_hypr_stats, fail_lock, 128);
HYPR_ABI_AT(kvm_hypr_stats, asked, 136);
HYPR_ABI_AT(kvm_hypr_stats, asked_user, 144);
HYPR_ABI_AT(kvm_hypr_stats, reserved, 152);
HYPR_ABI_AT(kvm_hypr_stats, pause, 256);
HYPR_ABI_AT(kvm_hypr_stats, commit, 608);
HYPR_ABI_AT(kvm_hypr_stats, tail, 960);
HYPR_ABI_SIZE(kvm_hypr_stats, 1312);

HYPR_ABI_AT(kvm_hypr_cache, flags, 0);
HYPR_ABI_AT(kvm_hypr_cache, prepared, 4);
HYPR_ABI_AT(kvm_hypr_cache, evicted, 8);
HYPR_ABI_AT(kvm_hypr_cache, pinned, 12);
HYPR_ABI_AT(kvm_hypr_cache, max_tables, 16);
HYPR_ABI_AT(kvm_hypr_cache, max_pages, 24);
HYPR_ABI_AT(kvm_hypr_cache, tables, 32);
HYPR_ABI_AT(kvm_hypr_cache, pages, 40);
HYPR_ABI_AT(kvm_hypr_cache, evictions, 48);
HYPR_ABI_AT(kvm_hypr_cache, rebuilds, 56);
HYPR_ABI_AT(kvm_hypr_cache, reserved, 64);
HYPR_ABI_SIZE(kvm_hypr_cache, 128);

HYPR_ABI_AT(kvm_hypr_pin, view, 0);
HYPR_ABI_AT(kvm_hypr_pin, flags, 4);
HYPR_ABI_AT(kvm_hypr_pin, reserved, 8);
HYPR_ABI_SIZE(kvm_hypr_pin, 32);

HYPR_ABI_AT(kvm_hypr_mark_edited, view, 0);
HYPR_ABI_AT(kvm_hypr_mark_edited, flags, 4);
HYPR_ABI_AT(kvm_hypr_mark_edited, reserved, 8);
HYPR_ABI_SIZE(kvm_hypr_mark_edited, 32);

HYPR_ABI_AT(kvm_hypr_written, view, 0);
HYPR_ABI_AT(kvm_hypr_written, flags, 4);
HYPR_ABI_AT(kvm_hypr_written, nr_pages, 8);
HYPR_ABI_AT(kvm_hypr_written, bitmap, 16);
HYPR_ABI_AT(kvm_hypr_written, pages, 24);
HYPR_ABI_AT(kvm_hypr_written, reserved, 32);
HYPR_ABI_SIZE(kvm_hypr_written, 64);

HYPR_ABI_AT(kvm_hypr_keep, view, 0);
HYPR_ABI_AT(kvm_hypr_keep, flags, 4);
HYPR_ABI_AT(kvm_hypr_keep, host_tsc, 8);
HYPR_ABI_AT(kvm_hypr_keep, msrs, 16);
HYPR_ABI_AT(kvm_hypr_keep, reserved, 24);
HYPR_ABI_SIZE(kvm_hypr_keep, 64);

HYPR_ABI_AT(kvm_hypr_state, view, 0);
HYPR_ABI_AT(kvm_hypr_state, flags, 4);
HYPR_ABI_AT(kvm_hypr_state, vcpu, 8);
HYPR_ABI_AT(kvm_hypr_state, xsave_bytes, 12);
HYPR_ABI_AT(kvm_hypr_state, host_tsc, 16);
HYPR_ABI_AT(kvm_hypr_state, tsc_offset, 24);
HYPR_ABI_AT(kvm_hypr_state, tsc_deadline, 32);
HYPR_ABI_AT(kvm_hypr_state, regs, 40);
HYPR_ABI_AT(kvm_hypr_state, sregs, 48);
HYPR_ABI_AT(kvm_hypr_state, xcrs, 56);
HYPR_ABI_AT(kvm_hypr_state, debugregs, 64);
HYPR_ABI_AT(kvm_hypr_state, lapic, 72);
HYPR_ABI_AT(kvm_hypr_state, msrs, 80);
HYPR_ABI_AT(kvm_hypr_state, xsave, 88);
HYPR_ABI_AT(kvm_hypr_state, events, 96);
HYPR_ABI_AT(kvm_hypr_state, mp_state, 104);
HYPR_ABI_AT(kvm_hypr_state, reserved, 112);
HYPR_ABI_SIZE(kvm_hypr_state, 128);

HYPR_ABI_AT(kvm_hypr_keep_board, view, 0);
HYPR_ABI_AT(kvm_hypr_keep_board, flags, 4);
HYPR_ABI_AT(kvm_hypr_keep_board, reserved, 8);
HYPR_ABI_SIZE(kvm_hypr_keep_board, 32);

HYPR_ABI_AT(kvm_hypr_board, view, 0);
HYPR_ABI_AT(kvm_hypr_board, flags, 4);
HYPR_ABI_AT(kvm_hypr_board, pic_master, 8);
HYPR_ABI_AT(kvm_hypr_board, pic_slave, 16);
HYPR_ABI_AT(kvm_hypr_board, ioapic, 24);
HYPR_ABI_AT(kvm_hypr_board, pit, 32);
HYPR_ABI_AT(kvm_hypr_board, reserved, 40);
HYPR_ABI_SIZE(kvm_hypr_board, 64);

HYPR_ABI_AT(kvm_hypr_moment, view, 0);
HYPR_ABI_AT(kvm_hypr_moment, flags, 4);
HYPR_ABI_AT(kvm_hypr_moment, userspace_addr, 8);
HYPR_ABI_AT(kvm_hypr_moment, size, 16);
HYPR_ABI_AT(kvm_hypr_moment, bitmap, 24);
HYPR_ABI_AT(kvm_hypr_moment, zeros, 32);
HYPR_ABI_AT(kvm_hypr_moment, reserved, 40);
HYPR_ABI_SIZE(kvm_hypr_moment, 64);

HYPR_ABI_AT(kvm_hypr_copy, view, 0);
HYPR_ABI_AT(kvm_hypr_copy, flags, 4);
HYPR_ABI_AT(kvm_hypr_copy, from_view, 8);
HYPR_ABI_AT(kvm_hypr_copy, from_flags, 12);
HYPR_ABI_AT(kvm_hypr_copy, reserved, 16);
HYPR_ABI_SIZE(kvm_hypr_copy, 32);

HYPR_ABI_AT(kvm_hypr_request, op, 0);
HYPR_ABI_AT(kvm_hypr_request, other, 4);
HYPR_ABI_AT(kvm_hypr_request, reserved, 28);
HYPR_ABI_SIZE(kvm_hypr_request, KVM_HYPR_REQUEST_BYTES);

HYPR_ABI_AT(kvm_hypr_requests_page, view, 0);
HYPR_ABI_AT(kvm_hypr_requests_page, spare, 4);
HYPR_ABI_AT(kvm_hypr_requests_page, serving, 8);
HYPR_ABI_AT(kvm_hypr_requests_page, reserved0, 12);
HYPR_ABI_AT(kvm_hypr_requests_page, online, 16);
HYPR_ABI_AT(kvm_hypr_requests_page, resets, 24);
HYPR_ABI_AT(kvm_hypr_requests_page, spares, 32);
HYPR_ABI_AT(kvm_hypr_requests_page, pages, 40);
HYPR_ABI_AT(kvm_hypr_requests_page, cycles, 48);
HYPR_ABI_AT(kvm_hypr_requests_page, generation, 56);
HYPR_ABI_SIZE(kvm_hypr_requests_page, 64);

HYPR_ABI_AT(kvm_hypr_requests, userspace_addr, 0);
HYPR_ABI_AT(kvm_hypr_requests, timeout_ns, 8);
HYPR_ABI_AT(kvm_hypr_requests, flags, 16);
HYPR_ABI_AT(kvm_hypr_requests, eventfd, 20);
HYPR_ABI_AT(kvm_hypr_requests, reserved, 24);
HYPR_ABI_SIZE(kvm_hypr_requests, 32);

HYPR_ABI_AT(hypr_control_vcpu, state, 0);
HYPR_ABI_AT(hypr_control_vcpu, reserved0, 4);
HYPR_ABI_AT(hypr_control_vcpu, pauses, 8);
HYPR_ABI_AT(hypr_control_vcpu, generation, 16);
HYPR_ABI_AT(hypr_control_vcpu, reserved1, 24);
HYPR_ABI_SIZE(hypr_control_vcpu, 32);

HYPR_ABI_AT(hypr_control_page, magic, 0);
HYPR_ABI_AT(hypr_control_page, version, 8);
HYPR_ABI_AT(hypr_control_page, nr_vcpus, 12);
HYPR_ABI_AT(hypr_control_page, generation, 16);
HYPR_ABI_AT(hypr_control_page, boot_id, 24);
HYPR_ABI_AT(hypr_control_page, jump, 40);
HYPR_ABI_AT(hypr_control_page, features, 56);
HYPR_ABI_AT(hypr_control_page, vcpu, 64);
HYPR_ABI_AT(hypr_control_page, reserved1, 2112);
HYPR_ABI_SIZE(hypr_control_page, HYPR_CONTROL_SIZE);

#undef HYPR_ABI_ASSERT
#undef HYPR_ABI_AT
#undef HYPR_ABI_SIZE
