// SPDX-License-Identifier: GPL-2.0-only
/* hypr call: a function file in a VM of its own, once or many times. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "hypr/func.h"
#include "hypr/hypr.h"
#include "hypr/vmo.h"

#define REPEAT_MAX	1000000

enum { ARG, IN, OUT, TIMEOUT, REPEAT, ENGINE, HEAP, STACK, MAX };

static const struct cli_option options[] = {
	[ARG] = { "arg", 'a', "TEXT", "the input" },
	[IN] = { "in", 'i', "FILE", "a file with the input; -: standard input" },
	[OUT] = { "out", 'o', "FILE", "for the output (standard output)" },
	[TIMEOUT] = { "timeout", 't', "MS", "of the init and of each call (1000)" },
	[REPEAT] = { "repeat", 'r', "N", "calls with the same input (1); prints how long they took" },
	[ENGINE] = { "engine", 'e', "ENGINE", "stock (default), ept-swap or hyprv; nothing else is taken instead" },
	[HEAP] = { "heap", 0, "SIZE", "of the function (16M)" },
	[STACK] = { "stack", 0, "SIZE", "of the function (256K)" },
	[MAX] = { "max", 0, "SIZE", "of input and output (4M)" },
	{ 0 },
};

struct job {
	const struct cli_args *args;
	struct hypr_func_config config;
	struct hypr_func *func;
	unsigned int repeat;
	uint8_t *in;
	size_t in_bytes;
	uint8_t *out;
	struct hypr_call_result result;
	uint64_t *ns;		/* of each call */
	uint64_t *cycles;
};

/* ---- the command line ---------------------------------------------------- */

static int read_size(const struct cli_args *args, int which, uint64_t *bytes)
{
	const char *text = args->option[which];

	if (text && (cli_parse_size(text, bytes) || !*bytes))
		return cli_fail(args, EXIT_USAGE, "call", "--%s %.40s is no size",
				options[which].name, text);
	return EXIT_OK;
}

static int read_number(const struct cli_args *args, int which, unsigned int max,
		       unsigned int *value)
{
	const char *text = args->option[which];

	if (text && (cli_parse_uint(text, max, value) || !*value))
		return cli_fail(args, EXIT_USAGE, "call", "--%s %.40s is no number from 1 to %u",
				options[which].name, text, max);
	return EXIT_OK;
}

static int read_options(struct job *job)
{
	const struct cli_args *args = job->args;
	struct hypr_func_config *config = &job->config;
	int code;

	*config = (struct hypr_func_config)HYPR_FUNC_CONFIG_INIT;
	config->path = args->arg[0];
	config->engine = args->option[ENGINE];
	config->vms = 1;
	job->repeat = 1;
	if (args->option[ARG] && args->option[IN])
		return cli_fail(args, EXIT_USAGE, "call", "--arg and --in are both the input");
	code = read_number(args, TIMEOUT, HYPR_FUNC_TIMEOUT_MAX_MS, &config->timeout_ms);
	if (!code)
		code = read_number(args, REPEAT, REPEAT_MAX, &job->repeat);
	if (!code)
		code = read_size(args, HEAP, &config->heap_bytes);
	if (!code)
		code = read_size(args, STACK, &config->stack_bytes);
	if (!code)
		code = read_size(args, MAX, &config->in_max);
	config->out_max = config->in_max;
	return code;
}

/* ---- input and output ---------------------------------------------------- */

/* One byte more than there may be says that there are too many. */
static int read_input(struct job *job)
{
	const char *file = job->args->option[IN];
	size_t room = job->config.in_max + 1;
	int fd, err = 0;
	ssize_t n;

	job->in = malloc(room);
	if (!job->in)
		return cli_fail(job->args, EXIT_FAILED, "call", "no memory for the input");
	fd = strcmp(file, "-") ? open(file, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	if (fd < 0)
		return cli_fail(job->args, EXIT_FAILED, "call", "%.200s: %s", file, strerror(errno));
	while (job->in_bytes < room) {
		n = read(fd, job->in + job->in_bytes, room - job->in_bytes);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			err = n < 0 ? errno : 0;
			break;
		}
		job->in_bytes += (size_t)n;
	}
	if (fd != STDIN_FILENO)
		close(fd);
	if (err)
		return cli_fail(job->args, EXIT_FAILED, "call", "%.200s: %s", file, strerror(err));
	if (job->in_bytes == room)
		return cli_fail(job->args, EXIT_FAILED, "call",
				"%.200s: more than %llu bytes of input (--max allows more)", file,
				(unsigned long long)job->config.in_max);
	return EXIT_OK;
}

static int take_input(struct job *job)
{
	const char *text = job->args->option[ARG];

	if (job->args->option[IN])
		return read_input(job);
	if (!text)
		return EXIT_OK;
	job->in = (uint8_t *)strdup(text);
	job->in_bytes = strlen(text);
	return job->in ? EXIT_OK : cli_fail(job->args, EXIT_FAILED, "call", "no memory");
}

/* To standard output, or to a pipe or device of this name. */
static int write_stream(const struct job *job, const char *file)
{
	FILE *to = file ? fopen(file, "we") : stdout;
	bool bad;

	if (!to)
		return cli_fail(job->args, EXIT_FAILED, "call", "%.200s: %s", file, strerror(errno));
	bad = fwrite(job->out, 1, job->result.out_bytes, to) != job->result.out_bytes;
	bad |= (file ? fclose(to) : fflush(to)) != 0;
	if (bad)
		return cli_fail(job->args, EXIT_FAILED, "call", "%.200s: %s",
				file ? file : "standard output", strerror(errno));
	return EXIT_OK;
}

/* A file has all of the output, or is what it was.  A link leads to the file to replace. */
static int write_output(const struct job *job)
{
	const char *file = job->args->option[OUT];
	char *target = file ? realpath(file, NULL) : NULL;
	struct stat st;
	int ret;

	if (!file || (target && !stat(target, &st) && !S_ISREG(st.st_mode))) {
		free(target);
		return write_stream(job, file);
	}
	ret = hypr_vmo_report_write(NULL, NULL, target ? target : file, HYPR_VMO_REPLACE,
				    job->out, job->result.out_bytes);
	free(target);
	return ret ? cli_fail(job->args, EXIT_FAILED, "call", "%s", hypr_error()) : EXIT_OK;
}

/* ---- answers ------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The list is sorted: the smallest value that @percent of all are not above. */
static uint64_t percentile(const uint64_t *value, unsigned int nr, unsigned int percent)
{
	return value[((uint64_t)nr * percent + 99) / 100 - 1];
}

static int code_of(int err)
{
	switch (err) {
	case -ECANCELED:
	case -EFAULT:
	case -ENOBUFS:
	case -ETIMEDOUT:
		return EXIT_FUNCTION;
	default:
		return cli_code(err);
	}
}

static int say_failed(const struct job *job, int err, unsigned int number)
{
	const struct hypr_call_result *result = &job->result;
	char rip[20], address[20];
	json_t *answer;

	if (job->args->json) {
		/* As text: JSON's integers have a sign. */
		snprintf(rip, sizeof(rip), "0x%llx", (unsigned long long)result->rip);
		snprintf(address, sizeof(address), "0x%llx",
			 (unsigned long long)result->address);
		answer = json_pack("{s:b, s:i, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:i, s:i}",
				   "ok", 0, "exit", code_of(err), "command", "call",
				   "engine", hypr_func_engine_name(job->func),
				   "error", hypr_error(),
				   "cause", hypr_call_cause_name(result->cause),
				   "vector", (int)result->vector,
				   "rip", rip, "address", address,
				   "symbol", result->symbol,
				   "source", result->source, "line", (int)result->line,
				   "call", (int)number);
		cli_print_json(answer);
		json_decref(answer);
		fflush(stdout);
	}
	fprintf(stderr, "hypr: call: %.200s (%s): %s\n", job->config.path,
		hypr_func_engine_name(job->func), hypr_error());
	return code_of(err);
}

static void say_json(const struct job *job)
{
	const struct hypr_call_result *result = &job->result;
	json_t *answer;

	answer = json_pack("{s:b, s:s, s:s, s:i, s:I, s:i, s:I, s:I, s:I, s:I, s:I}", "ok", 1,
			   "file", job->config.path,
			   "engine", hypr_func_engine_name(job->func),
			   "value", (int)result->value,
			   "output_bytes", (json_int_t)result->out_bytes,
			   "calls", (int)job->repeat,
			   "pages_reset", (json_int_t)result->pages_reset,
			   "median_ns", (json_int_t)percentile(job->ns, job->repeat, 50),
			   "p99_ns", (json_int_t)percentile(job->ns, job->repeat, 99),
			   "median_cycles", (json_int_t)percentile(job->cycles, job->repeat, 50),
			   "p99_cycles", (json_int_t)percentile(job->cycles, job->repeat, 99));
	/* Output that is no text needs --out. */
	if (answer && !job->args->option[OUT])
		json_object_set_new(answer, "output",
				    json_stringn((char *)job->out, result->out_bytes) ?:
				    json_null());
	cli_print_json(answer);
	json_decref(answer);
}

/* Not among the output. */
static void say_times(const struct job *job)
{
	fprintf(stderr,
		"hypr: call: %.200s (%s): %u calls, median %llu ns (%llu cycles), p99 %llu ns (%llu cycles), %llu pages put back\n",
		job->config.path, hypr_func_engine_name(job->func), job->repeat,
		(unsigned long long)percentile(job->ns, job->repeat, 50),
		(unsigned long long)percentile(job->cycles, job->repeat, 50),
		(unsigned long long)percentile(job->ns, job->repeat, 99),
		(unsigned long long)percentile(job->cycles, job->repeat, 99),
		(unsigned long long)job->result.pages_reset);
}

static int say(const struct job *job)
{
	int code = EXIT_OK;

	if (job->args->option[OUT] || !job->args->json)
		code = write_output(job);
	if (code)
		return code;
	if (job->args->json)
		say_json(job);
	else if (job->args->option[REPEAT])
		say_times(job);
	if (job->result.value && !job->args->json)
		fprintf(stderr, "hypr: call: %.200s (%s): the function returned %d\n",
			job->config.path, hypr_func_engine_name(job->func), job->result.value);
	return job->result.value ? EXIT_FAILED : EXIT_OK;
}

/* ---- calls --------------------------------------------------------------- */

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ull + (uint64_t)ts.tv_nsec;
}

static int call(struct job *job)
{
	const struct hypr_call_params params = {
		.size = sizeof(params),
		.in = job->in,
		.in_bytes = job->in_bytes,
		.out = job->out,
		.out_room = job->config.out_max,
	};
	unsigned int i;
	uint64_t start;
	int ret;

	for (i = 0; i < job->repeat; i++) {
		start = now_ns();
		ret = hypr_func_call(job->func, &params, &job->result);
		if (ret)
			return say_failed(job, ret, i + 1);
		job->ns[i] = now_ns() - start;
		job->cycles[i] = job->result.total_cycles;
	}
	qsort(job->ns, job->repeat, sizeof(*job->ns), compare);
	qsort(job->cycles, job->repeat, sizeof(*job->cycles), compare);
	return say(job);
}

static int open_and_call(struct job *job)
{
	int code, ret;

	job->out = malloc(job->config.out_max);
	job->ns = calloc(job->repeat, sizeof(*job->ns));
	job->cycles = calloc(job->repeat, sizeof(*job->cycles));
	if (!job->out || !job->ns || !job->cycles)
		return cli_fail(job->args, EXIT_FAILED, "call", "no memory");
	ret = hypr_func_open(&job->config, &job->func);
	if (ret == -EINVAL)
		return cli_fail(job->args, EXIT_USAGE, "call", "%s", hypr_error());
	if (ret)
		return cli_fail(job->args, code_of(ret), "call", "%s", hypr_error());
	code = call(job);
	hypr_func_close(job->func);
	return code;
}

static int run(const struct cli_args *args)
{
	struct job job = { .args = args };
	int code;

	code = read_options(&job);
	if (!code)
		code = take_input(&job);
	if (!code)
		code = open_and_call(&job);
	free(job.in);
	free(job.out);
	free(job.ns);
	free(job.cycles);
	return code;
}

const struct cli_command cmd_call = {
	.name = "call",
	.args = "FILE.elf",
	.summary = "call a function in a VM of its own",
	.options = options,
	.nr_args = 1,
	.run = run,
};
