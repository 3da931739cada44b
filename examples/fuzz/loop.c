// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fuzzer in one file: it changes packets at random, keeps those that reach a new basic
 * block, and ends when it has found both faults that target.c has.
 *
 *	hypr-fuzz --guest fuzz-guest [--seed N] [--executions N] [--limit MS] [--pin 1,2]
 *		  [--engine NAME]
 *
 * Exit status: 0 both were found, and the guest is at its moment; 1 not; 2 wrong usage.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define CORPUS_MAX	64
#define CHANGES_MAX	4	/* of a packet, for one execution */

struct packet {
	uint32_t bytes;
	uint8_t data[INPUT_MAX];
};

/* Both are good packets, and meet no fault. */
static struct packet corpus[CORPUS_MAX] = {
	{ 12, { 'H', 'F', 1, 8, 'a', ' ', 'n', 'a', 'm', 'e', '.', '.' } },
	{ 6, { 'H', 'F', 2, 2, 10, 200 } },
};

static uint32_t nr_corpus = 2;
static uint8_t seen[COVERAGE_BYTES];
static uint64_t state;

static uint32_t draw(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 33) % below;
}

static void change(struct packet *packet)
{
	uint32_t at = draw(packet->bytes), more;

	switch (draw(4)) {
	case 0:
		packet->data[at] ^= (uint8_t)(1u << draw(8));
		break;
	case 1:
		packet->data[at] = (uint8_t)draw(256);
		break;
	case 2:
		packet->data[at] = packet->data[draw(packet->bytes)];
		break;
	default:
		/* Longer, with a length that is right. */
		more = 1 + draw(64);
		while (more-- && packet->bytes < INPUT_MAX)
			packet->data[packet->bytes++] = (uint8_t)draw(256);
		if (packet->bytes > 4 && packet->bytes < 256)
			packet->data[3] = (uint8_t)(packet->bytes - 4);
	}
}

static void keep_if_new(const struct fuzz *fuzz, const struct packet *packet)
{
	uint32_t i, new = 0;

	for (i = 0; i < COVERAGE_BYTES; i++) {
		new += fuzz->coverage[i] && !seen[i];
		seen[i] |= fuzz->coverage[i] != 0;
	}
	if (new && nr_corpus < CORPUS_MAX)
		corpus[nr_corpus++] = *packet;
}

struct findings {
	uint64_t overflow;	/* number of the execution that found it first, 0 for none */
	uint64_t race;
	uint64_t crashes;
	uint64_t timeouts;
};

static void judge(const struct hypr_run_result *result, uint64_t execution,
		  struct findings *found)
{
	if (result->what == HYPR_RUN_TIMEOUT)
		found->timeouts++;
	if (result->what != HYPR_RUN_CRASH)
		return;
	found->crashes++;
	if (result->end == HYPR_END_PANIC && result->value == TARGET_RACE) {
		if (!found->race)
			printf("execution %llu: the race: %s\n", (unsigned long long)execution,
			       result->reason);
		found->race = found->race ? found->race : execution;
		return;
	}
	if (!found->overflow)
		printf("execution %llu: the overflow: %s\n", (unsigned long long)execution,
		       result->reason);
	found->overflow = found->overflow ? found->overflow : execution;
}

static int search(struct fuzz *fuzz, const struct fuzz_options *options, uint64_t executions,
		  struct findings *found)
{
	struct hypr_run_result result;
	struct packet packet;
	uint32_t changes;

	while (fuzz->executions < executions && !(found->overflow && found->race)) {
		/* The first ones are as they are. */
		packet = corpus[fuzz->executions < 2 ? fuzz->executions : draw(nr_corpus)];
		changes = fuzz->executions < 2 ? 0 : 1 + draw(CHANGES_MAX);
		while (changes--)
			change(&packet);
		if (fuzz_execute(fuzz, options, packet.data, packet.bytes, &result))
			return -1;
		if (fuzz->executions <= 2 && result.what != HYPR_RUN_REPORT) {
			fprintf(stderr, "a good packet ended with: %s\n", hypr_run_name(result.what));
			return -1;
		}
		judge(&result, fuzz->executions, found);
		keep_if_new(fuzz, &packet);
	}
	return 0;
}

/* The last one dirtied it: is it back at its moment, byte for byte? */
static int check_moment(struct fuzz *fuzz)
{
	struct hypr_verify_result verify;
	struct hypr_vm_info info;

	hypr_vm_info(fuzz->vm, &info);
	if (hypr_view_reset(fuzz->vm, NULL, NULL) ||
	    hypr_view_verify(fuzz->vm, info.active_view, &verify)) {
		fprintf(stderr, "reset: %s\n", hypr_error());
		return -1;
	}
	printf("pages that differ from the moment after a reset: %llu\n",
	       (unsigned long long)verify.pages_mismatched);
	return verify.pages_mismatched ? -1 : 0;
}

static void tell(const struct fuzz *fuzz, const struct findings *found, uint64_t seed)
{
	uint64_t resets = fuzz->kernel_resets + fuzz->library_resets, n = fuzz->executions;

	printf("seed %llu: %llu executions, %llu crashes, %llu timeouts, %u packets kept\n",
	       (unsigned long long)seed, (unsigned long long)n,
	       (unsigned long long)found->crashes, (unsigned long long)found->timeouts, nr_corpus);
	if (!n || !fuzz->total_cycles)
		return;
	printf("%llu executions a second; of the time the reset takes %llu %%; %llu pages a reset\n",
	       (unsigned long long)(n * 1000000000u / fuzz->ns),
	       (unsigned long long)(fuzz->reset_cycles * 100 / fuzz->total_cycles),
	       (unsigned long long)(resets ? fuzz->pages_restored / resets : 0));
	printf("%llu resets by the kernel, %llu by the library, %llu of all by spare\n",
	       (unsigned long long)fuzz->kernel_resets, (unsigned long long)fuzz->library_resets,
	       (unsigned long long)fuzz->spare_resets);
}

int main(int argc, char **argv)
{
	struct fuzz_options options = { .limit_ms = 1000 };
	uint64_t seed = 1, executions = 100000;
	struct findings found = { 0 };
	struct fuzz fuzz;
	int i, ret;

	for (i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "--seed"))
			seed = strtoull(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "--executions"))
			executions = strtoull(argv[i + 1], NULL, 0);
		else if (fuzz_option(&options, argv[i], argv[i + 1]))
			break;
	}
	if (i != argc || !options.guest) {
		fprintf(stderr, "usage: hypr-fuzz --guest FILE [--seed N] [--executions N] [--limit MS] [--pin 1,2] [--spare 1] [--engine NAME]\n");
		return 2;
	}
	/* Of 0 nothing could be drawn. */
	state = seed * 0x9e3779b97f4a7c15ull + 1;
	ret = fuzz_open(&fuzz, &options);
	if (!ret)
		ret = search(&fuzz, &options, executions, &found);
	if (fuzz.vm)
		tell(&fuzz, &found, seed);
	if (!ret)
		ret = check_moment(&fuzz);
	fuzz_close(&fuzz);
	return ret || !found.overflow || !found.race;
}
