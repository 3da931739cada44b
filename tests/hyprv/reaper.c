// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel takes the memory of a process that it killed because memory ran out, while
 * the process's VM is open: hyprv's notifier is called where it must not sleep.
 */
#define _GNU_SOURCE
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/klog.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT		"16777216"
#define TOO_MUCH	0x4000000

static const char root[] = "/tmp/hyprv-cgroup", group[] = "/tmp/hyprv-cgroup/vm";
static char log_text[1 << 18];

static void put(const char *folder, const char *name, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	CHECK(fd >= 0);
	CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static bool log_has(const char *words)
{
	int bytes = klogctl(3, log_text, sizeof(log_text) - 1);

	CHECK(bytes > 0);
	log_text[bytes] = '\0';
	return strstr(log_text, words);
}

/* A VM whose guest has used its memory, and then more memory than there may be. */
static void run_out_of_memory(int go)
{
	struct vm *vm;
	char byte, *more;

	if (read(go, &byte, 1) != 1)
		_exit(2);
	vm = vm_new_plain_irqchip(IRQCHIP_NONE);
	vm_view_add(vm, KVM_HYPR_VIEW_BOOT);
	vcpus_start(vm, 1);
	vcpu_do(&vm->vcpu[0], GUEST_FILL, GUEST_FREE_GPA, RAM_BYTES, tap_random());
	more = memory_new(TOO_MUCH);
	memset(more, 1, TOO_MUCH);
	_exit(3);
}

/*
 * The debugger holds the killed process before it gives its memory back: the OOM reaper
 * comes, after two seconds.
 */
static void test_reaper_takes_memory(void)
{
	char line[64];
	int go[2], status;
	pid_t child;

	need_cpus(1);
	mkdir(root, 0700);
	CHECK(!mount("hyprv", root, "cgroup2", 0, NULL));
	put(root, "cgroup.subtree_control", "+memory");
	CHECK(!mkdir(group, 0700));
	put(group, "memory.max", LIMIT);
	CHECK(!pipe(go));
	child = fork();
	CHECK(child >= 0);
	if (!child)
		run_out_of_memory(go[0]);
	CHECK(!ptrace(PTRACE_SEIZE, child, NULL, PTRACE_O_TRACEEXIT));
	snprintf(line, sizeof(line), "%d", child);
	put(group, "cgroup.procs", line);
	CHECK(write(go[1], "g", 1) == 1);
	CHECK(waitpid(child, &status, __WALL) == child);
	CHECK_EQ(status >> 8, SIGTRAP | PTRACE_EVENT_EXIT << 8);
	snprintf(line, sizeof(line), "oom_reaper: reaped process %d", child);
	WAIT_UNTIL(log_has(line));
	CHECK(!log_has("callback failed"));
	CHECK(!ptrace(PTRACE_CONT, child, NULL, NULL));
	CHECK(waitpid(child, &status, __WALL) == child);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGKILL);
	WAIT_UNTIL(!rmdir(group));
	CHECK(!umount(root));
}

static const struct test tests[] = {
	{ "the OOM reaper takes a VM's memory", test_reaper_takes_memory },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
