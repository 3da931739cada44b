// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The control socket's server: one thread, a few clients, one request after
 * the other (operations on a VM exclude each other anyway).  A client that
 * sends too long a line, or does not read its answer, is hung up on.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "internal.h"
#include "protocol.h"
#include "runtime.h"

#define CLIENTS_MAX		8
#define SEND_TIMEOUT_S		2
#define PROGRESS_NS		250000000ull	/* from line to line */

struct client {
	int fd;			/* -1: free */
	size_t len;
	char line[HYPR_LINE_MAX];
};

struct hypr_server {
	struct hypr_vm *vm;
	struct sockaddr_un address;
	dev_t dev;		/* of the socket, to remove no other's */
	ino_t ino;
	int listen_fd;
	int wake_fd;
	pthread_t thread;
	struct client client[CLIENTS_MAX];
};

static void client_close(struct client *client)
{
	close(client->fd);
	client->fd = -1;
	client->len = 0;
}

static void accept_client(struct hypr_server *server)
{
	const struct timeval timeout = { .tv_sec = SEND_TIMEOUT_S };
	int fd, i;

	fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0)
		return;
	for (i = 0; i < CLIENTS_MAX; i++) {
		if (server->client[i].fd < 0) {
			setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
			server->client[i].fd = fd;
			return;
		}
	}
	close(fd);
}

static bool send_line(int fd, const char *text)
{
	struct iovec iov[2] = {
		{ (void *)text, strlen(text) },
		{ (void *)"\n", 1 },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	size_t total = iov[0].iov_len + 1;

	return sendmsg(fd, &msg, MSG_NOSIGNAL) == (ssize_t)total;
}

/* A client that waits, and what it was told last. */
struct waiting {
	int fd;
	bool wants_lines;
	uint64_t told_ns;
};

/* A file that nobody waits for any more is not written.  Return: 1: so it is. */
static int client_waits(void *arg, uint64_t done, uint64_t total)
{
	struct waiting *waiting = arg;
	struct pollfd pfd = { .fd = waiting->fd, .events = POLLRDHUP };
	char line[96];

	if (poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLRDHUP | POLLHUP | POLLERR)))
		return 1;
	if (!waiting->wants_lines || hypr_now_ns() - waiting->told_ns < PROGRESS_NS)
		return 0;
	waiting->told_ns = hypr_now_ns();
	snprintf(line, sizeof(line), HYPR_PROGRESS_LINE "\n", (unsigned long long)done,
		 (unsigned long long)total);
	/* Whole or not at all; who does not read is not told. */
	return send(waiting->fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
	       errno == EPIPE;
}

static char *serve(struct hypr_server *server, const struct client *client,
		   const struct hypr_request *request)
{
	struct waiting waiting = {
		.fd = client->fd,
		.wants_lines = request->progress,
	};
	bool stop = false;
	char *answer;

	if (request->op == HYPR_OP_SAVE)
		hypr_progress_set(client_waits, &waiting);
	answer = hypr_request_serve(server->vm, request, &stop);
	hypr_progress_set(NULL, NULL);
	return answer;
}

/* Return: false when the client is to be hung up on. */
static bool serve_line(struct hypr_server *server, struct client *client, size_t len)
{
	struct hypr_request request;
	char *answer;
	bool sent;
	int ret;

	ret = hypr_request_parse(client->line, len, &request);
	if (ret)
		answer = hypr_answer_error(ret, hypr_error());
	else
		answer = serve(server, client, &request);
	sent = answer && send_line(client->fd, answer);
	free(answer);
	return sent;
}

static void read_client(struct hypr_server *server, struct client *client)
{
	char *newline;
	ssize_t n;

	n = recv(client->fd, client->line + client->len, sizeof(client->line) - client->len,
		 MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		goto hang_up;
	client->len += (size_t)n;
	while ((newline = memchr(client->line, '\n', client->len))) {
		size_t len = (size_t)(newline - client->line);

		if (!serve_line(server, client, len))
			goto hang_up;
		client->len -= len + 1;
		memmove(client->line, newline + 1, client->len);
	}
	if (client->len < sizeof(client->line))
		return;
hang_up:
	client_close(client);
}

static void *server_thread(void *arg)
{
	struct hypr_server *server = arg;
	struct pollfd pfd[CLIENTS_MAX + 2];
	int i;

	for (;;) {
		pfd[0] = (struct pollfd){ .fd = server->wake_fd, .events = POLLIN };
		pfd[1] = (struct pollfd){ .fd = server->listen_fd, .events = POLLIN };
		for (i = 0; i < CLIENTS_MAX; i++)
			pfd[i + 2] = (struct pollfd){ .fd = server->client[i].fd,
						      .events = POLLIN };
		if (poll(pfd, CLIENTS_MAX + 2, -1) < 0)
			continue;
		if (pfd[0].revents)
			return NULL;
		for (i = 0; i < CLIENTS_MAX; i++) {
			if (pfd[i + 2].revents)
				read_client(server, &server->client[i]);
		}
		if (pfd[1].revents)
			accept_client(server);
	}
}

/* Under the directory's lock: bind, over a stale socket if there is one. */
static int bind_socket(struct hypr_server *server)
{
	const struct sockaddr *address = (const struct sockaddr *)&server->address;
	struct stat st;

	if (hypr_runtime_is_alive(&server->address))
		return hypr_fail(-EADDRINUSE, "a VM of this name runs already");
	/* The mode is taken from the socket when it is bound. */
	if (fchmod(server->listen_fd, 0600) < 0 ||
	    bind(server->listen_fd, address, sizeof(server->address)) < 0)
		return hypr_fail_sys(-errno, "%s", server->address.sun_path);
	if (listen(server->listen_fd, CLIENTS_MAX) < 0 ||
	    stat(server->address.sun_path, &st) < 0) {
		int ret = hypr_fail_sys(-errno, "%s", server->address.sun_path);

		unlink(server->address.sun_path);
		return ret;
	}
	server->dev = st.st_dev;
	server->ino = st.st_ino;
	return 0;
}

static int make_socket(struct hypr_server *server)
{
	int lock, ret;

	lock = hypr_runtime_lock(1);
	if (lock < 0)
		return lock;
	ret = bind_socket(server);
	close(lock);
	return ret;
}

static void remove_socket(struct hypr_server *server)
{
	struct stat st;
	int lock;

	lock = hypr_runtime_lock(0);
	if (!stat(server->address.sun_path, &st) &&
	    st.st_dev == server->dev && st.st_ino == server->ino)
		unlink(server->address.sun_path);
	if (lock >= 0)
		close(lock);
}

static int start_thread(struct hypr_server *server)
{
	sigset_t all, old;
	int ret;

	/* Signals are the business of the program's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&server->thread, NULL, server_thread, server);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret ? hypr_fail_sys(-ret, "the control socket's thread") : 0;
}

int hypr_server_start(struct hypr_vm *vm, struct hypr_server **serverp)
{
	struct hypr_server *server;
	int i, ret;

	*serverp = NULL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return hypr_fail(-ENOMEM, "no memory for a control socket");
	server->vm = vm;
	for (i = 0; i < CLIENTS_MAX; i++)
		server->client[i].fd = -1;
	ret = hypr_runtime_address(vm->name, &server->address);
	if (ret)
		goto free_server;
	server->wake_fd = eventfd(0, EFD_CLOEXEC);
	server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server->wake_fd < 0 || server->listen_fd < 0) {
		ret = hypr_fail_sys(-errno, "a control socket");
		goto close_fds;
	}
	ret = make_socket(server);
	if (ret)
		goto close_fds;
	ret = start_thread(server);
	if (ret)
		goto remove_socket;
	*serverp = server;
	return 0;

remove_socket:
	remove_socket(server);
close_fds:
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	if (server->wake_fd >= 0)
		close(server->wake_fd);
free_server:
	free(server);
	return ret;
}

void hypr_server_stop(struct hypr_server *server)
{
	uint64_t one = 1;
	int i;

	if (!server)
		return;
	remove_socket(server);
	if (write(server->wake_fd, &one, sizeof(one)) == sizeof(one))
		pthread_join(server->thread, NULL);
	for (i = 0; i < CLIENTS_MAX; i++) {
		if (server->client[i].fd >= 0)
			client_close(&server->client[i]);
	}
	close(server->listen_fd);
	close(server->wake_fd);
	free(server);
}
