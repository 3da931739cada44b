/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Requests and answers on the control socket: JSON objects, one a line. */
#ifndef LIB_SERVE_PROTOCOL_H
#define LIB_SERVE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>

#include "hypr/hypr.h"

#define HYPR_PATH_MAX	4096	/* of a file, the final NUL included */
#define HYPR_LINE_MAX	(3 * HYPR_PATH_MAX) /* of a request, newline included */

#define HYPR_ANSWER_MAX	(1u << 20) /* bytes of an answer */

/* Of pages, in an answer: [page, pages, HYPR_PAGE_*], at most 16 bytes on average. */
#define HYPR_RUNS_MAX	65536

/* What comes, if so asked, before the answer: done and total. */
#define HYPR_PROGRESS_LINE	"{\"progress\":{\"done\":%llu,\"total\":%llu}}"

enum hypr_op {
	HYPR_OP_INFO,
	HYPR_OP_PAUSE,
	HYPR_OP_RESUME,
	HYPR_OP_SNAPSHOT,
	HYPR_OP_SAVE,
	HYPR_OP_LOAD,
	HYPR_OP_WORKING_SET,
	HYPR_OP_VIEWS,
	HYPR_OP_SWAP,
	HYPR_OP_RESET,
	HYPR_OP_VERIFY,
	HYPR_OP_COMPARE,
	HYPR_OP_REMOVE,
	HYPR_OP_TRANSLATE,
	HYPR_OP_MEM,
	HYPR_OP_STOP,
	HYPR_OPS
};

struct hypr_request {
	enum hypr_op op;
	char view[64];		/* "" unless the operation has one */
	char file[HYPR_PATH_MAX];	/* the same; absolute */
	char parent[HYPR_PATH_MAX];
	uint64_t gva;		/* the next two: of translate */
	struct hypr_paging paging;
	unsigned int flags;	/* HYPR_SWAP_*, HYPR_RESET_ONLY(), HYPR_SAVE_*, HYPR_LOAD_* */
	bool runs;		/* of mem: with HYPR_RUNS_MAX runs at most */
	bool spare;		/* of snapshot and load: the view gets one */
	bool progress;		/* wants to be told: HYPR_PROGRESS_LINE before the answer */
};

/**
 * hypr_request_parse() - read a request
 * @line: @len bytes, any
 * Return: 0; -EINVAL with hypr_error() naming what is wrong.
 */
int hypr_request_parse(const char *line, size_t len, struct hypr_request *request);

/**
 * hypr_request_serve() - do what is asked
 * @stop: out: true when the VM was told to stop
 * Return: the answer, one line without newline, to be freed; NULL without memory.
 */
char *hypr_request_serve(struct hypr_vm *vm, const struct hypr_request *request, bool *stop);

/** hypr_answer_error() - the answer to a request that failed with @err */
char *hypr_answer_error(int err, const char *text);

#endif /* LIB_SERVE_PROTOCOL_H */
