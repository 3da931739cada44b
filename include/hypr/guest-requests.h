/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A guest's requests to its host, for kernels, bare-metal guests and static programs
 * with ioperm().  Needs nothing but a C compiler for x86.
 *
 *	static struct hypr_request block __attribute__((aligned(HYPR_REQUEST_BYTES)));
 *	static char input[4096];
 *
 *	if (hypr_requests_version(HYPR_REQUEST_PORT) != HYPR_REQUEST_VERSION)
 *		return;
 *	hypr_request_make(HYPR_REQUEST_PORT, &block, (uint32_t)gpa_of(&block),
 *			  HYPR_REQUEST_MOMENT, 0, 0, 0);
 *	hypr_request_make(HYPR_REQUEST_PORT, &block, (uint32_t)gpa_of(&block),
 *			  HYPR_REQUEST_INPUT, 0, gpa_of(input), sizeof(input));
 *	hypr_request_make(HYPR_REQUEST_PORT, &block, (uint32_t)gpa_of(&block),
 *			  HYPR_REQUEST_REPORT, test(input, block.bytes), 0, 0);
 *
 * Each vCPU that asks has a block of its own.
 */
#ifndef HYPR_GUEST_REQUESTS_H
#define HYPR_GUEST_REQUESTS_H

#include "hypr/abi/request.h"

/** hypr_requests_version() - HYPR_REQUEST_VERSION; anything else: not allowed, or no hypr */
static inline unsigned int hypr_requests_version(uint16_t port)
{
	uint8_t version;

	__asm__ volatile("inb %w1, %b0" : "=a" (version) : "Nd" (port));
	return version;
}

/**
 * hypr_request_make() - ask once
 * @port: HYPR_REQUEST_PORT, or HYPR_REQUEST_PORT_VIRTUAL
 * @block: aligned to HYPR_REQUEST_BYTES; a virtual one was touched before
 * @block_addr: its address, of the port's kind
 * @op, @value, @addr, @bytes: as in struct hypr_request
 *
 * Return: HYPR_REQUEST_DONE and so on; HYPR_REQUEST_UNANSWERED: nobody served it, or the
 * host swapped views first: the caller may ask again.
 */
static inline uint32_t hypr_request_make(uint16_t port, struct hypr_request *block,
					 uint32_t block_addr, uint32_t op, uint64_t value,
					 uint64_t addr, uint32_t bytes)
{
	block->op = op;
	block->status = HYPR_REQUEST_UNANSWERED;
	block->value = value;
	block->addr = addr;
	block->bytes = bytes;
	block->reserved = 0;
	__asm__ volatile("outl %k0, %w1" : : "a" (block_addr), "Nd" (port) : "memory");
	return *(volatile uint32_t *)&block->status;
}

#endif /* HYPR_GUEST_REQUESTS_H */
