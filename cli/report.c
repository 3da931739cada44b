// SPDX-License-Identifier: GPL-2.0-only
/* Answers and failures, as text and as JSON. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

/* Words for JSON, which holds nothing but UTF-8. */
static json_t *json_words(char *text)
{
	json_t *words = json_string(text);
	char *c;

	for (c = text; !words && *c; c++) {
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	}
	return words ? words : json_string(text);
}

static int fail(FILE *to, const struct cli_args *args, int code, const char *verb,
		const char *fmt, va_list ap)
{
	char text[CLI_ERROR_MAX], ascii[CLI_ERROR_MAX];
	json_t *object;

	vsnprintf(text, sizeof(text), fmt, ap);
	/* Before the line itself, which goes to another stream. */
	if (args->json) {
		memcpy(ascii, text, sizeof(ascii));
		object = json_pack("{s:b, s:i, s:s, s:o}", "ok", 0, "exit", code,
				   "command", verb, "error", json_words(ascii));
		if (object)
			cli_print_json_to(to, object);
		json_decref(object);
		fflush(to);
	}
	fprintf(stderr, "hypr: %s: %s\n", verb, text);
	return code;
}

int cli_fail(const struct cli_args *args, int code, const char *verb, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail(stdout, args, code, verb, fmt, ap);
	va_end(ap);
	return code;
}

int cli_fail_to(FILE *to, const struct cli_args *args, int code, const char *verb,
		const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail(to, args, code, verb, fmt, ap);
	va_end(ap);
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
	default:
		return EXIT_FAILED;
	}
}

static bool unprinted;

/* What jansson was given was not UTF-8, and there is no object: that is no answer. */
void cli_print_json_to(FILE *to, const json_t *object)
{
	if (object && !json_dumpf(object, to, JSON_COMPACT)) {
		putc('\n', to);
		return;
	}
	unprinted = true;
	fputs("{\"ok\":false,\"exit\":1,\"error\":\"a name in the answer is not UTF-8, which JSON must be; ask without --json\"}\n",
	      to);
}

void cli_print_json(const json_t *object)
{
	cli_print_json_to(stdout, object);
}

bool cli_json_failed(void)
{
	return unprinted;
}

bool cli_is_utf8(const char *text)
{
	json_t *string = json_string(text);
	bool is = string != NULL;

	json_decref(string);
	return is;
}

void cli_begin(const json_t *answer)
{
	printf("%s (%s): ", cli_str(answer, "vm"), cli_str(answer, "engine"));
}

/* Of a view that has one: not of a comparison with a file. */
static void print_spare(const json_t *answer)
{
	const char *spare = cli_str(answer, "spare");

	if (!strcmp(spare, "ready"))
		printf("; its spare: %lld compared, %lld differ", cli_int(answer, "spare_compared"),
		       cli_int(answer, "spare_mismatched"));
	else if (!strcmp(spare, "not-ready"))
		printf("; its spare is being put back, and was not compared");
	else if (!strcmp(spare, "failed"))
		printf("; its spare has failed, and was not compared");
}

void cli_compared(const json_t *answer, const char *with)
{
	const json_t *range;
	size_t i;

	cli_begin(answer);
	printf("view %s%s%s: %lld pages compared (the shared control page left out), %lld differ",
	       cli_str(answer, "name"), with ? " and " : "", with ? with : "",
	       cli_int(answer, "pages_compared"), cli_int(answer, "pages_mismatched"));
	json_array_foreach(json_object_get(answer, "range"), i, range)
		printf("%s0x%llx-0x%llx", i ? ", " : "; first at ", cli_int(range, "start"),
		       cli_int(range, "end"));
	print_spare(answer);
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
