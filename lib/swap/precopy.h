/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copying the active view while the guest runs.  op_lock held. */
#ifndef LIB_SWAP_PRECOPY_H
#define LIB_SWAP_PRECOPY_H

#include <stdbool.h>

struct hypr_copy;
struct hypr_snapshot_result;

int hypr_precopy(struct hypr_copy *copy, struct hypr_snapshot_result *result, bool *kept);

#endif /* LIB_SWAP_PRECOPY_H */
