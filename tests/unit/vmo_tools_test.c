// SPDX-License-Identifier: GPL-2.0-only
/* What is done with whole VMO files: verify, diff, flatten, pack, sign, export. */
#include "vmo_kit.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <zstd.h>

/* base.vmo, and child.vmo on it; @mem is as the child has it. */
static uint8_t *start(void)
{
	uint8_t *mem = kit_memory();
	struct hypr_vmo *base;

	kit_write("base.vmo", mem, NULL);
	base = kit_open("base.vmo");
	mem[PAGE] ^= 1;
	kit_fill(mem + 5 * PAGE, 55);
	memset(mem + 9 * PAGE, 0, 2 * PAGE);
	kit_write("child.vmo", mem, base);
	hypr_vmo_close(base);
	return mem;
}

static void assert_memory(struct hypr_vmo *vmo, const uint8_t *mem)
{
	uint8_t *read = malloc(KIT_BYTES);

	assert_int_equal(hypr_vmo_read(vmo, 0, read, KIT_BYTES), 0);
	assert_int_equal(memcmp(read, mem, KIT_BYTES), 0);
	free(read);
}

static void flip(const char *name, uint64_t at)
{
	struct kit_file file = kit_load(name);

	assert_true(at < file.len);
	file.bytes[at] ^= 0x10;
	kit_store(name, &file);
	kit_unload(&file);
}

/* ---- verify ---------------------------------------------------------------- */

static void test_verify_finds_pages_of_all_layers(void **ctx)
{
	struct hypr_vmo_verify_result r;
	uint8_t *mem = start();
	struct hypr_vmo *vmo;

	(void)ctx;
	vmo = kit_open("child.vmo");
	assert_int_equal(hypr_vmo_verify(vmo, &r), 0);
	assert_int_equal(r.layers, 2);
	assert_int_equal(r.pages, 14 + 2);
	assert_int_equal(r.bad_pages, 0);
	assert_int_equal(r.sections, 8 + 7);
	hypr_vmo_close(vmo);

	/* Stored in base: 0, 1, 2, 8, 9, 10, ...; the fourth is at GPA 8 * PAGE. */
	flip("base.vmo", PAGE + 3 * PAGE + 100);
	flip("base.vmo", PAGE + 5 * PAGE);
	vmo = kit_open("child.vmo");
	assert_int_equal(hypr_vmo_verify(vmo, &r), -EBADMSG);
	assert_int_equal(r.bad_pages, 2);
	assert_int_equal(r.bad_layer, 1);
	assert_int_equal(r.bad_gpa, 8 * PAGE);
	assert_int_equal(r.pages, 14);
	assert_non_null(strstr(hypr_error(), "base.vmo: section DATA: the page at GPA 0x8000"));
	hypr_vmo_close(vmo);
	free(mem);
}

/* ---- diff ------------------------------------------------------------------ */

struct stretch {
	uint64_t gpa, pages;
	int kind;
};

static struct stretch found[KIT_PAGES];
static unsigned int nr_found;

static int note(void *arg, uint64_t gpa, uint64_t pages, int kind)
{
	(void)arg;
	found[nr_found++] = (struct stretch){ gpa, pages, kind };
	return 0;
}

static int stop(void *arg, uint64_t gpa, uint64_t pages, int kind)
{
	(void)arg, (void)gpa, (void)pages, (void)kind;
	return -ECANCELED;
}

/* So many pages that threads share them: sums and the first place are the same. */
static void test_verify_by_several_threads(void **ctx)
{
	const uint64_t pages = 6000, bad[] = { 5990, 77, 3000, 78 };
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_verify_result result;
	uint8_t *mem = malloc(pages * PAGE), byte = 0;
	struct hypr_vmo_writer *w;
	struct hypr_vmo *vmo;
	uint64_t i, gap = 10;
	int fd;

	(void)ctx;
	for (i = 0; i < pages; i++)
		kit_fill(mem + i * PAGE, i);
	params.mem_bytes = (pages + gap) * PAGE;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, gap * PAGE, mem, pages, RWX), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	free(mem);
	vmo = kit_open("a.vmo");
	assert_int_equal(hypr_vmo_verify(vmo, &result), 0);
	assert_int_equal(result.pages, pages);

	fd = open(kit_path("a.vmo"), O_RDWR);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(pwrite(fd, &byte, 1, (off_t)((1 + bad[i]) * PAGE + 9)), 1);
	assert_int_equal(hypr_vmo_verify(vmo, &result), -EBADMSG);
	assert_int_equal(result.bad_pages, ARRAY_SIZE(bad));
	assert_int_equal(result.pages, pages - ARRAY_SIZE(bad));
	assert_int_equal(result.bad_gpa, (77 + gap) * PAGE);
	assert_non_null(strstr(hypr_error(), "section DATA: the page at GPA 0x57000"));

	/* It shrinks: the words are there, whichever thread met the end. */
	assert_int_equal(ftruncate(fd, 1000 * PAGE), 0);
	assert_int_equal(hypr_vmo_verify(vmo, &result), -EBADMSG);
	assert_non_null(strstr(hypr_error(), "a.vmo: truncated"));
	close(fd);
	hypr_vmo_close(vmo);
}

static void test_diff(void **ctx)
{
	static const struct stretch wanted[] = {
		{ 0, 1, HYPR_VMO_SAME }, { 1 * PAGE, 1, HYPR_VMO_CHANGED },
		{ 2 * PAGE, 1, HYPR_VMO_SAME }, { 3 * PAGE, 2, HYPR_VMO_SAME_ZERO },
		{ 5 * PAGE, 1, HYPR_VMO_CHANGED }, { 6 * PAGE, 2, HYPR_VMO_SAME_ZERO },
		{ 8 * PAGE, 1, HYPR_VMO_SAME }, { 9 * PAGE, 2, HYPR_VMO_ZEROED },
		{ 11 * PAGE, 5, HYPR_VMO_SAME_ZERO }, { 16 * PAGE, 4, HYPR_VMO_SAME },
		{ 20 * PAGE, 4, HYPR_VMO_SAME_ZERO }, { 24 * PAGE, 3, HYPR_VMO_SAME },
		{ 27 * PAGE, 4, HYPR_VMO_SAME_ZERO }, { 31 * PAGE, 1, HYPR_VMO_SAME },
	};
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo *from, *to, *flat;
	uint8_t *mem = start();
	struct hypr_vmo_writer *w;
	unsigned int i;

	(void)ctx;
	from = kit_open("base.vmo");
	to = kit_open("child.vmo");
	nr_found = 0;
	assert_int_equal(hypr_vmo_diff(from, to, note, NULL), 0);
	for (i = 0; i < nr_found && i < ARRAY_SIZE(wanted); i++) {
		assert_int_equal(found[i].gpa, wanted[i].gpa);
		assert_int_equal(found[i].pages, wanted[i].pages);
		assert_int_equal(found[i].kind, wanted[i].kind);
	}
	assert_int_equal(nr_found, ARRAY_SIZE(wanted));

	/* By contents, also where no file is shared. */
	assert_int_equal(hypr_vmo_flatten(to, kit_path("flat.vmo"), 0, NULL), 0);
	flat = kit_open("flat.vmo");
	nr_found = 0;
	assert_int_equal(hypr_vmo_diff(from, flat, note, NULL), 0);
	assert_int_equal(nr_found, ARRAY_SIZE(wanted));
	nr_found = 0;
	assert_int_equal(hypr_vmo_diff(to, flat, note, NULL), 0);
	for (i = 0; i < nr_found; i++)
		assert_true(found[i].kind == HYPR_VMO_SAME || found[i].kind == HYPR_VMO_SAME_ZERO);
	assert_int_equal(hypr_vmo_diff(to, flat, stop, NULL), -ECANCELED);
	hypr_vmo_close(flat);

	params.mem_bytes = PAGE;
	assert_int_equal(hypr_vmo_writer_create(kit_path("small.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	flat = kit_open("small.vmo");
	assert_int_equal(hypr_vmo_diff(to, flat, note, NULL), -EINVAL);
	hypr_vmo_close(flat);
	hypr_vmo_close(to);
	hypr_vmo_close(from);
	free(mem);
}

/* ---- flatten --------------------------------------------------------------- */

static void test_flatten_keeps_memory_and_sections(void **ctx)
{
	uint8_t *mem = start();
	struct hypr_vmo_info info, child_info;
	struct hypr_vmo *vmo;
	const void *data;
	size_t bytes;

	(void)ctx;
	vmo = kit_open("child.vmo");
	hypr_vmo_info(vmo, &child_info);
	assert_int_equal(hypr_vmo_flatten(vmo, kit_path("flat.vmo"), 0, NULL), 0);
	assert_int_equal(hypr_vmo_flatten(vmo, kit_path("flat.vmo"), 0, NULL), -EEXIST);
	assert_int_equal(hypr_vmo_flatten(vmo, kit_path("packed.vmo"), HYPR_VMO_COMPRESS, NULL),
			 -EINVAL);
	hypr_vmo_close(vmo);
	unlink(kit_path("base.vmo"));
	unlink(kit_path("child.vmo"));
	vmo = kit_open("flat.vmo");
	assert_memory(vmo, mem);
	hypr_vmo_info(vmo, &info);
	assert_int_equal(info.layers, 1);
	assert_int_equal(info.pages_parent, 0);
	assert_int_equal(info.created_ns, child_info.created_ns);
	assert_int_equal(info.nr_vcpus, 2);
	assert_memory_not_equal(info.root, child_info.root, 32);
	assert_int_equal(hypr_vmo_section(vmo, HYPR_VMO_VCPU, 1, &data, &bytes, NULL), 0);
	assert_int_equal(((const uint8_t *)data)[0], 0x11);
	assert_int_equal(hypr_vmo_section(vmo, 1000, 3, &data, &bytes, NULL), 0);
	assert_int_equal(hypr_vmo_section(vmo, HYPR_VMO_WORKING_SET, 0, &data, &bytes, NULL), 0);
	hypr_vmo_close(vmo);
	free(mem);
}

/* ---- pack, unpack ---------------------------------------------------------- */

static void pack(const char *from, const char *to)
{
	struct hypr_vmo *vmo = kit_open(from);

	assert_int_equal(hypr_vmo_pack(vmo, kit_path(to), 0, 0, NULL), 0);
	hypr_vmo_close(vmo);
}

static void test_unpacked_is_what_was_packed(void **ctx)
{
	struct hypr_vmo_info info, packed_info;
	struct hypr_vmo_verify_result r;
	struct kit_file a, b;
	uint8_t *mem = start(), key[32];
	struct hypr_vmo *vmo;

	(void)ctx;
	assert_int_equal(hypr_vmo_keygen(kit_path("key"), key), 0);
	assert_int_equal(hypr_vmo_sign(kit_path("child.vmo"), kit_path("key")), 0);
	vmo = kit_open("child.vmo");
	hypr_vmo_info(vmo, &info);
	hypr_vmo_close(vmo);
	pack("child.vmo", "packed.vmo");

	/* It reads as what is inside: identity, parent, signature, memory. */
	vmo = kit_open("packed.vmo");
	hypr_vmo_info(vmo, &packed_info);
	assert_true(packed_info.packed);
	assert_memory_equal(packed_info.root, info.root, 32);
	assert_int_equal(packed_info.layers, 2);
	assert_int_equal(packed_info.unpacked_bytes, info.file_bytes);
	assert_memory(vmo, mem);
	assert_int_equal(hypr_vmo_verify(vmo, &r), 0);
	assert_int_equal(hypr_vmo_check_signature(vmo, key), 0);
	assert_int_equal(hypr_vmo_unpack(vmo, kit_path("again.vmo"), 0, NULL), 0);
	assert_int_equal(hypr_vmo_unpack(vmo, kit_path("again.vmo"), 0, NULL), -EEXIST);
	assert_int_equal(hypr_vmo_pack(vmo, kit_path("twice.vmo"), 0, 0, NULL), -EALREADY);
	hypr_vmo_close(vmo);
	a = kit_load("child.vmo");
	b = kit_load("again.vmo");
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.bytes, b.bytes, a.len);
	kit_unload(&a);
	kit_unload(&b);

	vmo = kit_open("again.vmo");
	assert_int_equal(hypr_vmo_unpack(vmo, kit_path("x.vmo"), 0, NULL), -EALREADY);
	assert_int_equal(hypr_vmo_pack(vmo, kit_path("x.vmo"), 0, 20, NULL), -EINVAL);
	hypr_vmo_close(vmo);
	free(mem);
}

static void test_packed_is_not_mapped_and_not_signed(void **ctx)
{
	uint8_t *mem = start(), *map, key[32];
	struct hypr_vmo *vmo;

	(void)ctx;
	map = mmap(NULL, KIT_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(hypr_vmo_keygen(kit_path("key"), key), 0);
	pack("child.vmo", "packed.vmo");
	vmo = kit_open("packed.vmo");
	assert_int_equal(hypr_vmo_map(vmo, map), -EOPNOTSUPP);
	assert_non_null(strstr(hypr_error(), "packed.vmo: packed; it can be mapped after"));
	hypr_vmo_close(vmo);
	assert_int_equal(hypr_vmo_sign(kit_path("packed.vmo"), kit_path("key")), -EOPNOTSUPP);

	/* A packed parent is as good a parent, but for mapping. */
	pack("base.vmo", "p.vmo");
	assert_int_equal(rename(kit_path("p.vmo"), kit_path("base.vmo")), 0);
	vmo = kit_open("child.vmo");
	assert_memory(vmo, mem);
	assert_int_equal(hypr_vmo_map(vmo, map), -EOPNOTSUPP);
	assert_non_null(strstr(hypr_error(), "base.vmo: packed"));
	hypr_vmo_close(vmo);
	munmap(map, KIT_BYTES);
	free(mem);
}

static void test_damaged_packed_file(void **ctx)
{
	struct hypr_vmo_verify_result r;
	struct kit_file file;
	struct hypr_vmo *vmo;
	uint8_t *mem = start();
	size_t at, len;
	int fd, ret;

	(void)ctx;
	pack("base.vmo", "packed.vmo");
	file = kit_load("packed.vmo");
	fd = open(kit_path("packed.vmo"), O_RDWR);
	/* Each byte but the reserved ones and most of the frame, which has a checksum. */
	for (at = 0; at < file.len; at++) {
		uint8_t changed = file.bytes[at] ^ 0x21;

		if (at == 300)
			at = PAGE - 1;
		if (at > PAGE + 40 && at < file.header->table_offset - 100)
			at += 997;
		assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
		vmo = NULL;
		ret = hypr_vmo_open(kit_path("packed.vmo"), &vmo);
		if (!ret)
			ret = hypr_vmo_verify(vmo, &r);
		if (!ret)
			fail_msg("byte %zu", at);
		hypr_vmo_close(vmo);
		assert_int_equal(pwrite(fd, &file.bytes[at], 1, (off_t)at), 1);
	}
	for (len = file.len - 1; len > 8; len -= len < PAGE + 100 ? 1 : 101) {
		assert_int_equal(ftruncate(fd, (off_t)len), 0);
		kit_refused("packed.vmo", -EBADMSG, "truncated");
	}
	close(fd);
	kit_unload(&file);
	free(mem);
}

/* Envelopes whose numbers are evil, sealed again. */
static void test_evil_envelope(void **ctx)
{
	static const struct { size_t at, bytes; uint64_t value; const char *words; } evils[] = {
		{ 0, 8, 0, "CHUNKS: 1 chunks for 0 bytes" },
		{ 0, 8, 4096, "header: the section table does not" },
		{ 0, 8, UINT64_MAX, "chunks for" },
		{ 0, 8, 4u << 20, "chunks for" },
		{ 8, 4, 4096, "chunks of 4096 bytes" },
		{ 12, 4, 0, "do not fit its count" },
		{ 12, 4, UINT32_MAX, "do not fit its count" },
		{ 16, 8, 8, "out of place" },
		{ 24, 8, 0, "out of place" },
		{ 24, 8, UINT64_MAX, "out of place" },
		{ 24, 8, 100, "bytes in no chunk" },
	};
	struct kit_file file;
	uint8_t *mem = start();
	size_t i;

	(void)ctx;
	pack("base.vmo", "packed.vmo");
	for (i = 0; i < ARRAY_SIZE(evils); i++) {
		file = kit_load("packed.vmo");
		memcpy(file.bytes + kit_section(&file, HYPR_VMO_CHUNKS)->offset + evils[i].at,
		       &evils[i].value, evils[i].bytes);
		kit_seal(&file);
		kit_store("evil.vmo", &file);
		kit_unload(&file);
		kit_refused("evil.vmo", -EBADMSG, i == 1 ? "section DATA: chunk 0" :
			    evils[i].words);
	}
	file = kit_load("packed.vmo");
	file.header->nr_vcpus = 3;
	kit_seal(&file);
	kit_store("evil.vmo", &file);
	kit_unload(&file);
	kit_refused("evil.vmo", -EBADMSG, "header: it is not that of the file inside");

	file = kit_load("packed.vmo");
	kit_section(&file, HYPR_VMO_CHUNKS)->type = HYPR_VMO_PIT;
	kit_seal(&file);
	kit_store("evil.vmo", &file);
	kit_unload(&file);
	kit_refused("evil.vmo", -EBADMSG, "section CHUNKS: missing in a packed file");
	free(mem);
}

/* evil.vmo: the envelope of packed.vmo, around @bytes of other data. */
static void wrap_data(const uint8_t *data, size_t bytes)
{
	struct kit_file file = kit_load("packed.vmo"), evil = { 0 };
	struct hypr_vmo_section table[2];
	struct { struct hypr_vmo_chunks head; struct hypr_vmo_chunk chunk; } chunks;
	size_t at = PAGE + (bytes + 7) / 8 * 8;

	assert_int_equal(file.header->nr_sections, 2);
	memcpy(table, file.table, sizeof(table));
	memcpy(&chunks, file.bytes + table[1].offset, sizeof(chunks));
	assert_int_equal(chunks.head.nr_chunks, 1);
	chunks.chunk.bytes = table[0].bytes = bytes;
	table[1].offset = at;
	evil.len = at + sizeof(chunks) + sizeof(table);
	evil.bytes = calloc(1, evil.len);
	evil.header = (struct hypr_vmo_header *)evil.bytes;
	evil.table = (struct hypr_vmo_section *)(evil.bytes + at + sizeof(chunks));
	memcpy(evil.bytes, file.bytes, PAGE);
	memcpy(evil.bytes + PAGE, data, bytes);
	memcpy(evil.bytes + at, &chunks, sizeof(chunks));
	memcpy(evil.table, table, sizeof(table));
	evil.header->file_bytes = evil.len;
	evil.header->table_offset = at + sizeof(chunks);
	kit_seal(&evil);
	kit_store("evil.vmo", &evil);
	kit_unload(&evil);
	kit_unload(&file);
}

static size_t frame(uint8_t *to, const uint8_t *from, size_t bytes, int size, int checksum)
{
	ZSTD_CCtx *context = ZSTD_createCCtx();
	size_t got;

	ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, size);
	ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum);
	got = ZSTD_compress2(context, to, ZSTD_compressBound(bytes), from, bytes);
	assert_false(ZSTD_isError(got));
	ZSTD_freeCCtx(context);
	return got;
}

/* A chunk is one zstd frame with size and checksum, and nothing else. */
static void test_a_chunk_is_one_frame(void **ctx)
{
	static const uint8_t skipped[] = { 0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4 };
	static const struct {
		const char *words;
		bool skip_before, skip_after, none_before, halves, rest;
		int size, checksum;
	} cases[] = {
		{ NULL, .size = 1, .checksum = 1 },
		{ "no zstd frame", .skip_before = true, .size = 1, .checksum = 1 },
		{ "more than one frame", .skip_after = true, .size = 1, .checksum = 1 },
		{ "more than one frame", .none_before = true, .size = 1, .checksum = 1 },
		{ "more than one frame", .halves = true, .size = 1, .checksum = 1 },
		{ "more than one frame", .rest = true, .size = 1, .checksum = 1 },
		{ "without the chunk's size", .checksum = 1 },
		{ "without a checksum", .size = 1 },
	};
	uint8_t *mem = start(), *data = malloc(4 * KIT_BYTES);
	struct kit_file inside = kit_load("base.vmo");
	size_t i, half = inside.len / 2, n;

	(void)ctx;
	pack("base.vmo", "packed.vmo");
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		n = 0;
		if (cases[i].skip_before) {
			memcpy(data, skipped, sizeof(skipped));
			n = sizeof(skipped);
		}
		if (cases[i].none_before)
			n += frame(data, inside.bytes, 0, 1, 1);
		if (cases[i].halves)
			n += frame(data + n, inside.bytes, half, 1, 1);
		n += frame(data + n, inside.bytes + (cases[i].halves ? half : 0),
			   inside.len - (cases[i].halves ? half : 0), cases[i].size,
			   cases[i].checksum);
		if (cases[i].skip_after) {
			memcpy(data + n, skipped, sizeof(skipped));
			n += sizeof(skipped);
		}
		if (cases[i].rest)
			data[n++] = 0;
		wrap_data(data, n);
		if (cases[i].words) {
			kit_refused("evil.vmo", -EBADMSG, cases[i].words);
			kit_refused("evil.vmo", -EBADMSG, "section DATA: chunk 0");
		} else {
			hypr_vmo_close(kit_open("evil.vmo"));
		}
	}
	kit_unload(&inside);
	free(data);
	free(mem);
}

/* ---- signatures ------------------------------------------------------------ */

static void test_signatures(void **ctx)
{
	struct hypr_vmo_verify_result r;
	uint8_t key[32], other[32], read[32], *mem = start();
	struct hypr_vmo_info info, signed_info;
	struct hypr_vmo *vmo;
	struct stat st;

	(void)ctx;
	assert_int_equal(hypr_vmo_keygen(kit_path("key"), key), 0);
	assert_int_equal(hypr_vmo_keygen(kit_path("key"), other), -EEXIST);
	assert_int_equal(hypr_vmo_keygen(kit_path("other"), other), 0);
	assert_int_equal(stat(kit_path("key"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(hypr_vmo_public_key(kit_path("key.pub"), read), 0);
	assert_memory_equal(read, key, 32);
	assert_int_equal(hypr_vmo_public_key(kit_path("key"), read), -EINVAL);
	assert_int_equal(hypr_vmo_public_key(kit_path("base.vmo"), read), -EINVAL);
	assert_int_equal(hypr_vmo_public_key(kit_path("none"), read), -ENOENT);

	vmo = kit_open("child.vmo");
	hypr_vmo_info(vmo, &info);
	assert_int_equal(hypr_vmo_check_signature(vmo, NULL), -ENOKEY);
	hypr_vmo_close(vmo);
	assert_int_equal(hypr_vmo_sign(kit_path("child.vmo"), kit_path("other")), 0);
	assert_int_equal(hypr_vmo_sign(kit_path("child.vmo"), kit_path("key")), 0);
	vmo = kit_open("child.vmo");
	hypr_vmo_info(vmo, &signed_info);
	assert_true(signed_info.has_signature);
	assert_memory_equal(signed_info.public_key, key, 32);
	assert_memory_equal(signed_info.root, info.root, 32);
	assert_int_equal(hypr_vmo_check_signature(vmo, NULL), 0);
	assert_int_equal(hypr_vmo_check_signature(vmo, key), 0);
	assert_int_equal(hypr_vmo_check_signature(vmo, other), -EKEYREJECTED);
	assert_int_equal(hypr_vmo_verify(vmo, &r), 0);
	assert_memory(vmo, mem);
	hypr_vmo_close(vmo);

	/* That of another file does not fit this one. */
	flip("child.vmo", 152 + 8 + 32 + 5);
	vmo = kit_open("child.vmo");
	assert_int_equal(hypr_vmo_check_signature(vmo, key), -EBADMSG);
	assert_int_equal(hypr_vmo_verify(vmo, &r), -EBADMSG);
	hypr_vmo_close(vmo);
	assert_int_equal(hypr_vmo_sign(kit_path("child.vmo"), kit_path("key")), 0);
	free(mem);
}

static void test_sign_refuses(void **ctx)
{
	uint8_t key[32], *mem = start();

	(void)ctx;
	assert_int_equal(hypr_vmo_keygen(kit_path("key"), key), 0);
	assert_int_equal(hypr_vmo_sign(kit_path("child.vmo"), kit_path("key.pub")), -EACCES);
	chmod(kit_path("key.pub"), 0600);
	assert_int_equal(hypr_vmo_sign(kit_path("child.vmo"), kit_path("key.pub")), -EINVAL);
	assert_int_equal(hypr_vmo_sign(kit_path("child.vmo"), kit_path("none")), -ENOENT);
	chmod(kit_path("key"), 0640);
	assert_int_equal(hypr_vmo_sign(kit_path("child.vmo"), kit_path("key")), -EACCES);
	chmod(kit_path("key"), 0600);
	/* What is not right is not vouched for. */
	flip("child.vmo", PAGE + 17);
	assert_int_equal(hypr_vmo_sign(kit_path("child.vmo"), kit_path("key")), -EBADMSG);
	free(mem);
}

/* ---- export ---------------------------------------------------------------- */

static void write_with_registers(const uint8_t *mem)
{
	struct { struct kvm_regs regs; struct kvm_sregs sregs; } vcpu;
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;
	unsigned int i;

	params.nr_vcpus = 3;
	assert_int_equal(hypr_vmo_writer_create(kit_path("regs.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 0, mem, 8, HYPR_VMO_RUN_R | HYPR_VMO_RUN_X), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 8 * PAGE, mem + 8 * PAGE, KIT_PAGES - 8,
					       HYPR_VMO_RUN_R | HYPR_VMO_RUN_W), 0);
	for (i = 0; i < 2; i++) {
		memset(&vcpu, 0, sizeof(vcpu));
		vcpu.regs.rip = 0x1000 + i;
		vcpu.regs.rsp = 0x8000 + i;
		vcpu.regs.r15 = 0x1515151500000000 + i;
		vcpu.sregs.cs.selector = 0x10;
		vcpu.sregs.fs.base = 0xf5000 + i;
		assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_VCPU, i, 1, 0, &vcpu,
							 sizeof(vcpu)), 0);
	}
	/* Too short for registers: a core without this one. */
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_VCPU, 2, 9, 0, "?", 1), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
}

static void test_export_is_a_core_file(void **ctx)
{
	struct { Elf64_Nhdr head; char name[8]; struct elf_prstatus status; }
		__attribute__((packed)) note;
	struct user_regs_struct regs;
	uint8_t *mem = kit_memory();
	const Elf64_Phdr *ph;
	const Elf64_Ehdr *eh;
	struct kit_file core;
	struct hypr_vmo *vmo;
	unsigned int vcpus, i;

	(void)ctx;
	write_with_registers(mem);
	vmo = kit_open("regs.vmo");
	assert_int_equal(hypr_vmo_export(vmo, kit_path("core.vmo"), 0, &vcpus), 0);
	assert_int_equal(hypr_vmo_export(vmo, kit_path("core.vmo"), 0, &vcpus), -EEXIST);
	hypr_vmo_close(vmo);
	assert_int_equal(vcpus, 2);
	core = kit_load("core.vmo");
	eh = (const void *)core.bytes;
	assert_memory_equal(eh->e_ident, ELFMAG, SELFMAG);
	assert_int_equal(eh->e_type, ET_CORE);
	assert_int_equal(eh->e_machine, EM_X86_64);
	assert_int_equal(eh->e_phnum, 3);
	ph = (const void *)(core.bytes + eh->e_phoff);
	assert_int_equal(ph[0].p_type, PT_NOTE);
	assert_int_equal(ph[1].p_flags, PF_R | PF_X);
	assert_int_equal(ph[1].p_paddr, 0);
	assert_int_equal(ph[1].p_memsz, 8 * PAGE);
	assert_int_equal(ph[2].p_flags, PF_R | PF_W);
	assert_int_equal(ph[2].p_vaddr, 8 * PAGE);
	assert_int_equal(ph[2].p_filesz, KIT_BYTES - 8 * PAGE);
	for (i = 1; i < 3; i++) {
		assert_int_equal(ph[i].p_offset % PAGE, 0);
		assert_memory_equal(core.bytes + ph[i].p_offset, mem + ph[i].p_paddr,
				    ph[i].p_filesz);
	}
	assert_int_equal(ph[0].p_filesz, 2 * sizeof(note));
	for (i = 0; i < 2; i++) {
		memcpy(&note, core.bytes + ph[0].p_offset + i * sizeof(note), sizeof(note));
		assert_int_equal(note.head.n_type, NT_PRSTATUS);
		assert_string_equal(note.name, "CORE");
		assert_int_equal(note.status.pr_pid, i + 1);
		memcpy(&regs, &note.status.pr_reg, sizeof(regs));
		assert_int_equal(regs.rip, 0x1000 + i);
		assert_int_equal(regs.rsp, 0x8000 + i);
		assert_int_equal(regs.r15, 0x1515151500000000 + i);
		assert_int_equal(regs.cs, 0x10);
		assert_int_equal(regs.fs_base, 0xf5000 + i);
	}
	kit_unload(&core);
	free(mem);
}

static void test_a_debugger_opens_the_core(void **ctx)
{
	char command[400], line[200], wanted[80];
	uint8_t *mem = kit_memory();
	struct hypr_vmo *vmo;
	bool rip = false, bytes = false, threads = false;
	FILE *from;

	(void)ctx;
	if (system("command -v gdb >/dev/null")) {
		print_message("# skipped: gdb is not installed\n");
		free(mem);
		skip();
	}
	write_with_registers(mem);
	vmo = kit_open("regs.vmo");
	assert_int_equal(hypr_vmo_export(vmo, kit_path("core"), 0, NULL), 0);
	hypr_vmo_close(vmo);
	snprintf(command, sizeof(command), "LD_PRELOAD= gdb -nx -batch -ex 'thread 2' -ex 'print/x $rip' "
		 "-ex 'info threads' -ex 'x/1xg 0x8000' -c %s 2>&1", kit_path("core"));
	snprintf(wanted, sizeof(wanted), "0x%016llx",
		 (unsigned long long)*(const uint64_t *)(mem + 8 * PAGE));
	from = popen(command, "r");
	assert_non_null(from);
	while (fgets(line, sizeof(line), from)) {
		rip = rip || strstr(line, "= 0x1001");
		threads = threads || strstr(line, "LWP 2");
		bytes = bytes || strstr(line, wanted);
	}
	pclose(from);
	assert_true(rip);
	assert_true(threads);
	assert_true(bytes);
	free(mem);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_verify_finds_pages_of_all_layers),
		T(test_verify_by_several_threads),
		T(test_diff),
		T(test_flatten_keeps_memory_and_sections),
		T(test_unpacked_is_what_was_packed),
		T(test_packed_is_not_mapped_and_not_signed),
		T(test_damaged_packed_file),
		T(test_evil_envelope),
		T(test_a_chunk_is_one_frame),
		T(test_signatures),
		T(test_sign_refuses),
		T(test_export_is_a_core_file),
		T(test_a_debugger_opens_the_core),
	};

	return cmocka_run_group_tests_name("vmo_tools", tests, NULL, NULL) ? 1 : 0;
}
