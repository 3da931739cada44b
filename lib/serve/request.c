// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Reading a request.  It comes from another process: everything is checked, and
 * what is not known is refused, so that a misspelt option is not ignored.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "serve/protocol.h"

#define KEY_VIEW	1u
#define KEY_FILE	2u
#define KEY_PARENT	4u
#define KEY_PREFAULT	8u
#define KEY_GVA		16u
#define KEY_PAGING	32u	/* cr3, vcpu */
#define KEY_WAY		64u

static const struct op {
	const char *name;
	unsigned int needs;	/* KEY_* */
	unsigned int may_have;
} ops[HYPR_OPS] = {
	[HYPR_OP_INFO] = { "info", 0, 0 },
	[HYPR_OP_PAUSE] = { "pause", 0, 0 },
	[HYPR_OP_RESUME] = { "resume", 0, 0 },
	[HYPR_OP_SNAPSHOT] = { "snapshot", KEY_VIEW, 0 },
	[HYPR_OP_SAVE] = { "save", KEY_FILE, KEY_VIEW | KEY_PARENT },
	[HYPR_OP_LOAD] = { "load", KEY_VIEW | KEY_FILE, KEY_PREFAULT },
	[HYPR_OP_WORKING_SET] = { "working-set", 0, KEY_VIEW | KEY_FILE },
	[HYPR_OP_VIEWS] = { "views", 0, 0 },
	[HYPR_OP_SWAP] = { "swap", KEY_VIEW, KEY_WAY },
	[HYPR_OP_RESET] = { "reset", KEY_VIEW, KEY_WAY },
	[HYPR_OP_VERIFY] = { "verify", KEY_VIEW, 0 },
	[HYPR_OP_COMPARE] = { "compare", KEY_FILE, KEY_VIEW },
	[HYPR_OP_REMOVE] = { "remove", KEY_VIEW, 0 },
	[HYPR_OP_TRANSLATE] = { "translate", KEY_GVA, KEY_VIEW | KEY_PAGING },
	[HYPR_OP_MEM] = { "mem", 0, KEY_VIEW },
	[HYPR_OP_STOP] = { "stop", 0, 0 },
};

#define FLAG_PROGRESS	(1u << 31)	/* becomes hypr_request.progress */
#define FLAG_RUNS	(1u << 30)	/* becomes hypr_request.runs */
#define FLAG_SPARE	(1u << 29)	/* becomes hypr_request.spare */

static const struct {
	const char *name;
	enum hypr_op op;
	unsigned int flag;
} flags[] = {
	{ "reset", HYPR_OP_SWAP, HYPR_SWAP_RESET },
	{ "force", HYPR_OP_SWAP, HYPR_SWAP_FORCE },
	{ "cooperative", HYPR_OP_SWAP, HYPR_SWAP_COOPERATIVE },
	{ "replace", HYPR_OP_SAVE, HYPR_SAVE_REPLACE },
	{ "progress", HYPR_OP_SAVE, FLAG_PROGRESS },
	{ "compress", HYPR_OP_SAVE, HYPR_SAVE_COMPRESS },
	{ "replace", HYPR_OP_WORKING_SET, HYPR_SAVE_REPLACE },
	{ "runs", HYPR_OP_MEM, FLAG_RUNS },
	{ "continue", HYPR_OP_LOAD, HYPR_LOAD_TIME_CONTINUE },
	{ "spare", HYPR_OP_LOAD, FLAG_SPARE },
	{ "spare", HYPR_OP_SNAPSHOT, FLAG_SPARE },
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

static int parse_text(const json_t *value, const char *key, char *text, size_t size)
{
	int len;

	if (!json_is_string(value))
		return hypr_fail(-EINVAL, "request: \"%s\" is not a string", key);
	len = snprintf(text, size, "%s", json_string_value(value));
	if (len <= 0 || (size_t)len >= size)
		return hypr_fail(-EINVAL, "request: \"%s\" is no name", key);
	return 0;
}

/* The VM's process may stand in another folder than who asks. */
static int parse_path(const json_t *value, const char *key, char *path)
{
	int ret = parse_text(value, key, path, HYPR_PATH_MAX);

	if (!ret && path[0] != '/')
		ret = hypr_fail(-EINVAL, "request: \"%s\" does not begin with /", key);
	return ret;
}

/* "0x" and digits: a JSON number of jansson's has 63 bits. */
static int parse_address(const json_t *value, const char *key, uint64_t *address)
{
	const char *text = json_is_string(value) ? json_string_value(value) : "";
	size_t len = strlen(text);

	if (len < 3 || len > 18 || strncmp(text, "0x", 2) ||
	    text[2 + strspn(text + 2, "0123456789abcdef")])
		return hypr_fail(-EINVAL, "request: \"%s\" is no \"0x...\" of 64 bits", key);
	*address = strtoull(text, NULL, 16);
	return 0;
}

static int parse_vcpu(const json_t *value, struct hypr_request *request)
{
	json_int_t vcpu = json_is_integer(value) ? json_integer_value(value) : -1;

	if (vcpu < 0 || vcpu > UINT32_MAX)
		return hypr_fail(-EINVAL, "request: \"vcpu\" is no number of a vCPU");
	request->paging.vcpu = (uint32_t)vcpu;
	return 0;
}

static int parse_cr3(const json_t *value, struct hypr_request *request)
{
	request->paging.flags = HYPR_PAGING_CR3;
	return parse_address(value, "cr3", &request->paging.cr3);
}

static int parse_prefault(const json_t *value, struct hypr_request *request)
{
	int flags = hypr_prefault_flags(json_is_string(value) ? json_string_value(value) : "");

	if (flags < 0)
		return hypr_fail(flags, "request: \"prefault\" is all, none, used or record");
	request->flags |= (unsigned int)flags;
	return 0;
}

static int parse_way(const json_t *value, struct hypr_request *request)
{
	const char *word = json_is_string(value) ? json_string_value(value) : "";
	int way;

	for (way = HYPR_RESET_COPY_BACK; way <= HYPR_RESET_SPARE; way++) {
		if (strcmp(word, hypr_reset_name(way)))
			continue;
		request->flags |= HYPR_RESET_ONLY(way);
		return 0;
	}
	return hypr_fail(-EINVAL, "request: \"way\" is copy-back, compare, drop or spare");
}

static int parse_flag(const char *key, const json_t *value, struct hypr_request *request)
{
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(key, flags[i].name) || request->op != flags[i].op)
			continue;
		if (!json_is_boolean(value))
			return hypr_fail(-EINVAL, "request: \"%s\" is not true or false", key);
		if (json_is_true(value))
			request->flags |= flags[i].flag;
		return 0;
	}
	return hypr_fail(-EINVAL, "request: %s takes no \"%.40s\"", ops[request->op].name, key);
}

static int parse_key(const char *key, const json_t *value, struct hypr_request *request)
{
	unsigned int keys = ops[request->op].needs | ops[request->op].may_have;

	if ((keys & KEY_VIEW) && !strcmp(key, "view"))
		return parse_text(value, key, request->view, sizeof(request->view));
	if ((keys & KEY_FILE) && !strcmp(key, "file"))
		return parse_path(value, key, request->file);
	if ((keys & KEY_PARENT) && !strcmp(key, "parent"))
		return parse_path(value, key, request->parent);
	if ((keys & KEY_WAY) && !strcmp(key, "way"))
		return parse_way(value, request);
	if ((keys & KEY_PREFAULT) && !strcmp(key, "prefault"))
		return parse_prefault(value, request);
	if ((keys & KEY_GVA) && !strcmp(key, "gva"))
		return parse_address(value, key, &request->gva);
	if ((keys & KEY_PAGING) && !strcmp(key, "cr3"))
		return parse_cr3(value, request);
	if ((keys & KEY_PAGING) && !strcmp(key, "vcpu"))
		return parse_vcpu(value, request);
	return parse_flag(key, value, request);
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
		ret = parse_key(key, value, request);
		if (ret)
			return ret;
	}
	request->progress = request->flags & FLAG_PROGRESS;
	request->runs = request->flags & FLAG_RUNS;
	request->spare = request->flags & FLAG_SPARE;
	request->flags &= ~(FLAG_PROGRESS | FLAG_RUNS | FLAG_SPARE);
	if ((op->needs & KEY_VIEW) && !request->view[0])
		return hypr_fail(-EINVAL, "request: %s needs a \"view\"", op->name);
	if ((op->needs & KEY_FILE) && !request->file[0])
		return hypr_fail(-EINVAL, "request: %s needs a \"file\"", op->name);
	if ((op->needs & KEY_GVA) && !json_object_get(root, "gva"))
		return hypr_fail(-EINVAL, "request: %s needs a \"gva\"", op->name);
	return 0;
}

int hypr_request_parse(const char *line, size_t len, struct hypr_request *request)
{
	json_error_t error;
	json_t *root;
	int ret;

	memset(request, 0, sizeof(*request));
	request->paging.size = sizeof(request->paging);
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
