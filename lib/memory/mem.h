/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Memory slots, their dirty logs, and the control page. */
#ifndef LIB_MEMORY_MEM_H
#define LIB_MEMORY_MEM_H

#include <stdbool.h>
#include <stdint.h>

struct hypr_moment;
struct hypr_view;
struct hypr_vm;

int hypr_mem_slots_check(struct hypr_vm *vm, const struct hypr_moment *moment);
int hypr_mem_slots_add(struct hypr_vm *vm, struct hypr_view *view);
void hypr_mem_slots_remove(struct hypr_view *view);
int hypr_mem_log_has_clear(const struct hypr_view *view, bool *has);
int hypr_mem_log_set(struct hypr_vm *vm, const struct hypr_view *view, unsigned int n, bool on);
int hypr_mem_log_get(const struct hypr_view *view, unsigned int n,
		     uint64_t *bitmap);
int hypr_mem_log_clear(const struct hypr_view *view, unsigned int n,
		       uint64_t *bitmap);
int hypr_mem_control_create(struct hypr_vm *vm);

#endif /* LIB_MEMORY_MEM_H */
