// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registers: patterns in all of them, held for a while, and compared; and signals, sent
 * to those who hold them, of which none may get lost.
 */
#include "guests/churn/churn.h"

#define HOLDERS_MAX	8
#define SPINS		3000
#define SIGUSR1		10
#define SA_RESTORER	0x04000000ul
#define SA_RESTART	0x10000000ul
#define ARCH_SET_FS	0x1002

/* As hold.S has it. */
struct registers {
	uint64_t general[14];
	int64_t x87[8];
	uint32_t mxcsr, reserved;
	uint64_t flags;
	uint64_t vector[16][4];
};

/* What FS points to. */
struct own {
	uint64_t self;
	uint64_t nr;
};

void hold(const struct registers *in, struct registers *out, uint64_t spins);
void signal_return(void);

uint8_t have_avx;
static struct own owns[HOLDERS_MAX];
static uint64_t handled[HOLDERS_MAX];

static uint64_t fs_word(uint64_t at)
{
	uint64_t word;

	asm volatile("movq %%fs:(%1), %0" : "=r" (word) : "r" (at));
	return word;
}

/* On the stack of whoever holds registers. */
static void on_signal(int signal)
{
	uint64_t nr = fs_word(8);

	(void)signal;
	if (nr >= HOLDERS_MAX)
		die("FS in a signal handler", (long)nr, 0);
	__atomic_fetch_add(&handled[nr], 1, __ATOMIC_RELEASE);
}

static void avx_find(void)
{
	uint32_t a = 1, b, c, d;

	asm volatile("cpuid" : "+a" (a), "=b" (b), "=c" (c), "=d" (d));
	if ((c & 3u << 27) != 3u << 27)		/* OSXSAVE, AVX */
		return;
	asm volatile("xgetbv" : "=a" (a), "=d" (d) : "c" (0));
	have_avx = (a & 6) == 6;
}

void registers_init(void)
{
	struct {
		void (*handler)(int signal);
		unsigned long flags;
		void (*restorer)(void);
		uint64_t mask;
	} action = { on_signal, SA_RESTORER | SA_RESTART, signal_return, 0 };

	avx_find();
	expect("rt_sigaction", sys4(__NR_rt_sigaction, SIGUSR1, &action, 0, 8), 0);
}

static uint64_t next(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state ^ *state >> 29;
}

static void fill(struct registers *in, uint64_t *state)
{
	unsigned int i, j;

	for (i = 0; i < 14; i++)
		in->general[i] = next(state);
	/* Each exact in the 64 bits of an x87 significand. */
	for (i = 0; i < 8; i++)
		in->x87[i] = (int64_t)next(state);
	in->mxcsr = 0x1f80 | (next(state) & 3) << 13;	/* the rounding mode differs */
	in->flags = 0x202 | (next(state) & 0x8d5);	/* OF, SF, ZF, AF, PF, CF */
	for (i = 0; i < 16; i++)
		for (j = 0; j < 4; j++)
			in->vector[i][j] = j < 2 || have_avx ? next(state) : 0;
}

static void compare(const struct registers *in, const struct registers *out)
{
	unsigned int i, j;

	for (i = 0; i < 14; i++)
		expect("a general register", (long)out->general[i], (long)in->general[i]);
	for (i = 0; i < 8; i++)
		expect("an x87 register", out->x87[i], in->x87[i]);
	expect("MXCSR", out->mxcsr, in->mxcsr);
	expect("RFLAGS", (long)(out->flags & 0x8d5), (long)(in->flags & 0x8d5));
	for (i = 0; i < 16; i++)
		for (j = 0; j < 4; j++)
			expect("a vector register", (long)out->vector[i][j],
			       (long)in->vector[i][j]);
}

void registers_run(struct worker *worker)
{
	struct registers in, out = { 0 };
	struct own *own = &owns[worker->nr];
	uint64_t state = worker->nr + 1;

	own->self = (uint64_t)own;
	own->nr = worker->nr;
	expect("arch_prctl", sys2(__NR_arch_prctl, ARCH_SET_FS, own), 0);
	for (;;) {
		fill(&in, &state);
		hold(&in, &out, SPINS);
		compare(&in, &out);
		expect("the FS base", (long)fs_word(0), (long)own);
		round_done(worker);
		/* In the kernel too. */
		if (worker->rounds % 16 == 0)
			sys0(__NR_sched_yield);
	}
}

/* One at a time to each who holds registers; the next when it was handled. */
void signals_run(struct worker *worker)
{
	long pid = sys0(__NR_getpid), tid;
	uint64_t sent;
	uint32_t i;

	for (;;) {
		for (i = 0; i < nr_workers; i++) {
			tid = __atomic_load_n(&workers[i].tid, __ATOMIC_ACQUIRE);
			/* Rounds: it has its FS. */
			if (workers[i].run != registers_run || !tid ||
			    !__atomic_load_n(&workers[i].rounds, __ATOMIC_ACQUIRE))
				continue;
			sent = __atomic_load_n(&handled[workers[i].nr], __ATOMIC_ACQUIRE) + 1;
			expect("tgkill", sys3(__NR_tgkill, pid, tid, SIGUSR1), 0);
			while (__atomic_load_n(&handled[workers[i].nr], __ATOMIC_ACQUIRE) != sent)
				sleep_ns(1000000);
		}
		round_done(worker);
		sleep_ns(2000000);
	}
}
