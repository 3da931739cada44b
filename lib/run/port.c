// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * I/O ports: serial line, clock chip, report port, the port on which a guest says
 * that it panicked, and the three ways in which a PC is reset, each of which ends
 * the VM.  Ports that nobody answers on read as all ones.
 */
#include <string.h>

#include "base/time.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "pc/console.h"
#include "pc/rtc.h"
#include "run/hold.h"
#include "run/port.h"

#define PORT_KEYBOARD		0x64	/* command 0xfe pulses the reset line */
#define PORT_SYSTEM_A		0x92	/* bit 0: fast reset */
#define PORT_RESET_CONTROL	0xcf9	/* bit 2: reset */

#define PORT_PANIC		0x505	/* as QEMU's pvpanic: reads what may be said */

#define PANIC_PANICKED		0x01
#define KEYBOARD_RESET		0xfe
#define SYSTEM_A_RESET		0x01
#define RESET_CONTROL_RESET	0x04

static bool in_range(uint16_t port, uint16_t base, uint16_t count)
{
	return port >= base && port < base + count;
}

static void report(struct hypr_vcpu *vcpu, const uint8_t *data, unsigned int size)
{
	struct hypr_vm *vm = vcpu->vm;
	uint64_t tsc = hypr_tsc();
	uint32_t value = 0;

	memcpy(&value, data, size);
	if (vm->report)
		vm->report(vm->report_arg, vcpu->index, value, tsc);
}

/* The guest resets or ends.  Return: true: that was a panic, and has been noted. */
bool hypr_port_panic(struct hypr_vm *vm)
{
	char words[HYPR_CONSOLE_PANIC_BYTES];

	if (!hypr_console_panic(&vm->console, words))
		return false;
	hypr_vm_end_as(vm, HYPR_END_PANIC, "guest panicked: %s", words);
	return true;
}

static void guest_reset(struct hypr_vm *vm, uint16_t port)
{
	if (!hypr_port_panic(vm))
		hypr_vm_end_as(vm, HYPR_END_RESET, "guest reset (port 0x%x)", port);
}

static void port_write(struct hypr_vcpu *vcpu, uint16_t port, const uint8_t *data,
		       unsigned int size)
{
	struct hypr_vm *vm = vcpu->vm;

	if (in_range(port, HYPR_CONSOLE_PORT, HYPR_CONSOLE_PORTS))
		hypr_console_write(&vm->console, port - HYPR_CONSOLE_PORT, data[0]);
	else if (in_range(port, HYPR_RTC_PORT, HYPR_RTC_PORTS))
		hypr_rtc_write(&vm->rtc, port - HYPR_RTC_PORT, data[0]);
	else if (port == HYPR_REPORT_PORT)
		report(vcpu, data, size);
	else if ((port == PORT_KEYBOARD && data[0] == KEYBOARD_RESET) ||
		 (port == PORT_SYSTEM_A && (data[0] & SYSTEM_A_RESET)) ||
		 (port == PORT_RESET_CONTROL && (data[0] & RESET_CONTROL_RESET)))
		guest_reset(vm, port);
	else if (port == PORT_PANIC && (data[0] & PANIC_PANICKED) && !hypr_port_panic(vm))
		hypr_vm_end_as(vm, HYPR_END_PANIC, "guest panicked (port 0x%x)", port);
}

static void port_read(struct hypr_vcpu *vcpu, uint16_t port, uint8_t *data, unsigned int size)
{
	struct hypr_vm *vm = vcpu->vm;

	memset(data, 0xff, size);
	if (in_range(port, HYPR_CONSOLE_PORT, HYPR_CONSOLE_PORTS))
		data[0] = hypr_console_read(&vm->console, port - HYPR_CONSOLE_PORT);
	else if (in_range(port, HYPR_RTC_PORT, HYPR_RTC_PORTS))
		data[0] = hypr_rtc_read(&vm->rtc, port - HYPR_RTC_PORT);
	else if (port == PORT_PANIC)
		data[0] = PANIC_PANICKED;
	else if (port == PORT_KEYBOARD || port == PORT_SYSTEM_A)
		data[0] = 0;	/* keyboard controller idle, so that a reset is not waited for */
}

/* Do what the exit in vcpu->run asks for; KVM completes it at the next KVM_RUN. */
void hypr_port_exit(struct hypr_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	uint32_t i;

	for (i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			port_write(vcpu, run->io.port, data, run->io.size);
		else
			port_read(vcpu, run->io.port, data, run->io.size);
	}
}
