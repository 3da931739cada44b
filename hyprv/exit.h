/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Handlers of VM exits.  exit.c has the table, what handlers have in common, and events;
 * exit_instruction.c and exit_device.c the rest.
 *
 * A handler returns 1 to run on, 0 for user space (vcpu->run says why), or -errno.  It
 * runs with the VMCS current and must not sleep, but for those marked so in the table.
 */
#ifndef HYPRV_EXIT_H
#define HYPRV_EXIT_H

#include "hyprv.h"

/* A guest asked for an exception at the next access to a debug register. */
#define DR7_GD		BIT(13)

#define EXIT_NO_INTERRUPT "an interrupt command for which hyprv has no interrupt"

/* ---- exit.c ------------------------------------------------------------- */

/* The instruction is done: the guest goes on behind it. */
int exit_skip(struct vcpu *vcpu);
/* The same for @err 0; #GP for -EINVAL; a report for -EOPNOTSUPP. */
int exit_skip_or_fault(struct vcpu *vcpu, int err);
int exit_fault_gp(struct vcpu *vcpu);
int exit_fault_ud(struct vcpu *vcpu);
/* #DB; vcpu->dr6 says why. */
int exit_fault_db(struct vcpu *vcpu);

/* ---- exit_instruction.c ------------------------------------------------- */

int exit_cpuid(struct vcpu *vcpu);
int exit_rdmsr(struct vcpu *vcpu);
int exit_wrmsr(struct vcpu *vcpu);
int exit_xsetbv(struct vcpu *vcpu);
int exit_control_register(struct vcpu *vcpu);
int exit_debug_register(struct vcpu *vcpu);
int exit_invlpg(struct vcpu *vcpu);
int exit_port(struct vcpu *vcpu);

/* ---- exit_device.c ------------------------------------------------------ */

/* It sleeps: with the VMCS put. */
int exit_ept_violation(struct vcpu *vcpu);

#endif /* HYPRV_EXIT_H */
