// SPDX-License-Identifier: LGPL-2.1-or-later
/* The other end of the control socket. */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "hypr/hypr.h"
#include "error.h"
#include "runtime.h"

#define ANSWER_MAX	(1u << 20)
#define ANSWER_TIMEOUT_S	300	/* verify takes long on a large VM, or a slow host */
#define SUFFIX		".sock"

static int send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Up to the first newline, which becomes the final NUL. */
static int receive_line(int fd, char **line)
{
	size_t size = 4096, len = 0;
	char *buf = NULL, *more, *newline;
	ssize_t n;

	for (;;) {
		more = realloc(buf, size);
		if (!more) {
			free(buf);
			return -ENOMEM;
		}
		buf = more;
		n = recv(fd, buf + len, size - len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int ret = n ? -errno : -ECONNRESET;

			free(buf);
			return ret == -EAGAIN ? -ETIMEDOUT : ret;
		}
		newline = memchr(buf + len, '\n', (size_t)n);
		len += (size_t)n;
		if (newline) {
			*newline = '\0';
			*line = buf;
			return 0;
		}
		if (len == size)
			size *= 2;
		if (size > ANSWER_MAX) {
			free(buf);
			return -EPROTO;
		}
	}
}

static int no_such_vm(const char *vm, int err)
{
	if (err == -ENOENT || err == -ECONNREFUSED)
		return hypr_fail(-ESRCH, "no VM '%s' runs", vm);
	return hypr_fail_sys(err, "VM '%s'", vm);
}

int hypr_client_call(const char *vm, const char *request, char **answer)
{
	const struct timeval timeout = { .tv_sec = ANSWER_TIMEOUT_S };
	struct sockaddr_un address;
	int fd, ret;

	*answer = NULL;
	ret = hypr_runtime_address(vm, &address);
	if (ret)
		return ret;
	fd = hypr_runtime_connect(&address);
	if (fd < 0)
		return no_such_vm(vm, fd);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	ret = send_all(fd, request, strlen(request));
	if (!ret)
		ret = send_all(fd, "\n", 1);
	if (!ret)
		ret = receive_line(fd, answer);
	close(fd);
	if (ret == -ECONNRESET || ret == -EPIPE)
		return hypr_fail(-ECONNRESET, "VM '%s' ended before it answered", vm);
	if (ret)
		return hypr_fail_sys(ret, "VM '%s'", vm);
	if (**answer != '{') {
		free(*answer);
		*answer = NULL;
		return hypr_fail(-EPROTO, "VM '%s' answered with something that is no JSON", vm);
	}
	return 0;
}

/* NAME of NAME.sock, when it may be a VM's.  Return: false for other files. */
static bool socket_name(const char *file, char *name, size_t size)
{
	size_t len = strlen(file);

	if (len <= strlen(SUFFIX) || strcmp(file + len - strlen(SUFFIX), SUFFIX))
		return false;
	len -= strlen(SUFFIX);
	if (len >= size)
		return false;
	memcpy(name, file, len);
	name[len] = '\0';
	return hypr_name_check(name) == 0;
}

/* Does a VM answer there?  Holds the directory's lock; removes a stale socket. */
static bool is_alive(const char *name)
{
	struct sockaddr_un address;
	int fd;

	if (hypr_runtime_address(name, &address))
		return false;
	fd = hypr_runtime_connect(&address);
	if (fd >= 0) {
		close(fd);
		return true;
	}
	if (fd == -ECONNREFUSED)
		unlink(address.sun_path);
	/* One that we may not open is somebody's, and is listed. */
	return fd == -EACCES;
}

struct names {
	char (*name)[HYPR_NAME_MAX];
	size_t nr;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int collect(DIR *dir, struct names *names)
{
	char name[HYPR_NAME_MAX];
	struct dirent *entry;
	void *more;

	while ((entry = readdir(dir))) {
		if (!socket_name(entry->d_name, name, sizeof(name)) || !is_alive(name))
			continue;
		more = realloc(names->name, (names->nr + 1) * sizeof(*names->name));
		if (!more)
			return hypr_fail(-ENOMEM, "no memory for a list of VMs");
		names->name = more;
		memcpy(names->name[names->nr++], name, sizeof(name));
	}
	if (names->nr)
		qsort(names->name, names->nr, sizeof(*names->name), by_name);
	return 0;
}

int hypr_client_list(int (*fn)(void *arg, const char *vm), void *arg)
{
	struct names names = { 0 };
	size_t i;
	DIR *dir;
	int fd, ret;

	fd = hypr_runtime_lock(0);
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		ret = hypr_fail_sys(-errno, "the runtime directory");
		close(fd);
		return ret;
	}
	ret = collect(dir, &names);
	closedir(dir);	/* and unlock: @fn may talk to the VMs */
	for (i = 0; i < names.nr && !ret; i++)
		ret = fn(arg, names.name[i]);
	free(names.name);
	return ret < 0 ? ret : (int)names.nr;
}
