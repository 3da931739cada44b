// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Why the last call of a thread failed, in words.  Kept per thread, so that
 * two threads that work on one VM do not read each other's reasons.  The words
 * for names and states are here too.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "hypr/hypr.h"
#include "base/error.h"

static __thread char error_text[HYPR_ERROR_TEXT_MAX];

/* One line, whatever a file or its name holds, and nothing that a terminal obeys. */
static void error_set(const char *fmt, va_list ap)
{
	/* By way of a buffer: an argument may be the old text itself. */
	char text[HYPR_ERROR_TEXT_MAX];
	char *c;

	vsnprintf(text, sizeof(text), fmt, ap);
	for (c = text; *c; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	}
	memcpy(error_text, text, sizeof(text));
}

int hypr_fail(int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	error_set(fmt, ap);
	va_end(ap);
	return err;
}

int hypr_fail_sys(int err, const char *fmt, ...)
{
	char reason[64];
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	error_set(fmt, ap);
	va_end(ap);

	len = strlen(error_text);
	snprintf(error_text + len, sizeof(error_text) - len, ": %s",
		 strerror_r(-err, reason, sizeof(reason)));
	return err;
}

int hypr_fail_thread(int err, const char *what)
{
	if (err != -EAGAIN)
		return hypr_fail_sys(err, "%s", what);
	return hypr_fail(-ENOMEM,
			 "%s: too many threads or processes (ulimit -u, or the pids.max of a cgroup)",
			 what);
}

const char *hypr_error(void)
{
	return error_text;
}

const char *hypr_version(void)
{
	return HYPR_VERSION;
}

const char *hypr_state_way_name(int way)
{
	return way == HYPR_STATE_KERNEL ? "kernel" : "ioctls";
}

const char *hypr_reset_name(int way)
{
	static const char *const names[] = { "copy-back", "compare", "drop", "spare" };

	return way >= 0 && way <= HYPR_RESET_SPARE ? names[way] : "?";
}

const char *hypr_spare_name(int spare)
{
	static const char *const names[] = { "none", "ready", "not-ready", "failed" };

	return spare >= 0 && spare <= HYPR_SPARE_FAILED ? names[spare] : "?";
}

const char *hypr_pause_name(int pause)
{
	switch (pause) {
	case HYPR_PAUSE_COOPERATIVE:
		return "cooperative";
	case HYPR_PAUSE_FORCED:
		return "forced";
	default:
		return "none";
	}
}

const char *hypr_fault_name(int fault)
{
	switch (fault) {
	case HYPR_FAULT_NONE:
		return "none";
	case HYPR_FAULT_ABSENT:
		return "not-present";
	case HYPR_FAULT_RESERVED:
		return "reserved-bit";
	case HYPR_FAULT_BEYOND:
		return "beyond-memory";
	default:
		return "not-canonical";
	}
}

const char *hypr_end_name(int end)
{
	static const char *const names[] = {
		[HYPR_END_NONE] = "none",
		[HYPR_END_STOPPED] = "stopped",
		[HYPR_END_RESET] = "reset",
		[HYPR_END_HALTED] = "halted",
		[HYPR_END_PANIC] = "panic",
		[HYPR_END_TRIPLE_FAULT] = "triple-fault",
		[HYPR_END_FAILED] = "failed",
		[HYPR_END_EXIT] = "exit",
		[HYPR_END_EXIT_FAILED] = "exit-failed",
	};

	return end >= 0 && end <= HYPR_END_EXIT_FAILED ? names[end] : "failed";
}

const char *hypr_copy_name(int copy)
{
	switch (copy) {
	case HYPR_COPY_PRECOPY:
		return "precopy";
	case HYPR_COPY_PAUSED:
		return "paused";
	case HYPR_COPY_STOPPED:
		return "stopped";
	default:
		return "none";
	}
}

const char *hypr_vm_state_name(int state)
{
	switch (state) {
	case HYPR_VM_CREATED:
		return "created";
	case HYPR_VM_RUNNING:
		return "running";
	case HYPR_VM_PAUSED:
		return "paused";
	case HYPR_VM_BUSY:
		return "busy";
	default:
		return "ended";
	}
}

int hypr_prefault_flags(const char *text)
{
	static const struct {
		const char *name;
		int flag;
	} ways[] = {
		{ "all", 0 },
		{ "none", HYPR_LOAD_PREFAULT_NONE },
		{ "used", HYPR_LOAD_PREFAULT_USED },
		{ "record", HYPR_LOAD_RECORD },
	};
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		if (!strcmp(text, ways[i].name))
			return ways[i].flag;
	}
	return hypr_fail(-EINVAL, "'%.40s': all, none, used or record", text);
}

/* Names become file names (NAME.sock): no '/', no hidden files, no options. */
int hypr_name_check(const char *name)
{
	static const char allowed[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t len;

	if (!name || !*name)
		return hypr_fail(-EINVAL, "an empty name; use 1 to %d of A-Z a-z 0-9 . _ -",
				 HYPR_NAME_MAX - 1);
	len = strlen(name);
	if (len >= HYPR_NAME_MAX || strspn(name, allowed) != len)
		return hypr_fail(-EINVAL, "'%.40s' is no name; use 1 to %d of A-Z a-z 0-9 . _ -",
				 name, HYPR_NAME_MAX - 1);
	if (name[0] == '.' || name[0] == '-')
		return hypr_fail(-EINVAL, "'%s' is no name; it must not begin with '%c'",
				 name, name[0]);
	return 0;
}
