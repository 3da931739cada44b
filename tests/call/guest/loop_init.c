// SPDX-License-Identifier: GPL-2.0-only
/* A function whose init never ends. */
#include <hypr/guest.h>

void hypr_init(void)
{
	for (;;)
		asm volatile("");
}

int hypr_main(const void *in, size_t in_bytes, struct hypr_out *out)
{
	(void)in;
	(void)in_bytes;
	(void)out;
	return 0;
}
