// SPDX-License-Identifier: GPL-2.0-only
/* Instructions that reach a device: each form, and what is no such instruction. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "decode.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

static const struct form {
	const char *text;
	u8 code[15];
	struct decoded want;
} forms[] = {
	{ "mov %al, (%rbx)", { 0x88, 0x03 }, { .bytes = 2, .write = 1, .width = 1, .target = 4 } },
	{ "mov %ah, (%rbx)", { 0x88, 0x23 },
	  { .bytes = 2, .write = 1, .width = 1, .target = 4, .high = 1 } },
	{ "mov %sil, (%rbx)", { 0x40, 0x88, 0x33 },
	  { .bytes = 3, .write = 1, .width = 1, .target = 4, .reg = 6 } },
	{ "mov %cx, 8(%rbx)", { 0x66, 0x89, 0x4b, 0x08 },
	  { .bytes = 4, .write = 1, .width = 2, .target = 2, .reg = 1 } },
	{ "mov %ecx, 0x1000(%rbx)", { 0x89, 0x8b, 0x00, 0x10, 0x00, 0x00 },
	  { .bytes = 6, .write = 1, .width = 4, .target = 4, .reg = 1 } },
	{ "mov %r9, (%rax,%rbx,4)", { 0x4c, 0x89, 0x0c, 0x98 },
	  { .bytes = 4, .write = 1, .width = 8, .target = 8, .reg = 9 } },
	{ "mov 0x1000, %eax (absolute)", { 0x8b, 0x04, 0x25, 0x00, 0x10, 0x00, 0x00 },
	  { .bytes = 7, .width = 4, .target = 4 } },
	{ "mov 0x10(%rip), %rdx", { 0x48, 0x8b, 0x15, 0x10, 0, 0, 0 },
	  { .bytes = 7, .width = 8, .target = 8, .reg = 2 } },
	{ "mov (%rbx), %bh", { 0x8a, 0x3b },
	  { .bytes = 2, .width = 1, .target = 1, .reg = 3, .high = 1 } },
	{ "mov %fs:(%rbx), %eax", { 0x64, 0x8b, 0x03 }, { .bytes = 3, .width = 4, .target = 4 } },
	{ "movb $0x7f, (%rbx)", { 0xc6, 0x03, 0x7f },
	  { .bytes = 3, .write = 1, .width = 1, .target = 4, .immediate = 1, .value = 0x7f } },
	{ "movw $0x1234, (%rbx)", { 0x66, 0xc7, 0x03, 0x34, 0x12 },
	  { .bytes = 5, .write = 1, .width = 2, .target = 2, .immediate = 1, .value = 0x1234 } },
	{ "movq $-1, (%rbx)", { 0x48, 0xc7, 0x03, 0xff, 0xff, 0xff, 0xff },
	  { .bytes = 7, .write = 1, .width = 8, .target = 8, .immediate = 1, .value = ~0ull } },
	{ "movzbl (%rbx), %r8d", { 0x44, 0x0f, 0xb6, 0x03 },
	  { .bytes = 4, .width = 1, .target = 4, .reg = 8 } },
	{ "movzwl (%rbx), %eax", { 0x0f, 0xb7, 0x03 }, { .bytes = 3, .width = 2, .target = 4 } },
	{ "movsbq (%rbx), %rcx", { 0x48, 0x0f, 0xbe, 0x0b },
	  { .bytes = 4, .width = 1, .target = 8, .reg = 1, .extend_sign = 1 } },
	{ "movswl (%rbx), %eax", { 0x0f, 0xbf, 0x03 },
	  { .bytes = 3, .width = 2, .target = 4, .extend_sign = 1 } },
	{ "movslq (%rbx), %rax", { 0x48, 0x63, 0x03 },
	  { .bytes = 3, .width = 4, .target = 8, .extend_sign = 1 } },
};

static void test_each_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(forms); i++) {
		const struct decoded *want = &forms[i].want;
		struct decoded got;

		if (decode(forms[i].code, 15, &got))
			fail_msg("%s is refused", forms[i].text);
		if (got.bytes != want->bytes || got.write != want->write ||
		    got.width != want->width || got.target != want->target ||
		    got.reg != want->reg || got.high != want->high ||
		    got.extend_sign != want->extend_sign ||
		    got.immediate != want->immediate || got.value != want->value)
			fail_msg("%s: %u bytes, width %u, register %u, value %#llx", forms[i].text,
				 got.bytes, got.width, got.reg, (unsigned long long)got.value);
	}
}

/* Cut anywhere, an instruction is not taken for another. */
static void test_cut_code_is_no_instruction(void **state)
{
	struct decoded got;

	(void)state;
	for (size_t i = 0; i < COUNT(forms); i++)
		for (int length = 0; length < forms[i].want.bytes; length++)
			if (decode(forms[i].code, length, &got) != -ENODATA)
				fail_msg("%s, %d bytes of it", forms[i].text, length);
}

static void test_others_are_refused(void **state)
{
	static const struct {
		const char *text;
		u8 code[15];
	} others[] = {
		{ "mov %eax, %ebx", { 0x89, 0xc3 } },
		{ "add %eax, (%rbx)", { 0x01, 0x03 } },
		{ "push (%rbx)", { 0xff, 0x33 } },
		{ "lock mov", { 0xf0, 0x89, 0x03 } },
		{ "rep movsb", { 0xf3, 0xa4 } },
		{ "movaps %xmm0, (%rbx)", { 0x0f, 0x29, 0x03 } },
		{ "xabort (c6 /7)", { 0xc6, 0x3b, 0x00 } },
		{ "sixteen prefixes", { 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
					0x66, 0x66, 0x66, 0x66, 0x66 } },
	};
	struct decoded got;

	(void)state;
	for (size_t i = 0; i < COUNT(others); i++)
		if (!decode(others[i].code, 15, &got))
			fail_msg("%s is taken for a MOV", others[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_form),
		cmocka_unit_test(test_cut_code_is_no_instruction),
		cmocka_unit_test(test_others_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
