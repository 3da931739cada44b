// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The control socket's server.  One thread has the sockets and waits for none of
 * them; another one, the worker, does the operations, one after the other (they
 * exclude each other anyway).  "stop" and "info" are answered by the first: a VM
 * can be looked at and ended while it is busy.
 *
 * Who may stay: a client with a request, for as long as that takes.  A client
 * without one makes room when another wants to connect, the one that was silent
 * for longest first.  One that sends too long a line, or does not read its
 * answer, is hung up on.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/thread.h"
#include "base/time.h"
#include "model/vm.h"
#include "run/hold.h"
#include "serve/protocol.h"
#include "serve/runtime.h"
#include "serve/server.h"

#define REQUESTS_MAX		(HYPR_CLIENTS_MAX - 8)	/* that wait for the worker */
#define SEND_TIMEOUT_NS		2000000000ull
#define TICK_MS			100

/* ---- clients --------------------------------------------------------------- */

static void client_close(struct hypr_server_client *client)
{
	close(client->fd);
	free(client->answer);
	client->answer = NULL;
	client->state = HYPR_CLIENT_FREE;
	client->len = 0;
}

/* Is it one that makes room for others? */
static struct hypr_server_client *most_silent(struct hypr_server *server)
{
	struct hypr_server_client *client, *found = NULL;

	for (client = server->client; client < server->client + HYPR_CLIENTS_MAX; client++) {
		if (client->state == HYPR_CLIENT_READING &&
		    (!found || client->active_ns < found->active_ns))
			found = client;
	}
	return found;
}

static struct hypr_server_client *free_client(struct hypr_server *server)
{
	struct hypr_server_client *client;

	for (client = server->client; client < server->client + HYPR_CLIENTS_MAX; client++) {
		if (client->state == HYPR_CLIENT_FREE)
			return client;
	}
	client = most_silent(server);
	if (client)
		client_close(client);
	return client;
}

/* No descriptor is left: a silent client's, or none for a while. */
static void make_room(struct hypr_server *server)
{
	struct hypr_server_client *client = most_silent(server);

	if (client)
		client_close(client);
	else
		server->deaf_ns = hypr_now_ns() + TICK_MS * 1000000ull;
}

static void accept_client(struct hypr_server *server)
{
	struct hypr_server_client *client;
	int fd;

	fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		/* The connection stays in the queue, and poll() returns for it at once. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			make_room(server);
		return;
	}
	client = hypr_runtime_trusts_peer(fd) ? free_client(server) : NULL;
	if (!client) {
		close(fd);
		return;
	}
	client->fd = fd;
	client->state = HYPR_CLIENT_READING;
	client->active_ns = hypr_now_ns();
}

static void start_sending(struct hypr_server_client *client, char *answer)
{
	client->answer = answer ? answer : strdup("");
	client->sent = 0;
	client->state = HYPR_CLIENT_SENDING;
	client->active_ns = hypr_now_ns();
}

static void ask_worker(struct hypr_server *server, struct hypr_server_client *client)
{
	bool full;

	pthread_mutex_lock(&server->lock);
	full = server->nr_queued >= REQUESTS_MAX;
	if (!full) {
		client->state = HYPR_CLIENT_ASKED;
		server->queue[server->nr_queued++] = client;
		pthread_cond_signal(&server->asked);
	}
	pthread_mutex_unlock(&server->lock);
	if (full) {
		hypr_fail(-EBUSY, "%d requests wait already", REQUESTS_MAX);
		start_sending(client, hypr_answer_error(-EBUSY, hypr_error()));
	}
}

/* Take up the first request that has come in as a whole, if there is one. */
static void take_request(struct hypr_server *server, struct hypr_server_client *client)
{
	char *newline = memchr(client->line, '\n', client->len);
	bool stop;
	size_t len;
	int ret;

	if (!newline) {
		if (client->len == sizeof(client->line))
			client_close(client);
		return;
	}
	len = (size_t)(newline - client->line);
	ret = hypr_request_parse(client->line, len, &client->request);
	client->len -= len + 1;
	memmove(client->line, newline + 1, client->len);
	if (ret)
		start_sending(client, hypr_answer_error(ret, hypr_error()));
	else if (client->request.op == HYPR_OP_STOP || client->request.op == HYPR_OP_INFO)
		start_sending(client, hypr_request_serve(server->vm, &client->request, &stop));
	else
		ask_worker(server, client);
}

static void read_client(struct hypr_server *server, struct hypr_server_client *client)
{
	ssize_t n;

	n = recv(client->fd, client->line + client->len, sizeof(client->line) - client->len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		client_close(client);
		return;
	}
	client->active_ns = hypr_now_ns();
	client->len += (size_t)n;
	take_request(server, client);
}

/* The answer and its newline, which is where its final NUL is. */
static void send_client(struct hypr_server *server, struct hypr_server_client *client)
{
	size_t len = strlen(client->answer) + 1;
	struct iovec iov[2] = {
		{ client->answer + client->sent, len - 1 - client->sent },
		{ (void *)"\n", 1 },
	};
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	/* Without an answer: there was no memory for one, or nobody waits for it. */
	if (len == 1) {
		client_close(client);
		return;
	}
	n = sendmsg(client->fd, &msg, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		if (hypr_now_ns() - client->active_ns > SEND_TIMEOUT_NS)
			client_close(client);
		return;
	}
	if (n < 0) {
		client_close(client);
		return;
	}
	client->active_ns = hypr_now_ns();
	client->sent += (size_t)n;
	if (client->sent < len)
		return;
	free(client->answer);
	client->answer = NULL;
	client->state = HYPR_CLIENT_READING;
	take_request(server, client);
}

/* ---- the first thread ------------------------------------------------------ */

static void take_answers(struct hypr_server *server)
{
	struct hypr_server_client *client;
	char *answer;

	for (client = server->client; client < server->client + HYPR_CLIENTS_MAX; client++) {
		if (client->state != HYPR_CLIENT_ASKED)
			continue;
		pthread_mutex_lock(&server->lock);
		answer = client->answer;
		pthread_mutex_unlock(&server->lock);
		if (answer)
			start_sending(client, answer);
	}
}

/* As much as there is room for, until nothing more can be done at once. */
static void send_answers(struct hypr_server *server)
{
	struct hypr_server_client *client;

	for (client = server->client; client < server->client + HYPR_CLIENTS_MAX; client++) {
		if (client->state == HYPR_CLIENT_SENDING)
			send_client(server, client);
	}
}

static bool any_sending(const struct hypr_server *server)
{
	int i;

	for (i = 0; i < HYPR_CLIENTS_MAX; i++) {
		if (server->client[i].state == HYPR_CLIENT_SENDING)
			return true;
	}
	return false;
}

static void wait_for_events(struct hypr_server *server, struct pollfd *pfd)
{
	bool deaf = server->deaf_ns > hypr_now_ns(), sending = any_sending(server);
	int i;

	pfd[0] = (struct pollfd){ .fd = server->wake_fd, .events = POLLIN };
	pfd[1] = (struct pollfd){ .fd = deaf ? -1 : server->listen_fd, .events = POLLIN };
	for (i = 0; i < HYPR_CLIENTS_MAX; i++) {
		const struct hypr_server_client *client = &server->client[i];

		pfd[i + 2] = (struct pollfd){ .fd = -1 };
		if (client->state == HYPR_CLIENT_READING || client->state == HYPR_CLIENT_SENDING)
			pfd[i + 2] = (struct pollfd){
				.fd = client->fd,
				.events = client->state == HYPR_CLIENT_READING ? POLLIN : POLLOUT,
			};
	}
	if (poll(pfd, HYPR_CLIENTS_MAX + 2, deaf || sending ? TICK_MS : -1) < 0)
		memset(pfd, 0, (HYPR_CLIENTS_MAX + 2) * sizeof(*pfd));
}

static void *server_thread(void *arg)
{
	struct hypr_server *server = arg;
	struct pollfd pfd[HYPR_CLIENTS_MAX + 2];
	uint64_t count;
	int i;

	for (;;) {
		wait_for_events(server, pfd);
		if (pfd[0].revents && read(server->wake_fd, &count, sizeof(count)) < 0)
			count = 0;
		/* An answer that is there goes out also at the end. */
		take_answers(server);
		for (i = 0; i < HYPR_CLIENTS_MAX; i++) {
			if (pfd[i + 2].revents && server->client[i].state == HYPR_CLIENT_READING)
				read_client(server, &server->client[i]);
		}
		send_answers(server);
		if (hypr_server_is_stopping(server))
			return NULL;
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
	if (listen(server->listen_fd, HYPR_CLIENTS_MAX) < 0 ||
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

/* What it does is given up where it can be; what waits is not begun. */
static void end_worker(struct hypr_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->stop = true;
	pthread_cond_signal(&server->asked);
	pthread_mutex_unlock(&server->lock);
	pthread_join(server->worker, NULL);
}

static int start_threads(struct hypr_server *server)
{
	int ret = hypr_thread_start(&server->worker, hypr_worker_thread, server);

	if (!ret) {
		ret = hypr_thread_start(&server->thread, server_thread, server);
		if (ret)
			end_worker(server);
	}
	return ret ? hypr_fail_thread(ret, "the control socket's threads") : 0;
}

static void server_free(struct hypr_server *server)
{
	int i;

	for (i = 0; i < HYPR_CLIENTS_MAX; i++) {
		if (server->client[i].state != HYPR_CLIENT_FREE)
			client_close(&server->client[i]);
	}
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	if (server->wake_fd >= 0)
		close(server->wake_fd);
	pthread_cond_destroy(&server->asked);
	pthread_mutex_destroy(&server->lock);
	free(server);
}

int hypr_server_start(struct hypr_vm *vm, struct hypr_server **serverp)
{
	struct hypr_server *server;
	int ret;

	*serverp = NULL;
	server = calloc(1, sizeof(*server));
	if (!server)
		return hypr_fail(-ENOMEM, "no memory for a control socket");
	server->vm = vm;
	pthread_mutex_init(&server->lock, NULL);
	pthread_cond_init(&server->asked, NULL);
	server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	server->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (server->wake_fd < 0 || server->listen_fd < 0) {
		ret = hypr_fail_sys(-errno, "a control socket");
		goto free_server;
	}
	ret = hypr_runtime_address(vm->name, &server->address);
	if (!ret)
		ret = make_socket(server);
	if (ret)
		goto free_server;
	ret = start_threads(server);
	if (ret)
		goto remove_socket;
	*serverp = server;
	return 0;

remove_socket:
	remove_socket(server);
free_server:
	server_free(server);
	return ret;
}

void hypr_server_stop(struct hypr_server *server)
{
	if (!server)
		return;
	remove_socket(server);
	/* It first: the answer to what it does goes out. */
	end_worker(server);
	hypr_server_wake(server);
	pthread_join(server->thread, NULL);
	server_free(server);
}
