/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The instructions by which a 64-bit guest reaches a device in memory: MOV, MOVZX, MOVSX
 * and MOVSXD between a register or an immediate and memory.  decode() is pure.
 */
#ifndef HYPRV_DECODE_H
#define HYPRV_DECODE_H

#include "types.h"

struct view;

/**
 * struct decoded - one access
 * @bytes: length of the instruction
 * @write: to memory
 * @width: bytes of the access
 * @target: bytes of the register that a read changes
 * @reg: the register, unless @immediate
 * @high: AH, CH, DH or BH: the second byte of @reg
 * @extend_sign: MOVSX
 * @immediate: the value to write is @value
 */
struct decoded {
	u8 bytes;
	bool write;
	u8 width;
	u8 target;
	u8 reg;
	bool high;
	bool extend_sign;
	bool immediate;
	u64 value;
};

/**
 * decode() - take an instruction of 64-bit mode apart
 * @code: its bytes, and what follows
 * @length: bytes that are there, at most 15 count
 * @access: out
 *
 * Return: 0; -EOPNOTSUPP for any other instruction; -ENODATA if @length is too short.
 */
int decode(const u8 *code, int length, struct decoded *access);

/* Where the guest's next instruction is, and how its addresses translate. */
struct decode_state {
	u64 linear;
	u64 cr3;
	u64 cr4;
	u64 efer;
	bool user;
};

/** decode_fetch() - up to 15 bytes of code; how many, or -errno.  May sleep. */
int decode_fetch(struct view *view, const struct decode_state *state, u8 code[15]);

#endif /* HYPRV_DECODE_H */
