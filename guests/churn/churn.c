// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest for tests, /init of its initrd: threads that do what a swap could break,
 * and check it.  Registers and signals (registers.c), page tables and TLBs that other
 * CPUs have to flush, fork and exec (memory.c), futexes, timers, pipes (waits.c).
 *
 * The first thread watches: it reports to the host when every worker has got on, and
 * ends the guest with one line when a worker has not for 20 seconds of the guest's
 * clock: a wake-up, an interrupt, or a timer was lost.
 *
 * On the kernel's command line behind "--": "break NAME" lets the worker of that name
 * find an error, to prove that it is seen.
 */
#include "guests/churn/churn.h"

#define STACK_BYTES	16384
#define STUCK_NS	20000000000ull
#define WATCH_NS	10000000ull

struct worker workers[] = {
	{ "registers", registers_run, 0, 0, 0, 0 },
	{ "registers", registers_run, 1, 1, 0, 0 },
	{ "registers", registers_run, 2, 2, 0, 0 },
	{ "registers", registers_run, ANY_CPU, 3, 0, 0 },
	{ "signals", signals_run, ANY_CPU, 0, 0, 0 },
	{ "mapper", mapper_run, 0, 0, 0, 0 },
	{ "reader", reader_run, 1, 0, 0, 0 },
	{ "reader", reader_run, 2, 1, 0, 0 },
	{ "fork", forker_run, ANY_CPU, 0, 0, 0 },
	{ "exec", exec_run, ANY_CPU, 0, 0, 0 },
	{ "futex", futex_run, 1, 0, 0, 0 },
	{ "futex", futex_run, 2, 1, 0, 0 },
	{ "sleep", sleeper_run, ANY_CPU, 0, 0, 0 },
	{ "timerfd", timerfd_run, 0, 0, 0, 0 },
	{ "pipe", pipe_write_run, ANY_CPU, 0, 0, 0 },
	{ "pipe", pipe_read_run, ANY_CPU, 1, 0, 0 },
};

#define NR_WORKERS	(sizeof(workers) / sizeof(workers[0]))
const uint32_t nr_workers = NR_WORKERS;

static uint8_t stacks[NR_WORKERS][STACK_BYTES] __attribute__((aligned(16)));
static const char *to_break = "";

void *memset(void *to, int c, unsigned long n)
{
	uint8_t *p = to;

	while (n--)
		*p++ = (uint8_t)c;
	return to;
}

void *memcpy(void *to, const void *from, unsigned long n)
{
	const uint8_t *q = from;
	uint8_t *p = to;

	while (n--)
		*p++ = *q++;
	return to;
}

static int same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* ---- the console --------------------------------------------------------- */

struct line {
	char text[160];
	uint32_t len;
};

static void put(struct line *line, const char *text)
{
	while (*text && line->len < sizeof(line->text))
		line->text[line->len++] = *text++;
}

static void put_number(struct line *line, long value)
{
	char digits[24];
	unsigned int at = sizeof(digits) - 1;
	unsigned long rest = value < 0 ? 0ul - (unsigned long)value : (unsigned long)value;

	digits[at] = '\0';
	do {
		digits[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (value < 0)
		put(line, "-");
	put(line, digits + at);
}

_Noreturn void die(const char *what, long got, long want)
{
	struct line line = { .len = 0 };

	put(&line, "churn: FAILED: ");
	put(&line, what);
	put(&line, ": ");
	put_number(&line, got);
	put(&line, ", expected ");
	put_number(&line, want);
	put(&line, "\n");
	sys3(__NR_write, 1, line.text, line.len);
	sys1(__NR_exit_group, 2);
	__builtin_unreachable();
}

/* ---- time ---------------------------------------------------------------- */

uint64_t clock_ns(void)
{
	uint64_t ts[2];

	expect("clock_gettime", sys2(__NR_clock_gettime, CLOCK_MONOTONIC, ts), 0);
	return ts[0] * 1000000000ull + ts[1];
}

void sleep_ns(uint64_t ns)
{
	uint64_t ts[2] = { ns / 1000000000ull, ns % 1000000000ull };
	long ret;

	do {
		ret = sys2(__NR_nanosleep, ts, ts);
	} while (ret == -EINTR);
	expect("nanosleep", ret, 0);
}

/* ---- workers ------------------------------------------------------------- */

void round_done(struct worker *worker)
{
	if (same(worker->name, to_break))
		die(worker->name, 1, 0);
	__atomic_store_n(&worker->rounds, worker->rounds + 1, __ATOMIC_RELEASE);
}

static void worker_run(void *arg)
{
	struct worker *worker = arg;
	uint64_t mask = 1ull << worker->cpu % 64;

	if (worker->cpu != ANY_CPU)
		expect("sched_setaffinity",
		       sys3(__NR_sched_setaffinity, 0, sizeof(mask), &mask), 0);
	__atomic_store_n(&worker->tid, sys0(__NR_gettid), __ATOMIC_RELEASE);
	worker->run(worker);
}

/* Report when all have got on; end when one has not for too long. */
static void watch(void)
{
	uint64_t seen[NR_WORKERS] = { 0 }, now, since = clock_ns();
	uint32_t i, report = 0;

	for (;;) {
		sleep_ns(WATCH_NS);
		now = clock_ns();
		for (i = 0; i < NR_WORKERS; i++)
			if (__atomic_load_n(&workers[i].rounds, __ATOMIC_ACQUIRE) == seen[i])
				break;
		if (i < NR_WORKERS) {
			if (now - since > STUCK_NS)
				die(workers[i].name, (long)seen[i], (long)seen[i] + 1);
			continue;
		}
		for (i = 0; i < NR_WORKERS; i++)
			seen[i] = __atomic_load_n(&workers[i].rounds, __ATOMIC_ACQUIRE);
		since = now;
		report = (report + 1) & ~CHURN_MASK;
		asm volatile("outl %0, %w1" : : "a" (CHURN_TAG | report), "d" (CHURN_PORT));
	}
}

__attribute__((used)) void start_main(int argc, char **argv)
{
	uint32_t i;

	if (argc > 1 && same(argv[1], "child"))
		exec_child();
	if (argc > 2 && same(argv[1], "break"))
		to_break = argv[2];
	expect("ioperm", sys3(__NR_ioperm, CHURN_PORT, 4, 1), 0);
	registers_init();
	pipe_init();
	for (i = 0; i < NR_WORKERS; i++)
		if (sys_thread(worker_run, &workers[i], stacks[i] + STACK_BYTES) < 0)
			die("clone", i, NR_WORKERS);
	watch();
}
