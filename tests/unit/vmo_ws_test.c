// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recorded working sets as files: they come back as they were, belong to one VMO,
 * and whatever is wrong with one is said, with its name.
 */
#include "vmo_kit.h"

#include <sys/stat.h>

#define NR	3

static const struct hypr_vmo_range some[NR] = {
	{ 0, 1 }, { 3 * PAGE, 4 }, { (KIT_PAGES - 1) * PAGE, 1 },
};

static void put(const char *name)
{
	struct hypr_vmo *vmo = kit_open(name);

	assert_int_equal(hypr_vmo_ws_write(vmo, NULL, 0, some, NR), 0);
	hypr_vmo_close(vmo);
}

static int get(const char *name, size_t *nr)
{
	struct hypr_vmo *vmo = kit_open(name);
	struct hypr_vmo_range *range = NULL;
	int ret;

	ret = hypr_vmo_ws_read(vmo, &range, nr);
	if (!ret) {
		assert_memory_equal(range, some, sizeof(some));
		free(range);
	}
	hypr_vmo_close(vmo);
	return ret;
}

static void expect_error(const char *name, int err, const char *words)
{
	size_t nr;

	assert_int_equal(get(name, &nr), err);
	if (!strstr(hypr_error(), words))
		fail_msg("'%s' is not in: %s", words, hypr_error());
}

static void test_round_trip(void **ctx)
{
	uint8_t *mem = kit_memory();
	struct hypr_vmo *vmo;
	struct stat st;
	size_t nr;
	char *path;

	(void)ctx;
	kit_write("a.vmo", mem, NULL);
	put("a.vmo");
	assert_int_equal(stat(kit_path("a.vmo.ws"), &st), 0);
	assert_int_equal(st.st_size, 128 + NR * 16);
	assert_int_equal(get("a.vmo", &nr), 0);
	assert_int_equal(nr, NR);
	/* It is there already; and is replaced if so asked. */
	vmo = kit_open("a.vmo");
	assert_int_equal(hypr_vmo_ws_write(vmo, NULL, 0, some, NR), -EEXIST);
	assert_int_equal(hypr_vmo_ws_write(vmo, NULL, HYPR_VMO_REPLACE, some, NR), 0);
	/* The VMO's name may change meanwhile; its working set stays where it is. */
	assert_int_equal(rename(kit_path("a.vmo"), kit_path("b.vmo")), 0);
	assert_int_equal(hypr_vmo_ws_path(vmo, &path), 0);
	assert_string_equal(path, kit_path("b.vmo.ws"));
	free(path);
	assert_int_equal(unlink(kit_path("b.vmo")), 0);
	assert_int_equal(hypr_vmo_ws_path(vmo, &path), -ENOENT);
	assert_int_equal(hypr_vmo_ws_write(vmo, NULL, 0, some, NR), -ENOENT);
	hypr_vmo_close(vmo);
	assert_int_equal(kit_count(), 1);
	free(mem);
}

static void test_none_recorded(void **ctx)
{
	uint8_t *mem = kit_memory();
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;
	size_t nr;

	(void)ctx;
	kit_write("b.vmo", mem, NULL);
	/* The kit's files have the section; this one has not. */
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	expect_error("a.vmo", -ENODATA, "no working set was recorded");
	expect_error("a.vmo", -ENODATA, "a.vmo.ws");

	/* A section that came with the file counts when nothing is beside it. */
	params.flags = HYPR_VMO_REPLACE;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_WORKING_SET, 0, 1,
						 HYPR_VMO_SECTION_OPTIONAL, some, sizeof(some)),
			 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	assert_int_equal(get("a.vmo", &nr), 0);
	assert_int_equal(nr, NR);
	free(mem);
}

static void test_writer_refuses(void **ctx)
{
	static const struct hypr_vmo_range bad[][2] = {
		{ { 0, KIT_PAGES + 1 } },
		{ { KIT_BYTES, 1 } },
		{ { 1, 1 } },
		{ { 0, 0 } },
		{ { PAGE, 2 }, { 2 * PAGE, 1 } },
		{ { PAGE, 1 }, { 0, 1 } },
		{ { 0, UINT64_MAX } },
	};
	uint8_t *mem = kit_memory();
	struct hypr_vmo *vmo;
	size_t i;

	(void)ctx;
	kit_write("a.vmo", mem, NULL);
	vmo = kit_open("a.vmo");
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(hypr_vmo_ws_write(vmo, NULL, 0, bad[i], bad[i][1].pages ? 2 : 1),
				 -EINVAL);
	assert_int_equal(hypr_vmo_ws_write(vmo, NULL, 0, some, HYPR_VMO_WS_RANGES_MAX + 1),
			 -E2BIG);
	assert_int_equal(hypr_vmo_ws_write(vmo, NULL, 8, some, NR), -EINVAL);
	assert_int_equal(hypr_vmo_ws_write(vmo, kit_path("no/x"), 0, some, NR), -ENOENT);
	assert_int_equal(kit_count(), 1);
	/* No page at all is a working set, too. */
	assert_int_equal(hypr_vmo_ws_write(vmo, NULL, 0, NULL, 0), 0);
	hypr_vmo_close(vmo);
	free(mem);
}

/* One that was made for another file: of this name, but not this one. */
static void test_stale(void **ctx)
{
	uint8_t *mem = kit_memory();

	(void)ctx;
	kit_write("a.vmo", mem, NULL);
	put("a.vmo");
	unlink(kit_path("a.vmo"));
	mem[0] ^= 1;
	kit_write("a.vmo", mem, NULL);
	expect_error("a.vmo", -ESTALE, "a.vmo.ws: recorded of root ");
	free(mem);
}

/* ---- hostile files --------------------------------------------------------- */

struct ws {
	struct hypr_vmo_ws head;
	struct hypr_vmo_range range[NR];
};

static void load(struct ws *ws)
{
	FILE *from = fopen(kit_path("a.vmo.ws"), "r");

	assert_int_equal(fread(ws, 1, sizeof(*ws), from), sizeof(*ws));
	fclose(from);
}

static void store(const void *bytes, size_t len)
{
	FILE *to = fopen(kit_path("a.vmo.ws"), "w");

	assert_int_equal(fwrite(bytes, 1, len, to), len);
	fclose(to);
}

static void seal(struct ws *ws)
{
	memset(ws->head.digest, 0, sizeof(ws->head.digest));
	hypr_digest(ws->head.digest, ws, sizeof(*ws));
}

static void test_hostile(void **ctx)
{
	uint8_t *mem = kit_memory();
	struct ws good, ws;
	unsigned int i;

	static const struct {
		const char *what;
		size_t at;
		uint64_t value;		/* 8 bytes of it, with a digest that fits */
		int err;
		const char *words;
	} cases[] = {
		{ "magic", 0, 0, -ENOEXEC, "not a working set" },
		{ "version 2", 8, 2 | 128ull << 32, -EOPNOTSUPP, "version 2" },
		{ "version 0", 8, 128ull << 32, -EBADMSG, "version 1 has it" },
		{ "length of header", 8, 1 | 129ull << 32, -EBADMSG, "version 1 has it" },
		{ "needed feature", 16, 2, -EOPNOTSUPP, "features 0x2" },
		{ "memory", 32, 2 * KIT_BYTES, -EBADMSG, "memory of" },
		{ "pages", 40, 7, -EBADMSG, "header says 7" },
		{ "count", 56, 2, -EBADMSG, "2 ranges" },
		{ "wild count", 56, 0xffffffff, -EBADMSG, "version 1 has it" },
		{ "reserved", 56, NR | 1ull << 32, -EBADMSG, "version 1 has it" },
		{ "root", 64, 1, -ESTALE, "recorded of root" },
		{ "order", 128, 4 * PAGE, -EBADMSG, "range 1" },
		{ "not a page", 144, 3 * PAGE + 1, -EBADMSG, "range 1" },
		{ "no pages", 152, 0, -EBADMSG, "range 1" },
		{ "wild pages", 152, UINT64_MAX, -EBADMSG, "range 1" },
		{ "out of memory", 160, KIT_BYTES, -EBADMSG, "range 2" },
		{ "beyond memory", 168, 2, -EBADMSG, "range 2" },
	};

	(void)ctx;
	kit_write("a.vmo", mem, NULL);
	put("a.vmo");
	load(&good);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		print_message("# %s\n", cases[i].what);
		ws = good;
		memcpy((uint8_t *)&ws + cases[i].at, &cases[i].value, 8);
		seal(&ws);
		store(&ws, sizeof(ws));
		expect_error("a.vmo", cases[i].err, cases[i].words);
		assert_non_null(strstr(hypr_error(), "a.vmo.ws"));
	}
	/* What is optional, and not known, is ignored. */
	ws = good;
	ws.head.optional = 1;
	seal(&ws);
	store(&ws, sizeof(ws));
	assert_int_equal(get("a.vmo", &(size_t){ 0 }), 0);
	free(mem);
}

/* Cut off anywhere, longer, or with any bit of it changed. */
static void test_damaged(void **ctx)
{
	uint8_t *mem = kit_memory();
	struct { struct ws ws; uint8_t more; } file = { .more = 0 };
	size_t len, nr;

	(void)ctx;
	kit_write("a.vmo", mem, NULL);
	put("a.vmo");
	load(&file.ws);
	for (len = 0; len < sizeof(file.ws); len++) {
		store(&file, len);
		expect_error("a.vmo", len < 8 ? -ENOEXEC : -EBADMSG, "a.vmo.ws");
	}
	store(&file, sizeof(file.ws) + 1);
	expect_error("a.vmo", -EBADMSG, "ranges");
	for (len = 0; len < 8 * sizeof(file.ws); len++) {
		((uint8_t *)&file)[len / 8] ^= (uint8_t)(1 << len % 8);
		store(&file, sizeof(file.ws));
		assert_int_not_equal(get("a.vmo", &nr), 0);
		((uint8_t *)&file)[len / 8] ^= (uint8_t)(1 << len % 8);
	}
	store(&file, sizeof(file.ws));
	assert_int_equal(get("a.vmo", &nr), 0);
	unlink(kit_path("a.vmo.ws"));
	assert_int_equal(mkfifo(kit_path("a.vmo.ws"), 0600), 0);
	expect_error("a.vmo", -ENOEXEC, "not a regular file");
	free(mem);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_round_trip),
		T(test_none_recorded),
		T(test_writer_refuses),
		T(test_stale),
		T(test_hostile),
		T(test_damaged),
	};

	return cmocka_run_group_tests_name("vmo_ws", tests, NULL, NULL) ? 1 : 0;
}
