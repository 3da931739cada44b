// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * File names that a VMO has of another.  They come from whoever made the file and
 * go into messages, JSON and terminals: UTF-8, without control characters.
 */
#include "vmo/vmo.h"

/* Length of the character at @at, which ends with a NUL; 0: it is none. */
static unsigned int decode(const uint8_t *at, uint32_t *character)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int i, len;

	if (at[0] < 0x80) {
		*character = at[0];
		return 1;
	}
	len = at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf8 ? 4 : 0;
	*character = at[0] & (0x7f >> len);
	for (i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		*character = *character << 6 | (at[i] & 0x3f);
	}
	/* The longer ways to write a character, and what is none. */
	if (*character < least[len] || *character > 0x10ffff ||
	    (*character >= 0xd800 && *character < 0xe000))
		return 0;
	return len;
}

bool hypr_vmo_name_is_fit(const char *name)
{
	const uint8_t *at = (const uint8_t *)name;
	uint32_t character;
	unsigned int len;

	if (!*name || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	for (; *at; at += len) {
		len = decode(at, &character);
		if (!len || character < 0x20 || character == '/' ||
		    (character >= 0x7f && character < 0xa0))
			return false;
	}
	return true;
}
