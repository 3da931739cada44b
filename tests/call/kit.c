// SPDX-License-Identifier: GPL-2.0-only
/* What the tests of function VMs share: see kit.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hypr/hypr.h"
#include "tests/call/kit.h"
#include "tests/guest/tap.h"

#define TIMEOUT_MS	20000	/* of calls that are to be done; an emulator is slow */

char out[ROOM];

const char *engine(void)
{
	return getenv("HYPR_TEST_ENGINE") ?: HYPR_ENGINE_STOCK;
}

static const char *device(void)
{
	return strcmp(engine(), HYPR_ENGINE_HYPRV) ? "/dev/kvm" : "/dev/hyprv";
}

static const char *path(const char *name)
{
	static char text[256];

	snprintf(text, sizeof(text), "%s/%s.elf", getenv("HYPR_CALL_FILES") ?: "out/guests/call",
		 name);
	return text;
}

struct hypr_func_config config_of(const char *name)
{
	struct hypr_func_config config = HYPR_FUNC_CONFIG_INIT;

	if (access(device(), R_OK | W_OK))
		skip("no /dev/kvm or /dev/hyprv that may be used");
	config.path = path(name);
	config.engine = engine();
	config.timeout_ms = TIMEOUT_MS;
	return config;
}

struct hypr_func *load(const struct hypr_func_config *config)
{
	struct hypr_func *func = NULL;
	int ret = hypr_func_open(config, &func);

	if (ret)
		FAIL("hypr_func_open: %d: %s", ret, hypr_error());
	return func;
}

struct hypr_func *open_func(const char *name)
{
	struct hypr_func_config config = config_of(name);

	return load(&config);
}

int call(struct hypr_func *func, const char *in, struct hypr_call_result *result)
{
	const struct hypr_call_params params = {
		.size = sizeof(params),
		.in = in,
		.in_bytes = strlen(in),
		.out = out,
		.out_room = sizeof(out),
	};

	return hypr_func_call(func, &params, result);
}

void check_upper(struct hypr_func *func)
{
	struct hypr_call_result result;

	CHECK_RET(call(func, "Hello, World 1", &result), 0);
	CHECK_EQ(result.out_bytes, 14);
	CHECK(!memcmp(out, "HELLO, WORLD 1", 14));
	CHECK_EQ(result.value, 0);
	CHECK_EQ(result.cause, HYPR_CALL_OK);
}

void check_verbs(struct hypr_func *func)
{
	struct hypr_call_result result;

	CHECK_RET(call(func, "value 7", &result), 0);
	CHECK_EQ(result.value, 7);
}

void check_refused(const char *name, const char *at_engine, int want)
{
	struct hypr_func_config config = config_of(name);
	struct hypr_func *func = NULL;

	config.engine = at_engine;
	if (want == -ETIMEDOUT)
		config.timeout_ms = 50;
	CHECK_RET(hypr_func_open(&config, &func), want);
	CHECK(!func);
}
