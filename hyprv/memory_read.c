// SPDX-License-Identifier: GPL-2.0-only
/* What the host reads of guest memory: instructions to decode, and PDPTEs. */
#include <linux/uaccess.h>

#include "decode.h"
#include "hyprv.h"

int memory_read(struct view *view, u64 gpa, void *buffer, u32 bytes)
{
	while (bytes) {
		u32 part = min_t(u32, bytes, PAGE_SIZE - (gpa & ~PAGE_MASK));
		unsigned long address = memory_address(view, gpa);

		if (!address || copy_from_user(buffer, (void __user *)address, part))
			return -EFAULT;
		buffer += part;
		gpa += part;
		bytes -= part;
	}
	return 0;
}

static bool entry_read(const struct walk_memory *memory, u64 address, u32 bytes, u64 *entry)
{
	*entry = 0;
	return !memory_read(memory->data, address, entry, bytes);
}

/* What follows the first page may be missing, and may not be needed. */
int decode_fetch(struct view *view, const struct decode_state *state, u8 code[15])
{
	const struct walk_memory memory = { .read = entry_read, .data = view };
	struct walk walk = {
		.mode.maxphyaddr = hypervisor.can.maxphyaddr,
		.memory = &memory,
		.root = state->cr3,
	};
	struct walk_result result;
	int done = 0;

	walk_set_registers(&walk, X86_CR0_PG | X86_CR0_PE, state->cr4, state->efer, 0,
			   WALK_PAGE_1G);
	while (done < 15) {
		u64 linear = state->linear + done;
		u32 part = min_t(u32, 15 - done, PAGE_SIZE - (linear & ~PAGE_MASK));

		if (walk_peek(&walk, linear, WALK_FETCH | (state->user ? WALK_USER : 0),
			      &result) ||
		    memory_read(view, walk_gpa(&result).addr, code + done, part))
			break;
		done += part;
	}
	return done;
}
