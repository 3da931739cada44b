/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the guest (guest.c), what it tests (target.c), and the fuzzers. */
#ifndef EXAMPLES_FUZZ_GUEST_H
#define EXAMPLES_FUZZ_GUEST_H

#include <stdint.h>

#define INPUT_MAX	256	/* bytes */
#define COVERAGE_BYTES	4096	/* a counter for each hash of a basic block's address */

/* What the guest reports, or panics with. */
#define TARGET_ACCEPTED	0
#define TARGET_REFUSED	1
#define TARGET_RACE	0x7ace	/* the panic of the planted race */

#ifndef __ASSEMBLER__
/* vCPU 0: take a packet.  Return: TARGET_*. */
uint32_t target(const uint8_t *packet, uint32_t bytes);

/* vCPU 1: help with it, for ever. */
void target_second(void);
#endif

#endif /* EXAMPLES_FUZZ_GUEST_H */
