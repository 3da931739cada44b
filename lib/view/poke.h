/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host reads and writes memory of a view, of which the control page is none. */
#ifndef LIB_VIEW_POKE_H
#define LIB_VIEW_POKE_H

#include <stdint.h>

struct hypr_view;

/**
 * hypr_poke_get(), hypr_poke_put() - @bytes from @gpa on; no vCPU runs in the view
 *
 * Return: 0; -EFAULT not all of them are memory: nothing was read or written; -EBADMSG
 * the file under the view was truncated; -ENOMEM.
 */
int hypr_poke_get(const struct hypr_view *view, uint64_t gpa, void *to, uint64_t bytes);
int hypr_poke_put(struct hypr_view *view, uint64_t gpa, const void *from, uint64_t bytes);

#endif /* LIB_VIEW_POKE_H */
