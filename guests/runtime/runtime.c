// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The life of a function: its constructors and its init once, then hypr_main() for
 * each call; and how its output and its reasons get out.
 */
#include "runtime.h"

struct hypr_out {
	unsigned char *data;
	size_t bytes;
	size_t max;
};

typedef void (*constructor)(void);

/* The linker script's. */
extern const constructor hypr_guest_init_start[], hypr_guest_init_end[];

/* The empty window, set by the init: an abort may come from anywhere. */
static struct hypr_out window;

__attribute__((weak)) void hypr_init(void)
{
}

/* The byte before is of the call itself; the next one may be of another line or function. */
_Noreturn void hypr_guest_fail(uint64_t how, uint64_t bytes, const void *back)
{
	hypr_guest_end(how, bytes, (uint64_t)back - 1);
}

static inline void *reserve(struct hypr_out *to, size_t bytes, const void *back)
{
	void *at = to->data + to->bytes;
	size_t all;

	if (bytes > to->max - to->bytes) {
		if (__builtin_add_overflow(to->bytes, bytes, &all))
			all = (size_t)-1;
		hypr_guest_fail(HYPR_FUNC_FULL, all, back);
	}
	to->bytes += bytes;
	return at;
}

void *hypr_out_reserve(struct hypr_out *to, size_t bytes)
{
	return reserve(to, bytes, CALLER);
}

void hypr_out_write(struct hypr_out *to, const void *data, size_t bytes)
{
	memcpy(reserve(to, bytes, CALLER), data, bytes);
}

size_t hypr_out_room(const struct hypr_out *to)
{
	return to->max - to->bytes;
}

_Noreturn void hypr_guest_abort(const char *reason, const void *back)
{
	size_t bytes = strlen(reason);

	if (bytes > window.max)
		bytes = window.max;
	memmove(window.data, reason, bytes);
	hypr_guest_fail(HYPR_FUNC_ABORT, bytes, back);
}

_Noreturn void hypr_abort(const char *reason)
{
	hypr_guest_abort(reason, CALLER);
}

_Noreturn void abort(void)
{
	hypr_guest_abort("abort() was called", CALLER);
}

static void init(const struct hypr_func_info *info)
{
	const constructor *next;

	window.data = (void *)info->out;
	window.max = info->out_max;
	hypr_guest_heap((void *)info->heap, info->heap_bytes);
	for (next = hypr_guest_init_start; next < hypr_guest_init_end; next++)
		(*next)();
	hypr_init();
}

_Noreturn void hypr_guest_begin(const struct hypr_func_info *info)
{
	struct hypr_out out;
	int value;

	if (info->phase == HYPR_FUNC_INIT) {
		init(info);
		hypr_guest_end(HYPR_FUNC_READY, HYPR_FUNC_ABI, 0);
	}
	/* On the stack: a call that needs no data of its own writes none. */
	out = window;
	value = hypr_main((const void *)info->in, info->in_bytes, &out);
	hypr_guest_end(HYPR_FUNC_DONE, out.bytes, (unsigned int)value);
}
