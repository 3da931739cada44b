/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Guest requests: what a guest can ask its host for, by an I/O port and a block of 32
 * bytes in its memory.  docs/spec/guest-requests.md says what each request does.
 * <hypr/guest-requests.h> is the guest's side of it.
 *
 * The guest fills the block and writes its address, 32 bits, to a port (one outl).  The
 * host stops all vCPUs, serves the request, fills @status and @bytes, and lets the vCPUs
 * go on.  A read of one byte from a port says whether requests are allowed.
 */
#ifndef HYPR_ABI_REQUEST_H
#define HYPR_ABI_REQUEST_H

#define HYPR_REQUEST_PORT		0x5e8	/* addresses are guest-physical */
#define HYPR_REQUEST_PORT_VIRTUAL	0x5ec	/* ... virtual, of a user page that may be written */

#define HYPR_REQUEST_VERSION		1	/* read from a port: requests are allowed */
#define HYPR_REQUEST_NOBODY		0xff	/* they are not */

/* hypr_request.op */
#define HYPR_REQUEST_REPORT	1	/* this run is over: @value */
#define HYPR_REQUEST_PANIC	2	/* this run found a fault: @value */
#define HYPR_REQUEST_INPUT	3	/* the next input, to @addr, which has @bytes */
#define HYPR_REQUEST_MOMENT	4	/* make this the moment */
#define HYPR_REQUEST_BACK	5	/* put me back to my moment */

/* hypr_request.status */
#define HYPR_REQUEST_DONE	0
#define HYPR_REQUEST_INVALID	1	/* no such request, or @reserved is not 0 */
#define HYPR_REQUEST_FAULT	2	/* @addr and @bytes are not memory of the guest */
#define HYPR_REQUEST_TOO_LONG	3	/* the input has more bytes: out in @bytes */
#define HYPR_REQUEST_NO_MOMENT	4
#define HYPR_REQUEST_FAILED	5	/* the host could not */
#define HYPR_REQUEST_UNANSWERED	0xffffffffu	/* as the guest fills it: ask again */

#define HYPR_REQUEST_BYTES	32	/* of a block, which is aligned to as many */

#ifndef __ASSEMBLER__

#include <stdint.h>

/**
 * struct hypr_request - one request; filled by the guest, but for what is marked
 * @op: HYPR_REQUEST_*
 * @status: HYPR_REQUEST_UNANSWERED; out
 * @value: of REPORT and PANIC
 * @addr: of INPUT: where to; of the kind that the port takes
 * @bytes: of INPUT: room there; out: bytes of the input
 * @reserved: 0
 */
struct hypr_request {
	uint32_t op;
	uint32_t status;
	uint64_t value;
	uint64_t addr;
	uint32_t bytes;
	uint32_t reserved;
};

#ifdef __cplusplus
static_assert(sizeof(struct hypr_request) == HYPR_REQUEST_BYTES, "ABI");
#else
#include <stddef.h>
_Static_assert(offsetof(struct hypr_request, status) == 4, "ABI");
_Static_assert(offsetof(struct hypr_request, value) == 8, "ABI");
_Static_assert(offsetof(struct hypr_request, addr) == 16, "ABI");
_Static_assert(offsetof(struct hypr_request, bytes) == 24, "ABI");
_Static_assert(offsetof(struct hypr_request, reserved) == 28, "ABI");
_Static_assert(sizeof(struct hypr_request) == HYPR_REQUEST_BYTES, "ABI");
#endif

#endif /* !__ASSEMBLER__ */

#endif /* HYPR_ABI_REQUEST_H */
