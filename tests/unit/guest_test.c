// SPDX-License-Identifier: GPL-2.0-only
/* Guest memory by GPA: what is in the memory, and what is not. */
#include "unit.h"

#include "hypr/hypr.h"
#include "lib/base/guest.h"

#define BYTES	64

struct fixture {
	uint8_t mem[16 + BYTES + 16];	/* with bytes around it that nobody may change */
	struct hypr_guest guest;
};

static int setup(void **ctx)
{
	struct fixture *f = malloc(sizeof(*f));

	memset(f->mem, 0xa5, sizeof(f->mem));
	f->guest = (struct hypr_guest){ f->mem + 16, BYTES };
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	free(*ctx);
	return 0;
}

static void *at(const struct fixture *f, uint64_t gpa, uint64_t bytes)
{
	return hypr_guest_at(&f->guest, hypr_gpa(gpa), bytes);
}

static void test_guest_range_inside(void **ctx)
{
	struct fixture *f = *ctx;

	assert_ptr_equal(at(f, 0, 1), f->guest.host);
	assert_ptr_equal(at(f, 0, BYTES), f->guest.host);
	assert_ptr_equal(at(f, 17, 1), f->guest.host + 17);
	assert_ptr_equal(at(f, BYTES - 1, 1), f->guest.host + BYTES - 1);
}

static void test_guest_range_outside(void **ctx)
{
	struct fixture *f = *ctx;

	assert_null(at(f, 0, BYTES + 1));
	assert_null(at(f, BYTES - 1, 2));
	assert_null(at(f, BYTES, 1));
	assert_null(at(f, BYTES + 1, 1));
	assert_null(at(f, 1ull << 32, 1));
}

static void test_guest_range_that_wraps(void **ctx)
{
	struct fixture *f = *ctx;

	assert_null(at(f, 1, UINT64_MAX));
	assert_null(at(f, BYTES - 1, UINT64_MAX - BYTES + 2));
	assert_null(at(f, UINT64_MAX, 1));
	assert_null(at(f, UINT64_MAX, 2));
	assert_null(at(f, UINT64_MAX - 7, 16));
	assert_null(at(f, 0, UINT64_MAX));
}

static void test_guest_range_of_no_bytes(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_guest none = { f->guest.host, 0 };

	assert_ptr_equal(at(f, 0, 0), f->guest.host);
	assert_ptr_equal(at(f, BYTES, 0), f->guest.host + BYTES);
	assert_null(at(f, BYTES + 1, 0));
	assert_null(at(f, UINT64_MAX, 0));
	assert_non_null(hypr_guest_at(&none, hypr_gpa(0), 0));
	assert_null(hypr_guest_at(&none, hypr_gpa(0), 1));
	assert_int_equal(hypr_guest_write(&f->guest, hypr_gpa(0), NULL, 0), 0);
	assert_int_equal(hypr_guest_write(&f->guest, hypr_gpa(BYTES + 1), NULL, 0), -EFAULT);
}

static void test_guest_write_all_or_nothing(void **ctx)
{
	static const uint8_t bytes[] = { 1, 2, 3, 4 };
	struct fixture *f = *ctx;
	size_t i;

	assert_int_equal(hypr_guest_write(&f->guest, hypr_gpa(BYTES - 3), bytes, 4), -EFAULT);
	assert_int_equal(hypr_guest_write(&f->guest, hypr_gpa(UINT64_MAX - 1), bytes, 4), -EFAULT);
	for (i = 0; i < sizeof(f->mem); i++)
		assert_int_equal(f->mem[i], 0xa5);

	assert_int_equal(hypr_guest_write(&f->guest, hypr_gpa(BYTES - 4), bytes, 4), 0);
	assert_memory_equal(f->guest.host + BYTES - 4, bytes, 4);
	assert_int_equal(f->mem[16 + BYTES - 5], 0xa5);
	assert_int_equal(f->mem[16 + BYTES], 0xa5);
}

static void test_guest_fail_names_the_range(void **ctx)
{
	struct fixture *f = *ctx;

	assert_int_equal(hypr_guest_fail(&f->guest, hypr_gpa(0x1234), 99, "the table"), -EFAULT);
	assert_non_null(strstr(hypr_error(), "the table: 99 bytes at GPA 0x1234"));
}

int main(void)
{
#define T(test)	cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_guest_range_inside),
		T(test_guest_range_outside),
		T(test_guest_range_that_wraps),
		T(test_guest_range_of_no_bytes),
		T(test_guest_write_all_or_nothing),
		T(test_guest_fail_names_the_range),
	};

	return cmocka_run_group_tests_name("guest", tests, NULL, NULL) ? 1 : 0;
}
