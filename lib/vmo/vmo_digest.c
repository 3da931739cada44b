// SPDX-License-Identifier: LGPL-2.1-or-later
/* The digests of a VMO: BLAKE2b-256 of sections and root, XXH3-64 of pages. */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <xxhash.h>

#include "vmo/vmo.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* It picks the fastest code for this CPU; it cannot fail for a digest. */
static void start(void)
{
	if (sodium_init() < 0)
		return;
}

void hypr_digest(uint8_t digest[HYPR_VMO_DIGEST_BYTES], const void *data, size_t bytes)
{
	pthread_once(&once, start);
	crypto_generichash(digest, HYPR_VMO_DIGEST_BYTES, data, bytes, NULL, 0);
}

void hypr_vmo_root(uint8_t root[HYPR_VMO_DIGEST_BYTES], const struct hypr_vmo_header *header,
		   const struct hypr_vmo_section *table)
{
	struct hypr_vmo_header bare = *header;
	crypto_generichash_state state;

	pthread_once(&once, start);
	memset(bare.root, 0, sizeof(bare.root));
	memset(&bare.signature, 0, sizeof(bare.signature));
	crypto_generichash_init(&state, NULL, 0, HYPR_VMO_DIGEST_BYTES);
	crypto_generichash_update(&state, (const uint8_t *)&bare, sizeof(bare));
	crypto_generichash_update(&state, (const uint8_t *)table,
				  header->nr_sections * sizeof(*table));
	crypto_generichash_final(&state, root, HYPR_VMO_DIGEST_BYTES);
}

uint64_t hypr_page_digest(const void *page)
{
	return XXH3_64bits(page, HYPR_VMO_PAGE_BYTES);
}

bool hypr_page_is_zero(const void *page)
{
	const uint64_t *word = page;
	size_t i;

	for (i = 0; i < HYPR_VMO_PAGE_BYTES / sizeof(*word); i += 8) {
		if (word[i] | word[i + 1] | word[i + 2] | word[i + 3] | word[i + 4] |
		    word[i + 5] | word[i + 6] | word[i + 7])
			return false;
	}
	return true;
}

bool hypr_digest_is_zero(const uint8_t digest[HYPR_VMO_DIGEST_BYTES])
{
	static const uint8_t zero[HYPR_VMO_DIGEST_BYTES];

	return !memcmp(digest, zero, sizeof(zero));
}

const char *hypr_digest_text(char *text, const uint8_t digest[HYPR_VMO_DIGEST_BYTES])
{
	int i;

	for (i = 0; i < 8; i++)
		sprintf(text + 2 * i, "%02x", digest[i]);
	return text;
}
