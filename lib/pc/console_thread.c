// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The other end of the serial line: a thread that writes out what the guest sent,
 * and reads what it is to receive.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/kick.h"
#include "pc/console.h"

#define STOP_GRACE_MS	1000	/* at the end, with nobody taking anything */
#define STOP_MAX_MS	10000	/* at the end, with somebody taking it slowly */
#define KICK_MS		20
#define WRITE_BYTES	4096	/* a pipe that is ready to be written takes as much at once */

/*
 * Write out one stretch of the ring.  The descriptor is the caller's and may be one
 * that blocks, which is no matter for this thread alone, but hypr_console_stop() has
 * to bring it back.  Return: false when there is no use in going on.
 */
static bool drain(struct hypr_console *con)
{
	uint32_t head, len;
	ssize_t done;

	pthread_mutex_lock(&con->lock);
	head = con->tx_head % HYPR_CONSOLE_TX_BYTES;
	len = hypr_console_tx_used(con);
	pthread_mutex_unlock(&con->lock);
	if (len > HYPR_CONSOLE_TX_BYTES - head)
		len = HYPR_CONSOLE_TX_BYTES - head;
	if (!len)
		return true;
	if (len > WRITE_BYTES)
		len = WRITE_BYTES;

	/* Unlocked: vCPUs only append, and never past tx_head. */
	done = write(con->out_fd, con->tx + head, len);
	if (done < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (done < 0 && (errno == EPIPE || errno == EBADF || errno == EINVAL))
		return false;
	/* A full disk may have room again: what has none now is lost, not what follows. */
	pthread_mutex_lock(&con->lock);
	hypr_console_sent_locked(con, done < 0 ? len : (uint32_t)done);
	pthread_mutex_unlock(&con->lock);
	return true;
}

/* Read what the line takes next; it may be full or frozen by then.  Return: false at the end. */
static bool fill(struct hypr_console *con)
{
	ssize_t len;

	len = read(con->in_fd, con->in, sizeof(con->in));
	if (len < 0)
		return errno == EINTR || errno == EAGAIN;
	con->in_at = 0;
	con->in_len = (uint32_t)len;
	return len > 0;
}

static void catch_up(struct hypr_console *con)
{
	if (con->catch_up)
		con->catch_up(con->arg);
}

static void deliver(struct hypr_console *con)
{
	con->in_at += hypr_console_receive(con, con->in + con->in_at, con->in_len - con->in_at);
}

static void discard(struct hypr_console *con)
{
	pthread_mutex_lock(&con->lock);
	hypr_console_sent_locked(con, hypr_console_tx_used(con));
	pthread_mutex_unlock(&con->lock);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool is_over(struct hypr_console *con)
{
	bool over;

	pthread_mutex_lock(&con->lock);
	over = con->stop && now_ms() >= con->stop_ms;
	pthread_mutex_unlock(&con->lock);
	return over;
}

static void *console_thread(void *arg)
{
	struct hypr_console *con = arg;
	bool in_open = con->in_fd >= 0;
	bool out_open = con->out_fd >= 0;

	for (;;) {
		struct pollfd pfd[3];
		bool stop, sending, room;
		uint64_t count;

		catch_up(con);
		deliver(con);
		pthread_mutex_lock(&con->lock);
		stop = con->stop;
		sending = hypr_console_tx_used(con) > 0;
		room = hypr_console_rx_used(con) < HYPR_CONSOLE_RX_BYTES && !con->frozen &&
		       con->in_at == con->in_len;
		con->look_again |= con->frozen;
		pthread_mutex_unlock(&con->lock);

		if (sending && !out_open) {
			discard(con);
			sending = false;
		}
		if (stop && !sending)
			return NULL;

		pfd[0] = (struct pollfd){ .fd = con->wake_fd, .events = POLLIN };
		pfd[1] = (struct pollfd){ .fd = in_open && room && !stop ? con->in_fd : -1,
					  .events = POLLIN };
		pfd[2] = (struct pollfd){ .fd = sending ? con->out_fd : -1, .events = POLLOUT };
		/* A reader that does not read must not hold up the end for ever. */
		if (poll(pfd, 3, stop ? STOP_GRACE_MS : -1) == 0 || is_over(con))
			return NULL;

		if (pfd[0].revents && read(con->wake_fd, &count, sizeof(count)) < 0)
			count = 0;
		if (pfd[1].revents)
			in_open = fill(con);
		if (pfd[2].revents)
			out_open = drain(con);
	}
}

int hypr_console_start(struct hypr_console *con, int in_fd, int out_fd)
{
	int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sigset_t all, old;
	int ret;

	if (wake_fd < 0)
		return -errno;
	/* vCPUs may use the line already. */
	pthread_mutex_lock(&con->lock);
	con->in_fd = in_fd;
	con->out_fd = out_fd;
	con->wake_fd = wake_fd;
	pthread_mutex_unlock(&con->lock);
	hypr_kick_install();
	/* Signals are the business of the program's own threads; but for the kick. */
	sigfillset(&all);
	sigdelset(&all, HYPR_KICK_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&con->thread, NULL, console_thread, con);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret) {
		pthread_mutex_lock(&con->lock);
		con->wake_fd = -1;
		pthread_mutex_unlock(&con->lock);
		close(wake_fd);
		return -ret;
	}
	con->started = true;
	return 0;
}

/* Until it ends; out of a write that nobody takes, when the time is up. */
static void join_thread(struct hypr_console *con)
{
	uint64_t grace_ms = now_ms() + STOP_GRACE_MS;
	uint32_t head, before = UINT32_MAX;
	struct timespec until;

	for (;;) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += KICK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		if (pthread_timedjoin_np(con->thread, NULL, &until) != ETIMEDOUT)
			return;
		pthread_mutex_lock(&con->lock);
		head = con->tx_head;
		if (head != before)
			grace_ms = now_ms() + STOP_GRACE_MS;
		else if (now_ms() >= grace_ms)
			con->stop_ms = 0;
		before = head;
		pthread_mutex_unlock(&con->lock);
		/* Not once: it may be on its way into the call. */
		if (is_over(con))
			pthread_kill(con->thread, HYPR_KICK_SIGNAL);
	}
}

void hypr_console_stop(struct hypr_console *con)
{
	if (!con->started)
		return;
	pthread_mutex_lock(&con->lock);
	con->stop = true;
	con->stop_ms = now_ms() + STOP_MAX_MS;
	pthread_mutex_unlock(&con->lock);
	hypr_console_wake(con);
	join_thread(con);
	con->started = false;
	close(con->wake_fd);
	con->wake_fd = -1;
}
