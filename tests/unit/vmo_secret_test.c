// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where the secret key of a signature is while it is in use, and that it is nowhere
 * afterwards: tests/unit/vmo_secret_test.  The test looks through its own memory.
 */
#include "vmo_kit.h"

#include <fcntl.h>
#include <sodium.h>

/* Larger mappings are ASan's shadow. */
#define MAPPING_MAX	(64ul << 20)
#define CHUNK		(64u << 10)
#define KEY_BYTES	HYPR_VMO_KEY_BYTES
#define MASK		0x5a

/* The key in a form that is not the key: the test's own copy must not be found. */
static uint8_t masked[KEY_BYTES], masked_hex[2 * KEY_BYTES];
static int found_while_used;
static bool look_now;

int __real_crypto_sign_seed_keypair(unsigned char *public_key, unsigned char *secret,
				    const unsigned char *seed);
int __wrap_crypto_sign_seed_keypair(unsigned char *public_key, unsigned char *secret,
				    const unsigned char *seed);

static bool is_masked(const uint8_t *at, const uint8_t *pattern, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((at[i] ^ MASK) != pattern[i])
			return false;
	return true;
}

static int count_in(const uint8_t *bytes, size_t len)
{
	int found = 0;

	for (size_t at = 0; at + sizeof(masked) <= len; at++) {
		found += is_masked(bytes + at, masked, sizeof(masked));
		if (at + sizeof(masked_hex) <= len)
			found += is_masked(bytes + at, masked_hex, sizeof(masked_hex));
	}
	return found;
}

/*
 * Copies of the key in mappings that a core dump holds, or with @all in any.  A copy across
 * two chunks is found since they overlap.
 */
static int count_copies(bool all)
{
	static uint8_t chunk[CHUNK];
	unsigned long start = 0, end = 0, from, to;
	bool writable = false;
	FILE *maps = fopen("/proc/self/smaps", "r");
	int mem = open("/proc/self/mem", O_RDONLY), found = 0;
	char line[512], access[8];

	assert_non_null(maps);
	assert_true(mem >= 0);
	while (fgets(line, sizeof(line), maps)) {
		/* "Anonymous:" begins with a hexadecimal digit, too. */
		if (sscanf(line, "%lx-%lx %4s", &from, &to, access) == 3) {
			start = from;
			end = to;
			writable = access[1] == 'w';
			continue;
		}
		if (strncmp(line, "VmFlags:", 8) || !writable || end - start > MAPPING_MAX ||
		    (!all && strstr(line, " dd")))
			continue;
		for (unsigned long at = start; at < end; at += CHUNK - sizeof(masked_hex)) {
			ssize_t got = pread(mem, chunk, CHUNK, (off_t)at);

			found += got > 0 ? count_in(chunk, (size_t)got) : 0;
			sodium_memzero(chunk, CHUNK);
		}
	}
	close(mem);
	fclose(maps);
	return found;
}

/* The library has the seed here, and is about to make the key of it. */
int __wrap_crypto_sign_seed_keypair(unsigned char *public_key, unsigned char *secret,
				    const unsigned char *seed)
{
	if (look_now) {
		assert_true(count_copies(true) > 0);
		found_while_used = count_copies(false);
	}
	return __real_crypto_sign_seed_keypair(public_key, secret, seed);
}

static void read_masked(const char *path)
{
	char text[256];
	int fd = open(path, O_RDONLY);
	ssize_t len = read(fd, text, sizeof(text));
	uint8_t seed[KEY_BYTES];
	size_t at = strlen("hypr-ed25519-secret ");

	assert_true(len >= (ssize_t)(at + sizeof(masked_hex)));
	assert_int_equal(sodium_hex2bin(seed, sizeof(seed), text + at, sizeof(masked_hex), NULL,
					NULL, NULL), 0);
	for (size_t i = 0; i < sizeof(masked); i++)
		masked[i] = seed[i] ^ MASK;
	for (size_t i = 0; i < sizeof(masked_hex); i++)
		masked_hex[i] = (uint8_t)text[at + i] ^ MASK;
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(text, sizeof(text));
	close(fd);
}

static void test_no_core_dump_has_the_key_and_nothing_has_it_afterwards(void **ctx)
{
	uint8_t key[KEY_BYTES], *mem = kit_memory(), *plain;

	(void)ctx;
	kit_write("a.vmo", mem, NULL);
	assert_int_equal(hypr_vmo_keygen(kit_path("key"), key), 0);
	read_masked(kit_path("key"));
	assert_int_equal(count_copies(true), 0);

	look_now = true;
	found_while_used = -1;
	assert_int_equal(hypr_vmo_sign(kit_path("a.vmo"), kit_path("key")), 0);
	look_now = false;
	assert_int_equal(found_while_used, 0);
	assert_int_equal(count_copies(true), 0);

	/* The search finds what is there. */
	plain = malloc(KEY_BYTES);
	for (size_t i = 0; i < KEY_BYTES; i++)
		plain[i] = masked[i] ^ MASK;
	assert_true(count_copies(false) > 0);
	sodium_memzero(plain, KEY_BYTES);
	free(plain);
	free(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_no_core_dump_has_the_key_and_nothing_has_it_afterwards,
			kit_setup, kit_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
