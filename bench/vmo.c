// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypr-bench-vmo: how fast VMO files are written, checked and opened, and what
 * clones of one file share; as a table and as JSON.  Runs natively, without KVM:
 * `make bench-vmo`.
 */
#include <dirent.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmo_bench.h"

#define TMPFS_MAGIC	0x01021994

const char bench_name[] = "hypr-bench-vmo";

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
		fprintf(stderr, "%s: '%s' is not 1 to %lu\n", bench_name, text, most);
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
