// SPDX-License-Identifier: GPL-2.0-only
/*
 * Small files cost little: whatever numbers and holes a file has, what is taken of
 * memory for it has a bound that the file's own length and memory account for.
 */
#include "vmo_kit.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define MIB	(1ull << 20)

/* What this program has of memory, and had at most. */
static atomic_llong live, peak;

static void *counted(void *mem)
{
	long long now = atomic_fetch_add(&live, (long long)malloc_usable_size(mem)) +
			(long long)malloc_usable_size(mem);

	if (now > atomic_load(&peak))
		atomic_store(&peak, now);
	return mem;
}

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes)
{
	return counted(__real_malloc(bytes));
}

void *__real_calloc(size_t nr, size_t bytes);
void *__wrap_calloc(size_t nr, size_t bytes);
void *__wrap_calloc(size_t nr, size_t bytes)
{
	return counted(__real_calloc(nr, bytes));
}

void __real_free(void *mem);
void __wrap_free(void *mem);
void __wrap_free(void *mem)
{
	atomic_fetch_sub(&live, (long long)malloc_usable_size(mem));
	__real_free(mem);
}

static void watch(void)
{
	atomic_store(&peak, atomic_load(&live));
}

static void assert_peak_below(uint64_t bytes)
{
	long long most = atomic_load(&peak) - atomic_load(&live);

	if (most > (long long)bytes)
		fail_msg("%lld bytes at once, more than %llu", most, (unsigned long long)bytes);
}

/* ---- files of holes -------------------------------------------------------- */

static void digest_of_zeros(uint8_t digest[HYPR_VMO_DIGEST_BYTES], uint64_t bytes)
{
	uint8_t *zeros = calloc(1, bytes);

	hypr_digest(digest, zeros, bytes);
	free(zeros);
}

static void put(int fd, uint64_t at, const void *data, size_t bytes)
{
	assert_int_equal(pwrite(fd, data, bytes, (off_t)at), bytes);
}

/*
 * @table: sections with types and lengths; contents are holes, their digests fit.
 * @run: if not NULL, contents of the section RUNS.
 */
static void write_sparse(const char *name, uint64_t mem_bytes, struct hypr_vmo_section *table,
			 uint32_t nr, const struct hypr_vmo_run *run)
{
	struct hypr_vmo_header header = {
		.version = HYPR_VMO_VERSION,
		.header_bytes = HYPR_VMO_HEADER_BYTES,
		.mem_bytes = mem_bytes,
		.page_bytes = PAGE,
		.nr_vcpus = 64,
	};
	int fd = open(kit_path(name), O_RDWR | O_CREAT | O_TRUNC, 0600);
	uint64_t end = PAGE;
	struct stat st;
	uint32_t i;

	assert_true(fd >= 0);
	memcpy(header.magic, HYPR_VMO_MAGIC, sizeof(header.magic));
	if (table[0].type == HYPR_VMO_DATA && nr > 1 && table[1].type == HYPR_VMO_CHUNKS)
		header.required = HYPR_VMO_PACKED;
	for (i = 0; i < nr; i++) {
		table[i].version = 1;
		table[i].offset = hypr_vmo_align(end);
		end = table[i].offset + table[i].bytes;
		if (table[i].type == HYPR_VMO_RUNS && run) {
			hypr_digest(table[i].digest, run, table[i].bytes);
			put(fd, table[i].offset, run, table[i].bytes);
		} else if (table[i].type != HYPR_VMO_DATA) {
			digest_of_zeros(table[i].digest, table[i].bytes);
		}
	}
	end = hypr_vmo_align(end);
	assert_int_equal(hypr_vmo_head_write(fd, &header, end, table, nr), 0);
	assert_int_equal(fstat(fd, &st), 0);
	/* Indeed a small one: on a file system without holes the test shows nothing. */
	assert_true((uint64_t)st.st_blocks * 512 < MIB / 4);
	close(fd);
}

static int verify(const char *name, struct hypr_vmo_verify_result *result)
{
	struct hypr_vmo *vmo;
	int ret;

	watch();
	vmo = kit_open(name);
	ret = hypr_vmo_verify(vmo, result);
	hypr_vmo_close(vmo);
	return ret;
}

/* 2 GiB of pages, all of them a hole, and 4 MiB of digests, which do not fit. */
static void test_verify_of_a_giant_of_holes(void **ctx)
{
	const uint64_t pages = 2048 * MIB / PAGE;
	const struct hypr_vmo_run run = { .pages = pages, .flags = RWX };
	struct hypr_vmo_section table[] = {
		{ .type = HYPR_VMO_DATA, .bytes = pages * PAGE },
		{ .type = HYPR_VMO_RUNS, .bytes = sizeof(run) },
		{ .type = HYPR_VMO_PAGE_DIGESTS, .bytes = pages * sizeof(uint64_t) },
	};
	struct hypr_vmo_verify_result result;

	(void)ctx;
	write_sparse("a.vmo", pages * PAGE, table, ARRAY_SIZE(table), &run);
	assert_int_equal(verify("a.vmo", &result), -EBADMSG);
	assert_int_equal(result.bad_pages, pages);
	assert_int_equal(result.bad_gpa, 0);
	assert_peak_below(2 * MIB);
}

/* 64 MiB of sections of holes, of which verify needs nothing but their digests. */
static void test_verify_of_long_sections(void **ctx)
{
	const struct hypr_vmo_run run = { .pages = 1, .flags = RWX | HYPR_VMO_RUN_ZERO };
	struct hypr_vmo_section table[9] = { { .type = HYPR_VMO_RUNS, .bytes = sizeof(run) } };
	struct hypr_vmo_verify_result result;
	uint32_t i;

	(void)ctx;
	for (i = 1; i < ARRAY_SIZE(table); i++)
		table[i] = (struct hypr_vmo_section){
			.type = HYPR_VMO_VCPU, .index = i - 1, .bytes = 8 * MIB,
		};
	write_sparse("a.vmo", PAGE, table, ARRAY_SIZE(table), &run);
	assert_int_equal(verify("a.vmo", &result), 0);
	assert_int_equal(result.sections, ARRAY_SIZE(table));
	assert_peak_below(2 * MIB);
}

/* Sections that are longer than the file's memory accounts for. */
static void test_sections_that_are_too_long_for_the_memory(void **ctx)
{
	const struct hypr_vmo_run run = { .pages = 1, .flags = RWX | HYPR_VMO_RUN_ZERO };
	const struct { uint32_t type; uint64_t bytes; const char *words; } cases[] = {
		{ HYPR_VMO_RUNS, 128 * MIB, "section RUNS" },
		{ HYPR_VMO_RUNS, 2 * sizeof(run), "section RUNS" },
		{ HYPR_VMO_WORKING_SET, 32 * MIB, "section WORKING_SET" },
		{ HYPR_VMO_PAGE_DIGESTS, 32 * MIB, "section PAGE_DIGESTS" },
		{ HYPR_VMO_CHUNKS, 64 * MIB, "section CHUNKS" },
	};
	struct hypr_vmo_section table[2];
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		bool runs = cases[i].type == HYPR_VMO_RUNS;

		table[0] = (struct hypr_vmo_section){
			.type = HYPR_VMO_RUNS, .bytes = runs ? cases[i].bytes : sizeof(run),
		};
		if (cases[i].type == HYPR_VMO_CHUNKS)
			table[0] = (struct hypr_vmo_section){
				.type = HYPR_VMO_DATA, .bytes = PAGE,
			};
		table[1] = (struct hypr_vmo_section){
			.type = cases[i].type, .bytes = cases[i].bytes,
		};
		write_sparse("a.vmo", PAGE, table, runs ? 1 : 2, runs ? NULL : &run);
		watch();
		kit_refused("a.vmo", -EBADMSG, cases[i].words);
		assert_non_null(strstr(hypr_error(), "more than it may have"));
		assert_peak_below(MIB / 4);
	}
}

static void test_working_sets_that_are_too_long(void **ctx)
{
	uint8_t *mem = kit_memory();
	struct hypr_vmo_range *range;
	struct hypr_vmo_ws ws = {
		.version = HYPR_VMO_WS_VERSION, .header_bytes = HYPR_VMO_WS_HEADER_BYTES,
		.mem_bytes = KIT_BYTES, .nr_ranges = 1u << 20,
	};
	struct hypr_vmo *vmo;
	size_t nr;
	int fd;

	(void)ctx;
	kit_write("a.vmo", mem, NULL);
	free(mem);
	vmo = kit_open("a.vmo");
	memcpy(ws.magic, HYPR_VMO_WS_MAGIC, sizeof(ws.magic));
	memcpy(ws.root, vmo->header.root, sizeof(ws.root));
	fd = open(kit_path("a.vmo.ws"), O_WRONLY | O_CREAT, 0600);
	put(fd, 0, &ws, sizeof(ws));
	assert_int_equal(ftruncate(fd, sizeof(ws) + (16 << 20)), 0);
	watch();
	assert_int_equal(hypr_vmo_ws_read(vmo, &range, &nr), -EBADMSG);
	assert_non_null(strstr(hypr_error(), "1048576 ranges for 131072 bytes of memory"));
	assert_peak_below(MIB / 4);
	/* Of another file, with as much memory as it says. */
	ws.mem_bytes = 1ull << 40;
	ws.root[0] ^= 1;
	put(fd, 0, &ws, sizeof(ws));
	close(fd);
	watch();
	assert_int_equal(hypr_vmo_ws_read(vmo, &range, &nr), -ESTALE);
	assert_peak_below(MIB / 4);
	hypr_vmo_close(vmo);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_verify_of_a_giant_of_holes),
		T(test_verify_of_long_sections),
		T(test_sections_that_are_too_long_for_the_memory),
		T(test_working_sets_that_are_too_long),
	};

	return cmocka_run_group_tests_name("vmo_memory", tests, NULL, NULL) ? 1 : 0;
}
