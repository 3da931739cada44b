// SPDX-License-Identifier: GPL-2.0-only
/*
 * What clones of one file share: processes that map it, have read all pages and
 * written one in a hundred, by their proportional set sizes (PSS) in
 * /proc/PID/smaps_rollup.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmo_bench.h"

#define CLONE_BYTES	(64u * BENCH_MIB)

enum how { NOTHING, MAPPED, COPIED };

static void clone_use(const char *path, enum how how)
{
	uint64_t at, sum = 0;
	struct hypr_vmo *vmo;
	uint8_t *mem;

	bench_must(hypr_vmo_open(path, &vmo), path);
	mem = bench_memory(CLONE_BYTES, 0);
	if (how == MAPPED)
		bench_must(hypr_vmo_map(vmo, mem), path);
	else
		bench_must(hypr_vmo_read(vmo, 0, mem, CLONE_BYTES), path);
	for (at = 0; at < CLONE_BYTES; at += BENCH_PAGE)
		sum += *(volatile uint8_t *)(mem + at);
	for (at = 0; at < CLONE_BYTES; at += 100 * BENCH_PAGE)
		mem[at] = (uint8_t)(sum + 1);
}

/* A clone, once it has done all this, and until it is killed. */
static pid_t clone_start(const char *path, enum how how)
{
	int ready[2];
	pid_t pid;
	char byte;

	bench_must_sys(!pipe(ready), "a pipe");
	pid = fork();
	bench_must_sys(pid >= 0, "a process");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		if (how != NOTHING)
			clone_use(path, how);
		if (write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	bench_must_sys(read(ready[0], &byte, 1) == 1, "a clone");
	close(ready[0]);
	return pid;
}

static uint64_t pss_bytes(pid_t pid)
{
	char path[64], line[128];
	unsigned long kib = 0;
	FILE *rollup;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	rollup = fopen(path, "r");
	bench_must_sys(!!rollup, path);
	while (fgets(line, sizeof(line), rollup)) {
		if (sscanf(line, "Pss: %lu kB", &kib) == 1)
			break;
	}
	fclose(rollup);
	return (uint64_t)kib * 1024;
}

/* PSS of @nr processes together. */
static uint64_t pss_of(const char *path, unsigned int nr, enum how how)
{
	pid_t *pid = calloc(nr, sizeof(*pid));
	uint64_t sum = 0;
	unsigned int i;

	bench_must_sys(!!pid, "memory");
	for (i = 0; i < nr; i++)
		pid[i] = clone_start(path, how);
	for (i = 0; i < nr; i++)
		sum += pss_bytes(pid[i]);
	for (i = 0; i < nr; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	free(pid);
	return sum;
}

static double mib(uint64_t bytes)
{
	return (double)bytes / BENCH_MIB;
}

void bench_vmo_clones(struct vmo_bench *bench)
{
	const char *path = bench_path(bench, "c.vmo");
	uint8_t *mem = bench_memory(CLONE_BYTES, 1);
	uint64_t empty, empty_all, one, all, copied;
	unsigned int nr = bench->clones;

	printf("\nclones of a guest of 64 MiB, no page zero: all read, 1 %% written\n");
	fflush(stdout);
	bench_write(path, mem, CLONE_BYTES, NULL);
	munmap(mem, CLONE_BYTES);
	/* The program's own pages are not what is asked for. */
	empty = pss_of(path, 1, NOTHING);
	empty_all = pss_of(path, nr, NOTHING);
	one = pss_of(path, 1, MAPPED) - empty;
	all = pss_of(path, nr, MAPPED) - empty_all;
	copied = pss_of(path, 1, COPIED) - empty;
	printf("  %-46s %12.1f MiB\n", "PSS of 1 clone", mib(one));
	printf("  PSS of %2u clones together %34.1f MiB, %.2f MiB each\n", nr, mib(all),
	       mib(all) / nr);
	printf("  %-46s %12.1f MiB\n", "PSS of 1 process that reads the whole file", mib(copied));
	json_object_set_new(bench->root, "clones", json_pack("{sI sI sI sI sI}",
			    "mem_bytes", (json_int_t)CLONE_BYTES, "nr", (json_int_t)nr,
			    "pss_1_bytes", (json_int_t)one, "pss_all_bytes", (json_int_t)all,
			    "pss_copied_1_bytes", (json_int_t)copied));
	unlink(path);
}
