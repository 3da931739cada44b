// SPDX-License-Identifier: GPL-2.0-only
/* VMO files on VMO files: what is left out, what is seen through, what is refused. */
#include "vmo_kit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const char *layer_name(unsigned int n)
{
	static char name[16];

	snprintf(name, sizeof(name), "l%u.vmo", n);
	return name;
}

static void assert_memory(struct hypr_vmo *vmo, const uint8_t *mem)
{
	uint8_t *read = malloc(KIT_BYTES), *map;

	assert_int_equal(hypr_vmo_read(vmo, 0, read, KIT_BYTES), 0);
	assert_int_equal(memcmp(read, mem, KIT_BYTES), 0);
	free(read);
	map = mmap(NULL, KIT_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(hypr_vmo_map(vmo, map), 0);
	assert_int_equal(memcmp(map, mem, KIT_BYTES), 0);
	munmap(map, KIT_BYTES);
}

static void test_only_what_differs_is_stored(void **ctx)
{
	struct hypr_vmo *base, *child;
	uint8_t *mem = kit_memory();
	struct hypr_vmo_segment s;
	struct hypr_vmo_info info;

	(void)ctx;
	kit_write("base.vmo", mem, NULL);
	base = kit_open("base.vmo");
	mem[PAGE + 7] ^= 1;			/* changed */
	memset(mem + 8 * PAGE, 0, PAGE);	/* now zero */
	kit_fill(mem + 5 * PAGE, 99);		/* was zero */
	kit_write("child.vmo", mem, base);
	hypr_vmo_close(base);

	child = kit_open("child.vmo");
	hypr_vmo_info(child, &info);
	assert_int_equal(info.layers, 2);
	assert_true(info.has_parent);
	assert_string_equal(info.parent_name, "base.vmo");
	assert_int_equal(info.pages_stored, 2);
	assert_int_equal(info.pages_parent, 14 - 2);
	assert_int_equal(info.pages_zero, KIT_PAGES - 14);
	assert_memory(child, mem);
	assert_int_equal(hypr_vmo_segment(child, PAGE, &s), 0);
	assert_int_equal(s.layer, 0);
	assert_int_equal(s.pages, 1);
	assert_int_equal(hypr_vmo_segment(child, 9 * PAGE, &s), 0);
	assert_int_equal(s.layer, 1);
	assert_int_equal(s.pages, 2);
	hypr_vmo_info(hypr_vmo_parent(child), &info);
	assert_int_equal(info.layers, 1);
	assert_false(info.has_parent);
	hypr_vmo_close(child);
	free(mem);
}

/* Permissions are those of the topmost file; gaps are the parent's. */
static void test_permissions_are_the_topmost(void **ctx)
{
	struct hypr_vmo_params params;
	struct hypr_vmo *base, *child;
	uint8_t *mem = kit_memory();
	struct hypr_vmo_segment s;
	struct hypr_vmo_writer *w;

	(void)ctx;
	kit_write("base.vmo", mem, NULL);
	base = kit_open("base.vmo");
	params = kit_params(base);
	assert_int_equal(hypr_vmo_writer_create(kit_path("child.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, PAGE, mem + PAGE, 1, HYPR_VMO_RUN_R), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	hypr_vmo_close(base);
	child = kit_open("child.vmo");
	assert_memory(child, mem);
	assert_int_equal(hypr_vmo_segment(child, PAGE, &s), 0);
	assert_int_equal(s.flags, HYPR_VMO_RUN_R);
	assert_int_equal(s.layer, 1);
	assert_int_equal(hypr_vmo_segment(child, 2 * PAGE, &s), 0);
	assert_int_equal(s.flags, RWX);
	hypr_vmo_close(child);
	free(mem);
}

/* Seeded layers, up to as many as there may be. */
static void build_layers(uint8_t *mem, unsigned int nr, uint64_t *state)
{
	struct hypr_vmo *parent = NULL;
	unsigned int n, i;
	uint64_t page;

	for (n = 0; n < nr; n++) {
		for (i = 0; i < 4; i++) {
			page = kit_random(state) % KIT_PAGES;
			if (kit_random(state) % 4)
				kit_fill(mem + page * PAGE, kit_random(state));
			else
				memset(mem + page * PAGE, 0, PAGE);
		}
		kit_write(layer_name(n), mem, parent);
		hypr_vmo_close(parent);
		parent = kit_open(layer_name(n));
		assert_memory(parent, mem);
	}
	hypr_vmo_close(parent);
}

static void test_sixteen_layers_and_not_one_more(void **ctx)
{
	struct hypr_vmo_verify_result result;
	struct hypr_vmo_params params;
	struct hypr_vmo_section *parent;
	uint64_t state = kit_seed();
	uint8_t *mem = kit_memory();
	struct hypr_vmo_writer *w;
	struct kit_file file;
	struct hypr_vmo *top;

	(void)ctx;
	build_layers(mem, 16, &state);
	top = kit_open(layer_name(15));
	assert_memory(top, mem);
	assert_int_equal(hypr_vmo_verify(top, &result), 0);
	assert_int_equal(result.layers, 16);
	params = kit_params(top);
	assert_int_equal(hypr_vmo_writer_create(kit_path("l16.vmo"), &params, &w), -ELOOP);

	/* Made by force: a further one with the sixteenth as its parent. */
	file = kit_load(layer_name(15));
	memcpy(file.header->parent, top->header.root, 32);
	parent = kit_section(&file, HYPR_VMO_PARENT);
	assert_int_equal(parent->bytes, 7);
	memcpy(file.bytes + parent->offset, "l15.vmo", 7);
	kit_seal(&file);
	kit_store("l16.vmo", &file);
	kit_unload(&file);
	hypr_vmo_close(top);
	kit_refused("l16.vmo", -ELOOP, "more than 16 layers");
	free(mem);
}

/* ---- parents that are not what they should be ------------------------------ */

static void start(void)
{
	uint8_t *mem = kit_memory();
	struct hypr_vmo *base;

	kit_write("base.vmo", mem, NULL);
	base = kit_open("base.vmo");
	mem[0] ^= 1;
	kit_write("child.vmo", mem, base);
	hypr_vmo_close(base);
	free(mem);
}

static void test_parent_is_missing(void **ctx)
{
	(void)ctx;
	start();
	unlink(kit_path("base.vmo"));
	kit_refused("child.vmo", -ESTALE, "section PARENT: there is no");
}

static void test_parent_is_another(void **ctx)
{
	uint8_t *mem = kit_memory();

	(void)ctx;
	start();
	mem[1] ^= 1;
	unlink(kit_path("base.vmo"));
	kit_write("base.vmo", mem, NULL);
	kit_refused("child.vmo", -ESTALE, "section PARENT: it was made on root");
	free(mem);
}

static void test_parent_is_damaged(void **ctx)
{
	struct kit_file file;

	(void)ctx;
	start();
	file = kit_load("base.vmo");
	file.bytes[kit_section(&file, HYPR_VMO_RUNS)->offset] ^= 1;
	kit_store("base.vmo", &file);
	kit_unload(&file);
	kit_refused("child.vmo", -EBADMSG, "base.vmo: section RUNS: its digest does not fit");
}

static void test_parent_has_other_memory(void **ctx)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;
	struct kit_file file;
	struct hypr_vmo *other;

	(void)ctx;
	start();
	params.mem_bytes = 2 * KIT_BYTES;
	params.flags = HYPR_VMO_REPLACE;
	assert_int_equal(hypr_vmo_writer_create(kit_path("base.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	other = kit_open("base.vmo");
	params = kit_params(other);
	assert_int_equal(hypr_vmo_writer_create(kit_path("x.vmo"), &params, &w), -EINVAL);
	file = kit_load("child.vmo");
	memcpy(file.header->parent, other->header.root, 32);
	hypr_vmo_close(other);
	kit_seal(&file);
	kit_store("child.vmo", &file);
	kit_unload(&file);
	kit_refused("child.vmo", -EBADMSG, "section PARENT: memory of 131072 bytes");
}

static void rename_parent(const char *name, size_t bytes)
{
	struct hypr_vmo_section *parent;
	struct kit_file file = kit_load("child.vmo");

	parent = kit_section(&file, HYPR_VMO_PARENT);
	assert_true(bytes <= parent->bytes);
	memset(file.bytes + parent->offset, 0, parent->bytes);
	memcpy(file.bytes + parent->offset, name, bytes);
	parent->bytes = bytes;
	kit_seal(&file);
	kit_store("evil.vmo", &file);
	kit_unload(&file);
}

static void test_parent_is_its_own(void **ctx)
{
	(void)ctx;
	start();
	rename_parent("evil.vmo", 8);
	kit_refused("evil.vmo", -ELOOP, "is its own ancestor");
	/* Also by another name. */
	rename_parent("link.vmo", 8);
	assert_int_equal(link(kit_path("evil.vmo"), kit_path("link.vmo")), 0);
	kit_refused("evil.vmo", -ELOOP, "is its own ancestor");
}

/* Two that name each other: no root can be right on both sides, and none is asked. */
static void test_parents_in_a_circle(void **ctx)
{
	struct kit_file base, child;
	struct hypr_vmo_section *parent;

	(void)ctx;
	start();
	/* The child again, as the base: its parent is to be "ring.vmo". */
	rename_parent("ring.vmo", 8);
	base = kit_load("evil.vmo");
	kit_store("base.vmo", &base);
	child = kit_load("child.vmo");
	memcpy(child.header->parent, base.header->root, 32);
	parent = kit_section(&child, HYPR_VMO_PARENT);
	assert_int_equal(parent->bytes, 8);
	assert_memory_equal(child.bytes + parent->offset, "base.vmo", 8);
	kit_seal(&child);
	kit_store("ring.vmo", &child);
	kit_unload(&child);
	kit_unload(&base);
	kit_refused("ring.vmo", -ELOOP, "base.vmo: section PARENT: ");
	kit_refused("ring.vmo", -ELOOP, "ring.vmo is its own ancestor");
}

/* Metadata of a parent that ends early, at each byte: named, and nothing is mapped. */
static void test_parent_is_truncated_at_every_byte(void **ctx)
{
	struct kit_file file;
	size_t len, data_end;
	int fd;

	(void)ctx;
	start();
	file = kit_load("base.vmo");
	data_end = PAGE + kit_section(&file, HYPR_VMO_DATA)->bytes;
	fd = open(kit_path("base.vmo"), O_RDWR);
	for (len = file.len - 1; len >= 8; len--) {
		if (len == data_end)
			len = PAGE + 100;
		assert_int_equal(ftruncate(fd, (off_t)len), 0);
		kit_refused("child.vmo", -EBADMSG, "base.vmo: truncated");
	}
	close(fd);
	kit_unload(&file);
}

static void test_parent_name_leads_nowhere_else(void **ctx)
{
	static const struct { const char *name; size_t bytes; } names[] = {
		{ "", 0 }, { ".", 1 }, { "..", 2 }, { "../a.vmo", 8 }, { "/etc/vmo", 8 },
		{ "a\0b.vmo", 7 }, { "a.vmo\0\0", 7 }, { "a/", 2 },
		/* What would break a line, drive a terminal, or is no UTF-8. */
		{ "a\nb.vmo", 7 }, { "\033[2J", 4 }, { "a\177", 2 }, { "\302\233", 2 },
		{ "a\377.vmo", 6 }, { "\300\257", 2 }, { "\355\240\200", 3 }, { "a\303", 2 },
		{ "\364\220\200\200", 4 },
	};
	size_t i;

	(void)ctx;
	start();
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		rename_parent(names[i].name, names[i].bytes);
		kit_refused("evil.vmo", -EBADMSG, "section PARENT: ");
	}
	rename_parent("\303\244.vmo", 6);
	kit_refused("evil.vmo", -ESTALE, "\303\244.vmo");
	/* A FIFO of that name holds nobody up. */
	assert_int_equal(mkfifo(kit_path("fifo.vmo"), 0600), 0);
	rename_parent("fifo.vmo", 8);
	kit_refused("evil.vmo", -ENOEXEC, "not a regular file");
}

static void test_writer_refuses_parents(void **ctx)
{
	struct hypr_vmo_params params;
	struct hypr_vmo_writer *w;
	struct hypr_vmo *child;

	(void)ctx;
	start();
	child = kit_open("child.vmo");
	params = kit_params(child);
	params.flags = HYPR_VMO_REPLACE;
	assert_int_equal(hypr_vmo_writer_create(kit_path("child.vmo"), &params, &w), -EINVAL);
	assert_int_equal(hypr_vmo_writer_create(kit_path("base.vmo"), &params, &w), -EINVAL);
	assert_int_equal(hypr_vmo_writer_create("/tmp/hypr-elsewhere.vmo", &params, &w), -EXDEV);
	hypr_vmo_close(child);
	/* One of a name that no child may have in it. */
	assert_int_equal(rename(kit_path("base.vmo"), kit_path("b\n.vmo")), 0);
	child = kit_open("b\n.vmo");
	params = kit_params(child);
	assert_int_equal(hypr_vmo_writer_create(kit_path("x.vmo"), &params, &w), -EINVAL);
	assert_non_null(strstr(hypr_error(), "no name for a parent"));
	hypr_vmo_close(child);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_only_what_differs_is_stored),
		T(test_permissions_are_the_topmost),
		T(test_sixteen_layers_and_not_one_more),
		T(test_parent_is_missing),
		T(test_parent_is_another),
		T(test_parent_is_damaged),
		T(test_parent_has_other_memory),
		T(test_parent_is_its_own),
		T(test_parents_in_a_circle),
		T(test_parent_is_truncated_at_every_byte),
		T(test_parent_name_leads_nowhere_else),
		T(test_writer_refuses_parents),
	};

	return cmocka_run_group_tests_name("vmo_layers", tests, NULL, NULL) ? 1 : 0;
}
