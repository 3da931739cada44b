/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vCPUs and devices as sections of a file. */
#ifndef LIB_RUN_VMO_STATE_H
#define LIB_RUN_VMO_STATE_H

#include <linux/kvm.h>
#include <stddef.h>

#include "hypr/abi/vmo_state.h"

struct hypr_state;
struct hypr_vm;
struct hypr_vmo;
struct hypr_vmo_writer;

int hypr_vmo_state_write(struct hypr_vm *vm, const struct hypr_state *state,
			 struct hypr_vmo_writer *writer);
int hypr_vmo_state_read(struct hypr_vm *vm, struct hypr_vmo *vmo, const char *path,
			unsigned int flags, struct hypr_state *state);
int hypr_vmo_check_plain(struct hypr_vmo *vmo, const char *path);
int hypr_vmo_cpu_read(struct hypr_vmo *vmo, const char *path,
		      const struct kvm_cpuid_entry2 **entry, size_t *nr);
int hypr_vmo_mce_banks_read(struct hypr_vmo *vmo, const char *path, unsigned int *banks);
int hypr_vmo_clock_read(struct hypr_vmo *vmo, const char *path,
			const struct hypr_vmo_clock **clock);

#endif /* LIB_RUN_VMO_STATE_H */
