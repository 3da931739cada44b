// SPDX-License-Identifier: LGPL-2.1-or-later
/* Text from where it cannot be trusted, without what a terminal would obey. */
#include "base/text.h"

void hypr_text_printable(char *to, size_t size, const char *from, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes && i < size - 1; i++)
		to[i] = from[i] >= ' ' && from[i] < 0x7f ? from[i] : '?';
	to[i] = '\0';
}
