/* SPDX-License-Identifier: GPL-2.0-only */
/* One walk over a flat guest memory, by core/walk.c and by the oracle. */
#ifndef TESTS_CORE_WALK_CASE_H
#define TESTS_CORE_WALK_CASE_H

#include "walk.h"

#include "tests/core/walk_oracle.h"

/**
 * struct flat_memory - guest memory at physical [0, bytes), a walk_memory
 * @fold: addresses wrap at @bytes, a power of two
 * @reads, @exchanges: calls that came
 * @race: called before each exchange: another CPU changes the memory; or NULL
 * @broken: an access that walk.h does not promise came (unaligned, other size)
 */
struct flat_memory {
	struct walk_memory memory;
	u8 *base;
	size_t bytes;
	bool fold;
	unsigned int reads;
	unsigned int exchanges;
	void (*race)(struct flat_memory *flat, u64 address);
	bool broken;
};

void flat_memory_init(struct flat_memory *flat, void *base, size_t bytes);

/* The parameters of a walk, in plain numbers: any value of any field is allowed. */
struct walk_case {
	u8 kind;		/* enum oracle_kind, modulo */
	u8 maxphyaddr;
	u8 fold;
	u8 unused;
	u32 flags;		/* WALK_WP ... */
	u32 access;		/* WALK_WRITE ... */
	u32 pkru;
	u32 pkrs;
	u64 root;
	u64 address;
};

extern const struct walk_format *const walk_case_formats[ORACLE_KINDS];

/**
 * walk_case_differs() - walk_peek(), walk_translate() and the oracle on the same memory
 * @outcome: receives the oracle's outcome
 *
 * Return: NULL if they agree in result and in memory, else what differs.
 */
const char *walk_case_differs(const struct walk_case *one, const u8 *memory, size_t bytes,
			      enum oracle_outcome *outcome);

#endif /* TESTS_CORE_WALK_CASE_H */
