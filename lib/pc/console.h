/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The serial line: an 8250 with FIFO at 0x3f8, IRQ 4.  The registers know
 * nothing of KVM; a thread moves bytes between the line and two fds.
 */
#ifndef LIB_PC_CONSOLE_H
#define LIB_PC_CONSOLE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#define HYPR_CONSOLE_PORT	0x3f8
#define HYPR_CONSOLE_PORTS	8
#define HYPR_CONSOLE_IRQ	4

/* Bits that a register keeps. */
#define HYPR_CONSOLE_IER_BITS	0x0f
#define HYPR_CONSOLE_FCR_BITS	0x01
#define HYPR_CONSOLE_MCR_BITS	0x1f

#define HYPR_CONSOLE_RX_BYTES	64	/* power of two */
#define HYPR_CONSOLE_TX_BYTES	65536	/* power of two */

/* What belongs to a moment: registers and received bytes, not sent ones. */
struct hypr_console_state {
	uint8_t dll;
	uint8_t dlm;
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scr;
	uint8_t thre_pending;	/* a THRE interrupt that IIR has not shown yet */
	uint32_t rx_head;
	uint32_t rx_tail;
	uint8_t rx[HYPR_CONSOLE_RX_BYTES];
};

#define HYPR_CONSOLE_PANIC_BYTES	64

/**
 * struct hypr_panic_watch - does the guest say on its console that it panicked?
 * @matched: letters of the kernel's words so far
 * @panicked: it said so; @words: what follows them, up to the end of the line
 */
struct hypr_panic_watch {
	unsigned int matched;
	bool panicked;
	bool whole;
	char words[HYPR_CONSOLE_PANIC_BYTES];
};

/**
 * struct hypr_console - one serial line
 * @lock: guards everything below it but the fds, the thread and what is its own
 * @frozen: the state is being saved or set: nothing arrives and no line moves
 * @look_again: the thread has found it frozen, or full when it was exchanged: it may wait
 *	for what is there when @frozen ends
 * @room_came: the ring of sent bytes was full and is no longer, while @frozen
 * @set_irq: called under @lock when the interrupt line changes
 * @catch_up: or NULL; called without @lock, before the thread looks at the registers or
 *	changes them: they may have to be those of an earlier time
 * @in, @in_at, @in_len: the thread's own: bytes that it has read and the line not yet
 */
struct hypr_console {
	pthread_mutex_t lock;
	struct hypr_console_state s;
	int irq_level;
	uint32_t tx_head;
	uint32_t tx_tail;
	uint8_t tx[HYPR_CONSOLE_TX_BYTES];
	struct hypr_panic_watch panic;
	bool stop;
	uint64_t stop_ms;	/* when it gives up, on the monotonic clock */
	bool frozen;
	bool look_again;
	bool room_came;

	void (*set_irq)(void *arg, int level);
	void (*catch_up)(void *arg);
	void *arg;
	int in_fd;
	int out_fd;
	int wake_fd;
	pthread_t thread;
	bool started;
	uint8_t in[HYPR_CONSOLE_RX_BYTES];
	uint32_t in_at;
	uint32_t in_len;
};

/** hypr_console_init() - a line at rest; @set_irq may be NULL */
void hypr_console_init(struct hypr_console *con,
		       void (*set_irq)(void *arg, int level), void *arg);

/** hypr_console_start() - move bytes to and from fds (-1: none).  0 or -errno. */
int hypr_console_start(struct hypr_console *con, int in_fd, int out_fd);

/**
 * hypr_console_stop() - write out what is left, end the thread
 *
 * Within a second when nothing is taken any more, else within ten.
 */
void hypr_console_stop(struct hypr_console *con);

/** hypr_console_read(), hypr_console_write() - the guest's access to register @reg */
uint8_t hypr_console_read(struct hypr_console *con, unsigned int reg);
void hypr_console_write(struct hypr_console *con, unsigned int reg, uint8_t value);

/**
 * hypr_console_receive() - bytes arrive
 * Return: how many there was room for; none while the console is frozen.
 */
uint32_t hypr_console_receive(struct hypr_console *con, const uint8_t *buf, uint32_t len);

/**
 * hypr_console_freeze(), hypr_console_thaw() - keep the other end away from the state
 *
 * In between only the guest's accesses, saving and setting a state change registers and line.
 * Output goes on: the ring of sent bytes is no part of a state.  Both may be called
 * twice.
 */
void hypr_console_freeze(struct hypr_console *con);
void hypr_console_thaw(struct hypr_console *con);

/**
 * hypr_console_panic() - has the guest said, in this moment, that it panicked?
 * @words: out: why, at least HYPR_CONSOLE_PANIC_BYTES
 */
bool hypr_console_panic(struct hypr_console *con, char *words);

void hypr_console_save(struct hypr_console *con, struct hypr_console_state *state);

/** hypr_console_lower() - the line falls: chips that were loaded may take it for high */
void hypr_console_lower(struct hypr_console *con);

/**
 * hypr_console_set() - whatever @state says, the registers hold what they can hold
 *
 * The line falls if it is high, and rises if there is a reason: the interrupt controllers
 * get an edge.  So they must have been set first.
 */
void hypr_console_set(struct hypr_console *con, const struct hypr_console_state *state);

/* Between console.c and the thread.  Under @lock, but for hypr_console_wake(). */

static inline uint32_t hypr_console_rx_used(const struct hypr_console *con)
{
	return con->s.rx_tail - con->s.rx_head;
}

static inline uint32_t hypr_console_tx_used(const struct hypr_console *con)
{
	return con->tx_tail - con->tx_head;
}

/** hypr_console_sent_locked() - bytes have left the ring */
void hypr_console_sent_locked(struct hypr_console *con, uint32_t bytes);

/** hypr_console_wake() - the thread looks once more at what there is to do */
void hypr_console_wake(struct hypr_console *con);

#endif /* LIB_PC_CONSOLE_H */
