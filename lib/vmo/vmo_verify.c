// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Verify a VMO file: every section, every page, every layer, and signatures.
 * Threads, one for each CPU but not many, share the pages of a file that is not
 * packed: reading it costs more than the digests.  Sections and page digests go by
 * piece by piece: memory does not grow with what a file, or a hole in one, holds.
 */
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/thread.h"
#include "vmo/vmo.h"

#define PIECE_PAGES	32
#define PIECE_BYTES	(PIECE_PAGES * (size_t)HYPR_VMO_PAGE_BYTES)
#define THREADS_MAX	8	/* the caller's among them */
#define THREAD_PAGES	1024	/* for which one is worth it */
#define NO_PAGE		UINT64_MAX
#define DIGESTS		16384	/* page digests in memory at once, of whole pieces */

/**
 * struct verifier - a check under way
 * @total: pages of all layers
 * @piece: of a file, for the caller's thread
 * @digest: DIGESTS page digests
 */
struct verifier {
	struct hypr_vmo_verify_result *result;
	uint64_t total;
	uint8_t *piece;
	uint64_t *digest;
};

/**
 * struct checker - the pages of one file, checked by several threads
 * @section: PAGE_DIGESTS
 * @digest: what they are to have: DIGESTS of them, from page @first on	(lock)
 * @state: digest of the page digests that were read			(lock)
 * @stop: errno that ends it: the caller's thread was told to	(lock)
 * @next: page that nobody has begun yet			(lock)
 * @right, @wrong: how many pages fit, and do not		(lock)
 * @first_wrong, @first_unread: the first such page in DATA	(lock)
 */
struct checker {
	struct hypr_vmo *vmo;
	const struct hypr_vmo_section *section;
	uint64_t *digest;
	uint64_t first;
	crypto_generichash_state state;
	pthread_mutex_t lock;
	uint64_t next;
	uint64_t right, wrong;
	uint64_t first_wrong, first_unread;
	int stop;
};

/* Its digest, without having all of it in memory. */
static int check_digest(struct hypr_vmo *vmo, const struct hypr_vmo_section *section,
			uint8_t *piece)
{
	uint8_t digest[HYPR_VMO_DIGEST_BYTES];
	crypto_generichash_state state;
	uint64_t at, part;
	char text[48];
	int ret;

	crypto_generichash_init(&state, NULL, 0, sizeof(digest));
	for (at = 0; at < section->bytes; at += part) {
		part = section->bytes - at < PIECE_BYTES ? section->bytes - at : PIECE_BYTES;
		ret = hypr_progress_check();
		if (!ret)
			ret = hypr_vmo_file_read(&vmo->file, section->offset + at, piece, part);
		if (ret)
			return ret;
		crypto_generichash_update(&state, piece, part);
	}
	crypto_generichash_final(&state, digest, sizeof(digest));
	if (memcmp(digest, section->digest, sizeof(digest)))
		return hypr_fail(-EBADMSG, "%s: %s: its digest does not fit", vmo->file.name,
				 hypr_vmo_describe(text, sizeof(text), section));
	return 0;
}

/* It is read as a whole, and given back unless somebody has it already. */
static int check_working_set(struct hypr_vmo *vmo, const struct hypr_vmo_section *section)
{
	void **slot = &vmo->content[section - vmo->table], *had = *slot, *content;
	int ret;

	ret = hypr_vmo_content(vmo, section, &content);
	if (!ret)
		ret = hypr_vmo_ranges_check(vmo->file.name, vmo->header.mem_bytes, content,
					    section->bytes);
	if (!had) {
		free(*slot);
		*slot = NULL;
	}
	return ret;
}

/* Contents of sections that are ours; those of others only have a digest. */
static int verify_sections(const struct verifier *verifier, struct hypr_vmo *vmo)
{
	const struct hypr_vmo_section *section;
	uint32_t i;
	int ret;

	for (i = 0; i < vmo->header.nr_sections; i++) {
		section = &vmo->table[i];
		verifier->result->sections++;
		if (section->type == HYPR_VMO_DATA)
			continue;
		ret = check_digest(vmo, section, verifier->piece);
		if (!ret && section->type == HYPR_VMO_WORKING_SET)
			ret = check_working_set(vmo, section);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_piece(struct hypr_vmo *vmo, uint64_t page, uint64_t pages, uint8_t *piece)
{
	return hypr_vmo_file_read(&vmo->file, vmo->data->offset + page * HYPR_VMO_PAGE_BYTES,
				  piece, pages * HYPR_VMO_PAGE_BYTES);
}

/* The next page digests, from @page on; with the lock. */
static int read_digests(struct checker *checker, uint64_t page)
{
	uint64_t left = checker->vmo->pages_stored - page;
	uint64_t bytes = (left < DIGESTS ? left : DIGESTS) * sizeof(uint64_t);
	int ret;

	ret = hypr_vmo_file_read(&checker->vmo->file,
				 checker->section->offset + page * sizeof(uint64_t),
				 checker->digest, bytes);
	if (ret)
		return ret;
	crypto_generichash_update(&checker->state, (const uint8_t *)checker->digest, bytes);
	checker->first = page;
	return 0;
}

/* Those of a piece, which are asked for in order; with the lock. */
static int take_digests(struct checker *checker, uint64_t page, uint64_t pages,
			uint64_t digest[PIECE_PAGES])
{
	int ret = page % DIGESTS ? 0 : read_digests(checker, page);

	if (!ret)
		memcpy(digest, checker->digest + (page - checker->first),
		       pages * sizeof(*digest));
	return ret;
}

/* Pages from @page on: how many do not fit; the first of them to @first. */
static uint64_t count_wrong(const uint8_t *piece, const uint64_t *digest, uint64_t page,
			    uint64_t pages, uint64_t *first)
{
	uint64_t i, wrong = 0;

	for (i = 0; i < pages; i++) {
		if (hypr_page_digest(piece + i * HYPR_VMO_PAGE_BYTES) == digest[i])
			continue;
		if (!wrong++)
			*first = page + i;
	}
	return wrong;
}

/* How far the check is; with the lock, which is let go meanwhile. */
static void tell(struct checker *checker, const struct verifier *verifier)
{
	uint64_t done = verifier->result->pages + verifier->result->bad_pages + checker->right +
			checker->wrong;
	int ret;

	pthread_mutex_unlock(&checker->lock);
	ret = hypr_progress(done, verifier->total);
	pthread_mutex_lock(&checker->lock);
	checker->stop = ret;
}

/*
 * Piece after piece, until there is none or one cannot be read.  Only the
 * caller's thread, with a @verifier, tells how far it is.
 */
static void check_pieces(struct checker *checker, uint8_t *piece, const struct verifier *verifier)
{
	uint64_t page, pages, wrong, first = NO_PAGE, digest[PIECE_PAGES];
	int ret;

	pthread_mutex_lock(&checker->lock);
	for (;;) {
		if (verifier)
			tell(checker, verifier);
		if (checker->next == checker->vmo->pages_stored || checker->stop ||
		    checker->first_unread != NO_PAGE)
			break;
		page = checker->next;
		pages = checker->vmo->pages_stored - page;
		if (pages > PIECE_PAGES)
			pages = PIECE_PAGES;
		checker->next += pages;
		ret = take_digests(checker, page, pages, digest);
		pthread_mutex_unlock(&checker->lock);
		if (!ret)
			ret = read_piece(checker->vmo, page, pages, piece);
		wrong = ret ? 0 : count_wrong(piece, digest, page, pages, &first);
		pthread_mutex_lock(&checker->lock);
		checker->wrong += wrong;
		checker->right += ret ? 0 : pages - wrong;
		if (wrong && first < checker->first_wrong)
			checker->first_wrong = first;
		if (ret && page < checker->first_unread)
			checker->first_unread = page;
	}
	pthread_mutex_unlock(&checker->lock);
}

static void *run(void *arg)
{
	uint8_t *piece = malloc(PIECE_BYTES);

	if (piece)
		check_pieces(arg, piece, NULL);
	free(piece);
	return NULL;
}

/* How many threads are worth it, beside the caller's. */
static unsigned int count_helpers(const struct hypr_vmo *vmo)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t most = vmo->pages_stored / THREAD_PAGES;

	if (vmo->file.chunk || cpus < 2)
		return 0;
	if (most > THREADS_MAX - 1)
		most = THREADS_MAX - 1;
	return (uint64_t)cpus - 1 < most ? (unsigned int)cpus - 1 : (unsigned int)most;
}

static void check_with_helpers(struct checker *checker, const struct verifier *verifier)
{
	unsigned int i, nr = 0, wanted = count_helpers(checker->vmo);
	pthread_t thread[THREADS_MAX];

	while (nr < wanted && !hypr_thread_start(&thread[nr], run, checker))
		nr++;
	check_pieces(checker, verifier->piece, verifier);
	for (i = 0; i < nr; i++)
		pthread_join(thread[i], NULL);
}

/* Where in memory the page of that number in DATA is. */
static uint64_t gpa_of(const struct hypr_vmo *vmo, uint64_t page)
{
	const struct hypr_vmo_run *run = vmo->run;
	uint64_t at = page * HYPR_VMO_PAGE_BYTES;

	while (run->flags & (HYPR_VMO_RUN_ZERO | HYPR_VMO_RUN_PARENT) ||
	       at - run->offset >= run->pages * HYPR_VMO_PAGE_BYTES)
		run++;
	return run->gpa + at - run->offset;
}

static int changes(const struct hypr_vmo *vmo)
{
	return hypr_fail(-EBADMSG, "%s: it changes while it is read", vmo->file.name);
}

/* The words of the first thing that is wrong are this thread's, not a helper's. */
static int conclude(struct checker *checker, uint32_t layer, const struct verifier *verifier)
{
	struct hypr_vmo_verify_result *result = verifier->result;
	struct hypr_vmo *vmo = checker->vmo;
	uint64_t pages = vmo->pages_stored - checker->first_unread, gpa;
	uint8_t digest[HYPR_VMO_DIGEST_BYTES];
	int ret;

	result->pages += checker->right;
	if (checker->wrong && !result->bad_pages) {
		gpa = gpa_of(vmo, checker->first_wrong);
		result->bad_gpa = gpa;
		result->bad_layer = layer;
		hypr_fail(-EBADMSG, "%s: section DATA: the page at GPA 0x%llx does not fit its digest",
			  vmo->file.name, (unsigned long long)gpa);
	}
	result->bad_pages += checker->wrong;
	if (checker->stop)
		return checker->stop;
	if (checker->first_unread == NO_PAGE) {
		/* What pages were held against is what verify_sections() saw. */
		crypto_generichash_final(&checker->state, digest, sizeof(digest));
		return memcmp(digest, checker->section->digest, sizeof(digest)) ?
		       changes(vmo) : 0;
	}
	ret = read_piece(vmo, checker->first_unread, pages < PIECE_PAGES ? pages : PIECE_PAGES,
			 verifier->piece);
	if (!ret)
		ret = read_digests(checker, checker->first_unread / DIGESTS * DIGESTS);
	return ret ? ret : changes(vmo);
}

static int verify_pages(const struct verifier *verifier, struct hypr_vmo *vmo, uint32_t layer)
{
	struct checker checker = {
		.vmo = vmo, .section = hypr_vmo_find(vmo, HYPR_VMO_PAGE_DIGESTS, 0),
		.digest = verifier->digest, .first_wrong = NO_PAGE, .first_unread = NO_PAGE,
	};

	if (!vmo->pages_stored)
		return 0;
	crypto_generichash_init(&checker.state, NULL, 0, HYPR_VMO_DIGEST_BYTES);
	pthread_mutex_init(&checker.lock, NULL);
	check_with_helpers(&checker, verifier);
	pthread_mutex_destroy(&checker.lock);
	return conclude(&checker, layer, verifier);
}

/* ---- signatures -------------------------------------------------------------- */

void hypr_vmo_sign_message(struct hypr_vmo_sign_message *message,
			   const struct hypr_vmo_header *header)
{
	memcpy(message->prefix, HYPR_VMO_SIGN_PREFIX, sizeof(message->prefix));
	memcpy(message->root, header->root, sizeof(message->root));
}

int hypr_vmo_check_signature(const struct hypr_vmo *vmo, const uint8_t *public_key)
{
	const struct hypr_vmo_signature *signature = &vmo->header.signature;
	const char *name = vmo->file.name;
	struct hypr_vmo_sign_message message;
	char text[17];

	if (!signature->algorithm)
		return hypr_fail(-ENOKEY, "%s: not signed", name);
	if (public_key && memcmp(public_key, signature->public_key, HYPR_VMO_KEY_BYTES))
		return hypr_fail(-EKEYREJECTED, "%s: signed by another key, %s", name,
				 hypr_digest_text(text, signature->public_key));
	if (sodium_init() < 0)
		return hypr_fail(-EIO, "%s: libsodium does not start", name);
	hypr_vmo_sign_message(&message, &vmo->header);
	if (crypto_sign_verify_detached(signature->signature, (const uint8_t *)&message,
					sizeof(message), signature->public_key))
		return hypr_fail(-EBADMSG, "%s: header: the signature does not fit the root", name);
	return 0;
}

int hypr_vmo_verify(struct hypr_vmo *vmo, struct hypr_vmo_verify_result *result)
{
	struct verifier verifier = {
		.result = result,
		.piece = malloc(PIECE_BYTES),
		.digest = malloc(DIGESTS * sizeof(uint64_t)),
	};
	const struct hypr_vmo *below;
	uint32_t layer;
	int ret = 0;

	memset(result, 0, sizeof(*result));
	if (!verifier.piece || !verifier.digest) {
		ret = hypr_fail(-ENOMEM, "%s: no memory", vmo->file.name);
		goto free_pieces;
	}
	for (below = vmo; below; below = below->parent)
		verifier.total += below->pages_stored;
	for (layer = 0; !ret && vmo; layer++, vmo = vmo->parent) {
		result->layers++;
		ret = verify_sections(&verifier, vmo);
		if (!ret && vmo->header.signature.algorithm)
			ret = hypr_vmo_check_signature(vmo, NULL);
		if (!ret)
			ret = verify_pages(&verifier, vmo, layer);
	}
free_pieces:
	free(verifier.piece);
	free(verifier.digest);
	return !ret && result->bad_pages ? -EBADMSG : ret;
}
