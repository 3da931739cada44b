// SPDX-License-Identifier: GPL-2.0-only
/*
 * Table pages of 4 KiB, taken and given back: a pool's pool_page_get() against malloc
 * (aligned_alloc) and mimalloc, with one and with two threads.
 *
 *	core_pool [--json FILE]
 *
 * "page" takes one page and gives it back; "burst" takes 32, then gives them back, so
 * that the pages that a CPU keeps do not suffice.  Each page's first word is written.
 * malloc gives the memory of a burst back to the kernel each time, by its defaults.
 * The last two rows are two threads with the CPUs' pages in a cache line each, and
 * shifted by half a line, so that two CPUs share one.  Figures are CPU time of a thread
 * for one page, medians of REPEATS runs that alternate between the allocators.
 */
#include <dlfcn.h>
#include <getopt.h>
#include <jansson.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "pool.h"

#define REPEATS		11
#define PAGES		(1u << 16)
#define BURST		32
#define POOL_PAGES	1024
#define THREADS		2

enum kind { POOL, POOL_SHIFTED, MALLOC, MIMALLOC, KINDS };

static struct memory_pool pool, shifted;
static void *(*mi_take)(size_t bytes, size_t align);
static void (*mi_give)(void *page);

static void *take(enum kind kind)
{
	switch (kind) {
	case POOL:
		return pool_page_get(&pool);
	case POOL_SHIFTED:
		return pool_page_get(&shifted);
	case MALLOC:
		return aligned_alloc(CORE_PAGE_4K, CORE_PAGE_4K);
	default:
		return mi_take(CORE_PAGE_4K, CORE_PAGE_4K);
	}
}

static void give(enum kind kind, void *page)
{
	switch (kind) {
	case POOL:
		pool_page_put(&pool, page);
		break;
	case POOL_SHIFTED:
		pool_page_put(&shifted, page);
		break;
	case MALLOC:
		free(page);
		break;
	default:
		mi_give(page);
	}
}

struct runner {
	pthread_t thread;
	pthread_barrier_t *together;
	enum kind kind;
	u32 burst;
	u32 number;
	double ns;
};

static double thread_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * 1e9 + ts.tv_nsec;
}

/* The n-th CPU that this process may use: each thread has one to itself. */
static void pin(u32 n)
{
	cpu_set_t all, one;

	CPU_ZERO(&one);
	if (sched_getaffinity(0, sizeof(all), &all))
		return;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &all) && !n--) {
			CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof(one), &one);
			return;
		}
}

static void *run(void *argument)
{
	struct runner *runner = argument;
	enum kind kind = runner->kind;
	void *page[BURST];
	double start;

	pin(runner->number);
	pthread_barrier_wait(runner->together);
	start = thread_ns();
	for (u32 done = 0; done < PAGES; done += runner->burst) {
		for (u32 i = 0; i < runner->burst; i++) {
			page[i] = take(kind);
			if (!page[i])
				abort();
			*(volatile u64 *)page[i] = done;
		}
		for (u32 i = 0; i < runner->burst; i++)
			give(kind, page[i]);
	}
	runner->ns = (thread_ns() - start) / PAGES;
	return NULL;
}

/* Nanoseconds for one page, the mean of the threads. */
static double measure(enum kind kind, u32 threads, u32 burst)
{
	struct runner runner[THREADS];
	pthread_barrier_t together;
	double sum = 0;

	pthread_barrier_init(&together, NULL, threads);
	for (u32 n = 0; n < threads; n++) {
		runner[n] = (struct runner){ .together = &together, .kind = kind,
					     .burst = burst, .number = n };
		if (pthread_create(&runner[n].thread, NULL, run, &runner[n]))
			abort();
	}
	for (u32 n = 0; n < threads; n++) {
		pthread_join(runner[n].thread, NULL);
		sum += runner[n].ns;
	}
	pthread_barrier_destroy(&together);
	return sum / threads;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *value)
{
	qsort(value, REPEATS, sizeof(*value), by_value);
	return value[REPEATS / 2];
}

/* The library replaces malloc where it is linked: it is loaded for itself. */
static bool mimalloc_load(void)
{
	void *library = dlopen("libmimalloc.so.2", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);

	if (!library)
		return false;
	mi_take = (void *(*)(size_t, size_t))dlsym(library, "mi_malloc_aligned");
	mi_give = (void (*)(void *))dlsym(library, "mi_free");
	return mi_take && mi_give;
}

struct row {
	u32 threads;
	u32 burst;
	const char *text;
	const char *key[KINDS];
};

static const struct row rows[] = {
	{ 1, 1, "page, 1 thread",
	  { [POOL] = "pool_page_ns_1", [MALLOC] = "malloc_page_ns_1",
	    [MIMALLOC] = "mimalloc_page_ns_1" } },
	{ 2, 1, "page, 2 threads",
	  { [POOL] = "pool_page_ns_2", [MALLOC] = "malloc_page_ns_2",
	    [MIMALLOC] = "mimalloc_page_ns_2" } },
	{ 1, BURST, "burst, 1 thread",
	  { [POOL] = "pool_burst_ns_1", [MALLOC] = "malloc_burst_ns_1",
	    [MIMALLOC] = "mimalloc_burst_ns_1" } },
	{ 2, BURST, "burst, 2 threads",
	  { [POOL] = "pool_burst_ns_2", [MALLOC] = "malloc_burst_ns_2",
	    [MIMALLOC] = "mimalloc_burst_ns_2" } },
	{ 2, 1, "lines, 2 threads",
	  { [POOL] = "pool_padded_ns", [POOL_SHIFTED] = "pool_unpadded_ns" } },
};

static void run_row(const struct row *row, json_t *json)
{
	double value[KINDS][REPEATS], ns[KINDS] = { 0 };
	u32 count = (u32)sysconf(_SC_NPROCESSORS_ONLN);

	if (row->threads > count) {
		printf("%-18s skipped: %u CPUs\n", row->text, count);
		return;
	}
	for (u32 n = 0; n < REPEATS; n++)
		for (u32 kind = 0; kind < KINDS; kind++)
			if (row->key[kind])
				value[kind][n] = measure((enum kind)kind, row->threads,
							 row->burst);
	printf("%-18s", row->text);
	for (u32 kind = 0; kind < KINDS; kind++) {
		if (!row->key[kind]) {
			printf(" %9s", "-");
			continue;
		}
		ns[kind] = median(value[kind]);
		json_object_set_new(json, row->key[kind], json_real(ns[kind]));
		printf(" %9.1f", ns[kind]);
	}
	if (row->key[MALLOC])
		printf("   %5.2f x\n", ns[MALLOC] / ns[POOL]);
	else
		printf("   %5.2f x\n", ns[POOL_SHIFTED] / ns[POOL]);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ 0 },
	};
	const char *path = NULL;
	json_t *json = json_object();
	int option, ret = 0;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'j') {
			fprintf(stderr, "usage: core_pool [--json FILE]\n");
			return 2;
		}
		path = optarg;
	}
	if (!mimalloc_load()) {
		fprintf(stderr, "core_pool: %s; install libmimalloc-dev\n", dlerror());
		return 1;
	}
	if (init_memory_pool(&pool, POOL_PAGES, PLAT_NODE_ANY) ||
	    init_memory_pool(&shifted, POOL_PAGES, PLAT_NODE_ANY)) {
		fprintf(stderr, "core_pool: no memory for two pools of %u pages\n", POOL_PAGES);
		return 1;
	}
	/* pool_cpu_init() leaves a line of slack. */
	shifted.cpu = (struct pool_cpu *)((u8 *)shifted.cpu_memory +
		(POOL_CACHE_LINE / 2 - (uintptr_t)shifted.cpu_memory % POOL_CACHE_LINE +
		 POOL_CACHE_LINE) % POOL_CACHE_LINE);

	printf("%-18s %9s %9s %9s %9s   %s\n", "ns for one page", "pool", "shifted", "malloc",
	       "mimalloc", "ratio to pool");
	for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++)
		run_row(&rows[n], json);
	if (path && json_dump_file(json, path, JSON_INDENT(1))) {
		fprintf(stderr, "core_pool: cannot write %s\n", path);
		ret = 1;
	}
	json_decref(json);
	fini_memory_pool(&shifted);
	fini_memory_pool(&pool);
	return ret;
}
