// SPDX-License-Identifier: LGPL-2.1-or-later
/* The other end of the control socket. */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "hypr/hypr.h"
#include "base/error.h"
#include "base/progress.h"
#include "serve/protocol.h"
#include "serve/runtime.h"

#define ANSWER_TIMEOUT_MS	300000	/* verify takes long on a large VM, or a slow host */
#define CONNECT_TIMEOUT_MS	5000	/* for a server that accepts nothing */
#define POLL_MS		100	/* from question to question whether it is still wanted */
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

/* What has come in, and not been looked at yet. */
struct input {
	char *buf;
	size_t len, size;
};

/*
 * Wait until there is something to read.  Who no longer wants the answer gets it
 * all the same, but the other side is told, by the end of what we send.
 */
static int await(int fd, int timeout_ms, bool *wanted)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int waited_ms, n;

	for (waited_ms = 0; waited_ms < timeout_ms; waited_ms += POLL_MS) {
		if (*wanted && hypr_progress_check()) {
			*wanted = false;
			shutdown(fd, SHUT_WR);
		}
		n = poll(&pfd, 1, POLL_MS);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
	return -ETIMEDOUT;
}

static int receive(int fd, struct input *in)
{
	size_t more = in->size ? 2 * in->size : 4096;
	char *grown;
	ssize_t n;

	if (in->len == in->size) {
		if (more > HYPR_ANSWER_MAX)
			return -EPROTO;
		grown = realloc(in->buf, more);
		if (!grown)
			return -ENOMEM;
		in->buf = grown;
		in->size = more;
	}
	do
		n = recv(fd, in->buf + in->len, in->size - in->len, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : -ECONNRESET;
	in->len += (size_t)n;
	return 0;
}

/* Lines that tell how far it is, up to the answer.  Return: 1: that has come. */
static int take_lines(struct input *in, bool *wanted)
{
	unsigned long long done, total;
	char *newline;

	while ((newline = memchr(in->buf, '\n', in->len))) {
		*newline = '\0';
		if (sscanf(in->buf, HYPR_PROGRESS_LINE, &done, &total) != 2)
			return 1;
		/* Whether it is still wanted is asked where it is told to the VM. */
		if (*wanted)
			hypr_progress(done, total);
		in->len -= (size_t)(newline + 1 - in->buf);
		memmove(in->buf, newline + 1, in->len);
	}
	return 0;
}

/* The answer's newline becomes the final NUL. */
static int receive_line(int fd, int timeout_ms, char **line)
{
	struct input in = { 0 };
	bool wanted = true;
	int ret;

	do {
		ret = await(fd, timeout_ms, &wanted);
		if (!ret)
			ret = receive(fd, &in);
		if (!ret)
			ret = take_lines(&in, &wanted);
	} while (!ret);
	if (ret < 0) {
		free(in.buf);
		return ret;
	}
	*line = in.buf;
	return 0;
}

/* A server whose queue is full is busy, or stopped. */
static int connect_within(const struct sockaddr_un *address, int timeout_ms)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	int fd = hypr_runtime_connect(address);

	for (; fd == -EAGAIN && timeout_ms > 0; timeout_ms -= POLL_MS) {
		nanosleep(&pause, NULL);
		fd = hypr_runtime_connect(address);
	}
	return fd;
}

static int cannot_connect(const char *vm, int err)
{
	if (err == -ENOENT || err == -ECONNREFUSED)
		return hypr_fail(-ESRCH, "no VM '%s' runs", vm);
	if (err == -EAGAIN)
		return hypr_fail(-ETIMEDOUT,
				 "VM '%s' accepts no connections; its process is stopped, or hangs",
				 vm);
	return hypr_fail_sys(err, "VM '%s'", vm);
}

static int no_answer(const char *vm, int fd, int timeout_ms)
{
	struct ucred peer = { 0 };
	socklen_t len = sizeof(peer);

	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);
	return hypr_fail(-ETIMEDOUT,
			 "VM '%s' did not answer within %d s; its process, %d, is busy or stopped, or hangs",
			 vm, (timeout_ms + 999) / 1000, (int)peer.pid);
}

/* The address of a VM, in a folder that may be trusted. */
static int find(const char *vm, struct sockaddr_un *address)
{
	int ret = hypr_runtime_address(vm, address), fd;

	if (ret)
		return ret;
	fd = hypr_runtime_open(0);
	if (fd < 0)
		return fd == -ENOENT ? cannot_connect(vm, fd) : fd;
	close(fd);
	return 0;
}

int hypr_client_call_within(const char *vm, const char *request, int timeout_ms, char **answer)
{
	struct sockaddr_un address;
	int fd, ret;

	*answer = NULL;
	ret = find(vm, &address);
	if (ret)
		return ret;
	fd = connect_within(&address, timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms :
								       CONNECT_TIMEOUT_MS);
	if (fd < 0)
		return cannot_connect(vm, fd);
	if (!hypr_runtime_trusts_peer(fd)) {
		close(fd);
		return hypr_fail(-EACCES, "VM '%s': its process is another user's", vm);
	}
	ret = send_all(fd, request, strlen(request));
	if (!ret)
		ret = send_all(fd, "\n", 1);
	if (!ret)
		ret = receive_line(fd, timeout_ms, answer);
	if (ret == -ETIMEDOUT)
		no_answer(vm, fd, timeout_ms);
	close(fd);
	if (ret == -ETIMEDOUT)
		return ret;
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

int hypr_client_call(const char *vm, const char *request, char **answer)
{
	return hypr_client_call_within(vm, request, ANSWER_TIMEOUT_MS, answer);
}

int hypr_client_check(const char *vm)
{
	struct sockaddr_un address;
	int fd, ret;

	ret = find(vm, &address);
	if (ret)
		return ret;
	fd = hypr_runtime_connect(&address);
	if (fd >= 0)
		close(fd);
	return fd >= 0 || fd == -EAGAIN ? 0 : cannot_connect(vm, fd);
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

/* Holds the directory's lock; removes a stale socket. */
static bool is_alive(const char *name)
{
	struct sockaddr_un address;

	return !hypr_runtime_address(name, &address) && hypr_runtime_is_alive(&address);
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
