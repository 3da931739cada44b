// SPDX-License-Identifier: GPL-2.0-only
/* hypr run --guest-requests: what the guest asks for is served, and its reports are shown. */
#include <stdio.h>

#include "cli.h"
#include "hypr/run.h"

/**
 * cli_requests_serve() - until the guest ends, or something ends the VM
 * @result: out: how the guest ended, with HYPR_RUN_CRASH and HYPR_RUN_QUIT
 *
 * This command has no inputs: the guest gets one of no bytes.
 *
 * Return: 0, or as hypr_vm_run(): -ESHUTDOWN if the VM was ended.
 */
int cli_requests_serve(struct hypr_vm *vm, const char *name, struct hypr_run_result *result)
{
	const struct hypr_run_params params = {
		.size = sizeof(params), .flags = HYPR_RUN_KEEP_PAUSED, .input = "",
	};
	int ret;

	do {
		ret = hypr_vm_run(vm, &params, result);
		if (ret)
			return ret;
		if (result->what == HYPR_RUN_REPORT)
			fprintf(stderr, "%s: guest reports %llu (0x%llx)\n", name,
				(unsigned long long)result->value,
				(unsigned long long)result->value);
	} while (result->what != HYPR_RUN_CRASH && result->what != HYPR_RUN_QUIT);
	return 0;
}
