// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The devices of a VM that KVM does not have: one table, in which an exit finds the
 * device by its port or GPA.  They are the serial line, the clock chip, the report
 * port, the ports of guest requests, the port on which a guest says that it panicked, its exit
 * port, the three ways in which a PC is reset, each of which ends the VM, and memory that the
 * guest may not write.
 * Where no device answers, reads are all ones and writes go nowhere.
 */
#include <string.h>

#include "hypr/abi/request.h"
#include "base/time.h"
#include "model/state.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "pc/console.h"
#include "pc/rtc.h"
#include "run/device.h"
#include "run/hold.h"

#define PORT_KEYBOARD		0x64	/* command 0xfe pulses the reset line */
#define PORT_SYSTEM_A		0x92	/* bit 0: fast reset */
#define PORT_RESET_CONTROL	0xcf9	/* bit 2: reset */

#define PORT_EXIT		0xf4
#define PORT_PANIC		0x505	/* as QEMU's pvpanic: reads what may be said */

#define PANIC_PANICKED		0x01
#define KEYBOARD_RESET		0xfe
#define SYSTEM_A_RESET		0x01
#define RESET_CONTROL_RESET	0x04

/* ---- serial line and clock chip ------------------------------------------ */

static uint8_t console_read(struct hypr_vcpu *vcpu, uint64_t at)
{
	return hypr_console_read(&vcpu->vm->console, (unsigned int)(at - HYPR_CONSOLE_PORT));
}

static void console_write(struct hypr_vcpu *vcpu, uint64_t at, uint64_t value)
{
	hypr_console_write(&vcpu->vm->console, (unsigned int)(at - HYPR_CONSOLE_PORT),
			   (uint8_t)value);
}

static void console_save(struct hypr_vm *vm, struct hypr_state *state)
{
	hypr_console_save(&vm->console, &state->console);
}

static void console_set(struct hypr_vm *vm, const struct hypr_state *state)
{
	hypr_console_set(&vm->console, &state->console);
}

static uint8_t rtc_read(struct hypr_vcpu *vcpu, uint64_t at)
{
	return hypr_rtc_read(&vcpu->vm->rtc, (unsigned int)(at - HYPR_RTC_PORT));
}

static void rtc_write(struct hypr_vcpu *vcpu, uint64_t at, uint64_t value)
{
	hypr_rtc_write(&vcpu->vm->rtc, (unsigned int)(at - HYPR_RTC_PORT), (uint8_t)value);
}

static void rtc_save(struct hypr_vm *vm, struct hypr_state *state)
{
	hypr_rtc_save(&vm->rtc, &state->rtc);
}

static void rtc_set(struct hypr_vm *vm, const struct hypr_state *state)
{
	hypr_rtc_set(&vm->rtc, &state->rtc);
}

/* ---- reports, panics and resets ------------------------------------------ */

static void report_write(struct hypr_vcpu *vcpu, uint64_t at, uint64_t value)
{
	struct hypr_vm *vm = vcpu->vm;
	uint64_t tsc = hypr_tsc();

	(void)at;
	if (vm->report)
		vm->report(vm->report_arg, vcpu->index, (uint32_t)value, tsc);
}

static uint8_t request_read(struct hypr_vcpu *vcpu, uint64_t at)
{
	(void)at;
	return vcpu->vm->flags & HYPR_VM_GUEST_REQUESTS ? HYPR_REQUEST_VERSION : HYPR_REQUEST_NOBODY;
}

static void request_write(struct hypr_vcpu *vcpu, uint64_t at, uint64_t value)
{
	hypr_vcpu_ask(vcpu, (uint32_t)value, at == HYPR_REQUEST_PORT_VIRTUAL);
}

/* The guest resets or ends.  Return: true: that was a panic, and has been noted. */
bool hypr_device_panic(struct hypr_vm *vm)
{
	char words[HYPR_CONSOLE_PANIC_BYTES];

	if (!hypr_console_panic(&vm->console, words))
		return false;
	hypr_vm_end_as(vm, HYPR_END_PANIC, "guest panicked: %s", words);
	return true;
}

static uint8_t panic_read(struct hypr_vcpu *vcpu, uint64_t at)
{
	(void)vcpu;
	(void)at;
	return PANIC_PANICKED;
}

static void panic_write(struct hypr_vcpu *vcpu, uint64_t at, uint64_t value)
{
	if ((value & PANIC_PANICKED) && !hypr_device_panic(vcpu->vm))
		hypr_vm_end_as(vcpu->vm, HYPR_END_PANIC, "guest panicked (port 0x%x)",
			       (unsigned int)at);
}

/* A guest without an operating system has no other way to say how it ends. */
static void exit_write(struct hypr_vcpu *vcpu, uint64_t at, uint64_t value)
{
	if (!hypr_device_panic(vcpu->vm))
		hypr_vm_end_as(vcpu->vm, value ? HYPR_END_EXIT_FAILED : HYPR_END_EXIT,
			       "guest exited with %u (port 0x%x)", (unsigned int)value,
			       (unsigned int)at);
}

/* The keyboard controller is idle, so that the guest does not wait to reset. */
static uint8_t idle_read(struct hypr_vcpu *vcpu, uint64_t at)
{
	(void)vcpu;
	(void)at;
	return 0;
}

static void reset_write(struct hypr_vcpu *vcpu, uint64_t at, uint64_t value)
{
	bool is_reset = at == PORT_KEYBOARD ? (uint8_t)value == KEYBOARD_RESET :
			at == PORT_SYSTEM_A ? value & SYSTEM_A_RESET :
			value & RESET_CONTROL_RESET;

	if (is_reset && !hypr_device_panic(vcpu->vm))
		hypr_vm_end_as(vcpu->vm, HYPR_END_RESET, "guest reset (port 0x%x)",
			       (unsigned int)at);
}

/* All memory is in slots: a write to it that exits is one to a read-only slot. */
static void memory_write(struct hypr_vcpu *vcpu, uint64_t at, uint64_t value)
{
	(void)value;
	if (at < vcpu->vm->mem_bytes)
		hypr_vm_end(vcpu->vm, true, "vCPU %u: write to read-only memory at GPA 0x%llx",
			    vcpu->index, (unsigned long long)at);
}

/* ---- the table ----------------------------------------------------------- */

static const struct hypr_device devices[] = {
	{ "serial line", HYPR_BUS_PORT, HYPR_CONSOLE_PORT, HYPR_CONSOLE_PORTS,
	  console_read, console_write, console_save, console_set },
	{ "clock chip", HYPR_BUS_PORT, HYPR_RTC_PORT, HYPR_RTC_PORTS,
	  rtc_read, rtc_write, rtc_save, rtc_set },
	{ "reports", HYPR_BUS_PORT, HYPR_REPORT_PORT, 1, .write = report_write },
	{ "requests", HYPR_BUS_PORT, HYPR_REQUEST_PORT, 1,
	  .read = request_read, .write = request_write },
	{ "requests", HYPR_BUS_PORT, HYPR_REQUEST_PORT_VIRTUAL, 1,
	  .read = request_read, .write = request_write },
	{ "keyboard", HYPR_BUS_PORT, PORT_KEYBOARD, 1, .read = idle_read, .write = reset_write },
	{ "system port A", HYPR_BUS_PORT, PORT_SYSTEM_A, 1,
	  .read = idle_read, .write = reset_write },
	{ "reset control", HYPR_BUS_PORT, PORT_RESET_CONTROL, 1, .write = reset_write },
	{ "panic", HYPR_BUS_PORT, PORT_PANIC, 1, .read = panic_read, .write = panic_write },
	{ "exit", HYPR_BUS_PORT, PORT_EXIT, 1, .write = exit_write },
	{ "memory", HYPR_BUS_MEMORY, 0, HYPR_MEM_MAX_BYTES, .write = memory_write },
};

#define NR_DEVICES	(sizeof(devices) / sizeof(devices[0]))

/** hypr_device_find() - which device answers at a port or GPA; NULL: none */
const struct hypr_device *hypr_device_find(enum hypr_bus bus, uint64_t at)
{
	size_t i;

	for (i = 0; i < NR_DEVICES; i++) {
		if (devices[i].bus == bus && at - devices[i].base < devices[i].bytes)
			return &devices[i];
	}
	return NULL;
}

static void do_access(struct hypr_vcpu *vcpu, const struct hypr_device *device, uint64_t at,
		      bool is_write, uint8_t *data, unsigned int size)
{
	uint64_t value = 0;

	if (!is_write) {
		memset(data, 0xff, size);
		if (device && device->read)
			data[0] = device->read(vcpu, at);
	} else if (device && device->write) {
		memcpy(&value, data, size);
		device->write(vcpu, at, value);
	}
}

/** hypr_device_port_exit() - do what vcpu->run asks for; KVM completes it at the next KVM_RUN */
void hypr_device_port_exit(struct hypr_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const struct hypr_device *device = hypr_device_find(HYPR_BUS_PORT, run->io.port);
	bool is_write = run->io.direction == KVM_EXIT_IO_OUT;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint32_t i;

	for (i = 0; i < run->io.count; i++, data += run->io.size)
		do_access(vcpu, device, run->io.port, is_write, data, run->io.size);
}

/** hypr_device_memory_exit() - the same, for a GPA that is in no slot */
void hypr_device_memory_exit(struct hypr_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint64_t gpa = run->mmio.phys_addr;

	do_access(vcpu, hypr_device_find(HYPR_BUS_MEMORY, gpa), gpa, run->mmio.is_write,
		  run->mmio.data, sizeof(run->mmio.data));
}

/** hypr_devices_save() - the registers of all devices */
void hypr_devices_save(struct hypr_vm *vm, struct hypr_state *state)
{
	size_t i;

	for (i = 0; i < NR_DEVICES; i++) {
		if (devices[i].save)
			devices[i].save(vm, state);
	}
}

/** hypr_devices_set() - after the interrupt controllers, since a line may rise */
void hypr_devices_set(struct hypr_vm *vm, const struct hypr_state *state)
{
	size_t i;

	for (i = 0; i < NR_DEVICES; i++) {
		if (devices[i].set)
			devices[i].set(vm, state);
	}
}
