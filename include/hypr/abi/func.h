/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between libhypr and a function: what the entry point of a function file gets, and
 * how it gives control back.  guests/runtime is the guest's side of it; functions
 * themselves use <hypr/guest.h>.
 *
 * The function runs in 64-bit mode at privilege level 3, without interrupts, clock and
 * devices.  Its addresses are those of its ELF file; the other windows are where
 * struct hypr_func_info says.
 *
 * libhypr enters the ELF file's entry point with the address of struct hypr_func_info
 * in RDI, all other registers zero, RSP 16-byte aligned at the end of the stack, and
 * the x87 and SSE state as FNINIT and the default MXCSR have it.  Control goes back
 * by the instruction INT3, with HYPR_FUNC_* in EAX.  INT3 with another number there is
 * the exception that it is everywhere.
 */
#ifndef HYPR_ABI_FUNC_H
#define HYPR_ABI_FUNC_H

/* Where the segments of a function file may be: [start, end). */
#define HYPR_FUNC_IMAGE_START	0x200000
#define HYPR_FUNC_IMAGE_END	0x8000000

#define HYPR_FUNC_ABI		1

/* In EAX */
#define HYPR_FUNC_READY		0x48590001	/* RDI: HYPR_FUNC_ABI; ends the phase HYPR_FUNC_INIT */
#define HYPR_FUNC_DONE		0x48590002	/* RDI: bytes of output; ESI: what the function returned */
#define HYPR_FUNC_ABORT		0x48590003	/* RDI: bytes of reason, at the start of the output; RSI:
					 * as for FULL */
#define HYPR_FUNC_FULL		0x48590004	/* RDI: bytes of output that there would have been; RSI: an
					 * address in the code that wanted it, or 0 */

/* hypr_func_info.phase */
#define HYPR_FUNC_INIT		0	/* once; the memory is the moment of all calls then */
#define HYPR_FUNC_CALL		1

#ifndef __ASSEMBLER__

#include <stdint.h>

/**
 * struct hypr_func_info - filled by libhypr; the function may only read it
 * @abi: HYPR_FUNC_ABI
 * @phase: HYPR_FUNC_INIT or HYPR_FUNC_CALL
 * @in, @in_bytes: input; may only be read
 * @out, @out_max: window for output
 * @heap, @heap_bytes: zero when the function begins
 */
struct hypr_func_info {
	uint32_t abi;
	uint32_t phase;
	uint64_t in;
	uint64_t in_bytes;
	uint64_t out;
	uint64_t out_max;
	uint64_t heap;
	uint64_t heap_bytes;
	uint64_t reserved;
};

#ifdef __cplusplus
static_assert(sizeof(struct hypr_func_info) == 64, "ABI");
#else
_Static_assert(sizeof(struct hypr_func_info) == 64, "ABI");
#endif

#endif /* !__ASSEMBLER__ */

#endif /* HYPR_ABI_FUNC_H */
