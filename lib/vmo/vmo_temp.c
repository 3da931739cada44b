// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A file that is complete once it has its name.  It is written without one
 * (O_TMPFILE), so that whoever kills the writer leaves nothing; to replace a
 * file, or where the file system knows no O_TMPFILE, it has a temporary name and
 * a lock.  A file of such a name whose lock nobody holds belongs to nobody.
 *
 * Storage may lack O_TMPFILE, locks, hard links, or a rename that replaces nothing:
 * for each there is another way, so that what was written is never thrown away.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmo/vmo.h"

#define SUFFIX		".hypr-tmp"
#define TRIES		100
#define PIECE_BYTES	(1u << 20)

static int split(struct hypr_vmo_temp *temp, const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	char *folder;

	if (!*base || !strcmp(base, ".") || !strcmp(base, "..") ||
	    strlen(base) > HYPR_VMO_NAME_MAX_BYTES)
		return hypr_fail(-EINVAL, "%.80s: no name for a file", path);
	strcpy(temp->base, base);
	temp->path = strdup(path);
	if (!temp->path)
		return hypr_fail(-ENOMEM, "%.80s: no memory", path);
	folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	if (!folder)
		return hypr_fail(-ENOMEM, "%.80s: no memory", path);
	temp->dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	return temp->dir < 0 ? hypr_fail_sys(-errno, "%.80s: its folder", path) : 0;
}

/* ---- names of temporary files ---------------------------------------------- */

/* A name may be as long as a file's can be: the temporary one keeps its start. */
static void make_name(struct hypr_vmo_temp *temp)
{
	uint32_t number = 0;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		number = (uint32_t)getpid();
	snprintf(temp->name, sizeof(temp->name), ".%.200s.%08x" SUFFIX, temp->base, number);
}

static bool is_temp_name(const char *name)
{
	size_t len = strlen(name), suffix = strlen(SUFFIX);

	return name[0] == '.' && len > suffix && !strcmp(name + len - suffix, SUFFIX);
}

static void remove_if_stale(int dir, const char *name)
{
	struct stat st, here;
	/* To write: some network storage gives no lock to who only reads. */
	int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return;
	/* The name must still be that of the file whose lock was free. */
	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && !flock(fd, LOCK_EX | LOCK_NB) &&
	    !fstatat(dir, name, &here, AT_SYMLINK_NOFOLLOW) && here.st_ino == st.st_ino &&
	    here.st_dev == st.st_dev)
		unlinkat(dir, name, 0);
	close(fd);
}

static void remove_stale(int dir)
{
	struct dirent *entry;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = fd < 0 ? NULL : fdopendir(fd);

	if (!list) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(list))) {
		if (is_temp_name(entry->d_name))
			remove_if_stale(dir, entry->d_name);
	}
	closedir(list);
}

/*
 * Is the lock ours, and the file still there?  On storage without locks nobody can
 * take the file for stale either: that needs the lock, too.
 */
static bool is_ours(const struct hypr_vmo_temp *temp)
{
	struct stat st;

	if (flock(temp->fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return false;
	return !fstatat(temp->dir, temp->name, &st, AT_SYMLINK_NOFOLLOW);
}

/* Another writer may take a file for stale before it is locked: then once more. */
static int create_named(struct hypr_vmo_temp *temp)
{
	int tries, ret = -EBUSY;

	for (tries = 0; tries < TRIES; tries++) {
		make_name(temp);
		temp->fd = openat(temp->dir, temp->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
				  temp->mode);
		if (temp->fd < 0 && errno == EEXIST)
			continue;
		if (temp->fd < 0) {
			ret = -errno;
			break;
		}
		if (is_ours(temp))
			return 0;
		unlinkat(temp->dir, temp->name, 0);
		close(temp->fd);
		temp->fd = -1;
	}
	temp->name[0] = '\0';
	return ret;
}

static int link_to(const struct hypr_vmo_temp *temp, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", temp->fd);
	if (!linkat(AT_FDCWD, path, temp->dir, name, AT_SYMLINK_FOLLOW))
		return 0;
	if (errno == EEXIST)
		return -EEXIST;
	/* Without /proc; needs rights. */
	return linkat(temp->fd, "", temp->dir, name, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int link_temp(struct hypr_vmo_temp *temp)
{
	int tries, ret = -EEXIST;

	for (tries = 0; ret == -EEXIST && tries < TRIES; tries++) {
		make_name(temp);
		ret = link_to(temp, temp->name);
	}
	if (ret)
		temp->name[0] = '\0';
	return ret;
}

/* ---- what it must leave as it is ------------------------------------------- */

static int check_layers(const struct hypr_vmo_temp *temp, const struct hypr_vmo *layer,
			const struct stat *st)
{
	for (; layer; layer = layer->parent) {
		if (st->st_dev == layer->file.dev && st->st_ino == layer->file.ino)
			return hypr_fail(-EINVAL, "%.80s: it would replace %s, which is needed; take another name",
					 temp->base, layer->file.name);
	}
	return 0;
}

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFLNK:
		return "symbolic link";
	case S_IFIFO:
		return "FIFO";
	case S_IFSOCK:
		return "socket";
	case S_IFDIR:
		return "folder";
	default:
		return "device";
	}
}

int hypr_vmo_temp_check(const struct hypr_vmo_temp *temp)
{
	struct stat st;
	int ret;

	if (temp->need.parent && !strcmp(temp->base, temp->need.parent))
		return hypr_fail(-EINVAL, "%.80s: that is the name of its parent, and it would replace it; take another name",
				 temp->base);
	if (fstatat(temp->dir, temp->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;	/* the system will say so again */
	if (!temp->replace)
		return hypr_fail(-EEXIST, "%.80s: it is there already; take another name, or have it replaced",
				 temp->base);
	if (!S_ISREG(st.st_mode))
		return hypr_fail(-EEXIST, "%.80s: a %s is there, and only files are replaced; remove it, or take another name",
				 temp->base, kind_of(st.st_mode));
	ret = check_layers(temp, temp->need.layers, &st);
	return ret ? ret : check_layers(temp, temp->need.others, &st);
}

/* The file would be of no use without its parent.  A parent that was packed is the same one. */
static int check_parent(const struct hypr_vmo_temp *temp)
{
	struct hypr_vmo *parent = NULL;
	char *path;
	int ret;

	if (!temp->need.root)
		return 0;
	path = hypr_vmo_beside(temp->path, temp->need.parent);
	if (!path)
		return hypr_fail(-ENOMEM, "%.80s: no memory", temp->base);
	ret = hypr_vmo_open(path, &parent);
	if (ret || memcmp(parent->header.root, temp->need.root, HYPR_VMO_DIGEST_BYTES))
		ret = hypr_fail(-ESTALE, "%.80s: its parent %.80s was removed or replaced while it was written",
				temp->base, temp->need.parent);
	hypr_vmo_close(parent);
	free(path);
	return ret;
}

/* ---- from creation to its name --------------------------------------------- */

static int create(struct hypr_vmo_temp *temp, const char *path, unsigned int flags,
		  const struct hypr_vmo_need *need, mode_t mode)
{
	int ret;

	memset(temp, 0, sizeof(*temp));
	temp->fd = temp->dir = -1;
	temp->replace = flags & HYPR_VMO_REPLACE;
	if (need)
		temp->need = *need;
	temp->mode = mode;
	if (flags & ~HYPR_VMO_REPLACE)
		return hypr_fail(-EINVAL, "%.80s: unknown flags 0x%x", path, flags);
	ret = split(temp, path);
	if (!ret)
		ret = hypr_vmo_temp_check(temp);
	if (ret)
		goto destroy;
	remove_stale(temp->dir);
	temp->fd = openat(temp->dir, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, temp->mode);
	if (temp->fd >= 0) {
		/* For the moment in which it has a temporary name. */
		flock(temp->fd, LOCK_EX | LOCK_NB);
		return 0;
	}
	ret = create_named(temp);
	if (!ret)
		return 0;
	hypr_fail_sys(ret, "%.80s: a file in its folder", path);
destroy:
	hypr_vmo_temp_destroy(temp);
	return ret;
}

int hypr_vmo_temp_create(struct hypr_vmo_temp *temp, const char *path, unsigned int flags,
			 const struct hypr_vmo_need *need)
{
	return create(temp, path, flags, need, 0600);
}

int hypr_vmo_temp_create_shared(struct hypr_vmo_temp *temp, const char *path,
				unsigned int flags, const struct hypr_vmo_need *need)
{
	return create(temp, path, flags, need, 0666);
}

/* Some storage syncs nothing, or no folders; there is nothing better to do there. */
static int sync_fd(int fd)
{
	if (fsync(fd) < 0 && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS)
		return -errno;
	return 0;
}

static int copy_stretch(int from, int to, uint64_t at, uint64_t end, uint8_t *piece)
{
	ssize_t n;
	int ret;

	while (at < end) {
		n = pread(from, piece, end - at < PIECE_BYTES ? end - at : PIECE_BYTES, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		ret = hypr_vmo_write(to, at, piece, (uint64_t)n);
		if (ret)
			return ret;
		at += (uint64_t)n;
	}
	return 0;
}

/* Holes stay holes where the file system says where they are. */
static int copy_file(int from, int to)
{
	uint8_t *piece = malloc(PIECE_BYTES);
	struct stat st;
	off_t at, end = 0;
	int ret = 0;

	if (!piece)
		return -ENOMEM;
	if (fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0)
		ret = -errno;
	while (!ret && end < st.st_size) {
		at = lseek(from, end, SEEK_DATA);
		if (at < 0 && errno == ENXIO)
			break;
		if (at < 0)
			at = end;
		end = lseek(from, at, SEEK_HOLE);
		if (end <= at)
			end = st.st_size;
		ret = copy_stretch(from, to, (uint64_t)at, (uint64_t)end, piece);
	}
	free(piece);
	return ret;
}

/* What cannot get a name, or lost its own, goes on in a file that has one. */
static int copy_to_named(struct hypr_vmo_temp *temp)
{
	int ret, from = temp->fd;

	ret = create_named(temp);
	if (ret) {
		temp->fd = from;
		return ret;
	}
	ret = copy_file(from, temp->fd);
	close(from);
	return ret ? ret : sync_fd(temp->fd);
}

/*
 * Neither a link nor a rename that replaces nothing: look, and rename.  Writers of
 * this folder do so in turn where it can be locked; others have an instant in which
 * a file of theirs is replaced.
 */
static int rename_if_free(const struct hypr_vmo_temp *temp)
{
	struct stat st;
	int tries, ret = -EEXIST;

	for (tries = 0; tries < TRIES; tries++) {
		if (!flock(temp->dir, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK)
			break;
		usleep(1000);
	}
	if (fstatat(temp->dir, temp->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		ret = renameat(temp->dir, temp->name, temp->dir, temp->base) < 0 ? -errno : 0;
	flock(temp->dir, LOCK_UN);
	return ret;
}

/* From the temporary name to its own. */
static int rename_named(const struct hypr_vmo_temp *temp)
{
	int dir = temp->dir;

	if (temp->replace)
		return renameat(dir, temp->name, dir, temp->base) < 0 ? -errno : 0;
	if (!renameat2(dir, temp->name, dir, temp->base, RENAME_NOREPLACE))
		return 0;
	if (errno == EEXIST || errno == ENOENT)
		return -errno;
	if (!linkat(dir, temp->name, dir, temp->base, 0)) {
		unlinkat(dir, temp->name, 0);
		return 0;
	}
	if (errno == EEXIST || errno == ENOENT)
		return -errno;
	return rename_if_free(temp);
}

static int give_name(struct hypr_vmo_temp *temp)
{
	int ret = 0;

	if (!temp->name[0] && !temp->replace) {
		ret = link_to(temp, temp->base);
		if (!ret || ret == -EEXIST)
			return ret;
	}
	if (!temp->name[0] && (ret || link_temp(temp)))
		ret = copy_to_named(temp);
	if (ret)
		return ret;
	ret = rename_named(temp);
	/* A lock that is not seen everywhere: who cleans up elsewhere took the name away. */
	if (ret == -ENOENT) {
		ret = copy_to_named(temp);
		if (!ret)
			ret = rename_named(temp);
	}
	if (!ret)
		temp->name[0] = '\0';
	return ret;
}

int hypr_vmo_temp_commit(struct hypr_vmo_temp *temp)
{
	int ret;

	ret = hypr_progress_check();
	if (ret)
		return ret;
	ret = sync_fd(temp->fd);
	if (ret)
		return hypr_fail_sys(ret, "%.80s: writing it to the disk", temp->base);
	/* The last time: what has its name stays. */
	ret = hypr_progress_check();
	if (!ret)
		ret = check_parent(temp);
	if (!ret)
		ret = hypr_vmo_temp_check(temp);
	if (ret)
		return ret;
	ret = give_name(temp);
	if (ret)
		return hypr_fail_sys(ret, "%.80s: giving the file its name", temp->base);
	ret = sync_fd(temp->dir);
	return ret ? hypr_fail_sys(ret, "%.80s: it is there, but its folder cannot be written to the disk",
				   temp->base) : 0;
}

void hypr_vmo_temp_destroy(struct hypr_vmo_temp *temp)
{
	if (temp->name[0])
		unlinkat(temp->dir, temp->name, 0);
	temp->name[0] = '\0';
	if (temp->fd >= 0)
		close(temp->fd);
	if (temp->dir >= 0)
		close(temp->dir);
	free(temp->path);
	temp->path = NULL;
	temp->fd = temp->dir = -1;
}
