/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Spares of views.  op_lock held, but for the mender's own thread. */
#ifndef LIB_VIEW_SPARE_H
#define LIB_VIEW_SPARE_H

struct hypr_view;
struct hypr_vm;

void hypr_spare_init(struct hypr_vm *vm);
void hypr_spare_end(struct hypr_vm *vm);
unsigned int hypr_spare_free_number(const struct hypr_vm *vm, unsigned int wish);
int hypr_spare_check_room(const struct hypr_vm *vm);
int hypr_spare_add(struct hypr_vm *vm, struct hypr_view *view);
void hypr_spare_remove(struct hypr_vm *vm, struct hypr_view *view);
int hypr_spare_await(struct hypr_vm *vm, struct hypr_view *view);
void hypr_spare_kept(struct hypr_vm *vm, struct hypr_view *view);

#endif /* LIB_VIEW_SPARE_H */
