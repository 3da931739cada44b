/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Frozen memory, and the state that belongs to it. */
#ifndef LIB_VIEW_MOMENT_H
#define LIB_VIEW_MOMENT_H

#include <stdint.h>

#include "base/guest.h"

struct hypr_moment;
struct hypr_vm;
struct hypr_vmo;

struct hypr_moment *hypr_moment_alloc(struct hypr_vm *vm);
int hypr_moment_from_vmo(struct hypr_vm *vm, struct hypr_vmo *vmo, const char *path,
		     unsigned int flags, struct hypr_moment **momentp);
int hypr_moment_map(struct hypr_vm *vm, const struct hypr_moment *moment,
		    struct hypr_guest *mapped);
int hypr_moment_read(const struct hypr_moment *moment, hypr_gpa_t gpa, uint64_t pages,
		     uint8_t *buf, const uint8_t **memp);
void hypr_moment_destroy(struct hypr_vm *vm, struct hypr_moment *moment);

#endif /* LIB_VIEW_MOMENT_H */
