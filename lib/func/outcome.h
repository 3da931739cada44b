/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a monitor's report means for the caller. */
#ifndef LIB_FUNC_OUTCOME_H
#define LIB_FUNC_OUTCOME_H

#include "hypr/func.h"
#include "func/image.h"
#include "func/map.h"

/* Of the function that reported. */
struct hypr_func_outcome {
	const struct hypr_func_layout *layout;
	const uint8_t *file;
	size_t file_bytes;
	const uint8_t *mem;	/* of its machine */
};

int hypr_func_outcome_late(const struct hypr_func_outcome *of, uint64_t rip, uint32_t timeout_ms,
			   struct hypr_call_result *result);
int hypr_func_outcome(const struct hypr_func_outcome *of, const struct hypr_func_report *report,
		      struct hypr_call_result *result);

#endif /* LIB_FUNC_OUTCOME_H */
