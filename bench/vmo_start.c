// SPDX-License-Identifier: GPL-2.0-only
/* From a file to memory that a VM can be prepared on, by size and by layers. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmo_bench.h"

#define STRETCHES	82	/* of data; what a Linux guest of 16 MiB at work has */
#define START_ROUNDS	20	/* for each of --rounds: they are short */

/* As many stretches, whatever its size; 55 % of it is data, as in that guest. */
static uint8_t *guest_memory(uint64_t bytes)
{
	uint64_t stretch = bytes / STRETCHES / BENCH_PAGE * BENCH_PAGE, at, i;
	uint8_t *mem = bench_memory(bytes, 0);

	for (i = 0; i < STRETCHES; i++) {
		for (at = 0; at < stretch * 55 / 100; at += BENCH_PAGE)
			memset(mem + i * stretch + at, (int)(i + at / BENCH_PAGE) % 255 + 1,
			       BENCH_PAGE);
	}
	return mem;
}

static uint64_t open_and_map(const char *path, uint64_t bytes)
{
	uint64_t start = bench_now_ns();
	struct hypr_vmo *vmo;
	void *mem;

	bench_must(hypr_vmo_open(path, &vmo), path);
	mem = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bench_must_sys(mem != MAP_FAILED, "memory");
	bench_must(hypr_vmo_map(vmo, mem), path);
	start = bench_now_ns() - start;
	munmap(mem, bytes);
	hypr_vmo_close(vmo);
	return start;
}

/* What most monitors do: all of it into memory of one's own. */
static uint64_t open_and_read(const char *path, uint64_t bytes)
{
	uint64_t start = bench_now_ns();
	struct hypr_vmo *vmo;
	void *mem;

	bench_must(hypr_vmo_open(path, &vmo), path);
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bench_must_sys(mem != MAP_FAILED, "memory");
	bench_must(hypr_vmo_read(vmo, 0, mem, bytes), path);
	start = bench_now_ns() - start;
	munmap(mem, bytes);
	hypr_vmo_close(vmo);
	return start;
}

void bench_vmo_start(struct vmo_bench *bench)
{
	static const unsigned int sizes[] = { 16, 64, 256, 1024 };
	struct samples maps[4] = { 0 }, reads[4] = { 0 };
	const char *path[4];
	json_t *out = json_object();
	uint64_t bytes, ns, first = 0;
	char key[32], text[80];
	unsigned int i, n;
	uint8_t *mem;

	printf("\nopening and mapping a guest, 82 stretches of data, as with --prefault none\n");
	for (n = 0; n < 4; n++) {
		bytes = (uint64_t)sizes[n] * BENCH_MIB;
		mem = guest_memory(bytes);
		snprintf(key, sizeof(key), "s%u.vmo", sizes[n]);
		path[n] = bench_path(bench, key);
		bench_write(path[n], mem, bytes, NULL);
		munmap(mem, bytes);
	}
	for (i = 0; i < bench->rounds * START_ROUNDS; i++) {
		for (n = 0; n < 4; n++) {
			bytes = (uint64_t)sizes[n] * BENCH_MIB;
			samples_add(&maps[n], open_and_map(path[n], bytes));
			if (i % START_ROUNDS == 0)
				samples_add(&reads[n], open_and_read(path[n], bytes));
		}
	}
	for (n = 0; n < 4; n++) {
		snprintf(key, sizeof(key), "map_%u", sizes[n]);
		snprintf(text, sizeof(text), "open and map, %u MiB", sizes[n]);
		ns = bench_row(out, key, text, &maps[n], 0);
		if (!n)
			first = ns;
		snprintf(key, sizeof(key), "read_%u", sizes[n]);
		snprintf(text, sizeof(text), "open and read all of it, %u MiB", sizes[n]);
		bench_row(out, key, text, &reads[n], 0);
		unlink(path[n]);
	}
	json_object_set_new(bench->root, "start", out);
	bench_bar(bench, "start_16_us", "open and map 16 MiB, microseconds", (double)first / 1000,
		  300, 0);
	bench_bar(bench, "start_1024_of_16", "1024 MiB, of 16 MiB", (double)ns / (double)first,
		  1.5, 0);
}

/* Each layer changes a page in a hundred, somewhere else. */
static void build_layers(struct vmo_bench *bench, unsigned int nr, uint64_t bytes)
{
	uint8_t *mem = guest_memory(bytes);
	struct hypr_vmo *parent = NULL;
	char name[16];
	unsigned int n;
	uint64_t page;

	for (n = 1; n <= nr; n++) {
		snprintf(name, sizeof(name), "l%u.vmo", n);
		bench_write(bench_path(bench, name), mem, bytes, parent);
		hypr_vmo_close(parent);
		bench_must(hypr_vmo_open(bench_path(bench, name), &parent), name);
		for (page = n * 7; page < bytes / BENCH_PAGE; page += 100)
			memset(mem + page * BENCH_PAGE, (int)n, BENCH_PAGE);
	}
	hypr_vmo_close(parent);
	munmap(mem, bytes);
}

void bench_vmo_layers(struct vmo_bench *bench)
{
	static const unsigned int layers[] = { 1, 4, 16 };
	uint64_t bytes = 16 * BENCH_MIB;
	struct samples maps[3] = { 0 };
	const char *path[3];
	json_t *out = json_object();
	char key[32], text[80];
	unsigned int i, n;

	printf("\nopening and mapping 16 MiB in layers, each changes 1 %% of the pages\n");
	build_layers(bench, 16, bytes);
	for (n = 0; n < 3; n++) {
		snprintf(key, sizeof(key), "l%u.vmo", layers[n]);
		path[n] = bench_path(bench, key);
	}
	for (i = 0; i < bench->rounds * START_ROUNDS; i++) {
		for (n = 0; n < 3; n++)
			samples_add(&maps[n], open_and_map(path[n], bytes));
	}
	for (n = 0; n < 3; n++) {
		snprintf(key, sizeof(key), "map_%u", layers[n]);
		snprintf(text, sizeof(text), "open and map, %u layers", layers[n]);
		bench_row(out, key, text, &maps[n], 0);
	}
	for (n = 1; n <= 16; n++) {
		snprintf(key, sizeof(key), "l%u.vmo", n);
		unlink(bench_path(bench, key));
	}
	json_object_set_new(bench->root, "layers", out);
}
