// SPDX-License-Identifier: GPL-2.0-only
/* The life of a VM in its process: made, reachable, started, waited for. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "hypr/run.h"
#include "run.h"

static pthread_t main_thread;

/*
 * Whatever would end the process, or stop it, with the terminal left raw, and that
 * another process may send.  SIGSEGV and the like are tty.c's.
 */
static const int signals[] = {
	SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGVTALRM, SIGPROF, SIGUSR2, SIGXCPU, SIGIO,
	SIGPWR, SIGSTKFLT, SIGTSTP, SIGCONT,
	SIGUSR1,	/* our own: the guest ended, or Ctrl-] */
};

void cli_run_begin(sigset_t *set)
{
	size_t i;

	main_thread = pthread_self();
	sigemptyset(set);
	for (i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(set, signals[i]);
	pthread_sigmask(SIG_BLOCK, set, NULL);
}

void cli_run_wake(void)
{
	pthread_kill(main_thread, SIGUSR1);
}

/**
 * struct waiting - for the VM's end, on a thread
 * @result: with --guest-requests, which keep a VM from its end: how it would have ended
 * @error: why it can be waited for no longer, or nothing
 */
struct waiting {
	struct hypr_vm *vm;
	const struct hypr_vm_config *config;
	struct hypr_run_result result;
	char error[sizeof(((struct hypr_vm_info *)0)->end_reason)];
};

static void *wait_for_end(void *arg)
{
	struct waiting *waiting = arg;
	int ret = 0;

	if (waiting->config->flags & HYPR_VM_GUEST_REQUESTS)
		ret = cli_requests_serve(waiting->vm, waiting->config->name, &waiting->result);
	else
		hypr_vm_wait(waiting->vm, -1);
	if (ret && ret != -ESHUTDOWN)
		snprintf(waiting->error, sizeof(waiting->error), "%s", hypr_error());
	cli_run_wake();
	return NULL;
}

static int failure_code(int ret, const struct hypr_vm_config *config)
{
	if (ret == -EINVAL)
		return EXIT_USAGE;
	/* Here it is the host that lacks something. */
	if (!config->vmo || ret == -EOPNOTSUPP)
		return cli_code(ret);
	return cli_vmo_code(ret);
}

static int describe_failure(int ret, const struct hypr_vm_config *config, char *error)
{
	int code = failure_code(ret, config);
	const char *name = config->name;

	if (ret == -EADDRINUSE)
		snprintf(error, CLI_ERROR_MAX, "%s: %s (hypr stop %s ends it)", name,
			 hypr_error(), name);
	else
		snprintf(error, CLI_ERROR_MAX, "%s: %s", name, hypr_error());
	return code;
}

static int start_log(const struct cli_run *run, char *error)
{
	int ret;

	if (cli_log_open(run->log, run->log_max, error))
		return EXIT_FAILED;
	ret = cli_log_start();
	if (!ret)
		return EXIT_OK;
	snprintf(error, CLI_ERROR_MAX, "log: its thread: %s", strerror(-ret));
	cli_log_remove();
	return EXIT_FAILED;
}

/* Return: EXIT_OK with a VM that runs and is reachable, or a code and its reason. */
int cli_run_start(const struct cli_run *run, struct hypr_vm **vm, struct hypr_server **server,
		  char *error)
{
	int ret;

	*server = NULL;
	ret = hypr_vm_create(&run->config, vm);
	if (ret)
		return describe_failure(ret, &run->config, error);
	ret = hypr_server_start(*vm, server);
	if (ret) {
		ret = describe_failure(ret, &run->config, error);
		goto destroy;
	}
	/* From here on the name is this VM's, and its log too. */
	ret = run->detach ? start_log(run, error) : EXIT_OK;
	if (ret)
		goto stop_server;
	ret = hypr_vm_start(*vm);
	if (!ret)
		return EXIT_OK;
	ret = describe_failure(ret, &run->config, error);
	cli_log_remove();
stop_server:
	hypr_server_stop(*server);
destroy:
	hypr_vm_destroy(*vm);
	return ret;
}

static int end_code(const struct hypr_vm_info *info)
{
	switch (info->end) {
	case HYPR_END_PANIC:
		return EXIT_PANIC;
	case HYPR_END_TRIPLE_FAULT:
		return EXIT_TRIPLE_FAULT;
	case HYPR_END_FAILED:
		return EXIT_FAILED;
	case HYPR_END_EXIT_FAILED:
		return EXIT_GUEST;
	default:
		return EXIT_OK;
	}
}

/* Until the guest ends or a signal comes.  Return: an exit code, and why, in @info. */
int cli_run_wait(struct hypr_vm *vm, const struct hypr_vm_config *config, const sigset_t *set,
		 struct hypr_vm_info *info)
{
	struct waiting arg = { .vm = vm, .config = config };
	pthread_t waiter;
	int ret, signal;

	ret = pthread_create(&waiter, NULL, wait_for_end, &arg);
	if (ret) {
		snprintf(arg.error, sizeof(arg.error), "a thread that waits for its end: %s",
			 strerror(ret));
		cli_run_wake();
	}
	do {
		signal = sigwaitinfo(set, NULL);
		if (signal == SIGTSTP)
			cli_tty_suspend();
		if (signal == SIGCONT)
			cli_tty_resume();
	} while (signal < 0 || signal == SIGTSTP || signal == SIGCONT);
	hypr_vm_stop(vm);
	if (!ret)
		pthread_join(waiter, NULL);
	hypr_vm_info(vm, info);
	if (arg.error[0]) {
		info->end = HYPR_END_FAILED;
		memcpy(info->end_reason, arg.error, sizeof(info->end_reason));
	} else if (arg.result.end) {
		info->end = (uint32_t)arg.result.end;
		memcpy(info->end_reason, arg.result.reason, sizeof(info->end_reason));
	}
	return end_code(info);
}

/* The guest has stdout to itself when it runs in the foreground. */
void cli_run_say(const struct cli_args *args, const struct cli_run *run, const char *what,
		 const char *key, const char *value, int pid, int end)
{
	const char *engine = run->config.engine ? run->config.engine : HYPR_ENGINE_EPT_SWAP;
	FILE *to = run->detach ? stdout : stderr;
	json_t *object;

	if (!args->json) {
		fprintf(to, "%s (%s): %s%s\n", run->config.name, engine, what, value);
		return;
	}
	object = json_pack("{s:b, s:s, s:s, s:s, s:i}", "ok", 1, "vm", run->config.name,
			   "engine", engine, key, value, "pid", pid);
	if (end)
		json_object_set_new(object, "end", json_string(hypr_end_name(end)));
	cli_print_json_to(to, object);
	json_decref(object);
	fflush(to);
}
