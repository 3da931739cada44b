/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Views by the ABI of <linux/kvm_hypr.h>, for the engines whose device speaks it: engine.h. */
#ifndef LIB_ENGINE_EPT_SWAP_H
#define LIB_ENGINE_EPT_SWAP_H

#include <stdbool.h>
#include <stdint.h>

struct hypr_engine_swap;
struct hypr_view;
struct hypr_vm;

int hypr_ept_swap_open(struct hypr_vm *vm, struct hypr_view *view);
void hypr_ept_swap_close(struct hypr_vm *vm, struct hypr_view *view);
int hypr_ept_swap_prepare(struct hypr_vm *vm, struct hypr_view *view, uint64_t *pages_mapped);
int hypr_ept_swap_prepare_part(struct hypr_vm *vm, struct hypr_view *view, uint64_t gpa,
			       uint64_t bytes, uint64_t *pages_mapped);
int hypr_ept_swap_swap(struct hypr_vm *vm, struct hypr_view *view, bool flush,
		       struct hypr_engine_swap *swap);

#endif /* LIB_ENGINE_EPT_SWAP_H */
