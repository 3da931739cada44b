// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Packing: a VMO file as it is, in zstd frames, in the envelope of another.  The
 * file inside comes back byte for byte, so its identity is not touched.
 * Reading through an envelope is in vmo_file.c.
 */
#include <stdlib.h>
#include <zstd.h>

#include "vmo/vmo.h"

#define LEVEL_DEFAULT	3
#define LEVEL_MAX	19

/**
 * struct packer - an envelope that comes to be
 * @chunks: contents of CHUNKS; @chunk: its entries
 * @end: of DATA
 */
struct packer {
	struct hypr_vmo_temp temp;
	ZSTD_CCtx *context;
	struct hypr_vmo_chunks *chunks;
	struct hypr_vmo_chunk *chunk;
	uint8_t *plain, *frame;
	uint64_t end;
};

static void packer_fini(struct packer *packer)
{
	hypr_vmo_temp_destroy(&packer->temp);
	ZSTD_freeCCtx(packer->context);
	free(packer->chunks);
	free(packer->plain);
	free(packer->frame);
}

static size_t chunks_bytes(uint32_t nr)
{
	return sizeof(struct hypr_vmo_chunks) + nr * sizeof(struct hypr_vmo_chunk);
}

static int packer_init(struct packer *packer, const struct hypr_vmo_file *file, int level)
{
	uint64_t nr = (file->bytes - 1) / HYPR_VMO_CHUNK_BYTES + 1;

	if (chunks_bytes((uint32_t)nr) > HYPR_VMO_OPAQUE_MAX_BYTES)
		return hypr_fail(-EFBIG, "%s: too long to be packed", file->name);
	packer->end = HYPR_VMO_HEADER_BYTES;
	packer->context = ZSTD_createCCtx();
	packer->chunks = calloc(1, chunks_bytes((uint32_t)nr));
	packer->plain = malloc(HYPR_VMO_CHUNK_BYTES);
	packer->frame = malloc(ZSTD_compressBound(HYPR_VMO_CHUNK_BYTES));
	if (!packer->context || !packer->chunks || !packer->plain || !packer->frame)
		return hypr_fail(-ENOMEM, "%s: no memory to pack it", file->name);
	packer->chunk = (struct hypr_vmo_chunk *)(packer->chunks + 1);
	packer->chunks->file_bytes = file->bytes;
	packer->chunks->chunk_bytes = HYPR_VMO_CHUNK_BYTES;
	packer->chunks->nr_chunks = (uint32_t)nr;
	ZSTD_CCtx_setParameter(packer->context, ZSTD_c_compressionLevel,
			       level ? level : LEVEL_DEFAULT);
	ZSTD_CCtx_setParameter(packer->context, ZSTD_c_checksumFlag, 1);
	return 0;
}

static int pack_chunk(struct packer *packer, struct hypr_vmo_file *file, uint32_t n)
{
	uint64_t start = (uint64_t)n * HYPR_VMO_CHUNK_BYTES, bytes = file->bytes - start;
	size_t got;
	int ret;

	if (bytes > HYPR_VMO_CHUNK_BYTES)
		bytes = HYPR_VMO_CHUNK_BYTES;
	ret = hypr_vmo_file_read(file, start, packer->plain, bytes);
	if (ret)
		return ret;
	got = ZSTD_compress2(packer->context, packer->frame,
			     ZSTD_compressBound(HYPR_VMO_CHUNK_BYTES), packer->plain, bytes);
	if (ZSTD_isError(got))
		return hypr_fail(-EIO, "%s: packing: %s", file->name, ZSTD_getErrorName(got));
	ret = hypr_vmo_write(packer->temp.fd, packer->end, packer->frame, got);
	if (ret)
		return hypr_fail_sys(ret, "%s: writing", packer->temp.base);
	packer->chunk[n].offset = packer->end - HYPR_VMO_HEADER_BYTES;
	packer->chunk[n].bytes = got;
	packer->end += got;
	return 0;
}

static int pack_head(struct packer *packer, const struct hypr_vmo_header *inner,
		     uint64_t *bytes)
{
	size_t chunks = chunks_bytes(packer->chunks->nr_chunks);
	struct hypr_vmo_header header = *inner;
	struct hypr_vmo_section table[2] = {
		{
			.type = HYPR_VMO_DATA,
			.version = 1,
			.offset = HYPR_VMO_HEADER_BYTES,
			.bytes = packer->end - HYPR_VMO_HEADER_BYTES,
		}, {
			.type = HYPR_VMO_CHUNKS,
			.version = 1,
			.offset = hypr_vmo_align(packer->end),
			.bytes = chunks,
		},
	};
	int ret;

	hypr_digest(table[1].digest, packer->chunks, chunks);
	memset(&header.signature, 0, sizeof(header.signature));
	header.required = HYPR_VMO_PACKED;
	header.optional = 0;
	ret = hypr_vmo_write(packer->temp.fd, table[1].offset, packer->chunks, chunks);
	if (!ret)
		ret = hypr_vmo_head_write(packer->temp.fd, &header,
					  hypr_vmo_align(table[1].offset + chunks), table, 2);
	if (ret)
		return hypr_fail_sys(ret, "%s: writing", packer->temp.base);
	*bytes = header.file_bytes;
	return 0;
}

int hypr_vmo_pack_file(struct hypr_vmo_file *file, const struct hypr_vmo_header *header,
		       const char *path, unsigned int flags, const struct hypr_vmo_need *need,
		       int level, uint64_t *bytes)
{
	struct packer packer = { 0 };
	uint64_t packed_bytes = 0;
	uint32_t n;
	int ret;

	ret = hypr_vmo_temp_create(&packer.temp, path, flags, need);
	if (ret)
		return ret;
	ret = packer_init(&packer, file, level);
	for (n = 0; !ret && n < packer.chunks->nr_chunks; n++) {
		ret = hypr_progress(n, packer.chunks->nr_chunks);
		if (!ret)
			ret = pack_chunk(&packer, file, n);
	}
	if (!ret)
		ret = pack_head(&packer, header, &packed_bytes);
	if (!ret)
		ret = hypr_vmo_temp_commit(&packer.temp);
	if (!ret && bytes)
		*bytes = packed_bytes;
	packer_fini(&packer);
	return ret;
}

/* It names the same parent in its new form, which need not be where it goes. */
static struct hypr_vmo_need needs(const struct hypr_vmo *vmo)
{
	return (struct hypr_vmo_need){
		.layers = vmo->parent,
		.parent = vmo->parent ? vmo->parent_name : NULL,
	};
}

int hypr_vmo_pack(struct hypr_vmo *vmo, const char *path, unsigned int flags, int level,
		  uint64_t *bytes)
{
	const struct hypr_vmo_need need = needs(vmo);

	if (level < 0 || level > LEVEL_MAX)
		return hypr_fail(-EINVAL, "%s: level %d is not 1 to %d", vmo->file.name, level,
				 LEVEL_MAX);
	if (vmo->file.chunk)
		return hypr_fail(-EALREADY, "%s: it is packed", vmo->file.name);
	return hypr_vmo_pack_file(&vmo->file, &vmo->header, path, flags, &need, level, bytes);
}

static int copy_out(struct hypr_vmo *vmo, struct hypr_vmo_temp *temp)
{
	uint8_t *plain = malloc(HYPR_VMO_CHUNK_BYTES);
	uint64_t at, part;
	int ret = 0;

	if (!plain)
		return hypr_fail(-ENOMEM, "%s: no memory to unpack it", vmo->file.name);
	for (at = 0; !ret && at < vmo->file.bytes; at += part) {
		part = vmo->file.bytes - at;
		if (part > HYPR_VMO_CHUNK_BYTES)
			part = HYPR_VMO_CHUNK_BYTES;
		ret = hypr_progress(at, vmo->file.bytes);
		if (!ret)
			ret = hypr_vmo_file_read(&vmo->file, at, plain, part);
		if (ret)
			break;
		ret = hypr_vmo_write(temp->fd, at, plain, part);
		if (ret)
			hypr_fail_sys(ret, "%s: writing", temp->base);
	}
	free(plain);
	return ret;
}

int hypr_vmo_unpack(struct hypr_vmo *vmo, const char *path, unsigned int flags, uint64_t *bytes)
{
	const struct hypr_vmo_need need = needs(vmo);
	struct hypr_vmo_temp temp;
	int ret;

	if (!vmo->file.chunk)
		return hypr_fail(-EALREADY, "%s: it is not packed", vmo->file.name);
	ret = hypr_vmo_temp_create(&temp, path, flags, &need);
	if (ret)
		return ret;
	ret = copy_out(vmo, &temp);
	if (!ret)
		ret = hypr_vmo_temp_commit(&temp);
	if (!ret && bytes)
		*bytes = vmo->file.bytes;
	hypr_vmo_temp_destroy(&temp);
	return ret;
}
