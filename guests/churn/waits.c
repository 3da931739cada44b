// SPDX-License-Identifier: GPL-2.0-only
/*
 * Waits: two threads that wake each other from CPU to CPU, sleeps and periodic timers that
 * may not end early or be lost, and a pipe.
 */
#include "guests/churn/churn.h"

#define SLEEP_NS	3000000ull
#define PERIOD_NS	10000000ull
#define MESSAGE_WORDS	16

static uint32_t turn;		/* whose it is */
static uint64_t turns;		/* written by whose turn it is */
static int pipe_fd[2];

/* Each wakes the other, and counts on where that one stopped. */
void futex_run(struct worker *worker)
{
	uint64_t mine = worker->nr;
	long ret;

	for (;; mine += 2) {
		while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != worker->nr) {
			ret = sys4(__NR_futex, &turn, FUTEX_WAIT, !worker->nr, 0);
			if (ret && ret != -EAGAIN && ret != -EINTR)
				die("futex", ret, 0);
		}
		expect("turns", (long)turns, (long)mine);
		turns++;
		__atomic_store_n(&turn, !worker->nr, __ATOMIC_RELEASE);
		ret = sys3(__NR_futex, &turn, FUTEX_WAKE, 1);
		if (ret < 0)
			die("futex", ret, 1);
		round_done(worker);
	}
}

void sleeper_run(struct worker *worker)
{
	uint64_t before, after;

	for (;;) {
		before = clock_ns();
		sleep_ns(SLEEP_NS);
		after = clock_ns();
		if (after < before + SLEEP_NS)
			die("a sleep", (long)(after - before), SLEEP_NS);
		round_done(worker);
	}
}

/* As many as have passed: none too many, and when it is late none too few. */
void timerfd_run(struct worker *worker)
{
	uint64_t spec[4] = { 0, PERIOD_NS, 0, PERIOD_NS }, count, total = 0;
	uint64_t start = clock_ns(), first, before, now;
	long fd = sys2(__NR_timerfd_create, CLOCK_MONOTONIC, 0), ret;

	if (fd < 0)
		die("timerfd_create", fd, 0);
	expect("timerfd_settime", sys4(__NR_timerfd_settime, fd, 0, spec, 0), 0);
	first = clock_ns();
	for (;;) {
		ret = sys3(__NR_read, fd, &count, sizeof(count));
		if (ret == -EINTR)
			continue;
		expect("a read of a timer", ret, sizeof(count));
		total += count;
		now = clock_ns();
		if (total > (now - start) / PERIOD_NS)
			die("expirations", (long)total, (long)((now - start) / PERIOD_NS));
		/* The next read has all that are due before it. */
		before = clock_ns();
		ret = sys3(__NR_read, fd, &count, sizeof(count));
		expect("a read of a timer", ret, sizeof(count));
		total += count;
		if (total + 1 < (before - first) / PERIOD_NS)
			die("expirations, late", (long)total, (long)((before - first) / PERIOD_NS));
		round_done(worker);
	}
}

void pipe_init(void)
{
	expect("pipe", sys1(__NR_pipe, pipe_fd), 0);
}

void pipe_write_run(struct worker *worker)
{
	uint64_t message[MESSAGE_WORDS], word = 0;
	unsigned int i;

	for (;;) {
		for (i = 0; i < MESSAGE_WORDS; i++)
			message[i] = word++;
		expect("a write to a pipe",
		       sys3(__NR_write, pipe_fd[1], message, sizeof(message)), sizeof(message));
		round_done(worker);
	}
}

void pipe_read_run(struct worker *worker)
{
	uint64_t message[MESSAGE_WORDS], word = 0;
	unsigned int i;

	for (;;) {
		expect("a read of a pipe",
		       sys3(__NR_read, pipe_fd[0], message, sizeof(message)), sizeof(message));
		for (i = 0; i < MESSAGE_WORDS; i++)
			expect("a pipe's word", (long)message[i], (long)word++);
		round_done(worker);
	}
}
