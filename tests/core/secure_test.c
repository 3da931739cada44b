// SPDX-License-Identifier: GPL-2.0-only
/* Memory for secrets: tests/core/secure_test.  The platform's failures are the test's. */
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "secure.h"

/* ---- the platform ----------------------------------------------------------- */

void *__real_plat_alloc(size_t bytes);
void *__real_plat_secret_alloc(size_t bytes);
void __real_plat_secret_free(void *secret);
int __real_plat_secret_protect(void *secret, enum plat_secret_access access);
int __real_plat_random(void *buffer, size_t bytes);
int __real_plat_digest(const u8 *key, const void *data, size_t bytes, u8 *out);
int __real_plat_lock_init(struct plat_lock *lock);
void __real_plat_lock_take(struct plat_lock *lock);
void __real_plat_lock_drop(struct plat_lock *lock);
void *__wrap_plat_alloc(size_t bytes);
void *__wrap_plat_secret_alloc(size_t bytes);
void __wrap_plat_secret_free(void *secret);
int __wrap_plat_secret_protect(void *secret, enum plat_secret_access access);
int __wrap_plat_random(void *buffer, size_t bytes);
int __wrap_plat_digest(const u8 *key, const void *data, size_t bytes, u8 *out);
int __wrap_plat_lock_init(struct plat_lock *lock);
void __wrap_plat_lock_take(struct plat_lock *lock);
void __wrap_plat_lock_drop(struct plat_lock *lock);

#define NEVER	1000000

static struct {
	int left;		/* allocations until one fails */
	bool random_fails, digest_fails, protect_fails, lock_fails;
	u32 locked;
	u32 secrets;		/* allocated and not freed */
	u32 slow_under_lock;
	u8 last[64];		/* the beginning of what was freed last */
} plat;

void *__wrap_plat_alloc(size_t bytes)
{
	return plat.left-- > 0 ? __real_plat_alloc(bytes) : NULL;
}

void *__wrap_plat_secret_alloc(size_t bytes)
{
	void *secret = plat.left-- > 0 ? __real_plat_secret_alloc(bytes) : NULL;

	plat.slow_under_lock += plat.locked;
	plat.secrets += !!secret;
	return secret;
}

/* Blocks of these tests have 64 bytes; the key has half of that. */
void __wrap_plat_secret_free(void *secret)
{
	plat.slow_under_lock += plat.locked;
	if (secret) {
		plat.secrets--;
		memcpy(plat.last, secret, 32);
	}
	__real_plat_secret_free(secret);
}

int __wrap_plat_secret_protect(void *secret, enum plat_secret_access access)
{
	return plat.protect_fails ? -EIO : __real_plat_secret_protect(secret, access);
}

int __wrap_plat_random(void *buffer, size_t bytes)
{
	plat.slow_under_lock += plat.locked;
	return plat.random_fails ? -EIO : __real_plat_random(buffer, bytes);
}

int __wrap_plat_digest(const u8 *key, const void *data, size_t bytes, u8 *out)
{
	plat.slow_under_lock += plat.locked;
	return plat.digest_fails ? -EIO : __real_plat_digest(key, data, bytes, out);
}

int __wrap_plat_lock_init(struct plat_lock *lock)
{
	return plat.lock_fails ? -ENOSPC : __real_plat_lock_init(lock);
}

void __wrap_plat_lock_take(struct plat_lock *lock)
{
	__real_plat_lock_take(lock);
	plat.locked++;
}

void __wrap_plat_lock_drop(struct plat_lock *lock)
{
	plat.locked--;
	__real_plat_lock_drop(lock);
}

static struct security_context context;

static int setup(void **state)
{
	(void)state;
	memset(&plat, 0, sizeof(plat));
	plat.left = NEVER;
	return init_security_context(&context);
}

static int teardown(void **state)
{
	(void)state;
	fini_security_context(&context);
	/* All is given back, and nothing slow was done under the lock. */
	return plat.secrets || plat.locked || plat.slow_under_lock;
}

/* ---- what the memory holds -------------------------------------------------- */

static void test_memory_is_random_when_taken_and_given_back(void **state)
{
	u8 *one = secure_alloc(&context, 64), *two = secure_alloc(&context, 64);
	u8 zero[64] = { 0 };

	(void)state;
	assert_memory_not_equal(one, two, 64);
	assert_memory_not_equal(one, zero, 64);
	memset(one, 0x5a, 64);
	assert_int_equal(secure_free(&context, one), 0);
	for (u32 n = 0, same = 0; n < 32; n++) {
		same += plat.last[n] == 0x5a;
		assert_true(same < 16);
	}
	assert_memory_not_equal(plat.last, zero, 32);
	assert_int_equal(secure_free(&context, two), 0);
	assert_int_equal(context.count, 0);
}

static void test_free_knows_what_is_the_contexts(void **state)
{
	u8 *block = secure_alloc(&context, 64), *other = secure_alloc(&context, 64), foreign;

	(void)state;
	assert_int_equal(secure_free(&context, NULL), 0);
	assert_int_equal(secure_free(&context, &foreign), -EINVAL);
	assert_int_equal(secure_free(&context, block + 1), -EINVAL);
	assert_int_equal(secure_free(&context, block), 0);
	assert_int_equal(secure_free(&context, block), -EINVAL);
	assert_int_equal(context.count, 1);
	/* The end of the context frees what is left. */
	assert_int_equal(secure_protect(&context, other, PLAT_SECRET_NONE), 0);
}

static void test_a_seal_notices_a_change(void **state)
{
	u8 *block = secure_alloc(&context, 64);

	(void)state;
	memset(block, 1, 64);
	assert_int_equal(secure_check(&context, block), -ENODATA);
	assert_int_equal(secure_seal(&context, block), 0);
	assert_int_equal(secure_check(&context, block), 0);
	for (u32 bit = 0; bit < 64 * 8; bit++) {
		block[bit / 8] ^= 1 << bit % 8;
		assert_int_equal(secure_check(&context, block), -EBADMSG);
		block[bit / 8] ^= 1 << bit % 8;
	}
	assert_int_equal(secure_check(&context, block), 0);
	block[0] = 2;
	assert_int_equal(secure_seal(&context, block), 0);
	assert_int_equal(secure_check(&context, block), 0);
}

static void test_the_digest_depends_on_the_contexts_key(void **state)
{
	struct security_context other;
	u8 *mine = secure_alloc(&context, 64), *its;

	(void)state;
	assert_int_equal(init_security_context(&other), 0);
	its = secure_alloc(&other, 64);
	memset(mine, 7, 64);
	memset(its, 7, 64);
	assert_int_equal(secure_seal(&context, mine), 0);
	assert_int_equal(secure_seal(&other, its), 0);
	assert_memory_not_equal(context.blocks->digest, other.blocks->digest,
				PLAT_DIGEST_BYTES);
	fini_security_context(&other);
}

static void test_foreign_memory_is_refused(void **state)
{
	u8 foreign[64];

	(void)state;
	assert_int_equal(secure_protect(&context, foreign, PLAT_SECRET_READ), -EINVAL);
	assert_int_equal(secure_seal(&context, foreign), -EINVAL);
	assert_int_equal(secure_check(&context, foreign), -EINVAL);
}

/* ---- guards: what a child process dies of ----------------------------------- */

/* True if the child ended by a signal or an error of a sanitizer. */
static bool dies(void (*act)(volatile u8 *), u8 *memory)
{
	int status, quiet;
	pid_t child = fork();

	if (!child) {
		quiet = open("/dev/null", O_WRONLY);
		dup2(quiet, STDERR_FILENO);
		signal(SIGSEGV, SIG_DFL);
		act(memory);
		_exit(0);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

static void read_first(volatile u8 *memory)
{
	(void)memory[0];
}

static void write_first(volatile u8 *memory)
{
	memory[0] = 0;
}

static void write_past_the_end(volatile u8 *memory)
{
	memory[64] = 0;
}

static void write_a_page_before(volatile u8 *memory)
{
	memory[-(long)(2 * CORE_PAGE_4K)] = 0;
}

static void test_access_is_enforced(void **state)
{
	u8 *block = secure_alloc(&context, 64);

	(void)state;
	assert_false(dies(read_first, block));
	assert_false(dies(write_first, block));
	assert_int_equal(secure_protect(&context, block, PLAT_SECRET_READ), 0);
	assert_false(dies(read_first, block));
	assert_true(dies(write_first, block));
	assert_int_equal(secure_seal(&context, block), 0);
	assert_int_equal(secure_protect(&context, block, PLAT_SECRET_NONE), 0);
	assert_true(dies(read_first, block));
	assert_int_equal(secure_seal(&context, block), -EACCES);
	assert_int_equal(secure_check(&context, block), -EACCES);
	assert_int_equal(secure_protect(&context, block, PLAT_SECRET_WRITE), 0);
	assert_int_equal(secure_check(&context, block), 0);
	assert_false(dies(write_first, block));
	/* One without access is wiped all the same. */
	assert_int_equal(secure_protect(&context, block, PLAT_SECRET_NONE), 0);
	assert_int_equal(secure_free(&context, block), 0);
}

static void test_guard_pages_surround_a_block(void **state)
{
	u8 *block = secure_alloc(&context, 64);

	(void)state;
	assert_true(dies(write_past_the_end, block));
	assert_true(dies(write_a_page_before, block));
}

/* "dd": not in core dumps.  smaps has the flags of each mapping. */
static bool flag_of(const void *memory, const char *flag)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	unsigned long start, end;
	bool inside = false, found = false;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = (uintptr_t)memory >= start && (uintptr_t)memory < end;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, flag);
	}
	fclose(maps);
	return found;
}

static void test_secrets_are_not_in_core_dumps(void **state)
{
	u8 *block = secure_alloc(&context, 64);

	(void)state;
	assert_true(flag_of(block, " dd"));
	assert_true(flag_of(context.key, " dd"));
	/* The stack is. */
	assert_false(flag_of(&block, " dd"));
}

/* ---- failures --------------------------------------------------------------- */

static void test_alloc_unwinds_each_failure(void **state)
{
	u32 secrets = plat.secrets;
	void *block;
	int n = 0;

	(void)state;
	assert_null(secure_alloc(&context, 0));
	do {
		plat.left = n++;
		block = secure_alloc(&context, 64);
		assert_int_equal(plat.secrets, secrets + !!block);
	} while (!block);
	plat.left = NEVER;
	/* The block's record and its memory. */
	assert_int_equal(n, 2 + 1);
	plat.random_fails = true;
	assert_null(secure_alloc(&context, 64));
	assert_int_equal(plat.secrets, secrets + 1);
	/* Without random bytes a free still frees. */
	assert_int_equal(secure_free(&context, block), 0);
	assert_int_equal(plat.secrets, secrets);
	plat.random_fails = false;
}

static void test_init_unwinds_each_failure(void **state)
{
	struct security_context other;
	u32 secrets = plat.secrets;

	(void)state;
	plat.left = 0;
	assert_int_equal(init_security_context(&other), -ENOMEM);
	plat.left = NEVER;
	plat.random_fails = true;
	assert_int_equal(init_security_context(&other), -EIO);
	plat.random_fails = false;
	plat.lock_fails = true;
	assert_int_equal(init_security_context(&other), -ENOSPC);
	plat.lock_fails = false;
	assert_int_equal(plat.secrets, secrets);
	fini_security_context(&other);
	fini_security_context(NULL);
}

static void test_the_platforms_failures_are_reported(void **state)
{
	u8 *block = secure_alloc(&context, 64);

	(void)state;
	plat.protect_fails = true;
	assert_int_equal(secure_protect(&context, block, PLAT_SECRET_NONE), -EIO);
	plat.protect_fails = false;
	plat.digest_fails = true;
	assert_int_equal(secure_seal(&context, block), -EIO);
	assert_int_equal(secure_check(&context, block), -EIO);
	plat.digest_fails = false;
	assert_int_equal(secure_check(&context, block), -ENODATA);
}

#define TEST(test)	cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_memory_is_random_when_taken_and_given_back),
		TEST(test_free_knows_what_is_the_contexts),
		TEST(test_a_seal_notices_a_change),
		TEST(test_the_digest_depends_on_the_contexts_key),
		TEST(test_foreign_memory_is_refused),
		TEST(test_access_is_enforced),
		TEST(test_guard_pages_surround_a_block),
		TEST(test_secrets_are_not_in_core_dumps),
		TEST(test_alloc_unwinds_each_failure),
		TEST(test_init_unwinds_each_failure),
		TEST(test_the_platforms_failures_are_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
