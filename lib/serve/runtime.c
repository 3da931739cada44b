// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The runtime directory and the sockets in it.  A socket whose owner died
 * refuses connections; so does one that is bound and does not listen yet.  A
 * lock on the directory keeps the two apart: sockets are made, and stale ones
 * removed, only under it.
 *
 * Nothing here waits for another process without an end: a process that is
 * stopped may have a socket that nobody accepts on, or hold the lock.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hypr/hypr.h"
#include "base/error.h"
#include "serve/runtime.h"

#define SYSTEM_DIR	"/run/hypr"
#define LOCK_TIMEOUT_MS	5000
#define POLL_MS		20

int hypr_runtime_dir(char *buf, size_t size)
{
	const char *own = getenv("HYPR_RUNTIME_DIR");
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	int len;

	if (own && *own)
		len = snprintf(buf, size, "%s", own);
	else if (xdg && *xdg)
		len = snprintf(buf, size, "%s/hypr", xdg);
	else
		len = snprintf(buf, size, SYSTEM_DIR);
	if (len < 0 || (size_t)len >= size)
		return hypr_fail(-ENAMETOOLONG, "the runtime directory's name is too long");
	/* A VM's process goes to another folder. */
	if (buf[0] != '/')
		return hypr_fail(-EINVAL, "the runtime directory, '%s', is not absolute: set %s so",
				 buf, own && *own ? "HYPR_RUNTIME_DIR" : "XDG_RUNTIME_DIR");
	return 0;
}

int hypr_runtime_address(const char *name, struct sockaddr_un *address)
{
	char dir[sizeof(address->sun_path)];
	int len, ret;

	ret = hypr_name_check(name);
	if (ret)
		return ret;
	ret = hypr_runtime_dir(dir, sizeof(dir));
	if (ret)
		return ret;
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	len = snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s.sock", dir, name);
	if (len < 0 || (size_t)len >= sizeof(address->sun_path))
		return hypr_fail(-ENAMETOOLONG, "'%s/%s.sock' is too long for a socket", dir, name);
	return 0;
}

static int lock_within(int fd)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int waited_ms;

	hypr_runtime_dir(dir, sizeof(dir));
	for (waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited_ms += POLL_MS) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return hypr_fail_sys(-errno, "locking %s", dir);
		if (waited_ms >= LOCK_TIMEOUT_MS)
			return hypr_fail(-ETIMEDOUT,
					 "%s: another process has had it locked for %d s; is a hypr stopped? (fuser -v %s names it)",
					 dir, LOCK_TIMEOUT_MS / 1000, dir);
		nanosleep(&pause, NULL);
	}
	return 0;
}

/* Whoever may write to it can put a socket or a log of his own into it. */
static int check_owner(int fd, const char *dir)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return hypr_fail_sys(-errno, "%s", dir);
	if (!hypr_runtime_trusts(st.st_uid))
		return hypr_fail(-EPERM,
				 "%s belongs to user %u, not to you (%u): set HYPR_RUNTIME_DIR to a folder of your own",
				 dir, (unsigned int)st.st_uid, (unsigned int)geteuid());
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return hypr_fail(-EPERM, "%s: others may write to it (mode %o): chmod go-w %s",
				 dir, st.st_mode & 07777, dir);
	return 0;
}

bool hypr_runtime_trusts(uid_t uid)
{
	return uid == geteuid() || uid == 0;
}

bool hypr_runtime_trusts_peer(int fd)
{
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       hypr_runtime_trusts(peer.uid);
}

int hypr_runtime_open(int create)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd, ret;

	ret = hypr_runtime_dir(dir, sizeof(dir));
	if (ret)
		return ret;
	if (create && mkdir(dir, 0700) < 0 && errno != EEXIST)
		return hypr_fail_sys(-errno, "making %s", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return hypr_fail_sys(-errno, "%s", dir);
	ret = check_owner(fd, dir);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

int hypr_runtime_lock(int create)
{
	int fd, ret;

	fd = hypr_runtime_open(create);
	if (fd < 0)
		return fd;
	ret = lock_within(fd);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

int hypr_runtime_connect(const struct sockaddr_un *address)
{
	int fd, ret;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	/* What follows waits with poll(), or for room that is there. */
	if (fcntl(fd, F_SETFL, 0) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

int hypr_runtime_is_alive(const struct sockaddr_un *address)
{
	struct stat st;
	int fd = hypr_runtime_connect(address);

	if (fd >= 0) {
		close(fd);
		return 1;
	}
	if (fd == -ECONNREFUSED) {
		/* A file that is no socket refuses, too, and is not ours to remove. */
		if (!lstat(address->sun_path, &st) && S_ISSOCK(st.st_mode))
			unlink(address->sun_path);
		return 0;
	}
	/*
	 * -EAGAIN: it listens, and too many wait already.  -EACCES: it is somebody
	 * else's.  Out of descriptors, it may be alive.
	 */
	return fd != -ENOENT;
}
