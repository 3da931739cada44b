// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr-bench-vmo: how fast VMO files are written, checked and opened, and what
 * clones of one file share; as a table and as JSON.  Runs natively, without KVM:
 * `make bench-vmo`.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "vmo_bench.h"

#define TMPFS_MAGIC	0x01021994

static char work[256];

static void work_remove(void)
{
	struct dirent *entry;
	DIR *list = opendir(work);

	while (list && (entry = readdir(list))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(list), entry->d_name, 0);
	}
	if (list)
		closedir(list);
	rmdir(work);
}

void bench_must(int ret, const char *what)
{
	if (!ret)
		return;
	fprintf(stderr, "hypr-bench-vmo: %s: %s\n", what, hypr_error());
	exit(1);
}

void bench_must_sys(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "hypr-bench-vmo: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

const char *bench_path(const struct vmo_bench *bench, const char *name)
{
	static char path[8][320];
	static unsigned int next;
	char *to = path[next++ % 8];

	snprintf(to, sizeof(path[0]), "%s/%.40s", bench->dir, name);
	return to;
}

uint8_t *bench_memory(uint64_t bytes, int fill)
{
	uint8_t *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint64_t state = 88172645463325252u, *word, at;

	bench_must_sys(mem != MAP_FAILED, "memory");
	for (at = 0; fill && at < bytes; at += sizeof(*word)) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		word = (uint64_t *)(mem + at);
		*word = state;
	}
	return mem;
}

void bench_write(const char *path, const uint8_t *mem, uint64_t bytes, struct hypr_vmo *parent)
{
	struct hypr_vmo_params params = {
		.size = sizeof(params),
		.mem_bytes = bytes,
		.nr_vcpus = BENCH_VCPUS,
		.parent = parent,
	};
	/* As long as those of a Linux guest with 2 vCPUs. */
	static const struct { uint32_t type, index; size_t bytes; } sections[] = {
		{ HYPR_VMO_CPU, 0, 1200 }, { HYPR_VMO_CLOCK, 0, 40 },
		{ HYPR_VMO_VCPU, 0, 6000 }, { HYPR_VMO_VCPU, 1, 6000 },
		{ HYPR_VMO_CHIPS, 0, 1560 }, { HYPR_VMO_PIT, 0, 112 },
		{ HYPR_VMO_CONSOLE, 0, 80 }, { HYPR_VMO_RTC, 0, 136 },
	};
	static const uint8_t state[6000] = { 1 };
	struct hypr_vmo_writer *writer;
	size_t i;

	bench_must(hypr_vmo_writer_create(path, &params, &writer), "a writer");
	bench_must(hypr_vmo_writer_pages(writer, 0, mem, bytes / BENCH_PAGE, HYPR_VMO_RUN_RWX),
		   "pages");
	for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		bench_must(hypr_vmo_writer_section(writer, sections[i].type, sections[i].index, 1,
						   0, state, sections[i].bytes), "sections");
	bench_must(hypr_vmo_writer_commit(writer, NULL), "the commit");
	hypr_vmo_writer_destroy(writer);
}

uint64_t bench_row(json_t *to, const char *key, const char *text, struct samples *ns,
		   uint64_t bytes)
{
	struct summary s;
	json_t *row;

	samples_summarize(ns, &s);
	row = json_pack("{sI sI sI sI}", "median_ns", (json_int_t)s.median,
			"p99_ns", (json_int_t)s.p99, "max_ns", (json_int_t)s.max,
			"samples", (json_int_t)ns->nr);
	printf("  %-46s %12.1f us", text, (double)s.median / 1000);
	if (bytes) {
		printf(" %8.2f GB/s", (double)bytes / (double)s.median);
		json_object_set_new(row, "bytes", json_integer((json_int_t)bytes));
	}
	putchar('\n');
	fflush(stdout);
	json_object_set_new(to, key, row);
	samples_fini(ns);
	return s.median;
}

void bench_bar(struct vmo_bench *bench, const char *key, const char *text, double value,
	       double bar, int at_least)
{
	int reached = at_least ? value >= bar : value <= bar;
	json_t *bars = json_object_get(bench->root, "bars");

	printf("  %-46s %12.2f    bar %g: %s\n", text, value, bar,
	       reached ? "reached" : "MISSED");
	json_object_set_new(bars, key, json_pack("{sf sf sb}", "value", value, "bar", bar,
						 "reached", reached));
}

static void usage(void)
{
	puts("usage: hypr-bench-vmo [--rounds N] [--mem MIB] [--clones N] [--dir FOLDER]\n"
	     "                      [--json FILE]\n"
	     "\n"
	     "  --rounds N    of each figure (default 15)\n"
	     "  --mem MIB     memory that is written and verified (default 256)\n"
	     "  --clones N    processes that map one file (default 50)\n"
	     "  --dir FOLDER  files go to a folder there (default /dev/shm)\n"
	     "  --json FILE   the figures in that file too\n"
	     "\n"
	     "Takes about 4 times --mem of memory, and 1 GiB at the least.");
}

static unsigned long number(const char *text, unsigned long most)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || !n || n > most) {
		fprintf(stderr, "hypr-bench-vmo: '%s' is not 1 to %lu\n", text, most);
		exit(2);
	}
	return n;
}

static void describe(struct vmo_bench *bench)
{
	char line[200], cpu[160] = "?";
	FILE *info = fopen("/proc/cpuinfo", "r");
	struct utsname name;
	struct statfs fs;

	while (info && fgets(line, sizeof(line), info)) {
		if (sscanf(line, "model name : %159[^\n]", cpu) == 1)
			break;
	}
	if (info)
		fclose(info);
	uname(&name);
	bench_must_sys(!statfs(bench->dir, &fs), bench->dir);
	printf("%s, %ld CPUs, Linux %s, files on %s\n", cpu, sysconf(_SC_NPROCESSORS_ONLN),
	       name.release, fs.f_type == TMPFS_MAGIC ? "tmpfs" : "no tmpfs");
	json_object_set_new(bench->root, "host", json_pack("{ss si ss sb}", "cpu", cpu, "cpus",
			    (int)sysconf(_SC_NPROCESSORS_ONLN), "kernel", name.release,
			    "tmpfs", fs.f_type == TMPFS_MAGIC));
	json_object_set_new(bench->root, "rounds", json_integer(bench->rounds));
	json_object_set_new(bench->root, "bars", json_object());
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "rounds", required_argument, NULL, 'r' },
		{ "mem", required_argument, NULL, 'm' },
		{ "clones", required_argument, NULL, 'c' },
		{ "dir", required_argument, NULL, 'd' },
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct vmo_bench bench = { .dir = work, .mem_bytes = 256 * BENCH_MIB, .rounds = 15,
				   .clones = 50 };
	const char *dir = "/dev/shm", *json = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case 'r': bench.rounds = (unsigned int)number(optarg, 100000); break;
		case 'm': bench.mem_bytes = number(optarg, 65536) * BENCH_MIB; break;
		case 'c': bench.clones = (unsigned int)number(optarg, 1000); break;
		case 'd': dir = optarg; break;
		case 'j': json = optarg; break;
		case 'h': usage(); return 0;
		default: usage(); return 2;
		}
	}
	if (optind < argc) {
		usage();
		return 2;
	}
	snprintf(work, sizeof(work), "%.200s/hypr-bench-XXXXXX", dir);
	bench_must_sys(!!mkdtemp(work), work);
	atexit(work_remove);
	bench.root = json_object();
	describe(&bench);
	bench_vmo_write(&bench);
	bench_vmo_verify(&bench);
	bench_vmo_start(&bench);
	bench_vmo_layers(&bench);
	bench_vmo_clones(&bench);
	if (json)
		bench_must_sys(!json_dump_file(bench.root, json, JSON_INDENT(2)), json);
	json_decref(bench.root);
	return 0;
}
