/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A flat model of an EPT context: one word for each 4 KiB page of a window.
 *
 * Bytes become operations on a context and on the model, and after each the context
 * must say what the model says.  tests/core/ept_random_test.c makes the bytes from a
 * seed, tests/fuzz/core_ept.c gets them from the fuzzer.
 */
#ifndef TESTS_CORE_EPT_MODEL_H
#define TESTS_CORE_EPT_MODEL_H

#include "plat_types.h"

/* Bytes: one for the context, one for the window, then these for each operation. */
#define EPT_MODEL_HEAD	2
#define EPT_MODEL_STEP	10

/*
 * As the second byte: the window spans a whole 1 GiB page.  The model looks at each of
 * its 263,168 pages only now and then, and a run ends after so many steps.
 */
#define EPT_MODEL_LARGE		1
#define EPT_MODEL_LARGE_STEPS	40

/* What a run met; a test asserts that it met enough. */
struct ept_model_tally {
	u64 done;
	u64 refused;
	u64 out_of_memory;
	u64 splits;
	u64 merges;
	u64 touched;
};

/* Run @bytes; print the step that differs and abort().  @tally is added to. */
void ept_model_run(const u8 *bytes, size_t size, struct ept_model_tally *tally);

#endif /* TESTS_CORE_EPT_MODEL_H */
