/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A KVM VM, as every one of a hypr_vm is. */
#ifndef LIB_RUN_MACHINE_H
#define LIB_RUN_MACHINE_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hypr_vm;

struct hypr_machine {
	int vm_fd;
	unsigned int nr_vcpus;
	size_t run_bytes;
	struct hypr_machine_vcpu {
		int fd;
		struct kvm_run *run;
	} vcpu[];
};

int hypr_machine_chips(const struct hypr_vm *vm);
int hypr_machine_vcpu_open(int vm_fd, unsigned int index, size_t run_bytes,
			   struct hypr_machine_vcpu *vcpu);
void hypr_machine_vcpu_close(struct hypr_machine_vcpu *vcpu, size_t run_bytes);
uint64_t hypr_machine_tsc_khz(int vcpu_fd);
bool hypr_machine_tsc_is_near(uint64_t khz, uint64_t other_khz);
int hypr_machine_set_tsc_khz(const struct hypr_vm *vm, int vcpu_fd);
int hypr_machine_set_features(const struct hypr_vm *vm, int vcpu_fd);
struct hypr_machine *hypr_machine_create(struct hypr_vm *vm, int *err);
struct hypr_machine *hypr_machine_of(struct hypr_vm *vm);
void hypr_machine_destroy(struct hypr_machine *machine);

#endif /* LIB_RUN_MACHINE_H */
