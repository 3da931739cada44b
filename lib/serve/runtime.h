/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where control sockets are, and how one is told from a stale one. */
#ifndef LIB_SERVE_RUNTIME_H
#define LIB_SERVE_RUNTIME_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/un.h>

/** hypr_runtime_address() - the socket address of the VM @name */
int hypr_runtime_address(const char *name, struct sockaddr_un *address);

/**
 * hypr_runtime_open() - the directory, which is the user's own, or root's
 * @create: make it when it is missing
 * Return: an fd, or -errno (-EPERM: others may put files into it).
 */
int hypr_runtime_open(int create);

/** hypr_runtime_trusts() - is it this user, or root? */
bool hypr_runtime_trusts(uid_t uid);

/** hypr_runtime_trusts_peer() - the same of the process at the other end of a socket */
bool hypr_runtime_trusts_peer(int fd);

/**
 * hypr_runtime_lock() - keep others from making or removing sockets
 * @create: make the directory when it is missing
 * Return: an fd whose close() unlocks, or -errno (-ETIMEDOUT: another process has
 * had it for five seconds).
 */
int hypr_runtime_lock(int create);

/**
 * hypr_runtime_connect() - does not wait
 * Return: a connected fd, or -errno (-ECONNREFUSED: stale; -EAGAIN: a process
 * listens there, and does not accept).
 */
int hypr_runtime_connect(const struct sockaddr_un *address);

/**
 * hypr_runtime_is_alive() - does a process listen there?  Does not wait for it.
 *
 * Under the directory's lock; removes a stale socket.
 */
int hypr_runtime_is_alive(const struct sockaddr_un *address);

#endif /* LIB_SERVE_RUNTIME_H */
