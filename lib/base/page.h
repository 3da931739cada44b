/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The size of a page: of the guest, and of the host. */
#ifndef LIB_BASE_PAGE_H
#define LIB_BASE_PAGE_H

#define HYPR_PAGE_BYTES		4096ull

#endif /* LIB_BASE_PAGE_H */
