// SPDX-License-Identifier: GPL-2.0-only
/* Writing against copying, and verifying against digesting, the same bytes. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "vmo_bench.h"

/* What a file of that length costs at the least: write(), in one piece. */
static uint64_t plain_write(const char *path, const uint8_t *mem, uint64_t bytes)
{
	uint64_t start = bench_now_ns(), done;
	ssize_t n;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	bench_must_sys(fd >= 0, path);
	for (done = 0; done < bytes; done += (uint64_t)n) {
		n = write(fd, mem + done, bytes - done);
		bench_must_sys(n > 0, path);
	}
	bench_must_sys(!fsync(fd), path);
	close(fd);
	start = bench_now_ns() - start;
	unlink(path);
	return start;
}

static uint64_t copy(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	uint64_t start = bench_now_ns();

	memcpy(to, from, bytes);
	return bench_now_ns() - start;
}

static uint64_t copy_fresh(const uint8_t *from, uint64_t bytes)
{
	uint8_t *to = bench_memory(bytes, 0);
	uint64_t ns = copy(to, from, bytes);

	munmap(to, bytes);
	return ns;
}

static volatile uint64_t sink;

static uint64_t digest_pages(const uint8_t *mem, uint64_t bytes)
{
	uint64_t start = bench_now_ns(), at, sum = 0;

	for (at = 0; at < bytes; at += BENCH_PAGE)
		sum += XXH3_64bits(mem + at, BENCH_PAGE);
	sink = sum;
	return bench_now_ns() - start;
}

/* What it costs to have the bytes at all: read() into a small buffer, one thread. */
static uint64_t read_and_digest(const char *path, uint64_t bytes)
{
	uint64_t start = bench_now_ns(), at, i, sum = 0;
	static uint8_t piece[32 * BENCH_PAGE];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	bench_must_sys(fd >= 0, path);
	for (at = 0; at < bytes; at += sizeof(piece)) {
		bench_must_sys(pread(fd, piece, sizeof(piece), (off_t)(BENCH_PAGE + at)) ==
			       (ssize_t)sizeof(piece), path);
		for (i = 0; i < sizeof(piece); i += BENCH_PAGE)
			sum += XXH3_64bits(piece + i, BENCH_PAGE);
	}
	sink = sum;
	close(fd);
	return bench_now_ns() - start;
}

static uint64_t write_vmo(const char *path, const uint8_t *mem, uint64_t bytes)
{
	uint64_t start = bench_now_ns();

	bench_write(path, mem, bytes, NULL);
	start = bench_now_ns() - start;
	unlink(path);
	return start;
}

void bench_vmo_write(struct vmo_bench *bench)
{
	uint64_t bytes = bench->mem_bytes, memcpy_ns, plain_ns, vmo_ns;
	struct samples warm = { 0 }, fresh = { 0 }, plain = { 0 }, vmo = { 0 };
	uint8_t *mem = bench_memory(bytes, 1), *to = bench_memory(bytes, 1);
	json_t *out = json_object();
	unsigned int i;

	printf("\nwriting a guest of %u MiB, no page zero\n", (unsigned int)(bytes / BENCH_MIB));
	write_vmo(bench_path(bench, "w.vmo"), mem, bytes);	/* warm up */
	for (i = 0; i < bench->rounds; i++) {
		samples_add(&warm, copy(to, mem, bytes));
		samples_add(&vmo, write_vmo(bench_path(bench, "w.vmo"), mem, bytes));
		samples_add(&plain, plain_write(bench_path(bench, "w"), mem, bytes));
		samples_add(&fresh, copy_fresh(mem, bytes));
	}
	memcpy_ns = bench_row(out, "memcpy", "memcpy, to memory that is there", &warm, bytes);
	bench_row(out, "memcpy_fresh", "memcpy, to memory that is new", &fresh, bytes);
	plain_ns = bench_row(out, "plain_write", "write() and fsync(), a new file", &plain, bytes);
	vmo_ns = bench_row(out, "vmo", "VMO: pages, digests, sections, commit", &vmo, bytes);
	json_object_set_new(bench->root, "write", out);
	bench_bar(bench, "write_of_memcpy", "VMO, of memcpy", (double)memcpy_ns / (double)vmo_ns,
		  0.8, 1);
	printf("  %-46s %12.2f    the ceiling of a file there: %.2f\n", "VMO, of write()",
	       (double)plain_ns / (double)vmo_ns, (double)memcpy_ns / (double)plain_ns);
	munmap(mem, bytes);
	munmap(to, bytes);
}

static uint64_t open_and_verify(const char *path, uint64_t pages)
{
	struct hypr_vmo_verify_result result;
	uint64_t start = bench_now_ns();
	struct hypr_vmo *vmo;

	bench_must(hypr_vmo_open(path, &vmo), path);
	bench_must(hypr_vmo_verify(vmo, &result), path);
	hypr_vmo_close(vmo);
	start = bench_now_ns() - start;
	bench_must_sys(result.pages == pages, "as many pages as were written");
	return start;
}

void bench_vmo_verify(struct vmo_bench *bench)
{
	const char *path = bench_path(bench, "v.vmo");
	uint64_t bytes = bench->mem_bytes, digest_ns, read_ns, vmo_ns;
	struct samples digest = { 0 }, read = { 0 }, vmo = { 0 };
	uint8_t *mem = bench_memory(bytes, 1);
	json_t *out = json_object();
	unsigned int i;

	printf("\nverifying that guest\n");
	bench_write(path, mem, bytes, NULL);
	for (i = 0; i < bench->rounds; i++) {
		samples_add(&digest, digest_pages(mem, bytes));
		samples_add(&vmo, open_and_verify(path, bytes / BENCH_PAGE));
		samples_add(&read, read_and_digest(path, bytes));
	}
	digest_ns = bench_row(out, "xxh3", "XXH3 of each page, in memory", &digest, bytes);
	read_ns = bench_row(out, "read_and_xxh3", "read() and XXH3, one thread", &read, bytes);
	vmo_ns = bench_row(out, "vmo", "VMO: open and verify, all CPUs", &vmo, bytes);
	json_object_set_new(bench->root, "verify", out);
	bench_bar(bench, "verify_of_xxh3", "VMO, of XXH3", (double)digest_ns / (double)vmo_ns,
		  0.8, 1);
	printf("  %-46s %12.2f\n", "VMO, of read() and XXH3", (double)read_ns / (double)vmo_ns);
	unlink(path);
	munmap(mem, bytes);
}
