// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest for benchmarks, /init of its initrd: one thread on each CPU reads the time
 * stamp counter in a loop, and reports at once when a reading is late: the vCPU was
 * away.  So the first report after a swap is the guest's first instruction outside
 * its kernel, plus one OUT.
 *
 * The thread on the first CPU also writes pages, in stages (BEAT_STAGES): it reports
 * each stage, and waits between two, so that the host can act when so many pages were
 * written.  Then it rests, and begins again.
 */
#include <linux/mman.h>

#include "beat.h"
#include "guests/epoch/epoch_report.h"
#include "guests/epoch/sys.h"

#define CPUS_MAX	64
#define PAGE_BYTES	4096
#define STACK_BYTES	16384

static const uint32_t stages[] = BEAT_STAGES;
static unsigned int nr_stages = sizeof(stages) / sizeof(stages[0]);

static uint8_t (*pages)[PAGE_BYTES];
static uint8_t stack[CPUS_MAX][STACK_BYTES] __attribute__((aligned(16)));

void *memset(void *to, int c, unsigned long n)
{
	uint8_t *p = to;

	while (n--)
		*p++ = (uint8_t)c;
	return to;
}

static uint64_t rdtsc(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a" (low), "=d" (high));
	return (uint64_t)high << 32 | low;
}

static void report(uint32_t word)
{
	asm volatile("outl %0, %w1" : : "a" (word), "d" (EPOCH_REPORT_PORT));
}

static void pin(uint64_t cpu)
{
	uint64_t mask = 1ull << cpu;

	if (sys3(__NR_sched_setaffinity, 0, sizeof(mask), &mask))
		sys1(__NR_exit_group, 1);
}

static long pages_map(uint32_t nr)
{
	return sys6(__NR_mmap, 0, (long)nr * PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/*
 * Those of the last stage, if the VM has so many: the kernel refuses more than there is.  So
 * that the stages find them there, they are written.
 */
static void pages_take(void)
{
	long at;

	while ((at = pages_map(stages[nr_stages - 1])) < 0 && nr_stages > 1)
		nr_stages--;
	if (at < 0)
		sys1(__NR_exit_group, 1);
	pages = (void *)at;
	memset(pages, 1, (unsigned long)stages[nr_stages - 1] * PAGE_BYTES);
}

/* Write the stage's pages that the one before has not. */
static void stage_write(unsigned int stage)
{
	uint32_t page = stage ? stages[stage - 1] : 0;

	for (; page < stages[stage]; page++)
		pages[page][0]++;
}

/* Return: when to come again. */
static uint64_t writer_step(unsigned int *stage, uint64_t now)
{
	if (*stage == nr_stages) {
		*stage = 0;
		report(BEAT_REST);
		return now + BEAT_REST_CYCLES;
	}
	stage_write(*stage);
	report(BEAT_DIRTY | stages[*stage]);
	++*stage;
	return now + BEAT_STAGE_CYCLES;
}

static void cpu_run(void *arg)
{
	uint64_t cpu = (uint64_t)arg, last, now, due = 0;
	unsigned int stage = nr_stages;

	pin(cpu);
	last = rdtsc();
	for (;;) {
		now = rdtsc();
		if (now - last > BEAT_GAP_CYCLES)
			report(BEAT_TAG | (uint32_t)cpu);
		/* The next reading is late then, too: the vCPU may have been away in there. */
		if (!cpu && now >= due)
			due = writer_step(&stage, now);
		last = now;
	}
}

__attribute__((used)) void start_main(int argc, char **argv)
{
	uint64_t mask[CPUS_MAX / 64] = { 0 }, cpu;

	(void)argc;
	(void)argv;
	pages_take();
	sys3(__NR_sched_getaffinity, 0, sizeof(mask), mask);
	if (sys3(__NR_ioperm, EPOCH_REPORT_PORT, 4, 1))
		sys1(__NR_exit_group, 1);
	for (cpu = 1; cpu < CPUS_MAX && (mask[0] >> cpu & 1); cpu++)
		if (sys_thread(cpu_run, (void *)cpu, stack[cpu] + STACK_BYTES) < 0)
			sys1(__NR_exit_group, 1);
	cpu_run(0);
}
