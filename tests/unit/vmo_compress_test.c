// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files that are packed as they are written: what is in one is what would have been
 * written, nothing plain ever has a name, and nothing is left of one that failed.
 */
#include "vmo_kit.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int write_with(const char *name, unsigned int flags, const uint8_t *mem,
		      struct hypr_vmo *parent, struct hypr_vmo_written *written)
{
	struct hypr_vmo_params params = kit_params(parent);
	struct hypr_vmo_writer *w;
	int ret;

	params.flags = flags;
	params.created_ns = 1;
	ret = hypr_vmo_writer_create(kit_path(name), &params, &w);
	if (ret)
		return ret;
	ret = hypr_vmo_writer_pages(w, 0, mem, KIT_PAGES, RWX);
	if (!ret)
		ret = hypr_vmo_writer_commit(w, written);
	hypr_vmo_writer_destroy(w);
	return ret;
}

static void assert_memory(const char *name, const uint8_t *mem)
{
	uint8_t *got = malloc(KIT_BYTES);
	struct hypr_vmo *vmo = kit_open(name);

	assert_int_equal(hypr_vmo_read(vmo, 0, got, KIT_BYTES), 0);
	assert_memory_equal(got, mem, KIT_BYTES);
	hypr_vmo_close(vmo);
	free(got);
}

static void assert_same_bytes(const char *a, const char *b)
{
	struct kit_file one = kit_load(a), two = kit_load(b);

	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.bytes, two.bytes, one.len);
	kit_unload(&one);
	kit_unload(&two);
}

static void test_inside_is_the_plain_file(void **ctx)
{
	uint8_t *mem = kit_memory();
	struct hypr_vmo_written plain, packed;
	struct hypr_vmo_info info;
	struct hypr_vmo *vmo;
	struct stat st;

	(void)ctx;
	assert_int_equal(write_with("plain.vmo", 0, mem, NULL, &plain), 0);
	assert_int_equal(write_with("a.vmo", HYPR_VMO_COMPRESS, mem, NULL, &packed), 0);
	assert_memory_equal(packed.root, plain.root, sizeof(plain.root));
	assert_int_equal(packed.pages_stored, plain.pages_stored);
	assert_int_equal(stat(kit_path("a.vmo"), &st), 0);
	assert_int_equal(packed.file_bytes, st.st_size);
	vmo = kit_open("a.vmo");
	hypr_vmo_info(vmo, &info);
	assert_true(info.packed);
	assert_int_equal(hypr_vmo_unpack(vmo, kit_path("b.vmo"), 0, NULL), 0);
	hypr_vmo_close(vmo);
	assert_same_bytes("b.vmo", "plain.vmo");
	assert_int_equal(kit_count(), 3);
	free(mem);
}

/* A layer, and the layer below it, both of them packed. */
static void test_layers(void **ctx)
{
	uint8_t *mem = kit_memory();
	struct hypr_vmo *parent;
	struct hypr_vmo_written written;

	(void)ctx;
	assert_int_equal(write_with("a.vmo", HYPR_VMO_COMPRESS, mem, NULL, NULL), 0);
	mem[5 * PAGE] ^= 1;
	parent = kit_open("a.vmo");
	assert_int_equal(write_with("b.vmo", HYPR_VMO_COMPRESS, mem, parent, &written), 0);
	hypr_vmo_close(parent);
	assert_int_equal(written.pages_stored, 1);
	assert_memory("b.vmo", mem);
	free(mem);
}

static void test_names(void **ctx)
{
	uint8_t *mem = kit_memory();
	unsigned int both = HYPR_VMO_COMPRESS | HYPR_VMO_REPLACE;

	(void)ctx;
	assert_int_equal(write_with("a.vmo", HYPR_VMO_COMPRESS, mem, NULL, NULL), 0);
	assert_int_equal(write_with("a.vmo", HYPR_VMO_COMPRESS, mem, NULL, NULL), -EEXIST);
	mem[0] ^= 1;
	assert_int_equal(write_with("a.vmo", both, mem, NULL, NULL), 0);
	assert_memory("a.vmo", mem);
	assert_int_equal(kit_count(), 1);
	free(mem);
}

/* A limit on the length of files stands for a full disk: in the plain one or after it. */
static void test_no_space_leaves_nothing(void **ctx)
{
	struct rlimit old, now;
	uint8_t *mem = kit_memory();
	unsigned int failed = 0;
	rlim_t limit;
	int ret;

	(void)ctx;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	now = old;
	for (limit = 0; limit < 2 * KIT_BYTES; limit += 1999) {
		now.rlim_cur = limit;
		setrlimit(RLIMIT_FSIZE, &now);
		ret = write_with("a.vmo", HYPR_VMO_COMPRESS, mem, NULL, NULL);
		setrlimit(RLIMIT_FSIZE, &old);
		if (!ret)
			break;
		failed++;
		assert_int_equal(ret, -EFBIG);
		assert_int_equal(kit_count(), 0);
	}
	assert_int_equal(ret, 0);
	assert_true(failed > 10);
	signal(SIGXFSZ, SIG_DFL);
	free(mem);
}

static void write_for_ever(const uint8_t *mem)
{
	while (!write_with("a.vmo", HYPR_VMO_COMPRESS | HYPR_VMO_REPLACE, mem, NULL, NULL))
		;
	_exit(1);
}

/* Killed at any moment: what has the name is whole and packed, and no litter stays. */
static void test_kill_leaves_whole_files_only(void **ctx)
{
	uint64_t state = kit_seed();
	uint8_t *mem = kit_memory();
	int i, status;
	pid_t pid;

	(void)ctx;
	for (i = 0; i < 100; i++) {
		struct hypr_vmo_info info;
		struct hypr_vmo *vmo;

		pid = fork();
		if (!pid)
			write_for_ever(mem);
		usleep((useconds_t)(kit_random(&state) % 12000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		if (access(kit_path("a.vmo"), F_OK))
			continue;
		vmo = kit_open("a.vmo");
		hypr_vmo_info(vmo, &info);
		assert_true(info.packed);
		hypr_vmo_close(vmo);
		assert_memory("a.vmo", mem);
	}
	assert_int_equal(write_with("a.vmo", HYPR_VMO_COMPRESS | HYPR_VMO_REPLACE, mem, NULL,
				    NULL), 0);
	assert_int_equal(kit_count(), 1);
	free(mem);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_inside_is_the_plain_file),
		T(test_layers),
		T(test_names),
		T(test_no_space_leaves_nothing),
		T(test_kill_leaves_whole_files_only),
	};

	return cmocka_run_group_tests_name("vmo_compress", tests, NULL, NULL) ? 1 : 0;
}
