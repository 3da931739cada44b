// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz target: a VMO file and its parent.  The input is two, one after the other:
 * two bytes with the length of the first (little-endian), the parent "p.vmo", the
 * child "c.vmo".
 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t bytes[2][FUZZ_FILE_MAX / 8];
	struct fuzz_file parent = { .bytes = (uint8_t *)bytes[0] };
	struct fuzz_file child = { .bytes = (uint8_t *)bytes[1] };
	size_t first;

	if (size < 2)
		return 0;
	first = data[0] | (size_t)data[1] << 8;
	data += 2;
	size -= 2;
	if (first > size || !fuzz_build(&parent, data, first, NULL) ||
	    !fuzz_build(&child, data + first, size - first, parent.root))
		return 0;
	fuzz_store("p.vmo", &parent);
	fuzz_store("c.vmo", &child);
	fuzz_try("c.vmo", "p.vmo", child.mode);
	fuzz_clear();
	return 0;
}
