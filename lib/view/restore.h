/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A view that does not run, back to its moment.  op_lock held. */
#ifndef LIB_VIEW_RESTORE_H
#define LIB_VIEW_RESTORE_H

struct hypr_reset_result;
struct hypr_view;
struct hypr_vm;

#define HYPR_RESET_FLAGS	(HYPR_RESET_ONLY(HYPR_RESET_COPY_BACK) |	\
				 HYPR_RESET_ONLY(HYPR_RESET_COMPARE) |	\
				 HYPR_RESET_ONLY(HYPR_RESET_DROP) |	\
				 HYPR_RESET_ONLY(HYPR_RESET_SPARE))

/* -EINVAL: a call's flags ask for several ways. */
int hypr_reset_check(unsigned int flags);

int hypr_reset_wanted(unsigned int flags);

int hypr_view_restore(struct hypr_vm *vm, struct hypr_view *view, unsigned int flags,
		      struct hypr_reset_result *result);

#endif /* LIB_VIEW_RESTORE_H */
