// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMO files that are truncated, damaged or made by an enemy: each is refused with
 * the reason, before anything of it is mapped.
 */
#include "vmo_kit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define IS_HEADER	UINT32_MAX
#define NR		7u	/* sections of the file that is made */

static void start(void)
{
	uint8_t *mem = kit_memory();

	kit_write("a.vmo", mem, NULL);
	free(mem);
}

/* ---- truncated, flipped ---------------------------------------------------- */

static void test_truncated_at_every_byte(void **ctx)
{
	struct kit_file file;
	struct hypr_vmo *vmo;
	size_t whole, len;
	int fd, ret;

	(void)ctx;
	start();
	file = kit_load("a.vmo");
	whole = file.len;
	fd = open(kit_path("a.vmo"), O_RDWR);
	/* All of the metadata: tables behind the data, and the header. */
	for (len = whole - 1; ; len--) {
		if (len == kit_section(&file, HYPR_VMO_DATA)->bytes + PAGE)
			len = PAGE + 100;
		assert_int_equal(ftruncate(fd, (off_t)len), 0);
		ret = hypr_vmo_open(kit_path("a.vmo"), &vmo);
		if (ret != (len < 8 ? -ENOEXEC : -EBADMSG))
			fail_msg("%zu bytes: %d: %s", len, ret, hypr_error());
		if (!len)
			break;
	}
	close(fd);
	kit_unload(&file);
}

static void test_longer_than_it_says(void **ctx)
{
	int fd;

	(void)ctx;
	start();
	fd = open(kit_path("a.vmo"), O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "", 1), 1);
	close(fd);
	kit_refused("a.vmo", -EBADMSG, "bytes where header says");
}

/* Each bit of header, tables and sections: opening or verifying says so. */
static void flip(int fd, uint64_t at, uint8_t byte, int bit)
{
	struct hypr_vmo_verify_result result;
	struct hypr_vmo *vmo = NULL;
	uint8_t flipped = byte ^ (uint8_t)(1 << bit);
	int ret;

	assert_int_equal(pwrite(fd, &flipped, 1, (off_t)at), 1);
	ret = hypr_vmo_open(kit_path("a.vmo"), &vmo);
	if (!ret)
		ret = hypr_vmo_verify(vmo, &result);
	if (!ret)
		fail_msg("byte %llu bit %d", (unsigned long long)at, bit);
	assert_null(strchr(hypr_error(), '\n'));
	hypr_vmo_close(vmo);
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void test_single_bits(void **ctx)
{
	uint64_t at, data_end;
	struct kit_file file;
	uint8_t key[32];
	int bit, fd;

	(void)ctx;
	start();
	assert_int_equal(hypr_vmo_keygen(kit_path("key"), key), 0);
	assert_int_equal(hypr_vmo_sign(kit_path("a.vmo"), kit_path("key")), 0);
	file = kit_load("a.vmo");
	fd = open(kit_path("a.vmo"), O_RDWR);
	data_end = PAGE + kit_section(&file, HYPR_VMO_DATA)->bytes;
	for (at = 0; at < file.len; at++) {
		if (at == 300)		/* reserved bytes are alike */
			at = PAGE - 3;
		if (at == PAGE + 2)	/* and so are those of page data */
			at = data_end - 2;
		for (bit = 0; bit < 8; bit++)
			flip(fd, at, file.bytes[at], bit);
	}
	close(fd);
	kit_unload(&file);
}

/* ---- made by an enemy ------------------------------------------------------ */

/*
 * A number in a file that is sealed again: in the header (IS_HEADER), in a
 * section's entry, or (contents) in what the section has.
 */
struct evil {
	const char *what;
	uint32_t section;
	bool contents;
	size_t at;
	size_t bytes;
	uint64_t value;
	int err;
	const char *words;
};

#define HEADER(field, value, err, words)					\
	{ #field, IS_HEADER, false, offsetof(struct hypr_vmo_header, field),	\
	  sizeof(((struct hypr_vmo_header *)0)->field), value, err, words }
#define ENTRY(type, field, value, err, words)					\
	{ #type "." #field, HYPR_VMO_##type, false,				\
	  offsetof(struct hypr_vmo_section, field),				\
	  sizeof(((struct hypr_vmo_section *)0)->field), value, err, words }
#define RUN(n, field, value, err, words)					\
	{ "run " #n " " #field, HYPR_VMO_RUNS, true,				\
	  (n) * sizeof(struct hypr_vmo_run) + offsetof(struct hypr_vmo_run, field), \
	  sizeof(((struct hypr_vmo_run *)0)->field), value, err, words }

static const struct evil evils[] = {
	{ "magic", IS_HEADER, false, 0, 1, 'h', -ENOEXEC, "not a VMO" },
	HEADER(version, 2, -EOPNOTSUPP, "format version 2"),
	HEADER(version, 0, -EBADMSG, "format version 0"),
	HEADER(header_bytes, 8192, -EBADMSG, "8192 bytes"),
	HEADER(required, 1ull << 40, -EOPNOTSUPP, "features 0x10000000000"),
	HEADER(required, HYPR_VMO_PACKED, -EBADMSG, "section CHUNKS: missing"),
	HEADER(mem_bytes, 0, -EBADMSG, "header: memory"),
	HEADER(mem_bytes, KIT_BYTES + 1, -EBADMSG, "header: memory"),
	HEADER(mem_bytes, 2ull << 40, -EBADMSG, "header: memory"),
	HEADER(mem_bytes, KIT_BYTES + PAGE, -EBADMSG, "section RUNS: they end at GPA 0x20000"),
	HEADER(mem_bytes, KIT_BYTES - PAGE, -EBADMSG, "outside memory"),
	HEADER(page_bytes, 65536, -EBADMSG, "pages of 65536 bytes"),
	HEADER(nr_vcpus, 1025, -EBADMSG, "1025 vCPUs"),
	HEADER(nr_vcpus, 1, -EBADMSG, "section VCPU 1: index 1 is out of range"),
	HEADER(reserved0, 1, -EBADMSG, "header: reserved"),
	{ "reserved1", IS_HEADER, false, 4095, 1, 1, -EBADMSG, "header: reserved" },
	HEADER(file_bytes, 1ull << 60, -EBADMSG, "truncated"),
	HEADER(file_bytes, 4096, -EBADMSG, "header says 4096"),
	HEADER(signature.algorithm, 2, -EOPNOTSUPP, "signature of kind 2"),
	HEADER(signature.reserved, 2, -EBADMSG, "reserved bytes of the signature"),
	{ "key", IS_HEADER, false, 160, 1, 1, -EBADMSG, "bytes of a signature" },
	{ "parent", IS_HEADER, false, 88, 1, 1, -EBADMSG, "section PARENT" },

	ENTRY(RUNS, type, 7, -EOPNOTSUPP, "section of type 7: needed, and not known"),
	ENTRY(RUNS, type, HYPR_VMO_PIT, -EBADMSG, "section RUNS: missing"),
	ENTRY(RUNS, version, 2, -EOPNOTSUPP, "section RUNS: version 2"),
	ENTRY(RUNS, flags, 2, -EOPNOTSUPP, "section RUNS: flags 0x2"),
	ENTRY(RUNS, index, 1, -EBADMSG, "section RUNS: index 1"),
	ENTRY(RUNS, offset, 0, -EBADMSG, "section RUNS: at 0x0"),
	ENTRY(RUNS, offset, PAGE, -EBADMSG, "section RUNS: at 0x1000, and what is before"),
	ENTRY(RUNS, offset, 1ull << 63, -EBADMSG, "section RUNS: at 0x8"),
	ENTRY(RUNS, offset, UINT64_MAX - 7, -EBADMSG, "section RUNS"),
	ENTRY(RUNS, bytes, UINT64_MAX, -EBADMSG, "section RUNS: 0xffffffffffffffff bytes at"),
	ENTRY(RUNS, bytes, UINT64_MAX - 31, -EBADMSG, "section RUNS: 0xf"),
	ENTRY(RUNS, bytes, 32, -EBADMSG, "belong to nothing"),
	ENTRY(RUNS, bytes, 17, -EBADMSG, "belong to nothing"),
	ENTRY(DATA, type, HYPR_VMO_PIT, -EBADMSG, "section DATA: 0x0 bytes for 14 pages"),
	ENTRY(DATA, offset, PAGE + 8, -EBADMSG, "section"),
	ENTRY(DATA, bytes, 14 * PAGE - 8, -EBADMSG, "not whole pages"),
	ENTRY(DATA, bytes, 13 * PAGE, -EBADMSG, "section"),
	{ "digest of DATA", HYPR_VMO_DATA, false, 32, 1, 1, -EBADMSG, "digest of its own" },
	ENTRY(PAGE_DIGESTS, type, HYPR_VMO_PIT, -EBADMSG, "PAGE_DIGESTS: 0x0 bytes for 14 pages"),
	ENTRY(PAGE_DIGESTS, type, HYPR_VMO_WORKING_SET, -EBADMSG, "there are two"),
	ENTRY(PAGE_DIGESTS, type, HYPR_VMO_PARENT, -EBADMSG, "disagree"),
	ENTRY(PAGE_DIGESTS, type, HYPR_VMO_CHUNKS, -EBADMSG, "not packed"),
	ENTRY(VCPU, index, 1, -EBADMSG, "section VCPU 1: there are two"),

	RUN(0, gpa, PAGE, -EBADMSG, "run 0 at GPA 0x1000 does not begin"),
	RUN(1, gpa, 0, -EBADMSG, "run 1 at GPA 0x0 does not begin"),
	RUN(1, gpa, 1ull << 63, -EBADMSG, "does not begin"),
	RUN(0, pages, 0, -EBADMSG, "run 0 at GPA 0x0 has no pages"),
	RUN(0, pages, UINT64_MAX, -EBADMSG, "outside memory"),
	RUN(0, pages, 1ull << 52, -EBADMSG, "outside memory"),
	RUN(0, pages, KIT_PAGES + 1, -EBADMSG, "outside memory"),
	RUN(0, pages, 2, -EBADMSG, "run 1 at GPA 0x3000 does not begin"),
	RUN(0, flags, 0x27, -EOPNOTSUPP, "flags 0x27"),
	RUN(0, flags, HYPR_VMO_RUN_W, -EBADMSG, "cannot be read"),
	RUN(0, flags, 0x1f, -EBADMSG, "at once"),
	RUN(0, flags, 0x17, -EBADMSG, "there is none"),
	RUN(0, flags, 0x0f, -EBADMSG, "not in its place"),
	RUN(0, reserved, 1, -EBADMSG, "reserved"),
	RUN(0, offset, PAGE, -EBADMSG, "not in its place"),
	RUN(1, offset, PAGE, -EBADMSG, "not in its place"),
	RUN(2, offset, 0, -EBADMSG, "not in its place"),
	RUN(2, offset, UINT64_MAX - 4095, -EBADMSG, "not in its place"),
};

static void test_evil_numbers(void **ctx)
{
	const struct hypr_vmo_section *entry;
	const struct evil *evil;
	struct kit_file file;
	uint64_t at;
	size_t i;

	(void)ctx;
	start();
	for (i = 0; i < ARRAY_SIZE(evils); i++) {
		evil = &evils[i];
		file = kit_load("a.vmo");
		at = evil->at;
		if (evil->section != IS_HEADER) {
			entry = kit_section(&file, evil->section);
			at += evil->contents ? entry->offset :
			      (uint64_t)((const uint8_t *)entry - file.bytes);
		}
		print_message("# %s = 0x%llx\n", evil->what, (unsigned long long)evil->value);
		memcpy(file.bytes + at, &evil->value, evil->bytes);
		kit_seal(&file);
		kit_store("evil.vmo", &file);
		kit_refused("evil.vmo", evil->err, evil->words);
		kit_unload(&file);
	}
}

/* Counts of the table, which sealing itself goes by. */
static void test_evil_table(void **ctx)
{
	static const struct { uint32_t nr; uint64_t bytes, offset; const char *words; } tables[] = {
		{ 0, 0, 0, "0 sections" },
		{ 2049, 2049 * 64, 0, "2049 sections" },
		{ NR + 1, NR * 64, 0, "does not end the file" },
		{ NR - 1, (NR - 1) * 64, 0, "does not end the file" },
		{ NR, NR * 64, 4096, "does not end the file" },
		{ 2048, 2048 * 64, UINT64_MAX - 7, "does not end the file" },
	};
	struct kit_file file;
	size_t i;

	(void)ctx;
	start();
	for (i = 0; i < ARRAY_SIZE(tables); i++) {
		file = kit_load("a.vmo");
		assert_int_equal(file.header->nr_sections, NR);
		file.header->nr_sections = tables[i].nr;
		file.header->table_bytes = tables[i].bytes;
		if (tables[i].offset)
			file.header->table_offset = tables[i].offset;
		kit_store("evil.vmo", &file);
		kit_refused("evil.vmo", -EBADMSG, tables[i].words);
		kit_unload(&file);
	}
}

/*
 * Sections that anybody may add are kept in memory once they are looked at: holes
 * in a file must not become gigabytes.
 */
static void test_sections_are_too_long_together(void **ctx)
{
	static const struct { uint64_t bytes[5]; int ret; } cases[] = {
		{ { 64ull << 20, 64ull << 20 }, 0 },
		{ { 64ull << 20, 64ull << 20, 8 }, -EBADMSG },
		{ { 64ull << 20, 64ull << 20, 64ull << 20, 64ull << 20, 64ull << 20 }, -EBADMSG },
	};
	struct hypr_vmo_section table[6] = { 0 };
	struct hypr_vmo_header header;
	struct hypr_vmo *vmo;
	struct kit_file file;
	uint64_t end;
	size_t i, n;
	int fd;

	(void)ctx;
	start();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		file = kit_load("a.vmo");
		header = *file.header;
		kit_unload(&file);
		memset(table, 0, sizeof(table));
		table[0] = (struct hypr_vmo_section){
			.type = HYPR_VMO_RUNS, .version = 1, .offset = PAGE, .bytes = 32,
		};
		end = PAGE + 32;
		for (n = 0; n < 5 && cases[i].bytes[n]; n++) {
			table[1 + n] = (struct hypr_vmo_section){
				.type = 1000 + (uint32_t)n, .flags = HYPR_VMO_SECTION_OPTIONAL,
				.offset = end, .bytes = cases[i].bytes[n],
			};
			end += cases[i].bytes[n];
		}
		hypr_digest(table[0].digest, &(struct hypr_vmo_run){
			.pages = KIT_PAGES, .flags = RWX | HYPR_VMO_RUN_ZERO }, 32);
		fd = open(kit_path("evil.vmo"), O_RDWR | O_CREAT | O_TRUNC, 0600);
		assert_int_equal(pwrite(fd, &(struct hypr_vmo_run){
			.pages = KIT_PAGES, .flags = RWX | HYPR_VMO_RUN_ZERO }, 32, PAGE), 32);
		assert_int_equal(hypr_vmo_head_write(fd, &header, end, table, 1 + (uint32_t)n), 0);
		close(fd);
		if (cases[i].ret) {
			kit_refused("evil.vmo", cases[i].ret, "more than 134217728 bytes");
			continue;
		}
		assert_int_equal(hypr_vmo_open(kit_path("evil.vmo"), &vmo), 0);
		hypr_vmo_close(vmo);
	}
}

/* Bytes that belong to nothing, between sections and before the table. */
static void test_hidden_bytes(void **ctx)
{
	struct hypr_vmo_section *runs;
	struct kit_file file;

	(void)ctx;
	start();
	file = kit_load("a.vmo");
	runs = kit_section(&file, HYPR_VMO_RUNS);
	assert_int_equal((runs[-1].offset + runs[-1].bytes) % 8, 7);
	file.bytes[runs->offset - 1] = 1;
	kit_seal(&file);
	kit_store("evil.vmo", &file);
	kit_refused("evil.vmo", -EBADMSG, "section RUNS: bytes before it");
	kit_unload(&file);

	/* A hole of a page or more. */
	file = kit_load("a.vmo");
	memmove(file.bytes + file.header->table_offset + PAGE, file.table,
		file.header->table_bytes);
	memset(file.table, 0, PAGE);
	file.header->table_offset += PAGE;
	file.header->file_bytes += PAGE;
	file.len += PAGE;
	file.table = (void *)(file.bytes + file.header->table_offset);
	kit_seal(&file);
	kit_store("evil.vmo", &file);
	kit_refused("evil.vmo", -EBADMSG, "section table: at");
	kit_unload(&file);
}

static void test_runs_end_early(void **ctx)
{
	struct hypr_vmo_run *run;
	struct kit_file file;

	(void)ctx;
	start();
	file = kit_load("a.vmo");
	/* The last run is of one page with data; now the one before it has it. */
	run = (void *)(file.bytes + kit_section(&file, HYPR_VMO_RUNS)->offset);
	assert_int_equal(run[0].pages, 3);
	run[0].pages = KIT_PAGES;
	kit_seal(&file);
	kit_store("evil.vmo", &file);
	kit_refused("evil.vmo", -EBADMSG, "run 1 at GPA 0x3000 does not begin");
	kit_unload(&file);
}

/* Contents that nobody looks at when opening: found when they are read. */
static void test_damaged_section(void **ctx)
{
	struct hypr_vmo_verify_result result;
	struct kit_file file;
	struct hypr_vmo *vmo;
	const void *data;
	size_t bytes;

	(void)ctx;
	start();
	file = kit_load("a.vmo");
	file.bytes[kit_section(&file, HYPR_VMO_VCPU)->offset] ^= 1;
	kit_store("evil.vmo", &file);
	vmo = kit_open("evil.vmo");
	assert_int_equal(hypr_vmo_section(vmo, HYPR_VMO_VCPU, 0, &data, &bytes, NULL), -EBADMSG);
	assert_non_null(strstr(hypr_error(), "section VCPU 0: its digest does not fit"));
	assert_int_equal(hypr_vmo_section(vmo, HYPR_VMO_VCPU, 1, &data, &bytes, NULL), 0);
	assert_int_equal(hypr_vmo_verify(vmo, &result), -EBADMSG);
	hypr_vmo_close(vmo);
	kit_unload(&file);
}

static void test_evil_working_set(void **ctx)
{
	static const struct hypr_vmo_range bad[][2] = {
		{ { 1, 1 }, { 2 * PAGE, 1 } },
		{ { 0, 0 }, { 2 * PAGE, 1 } },
		{ { 2 * PAGE, 1 }, { 0, 1 } },
		{ { 0, 2 }, { PAGE, 1 } },
		{ { 0, 1 }, { KIT_BYTES, 1 } },
		{ { 0, 1 }, { PAGE, UINT64_MAX } },
		{ { 0, 1 }, { PAGE, KIT_PAGES } },
	};
	struct hypr_vmo_verify_result result;
	struct kit_file file;
	struct hypr_vmo *vmo;
	const void *data;
	size_t bytes, i;

	(void)ctx;
	start();
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		file = kit_load("a.vmo");
		memcpy(file.bytes + kit_section(&file, HYPR_VMO_WORKING_SET)->offset, bad[i], 32);
		kit_seal(&file);
		kit_store("evil.vmo", &file);
		vmo = kit_open("evil.vmo");
		assert_int_equal(hypr_vmo_section(vmo, HYPR_VMO_WORKING_SET, 0, &data, &bytes,
						  NULL), -EBADMSG);
		assert_int_equal(hypr_vmo_verify(vmo, &result), -EBADMSG);
		hypr_vmo_close(vmo);
		kit_unload(&file);
	}
}

/* ---- no regular file; one that changes while it is open ------------------- */

static void test_not_a_file(void **ctx)
{
	struct hypr_vmo *vmo;

	(void)ctx;
	assert_int_equal(hypr_vmo_open(kit_path("no.vmo"), &vmo), -ENOENT);
	assert_int_equal(mkfifo(kit_path("fifo.vmo"), 0600), 0);
	kit_refused("fifo.vmo", -ENOEXEC, "not a regular file");
	assert_int_equal(hypr_vmo_open(kit_path("."), &vmo), -ENOEXEC);
}

static void test_a_file_that_shrinks(void **ctx)
{
	uint8_t *mem = malloc(KIT_BYTES), *map;
	struct hypr_vmo_verify_result result;
	struct hypr_vmo *vmo;

	(void)ctx;
	start();
	vmo = kit_open("a.vmo");
	assert_int_equal(truncate(kit_path("a.vmo"), 3 * PAGE), 0);
	assert_int_equal(hypr_vmo_read(vmo, 0, mem, 2 * PAGE), 0);
	assert_int_equal(hypr_vmo_read(vmo, 0, mem, KIT_BYTES), -EBADMSG);
	assert_non_null(strstr(hypr_error(), "truncated"));
	assert_int_equal(hypr_vmo_verify(vmo, &result), -EBADMSG);

	/* Mapped it is refused, all of it. */
	map = mmap(NULL, KIT_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(hypr_vmo_map(vmo, map), -EBADMSG);
	assert_non_null(strstr(hypr_error(), "truncated while in use, to 12288 bytes"));
	assert_int_equal(mprotect(map, KIT_BYTES, PROT_READ), 0);
	assert_int_equal(map[0], 0);
	munmap(map, KIT_BYTES);
	hypr_vmo_close(vmo);
	hypr_vmo_close(NULL);
	free(mem);
}

/* Seeded nonsense in sealed tables: no crash, and what opens can be read. */
static void test_sealed_nonsense(void **ctx)
{
	uint64_t state = kit_seed(), at, value;
	struct hypr_vmo_verify_result result;
	struct kit_file file;
	struct hypr_vmo *vmo;
	uint8_t *mem = malloc(KIT_BYTES);
	int i, n;

	(void)ctx;
	start();
	for (i = 0; i < 3000; i++) {
		file = kit_load("a.vmo");
		for (n = (int)(kit_random(&state) % 3); n >= 0; n--) {
			at = kit_random(&state) % 3 ? kit_random(&state) % 512 + 16 :
			     kit_random(&state) % 150 + 16;
			if (at >= 150)	/* behind the data */
				at = file.len - at;
			value = kit_random(&state) >> kit_random(&state) % 64;
			memcpy(file.bytes + at, &value, 1 + kit_random(&state) % 8);
		}
		/* Lengths as they were, so that more is looked at. */
		file.header->file_bytes = file.len;
		file.header->nr_sections = NR;
		file.header->table_bytes = NR * 64;
		file.header->table_offset = file.len - NR * 64;
		kit_seal(&file);
		kit_store("evil.vmo", &file);
		if (!hypr_vmo_open(kit_path("evil.vmo"), &vmo)) {
			if (vmo->header.mem_bytes <= KIT_BYTES)
				assert_int_equal(hypr_vmo_read(vmo, 0, mem,
							       vmo->header.mem_bytes), 0);
			hypr_vmo_verify(vmo, &result);
			hypr_vmo_close(vmo);
		}
		kit_unload(&file);
	}
	free(mem);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_truncated_at_every_byte),
		T(test_longer_than_it_says),
		T(test_single_bits),
		T(test_evil_numbers),
		T(test_evil_table),
		T(test_sections_are_too_long_together),
		T(test_hidden_bytes),
		T(test_runs_end_early),
		T(test_damaged_section),
		T(test_evil_working_set),
		T(test_not_a_file),
		T(test_a_file_that_shrinks),
		T(test_sealed_nonsense),
	};

	return cmocka_run_group_tests_name("vmo_open", tests, NULL, NULL) ? 1 : 0;
}
