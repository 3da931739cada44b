// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of a detached VM.  The console writes into a pipe, and a thread copies
 * from there into the file: appended, so that another program may cut it short,
 * and never more than two files of a size, FILE and FILE.1, whatever the guest
 * prints.  A disk that is full costs what there was no room for, and no more.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

#define END_TIMEOUT_S	5	/* for a disk, or who reads a FIFO */
#define LOCK_TIMEOUT_S	5	/* for a process that is ending */

static char path[PATH_MAX];
static uint64_t max_bytes, bytes, lost;
static int log_fd = -1, console[2] = { -1, -1 };
static bool made, regular;
static pthread_t thread;

/*
 * A VM that was stopped has given its name back before its process is gone, and with
 * it the lock.  Return: false when another VM has it.
 */
static bool lock(int fd)
{
	const struct timespec pause = { .tv_nsec = 50000000 };
	int looks = LOCK_TIMEOUT_S * 20;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
		if (!looks--)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

/* Return: 0, or -1 with the reason. */
static int check(int fd, char *error)
{
	struct stat st;

	if (fstat(fd, &st) < 0) {
		snprintf(error, CLI_ERROR_MAX, "log %.300s: %s", path, strerror(errno));
		return -1;
	}
	regular = S_ISREG(st.st_mode);
	if (!regular)
		return 0;
	if (st.st_uid != geteuid() && st.st_uid != 0) {
		snprintf(error, CLI_ERROR_MAX,
			 "log %.300s belongs to user %u, not to you; remove it, or choose another with --log",
			 path, (unsigned int)st.st_uid);
		return -1;
	}
	if (!lock(fd)) {
		snprintf(error, CLI_ERROR_MAX,
			 "log %.300s is that of another VM that runs; choose another with --log",
			 path);
		return -1;
	}
	if (ftruncate(fd, 0) < 0) {
		snprintf(error, CLI_ERROR_MAX, "log %.300s: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

int cli_log_console(void)
{
	return console[1] < 0 && pipe2(console, O_CLOEXEC) < 0 ? -errno : console[1];
}

int cli_log_open(const char *file, uint64_t max, char *error)
{
	const int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK;
	int fd;

	snprintf(path, sizeof(path), "%s", file);
	max_bytes = max;
	fd = open(path, flags | O_CREAT | O_EXCL, 0600);
	made = fd >= 0;
	if (fd < 0 && errno == EEXIST)
		fd = open(path, flags);
	if (fd < 0) {
		snprintf(error, CLI_ERROR_MAX, "log %.300s: %s", path,
			 errno == ENXIO ? "a FIFO that nobody reads" :
			 errno == ELOOP ? "a symbolic link; give the file's own name" :
					  strerror(errno));
		return -1;
	}
	if (check(fd, error) || fcntl(fd, F_SETFL, O_APPEND) < 0) {
		close(fd);
		return -1;
	}
	log_fd = fd;
	return 0;
}

/* Is the file still under its name?  Another program may have moved it away. */
static bool is_in_place(void)
{
	struct stat named, own;

	return !lstat(path, &named) && !fstat(log_fd, &own) &&
	       named.st_dev == own.st_dev && named.st_ino == own.st_ino;
}

/* What there is becomes FILE.1; where that cannot be, it goes. */
static void rotate(void)
{
	char old[PATH_MAX + 2];
	int fd = -1;

	snprintf(old, sizeof(old), "%s.1", path);
	if (!is_in_place() || !rename(path, old))
		fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_CREAT | O_EXCL,
			  0600);
	if (fd >= 0) {
		flock(fd, LOCK_EX | LOCK_NB);
		dup3(fd, log_fd, O_CLOEXEC);
		close(fd);
		dup2(log_fd, STDOUT_FILENO);
		dup2(log_fd, STDERR_FILENO);
	} else if (ftruncate(log_fd, 0) < 0) {
		return;
	}
	bytes = 0;
}

static void make_room(size_t more)
{
	struct stat st;

	if (!regular || !max_bytes || bytes + more <= max_bytes)
		return;
	/* It may have been cut short by another program. */
	if (!fstat(log_fd, &st) && (uint64_t)st.st_size < bytes)
		bytes = (uint64_t)st.st_size;
	if (bytes + more > max_bytes)
		rotate();
}

static size_t write_some(const char *text, size_t len)
{
	size_t done = 0;
	ssize_t n;

	while (done < len) {
		n = write(log_fd, text + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	bytes += done;
	return done;
}

static void write_log(const char *text, size_t len)
{
	char note[80];
	int n;

	make_room(len + sizeof(note));
	if (lost) {
		n = snprintf(note, sizeof(note), "\n[hypr: %llu bytes are missing here]\n",
			     (unsigned long long)lost);
		if (write_some(note, (size_t)n) == (size_t)n)
			lost = 0;
	}
	lost += len - write_some(text, len);
}

static void *log_thread(void *arg)
{
	char text[16384];
	ssize_t n;

	do {
		n = read(console[0], text, sizeof(text));
		if (n > 0)
			write_log(text, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return arg;
}

int cli_log_start(void)
{
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&thread, NULL, log_thread, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -ret;
}

void cli_log_take_output(void)
{
	dup2(log_fd, STDOUT_FILENO);
	dup2(log_fd, STDERR_FILENO);
}

void cli_log_remove(void)
{
	if (log_fd >= 0 && made && is_in_place())
		unlink(path);
}

void cli_log_end(const char *text)
{
	struct timespec until;

	/* A pipe that nobody empties any more takes no words, either. */
	fcntl(console[1], F_SETFL, O_NONBLOCK);
	if (write(console[1], text, strlen(text)) < 0)
		lost += strlen(text);
	close(console[1]);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_TIMEOUT_S;
	pthread_timedjoin_np(thread, NULL, &until);
}
