// SPDX-License-Identifier: GPL-2.0-only
/*
 * The terminal of `make shell`: joins the user's terminal to the serial port of
 * the emulated PC.  The emulator is given one end of a pseudo terminal as its
 * COM1; this program holds the other end and carries bytes both ways until the
 * emulator ends (the PC was powered off) or Ctrl-] is typed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define KEY_END 0x1d	/* Ctrl-] */
#define PLACEHOLDER "@TTY@"

static volatile sig_atomic_t end_wanted;

static void on_signal(int number)
{
	(void)number;
	end_wanted = 1;
}

static int write_all(int fd, const char *bytes, size_t count)
{
	while (count > 0) {
		ssize_t n = write(fd, bytes, count);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -EIO;
		bytes += n;
		count -= n;
	}
	return 0;
}

/* Put the name of the terminal into the emulator's configuration. */
static int config_fill(const char *path, const char *tty_name)
{
	char text[16384], *at;
	size_t count;
	FILE *file;

	file = fopen(path, "r");
	if (!file)
		return -errno;
	count = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[count] = '\0';
	at = strstr(text, PLACEHOLDER);
	if (!at)
		return -EINVAL;
	file = fopen(path, "w");
	if (!file)
		return -errno;
	fprintf(file, "%.*s%s%s", (int)(at - text), text, tty_name,
		at + strlen(PLACEHOLDER));
	return fclose(file) ? -errno : 0;
}

/*
 * A pseudo terminal; the other end stays open here too, so that it is there
 * before the emulator opens it and after it has closed it.
 */
static int pty_open(int *other, char *name, size_t name_bytes)
{
	struct termios mode;
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (grantpt(fd) || unlockpt(fd) || ptsname_r(fd, name, name_bytes))
		goto close_fd;
	*other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*other < 0 || tcgetattr(*other, &mode))
		goto close_fd;
	cfmakeraw(&mode);
	if (tcsetattr(*other, TCSANOW, &mode))
		goto close_fd;
	return fd;

close_fd:
	close(fd);
	return -EIO;
}

static pid_t emulator_start(char **argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		/* Out of reach of the keys of the user's terminal. */
		setpgid(0, 0);
		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	return pid;
}

/* Carry bytes until the emulator ends or the user wants the end. */
static void relay(int pty, pid_t pid, int *status)
{
	struct pollfd fds[2] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = pty, .events = POLLIN },
	};
	char bytes[4096];
	ssize_t n;

	while (!end_wanted) {
		int ready = poll(fds, 2, 200);

		if (ready == 0 && waitpid(pid, status, WNOHANG) == pid)
			return;
		if (ready <= 0)
			continue;
		if (fds[1].revents) {
			n = read(pty, bytes, sizeof(bytes));
			if (n > 0)
				write_all(STDOUT_FILENO, bytes, n);
		}
		if (fds[0].revents) {
			n = read(STDIN_FILENO, bytes, sizeof(bytes));
			if (n <= 0 || memchr(bytes, KEY_END, n))
				break;
			write_all(pty, bytes, n);
		}
	}
	kill(pid, SIGKILL);
	waitpid(pid, status, 0);
	*status = 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct termios saved, raw;
	char name[64];
	int other, pty, status = 0;
	pid_t pid;

	if (argc < 3) {
		fprintf(stderr, "usage: rig-console BOCHSRC EMULATOR ARGUMENT...\n");
		return 2;
	}
	if (tcgetattr(STDIN_FILENO, &saved)) {
		fprintf(stderr, "rig-console: the input is no terminal\n");
		return 2;
	}
	pty = pty_open(&other, name, sizeof(name));
	if (pty < 0 || config_fill(argv[1], name)) {
		fprintf(stderr, "rig-console: cannot set up a terminal for %s\n",
			argv[1]);
		return 1;
	}
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	raw = saved;
	cfmakeraw(&raw);
	printf("booting, about 10 s (Ctrl-] ends the emulator)\r\n");
	fflush(stdout);
	pid = emulator_start(argv + 2);
	if (pid < 0) {
		perror("rig-console: fork");
		return 1;
	}
	tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	relay(pty, pid, &status);
	tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	printf("\n");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
		fprintf(stderr, "rig-console: cannot start %s\n", argv[2]);
		return 1;
	}
	/* The emulator ends with 1 when the PC is powered off. */
	return 0;
}
