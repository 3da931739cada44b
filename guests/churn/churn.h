/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of the guest "churn": each worker does one kind of work for ever, checks its
 * own results, and counts its rounds.  churn.c starts and watches them.
 */
#ifndef GUESTS_CHURN_H
#define GUESTS_CHURN_H

#include <stdint.h>

#include "guests/churn/churn_report.h"
#include "guests/epoch/sys.h"

#define PAGE_BYTES	4096ul

/* As Linux has them for x86-64; there is no C library to ask. */
#define CLOCK_MONOTONIC	1
#define FUTEX_WAIT	128	/* private */
#define FUTEX_WAKE	129
#define MAP_ANON	0x22	/* MAP_PRIVATE | MAP_ANONYMOUS */
#define MAP_FIXED	0x10
#define PROT_READ	1
#define PROT_RW		3
#define SIGCHLD		17
#define EINTR		4
#define EAGAIN		11

/**
 * struct worker - one thread
 * @name: for a report
 * @run: what it does; returns never
 * @cpu: pinned there, or ANY_CPU
 * @nr: which of those with the same @run
 * @rounds: done, all of them checked
 * @tid: its thread
 */
struct worker {
	const char *name;
	void (*run)(struct worker *worker);
	uint32_t cpu;
	uint32_t nr;
	uint64_t rounds;
	long tid;
};

#define ANY_CPU		UINT32_MAX

/* The workers, and how many. */
extern struct worker workers[];
extern const uint32_t nr_workers;

void round_done(struct worker *worker);

/* Say what is wrong, on the console, and end: the guest's kernel panics then. */
_Noreturn void die(const char *what, long got, long want);

/* @got is -errno, or not: what a system call must return. */
static inline void expect(const char *what, long got, long want)
{
	if (got != want)
		die(what, got, want);
}

uint64_t clock_ns(void);
void sleep_ns(uint64_t ns);

/* registers.c */
void registers_init(void);
void registers_run(struct worker *worker);
void signals_run(struct worker *worker);

/* memory.c */
void mapper_run(struct worker *worker);
void reader_run(struct worker *worker);
void forker_run(struct worker *worker);
void exec_run(struct worker *worker);
_Noreturn void exec_child(void);

/* waits.c */
void futex_run(struct worker *worker);
void sleeper_run(struct worker *worker);
void timerfd_run(struct worker *worker);
void pipe_init(void);
void pipe_write_run(struct worker *worker);
void pipe_read_run(struct worker *worker);

#endif /* GUESTS_CHURN_H */
