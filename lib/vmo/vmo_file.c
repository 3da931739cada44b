// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Bytes of a VMO file.  All reading goes through here, by pread(), so that a
 * file that shrinks meanwhile is an error; and so that a packed file reads like
 * the one inside it, a chunk at a time.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "vmo/vmo.h"

#define NOT_CACHED	UINT64_MAX

/* RFC 8878, Frame_Header: the byte behind the magic number, and a bit in it. */
#define FRAME_DESCRIPTOR	4
#define FRAME_HAS_CHECKSUM	0x04

int hypr_vmo_file_open(struct hypr_vmo_file *file, const char *path, const char *name)
{
	struct stat st;

	memset(file, 0, sizeof(*file));
	file->name = name;
	/* A FIFO of this name must not hold us up. */
	file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (file->fd < 0)
		return hypr_fail_sys(-errno, "%s", name);
	if (fstat(file->fd, &st) < 0)
		return hypr_fail_sys(-errno, "%s", name);
	if (!S_ISREG(st.st_mode))
		return hypr_fail(-ENOEXEC, "%s: not a regular file, so it is no VMO", name);
	file->dev = st.st_dev;
	file->ino = st.st_ino;
	file->bytes = file->disk_bytes = (uint64_t)st.st_size;
	return 0;
}

void hypr_vmo_file_close(struct hypr_vmo_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	free(file->chunk);
	free(file->packed);
	free(file->cache);
	ZSTD_freeDCtx(file->unpacker);
}

static int disk_read(struct hypr_vmo_file *file, uint64_t offset, void *buf, uint64_t bytes)
{
	uint8_t *to = buf;
	ssize_t n;

	while (bytes) {
		n = pread(file->fd, to, bytes, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return hypr_fail_sys(-errno, "%s: reading at 0x%llx", file->name,
					     (unsigned long long)offset);
		if (n == 0)
			return hypr_fail(-EBADMSG, "%s: truncated: nothing at 0x%llx, %llu bytes missing",
					 file->name, (unsigned long long)offset,
					 (unsigned long long)bytes);
		to += n;
		offset += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
	return 0;
}

static uint64_t chunk_bytes(const struct hypr_vmo_file *file, uint64_t n)
{
	uint64_t start = n * HYPR_VMO_CHUNK_BYTES;

	return file->bytes - start < HYPR_VMO_CHUNK_BYTES ? file->bytes - start :
							    HYPR_VMO_CHUNK_BYTES;
}

/*
 * What is wrong with a chunk's frame, or NULL.  zstd itself would also take several
 * frames, some without contents, and frames that say nothing of what is in them.
 */
static const char *frame_fault(const uint8_t *frame, size_t bytes, size_t want)
{
	uint32_t magic = 0;

	if (bytes > FRAME_DESCRIPTOR)
		memcpy(&magic, frame, sizeof(magic));
	if (magic != ZSTD_MAGICNUMBER)
		return "no zstd frame";
	if (ZSTD_getFrameContentSize(frame, bytes) == ZSTD_CONTENTSIZE_UNKNOWN)
		return "a frame without the chunk's size";
	if (!(frame[FRAME_DESCRIPTOR] & FRAME_HAS_CHECKSUM))
		return "a frame without a checksum";
	if (ZSTD_findFrameCompressedSize(frame, bytes) < bytes)
		return "more than one frame";
	if (ZSTD_getFrameContentSize(frame, bytes) != want)
		return "a frame of another size than the chunk";
	return NULL;
}

static int chunk_fill(struct hypr_vmo_file *file, uint64_t n)
{
	const struct hypr_vmo_chunk *chunk = &file->chunk[n];
	size_t got, want = chunk_bytes(file, n);
	const char *fault;
	int ret;

	if (file->cached == n)
		return 0;
	file->cached = NOT_CACHED;
	ret = disk_read(file, file->data_offset + chunk->offset, file->packed, chunk->bytes);
	if (ret)
		return ret;
	fault = frame_fault(file->packed, chunk->bytes, want);
	if (fault)
		return hypr_fail(-EBADMSG, "%s: section DATA: chunk %llu: %s", file->name,
				 (unsigned long long)n, fault);
	got = ZSTD_decompressDCtx(file->unpacker, file->cache, want, file->packed, chunk->bytes);
	if (ZSTD_isError(got))
		return hypr_fail(-EBADMSG, "%s: section DATA: chunk %llu does not unpack: %s",
				 file->name, (unsigned long long)n, ZSTD_getErrorName(got));
	if (got != want)
		return hypr_fail(-EBADMSG, "%s: section DATA: chunk %llu has %zu bytes, not %zu",
				 file->name, (unsigned long long)n, got, want);
	file->cached = n;
	return 0;
}

static int packed_read(struct hypr_vmo_file *file, uint64_t offset, void *buf, uint64_t bytes)
{
	uint8_t *to = buf;
	uint64_t n, start, part;
	int ret;

	if (offset > file->bytes || bytes > file->bytes - offset)
		return hypr_fail(-EBADMSG, "%s: the file inside ends before 0x%llx", file->name,
				 (unsigned long long)(offset + bytes));
	while (bytes) {
		n = offset / HYPR_VMO_CHUNK_BYTES;
		start = offset % HYPR_VMO_CHUNK_BYTES;
		ret = chunk_fill(file, n);
		if (ret)
			return ret;
		part = chunk_bytes(file, n) - start;
		if (part > bytes)
			part = bytes;
		memcpy(to, file->cache + start, part);
		to += part;
		offset += part;
		bytes -= part;
	}
	return 0;
}

int hypr_vmo_file_read(struct hypr_vmo_file *file, uint64_t offset, void *buf, uint64_t bytes)
{
	return file->chunk ? packed_read(file, offset, buf, bytes) :
			     disk_read(file, offset, buf, bytes);
}

static int chunks_check(const struct hypr_vmo_file *file, const struct hypr_vmo_section *data,
			const struct hypr_vmo_chunks *chunks, uint64_t bytes)
{
	const struct hypr_vmo_chunk *chunk = (const void *)(chunks + 1);
	uint64_t at = 0, most = ZSTD_compressBound(HYPR_VMO_CHUNK_BYTES);
	uint32_t i;

	if (bytes < sizeof(*chunks) ||
	    bytes != sizeof(*chunks) + (uint64_t)chunks->nr_chunks * sizeof(*chunk))
		return hypr_fail(-EBADMSG, "%s: section CHUNKS: %llu bytes do not fit its count",
				 file->name, (unsigned long long)bytes);
	if (chunks->chunk_bytes != HYPR_VMO_CHUNK_BYTES)
		return hypr_fail(-EBADMSG, "%s: section CHUNKS: chunks of %u bytes", file->name,
				 chunks->chunk_bytes);
	if (chunks->file_bytes < HYPR_VMO_HEADER_BYTES ||
	    (chunks->file_bytes - 1) / HYPR_VMO_CHUNK_BYTES + 1 != chunks->nr_chunks)
		return hypr_fail(-EBADMSG, "%s: section CHUNKS: %u chunks for %llu bytes",
				 file->name, chunks->nr_chunks,
				 (unsigned long long)chunks->file_bytes);
	for (i = 0; i < chunks->nr_chunks; i++) {
		if (chunk[i].offset != at || !chunk[i].bytes || chunk[i].bytes > most ||
		    chunk[i].bytes > data->bytes - at)
			return hypr_fail(-EBADMSG, "%s: section CHUNKS: chunk %u is out of place",
					 file->name, i);
		at += chunk[i].bytes;
	}
	if (at != data->bytes)
		return hypr_fail(-EBADMSG, "%s: section DATA: %llu bytes in no chunk", file->name,
				 (unsigned long long)(data->bytes - at));
	return 0;
}

int hypr_vmo_file_unpack(struct hypr_vmo_file *file, const struct hypr_vmo_section *data,
			 const struct hypr_vmo_chunks *chunks, uint64_t bytes)
{
	int ret = chunks_check(file, data, chunks, bytes);

	if (ret)
		return ret;
	bytes -= sizeof(*chunks);
	file->chunk = malloc(bytes);
	file->packed = malloc(ZSTD_compressBound(HYPR_VMO_CHUNK_BYTES));
	file->cache = malloc(HYPR_VMO_CHUNK_BYTES);
	file->unpacker = ZSTD_createDCtx();
	if (!file->chunk || !file->packed || !file->cache || !file->unpacker)
		return hypr_fail(-ENOMEM, "%s: no memory to unpack it", file->name);
	memcpy(file->chunk, chunks + 1, bytes);
	file->nr_chunks = chunks->nr_chunks;
	file->data_offset = data->offset;
	file->bytes = chunks->file_bytes;
	file->cached = NOT_CACHED;
	return 0;
}

int hypr_vmo_write(int fd, uint64_t offset, const void *data, uint64_t bytes)
{
	const uint8_t *from = data;
	ssize_t n;

	while (bytes) {
		n = pwrite(fd, from, bytes, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		offset += (uint64_t)n;
		bytes -= (uint64_t)n;
	}
	return 0;
}
