// SPDX-License-Identifier: GPL-2.0-only
/* A function that returns its input in capitals. */
#include <hypr/guest.h>

int hypr_main(const void *in, size_t in_bytes, struct hypr_out *out)
{
	const char *from = in;
	char *to = hypr_out_reserve(out, in_bytes);
	size_t i;

	for (i = 0; i < in_bytes; i++)
		to[i] = from[i] >= 'a' && from[i] <= 'z' ? (char)(from[i] - 'a' + 'A') : from[i];
	return 0;
}
