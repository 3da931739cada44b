// SPDX-License-Identifier: GPL-2.0-only
/* A request to a running VM; every way in which it can fail, in words. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "hypr/hypr.h"

/* The VM said no.  @cooperative: it was not to use force. */
static int refused(const struct cli_args *args, const char *verb, const char *vm,
		   const json_t *answer, bool cooperative)
{
	const char *error = cli_str(answer, "error");
	int err = (int)-cli_int(answer, "errno");

	/* A file may not be there either. */
	if (err == -ENOENT && !strncmp(error, "no view", strlen("no view")))
		return cli_fail(args, EXIT_NO_VIEW, verb, "%s: %s (hypr views %s lists them)",
				vm, error, vm);
	if (err == -EAGAIN && cooperative)
		return cli_fail(args, EXIT_NOT_PARKED, verb, "%s: %s", vm, error);
	return cli_fail(args, err == -EOPNOTSUPP ? cli_code(err) : cli_vmo_code(err), verb,
			"%s: %s", vm, error);
}

static int call_failed(const struct cli_args *args, const char *verb, const char *vm, int ret)
{
	if (ret == -ESRCH)
		return cli_fail(args, EXIT_NO_VM, verb,
				"no VM '%s' runs (hypr ps lists those that do)", vm);
	if (ret == -EINVAL)
		return cli_fail(args, EXIT_USAGE, verb, "%s", hypr_error());
	return cli_fail(args, cli_code(ret), verb, "%s", hypr_error());
}

int cli_ask(const struct cli_args *args, const char *verb, const char *vm, json_t *request,
	    bool can_stop, int timeout_ms, json_t **answer)
{
	bool cooperative = json_is_true(json_object_get(request, "cooperative"));
	char *line, *text = NULL;
	int ret;

	if (request && can_stop)
		json_object_set_new(request, "progress", json_true());
	line = request ? json_dumps(request, JSON_COMPACT) : NULL;

	*answer = NULL;
	json_decref(request);
	if (!line)	/* what was typed is not UTF-8 */
		return cli_fail(args, EXIT_USAGE, verb, "names must be valid UTF-8");
	cli_progress_start(args, verb, can_stop);
	if (timeout_ms)
		ret = hypr_client_call_within(vm, line, timeout_ms, &text);
	else
		ret = hypr_client_call(vm, line, &text);
	cli_progress_stop();
	free(line);
	if (ret)
		return call_failed(args, verb, vm, ret);

	*answer = json_loads(text, 0, NULL);
	free(text);
	if (!*answer)
		return cli_fail(args, EXIT_FAILED, verb, "%s: its answer is no JSON", vm);
	if (!json_is_true(json_object_get(*answer, "ok"))) {
		ret = refused(args, verb, vm, *answer, cooperative);
		json_decref(*answer);
		*answer = NULL;
		return ret;
	}
	return EXIT_OK;
}

static int printed(const struct cli_args *args, int code, const json_t *answer)
{
	if (!code && args->json)
		cli_print_json(answer);
	return code;
}

int cli_call(const struct cli_args *args, const char *verb, const char *vm, json_t *request,
	     json_t **answer)
{
	int code = cli_ask(args, verb, vm, request, false, 0, answer);

	return printed(args, code, *answer);
}

int cli_call_long(const struct cli_args *args, const char *verb, const char *vm,
		  json_t *request, json_t **answer)
{
	int code = cli_ask(args, verb, vm, request, true, 0, answer);

	return printed(args, code, *answer);
}

const char *cli_spare_words(const char *spare)
{
	if (!strcmp(spare, "not-ready"))
		return " (the spare is still being put back)";
	return strcmp(spare, "failed") ? "" : " (the spare failed)";
}

int cli_reset_way(const struct cli_args *args, const char *verb, const char *way,
		  json_t *request)
{
	int i;

	if (!way || !strcmp(way, "auto"))
		return EXIT_OK;
	for (i = HYPR_RESET_COPY_BACK; i <= HYPR_RESET_SPARE; i++) {
		if (strcmp(way, hypr_reset_name(i)))
			continue;
		json_object_set_new(request, "way", json_string(way));
		return EXIT_OK;
	}
	json_decref(request);
	return cli_fail(args, EXIT_USAGE, verb,
			"--way is auto, copy-back, compare, drop or spare, not '%s'", way);
}
