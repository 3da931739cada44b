// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading a request.  It comes from another process: everything is checked, and
 * what is not known is refused, so that a misspelt option is not ignored.
 */
#include <jansson.h>
#include <stdio.h>

#include "error.h"
#include "protocol.h"

struct op {
	const char *name;
	bool has_view;
	unsigned int flags;	/* HYPR_SWAP_* that it may have */
};

static const struct op ops[HYPR_OPS] = {
	[HYPR_OP_INFO] = { "info", false, 0 },
	[HYPR_OP_PAUSE] = { "pause", false, 0 },
	[HYPR_OP_RESUME] = { "resume", false, 0 },
	[HYPR_OP_SNAPSHOT] = { "snapshot", true, 0 },
	[HYPR_OP_VIEWS] = { "views", false, 0 },
	[HYPR_OP_SWAP] = { "swap", true,
			   HYPR_SWAP_RESET | HYPR_SWAP_FORCE | HYPR_SWAP_COOPERATIVE },
	[HYPR_OP_RESET] = { "reset", true, 0 },
	[HYPR_OP_VERIFY] = { "verify", true, 0 },
	[HYPR_OP_REMOVE] = { "remove", true, 0 },
	[HYPR_OP_STOP] = { "stop", false, 0 },
};

static const struct {
	const char *name;
	unsigned int flag;
} flags[] = {
	{ "reset", HYPR_SWAP_RESET },
	{ "force", HYPR_SWAP_FORCE },
	{ "cooperative", HYPR_SWAP_COOPERATIVE },
};

static int parse_op(const json_t *root, struct hypr_request *request)
{
	const json_t *value = json_object_get(root, "op");
	unsigned int i;

	if (!json_is_string(value))
		return hypr_fail(-EINVAL, "request: no \"op\"");
	for (i = 0; i < HYPR_OPS; i++) {
		if (!strcmp(ops[i].name, json_string_value(value))) {
			request->op = (enum hypr_op)i;
			return 0;
		}
	}
	return hypr_fail(-EINVAL, "request: no operation '%.40s'", json_string_value(value));
}

static int parse_view(const json_t *value, struct hypr_request *request)
{
	int len;

	if (!json_is_string(value))
		return hypr_fail(-EINVAL, "request: \"view\" is not a string");
	len = snprintf(request->view, sizeof(request->view), "%s", json_string_value(value));
	if (len <= 0 || (size_t)len >= sizeof(request->view))
		return hypr_fail(-EINVAL, "request: \"view\" is no name");
	return 0;
}

static int parse_flag(const char *key, const json_t *value, struct hypr_request *request)
{
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(key, flags[i].name) || !(ops[request->op].flags & flags[i].flag))
			continue;
		if (!json_is_boolean(value))
			return hypr_fail(-EINVAL, "request: \"%s\" is not true or false", key);
		if (json_is_true(value))
			request->flags |= flags[i].flag;
		return 0;
	}
	return hypr_fail(-EINVAL, "request: %s takes no \"%.40s\"", ops[request->op].name, key);
}

static int parse_object(json_t *root, struct hypr_request *request)
{
	const struct op *op;
	const char *key;
	json_t *value;
	int ret;

	ret = parse_op(root, request);
	if (ret)
		return ret;
	op = &ops[request->op];
	json_object_foreach(root, key, value) {
		if (!strcmp(key, "op"))
			continue;
		if (op->has_view && !strcmp(key, "view"))
			ret = parse_view(value, request);
		else
			ret = parse_flag(key, value, request);
		if (ret)
			return ret;
	}
	if (op->has_view && !request->view[0])
		return hypr_fail(-EINVAL, "request: %s needs a \"view\"", op->name);
	return 0;
}

int hypr_request_parse(const char *line, size_t len, struct hypr_request *request)
{
	json_error_t error;
	json_t *root;
	int ret;

	memset(request, 0, sizeof(*request));
	if (len >= HYPR_LINE_MAX)
		return hypr_fail(-EINVAL, "request: longer than %d bytes", HYPR_LINE_MAX);
	root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return hypr_fail(-EINVAL, "request: no JSON: %.80s", error.text);
	if (json_is_object(root))
		ret = parse_object(root, request);
	else
		ret = hypr_fail(-EINVAL, "request: not an object");
	json_decref(root);
	return ret;
}
