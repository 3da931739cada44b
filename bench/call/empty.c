// SPDX-License-Identifier: GPL-2.0-only
/* The empty function: once as a function file, once in a process (process.c). */
#include <hypr/guest.h>

int hypr_main(const void *in, size_t in_bytes, struct hypr_out *out)
{
	(void)in;
	(void)in_bytes;
	(void)out;
	return 0;
}
