/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which pages of a view the guest touches.  op_lock held. */
#ifndef LIB_VIEW_RECORD_H
#define LIB_VIEW_RECORD_H

struct hypr_view;
struct hypr_vm;

int hypr_record_start(struct hypr_view *view);
void hypr_record_stop(struct hypr_view *view);
void hypr_record_spoil(struct hypr_view *view, const char *why);

#endif /* LIB_VIEW_RECORD_H */
