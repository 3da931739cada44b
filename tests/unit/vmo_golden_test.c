// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files of format version 1, made once, are read for ever: tests/golden/v1-*.
 * They were made by `out/tests/unit/vmo_golden_test --make tests/golden`; what is
 * written today from the same memory has the same bytes.  (Not so the packed one:
 * other versions of zstd pack otherwise.)
 *
 * Run in the root of the tree.
 */
#include "vmo_kit.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/stat.h>

#define FOLDER		"tests/golden"
#define PAGES		16

static const uint8_t public_key[32] = {
	0x14, 0xc7, 0x55, 0x23, 0xbf, 0xf1, 0x8d, 0x8e, 0x71, 0x40, 0x33, 0x64, 0xcf, 0x28,
	0x46, 0xe6, 0xf4, 0x93, 0x6c, 0x5d, 0x55, 0x7f, 0x87, 0xe3, 0x36, 0xfc, 0x5f, 0xff,
	0xdf, 0x89, 0xbd, 0x20,
};

/* Memory by formula: pages of base, and what the child has in their place. */
static uint8_t byte_at(unsigned int page, unsigned int at, bool child)
{
	if (page >= 2 && page < 8 && page != 5)
		return (uint8_t)(page * 16 + at % 13 + (child && page == 3 ? 0x55 : 0));
	return child && page == 12 && at == 4095 ? 0xc1 : 0;
}

static void fill(uint8_t *mem, bool child)
{
	unsigned int page, at;

	for (page = 0; page < PAGES; page++) {
		for (at = 0; at < PAGE; at++)
			mem[page * PAGE + at] = byte_at(page, at, child);
	}
}

static void add_sections(struct hypr_vmo_writer *w)
{
	struct { struct kvm_regs regs; struct kvm_sregs sregs; char rest[8]; } vcpu;
	static const struct hypr_vmo_range used = { 2 * PAGE, 3 };

	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.regs.rip = 0x2010;
	vcpu.regs.rsp = 0x6ff8;
	vcpu.regs.rax = 0x1122334455667788;
	vcpu.sregs.cs.selector = 0x10;
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_VCPU, 0, 1, 0, &vcpu, sizeof(vcpu)),
			 0);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_PIT, 0, 3, 0, "pit", 3), 0);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_WORKING_SET, 0, 1, 0, &used,
						 sizeof(used)), 0);
	assert_int_equal(hypr_vmo_writer_section(w, 77, 5, 1, HYPR_VMO_SECTION_OPTIONAL, "?", 1),
			 0);
}

static void make(const char *folder, const char *name, struct hypr_vmo *parent)
{
	struct hypr_vmo_params params = {
		.size = sizeof(params),
		.flags = HYPR_VMO_REPLACE,
		.mem_bytes = PAGES * PAGE,
		.nr_vcpus = 1,
		.created_ns = 1700000000123456789u,
		.parent = parent,
	};
	uint8_t *mem = malloc(PAGES * PAGE);
	struct hypr_vmo_writer *w;
	char path[200];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fill(mem, parent);
	assert_int_equal(hypr_vmo_writer_create(path, &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 0, mem, 4, RWX), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 4 * PAGE, mem + 4 * PAGE, PAGES - 4,
					       HYPR_VMO_RUN_R | HYPR_VMO_RUN_X), 0);
	add_sections(w);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	free(mem);
}

static void make_all(const char *folder)
{
	char path[200], key[200];
	struct hypr_vmo *base;

	make(folder, "v1-base.vmo", NULL);
	snprintf(path, sizeof(path), "%s/v1-base.vmo", folder);
	snprintf(key, sizeof(key), FOLDER "/v1-key");
	chmod(key, 0600);	/* no secret, and git keeps no such mode */
	assert_int_equal(hypr_vmo_sign(path, key), 0);
	assert_int_equal(hypr_vmo_open(path, &base), 0);
	make(folder, "v1-child.vmo", base);
	snprintf(path, sizeof(path), "%s/v1-packed.vmo", folder);
	assert_int_equal(hypr_vmo_pack(base, path, HYPR_VMO_REPLACE, 19, NULL), 0);
	hypr_vmo_close(base);
}

/* ---- tests ----------------------------------------------------------------- */

static void check(const char *path, bool child, unsigned int layers)
{
	uint8_t *mem = malloc(PAGES * PAGE), *wanted = malloc(PAGES * PAGE);
	struct hypr_vmo_verify_result result;
	struct hypr_vmo_segment segment;
	struct hypr_vmo_info info;
	struct hypr_vmo *vmo;
	const void *data;
	uint32_t version;
	size_t bytes;

	if (hypr_vmo_open(path, &vmo))
		fail_msg("%s", hypr_error());
	hypr_vmo_info(vmo, &info);
	assert_int_equal(info.layers, layers);
	assert_int_equal(info.created_ns, 1700000000123456789u);
	assert_int_equal(info.mem_bytes, PAGES * PAGE);
	fill(wanted, child);
	assert_int_equal(hypr_vmo_read(vmo, 0, mem, PAGES * PAGE), 0);
	assert_memory_equal(mem, wanted, PAGES * PAGE);
	assert_int_equal(hypr_vmo_segment(vmo, 6 * PAGE, &segment), 0);
	assert_int_equal(segment.flags, HYPR_VMO_RUN_R | HYPR_VMO_RUN_X);
	assert_int_equal(hypr_vmo_section(vmo, HYPR_VMO_PIT, 0, &data, &bytes, &version), 0);
	assert_int_equal(version, 3);
	assert_memory_equal(data, "pit", bytes);
	assert_int_equal(hypr_vmo_section(vmo, HYPR_VMO_VCPU, 0, &data, &bytes, NULL), 0);
	assert_int_equal(((const struct kvm_regs *)data)->rip, 0x2010);
	assert_int_equal(hypr_vmo_section(vmo, HYPR_VMO_WORKING_SET, 0, &data, &bytes, NULL), 0);
	assert_int_equal(((const struct hypr_vmo_range *)data)->pages, 3);
	assert_int_equal(hypr_vmo_verify(vmo, &result), 0);
	if (!child)
		assert_int_equal(hypr_vmo_check_signature(vmo, public_key), 0);
	hypr_vmo_close(vmo);
	free(wanted);
	free(mem);
}

static void test_files_of_version_1_are_read(void **ctx)
{
	(void)ctx;
	check(FOLDER "/v1-base.vmo", false, 1);
	check(FOLDER "/v1-child.vmo", true, 2);
	check(FOLDER "/v1-packed.vmo", false, 1);
}

/* The working set beside a file goes before the one in it. */
static void test_working_set_of_version_1_is_read(void **ctx)
{
	static const struct hypr_vmo_range wanted[] = { { 0, 2 }, { 12 * PAGE, 1 } };
	struct hypr_vmo_range *range;
	struct hypr_vmo *vmo;
	size_t nr;

	(void)ctx;
	assert_int_equal(hypr_vmo_open(FOLDER "/v1-child.vmo", &vmo), 0);
	assert_int_equal(hypr_vmo_ws_read(vmo, &range, &nr), 0);
	assert_int_equal(nr, 2);
	assert_memory_equal(range, wanted, sizeof(wanted));
	free(range);
	hypr_vmo_close(vmo);
	/* Of this one nothing was recorded later. */
	assert_int_equal(hypr_vmo_open(FOLDER "/v1-base.vmo", &vmo), 0);
	assert_int_equal(hypr_vmo_ws_read(vmo, &range, &nr), 0);
	assert_int_equal(nr, 1);
	assert_int_equal(range->gpa, 2 * PAGE);
	free(range);
	hypr_vmo_close(vmo);
}

static void assert_same_file(const char *name)
{
	uint8_t a[128 * 1024], b[128 * 1024];
	char path[200];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), FOLDER "/%s", name);
	fd = open(path, O_RDONLY);
	n = read(fd, a, sizeof(a));
	close(fd);
	fd = open(kit_path(name), O_RDONLY);
	assert_true(n > 0 && n < (ssize_t)sizeof(a));
	assert_int_equal(read(fd, b, sizeof(b)), n);
	close(fd);
	assert_int_equal(memcmp(a, b, (size_t)n), 0);
}

static void test_the_same_is_written_today(void **ctx)
{
	struct hypr_vmo *vmo;

	(void)ctx;
	make_all(kit_path("."));
	assert_same_file("v1-base.vmo");
	assert_same_file("v1-child.vmo");
	assert_int_equal(unlink(kit_path("v1-base.vmo")), 0);
	assert_int_equal(hypr_vmo_open(FOLDER "/v1-packed.vmo", &vmo), 0);
	assert_int_equal(hypr_vmo_unpack(vmo, kit_path("v1-base.vmo"), 0, NULL), 0);
	hypr_vmo_close(vmo);
	assert_same_file("v1-base.vmo");
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		T(test_files_of_version_1_are_read),
		T(test_working_set_of_version_1_is_read),
		T(test_the_same_is_written_today),
	};

	if (argc == 3 && !strcmp(argv[1], "--make")) {
		make_all(argv[2]);
		return 0;
	}
	return cmocka_run_group_tests_name("vmo_golden", tests, NULL, NULL) ? 1 : 0;
}
