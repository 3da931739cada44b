// SPDX-License-Identifier: GPL-2.0-only
/* VMO files written and read back: what comes back, and what a writer refuses. */
#include "vmo_kit.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

static void assert_memory(struct hypr_vmo *vmo, const uint8_t *mem)
{
	uint8_t *read = malloc(KIT_BYTES), *map;

	assert_int_equal(hypr_vmo_read(vmo, 0, read, KIT_BYTES), 0);
	assert_memory_equal(read, mem, KIT_BYTES);
	free(read);
	map = mmap(NULL, KIT_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(map, MAP_FAILED);
	assert_int_equal(hypr_vmo_map(vmo, map), 0);
	assert_memory_equal(map, mem, KIT_BYTES);
	/* Private: the file does not change. */
	memset(map, 0xee, KIT_BYTES);
	read = malloc(KIT_BYTES);
	assert_int_equal(hypr_vmo_read(vmo, 0, read, KIT_BYTES), 0);
	assert_memory_equal(read, mem, KIT_BYTES);
	free(read);
	munmap(map, KIT_BYTES);
}

static void test_memory_and_sections_come_back(void **ctx)
{
	uint8_t *mem = kit_memory();
	struct hypr_vmo_info info;
	struct hypr_vmo *vmo;
	const void *data;
	uint32_t version;
	struct stat st;
	size_t bytes;

	(void)ctx;
	kit_write("a.vmo", mem, NULL);
	assert_int_equal(stat(kit_path("a.vmo"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	vmo = kit_open("a.vmo");
	assert_memory(vmo, mem);
	assert_int_equal(hypr_vmo_section(vmo, HYPR_VMO_VCPU, 1, &data, &bytes, &version), 0);
	assert_int_equal(bytes, 500);
	assert_int_equal(version, 7);
	assert_int_equal(((const uint8_t *)data)[499], 0x11);
	assert_int_equal(hypr_vmo_section(vmo, 1000, 3, &data, &bytes, NULL), 0);
	assert_memory_equal(data, "of another time", bytes);
	assert_int_equal(hypr_vmo_section(vmo, HYPR_VMO_PIT, 0, &data, &bytes, NULL), -ENOENT);
	assert_int_equal(hypr_vmo_section(vmo, HYPR_VMO_DATA, 0, &data, &bytes, NULL), -EINVAL);

	hypr_vmo_info(vmo, &info);
	assert_int_equal(info.nr_vcpus, 2);
	assert_int_equal(info.layers, 1);
	assert_int_equal(info.mem_bytes, KIT_BYTES);
	assert_int_equal(info.created_ns, 1700000000000000000u);
	assert_int_equal(info.file_bytes, st.st_size);
	assert_int_equal(info.pages_stored, 14);
	assert_int_equal(info.pages_zero, KIT_PAGES - 14);
	assert_false(info.packed);
	assert_false(info.has_signature);
	hypr_vmo_close(vmo);
	free(mem);
}

static void test_zero_pages_take_no_space(void **ctx)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;
	struct hypr_vmo_info info;
	struct hypr_vmo *vmo;
	uint8_t *mem = calloc(KIT_PAGES, PAGE);

	(void)ctx;
	params.mem_bytes = 16ull << 30;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 0, mem, KIT_PAGES, RWX), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, KIT_BYTES, NULL, 1000, RWX), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	vmo = kit_open("a.vmo");
	hypr_vmo_info(vmo, &info);
	assert_int_equal(info.pages_stored, 0);
	assert_int_equal(info.pages_zero, 4 << 20);
	assert_int_equal(info.nr_runs, 1);
	assert_true(info.file_bytes < 2 * PAGE);
	hypr_vmo_close(vmo);
	free(mem);
}

/* Permissions are kept page by page; what is never added is zero, and RWX. */
static void test_permissions_and_gaps(void **ctx)
{
	static const uint32_t flags[] = {
		HYPR_VMO_RUN_R, HYPR_VMO_RUN_R | HYPR_VMO_RUN_W,
		HYPR_VMO_RUN_R | HYPR_VMO_RUN_X, RWX,
	};
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_segment segment;
	uint8_t *mem = kit_memory();
	struct hypr_vmo_writer *w;
	struct hypr_vmo *vmo;
	unsigned int i;

	(void)ctx;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(hypr_vmo_writer_pages(w, (8 * i + 1) * PAGE,
						       mem + (8 * i + 1) * PAGE, 1, flags[i]), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	vmo = kit_open("a.vmo");
	for (i = 0; i < 4; i++) {
		assert_int_equal(hypr_vmo_segment(vmo, (8 * i + 1) * PAGE, &segment), 0);
		assert_int_equal(segment.flags, flags[i]);
		assert_int_equal(segment.pages, 1);
		assert_int_equal(segment.offset, (1 + i) * PAGE);
		assert_int_equal(hypr_vmo_segment(vmo, (8 * i + 2) * PAGE, &segment), 0);
		assert_int_equal(segment.flags, RWX | HYPR_VMO_RUN_ZERO);
		assert_int_equal(segment.fd, -1);
	}
	assert_int_equal(hypr_vmo_segment(vmo, KIT_BYTES, &segment), -EINVAL);
	assert_int_equal(hypr_vmo_segment(vmo, 1, &segment), -EINVAL);
	hypr_vmo_close(vmo);
	free(mem);
}

static void test_read_any_range(void **ctx)
{
	static const struct { uint64_t gpa, bytes; } ranges[] = {
		{ 0, 0 }, { 0, 1 }, { PAGE - 1, 2 }, { 3 * PAGE - 5, 5000 }, { 5 * PAGE + 7, 100 },
		{ KIT_BYTES - 1, 1 }, { KIT_BYTES, 0 }, { 1, KIT_BYTES - 2 },
	};
	uint8_t *mem = kit_memory(), *read = malloc(KIT_BYTES);
	struct hypr_vmo *vmo;
	size_t i;

	(void)ctx;
	kit_write("a.vmo", mem, NULL);
	vmo = kit_open("a.vmo");
	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		assert_int_equal(hypr_vmo_read(vmo, ranges[i].gpa, read, ranges[i].bytes), 0);
		assert_int_equal(memcmp(read, mem + ranges[i].gpa, ranges[i].bytes), 0);
	}
	assert_int_equal(hypr_vmo_read(vmo, KIT_BYTES, read, 1), -EINVAL);
	assert_int_equal(hypr_vmo_read(vmo, 1, read, KIT_BYTES), -EINVAL);
	assert_int_equal(hypr_vmo_read(vmo, 4, read, UINT64_MAX - 2), -EINVAL);
	hypr_vmo_close(vmo);
	free(read);
	free(mem);
}

/* Seeded memories, sizes, pieces and permissions. */
static void round_trip(uint64_t *state)
{
	uint64_t pages = 1 + kit_random(state) % 600, done = 0, part;
	struct hypr_vmo_params params = kit_params(NULL);
	uint8_t *mem = calloc(pages, PAGE), *read = malloc(pages * PAGE);
	struct hypr_vmo_writer *w;
	struct hypr_vmo *vmo;
	uint64_t i;

	params.mem_bytes = pages * PAGE;
	params.flags = HYPR_VMO_REPLACE;
	for (i = 0; i < pages; i++) {
		if (kit_random(state) % 3)
			kit_fill(mem + i * PAGE, kit_random(state));
	}
	assert_int_equal(hypr_vmo_writer_create(kit_path("r.vmo"), &params, &w), 0);
	while (done < pages) {
		part = 1 + kit_random(state) % (pages - done);
		assert_int_equal(hypr_vmo_writer_pages(w, done * PAGE, mem + done * PAGE, part,
						       HYPR_VMO_RUN_R | (kit_random(state) & 6)),
				 0);
		done += part;
	}
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	vmo = kit_open("r.vmo");
	assert_int_equal(hypr_vmo_read(vmo, 0, read, pages * PAGE), 0);
	assert_int_equal(memcmp(read, mem, pages * PAGE), 0);
	hypr_vmo_close(vmo);
	free(read);
	free(mem);
}

static void test_round_trips(void **ctx)
{
	uint64_t state = kit_seed();
	int i;

	(void)ctx;
	for (i = 0; i < 60; i++)
		round_trip(&state);
}

static void test_writer_refuses(void **ctx)
{
	struct hypr_vmo_params params = kit_params(NULL);
	uint8_t *mem = kit_memory();
	struct hypr_vmo_writer *w;
	struct hypr_vmo_range bad = { PAGE, KIT_PAGES };

	(void)ctx;
	params.mem_bytes = PAGE + 1;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), -EINVAL);
	params.mem_bytes = 0;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), -EINVAL);
	params = kit_params(NULL);
	params.nr_vcpus = HYPR_VMO_VCPUS_MAX + 1;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), -EINVAL);
	params = kit_params(NULL);
	params.size = 8;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), -EINVAL);
	params = kit_params(NULL);
	params.flags = 8;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), -EINVAL);
	params = kit_params(NULL);
	assert_int_equal(hypr_vmo_writer_create(kit_path("."), &params, &w), -EINVAL);
	assert_int_equal(hypr_vmo_writer_create(kit_path("no/a.vmo"), &params, &w), -ENOENT);

	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 8 * PAGE, mem, 2, RWX), 0);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_RUNS, 0, 1, 0, "", 0), -EINVAL);
	assert_int_equal(hypr_vmo_writer_section(w, 1000, 0, 1, 0, "", 0), -EINVAL);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_VCPU, 2, 1, 0, "", 0), -EINVAL);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_PIT, 1, 1, 0, "", 0), -EINVAL);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_PIT, 0, 1, 2, "", 0), -EINVAL);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_PIT, 0, 1, 0, mem,
						 HYPR_VMO_OPAQUE_MAX_BYTES + 1), -EINVAL);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_WORKING_SET, 0, 1, 0, &bad,
						 sizeof(bad)), -EINVAL);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_PIT, 0, 1, 0, "", 0), 0);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_PIT, 0, 1, 0, "", 0), -EEXIST);
	/* A wrong call is no failed write: it can go on. */
	assert_int_equal(hypr_vmo_writer_pages(w, 0, mem, 1, RWX), -EINVAL);
	assert_int_equal(hypr_vmo_writer_pages(w, 10 * PAGE + 1, mem, 1, RWX), -EINVAL);
	assert_int_equal(hypr_vmo_writer_pages(w, 10 * PAGE, mem, 1, HYPR_VMO_RUN_W), -EINVAL);
	assert_int_equal(hypr_vmo_writer_pages(w, 10 * PAGE, mem, 1, 0xff), -EINVAL);
	assert_int_equal(hypr_vmo_writer_pages(w, 10 * PAGE, mem, KIT_PAGES - 9, RWX), -EINVAL);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), -EINVAL);
	assert_int_equal(hypr_vmo_writer_pages(w, 12 * PAGE, mem, 1, RWX), -EINVAL);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_RTC, 0, 1, 0, "", 0), -EINVAL);
	hypr_vmo_writer_destroy(w);
	hypr_vmo_close(kit_open("a.vmo"));
	free(mem);
}

static void test_too_many_sections(void **ctx)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;
	unsigned int i;

	(void)ctx;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	for (i = 0; i < HYPR_VMO_SECTIONS_MAX - 4; i++)
		assert_int_equal(hypr_vmo_writer_section(w, 1000, i, 1,
							 HYPR_VMO_SECTION_OPTIONAL, &i,
							 sizeof(i)), 0);
	assert_int_equal(hypr_vmo_writer_section(w, 1000, i, 1, HYPR_VMO_SECTION_OPTIONAL, &i,
						 sizeof(i)), -E2BIG);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	hypr_vmo_close(kit_open("a.vmo"));
}

static void test_too_long_sections(void **ctx)
{
	const size_t most = HYPR_VMO_OPAQUE_MAX_BYTES, room = most - HYPR_VMO_NAME_MAX_BYTES;
	struct hypr_vmo_params params = kit_params(NULL);
	uint8_t *zero = calloc(1, most);
	struct hypr_vmo_writer *w;

	(void)ctx;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_section(w, 1000, 0, 1, HYPR_VMO_SECTION_OPTIONAL, zero,
						 most), 0);
	assert_int_equal(hypr_vmo_writer_section(w, 1000, 1, 1, HYPR_VMO_SECTION_OPTIONAL, zero,
						 room + 1), -E2BIG);
	assert_int_equal(hypr_vmo_writer_section(w, 1000, 1, 1, HYPR_VMO_SECTION_OPTIONAL, zero,
						 room), 0);
	assert_int_equal(hypr_vmo_writer_section(w, 1000, 2, 1, HYPR_VMO_SECTION_OPTIONAL, zero,
						 1), -E2BIG);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	hypr_vmo_close(kit_open("a.vmo"));
	free(zero);
}

/* Pages of a memory of @pages that have R and RW in turn, all of them zero. */
static int write_stripes(uint64_t pages, const char *name)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;
	uint64_t i;
	int ret = 0;

	params.mem_bytes = pages * PAGE;
	assert_int_equal(hypr_vmo_writer_create(kit_path(name), &params, &w), 0);
	for (i = 0; !ret && i < pages; i++)
		ret = hypr_vmo_writer_pages(w, i * PAGE, NULL, 1, i % 2 ? 1 : 3);
	if (ret)
		assert_int_equal(hypr_vmo_writer_commit(w, NULL), -EINVAL);
	else
		assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	return ret;
}

static void test_too_many_pieces(void **ctx)
{
	struct hypr_vmo *vmo;

	(void)ctx;
	assert_int_equal(write_stripes(HYPR_VMO_RUNS_MAX + 1, "a.vmo"), -E2BIG);
	assert_int_equal(kit_count(), 0);
	/* With its note the core would have 65535 headers: ELF's PN_XNUM. */
	assert_int_equal(write_stripes(65534, "a.vmo"), 0);
	vmo = kit_open("a.vmo");
	assert_int_equal(hypr_vmo_export(vmo, kit_path("core"), 0, NULL), -E2BIG);
	hypr_vmo_close(vmo);
	assert_int_equal(kit_count(), 1);
	assert_int_equal(write_stripes(65533, "b.vmo"), 0);
	vmo = kit_open("b.vmo");
	assert_int_equal(hypr_vmo_export(vmo, kit_path("core"), 0, NULL), 0);
	hypr_vmo_close(vmo);
}

/* More pieces than there may be mappings: the shortest are copied. */
static void test_many_pieces_are_mapped(void **ctx)
{
	uint64_t pages = 40000, i;
	struct hypr_vmo_params params = kit_params(NULL);
	uint8_t *mem = calloc(pages, PAGE), *map;
	struct hypr_vmo_writer *w;
	struct hypr_vmo *vmo;

	(void)ctx;
	for (i = 0; i < pages; i++)
		mem[i * PAGE + i % PAGE] = i % 2 || i % 100 < 10;
	params.mem_bytes = pages * PAGE;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 0, mem, pages, RWX), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	vmo = kit_open("a.vmo");
	map = mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	assert_int_equal(hypr_vmo_map(vmo, map), 0);
	assert_int_equal(memcmp(map, mem, pages * PAGE), 0);
	munmap(map, pages * PAGE);
	hypr_vmo_close(vmo);
	free(mem);
}

/* ---- what stands under which name ------------------------------------------ */

static void test_nothing_before_the_commit(void **ctx)
{
	struct hypr_vmo_params params = kit_params(NULL);
	uint8_t *mem = kit_memory();
	struct hypr_vmo_writer *w;

	(void)ctx;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 0, mem, KIT_PAGES, RWX), 0);
	assert_int_equal(access(kit_path("a.vmo"), F_OK), -1);
	hypr_vmo_writer_destroy(w);
	hypr_vmo_writer_destroy(NULL);
	assert_int_equal(kit_count(), 0);
	free(mem);
}

static void test_a_file_that_is_there_stays(void **ctx)
{
	struct hypr_vmo_params params = kit_params(NULL);
	uint8_t *mem = kit_memory();
	struct hypr_vmo_writer *w, *late;
	struct hypr_vmo *vmo;

	(void)ctx;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &late), 0);
	kit_write("a.vmo", mem, NULL);
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), -EEXIST);
	assert_int_equal(hypr_vmo_writer_commit(late, NULL), -EEXIST);
	hypr_vmo_writer_destroy(late);
	vmo = kit_open("a.vmo");
	assert_memory(vmo, mem);

	/* Replaced at once; who has the old one open keeps it. */
	params.flags = HYPR_VMO_REPLACE;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	assert_memory(vmo, mem);
	hypr_vmo_close(vmo);
	memset(mem, 0, KIT_BYTES);
	vmo = kit_open("a.vmo");
	assert_memory(vmo, mem);
	hypr_vmo_close(vmo);
	assert_int_equal(kit_count(), 1);
	free(mem);
}

/* A limit on the length of files stands for a full disk: it comes at any place. */
static int write_limited(rlim_t limit, const uint8_t *mem)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct rlimit old, now;
	struct hypr_vmo_writer *w;
	int ret;

	getrlimit(RLIMIT_FSIZE, &old);
	now = old;
	now.rlim_cur = limit;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	setrlimit(RLIMIT_FSIZE, &now);
	ret = hypr_vmo_writer_pages(w, 0, mem, KIT_PAGES, RWX);
	if (ret)
		assert_int_equal(hypr_vmo_writer_commit(w, NULL), -EINVAL);
	else
		ret = hypr_vmo_writer_commit(w, NULL);
	setrlimit(RLIMIT_FSIZE, &old);
	hypr_vmo_writer_destroy(w);
	return ret;
}

static void test_no_space_leaves_nothing(void **ctx)
{
	uint8_t *mem = kit_memory();
	struct stat st;
	rlim_t limit;

	(void)ctx;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(write_limited(1 << 20, mem), 0);
	assert_int_equal(stat(kit_path("a.vmo"), &st), 0);
	unlink(kit_path("a.vmo"));
	for (limit = 0; limit < (rlim_t)st.st_size; limit += 331) {
		assert_int_equal(write_limited(limit, mem), -EFBIG);
		assert_int_equal(kit_count(), 0);
	}
	signal(SIGXFSZ, SIG_DFL);
	free(mem);
}

/*
 * A disk that is full indeed: a small tmpfs, in a process with mounts of its own.
 * The exit status is the number of what went wrong; 77: it may not mount.
 */
static int write_to_full_disk(const char *folder, const uint8_t *mem)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;
	struct statfs fs;
	char options[32];
	unsigned int pages;
	int ret;

	if (unshare(CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0)) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 77;
	for (pages = 1; pages < 24; pages++) {
		snprintf(options, sizeof(options), "size=%u", pages * PAGE);
		if (mount("hypr", folder, "tmpfs", 0, options))
			return 77;
		params.flags = pages % 2 ? HYPR_VMO_REPLACE : 0;
		if (hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w))
			return 1;
		ret = hypr_vmo_writer_pages(w, 0, mem, KIT_PAGES, RWX);
		if (!ret)
			ret = hypr_vmo_writer_commit(w, NULL);
		/* 14 pages of data, the header, and a page for the tables. */
		if (ret != (pages < 16 ? -ENOSPC : 0))
			return 2;
		if (ret && !strstr(hypr_error(), "a.vmo: writing"))
			return 3;
		hypr_vmo_writer_destroy(w);
		if (kit_count() != !ret)
			return 4;
		/* And the space is there again. */
		if (ret && (statfs(folder, &fs) || fs.f_bfree != fs.f_blocks))
			return 5;
		if (umount2(folder, MNT_DETACH))
			return 6;
	}
	return 0;
}

static void test_a_full_disk_leaves_nothing(void **ctx)
{
	uint8_t *mem = kit_memory();
	int status;
	pid_t pid;

	(void)ctx;
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(write_to_full_disk(kit_path("."), mem));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	free(mem);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("# a tmpfs cannot be mounted here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Killed at any moment: no file of the final name that is not whole, no litter. */
static void write_for_ever(const uint8_t *mem)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;

	params.flags = HYPR_VMO_REPLACE;
	for (;;) {
		if (hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w) ||
		    hypr_vmo_writer_pages(w, 0, mem, KIT_PAGES, RWX) ||
		    hypr_vmo_writer_commit(w, NULL))
			_exit(1);
		hypr_vmo_writer_destroy(w);
	}
}

static void test_kill_leaves_whole_files_only(void **ctx)
{
	struct hypr_vmo_params params = kit_params(NULL);
	uint64_t state = kit_seed();
	uint8_t *mem = kit_memory();
	struct hypr_vmo_writer *w;
	int i, status;
	pid_t pid;

	(void)ctx;
	/* 200 times by force; by Ctrl-C, which a shell may have us ignore, and kill. */
	signal(SIGINT, SIG_DFL);
	for (i = 0; i < 400; i++) {
		int signal = i < 200 ? SIGKILL : i % 2 ? SIGINT : SIGTERM;

		pid = fork();
		assert_true(pid >= 0);	/* kill(-1) would be meant for all */
		if (!pid)
			write_for_ever(mem);
		usleep((useconds_t)(kit_random(&state) % 8000));
		kill(pid, signal);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == signal);
		if (!access(kit_path("a.vmo"), F_OK)) {
			struct hypr_vmo *vmo = kit_open("a.vmo");

			assert_memory(vmo, mem);
			hypr_vmo_close(vmo);
		}
	}
	/* What may be left of the instant of a replacement goes with the next one. */
	params.flags = HYPR_VMO_REPLACE;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	assert_int_equal(kit_count(), 1);
	free(mem);
}

static void test_litter_goes_and_what_is_in_use_stays(void **ctx)
{
	uint8_t *mem = kit_memory();
	int fd;

	(void)ctx;
	fd = open(kit_path(".x.vmo.00000001.hypr-tmp"), O_CREAT | O_RDWR, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	close(open(kit_path(".x.vmo.00000002.hypr-tmp"), O_CREAT | O_RDWR, 0600));
	close(open(kit_path("not.hypr-tmp"), O_CREAT | O_RDWR, 0600));
	kit_write("a.vmo", mem, NULL);
	assert_int_equal(access(kit_path(".x.vmo.00000001.hypr-tmp"), F_OK), 0);
	assert_int_equal(access(kit_path(".x.vmo.00000002.hypr-tmp"), F_OK), -1);
	assert_int_equal(access(kit_path("not.hypr-tmp"), F_OK), 0);
	close(fd);
	free(mem);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_memory_and_sections_come_back),
		T(test_zero_pages_take_no_space),
		T(test_permissions_and_gaps),
		T(test_read_any_range),
		T(test_round_trips),
		T(test_writer_refuses),
		T(test_too_many_sections),
		T(test_too_long_sections),
		T(test_too_many_pieces),
		T(test_many_pieces_are_mapped),
		T(test_nothing_before_the_commit),
		T(test_a_file_that_is_there_stays),
		T(test_no_space_leaves_nothing),
		T(test_a_full_disk_leaves_nothing),
		T(test_kill_leaves_whole_files_only),
		T(test_litter_goes_and_what_is_in_use_stays),
	};

	return cmocka_run_group_tests_name("vmo_write", tests, NULL, NULL) ? 1 : 0;
}
