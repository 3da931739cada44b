// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz target: the input decides what a guest on shadow tables does; see
 * tests/core/shadow_machine.h for what is checked.  The first byte is the number of
 * levels and of shadow pages.
 */
#include <stddef.h>
#include <stdint.h>

#include "tests/core/shadow_machine.h"

#define STEPS_MAX	4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t left;
	uint64_t state;
};

/* Two bytes of the input decide 64 bits, so that an input is short. */
static u64 draw(void *source)
{
	struct input *input = source;
	u64 word = 0;

	for (int i = 0; i < 2 && input->left; i++, input->left--)
		word = word << 8 | *input->data++;
	word *= 0x9e3779b97f4a7c15ull;
	return word ^ (word >> 29);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size, 0 };
	struct machine *machine;

	if (size < 1)
		return 0;
	input.data++;
	input.left--;
	machine = machine_create(data[0] & 2 ? 64 : SHADOW_PAGES_MIN, data[0] & 1 ? 5 : 4,
				 draw, &input);
	for (u32 step = 0; step < STEPS_MAX && input.left; step++)
		machine_step(machine);
	machine_destroy(machine);
	return 0;
}
