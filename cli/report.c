// SPDX-License-Identifier: GPL-2.0-only
/* Answers and failures, as text and as JSON. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "cli.h"

int cli_fail(const struct cli_args *args, int code, const char *verb, const char *fmt, ...)
{
	char text[CLI_ERROR_MAX];
	json_t *object;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);

	/* Before the line itself, which goes to another stream. */
	if (args->json) {
		object = json_pack("{s:b, s:i, s:s, s:s}", "ok", 0, "exit", code,
				   "command", verb, "error", text);
		if (object)
			cli_print_json(object);
		json_decref(object);
		fflush(stdout);
	}
	fprintf(stderr, "hypr: %s: %s\n", verb, text);
	return code;
}

int cli_code(int err)
{
	switch (err) {
	case 0:
		return EXIT_OK;
	case -ESRCH:
		return EXIT_NO_VM;
	case -ENODEV:
	case -EOPNOTSUPP:
		return EXIT_HOST;
	case -EADDRINUSE:
	case -EEXIST:
		return EXIT_EXISTS;
	case -ECANCELED:
		return EXIT_INTERRUPTED;
	case -EAGAIN:
		return EXIT_NOT_PARKED;
	default:
		return EXIT_FAILED;
	}
}

void cli_print_json(const json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
}

void cli_begin(const json_t *answer)
{
	printf("%s (%s): ", cli_str(answer, "vm"), cli_str(answer, "engine"));
}

void cli_compared(const json_t *answer, const char *with)
{
	const json_t *range;
	size_t i;

	cli_begin(answer);
	printf("view %s%s%s: %lld pages compared (the shared control page left out), %lld differ",
	       cli_str(answer, "view"), with ? " and " : "", with ? with : "",
	       cli_int(answer, "pages_compared"), cli_int(answer, "pages_mismatched"));
	json_array_foreach(json_object_get(answer, "mismatched"), i, range)
		printf("%s0x%llx-0x%llx", i ? ", " : "; first at ", cli_int(range, "start"),
		       cli_int(range, "end"));
	printf("\n");
}

long long cli_int(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

const char *cli_str(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}
