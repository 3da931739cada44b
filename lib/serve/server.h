/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The control socket's server: what its two threads share. */
#ifndef LIB_SERVE_SERVER_H
#define LIB_SERVE_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include "serve/protocol.h"

#define HYPR_CLIENTS_MAX	32

enum hypr_client_state {
	HYPR_CLIENT_FREE,
	HYPR_CLIENT_READING,
	HYPR_CLIENT_ASKED,
	HYPR_CLIENT_SENDING,
};

/**
 * struct hypr_server_client - a connection; of the first thread, but for @answer
 * @request, @answer: from HYPR_CLIENT_ASKED on the worker's, until
 *	@answer is there (lock)
 * @sent: bytes of @answer that went out
 */
struct hypr_server_client {
	enum hypr_client_state state;
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
	struct hypr_server_client client[HYPR_CLIENTS_MAX];
	uint64_t deaf_ns;	/* accept no connection before */

	pthread_mutex_t lock;
	pthread_cond_t asked;
	struct hypr_server_client *queue[HYPR_CLIENTS_MAX];	/* lock */
	unsigned int nr_queued;					/* lock */
	bool stop;						/* lock */
};

/* worker.c */
bool hypr_server_is_stopping(struct hypr_server *server);
void hypr_server_wake(struct hypr_server *server);
void *hypr_worker_thread(void *arg);

#endif /* LIB_SERVE_SERVER_H */
