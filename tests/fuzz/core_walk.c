// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hostile page tables: the first bytes of the input are a walk, the rest is the whole
 * memory of the guest.  core/walk.c and the oracle must agree; then the same input plays
 * a memory that changes at every look, of which the walk must see an end.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/core/walk_case.h"

/* Entries come from the input in turn, whatever address they are read from. */
struct changing_memory {
	struct walk_memory memory;
	const u8 *input;
	size_t bytes, at;
	unsigned int reads;
};

static u8 next_byte(struct changing_memory *changing)
{
	if (!changing->bytes)
		return 0;
	changing->at = (changing->at + 1) % changing->bytes;
	return changing->input[changing->at];
}

static bool changing_read(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry)
{
	struct changing_memory *changing = memory->data;

	(void)address;
	changing->reads++;
	*entry = 0;
	for (u32 i = 0; i < bytes; i++)
		*entry |= (u64)next_byte(changing) << (8 * i);
	return true;
}

static int changing_exchange(const struct walk_memory *memory, u64 address, u32 bytes,
			     u64 old_entry, u64 new_entry)
{
	u8 byte = next_byte(memory->data);

	(void)address;
	(void)bytes;
	if (old_entry == new_entry)
		abort();
	if (byte == 1)
		return -ENXIO;
	return byte & 1 ? -EAGAIN : 0;
}

static void walk_changing_memory(const struct walk_case *one, const u8 *input, size_t bytes)
{
	struct changing_memory changing = {
		.memory = { changing_read, changing_exchange, &changing },
		.input = input,
		.bytes = bytes,
	};
	struct walk walk = {
		.format = walk_case_formats[one->kind % ORACLE_KINDS],
		.mode = { one->flags, one->maxphyaddr, one->pkru, one->pkrs },
		.memory = &changing.memory,
		.root = one->root,
	};
	struct walk_result result;
	int error = walk_translate(&walk, one->address, one->access, &result);

	if (changing.reads > 8u * walk.format->levels)
		abort();
	if (!error && (result.fault || (result.address & 0xfff) != (one->address & 0xfff)))
		abort();
	if (error == -EFAULT && !result.fault)
		abort();
	if (error && error != -EFAULT && error != -EAGAIN && error != -EINVAL)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
	enum oracle_outcome outcome;
	struct walk_case one;
	const char *difference;
	size_t bytes = 8;

	if (size < sizeof(one) + bytes)
		return 0;
	memcpy(&one, input, sizeof(one));
	input += sizeof(one);
	size -= sizeof(one);
	walk_changing_memory(&one, input, size);

	/* A power of two, so that a case may fold its addresses into the memory. */
	while (bytes * 2 <= size)
		bytes *= 2;
	difference = walk_case_differs(&one, input, bytes, &outcome);
	if (difference) {
		fprintf(stderr, "%s: %s\n", walk_case_formats[one.kind % ORACLE_KINDS]->name,
			difference);
		abort();
	}
	return 0;
}
