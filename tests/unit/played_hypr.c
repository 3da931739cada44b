// SPDX-License-Identifier: GPL-2.0-only
/*
 * The hypr command as a whole on the KVM that is played (fake_kvm.c), for tests of
 * what it does to terminals, files, processes and exit codes.
 *
 * HYPR_PLAYED is what vCPU 0 does, words separated by blanks:
 *	say:WORD	print it and a newline on the console, _ for a blank
 *	print:N		print N bytes, in lines of 64
 *	wait:MS		do nothing
 *	port:P:V	write V to port P (hexadecimal)
 *	exit:R		leave KVM_RUN with this reason
 *	halt, idle	halt all vCPUs for good, interrupts off or on
 * Then it runs on and does nothing.  "lacking": KVM_CAP_XCRS is not there.
 * "tracking": KVM reports that page 20 was written, whenever it is asked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fake_kvm.h"

const char *__asan_default_options(void);

#define CONSOLE	0x3f8

static char *script;
static char *next;		/* what is left of it */
static char word[64];		/* what is under way */
static unsigned long left, wait_until;

const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

static unsigned long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (unsigned long)ts.tv_sec * 1000 + (unsigned long)ts.tv_nsec / 1000000;
}

static void put(unsigned int port, unsigned int value)
{
	fake_kvm.port = (uint16_t)port;
	fake_kvm.value = value;
	fake_kvm.exit_reason = KVM_EXIT_IO;
}

static bool take_word(void)
{
	char *arg;

	next += strspn(next, " ");
	if (!*next)
		return false;
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(next, " "), next);
	next += strcspn(next, " ");
	arg = strchr(word, ':');
	left = arg ? strtoul(arg + 1, NULL, 0) : 0;
	if (!strncmp(word, "say:", 4))
		left = strlen(word) - 4 + 1;
	wait_until = now_ms() + left;
	return true;
}

static bool is(const char *name)
{
	return !strncmp(word, name, strlen(name));
}

static void step(void)
{
	unsigned int port, value;

	if (!*word && !take_word())
		return;
	if (is("say:") && left) {
		char c = left == 1 ? '\n' : word[strlen(word) + 1 - left];

		put(CONSOLE, (unsigned char)(c == '_' ? ' ' : c));
		left--;
		return;
	}
	if (is("print:") && left) {
		put(CONSOLE, left % 64 == 1 ? '\n' : 'x');
		left--;
		return;
	}
	if (is("wait:") && now_ms() < wait_until)
		return;
	if (is("port:") && sscanf(word, "port:%x:%x", &port, &value) == 2)
		put(port, value);
	if (is("exit:"))
		fake_kvm.exit_reason = (uint32_t)left;
	if (is("idle"))
		__atomic_fetch_or(&fake_kvm.flags, FAKE_IDLE, __ATOMIC_SEQ_CST);
	if (is("halt"))
		__atomic_fetch_or(&fake_kvm.flags, FAKE_HALTED, __ATOMIC_SEQ_CST);
	word[0] = '\0';
}

__attribute__((constructor)) static void start(void)
{
	const char *text = getenv("HYPR_PLAYED");

	fake_kvm_reset();
	if (!text)
		return;
	if (!strcmp(text, "lacking"))
		fake_kvm.flags = FAKE_NO_XCRS;
	fake_kvm.tracks = !strcmp(text, "tracking");
	fake_kvm.written = fake_kvm.written_again = 1ull << 20;
	script = strdup(text);
	next = script;
	fake_kvm.on_step = step;
}
