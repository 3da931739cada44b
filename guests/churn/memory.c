// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory: a page that is exchanged again and again under the eyes of threads on other
 * CPUs, whose TLBs the kernel has to flush by interrupts; copies on write by fork; a new
 * program by exec.
 */
#include "guests/churn/churn.h"

#define PAGES		4
#define STATUS_FORK	7
#define STATUS_EXEC	9
#define WALL		0x40000000	/* any child */
#define PAGE_WORDS	(PAGE_BYTES / 8)

/* Even: the page has the value.  Odd: it is being exchanged. */
static uint64_t sequence;
static uint64_t *shared;

static uint64_t *pages_get(void *at, long flags)
{
	long p = sys6(__NR_mmap, (long)at, PAGES * PAGE_BYTES, PROT_RW, MAP_ANON | flags, -1, 0);

	if (p < 0 && p > -4096)
		die("mmap", p, 0);
	return (uint64_t *)p;
}

static uint64_t value_of(uint64_t seq, uint64_t page)
{
	return seq * 0x9e3779b97f4a7c15ull + page;
}

/*
 * After mmap() has returned, no CPU may see the pages that were there before: a flush that
 * did not reach a CPU is an old value there.  The pages are exchanged at one stroke, so a
 * reader never meets none.
 */
void mapper_run(struct worker *worker)
{
	uint64_t *pages = pages_get(0, 0), seq = 0, page;

	for (;;) {
		__atomic_store_n(&sequence, ++seq, __ATOMIC_SEQ_CST);
		pages_get(pages, MAP_FIXED);
		seq++;
		for (page = 0; page < PAGES; page++)
			pages[page * PAGE_WORDS] = value_of(seq, page);
		expect("mprotect",
		       sys3(__NR_mprotect, pages, PAGES * PAGE_BYTES, PROT_READ), 0);
		__atomic_store_n(&shared, pages, __ATOMIC_RELEASE);
		__atomic_store_n(&sequence, seq, __ATOMIC_SEQ_CST);
		round_done(worker);
		sleep_ns(500000);
	}
}

/* Between two equal even numbers the page has the value of that number. */
void reader_run(struct worker *worker)
{
	uint64_t seq, value, page = worker->nr, *pages;

	for (;; page++) {
		pages = __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
		seq = __atomic_load_n(&sequence, __ATOMIC_SEQ_CST);
		if (!pages || seq % 2) {
			sys0(__NR_sched_yield);
			continue;
		}
		value = __atomic_load_n(&pages[page % PAGES * PAGE_WORDS], __ATOMIC_SEQ_CST);
		if (__atomic_load_n(&sequence, __ATOMIC_SEQ_CST) != seq)
			continue;
		expect("a page that was exchanged", (long)value,
		       (long)value_of(seq, page % PAGES));
		round_done(worker);
	}
}

static void child_await(const char *what, long pid, uint32_t code)
{
	uint32_t status = 0;
	long ret;

	if (pid < 0)
		die(what, pid, 0);
	do {
		ret = sys4(__NR_wait4, pid, &status, WALL, 0);
	} while (ret == -EINTR);
	expect("wait4", ret, pid);
	expect(what, status, code << 8);
}

/* The child writes to its copy; neither sees the other's. */
void forker_run(struct worker *worker)
{
	uint64_t *pages = pages_get(0, 0), round, page;
	long pid;

	for (round = 1;; round++) {
		for (page = 0; page < PAGES; page++)
			pages[page * PAGE_WORDS] = value_of(round, page);
		pid = sys0(__NR_fork);
		for (page = 0; page < PAGES; page++) {
			if (pages[page * PAGE_WORDS] != value_of(round, page) && !pid)
				sys1(__NR_exit_group, 1);
			expect("a page after fork", (long)pages[page * PAGE_WORDS],
			       (long)value_of(round, page));
			if (!pid)
				pages[page * PAGE_WORDS] = 0;
		}
		if (!pid)
			sys1(__NR_exit_group, STATUS_FORK);
		child_await("fork", pid, STATUS_FORK);
		for (page = 0; page < PAGES; page++)
			expect("a page after the child's end", (long)pages[page * PAGE_WORDS],
			       (long)value_of(round, page));
		round_done(worker);
		sleep_ns(3000000);
	}
}

_Noreturn void exec_child(void)
{
	sys1(__NR_exit_group, STATUS_EXEC);
	__builtin_unreachable();
}

void exec_run(struct worker *worker)
{
	static const char * const argv[] = { "/init", "child", 0 };
	long pid;

	for (;;) {
		pid = sys0(__NR_fork);
		if (!pid) {
			sys3(__NR_execve, argv[0], argv, 0);
			sys1(__NR_exit_group, 1);
		}
		child_await("exec", pid, STATUS_EXEC);
		round_done(worker);
		sleep_ns(5000000);
	}
}
