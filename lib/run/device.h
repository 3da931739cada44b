/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table of devices: what an exit asks for, and the devices' part of a state. */
#ifndef LIB_RUN_DEVICE_H
#define LIB_RUN_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

struct hypr_state;
struct hypr_vcpu;
struct hypr_vm;

enum hypr_bus { HYPR_BUS_PORT, HYPR_BUS_MEMORY };

/**
 * struct hypr_device - what answers at a range of ports or GPAs
 * @base, @bytes: the range; no two of a bus overlap
 * @read: the byte at @at, a port or GPA of the range; NULL: all ones
 * @write: @value is zero-extended; NULL: writes go nowhere
 * @save, @set: registers to and from a state, in the table's order; or NULL
 */
struct hypr_device {
	const char *name;
	enum hypr_bus bus;
	uint64_t base;
	uint64_t bytes;
	uint8_t (*read)(struct hypr_vcpu *vcpu, uint64_t at);
	void (*write)(struct hypr_vcpu *vcpu, uint64_t at, uint64_t value);
	void (*save)(struct hypr_vm *vm, struct hypr_state *state);
	void (*set)(struct hypr_vm *vm, const struct hypr_state *state);
};

const struct hypr_device *hypr_device_find(enum hypr_bus bus, uint64_t at);
void hypr_device_port_exit(struct hypr_vcpu *vcpu);
void hypr_device_memory_exit(struct hypr_vcpu *vcpu);
bool hypr_device_panic(struct hypr_vm *vm);
void hypr_devices_save(struct hypr_vm *vm, struct hypr_state *state);
void hypr_devices_set(struct hypr_vm *vm, const struct hypr_state *state);

#endif /* LIB_RUN_DEVICE_H */
