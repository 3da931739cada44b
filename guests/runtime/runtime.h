/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between the files of the guest runtime. */
#ifndef GUESTS_RUNTIME_RUNTIME_H
#define GUESTS_RUNTIME_RUNTIME_H

#include "hypr/abi/func.h"
#include "hypr/guest.h"

/* start.S */
_Noreturn void hypr_guest_end(uint64_t how, uint64_t first, uint64_t second);
_Noreturn void hypr_guest_begin(const struct hypr_func_info *info);

/* Who called the function that asks. */
#define CALLER	__builtin_return_address(0)

/**
 * hypr_guest_fail() - end the call: HYPR_FUNC_ABORT or HYPR_FUNC_FULL
 * @back: where the call that failed would have returned to
 */
_Noreturn void hypr_guest_fail(uint64_t how, uint64_t bytes, const void *back);
_Noreturn void hypr_guest_abort(const char *reason, const void *back);

/** hypr_guest_heap() - give malloc() its memory, which is zero */
void hypr_guest_heap(void *start, size_t bytes);

#endif /* GUESTS_RUNTIME_RUNTIME_H */
