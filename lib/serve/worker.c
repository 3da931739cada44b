// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The worker of the control socket's server: it does the operations that clients
 * ask for, one after the other.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/progress.h"
#include "base/time.h"
#include "run/hold.h"
#include "serve/protocol.h"
#include "serve/server.h"

#define PROGRESS_NS		250000000ull	/* from line to line */

bool hypr_server_is_stopping(struct hypr_server *server)
{
	bool stop;

	pthread_mutex_lock(&server->lock);
	stop = server->stop;
	pthread_mutex_unlock(&server->lock);
	return stop;
}

void hypr_server_wake(struct hypr_server *server)
{
	uint64_t one = 1;

	/* A full counter wakes just as well. */
	if (write(server->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* The one request that is being served. */
struct work {
	struct hypr_server *server;
	const struct hypr_server_client *client;
	uint64_t told_ns;
};

static bool has_hung_up(const struct hypr_server_client *client, short how)
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
	const struct hypr_server_client *client = work->client;
	char line[96];

	if (hypr_server_is_stopping(work->server) || hypr_vm_has_ended(work->server->vm))
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

static char *serve(struct hypr_server *server, const struct hypr_server_client *client)
{
	struct work work = { .server = server, .client = client };
	bool stop = false;
	char *answer;

	hypr_progress_set(goes_on, &work);
	answer = hypr_request_serve(server->vm, &client->request, &stop);
	hypr_progress_set(NULL, NULL);
	return answer;
}

static struct hypr_server_client *next_client(struct hypr_server *server)
{
	struct hypr_server_client *client = NULL;

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

void *hypr_worker_thread(void *arg)
{
	struct hypr_server *server = arg;
	struct hypr_server_client *client;
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
		hypr_server_wake(server);
	}
	return NULL;
}
