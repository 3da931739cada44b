// SPDX-License-Identifier: GPL-2.0-only
/* Bytes of the fuzzer into the bytes of a VMO file; see fuzz.h. */
#include <string.h>
#include <zstd.h>

#include "fuzz.h"

#define HEADER_BYTES	256	/* of the input; the rest of page 0 is zero */
#define PAGE		HYPR_VMO_PAGE_BYTES

static struct hypr_vmo_header *header_of(const struct fuzz_file *file)
{
	return (struct hypr_vmo_header *)file->bytes;
}

/* The section table, or NULL: it is not behind the header in the file, or not aligned. */
static struct hypr_vmo_section *table_of(const struct fuzz_file *file)
{
	const struct hypr_vmo_header *header = header_of(file);
	uint64_t bytes = (uint64_t)header->nr_sections * sizeof(struct hypr_vmo_section);

	if (header->table_offset % 8 || header->table_offset < PAGE ||
	    header->table_offset > file->len ||
	    bytes > file->len - header->table_offset)
		return NULL;
	return (struct hypr_vmo_section *)(file->bytes + header->table_offset);
}

static bool is_within(const struct fuzz_file *file, const struct hypr_vmo_section *section)
{
	return section->offset <= file->len && section->bytes <= file->len - section->offset;
}

static void fit_lengths(struct fuzz_file *file)
{
	struct hypr_vmo_header *header = header_of(file);
	uint64_t most;

	file->len &= ~(size_t)7;
	most = (file->len - PAGE) / sizeof(struct hypr_vmo_section);
	if (header->nr_sections > most)
		header->nr_sections = (uint32_t)most;
	header->file_bytes = file->len;
	header->table_bytes = header->nr_sections * sizeof(struct hypr_vmo_section);
	header->table_offset = file->len - header->table_bytes;
}

static void fit_places(struct fuzz_file *file)
{
	struct hypr_vmo_section *table = table_of(file);
	uint64_t end = PAGE;
	uint32_t i;

	for (i = 0; table && i < header_of(file)->nr_sections; i++) {
		table[i].offset = hypr_vmo_align(end);
		end = table[i].offset + table[i].bytes;
	}
}

/* In copies of the entries: the digests may lie on the table. */
static void fit_pages(struct fuzz_file *file)
{
	struct hypr_vmo_section data = { 0 }, digests = { 0 };
	const struct hypr_vmo_section *table = table_of(file);
	uint64_t i, digest;
	uint32_t n;

	for (n = 0; table && n < header_of(file)->nr_sections; n++) {
		if (table[n].type == HYPR_VMO_DATA)
			data = table[n];
		if (table[n].type == HYPR_VMO_PAGE_DIGESTS)
			digests = table[n];
	}
	if (!is_within(file, &data) || !is_within(file, &digests) || digests.offset < PAGE)
		return;
	for (i = 0; i < data.bytes / PAGE && i < digests.bytes / sizeof(digest); i++) {
		digest = hypr_page_digest(file->bytes + data.offset + i * PAGE);
		memcpy(file->bytes + digests.offset + i * sizeof(digest), &digest,
		       sizeof(digest));
	}
}

static void fit_digests(struct fuzz_file *file)
{
	struct hypr_vmo_section *table = table_of(file);
	uint32_t i;

	for (i = 0; table && i < header_of(file)->nr_sections; i++) {
		if (table[i].type != HYPR_VMO_DATA && is_within(file, &table[i]))
			hypr_digest(table[i].digest, file->bytes + table[i].offset,
				    table[i].bytes);
	}
	if (table)
		hypr_vmo_root(header_of(file)->root, header_of(file), table);
}

/* The file as it is becomes what is inside a packed one. */
static bool wrap(struct fuzz_file *file)
{
	static uint8_t inside[FUZZ_FILE_MAX];
	struct { struct hypr_vmo_chunks head; struct hypr_vmo_chunk chunk; } chunks;
	struct hypr_vmo_header *header = header_of(file), inner = *header;
	struct hypr_vmo_section *table;
	static ZSTD_CCtx *context;
	size_t got, at;

	if (!context)
		context = ZSTD_createCCtx();
	ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 1);
	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
	memcpy(inside, file->bytes, file->len);
	got = ZSTD_compress2(context, file->bytes + PAGE, FUZZ_FILE_MAX - 2 * PAGE, inside,
			     file->len);
	if (ZSTD_isError(got))
		return false;
	chunks.head = (struct hypr_vmo_chunks){
		.file_bytes = file->len, .chunk_bytes = HYPR_VMO_CHUNK_BYTES, .nr_chunks = 1,
	};
	chunks.chunk = (struct hypr_vmo_chunk){ .offset = 0, .bytes = got };
	at = hypr_vmo_align(PAGE + got);
	memset(file->bytes + PAGE + got, 0, at - PAGE - got);
	memcpy(file->bytes + at, &chunks, sizeof(chunks));
	memset(header, 0, sizeof(*header));
	memcpy(header->magic, HYPR_VMO_MAGIC, sizeof(header->magic));
	header->version = HYPR_VMO_VERSION;
	header->header_bytes = HYPR_VMO_HEADER_BYTES;
	header->required = HYPR_VMO_PACKED;
	header->mem_bytes = inner.mem_bytes;
	header->page_bytes = PAGE;
	header->nr_vcpus = inner.nr_vcpus;
	header->created_ns = inner.created_ns;
	memcpy(header->parent, inner.parent, sizeof(header->parent));
	header->nr_sections = 2;
	header->table_offset = at + sizeof(chunks);
	table = (struct hypr_vmo_section *)(file->bytes + header->table_offset);
	memset(table, 0, 2 * sizeof(*table));
	table[0].type = HYPR_VMO_DATA;
	table[0].version = 1;
	table[0].offset = PAGE;
	table[0].bytes = got;
	table[1].type = HYPR_VMO_CHUNKS;
	table[1].version = 1;
	table[1].offset = at;
	table[1].bytes = sizeof(chunks);
	file->len = header->table_offset + 2 * sizeof(*table);
	header->table_bytes = 2 * sizeof(*table);
	header->file_bytes = file->len;
	fit_digests(file);
	return true;
}

static bool lay_out(struct fuzz_file *file, const uint8_t *data, size_t size)
{
	size_t data_bytes = (data[1] & 15) * PAGE, i;

	file->mode = data[0];
	data += FUZZ_HEAD_BYTES;
	size -= FUZZ_HEAD_BYTES;
	if (file->mode & FUZZ_RAW) {
		if (size < PAGE)
			memset(file->bytes, 0, PAGE);
		memcpy(file->bytes, data, size);
		file->len = size;
		return true;
	}
	if (size < HEADER_BYTES)
		return false;
	memset(file->bytes, 0, PAGE + data_bytes);
	memcpy(file->bytes, data, HEADER_BYTES);
	for (i = 0; i < data_bytes; i += PAGE / 2)
		file->bytes[PAGE + i] = (uint8_t)(1 + i / PAGE);
	memcpy(file->bytes + PAGE + data_bytes, data + HEADER_BYTES, size - HEADER_BYTES);
	file->len = PAGE + data_bytes + size - HEADER_BYTES;
	return true;
}

bool fuzz_build(struct fuzz_file *file, const uint8_t *data, size_t size, const uint8_t *parent)
{
	if (size < FUZZ_HEAD_BYTES || size > FUZZ_FILE_MAX / 4 || !lay_out(file, data, size))
		return false;
	if (file->len >= PAGE) {
		if (parent && file->mode & FUZZ_LINK)
			memcpy(header_of(file)->parent, parent, HYPR_VMO_DIGEST_BYTES);
		if (file->mode & FUZZ_LENGTHS)
			fit_lengths(file);
		if (file->mode & FUZZ_PLACES)
			fit_places(file);
		if (file->mode & FUZZ_PAGES)
			fit_pages(file);
		if (file->mode & FUZZ_SEAL)
			fit_digests(file);
		memcpy(file->root, header_of(file)->root, sizeof(file->root));
	}
	return !(file->mode & FUZZ_PACK) || (file->len >= PAGE && wrap(file));
}
