// SPDX-License-Identifier: GPL-2.0-only
/*
 * hyprctl: a guest's requests to its host (docs/spec/guest-requests.md), from user space.
 * Static, without a C library; it needs root, for the I/O port.
 *
 *	hyprctl [version | report N | panic N | moment | back | input]...
 *
 * Requests are made in turn.  "input" writes the input to standard output.  As /init of an
 * initrd it takes them from the kernel's command line, after "--", and resets the machine
 * at the end.
 *
 * Exit status: 0; 1 the host did not do it, or does not allow requests; 2 wrong usage.
 */
#include "../epoch/sys.h"
#include "hypr/guest-requests.h"

#define PORT		HYPR_REQUEST_PORT_VIRTUAL
#define RETRIES		1000		/* of a request that nobody has answered */

#define REBOOT_MAGIC1	0xfee1dead
#define REBOOT_MAGIC2	672274793
#define REBOOT_RESTART	0x01234567

/* Written before they are used, so that their pages are there. */
static struct hypr_request block __attribute__((aligned(HYPR_REQUEST_BYTES)));
static char input[4096] __attribute__((aligned(4096)));

static uint64_t length(const char *s)
{
	uint64_t n = 0;

	while (s[n])
		n++;
	return n;
}

static int equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static void say(const char *text)
{
	sys3(__NR_write, 2, text, length(text));
}

static void leave(int status)
{
	if (sys0(__NR_getpid) == 1)
		sys4(__NR_reboot, REBOOT_MAGIC1, REBOOT_MAGIC2, REBOOT_RESTART, 0);
	sys1(__NR_exit_group, status);
}

/* Return: 0: it is no number. */
static int number(const char *text, uint64_t *value)
{
	*value = 0;
	for (; *text >= '0' && *text <= '9'; text++)
		*value = *value * 10 + (uint64_t)(*text - '0');
	return !*text;
}

static uint32_t ask(uint32_t op, uint64_t value)
{
	uint32_t status = HYPR_REQUEST_UNANSWERED;
	int tries;

	input[0] = 0;
	for (tries = 0; tries < RETRIES && status == HYPR_REQUEST_UNANSWERED; tries++) {
		status = hypr_request_make(PORT, &block, (uint32_t)(uintptr_t)&block, op, value,
					   (uintptr_t)input, sizeof(input));
		if (status == HYPR_REQUEST_UNANSWERED)
			sys0(__NR_sched_yield);
	}
	return status;
}

static void told(uint32_t status)
{
	static const char *const words[] = {
		"", "no such request", "its memory is not the guest's", "the input is too long",
		"there is no moment", "the host could not",
	};

	if (status == HYPR_REQUEST_DONE)
		return;
	say("hyprctl: ");
	say(status < sizeof(words) / sizeof(words[0]) ? words[status] : "nobody answers");
	say("\n");
	leave(1);
}

/* Return: how many words it took; 0: there is no such request. */
static int request(const char *verb, const char *argument)
{
	uint64_t value;

	if (equal(verb, "version")) {
		say("hyprctl: requests are allowed\n");
		return 1;
	}
	if (equal(verb, "moment") || equal(verb, "back")) {
		told(ask(verb[0] == 'm' ? HYPR_REQUEST_MOMENT : HYPR_REQUEST_BACK, 0));
		return 1;
	}
	if (equal(verb, "input")) {
		told(ask(HYPR_REQUEST_INPUT, 0));
		sys3(__NR_write, 1, input, block.bytes);
		return 1;
	}
	if (!argument || !number(argument, &value))
		return 0;
	if (!equal(verb, "report") && !equal(verb, "panic"))
		return 0;
	told(ask(verb[0] == 'r' ? HYPR_REQUEST_REPORT : HYPR_REQUEST_PANIC, value));
	return 2;
}

__attribute__((used)) void start_main(int argc, char **argv)
{
	int i, took;

	/* An access of 32 bits needs four ports. */
	if (sys3(__NR_ioperm, HYPR_REQUEST_PORT, HYPR_REQUEST_PORT_VIRTUAL - HYPR_REQUEST_PORT + 4,
		 1)) {
		say("hyprctl: no access to the I/O port; root is needed\n");
		leave(1);
	}
	if (hypr_requests_version(PORT) != HYPR_REQUEST_VERSION) {
		say("hyprctl: the host does not allow requests (hypr run --guest-requests)\n");
		leave(1);
	}
	for (i = 1; i < argc; i += took) {
		took = request(argv[i], i + 1 < argc ? argv[i + 1] : 0);
		if (!took) {
			say("usage: hyprctl [version | report N | panic N | moment | back | input]...\n");
			leave(2);
		}
	}
	leave(argc < 2 ? 2 : 0);
}
