/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Views: making one, finding one, giving one up.  op_lock held. */
#ifndef LIB_VIEW_VIEW_H
#define LIB_VIEW_VIEW_H

struct hypr_moment;
struct hypr_view;
struct hypr_vm;

struct hypr_view *hypr_view_find(struct hypr_vm *vm, const char *name);
struct hypr_view *hypr_view_lookup(struct hypr_vm *vm, const char *name);
int hypr_view_check_new(struct hypr_vm *vm, const char *name);
int hypr_view_create(struct hypr_vm *vm, const char *name, struct hypr_moment *moment,
		     struct hypr_view **viewp);
int hypr_view_create_boot(struct hypr_vm *vm, struct hypr_moment *moment);
void hypr_view_destroy(struct hypr_vm *vm, struct hypr_view *view);

#endif /* LIB_VIEW_VIEW_H */
