// SPDX-License-Identifier: GPL-2.0-only
/* The user-space platform of core/: tests/core/plat_test. */
#include "tests/unit/unit.h"

#include <sys/random.h>

#include "plat.h"

ssize_t __real_getrandom(void *buffer, size_t bytes, unsigned int flags);
ssize_t __wrap_getrandom(void *buffer, size_t bytes, unsigned int flags);
int __real_sodium_init(void);
int __wrap_sodium_init(void);

static int interruptions;
static bool random_fails, sodium_fails;

/* A few bytes at a time. */
ssize_t __wrap_getrandom(void *buffer, size_t bytes, unsigned int flags)
{
	if (interruptions && interruptions--) {
		errno = EINTR;
		return -1;
	}
	if (random_fails) {
		errno = ENOSYS;
		return -1;
	}
	return __real_getrandom(buffer, bytes < 5 ? bytes : 5, flags);
}

int __wrap_sodium_init(void)
{
	return sodium_fails ? -1 : __real_sodium_init();
}

static void test_pages_are_zeroed_and_aligned_to_their_size(void **state)
{
	static const u32 counts[] = { 1, 2, 8, 512 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		size_t bytes = counts[i] * CORE_PAGE_4K;
		u8 *page = plat_page_alloc(counts[i], PLAT_NODE_ANY);

		assert_non_null(page);
		assert_int_equal((uintptr_t)page % bytes, 0);
		for (size_t at = 0; at < bytes; at++)
			assert_int_equal(page[at], 0);
		assert_ptr_equal(plat_hpa_to_virt(plat_virt_to_hpa(page)), page);
		plat_page_free(page, counts[i]);
	}
}

static void test_cpu_and_node_are_in_range(void **state)
{
	(void)state;
	assert_true(plat_cpu_count() >= 1);
	assert_true(plat_cpu() < plat_cpu_count());
	assert_true(plat_node_count() >= 1);
	for (u32 cpu = 0; cpu < plat_cpu_count(); cpu++)
		assert_true(plat_node_of_cpu(cpu) < plat_node_count());
	assert_int_equal(plat_node_distance(0, 0), 10);
}

static void test_random_bytes_differ(void **state)
{
	u8 one[32] = { 0 }, two[32] = { 0 };

	(void)state;
	assert_int_equal(plat_random(one, sizeof(one)), 0);
	assert_int_equal(plat_random(two, sizeof(two)), 0);
	assert_memory_not_equal(one, two, sizeof(one));
}

static void test_random_goes_on_after_a_signal_and_reports_failure(void **state)
{
	u8 bytes[12] = { 0 }, zero[12] = { 0 };

	(void)state;
	interruptions = 2;
	assert_int_equal(plat_random(bytes, sizeof(bytes)), 0);
	assert_int_equal(interruptions, 0);
	assert_memory_not_equal(bytes, zero, sizeof(bytes));
	random_fails = true;
	assert_int_equal(plat_random(bytes, sizeof(bytes)), -EIO);
	random_fails = false;
}

static void test_a_digest_depends_on_key_and_data(void **state)
{
	u8 key[PLAT_DIGEST_BYTES] = { 1 }, one[PLAT_DIGEST_BYTES], two[PLAT_DIGEST_BYTES];

	(void)state;
	assert_int_equal(plat_digest(key, "abc", 3, one), 0);
	assert_int_equal(plat_digest(key, "abc", 3, two), 0);
	assert_memory_equal(one, two, sizeof(one));
	assert_int_equal(plat_digest(key, "abd", 3, two), 0);
	assert_memory_not_equal(one, two, sizeof(one));
	key[0] = 2;
	assert_int_equal(plat_digest(key, "abc", 3, two), 0);
	assert_memory_not_equal(one, two, sizeof(one));
}

static void test_without_libsodium_there_are_no_secrets(void **state)
{
	u8 key[PLAT_DIGEST_BYTES] = { 1 }, out[PLAT_DIGEST_BYTES];

	(void)state;
	sodium_fails = true;
	assert_null(plat_secret_alloc(16));
	assert_int_equal(plat_digest(key, "abc", 3, out), -EIO);
	sodium_fails = false;
	plat_secret_free(NULL);
}

static void test_the_log_is_a_line_on_stderr(void **state)
{
	char line[32] = { 0 };
	int kept = dup(STDERR_FILENO), pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	dup2(pipes[1], STDERR_FILENO);
	plat_log("%d roots", 3);
	dup2(kept, STDERR_FILENO);
	close(kept);
	close(pipes[1]);
	assert_int_equal(read(pipes[0], line, sizeof(line) - 1), 8);
	close(pipes[0]);
	assert_string_equal(line, "3 roots\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages_are_zeroed_and_aligned_to_their_size),
		cmocka_unit_test(test_cpu_and_node_are_in_range),
		cmocka_unit_test(test_random_bytes_differ),
		cmocka_unit_test(test_random_goes_on_after_a_signal_and_reports_failure),
		cmocka_unit_test(test_a_digest_depends_on_key_and_data),
		cmocka_unit_test(test_without_libsodium_there_are_no_secrets),
		cmocka_unit_test(test_the_log_is_a_line_on_stderr),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
