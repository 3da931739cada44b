/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread that notices when the kernel has used up a spare. */
#ifndef LIB_RUN_BACK_WATCH_H
#define LIB_RUN_BACK_WATCH_H

struct hypr_vm;

int hypr_back_watch(struct hypr_vm *vm);
void hypr_back_watch_end(struct hypr_vm *vm);

#endif /* LIB_RUN_BACK_WATCH_H */
