/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What waits for the mender, and what may be gone on in. */
#ifndef LIB_RUN_MENDER_H
#define LIB_RUN_MENDER_H

struct hypr_spare;
struct hypr_view;
struct hypr_vm;

int hypr_spare_state(struct hypr_vm *vm, const struct hypr_view *view);
void hypr_spare_exchange(struct hypr_view *view);
void hypr_spare_mend(struct hypr_vm *vm, struct hypr_view *view);
void hypr_spare_offer_locked(struct hypr_vm *vm, const struct hypr_spare *spare);

#endif /* LIB_RUN_MENDER_H */
