// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations on an EPT context against a flat model, from the fuzzer's bytes:
 * out/fuzz/core/ept.  tests/core/ept_model.h says what the bytes mean.
 */
#include "tests/core/ept_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ept_model_tally tally = { 0 };

	ept_model_run(data, size, &tally);
	return 0;
}
