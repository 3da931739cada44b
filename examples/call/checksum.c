// SPDX-License-Identifier: GPL-2.0-only
/*
 * A function with an init: the table of a CRC-32 is made once, before the first call,
 * and is part of the moment that each call begins with.
 */
#include <stdint.h>
#include <hypr/guest.h>

static uint32_t table[256];

void hypr_init(void)
{
	uint32_t i, bit, value;

	for (i = 0; i < 256; i++) {
		value = i;
		for (bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
		table[i] = value;
	}
}

int hypr_main(const void *in, size_t in_bytes, struct hypr_out *out)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *byte = in;
	uint32_t crc = 0xffffffff;
	char text[9];
	size_t i;

	if (!in_bytes)
		hypr_abort("nothing to sum up");
	for (i = 0; i < in_bytes; i++)
		crc = crc >> 8 ^ table[(crc ^ byte[i]) & 0xff];
	crc = ~crc;
	for (i = 0; i < 8; i++)
		text[i] = digits[crc >> (28 - 4 * i) & 0xf];
	text[8] = '\n';
	hypr_out_write(out, text, sizeof(text));
	return 0;
}
