/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Text from where it cannot be trusted. */
#ifndef LIB_BASE_TEXT_H
#define LIB_BASE_TEXT_H

#include <stddef.h>

/**
 * hypr_text_printable() - a text for a terminal; bytes that are not printable become '?'
 * @size: of @to; what does not fit is left out
 * @bytes: of @from, without a NUL
 */
void hypr_text_printable(char *to, size_t size, const char *from, size_t bytes);

#endif /* LIB_BASE_TEXT_H */
