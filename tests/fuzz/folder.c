// SPDX-License-Identifier: GPL-2.0-only
/*
 * A private folder for the files of a fuzz target, in memory where there is one;
 * and what each target checks.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

static char folder[200];

void fuzz_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n%s\n", file, line, what, hypr_error());
	abort();
}

int fuzz_checked(int ret)
{
	const char *text = hypr_error();
	size_t i;

	if (!ret)
		return 0;
	fuzz_check(ret < 0 && ret > -4096);
	fuzz_check(strstr(text, ".vmo"));
	for (i = 0; text[i]; i++)
		fuzz_check((uint8_t)text[i] >= ' ' && text[i] != 0x7f);
	return ret;
}

static void folder_remove(void)
{
	fuzz_clear();
	rmdir(folder);
}

static void folder_create(void)
{
	const char *where = getenv("HYPR_FUZZ_DIR");

	if (!where)
		where = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	snprintf(folder, sizeof(folder), "%.150s/hypr-fuzz-XXXXXX", where);
	if (!mkdtemp(folder)) {
		perror(folder);
		exit(1);
	}
	atexit(folder_remove);
}

const char *fuzz_path(const char *name)
{
	static char path[4][256];
	static unsigned int next;
	char *to = path[next++ % 4];

	if (!folder[0])
		folder_create();
	snprintf(to, sizeof(path[0]), "%.199s/%.50s", folder, name);
	return to;
}

void fuzz_store(const char *name, const struct fuzz_file *file)
{
	int fd = open(fuzz_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, file->bytes, file->len) != (ssize_t)file->len) {
		perror(fuzz_path(name));
		exit(1);
	}
	close(fd);
}

void fuzz_clear(void)
{
	struct dirent *entry;
	DIR *list = opendir(folder);

	while (list && (entry = readdir(list))) {
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			unlinkat(dirfd(list), entry->d_name, 0);
	}
	if (list)
		closedir(list);
}
