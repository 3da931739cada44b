// SPDX-License-Identifier: GPL-2.0-only
/* Fuzz target: one VMO file. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t bytes[FUZZ_FILE_MAX / 8];
	struct fuzz_file file = { .bytes = (uint8_t *)bytes };

	if (!fuzz_build(&file, data, size, NULL))
		return 0;
	fuzz_store("f.vmo", &file);
	fuzz_try("f.vmo", NULL, file.mode);
	fuzz_clear();
	return 0;
}
