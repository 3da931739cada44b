// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is fuzzed: it takes packets, on two vCPUs, and has two faults.
 *
 *	'H' 'F' kind length, then payload
 *	kind 1	a name		the fault: a long one overruns the stack
 *	kind 2	two delays	the fault: each vCPU waits as long as its delay says and then
 *				counts without a lock, so that counts get lost when the
 *				delays are alike
 */
#include "guest.h"

#define KIND_NAME	1
#define KIND_COUNT	2
#define NAME_MAX	16
#define HEAD_BYTES	4
#define STEPS		16	/* of waiting, for each unit of a delay */
#define WINDOW		8	/* units between reading the count and writing it */

static volatile uint32_t count;
static volatile uint32_t turn;		/* raised by vCPU 0: vCPU 1 counts once */
static volatile uint32_t turns_done;
static volatile uint8_t second_delay;
static volatile uint8_t sum;

static void wait(uint32_t units)
{
	uint32_t i;

	for (i = 0; i < units * STEPS; i++)
		__asm__ volatile("pause");
}

static void count_once(uint8_t delay)
{
	uint32_t was;

	wait(delay);
	was = count;
	wait(WINDOW);
	count = was + 1;
}

static uint32_t count_twice(const uint8_t *delays, uint32_t bytes)
{
	if (bytes < 2)
		return TARGET_REFUSED;
	second_delay = delays[1];
	turn = turn + 1;
	count_once(delays[0]);
	while (turns_done != turn)
		__asm__ volatile("pause");
	return count == 2 * turn ? TARGET_ACCEPTED : TARGET_RACE;
}

void target_second(void)
{
	for (;;) {
		while (turns_done == turn)
			__asm__ volatile("pause");
		count_once(second_delay);
		turns_done = turns_done + 1;
	}
}

__attribute__((noinline)) static uint32_t take_name(const uint8_t *from, uint32_t bytes)
{
	volatile uint8_t name[NAME_MAX];
	uint32_t i;

	for (i = 0; i < bytes; i++)
		name[i] = from[i];
	for (i = 0; i < NAME_MAX; i++)
		sum = (uint8_t)(sum + name[i]);
	return TARGET_ACCEPTED;
}

uint32_t target(const uint8_t *packet, uint32_t bytes)
{
	uint32_t length;

	if (bytes < HEAD_BYTES || packet[0] != 'H' || packet[1] != 'F')
		return TARGET_REFUSED;
	length = packet[3];
	if (length > bytes - HEAD_BYTES)
		return TARGET_REFUSED;
	switch (packet[2]) {
	case KIND_NAME:
		return take_name(packet + HEAD_BYTES, length);
	case KIND_COUNT:
		return count_twice(packet + HEAD_BYTES, length);
	default:
		return TARGET_REFUSED;
	}
}
