// SPDX-License-Identifier: GPL-2.0-only
/*
 * The demo guest, /init of its initrd: one worker pinned to each CPU, in
 * lock-step, and a report to the host for each step that all have completed.
 * Read epoch_core.c for what is kept and checked, epoch_report.h for the report.
 *
 * It is a program without a C library: small, and with nothing in it that
 * could keep state in places nobody thinks of.
 *
 * Parameters, on the kernel's command line or as arguments:
 *	epoch.mib=4		checked memory, shared out among the workers
 *	epoch.pages_per_step=32	pages rewritten in a step, by all together
 *	epoch.steps=0		end after so many steps, 0 for never
 *	epoch.workers=0		workers, 0 for one on each CPU
 *	epoch.rest=0		milliseconds that a CPU rests after each step
 *	epoch.verbose=0		a line on the console every so many steps
 *	epoch.sleep=0		a further thread sleeps so many milliseconds, again
 *				and again, and tells how long that took
 *	epoch.port=1		0: report by epoch.verbose alone, not by the port
 *	epoch.corrupt=WHAT	for tests: break page, table, chain, counter,
 *				register or clock of worker 0 ...
 *	epoch.corrupt_step=1	... before it checks this step; call: what the
 *				caller takes for its process number, in that round
 *
 * As an ordinary process it needs --selftest, and then writes its reports to
 * standard output and exits with 1 when a check failed.
 */
#include "epoch_core.h"
#include "epoch_report.h"
#include "sys.h"

#define STACK_BYTES	16384
#define SPINS		200	/* before a worker sleeps */
#define LINES_MAX	8	/* failures told on the console */

#define PROT_RW		3	/* PROT_READ | PROT_WRITE */
#define MAP_PRIV_ANON	0x22	/* MAP_PRIVATE | MAP_ANONYMOUS */
#define CLOCK_MONOTONIC	1
#define GRND_INSECURE	4	/* do not wait for the pool */
#define FUTEX_WAIT	128	/* FUTEX_PRIVATE_FLAG */
#define FUTEX_WAKE	129
#define REBOOT_MAGIC1	0xfee1dead
#define REBOOT_MAGIC2	672274793
#define REBOOT_RESTART	0x01234567

struct options {
	uint64_t mib;
	uint64_t pages_per_step;
	uint64_t steps;
	uint64_t workers;
	uint64_t rest;
	uint64_t verbose;
	uint64_t port;
	uint64_t sleep;
	uint64_t calls;
	uint64_t corrupt_step;
	char corrupt[16];
	int selftest;
};

static struct options options = {
	.mib = 4,
	.pages_per_step = 32,
	.port = 1,
	.corrupt_step = 1,
};

static struct epoch_state state;
static uint32_t arrived;	/* workers but the first that await the epoch */
static uint32_t cpu_of[EPOCH_WORKERS_MAX];
static uint32_t nr_cpus;

/* ---- text ---------------------------------------------------------------- */

void *memset(void *to, int c, unsigned long n)
{
	char *p = to;

	while (n--)
		*p++ = (char)c;
	return to;
}

struct line {
	char text[160];
	uint32_t len;
};

static void put(struct line *line, const char *s)
{
	while (*s && line->len < sizeof(line->text))
		line->text[line->len++] = *s++;
}

static void put_base(struct line *line, uint64_t value, unsigned int base,
		     unsigned int width)
{
	char buf[24];
	unsigned int at = sizeof(buf) - 1;

	buf[at] = '\0';
	do {
		buf[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value || sizeof(buf) - 1 - at < width);
	put(line, buf + at);
}

static void put_dec(struct line *line, uint64_t value)
{
	put_base(line, value, 10, 1);
}

static void put_end(struct line *line)
{
	put(line, "\n");
	sys3(__NR_write, 1, line->text, line->len);
}

/* @value: -errno, or what came in place of the result that is known; 0 for none. */
static void die(const char *what, long value)
{
	struct line line = { .len = 0 };

	put(&line, "epoch: FAILED: ");
	put(&line, what);
	if (value < 0 && value > -4096) {
		put(&line, ": error ");
		put_dec(&line, (uint64_t)-value);
	} else if (value) {
		put(&line, ": 0x");
		put_base(&line, (uint64_t)value, 16, 1);
	}
	put_end(&line);
	sys1(__NR_exit_group, 2);
	__builtin_unreachable();
}

/* After @prefix in @s, or NULL. */
static const char *after(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return 0;
	return s;
}

static int same(const char *a, const char *b)
{
	const char *rest = after(a, b);

	return rest && !*rest;
}

static uint64_t number(const char *s)
{
	uint64_t value = 0;

	while (*s >= '0' && *s <= '9')
		value = value * 10 + (uint64_t)(*s++ - '0');
	return value;
}

/* ---- parameters ---------------------------------------------------------- */

static void option_take(const char *word)
{
	static const struct {
		const char *name;
		uint64_t *value;
	} table[] = {
		{ "mib=", &options.mib },
		{ "pages_per_step=", &options.pages_per_step },
		{ "steps=", &options.steps },
		{ "workers=", &options.workers },
		{ "rest=", &options.rest },
		{ "verbose=", &options.verbose },
		{ "port=", &options.port },
		{ "sleep=", &options.sleep },
		{ "calls=", &options.calls },
		{ "corrupt_step=", &options.corrupt_step },
	};
	const char *key = after(word, "epoch."), *value;
	unsigned int i;

	if (same(word, "--selftest"))
		options.selftest = 1;
	if (!key)
		return;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		value = after(key, table[i].name);
		if (value)
			*table[i].value = number(value);
	}
	value = after(key, "corrupt=");
	for (i = 0; value && value[i] && i < sizeof(options.corrupt) - 1; i++)
		options.corrupt[i] = value[i];
}

static long file_read(const char *path, char *buf, long size)
{
	long fd = sys3(__NR_open, path, 0, 0), len, at = 0;

	if (fd < 0)
		return fd;
	while (at < size - 1) {
		len = sys3(__NR_read, fd, buf + at, size - 1 - at);
		if (len <= 0)
			break;
		at += len;
	}
	sys1(__NR_close, fd);
	buf[at] = '\0';
	return at;
}

static void options_from_cmdline(void)
{
	static char buf[4096];
	long i, start = 0, len = file_read("/proc/cmdline", buf, sizeof(buf));

	for (i = 0; i <= len; i++) {
		if (buf[i] && buf[i] != ' ' && buf[i] != '\n')
			continue;
		buf[i] = '\0';
		option_take(buf + start);
		start = i + 1;
	}
}

static uint64_t mem_available_kb(void)
{
	static char buf[4096];
	const char *at;
	long i, len = file_read("/proc/meminfo", buf, sizeof(buf));

	for (i = 0; i < len; i++) {
		at = after(buf + i, "MemAvailable:");
		if (!at)
			continue;
		while (*at == ' ')
			at++;
		return number(at);
	}
	return 0;
}

/* ---- the machine --------------------------------------------------------- */

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a" (low), "=d" (high));
	return (uint64_t)high << 32 | low;
}

/*
 * The token waits for the next step in a register that only this file's code
 * uses (it is compiled without SSE), so what comes back has been through every
 * save and restore of this thread and of its vCPU in between.
 */
static void token_put(uint64_t token)
{
	asm volatile("movq %0, %%xmm15" : : "r" (token));
}

static uint64_t token_get(void)
{
	uint64_t token;

	asm volatile("movq %%xmm15, %0" : "=r" (token));
	return token;
}

static uint64_t clock_ns(void)
{
	uint64_t ts[2];

	if (sys2(__NR_clock_gettime, CLOCK_MONOTONIC, ts))
		return 0;
	return ts[0] * 1000000000ull + ts[1];
}

static void *pages_get(uint64_t bytes)
{
	long p = sys6(__NR_mmap, 0, (long)bytes, PROT_RW, MAP_PRIV_ANON, -1, 0);

	if (p < 0 && p > -4096)
		die("no memory", p);
	return (void *)p;
}

/* As process 1 there is a console, which the kernel brings, and no /proc. */
static void machine_init(void)
{
	sys2(__NR_mkdir, "/proc", 0555);
	sys5(__NR_mount, "proc", "/proc", "proc", 0, 0);
	options_from_cmdline();
}

static void cpus_find(void)
{
	uint64_t mask[16] = { 0 };
	uint32_t cpu;

	sys3(__NR_sched_getaffinity, 0, sizeof(mask), mask);
	for (cpu = 0; cpu < 64 * 16 && nr_cpus < EPOCH_WORKERS_MAX; cpu++)
		if (mask[cpu / 64] >> cpu % 64 & 1)
			cpu_of[nr_cpus++] = cpu;
}

static void cpu_pin(uint32_t cpu)
{
	uint64_t mask[16] = { 0 };
	long err;

	mask[cpu / 64] = 1ull << cpu % 64;
	err = sys3(__NR_sched_setaffinity, 0, sizeof(mask), mask);
	if (err)
		die("sched_setaffinity", err);
}

static void rest(uint64_t ms)
{
	uint64_t ts[2] = { ms / 1000, ms % 1000 * 1000000 };

	sys2(__NR_nanosleep, ts, 0);
}

/* ---- reports ------------------------------------------------------------- */

static void report_words(const struct epoch_record *record)
{
	const uint32_t *word = (const uint32_t *)record;
	unsigned int i;

	for (i = 0; i < EPOCH_REPORT_WORDS; i++)
		asm volatile("outl %0, %w1"
			     : : "a" (word[i]), "d" (EPOCH_REPORT_PORT));
}

/* Another number in each of two guests that share their past. */
static uint64_t random_number(void)
{
	uint64_t value = 0;

	sys3(__NR_getrandom, &value, sizeof(value), GRND_INSECURE);
	return value;
}

static void report_line(const struct epoch_record *record)
{
	struct line line = { .len = 0 };

	put(&line, "epoch ");
	put_dec(&line, record->epoch);
	put(&line, " checks ");
	put_dec(&line, record->checks);
	put(&line, " failures ");
	put_dec(&line, record->failures);
	put(&line, " chain ");
	put_base(&line, record->prev_hash, 16, 8);
	put(&line, " ");
	put_base(&line, record->hash, 16, 8);
	put(&line, " random ");
	put_base(&line, random_number(), 16, 16);
	put_end(&line);
}

static void report(const struct epoch_record *record)
{
	if (!options.selftest && options.port)
		report_words(record);
	if (options.selftest ||
	    (options.verbose && record->epoch % options.verbose == 0))
		report_line(record);
	if (!options.steps || record->epoch < options.steps)
		return;
	if (!options.selftest)
		sys4(__NR_reboot, REBOOT_MAGIC1, REBOOT_MAGIC2, REBOOT_RESTART,
		     0);
	sys1(__NR_exit_group, record->failures != 0);
}

static void failure_line(const struct epoch_worker *worker)
{
	static uint32_t lines;
	struct line line = { .len = 0 };

	if (__atomic_fetch_add(&lines, 1, __ATOMIC_RELAXED) >= LINES_MAX)
		return;
	put(&line, "epoch: FAILED: ");
	put(&line, worker->what);
	put(&line, " (worker ");
	put_dec(&line, worker->index);
	put(&line, ", epoch ");
	put_dec(&line, worker->counter);
	put(&line, ")");
	put_end(&line);
}

/* ---- workers ------------------------------------------------------------- */

/* Sleep until *@word is no longer @value. */
static void await_change(uint32_t *word, uint32_t value)
{
	unsigned int i;

	for (i = 0; i < SPINS; i++) {
		if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value)
			return;
		asm volatile("pause");
	}
	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
		sys4(__NR_futex, word, FUTEX_WAIT, value, 0);
}

static void wake_all(uint32_t *word)
{
	sys3(__NR_futex, word, FUTEX_WAKE, EPOCH_WORKERS_MAX);
}

/* For tests of the checks: break one thing.  Return the token to check with. */
static uint64_t corrupt(struct epoch_worker *worker, uint64_t token)
{
	const char *what = options.corrupt;

	if (!*what || worker->index || worker->counter != options.corrupt_step)
		return token;
	if (same(what, "page"))
		worker->mem[worker->nr_pages * (EPOCH_PAGE_WORDS / 2)] ^= 1;
	else if (same(what, "table"))
		worker->page_hash[worker->nr_pages / 2] ^= 1ull << 63;
	else if (same(what, "chain"))
		worker->chain++;
	else if (same(what, "counter"))
		worker->counter--;
	else if (same(what, "register"))
		token++;
	else if (same(what, "clock"))
		worker->last_ns = ~0ull;
	else if (!same(what, "call"))
		die("epoch.corrupt: not known", 0);
	return token;
}

/*
 * The low half of the epoch is what the others sleep on; it is the half that
 * comes first in memory.
 */
static void step_end(uint32_t index, uint32_t epoch)
{
	uint32_t *futex = (uint32_t *)&state.epoch;
	struct epoch_record record;
	uint32_t here;

	if (index) {
		__atomic_add_fetch(&arrived, 1, __ATOMIC_ACQ_REL);
		wake_all(&arrived);
		await_change(futex, epoch);
		return;
	}
	while ((here = __atomic_load_n(&arrived, __ATOMIC_ACQUIRE)) !=
	       state.nr_workers - 1)
		await_change(&arrived, here);
	__atomic_store_n(&arrived, 0, __ATOMIC_RELEASE);
	epoch_state_close(&state, rdtsc(), &record);
	wake_all(futex);
	report(&record);
}

static void worker_run(void *arg)
{
	struct epoch_worker *worker = arg;
	uint32_t index = worker->index, epoch;
	uint32_t pages = (uint32_t)((options.pages_per_step +
				     state.nr_workers - 1) / state.nr_workers);
	uint64_t token;

	if (state.nr_workers <= nr_cpus)
		cpu_pin(cpu_of[index]);
	token_put(epoch_worker_token(worker));
	for (;;) {
		epoch = (uint32_t)__atomic_load_n(&state.epoch,
						  __ATOMIC_ACQUIRE);
		token = corrupt(worker, token_get());
		if (epoch_worker_check(&state, index, clock_ns(), token))
			failure_line(worker);
		epoch_worker_advance(&state, index, pages);
		token_put(epoch_worker_token(worker));
		step_end(index, epoch);
		if (options.rest)
			rest(options.rest);
	}
}

/* ---- the sleeper --------------------------------------------------------- */

/* "epoch: slept 3000 took 3001 at 12345": milliseconds of the monotonic clock. */
static void sleep_line(uint64_t start_ns, uint64_t end_ns)
{
	struct line line = { .len = 0 };

	put(&line, "epoch: slept ");
	put_dec(&line, options.sleep);
	put(&line, " took ");
	put_dec(&line, (end_ns - start_ns) / 1000000);
	put(&line, " at ");
	put_dec(&line, end_ns / 1000000);
	put_end(&line);
}

static void sleeper_run(void *arg)
{
	uint64_t start;

	(void)arg;
	for (;;) {
		start = clock_ns();
		rest(options.sleep);
		sleep_line(start, clock_ns());
	}
}

/* ---- the caller ---------------------------------------------------------- */

/* A process that lives for one system call: vfork(), its exit(), wait4(). */
static void child_run(void)
{
	uint64_t status = 0;
	long pid = sys0(__NR_vfork), got;

	if (!pid)
		sys1(__NR_exit, 7);
	if (pid < 0)
		die("vfork", pid);
	got = sys4(__NR_wait4, pid, &status, 0, 0);
	if (got != pid)
		die("wait4", got);
	if ((uint32_t)status != 7 << 8)
		die("status of a child", (long)status);
}

static void caller_run(void *arg)
{
	const uint64_t bytes = 4 * EPOCH_PAGE_BYTES;
	long pid = sys0(__NR_getpid), ret;
	uint64_t *p, round, i;

	(void)arg;
	for (round = 0;; round++) {
		if (same(options.corrupt, "call") && round == options.corrupt_step)
			pid++;
		cpu_pin(cpu_of[round % nr_cpus]);
		p = pages_get(bytes);
		for (i = 0; i < bytes / sizeof(*p); i += EPOCH_PAGE_WORDS)
			p[i] = round;
		ret = sys0(__NR_getpid);
		if (ret != pid)
			die("getpid", ret);
		ret = sys1(__NR_close, -1);
		if (ret != -9)	/* EBADF */
			die("close", ret);
		for (i = 0; i < bytes / sizeof(*p); i += EPOCH_PAGE_WORDS)
			if (p[i] != round)
				die("a page", (long)p[i]);
		ret = sys2(__NR_munmap, p, bytes);
		if (ret)
			die("munmap", ret);
		child_run();
	}
}

static void thread_start(void (*fn)(void *arg), void *arg)
{
	long err = sys_thread(fn, arg, (char *)pages_get(STACK_BYTES) + STACK_BYTES);

	if (err == -11)	/* EAGAIN: a kernel in 16 MiB has room for few */
		die("clone: no room for a further thread, give it more memory", err);
	if (err < 0)
		die("clone", err);
}

static void workers_init(void)
{
	uint64_t pages = options.mib * (1024 * 1024 / EPOCH_PAGE_BYTES), share;
	uint32_t i, nr = (uint32_t)options.workers;
	uint64_t *mem, *table;

	if (!nr)
		nr = nr_cpus;
	if (nr > EPOCH_WORKERS_MAX)
		nr = EPOCH_WORKERS_MAX;
	share = pages / nr;
	if (!share)
		die("epoch.mib is too small", 0);
	mem = pages_get(pages * EPOCH_PAGE_BYTES);
	table = pages_get(pages * sizeof(*table));
	for (i = 0; i < nr; i++) {
		epoch_worker_init(&state, i, mem, table, (uint32_t)share);
		mem += share * EPOCH_PAGE_WORDS;
		table += share;
	}
	epoch_state_init(&state, nr);
}

static void hello(void)
{
	struct line line = { .len = 0 };

	put(&line, "epoch: ");
	put_dec(&line, nr_cpus);
	put(&line, " vCPUs, ");
	put_dec(&line, options.mib);
	put(&line, " MiB, MemAvailable ");
	put_dec(&line, mem_available_kb());
	put(&line, " kB");
	put_end(&line);
}

__attribute__((used)) void start_main(int argc, char **argv)
{
	uint32_t i;
	long err;

	for (i = 1; i < (uint32_t)argc; i++)
		option_take(argv[i]);
	if (!options.selftest) {
		if (sys0(__NR_getpid) != 1)
			die("this is a guest's init; see --selftest", 0);
		machine_init();
		err = sys3(__NR_ioperm, EPOCH_REPORT_PORT, 4, 1);
		if (err)
			die("ioperm", err);
	}
	cpus_find();
	hello();
	workers_init();
	if (options.sleep)
		thread_start(sleeper_run, 0);
	if (options.calls)
		thread_start(caller_run, 0);
	for (i = 1; i < state.nr_workers; i++)
		thread_start(worker_run, &state.worker[i]);
	worker_run(&state.worker[0]);
}
