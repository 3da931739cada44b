// SPDX-License-Identifier: GPL-2.0-only
/* <hypr/abi/vmo.h> has the numbers of docs/spec/vmo-format.md, in C and in C++. */
#include "unit.h"

#include <hypr/abi/vmo.h>
#include <linux/kvm.h>

static const struct {
	const char *what;
	uint64_t is, wanted;
} entries[] = {
#define VMO_SIZE(type, bytes)	{ "sizeof " #type, sizeof(struct type), bytes },
#define VMO_VALUE(name, value)	{ #name, name, value },
#define VMO_AT(type, field, at, bytes)						\
	{ #type "." #field, offsetof(struct type, field), at },			\
	{ "sizeof " #type "." #field, sizeof(((struct type *)0)->field), bytes },
#include "vmo_layout.h"
};

static void test_layout(void **ctx)
{
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(entries); i++) {
		if (entries[i].is != entries[i].wanted)
			fail_msg("%s is %llu, not %llu", entries[i].what,
				 (unsigned long long)entries[i].is,
				 (unsigned long long)entries[i].wanted);
	}
}

static void test_texts(void **ctx)
{
	(void)ctx;
	assert_int_equal(sizeof(HYPR_VMO_MAGIC) - 1, 8);
	assert_memory_equal(HYPR_VMO_MAGIC, "HYPRVMO\x1a", 8);
	assert_int_equal(sizeof(HYPR_VMO_WS_MAGIC) - 1, 8);
	assert_memory_equal(HYPR_VMO_WS_MAGIC, "HYPR-WS\x1a", 8);
	assert_string_equal(HYPR_VMO_WS_SUFFIX, ".ws");
	assert_string_equal(HYPR_VMO_SIGN_PREFIX, "HYPR VMO root 1\n");
}

/* What a VCPU section begins with. */
static void test_registers(void **ctx)
{
	(void)ctx;
	assert_int_equal(sizeof(struct kvm_regs), 144);
	assert_int_equal(sizeof(struct kvm_sregs), 312);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_registers),
	};

	return cmocka_run_group_tests_name("vmo_abi", tests, NULL, NULL) ? 1 : 0;
}
