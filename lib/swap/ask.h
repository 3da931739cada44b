/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What guests ask for: docs/spec/guest-requests.md.  op_lock held, all vCPUs held. */
#ifndef LIB_SWAP_ASK_H
#define LIB_SWAP_ASK_H

struct hypr_run_params;
struct hypr_run_result;
struct hypr_vcpu;
struct hypr_vm;

/**
 * hypr_ask_serve() - serve the request of a vCPU
 * @params: has the input
 * @result: out: what happened, when the run is over with it
 *
 * The VM is paused afterwards if it was, and if the request needs the vCPUs' state.
 *
 * Return: 0, whatever the guest asked for; -errno: the VM has ended, or runs on.
 */
int hypr_ask_serve(struct hypr_vm *vm, struct hypr_vcpu *vcpu,
		       const struct hypr_run_params *params, struct hypr_run_result *result);

#endif /* LIB_SWAP_ASK_H */
