/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the commands of hypr(1) share: a table entry each, parsed arguments,
 * calls to a running VM, and ways to answer.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Exit codes; hypr(1) lists them. */
#define EXIT_OK			0
#define EXIT_FAILED		1	/* verify, vmo diff: memory differs; translate: not mapped */
#define EXIT_USAGE		2
#define EXIT_NO_VM		3
#define EXIT_NO_VIEW		4
#define EXIT_HOST		5	/* the host lacks something: hypr doctor */
#define EXIT_EXISTS		6	/* a VM, view or file of this name is there */
#define EXIT_NOT_PARKED		7	/* the guest did not park, and force was ruled out */
#define EXIT_FILE		8	/* a VMO file is missing, damaged, newer, or not the one wanted */
#define EXIT_PANIC		9	/* the guest panicked */
#define EXIT_TRIPLE_FAULT	10	/* the guest had a triple fault */
#define EXIT_TROUBLE		11	/* verify could not compare, translate not look */
#define EXIT_FUNCTION		12	/* call: the function aborted, ran wild or took too long */
#define EXIT_GUEST		13	/* the guest exited with another value than 0 (port 0xf4) */
#define EXIT_INTERRUPTED	130	/* by Ctrl-C and the like, and nothing was written */

#define CLI_OPTIONS_MAX		16
#define CLI_ERROR_MAX		512

/**
 * struct cli_option - an entry of a command's table, which ends with a name of NULL
 * @name: long option
 * @letter: short option, or 0
 * @value: what it takes, in capitals; NULL for a switch
 */
struct cli_option {
	const char *name;
	char letter;
	const char *value;
	const char *help;
};

/** struct cli_args - what was parsed; see cli_parse() */
struct cli_args {
	bool json;
	bool help;
	const char *option[CLI_OPTIONS_MAX];	/* by table index; "" for a switch */
	int nr;
	char **arg;				/* the rest */
};

/**
 * struct cli_command - one command
 * @name: one word, or "vmo" and another
 * @args: its arguments, for the usage line
 * @summary: one line
 * @nr_args: how many it takes
 * @nr_optional: and how many more it may take
 * @run: Return: an exit code
 */
struct cli_command {
	const char *name;
	const char *args;
	const char *summary;
	const struct cli_option *options;
	int nr_args;
	int nr_optional;
	int (*run)(const struct cli_args *args);
};

extern const struct cli_command cmd_call, cmd_doctor, cmd_load, cmd_mem, cmd_pause, cmd_ps, cmd_remove, cmd_reset,
	cmd_resume, cmd_resurrect, cmd_run, cmd_snapshot, cmd_stop, cmd_swap, cmd_translate,
	cmd_verify, cmd_views, cmd_working_set, cmd_vmo_diff, cmd_vmo_export, cmd_vmo_flatten, cmd_vmo_info, cmd_vmo_keygen,
	cmd_vmo_pack, cmd_vmo_sign, cmd_vmo_unpack, cmd_vmo_verify;

/* parse.c: nothing here prints */

/**
 * cli_parse() - parse a command's own arguments
 * @argv: argv[0] is the command's name
 * @error: out: why not, at least CLI_ERROR_MAX bytes
 * Return: 0 or -EINVAL.
 */
int cli_parse(const struct cli_command *command, int argc, char **argv,
	      struct cli_args *args, char *error);

/** cli_parse_size() - "16M", "1G", "65536"; units K, M, G.  Return: 0, -EINVAL. */
int cli_parse_size(const char *text, uint64_t *bytes);

/** cli_parse_uint() - a decimal number up to @max.  Return: 0, -EINVAL. */
int cli_parse_uint(const char *text, unsigned int max, unsigned int *value);

/** cli_parse_address() - "0x1000" or "4096", 64 bits.  Return: 0, -EINVAL. */
int cli_parse_address(const char *text, uint64_t *address);

/**
 * cli_parse_list() - "1,2,4-6"
 * @list: out: at most @max numbers
 * Return: how many, or -EINVAL.
 */
int cli_parse_list(const char *text, int *list, int max);

/* report.c */

struct hypr_run_result;
struct hypr_vm;
int cli_requests_serve(struct hypr_vm *vm, const char *name, struct hypr_run_result *result);

/** cli_fail() - one line on stderr (JSON on stdout too with --json).  Return: @code. */
int cli_fail(const struct cli_args *args, int code, const char *verb, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/** cli_fail_to() - as cli_fail(), with the JSON on another stream than stdout */
int cli_fail_to(FILE *to, const struct cli_args *args, int code, const char *verb,
		const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/** cli_code() - the exit code for a failed call of the library */
int cli_code(int err);

/** cli_print_json() - one line on stdout; NULL is told as the failure that it is */
void cli_print_json(const json_t *object);
void cli_print_json_to(FILE *to, const json_t *object);

/** cli_json_failed() - was there an answer that could not be JSON? */
bool cli_json_failed(void);

/** cli_is_utf8() - may JSON hold it? */
bool cli_is_utf8(const char *text);

/** cli_begin() - what every text output begins with: "NAME (ENGINE): " */
void cli_begin(const json_t *answer);

/** cli_compared() - a view that was compared with its moment (@with NULL) or a file */
void cli_compared(const json_t *answer, const char *with);

/* Fields of an answer; 0 or "" when it has none of this name. */
long long cli_int(const json_t *object, const char *key);
const char *cli_str(const json_t *object, const char *key);

/* call.c */

/**
 * cli_call() - ask a running VM
 * @request: what to ask; taken over
 * @answer: out: to be given back with json_decref()
 * Return: EXIT_OK, or an exit code after having said what is wrong.
 */
int cli_call(const struct cli_args *args, const char *verb, const char *vm, json_t *request,
	     json_t **answer);

/**
 * cli_ask() - as cli_call(), and nothing is printed but why it failed
 * @can_stop: as for cli_call_long()
 * @timeout_ms: for the answer; 0: five minutes
 */
int cli_ask(const struct cli_args *args, const char *verb, const char *vm, json_t *request,
	    bool can_stop, int timeout_ms, json_t **answer);

/** cli_call_long() - as cli_call(); it can be interrupted, and then nothing was done */
int cli_call_long(const struct cli_args *args, const char *verb, const char *vm,
		  json_t *request, json_t **answer);

/** cli_spare_words() - why a reset did not go by the view's spare; "": it did, or was not to */
const char *cli_spare_words(const char *spare);

/**
 * cli_reset_way() - put the option --way of a reset into a request
 * @way: its value, or NULL
 * Return: EXIT_OK, or EXIT_USAGE after having said what is wrong: @request is given back.
 */
int cli_reset_way(const struct cli_args *args, const char *verb, const char *way,
		  json_t *request);

/* path.c */

/**
 * cli_path() - a file's name as the VM's process can use it
 * @path: out: absolute, to be freed; the folder is there, the file need not be
 * Return: EXIT_OK, or an exit code after having said what is wrong.
 */
int cli_path(const struct cli_args *args, const char *verb, const char *file, char **path);

/* vmo.c */

struct hypr_vmo;

/** cli_vmo_code() - the exit code for a failed call that has to do with a VMO file */
int cli_vmo_code(int err);

/** cli_vmo_fail() - say what hypr_error() has.  Return: cli_vmo_code(). */
int cli_vmo_fail(const struct cli_args *args, const char *verb, int err);

/**
 * cli_vmo_trouble() - EXIT_FILE for EXIT_FAILED, any other code as it is
 *
 * For commands whose answer EXIT_FAILED is: that memory differs.
 */
int cli_vmo_trouble(int code);

/**
 * cli_vmo_open() - open a file
 * Return: EXIT_OK, or an exit code after having said what is wrong: EXIT_FILE for a
 * file that is missing or cannot be read.
 */
int cli_vmo_open(const struct cli_args *args, const char *verb, const char *path,
		 struct hypr_vmo **vmop);

struct hypr_paging;

/**
 * cli_paging() - whose page tables
 * @cr3, @vcpu: values of options, or NULL
 * Return: EXIT_OK, or EXIT_USAGE after having said what is wrong.
 */
int cli_paging(const struct cli_args *args, const char *verb, const char *cr3, const char *vcpu,
	       struct hypr_paging *paging);

/** cli_is_file() - is "NAME|FILE" a file: it has a /, ends in .vmo, or is there */
bool cli_is_file(const char *name);

#define CLI_HEX_MAX	65

/** cli_hex() - 32 bytes, in @text, of CLI_HEX_MAX bytes */
const char *cli_hex(char *text, const uint8_t *bytes);

#define CLI_SIZE_MAX	24

/** cli_size() - "4.2 MiB", in @text, of CLI_SIZE_MAX bytes */
const char *cli_size(char *text, uint64_t bytes);

/* progress.c */

/**
 * cli_progress_start() - show how far an operation of the library is
 * @verb: is kept
 * @can_stop: SIGINT, SIGTERM and SIGHUP end the operation, and it leaves nothing
 *
 * On a terminal, without --json, and when it takes more than two seconds.
 */
void cli_progress_start(const struct cli_args *args, const char *verb, bool can_stop);

/** cli_progress_stop() - before anything else is printed */
void cli_progress_stop(void);

/* log.c: the log of a detached VM; one a process */

/** cli_log_console() - the fd that the VM's console writes to; or -errno */
int cli_log_console(void);

/**
 * cli_log_open() - empty it, or make it
 * @file: its name, absolute
 * @max: bytes of it, before it becomes FILE.1; 0: no limit
 * @error: out: why not, at least CLI_ERROR_MAX bytes
 * Return: 0 or -1.
 */
int cli_log_open(const char *file, uint64_t max, char *error);

/** cli_log_start() - begin to copy.  Return: 0 or -errno. */
int cli_log_start(void);

/** cli_log_take_output() - this process's own stdout and stderr, too */
void cli_log_take_output(void);

/** cli_log_remove() - if it was made by cli_log_open(): nothing came of the VM */
void cli_log_remove(void);

/** cli_log_end() - last words, and whatever is on its way */
void cli_log_end(const char *text);

/* tty.c */

/**
 * cli_tty_start() - a raw terminal on stdin, through a pipe
 * @escape: called from another thread when Ctrl-] is typed
 * Return: the fd to read from; stdin itself when it is no terminal; -1 on error.
 */
int cli_tty_start(void (*escape)(void));

/** cli_tty_stop() - give the terminal back as it was */
void cli_tty_stop(void);

/** cli_tty_suspend() - give it back, and stop the process as SIGTSTP would */
void cli_tty_suspend(void);

/** cli_tty_resume() - the process goes on: raw again */
void cli_tty_resume(void);

#endif /* CLI_CLI_H */
