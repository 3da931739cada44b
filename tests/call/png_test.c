// SPDX-License-Identifier: GPL-2.0-only
/*
 * The picture decoder of examples/call/png.c in a function VM: PNG files of each kind give
 * their pixels, and HYPR_PNGS mutated ones (default 100) do no harm: each call ends with a
 * picture or an error that says why, and the next good file is decoded as before.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hypr/hypr.h"
#include "pngs.h"
#include "tests/call/kit.h"
#include "tests/guest/tap.h"

#define NR		(sizeof(pngs) / sizeof(pngs[0]))
#define PIXELS_BYTES	(PNG_WIDTH * PNG_HEIGHT * 4)
#define PNG_MAX		4096

static int decode(struct hypr_func *func, const void *png, size_t bytes, uint32_t timeout_ms,
		  struct hypr_call_result *result)
{
	const struct hypr_call_params params = {
		.size = sizeof(params), .in = png, .in_bytes = bytes, .out = out,
		.out_room = sizeof(out), .timeout_ms = timeout_ms,
	};

	memset(out, 0, sizeof(out));
	return hypr_func_call(func, &params, result);
}

static void check_good(struct hypr_func *func, size_t i)
{
	struct hypr_call_result result;
	char head[80];
	int bytes;

	bytes = snprintf(head, sizeof(head),
			 "P7\nWIDTH %d\nHEIGHT %d\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n",
			 PNG_WIDTH, PNG_HEIGHT);
	if (decode(func, pngs[i].png, pngs[i].bytes, 0, &result))
		FAIL("%s: %s", pngs[i].name, hypr_error());
	CHECK_EQ(result.out_bytes, (uint64_t)bytes + PIXELS_BYTES);
	CHECK(!memcmp(out, head, (size_t)bytes));
	if (memcmp(out + bytes, pngs[i].pixels, PIXELS_BYTES))
		FAIL("%s: other pixels", pngs[i].name);
}

static void test_each_kind(void)
{
	struct hypr_func *func = open_func("png");
	size_t i;

	for (i = 0; i < NR; i++)
		check_good(func, i);
	hypr_func_close(func);
}

static void test_no_picture(void)
{
	struct hypr_func *func = open_func("png");
	struct hypr_call_result result;

	CHECK_RET(decode(func, "no picture at all", 17, 0, &result), -ECANCELED);
	CHECK_EQ(result.cause, HYPR_CALL_ABORT);
	CHECK(*result.reason);
	CHECK_RET(decode(func, pngs[0].png, pngs[0].bytes / 2, 0, &result), -ECANCELED);
	check_good(func, 0);
	hypr_func_close(func);
}

static uint32_t crc(const unsigned char *data, size_t bytes)
{
	uint32_t sum = ~0u;
	size_t i;
	int bit;

	for (i = 0; i < bytes; i++) {
		sum ^= data[i];
		for (bit = 0; bit < 8; bit++)
			sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
	}
	return ~sum;
}

static uint32_t be32(const unsigned char *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Checksums that are right lead further in. */
static void mend(unsigned char *png, size_t bytes)
{
	size_t at = 8;

	while (at + 12 <= bytes) {
		uint32_t length = be32(png + at), sum;

		if (length > bytes - at - 12)
			return;
		sum = crc(png + at + 4, length + 4);
		png[at + 8 + length] = (unsigned char)(sum >> 24);
		png[at + 9 + length] = (unsigned char)(sum >> 16);
		png[at + 10 + length] = (unsigned char)(sum >> 8);
		png[at + 11 + length] = (unsigned char)sum;
		at += 12 + length;
	}
}

/* Bits, bytes, numbers with many bits, a piece doubled or taken out, the end cut off. */
static size_t mutate(unsigned char *png, size_t bytes)
{
	unsigned int edits = 1 + (unsigned int)(tap_random() % 4);
	size_t at, piece;

	while (edits--) {
		at = tap_random() % bytes;
		piece = 1 + tap_random() % 16;
		switch (tap_random() % 6) {
		case 0:
			png[at] ^= (unsigned char)(1 << tap_random() % 8);
			break;
		case 1:
			png[at] = (unsigned char)tap_random();
			break;
		case 2:
			memset(png + at, tap_random() & 1 ? 0xff : 0x7f, piece < bytes - at ? piece : 1);
			break;
		case 3:
			if (bytes + piece > PNG_MAX || at + piece > bytes)
				break;
			memmove(png + at + piece, png + at, bytes - at);
			bytes += piece;
			break;
		case 4:
			if (at + piece >= bytes)
				break;
			memmove(png + at, png + at + piece, bytes - at - piece);
			bytes -= piece;
			break;
		default:
			if (tap_random() % 4 == 0)
				bytes = at + 1;
		}
	}
	if (tap_random() % 4)
		mend(png, bytes);
	return bytes;
}

static void test_mutated_ones(void)
{
	const char *text = getenv("HYPR_PNGS");
	unsigned long nr = text ? strtoul(text, NULL, 0) : 100, i, pictures = 0;
	unsigned long causes[64] = { 0 };
	static unsigned char png[PNG_MAX];
	struct hypr_func *func = open_func("png");
	struct hypr_call_result result;
	size_t bytes;
	int ret;

	/* The count ends it, and the runner's limit. */
	alarm(0);
	for (i = 0; i < nr; i++) {
		size_t which = tap_random() % NR;

		memcpy(png, pngs[which].png, pngs[which].bytes);
		bytes = mutate(png, pngs[which].bytes);
		ret = decode(func, png, bytes, 5000, &result);
		if (!ret) {
			CHECK(!memcmp(out, "P7\n", 3));
			pictures++;
		} else if (!*hypr_error() || (result.cause == HYPR_CALL_ABORT && !*result.reason) ||
			   result.cause == HYPR_CALL_OK || result.cause >= 64) {
			FAIL("file %lu: %d, cause %d: %s", i, ret, result.cause, hypr_error());
		} else if (!causes[result.cause]++) {
			/* The first of each cause. */
			note("%s", hypr_error());
		}
		if (i % 50 == 0)
			check_good(func, which);
	}
	for (i = 0; i < NR; i++)
		check_good(func, i);
	note("%lu mutated files: %lu pictures", nr, pictures);
	for (i = 0; i < 64; i++)
		if (causes[i])
			note("cause %lu: %lu", i, causes[i]);
	/* Both are there, or the mutations are too weak or too strong. */
	CHECK(pictures && pictures < nr);
	hypr_func_close(func);
}

static const struct test tests[] = {
	{ "PNG files of each kind become pixels", test_each_kind },
	{ "what is no picture is an error", test_no_picture },
	{ "mutated PNG files do no harm", test_mutated_ones },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
