// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a file is written: what is under the name, and what the new file needs, is
 * there afterwards as it was before, whatever the way to name it.
 */
#include "vmo_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

/* ---- storage that lacks something ------------------------------------------ */

/**
 * struct lacks - what calls of this program find
 * @tmpfile, @link, @rename: no O_TMPFILE, hard links, renameat2()
 * @lock, @sync: errno of flock() and fsync(), or 0
 * @write: how many pwrite() succeed before the disk is full; 0: all
 */
static struct lacks {
	bool tmpfile, link, rename;
	int lock, sync, write;
} lacks;

static int fails(int err)
{
	errno = err;
	return -1;
}

int __real_openat(int dir, const char *name, int flags, ...);
int __wrap_openat(int dir, const char *name, int flags, ...);
int __wrap_openat(int dir, const char *name, int flags, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, flags);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	if (lacks.tmpfile && (flags & O_TMPFILE) == O_TMPFILE)
		return fails(EOPNOTSUPP);
	return __real_openat(dir, name, flags, mode);
}

int __real_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags);
int __wrap_linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return lacks.link ? fails(EPERM) : __real_linkat(from_dir, from, to_dir, to, flags);
}

int __real_renameat2(int from_dir, const char *from, int to_dir, const char *to,
		     unsigned int flags);
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to,
		     unsigned int flags);
int __wrap_renameat2(int from_dir, const char *from, int to_dir, const char *to,
		     unsigned int flags)
{
	return lacks.rename ? fails(EINVAL) : __real_renameat2(from_dir, from, to_dir, to, flags);
}

int __real_flock(int fd, int how);
int __wrap_flock(int fd, int how);
int __wrap_flock(int fd, int how)
{
	return lacks.lock ? fails(lacks.lock) : __real_flock(fd, how);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	/* Nothing here asks what a power cut leaves. */
	(void)fd;
	return lacks.sync ? fails(lacks.sync) : 0;
}

ssize_t __real_pwrite(int fd, const void *data, size_t bytes, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t bytes, off_t at);
ssize_t __wrap_pwrite(int fd, const void *data, size_t bytes, off_t at)
{
	if (lacks.write && !--lacks.write) {
		lacks.write = 1;
		return fails(ENOSPC);
	}
	return __real_pwrite(fd, data, bytes, at);
}

/* base.vmo, child.vmo on it, and two further names of each. */
static uint8_t *start(void)
{
	static const char *const names[] = { "base", "child" };
	uint8_t *mem = kit_memory();
	struct hypr_vmo *base;
	char name[32], other[32];
	size_t i;

	kit_write("base.vmo", mem, NULL);
	base = kit_open("base.vmo");
	mem[PAGE] ^= 1;
	kit_write("child.vmo", mem, base);
	hypr_vmo_close(base);
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(name, sizeof(name), "%s.vmo", names[i]);
		snprintf(other, sizeof(other), "%s-link.vmo", names[i]);
		assert_int_equal(symlink(name, kit_path(other)), 0);
		snprintf(other, sizeof(other), "%s-hard.vmo", names[i]);
		assert_int_equal(link(kit_path(name), kit_path(other)), 0);
	}
	return mem;
}

static void assert_whole(const char *name, const uint8_t *mem)
{
	struct hypr_vmo_verify_result result;
	uint8_t *read = malloc(KIT_BYTES);
	struct hypr_vmo *vmo = kit_open(name);

	assert_int_equal(hypr_vmo_verify(vmo, &result), 0);
	assert_int_equal(hypr_vmo_read(vmo, 0, read, KIT_BYTES), 0);
	assert_memory_equal(read, mem, KIT_BYTES);
	hypr_vmo_close(vmo);
	free(read);
}

static void assert_words(int ret, int err, const char *words)
{
	if (ret != err || !strstr(hypr_error(), words))
		fail_msg("%d '%s', not %d '%s'", ret, hypr_error(), err, words);
}

static int write_child(const char *name, struct hypr_vmo *parent, const uint8_t *mem,
		       unsigned int flags)
{
	struct hypr_vmo_params params = kit_params(parent);
	struct hypr_vmo_writer *w;
	int ret;

	params.flags = flags;
	ret = hypr_vmo_writer_create(kit_path(name), &params, &w);
	if (ret)
		return ret;
	ret = hypr_vmo_writer_pages(w, 0, mem, KIT_PAGES, RWX);
	if (!ret)
		ret = hypr_vmo_writer_commit(w, NULL);
	hypr_vmo_writer_destroy(w);
	return ret;
}

/* ---- files that are needed ------------------------------------------------- */

static void test_a_parent_is_not_replaced_under_any_name(void **ctx)
{
	static const char *const opened[] = { "child.vmo", "child-link.vmo", "child-hard.vmo" };
	static const char *const written[] = {
		"child.vmo", "child-hard.vmo", "base.vmo", "base-hard.vmo",
	};
	uint8_t *mem = start();
	struct hypr_vmo *parent;
	size_t i, n;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(opened); i++) {
		parent = kit_open(opened[i]);
		for (n = 0; n < ARRAY_SIZE(written); n++) {
			assert_words(write_child(written[n], parent, mem, HYPR_VMO_REPLACE),
				     -EINVAL, "would replace");
			assert_words(write_child(written[n], parent, mem,
						 HYPR_VMO_REPLACE | HYPR_VMO_COMPRESS),
				     -EINVAL, "would replace");
		}
		hypr_vmo_close(parent);
		assert_whole("child.vmo", mem);
	}
	assert_int_equal(kit_count(), 6);
	free(mem);
}

/* A link may lead elsewhere tomorrow: the child names the file that it needs. */
static void test_a_parent_has_its_own_name_in_the_child(void **ctx)
{
	uint8_t *mem = start();
	struct hypr_vmo *parent, *vmo;
	struct hypr_vmo_info info;

	(void)ctx;
	parent = kit_open("child-link.vmo");
	assert_int_equal(write_child("b.vmo", parent, mem, 0), 0);
	hypr_vmo_close(parent);
	vmo = kit_open("b.vmo");
	hypr_vmo_info(vmo, &info);
	assert_string_equal(info.parent_name, "child.vmo");
	hypr_vmo_close(vmo);
	assert_int_equal(unlink(kit_path("child-link.vmo")), 0);
	assert_int_equal(symlink("b.vmo", kit_path("child-link.vmo")), 0);
	assert_whole("child-link.vmo", mem);
	free(mem);
}

/* A link to another folder is the only name that the parent has here. */
static void test_a_parent_elsewhere_keeps_the_name_of_its_link(void **ctx)
{
	uint8_t *mem = kit_memory();
	struct hypr_vmo *parent;

	(void)ctx;
	assert_int_equal(mkdir(kit_path("sub"), 0700), 0);
	kit_write("sub/base.vmo", mem, NULL);
	assert_int_equal(symlink("sub/base.vmo", kit_path("link.vmo")), 0);
	parent = kit_open("link.vmo");
	assert_int_equal(write_child("child.vmo", parent, mem, 0), 0);
	hypr_vmo_close(parent);
	parent = kit_open("sub/base.vmo");
	assert_int_equal(write_child("x.vmo", parent, mem, 0), -EXDEV);
	hypr_vmo_close(parent);
	assert_whole("child.vmo", mem);
	unlink(kit_path("sub/base.vmo"));
	rmdir(kit_path("sub"));
	free(mem);
}

/* Somebody replaces the parent while its child is written: there is no child then. */
static void test_a_parent_that_goes_meanwhile(void **ctx)
{
	static const unsigned int flags[] = { 0, HYPR_VMO_COMPRESS };
	struct hypr_vmo_params params;
	struct hypr_vmo_writer *w;
	struct hypr_vmo *parent;
	uint8_t *mem = start(), *other = calloc(KIT_PAGES, PAGE);
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		parent = kit_open("child.vmo");
		params = kit_params(parent);
		params.flags = flags[i];
		assert_int_equal(hypr_vmo_writer_create(kit_path("b.vmo"), &params, &w), 0);
		if (i)
			unlink(kit_path("base.vmo"));
		else
			assert_int_equal(write_child("child.vmo", NULL, other, HYPR_VMO_REPLACE),
					 0);
		assert_words(hypr_vmo_writer_commit(w, NULL), -ESTALE,
			     "b.vmo: its parent child.vmo was removed or replaced");
		hypr_vmo_writer_destroy(w);
		hypr_vmo_close(parent);
		assert_int_equal(access(kit_path("b.vmo"), F_OK), -1);
		assert_int_equal(i ? rename(kit_path("base-hard.vmo"), kit_path("base.vmo")) :
				     rename(kit_path("child-hard.vmo"), kit_path("child.vmo")), 0);
	}
	/* Packed meanwhile, it is the same one. */
	parent = kit_open("child.vmo");
	params = kit_params(parent);
	assert_int_equal(hypr_vmo_writer_create(kit_path("b.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 0, mem, KIT_PAGES, RWX), 0);
	assert_int_equal(hypr_vmo_pack(parent, kit_path("child.vmo"), HYPR_VMO_REPLACE, 0, NULL),
			 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	hypr_vmo_close(parent);
	assert_whole("b.vmo", mem);
	free(other);
	free(mem);
}

/* The name becomes a needed file's only when all of the new file was written. */
static void test_a_name_that_becomes_the_parents(void **ctx)
{
	struct hypr_vmo_params params;
	struct hypr_vmo_writer *w;
	uint8_t *mem = start();
	struct hypr_vmo *parent;

	(void)ctx;
	parent = kit_open("child.vmo");
	params = kit_params(parent);
	params.flags = HYPR_VMO_REPLACE;
	assert_int_equal(hypr_vmo_writer_create(kit_path("b.vmo"), &params, &w), 0);
	assert_int_equal(link(kit_path("base.vmo"), kit_path("b.vmo")), 0);
	assert_words(hypr_vmo_writer_commit(w, NULL), -EINVAL, "would replace");
	hypr_vmo_writer_destroy(w);
	hypr_vmo_close(parent);
	assert_whole("child.vmo", mem);
	free(mem);
}

typedef int (*tool_fn)(struct hypr_vmo *vmo, const char *path, unsigned int flags);

static int flatten(struct hypr_vmo *vmo, const char *path, unsigned int flags)
{
	return hypr_vmo_flatten(vmo, path, flags, NULL);
}

static int pack(struct hypr_vmo *vmo, const char *path, unsigned int flags)
{
	return hypr_vmo_pack(vmo, path, flags, 0, NULL);
}

static int unpack(struct hypr_vmo *vmo, const char *path, unsigned int flags)
{
	return hypr_vmo_unpack(vmo, path, flags, NULL);
}

static int export(struct hypr_vmo *vmo, const char *path, unsigned int flags)
{
	return hypr_vmo_export(vmo, path, flags, NULL);
}

static int record(struct hypr_vmo *vmo, const char *path, unsigned int flags)
{
	static const struct hypr_vmo_range used = { 0, 1 };

	return hypr_vmo_ws_write(vmo, path, flags, &used, 1);
}

/* @itself: may its output take its input's name? */
static const struct {
	const char *name;
	tool_fn run;
	bool itself;
} tools[] = {
	{ "flatten", flatten, true }, { "pack", pack, true }, { "unpack", unpack, true },
	{ "export", export, false }, { "record", record, false },
};

static void test_tools_replace_nothing_that_is_needed(void **ctx)
{
	static const char *const below[] = { "base.vmo", "base-hard.vmo" };
	uint8_t *mem = start();
	struct hypr_vmo *vmo;
	size_t i, n;
	int ret;

	(void)ctx;
	vmo = kit_open("child.vmo");
	assert_int_equal(pack(vmo, kit_path("packed.vmo"), 0), 0);
	hypr_vmo_close(vmo);
	for (i = 0; i < ARRAY_SIZE(tools); i++) {
		const char *name = tools[i].run == unpack ? "packed.vmo" : "child.vmo";

		print_message("# %s\n", tools[i].name);
		vmo = kit_open(name);
		for (n = 0; n < ARRAY_SIZE(below); n++)
			assert_words(tools[i].run(vmo, kit_path(below[n]), HYPR_VMO_REPLACE),
				     -EINVAL, "would replace");
		if (!tools[i].itself) {
			assert_words(tools[i].run(vmo, kit_path(name), HYPR_VMO_REPLACE),
				     -EINVAL, "would replace");
			assert_words(tools[i].run(vmo, kit_path("child-hard.vmo"),
						  HYPR_VMO_REPLACE), -EINVAL, "would replace");
		}
		hypr_vmo_close(vmo);
		assert_whole(name, mem);
	}
	/* Those that may: what was there is there, in another form. */
	for (i = 0; i < ARRAY_SIZE(tools); i++) {
		if (!tools[i].itself)
			continue;
		vmo = kit_open(tools[i].run == flatten ? "child-hard.vmo" :
			       tools[i].run == unpack ? "packed.vmo" : "child.vmo");
		ret = tools[i].run(vmo, vmo->path, HYPR_VMO_REPLACE);
		assert_int_equal(ret, 0);
		assert_whole(strrchr(vmo->path, '/') + 1, mem);
		hypr_vmo_close(vmo);
	}
	free(mem);
}

/* In another folder, too, a file under its parent's name would be its own ancestor. */
static void test_no_file_takes_its_parents_name(void **ctx)
{
	uint8_t *mem = start();
	struct hypr_vmo *vmo;

	(void)ctx;
	assert_int_equal(mkdir(kit_path("sub"), 0700), 0);
	vmo = kit_open("child.vmo");
	assert_words(pack(vmo, kit_path("sub/base.vmo"), 0), -EINVAL, "name of its parent");
	assert_int_equal(pack(vmo, kit_path("packed.vmo"), 0), 0);
	hypr_vmo_close(vmo);
	vmo = kit_open("packed.vmo");
	assert_words(unpack(vmo, kit_path("sub/base.vmo"), 0), -EINVAL, "name of its parent");
	hypr_vmo_close(vmo);
	assert_int_equal(rmdir(kit_path("sub")), 0);
	free(mem);
}

/* ---- what is no file ------------------------------------------------------- */

static int make_fifo(const char *path)
{
	return mkfifo(path, 0600);
}

static int make_link(const char *path)
{
	return symlink("child.vmo", path);
}

static int make_dangling_link(const char *path)
{
	return symlink("nothing", path);
}

static int make_folder(const char *path)
{
	return mkdir(path, 0700);
}

static int make_device(const char *path)
{
	return mknod(path, S_IFCHR | 0600, makedev(1, 3));
}

static int make_socket(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int ret, fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strncpy(to.sun_path, path, sizeof(to.sun_path) - 1);
	ret = bind(fd, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	return ret;
}

static const struct {
	const char *name;
	int (*make)(const char *path);
} others[] = {
	{ "FIFO", make_fifo }, { "symbolic link", make_link },
	{ "symbolic link", make_dangling_link }, { "folder", make_folder },
	{ "device", make_device }, { "socket", make_socket },
};

static void each_tool(struct hypr_vmo *vmo, struct hypr_vmo *packed, const char *words)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w = NULL;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tools); i++)
		assert_words(tools[i].run(tools[i].run == unpack ? packed : vmo, kit_path("out"),
					  HYPR_VMO_REPLACE), -EEXIST, words);
	params.flags = HYPR_VMO_REPLACE;
	assert_words(hypr_vmo_writer_create(kit_path("out"), &params, &w), -EEXIST, words);
	params.flags = HYPR_VMO_REPLACE | HYPR_VMO_COMPRESS;
	assert_words(hypr_vmo_writer_create(kit_path("out"), &params, &w), -EEXIST, words);
}

static void test_only_files_are_replaced(void **ctx)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo *vmo, *packed;
	struct hypr_vmo_writer *w;
	struct stat before, after;
	uint8_t *mem = start();
	char words[64];
	size_t i;
	int files;

	(void)ctx;
	vmo = kit_open("child.vmo");
	assert_int_equal(pack(vmo, kit_path("packed.vmo"), 0), 0);
	packed = kit_open("packed.vmo");
	files = kit_count();
	params.flags = HYPR_VMO_REPLACE;
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		/* Also when it comes only while the file is written. */
		assert_int_equal(hypr_vmo_writer_create(kit_path("out"), &params, &w), 0);
		if (others[i].make(kit_path("out"))) {
			print_message("# no %s can be made here\n", others[i].name);
			hypr_vmo_writer_destroy(w);
			continue;
		}
		snprintf(words, sizeof(words), "out: a %s is there", others[i].name);
		assert_int_equal(lstat(kit_path("out"), &before), 0);
		assert_words(hypr_vmo_writer_commit(w, NULL), -EEXIST, words);
		hypr_vmo_writer_destroy(w);
		each_tool(vmo, packed, words);
		assert_int_equal(lstat(kit_path("out"), &after), 0);
		assert_int_equal(after.st_ino, before.st_ino);
		assert_int_equal(after.st_mode, before.st_mode);
		assert_int_equal(remove(kit_path("out")), 0);
	}
	/* And flags that nobody knows are refused by all. */
	for (i = 0; i < ARRAY_SIZE(tools); i++) {
		assert_words(tools[i].run(tools[i].run == unpack ? packed : vmo, kit_path("out"),
					  1u << 31), -EINVAL, "flags 0x80000000");
		assert_words(tools[i].run(tools[i].run == unpack ? packed : vmo, kit_path("out"),
					  1u << 2), -EINVAL, "flags 0x4");
	}
	assert_int_equal(kit_count(), files);
	assert_whole("child.vmo", mem);
	hypr_vmo_close(packed);
	hypr_vmo_close(vmo);
	free(mem);
}

/* ---- storage that lacks something ------------------------------------------ */

static const struct lacks storages[] = {
	{ 0 }, { .tmpfile = true }, { .link = true }, { .rename = true },
	{ .tmpfile = true, .link = true }, { .tmpfile = true, .rename = true },
	{ .tmpfile = true, .link = true, .rename = true },
};

static const int locks[] = { 0, ENOLCK, ENOSYS, EOPNOTSUPP };

/* No file there, one that is there, one that comes meanwhile, one that is replaced. */
static void write_all_ways(unsigned int flags, uint8_t *mem)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;

	params.flags = flags;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_words(write_child("a.vmo", NULL, mem, flags), 0, "");
	assert_whole("a.vmo", mem);
	assert_words(hypr_vmo_writer_commit(w, NULL), -EEXIST, "a.vmo: it is there already");
	hypr_vmo_writer_destroy(w);
	assert_int_equal(write_child("a.vmo", NULL, mem, flags), -EEXIST);
	assert_whole("a.vmo", mem);
	mem[0] ^= 1;
	assert_words(write_child("a.vmo", NULL, mem, flags | HYPR_VMO_REPLACE), 0, "");
	assert_whole("a.vmo", mem);
	assert_int_equal(kit_count(), 1);
	assert_int_equal(unlink(kit_path("a.vmo")), 0);
}

static void test_storage_without_links_or_locks(void **ctx)
{
	uint8_t *mem = kit_memory();
	size_t i, n;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(storages); i++) {
		for (n = 0; n < ARRAY_SIZE(locks); n++) {
			lacks = storages[i];
			lacks.lock = locks[n];
			write_all_ways(0, mem);
			write_all_ways(HYPR_VMO_COMPRESS, mem);
		}
	}
	lacks = (struct lacks){ 0 };
	free(mem);
}

/* Between the last look and the name somebody else takes it. */
static void test_a_rename_replaces_nothing(void **ctx)
{
	struct hypr_vmo_temp temp;
	size_t i;
	int fd;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(storages); i++) {
		lacks = storages[i];
		assert_int_equal(hypr_vmo_temp_create(&temp, kit_path("a.vmo"), 0, NULL), 0);
		fd = open(kit_path("a.vmo"), O_CREAT | O_WRONLY, 0600);
		assert_int_equal(write(fd, "theirs", 6), 6);
		close(fd);
		assert_int_equal(hypr_vmo_temp_commit(&temp), -EEXIST);
		hypr_vmo_temp_destroy(&temp);
		fd = open(kit_path("a.vmo"), O_RDONLY);
		assert_int_equal(lseek(fd, 0, SEEK_END), 6);
		close(fd);
		assert_int_equal(kit_count(), 1);
		unlink(kit_path("a.vmo"));
	}
	lacks = (struct lacks){ 0 };
}

/* Somebody holds each lock: an error of its own, and no litter. */
static void test_locks_that_others_hold(void **ctx)
{
	struct hypr_vmo_temp temp;

	(void)ctx;
	lacks = (struct lacks){ .tmpfile = true, .lock = EWOULDBLOCK };
	assert_words(hypr_vmo_temp_create(&temp, kit_path("a.vmo"), 0, NULL), -EBUSY,
		     "a file in its folder");
	lacks = (struct lacks){ 0 };
	assert_int_equal(kit_count(), 0);
}

static void remove_temporary(void)
{
	DIR *list = opendir(kit_path("."));
	struct dirent *entry;
	unsigned int nr = 0;

	while ((entry = readdir(list))) {
		if (strstr(entry->d_name, ".hypr-tmp"))
			nr += !unlinkat(dirfd(list), entry->d_name, 0);
	}
	closedir(list);
	assert_int_equal(nr, 1);
}

/* Locks of network storage may be seen by one host only: another one cleans up. */
static void test_a_temporary_name_that_is_taken_away(void **ctx)
{
	static const unsigned int flags[] = { 0, HYPR_VMO_REPLACE };
	struct hypr_vmo_params params = kit_params(NULL);
	uint8_t *mem = kit_memory();
	struct hypr_vmo_writer *w;
	size_t i;

	(void)ctx;
	lacks = (struct lacks){ .tmpfile = true };
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		params.flags = flags[i];
		assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
		assert_int_equal(hypr_vmo_writer_pages(w, 0, mem, KIT_PAGES, RWX), 0);
		remove_temporary();
		assert_words(hypr_vmo_writer_commit(w, NULL), 0, "");
		hypr_vmo_writer_destroy(w);
		assert_whole("a.vmo", mem);
		assert_int_equal(kit_count(), 1);
	}
	lacks = (struct lacks){ 0 };
	free(mem);
}

static void test_storage_that_syncs_nothing(void **ctx)
{
	static const int unknown[] = { EINVAL, EOPNOTSUPP, ENOSYS };
	uint8_t *mem = kit_memory();
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(unknown); i++) {
		lacks.sync = unknown[i];
		assert_words(write_child("a.vmo", NULL, mem, HYPR_VMO_REPLACE), 0, "");
	}
	assert_whole("a.vmo", mem);
	lacks.sync = EIO;
	assert_words(write_child("b.vmo", NULL, mem, 0), -EIO, "b.vmo: writing it to the disk");
	lacks.sync = 0;
	assert_int_equal(kit_count(), 1);
	free(mem);
}

/* The disk is full at any write, those of a copy included: the old file is there. */
static void test_a_full_disk_leaves_the_old_file(void **ctx)
{
	uint8_t *old = kit_memory(), *mem = kit_memory();
	unsigned int failed = 0;
	size_t i;
	int n, ret;

	(void)ctx;
	mem[0] ^= 1;
	for (i = 0; i < ARRAY_SIZE(storages); i++) {
		assert_int_equal(write_child("a.vmo", NULL, old, HYPR_VMO_REPLACE), 0);
		for (n = 1; ; n++) {
			lacks = storages[i];
			lacks.write = n;
			ret = write_child("a.vmo", NULL, mem, HYPR_VMO_REPLACE);
			lacks = (struct lacks){ 0 };
			assert_int_equal(kit_count(), 1);
			if (!ret)
				break;
			failed++;
			assert_int_equal(ret, -ENOSPC);
			assert_whole("a.vmo", old);
		}
		assert_whole("a.vmo", mem);
	}
	assert_true(failed > 30);
	free(old);
	free(mem);
}

/* A core is as long as the memory: its holes stay holes on the way through a copy. */
static void test_a_copy_keeps_holes(void **ctx)
{
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;
	struct stat plain, copied;
	struct kit_file a, b;
	struct hypr_vmo *vmo;
	uint8_t page[PAGE];

	(void)ctx;
	kit_fill(page, 1);
	params.mem_bytes = 2048 * PAGE;
	assert_int_equal(hypr_vmo_writer_create(kit_path("a.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 1000 * PAGE, page, 1, RWX), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
	vmo = kit_open("a.vmo");
	assert_int_equal(export(vmo, kit_path("plain"), 0), 0);
	lacks.link = true;
	assert_int_equal(export(vmo, kit_path("copied"), 0), 0);
	lacks.link = false;
	hypr_vmo_close(vmo);
	a = kit_load("plain");
	b = kit_load("copied");
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.bytes, b.bytes, a.len);
	kit_unload(&a);
	kit_unload(&b);
	assert_int_equal(stat(kit_path("plain"), &plain), 0);
	assert_int_equal(stat(kit_path("copied"), &copied), 0);
	assert_true(copied.st_blocks <= plain.st_blocks + 16);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_parent_is_not_replaced_under_any_name),
		T(test_a_parent_has_its_own_name_in_the_child),
		T(test_a_parent_elsewhere_keeps_the_name_of_its_link),
		T(test_a_parent_that_goes_meanwhile),
		T(test_a_name_that_becomes_the_parents),
		T(test_tools_replace_nothing_that_is_needed),
		T(test_no_file_takes_its_parents_name),
		T(test_only_files_are_replaced),
		T(test_storage_without_links_or_locks),
		T(test_a_rename_replaces_nothing),
		T(test_locks_that_others_hold),
		T(test_a_temporary_name_that_is_taken_away),
		T(test_storage_that_syncs_nothing),
		T(test_a_full_disk_leaves_the_old_file),
		T(test_a_copy_keeps_holes),
	};

	return cmocka_run_group_tests_name("vmo_place", tests, NULL, NULL) ? 1 : 0;
}
