// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The runtime directory and the sockets in it.  A socket whose owner died
 * refuses connections; so does one that is bound and does not listen yet.  A
 * lock on the directory keeps the two apart: sockets are made, and stale ones
 * removed, only under it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypr/hypr.h"
#include "error.h"
#include "runtime.h"

#define SYSTEM_DIR	"/run/hypr"

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

int hypr_runtime_lock(int create)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fd, ret;

	ret = hypr_runtime_dir(dir, sizeof(dir));
	if (ret)
		return ret;
	if (create && mkdir(dir, 0700) < 0 && errno != EEXIST)
		return hypr_fail_sys(-errno, "making %s", dir);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return hypr_fail_sys(-errno, "%s", dir);
	do
		ret = flock(fd, LOCK_EX);
	while (ret < 0 && errno == EINTR);
	if (ret < 0) {
		ret = hypr_fail_sys(-errno, "locking %s", dir);
		close(fd);
		return ret;
	}
	return fd;
}

int hypr_runtime_connect(const struct sockaddr_un *address)
{
	int fd, ret;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}
