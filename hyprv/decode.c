// SPDX-License-Identifier: GPL-2.0-only
/* Instructions that reach a device: decode.h. */
#include "decode.h"

struct cursor {
	const u8 *code;
	int length;
	int at;
};

/* The next byte; after the last one 0, and at > length remembers it. */
static u8 next(struct cursor *c)
{
	u8 byte = c->at < c->length ? c->code[c->at] : 0;

	c->at++;
	return byte;
}

static u64 next_signed(struct cursor *c, u32 bytes)
{
	u64 value = 0;

	for (u32 i = 0; i < bytes; i++)
		value |= (u64)next(c) << (8 * i);
	if (bytes && bytes < 8 && value >> (8 * bytes - 1) & 1)
		value |= ~0ull << (8 * bytes);
	return value;
}

/* ModRM, SIB and displacement: only their length counts, the CPU has the address. */
static bool skip_address(struct cursor *c, u8 modrm)
{
	u8 mod = modrm >> 6, rm = modrm & 7;

	if (mod == 3)
		return false;
	if (rm == 4 && (next(c) & 7) == 5 && mod == 0)
		next_signed(c, 4);
	else if (rm == 5 && mod == 0)
		next_signed(c, 4);
	next_signed(c, mod == 1 ? 1 : mod == 2 ? 4 : 0);
	return true;
}

/* Without REX, registers 4 to 7 of one byte are AH, CH, DH and BH. */
static void byte_register(struct decoded *access, bool rex)
{
	if (!rex && access->reg >= 4 && access->reg < 8) {
		access->reg -= 4;
		access->high = true;
	}
}

int decode(const u8 *code, int length, struct decoded *access)
{
	struct cursor c = { code, length > 15 ? 15 : length, 0 };
	bool two_bytes = false, small = false, rex_seen = false, known = true;
	u8 opcode, rex = 0, modrm;

	memset(access, 0, sizeof(*access));
	for (opcode = next(&c);; opcode = next(&c)) {
		if (opcode == 0x66)
			small = true;
		else if (opcode != 0x2e && opcode != 0x36 && opcode != 0x3e && opcode != 0x26 &&
			 opcode != 0x64 && opcode != 0x65)
			break;
	}
	if ((opcode & 0xf0) == 0x40) {
		rex = opcode;
		rex_seen = true;
		opcode = next(&c);
	}
	if (opcode == 0x0f) {
		two_bytes = true;
		opcode = next(&c);
	}
	modrm = next(&c);
	access->target = rex & 8 ? 8 : small ? 2 : 4;
	access->width = access->target;
	access->reg = (modrm >> 3 & 7) | (rex & 4 ? 8 : 0);
	switch (two_bytes << 8 | opcode) {
	case 0x88:
		access->write = true;
		access->width = 1;
		break;
	case 0x89:
		access->write = true;
		break;
	case 0x8a:
		access->width = access->target = 1;
		break;
	case 0x8b:
		break;
	case 0xc6:
	case 0xc7:
		access->write = access->immediate = true;
		access->width = opcode == 0xc6 ? 1 : access->width;
		known = !(modrm >> 3 & 7);
		break;
	case 0x63:
		access->width = 4;
		access->extend_sign = true;
		break;
	case 0x1b6:
	case 0x1be:
		access->width = 1;
		access->extend_sign = opcode == 0xbe;
		break;
	case 0x1b7:
	case 0x1bf:
		access->width = 2;
		access->extend_sign = opcode == 0xbf;
		break;
	default:
		known = false;
	}
	if (!known || !skip_address(&c, modrm))
		return c.at > c.length ? -ENODATA : -EOPNOTSUPP;
	if (access->immediate)
		access->value = next_signed(&c, access->width < 4 ? access->width : 4);
	else if (!two_bytes && (opcode == 0x88 || opcode == 0x8a))
		byte_register(access, rex_seen);
	access->bytes = c.at;
	return c.at > c.length ? -ENODATA : 0;
}
