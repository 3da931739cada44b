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
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/time.h"
#include "model/vm.h"
#include "run/hold.h"
#include "serve/protocol.h"
#include "serve/runtime.h"

#define CLIENTS_MAX		32
#define REQUESTS_MAX		(CLIENTS_MAX - 8)	/* that wait for the worker */
#define SEND_TIMEOUT_NS		2000000000ull
#define PROGRESS_NS		250000000ull	/* from line to line */
#define TICK_MS			100

enum state { FREE, READING, ASKED, SENDING };

/**
 * struct client - a connection; of the first thread, but for @answer
 * @request, @answer: from ASKED on the worker's, until @answer is there (lock)
 * @sent: bytes of @answer that went out
 */
struct client {
	enum state state;
	int fd;
	uint64_t active_ns;	/* it sent or took something last */
	size_t len;
	char line[HYPR_LINE_MAX];
	struct hypr_request request;
	char *answer;
	size_t sent;
};

struct hypr_server {
	struct hypr_vm *vm;
	struct sockaddr_un address;
	dev_t dev;		/* of the socket, to remove no other's */
	ino_t ino;
	int listen_fd;
	int wake_fd;		/* to the first thread: an answer, or the end */
	pthread_t thread;
	pthread_t worker;
	struct client client[CLIENTS_MAX];
	uint64_t deaf_ns;	/* accept no connection before */

	pthread_mutex_t lock;
	pthread_cond_t asked;
	struct client *queue[CLIENTS_MAX];	/* lock */
	unsigned int nr_queued;			/* lock */
	bool stop;				/* lock */
};

static bool is_stopping(struct hypr_server *server)
{
	bool stop;

	pthread_mutex_lock(&server->lock);
	stop = server->stop;
	pthread_mutex_unlock(&server->lock);
	return stop;
}

static void wake(struct hypr_server *server)
{
	uint64_t one = 1;

	/* A full counter wakes just as well. */
	if (write(server->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* ---- the worker ------------------------------------------------------------ */

/* The one request that is being served. */
struct work {
	struct hypr_server *server;
	const struct client *client;
	uint64_t told_ns;
};

static bool has_hung_up(const struct client *client, short how)
{
	struct pollfd pfd = { .fd = client->fd, .events = how & POLLRDHUP };

	return poll(&pfd, 1, 0) > 0 && (pfd.revents & (how | POLLERR));
}

/*
 * Return: 1: give it up: the VM is to end, or nobody waits for the file any more.
 */
static int goes_on(void *arg, uint64_t done, uint64_t total)
{
	struct work *work = arg;
	const struct client *client = work->client;
	char line[96];

	if (is_stopping(work->server) || hypr_vm_has_ended(work->server->vm))
		return 1;
	if (client->request.op != HYPR_OP_SAVE)
		return 0;
	if (has_hung_up(client, POLLRDHUP | POLLHUP))
		return 1;
	/* Before the first part is done nothing is to be said of it. */
	if (!client->request.progress || !total ||
	    hypr_now_ns() - work->told_ns < PROGRESS_NS)
		return 0;
	work->told_ns = hypr_now_ns();
	snprintf(line, sizeof(line), HYPR_PROGRESS_LINE "\n", (unsigned long long)done,
		 (unsigned long long)total);
	/* Whole or not at all; who does not read is not told. */
	return send(client->fd, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
	       errno == EPIPE;
}

static char *serve(struct hypr_server *server, const struct client *client)
{
	struct work work = { .server = server, .client = client };
	bool stop = false;
	char *answer;

	hypr_progress_set(goes_on, &work);
	answer = hypr_request_serve(server->vm, &client->request, &stop);
	hypr_progress_set(NULL, NULL);
	return answer;
}

static struct client *next_client(struct hypr_server *server)
{
	struct client *client = NULL;

	pthread_mutex_lock(&server->lock);
	while (!server->stop && !server->nr_queued)
		pthread_cond_wait(&server->asked, &server->lock);
	if (!server->stop) {
		client = server->queue[0];
		server->nr_queued--;
		memmove(server->queue, server->queue + 1,
			server->nr_queued * sizeof(server->queue[0]));
	}
	pthread_mutex_unlock(&server->lock);
	return client;
}

static void *worker_thread(void *arg)
{
	struct hypr_server *server = arg;
	struct client *client;
	char *answer;

	while ((client = next_client(server))) {
		/* What is not begun yet is not begun for nobody. */
		if (has_hung_up(client, POLLHUP))
			answer = strdup("");
		else
			answer = serve(server, client);
		pthread_mutex_lock(&server->lock);
		client->answer = answer ? answer : strdup("");
		pthread_mutex_unlock(&server->lock);
		wake(server);
	}
	return NULL;
}

/* ---- clients --------------------------------------------------------------- */

static void client_close(struct client *client)
{
	close(client->fd);
	free(client->answer);
	client->answer = NULL;
	client->state = FREE;
	client->len = 0;
}

/* Is it one that makes room for others? */
static struct client *most_silent(struct hypr_server *server)
{
	struct client *client, *found = NULL;

	for (client = server->client; client < server->client + CLIENTS_MAX; client++) {
		if (client->state == READING &&
		    (!found || client->active_ns < found->active_ns))
			found = client;
	}
	return found;
}

static struct client *free_client(struct hypr_server *server)
{
	struct client *client;

	for (client = server->client; client < server->client + CLIENTS_MAX; client++) {
		if (client->state == FREE)
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
	struct client *client = most_silent(server);

	if (client)
		client_close(client);
	else
		server->deaf_ns = hypr_now_ns() + TICK_MS * 1000000ull;
}

static void accept_client(struct hypr_server *server)
{
	struct client *client;
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
	client->state = READING;
	client->active_ns = hypr_now_ns();
}

static void start_sending(struct client *client, char *answer)
{
	client->answer = answer ? answer : strdup("");
	client->sent = 0;
	client->state = SENDING;
	client->active_ns = hypr_now_ns();
}

static void ask_worker(struct hypr_server *server, struct client *client)
{
	bool full;

	pthread_mutex_lock(&server->lock);
	full = server->nr_queued >= REQUESTS_MAX;
	if (!full) {
		client->state = ASKED;
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
static void take_request(struct hypr_server *server, struct client *client)
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

static void read_client(struct hypr_server *server, struct client *client)
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
static void send_client(struct hypr_server *server, struct client *client)
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
	client->state = READING;
	take_request(server, client);
}

/* ---- the first thread ------------------------------------------------------ */

static void take_answers(struct hypr_server *server)
{
	struct client *client;
	char *answer;

	for (client = server->client; client < server->client + CLIENTS_MAX; client++) {
		if (client->state != ASKED)
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
	struct client *client;

	for (client = server->client; client < server->client + CLIENTS_MAX; client++) {
		if (client->state == SENDING)
			send_client(server, client);
	}
}

static bool any_sending(const struct hypr_server *server)
{
	int i;

	for (i = 0; i < CLIENTS_MAX; i++) {
		if (server->client[i].state == SENDING)
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
	for (i = 0; i < CLIENTS_MAX; i++) {
		const struct client *client = &server->client[i];

		pfd[i + 2] = (struct pollfd){ .fd = -1 };
		if (client->state == READING || client->state == SENDING)
			pfd[i + 2] = (struct pollfd){
				.fd = client->fd,
				.events = client->state == READING ? POLLIN : POLLOUT,
			};
	}
	if (poll(pfd, CLIENTS_MAX + 2, deaf || sending ? TICK_MS : -1) < 0)
		memset(pfd, 0, (CLIENTS_MAX + 2) * sizeof(*pfd));
}

static void *server_thread(void *arg)
{
	struct hypr_server *server = arg;
	struct pollfd pfd[CLIENTS_MAX + 2];
	uint64_t count;
	int i;

	for (;;) {
		wait_for_events(server, pfd);
		if (pfd[0].revents && read(server->wake_fd, &count, sizeof(count)) < 0)
			count = 0;
		/* An answer that is there goes out also at the end. */
		take_answers(server);
		for (i = 0; i < CLIENTS_MAX; i++) {
			if (pfd[i + 2].revents && server->client[i].state == READING)
				read_client(server, &server->client[i]);
		}
		send_answers(server);
		if (is_stopping(server))
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
	sigset_t all, old;
	int ret;

	/* Signals are the business of the program's own threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&server->worker, NULL, worker_thread, server);
	if (!ret) {
		ret = pthread_create(&server->thread, NULL, server_thread, server);
		if (ret)
			end_worker(server);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret ? hypr_fail_thread(-ret, "the control socket's threads") : 0;
}

static void server_free(struct hypr_server *server)
{
	int i;

	for (i = 0; i < CLIENTS_MAX; i++) {
		if (server->client[i].state != FREE)
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
	wake(server);
	pthread_join(server->thread, NULL);
	server_free(server);
}
