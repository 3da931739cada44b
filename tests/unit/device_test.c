// SPDX-License-Identifier: GPL-2.0-only
/* The table of devices: who answers where, and what an access to nobody does. */
#include "unit.h"
#include "fake_vm.h"

#include "hypr/abi/request.h"
#include "hypr/hypr.h"
#include "lib/model/state.h"
#include "lib/model/vcpu.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/run/device.h"
#include "lib/run/vcpu.h"

#define DATA_OFFSET	2048

struct fixture {
	struct hypr_vm *vm;
	struct hypr_vcpu *vcpu;
	uint64_t run[4096 / 8];
};

static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->vm = fake_vm_create(1);
	f->vcpu = &f->vm->vcpu[0];
	f->vcpu->vm = f->vm;
	f->vcpu->run = (struct kvm_run *)f->run;
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;

	fake_vm_destroy(f->vm);
	free(f);
	return 0;
}

/* An access of @count times @size bytes; Return: where its bytes are. */
static uint8_t *port(struct fixture *f, uint16_t number, bool out, unsigned int size,
		     unsigned int count, uint32_t value)
{
	struct kvm_run *run = f->vcpu->run;
	uint8_t *data = (uint8_t *)run + DATA_OFFSET;
	unsigned int i;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = out ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
	run->io.port = number;
	run->io.size = (uint8_t)size;
	run->io.count = count;
	run->io.data_offset = DATA_OFFSET;
	for (i = 0; i < count; i++)
		memcpy(data + i * size, &value, size);
	hypr_vcpu_exit(f->vcpu);
	return data;
}

static void mmio(struct fixture *f, uint64_t gpa, bool write)
{
	struct kvm_run *run = f->vcpu->run;

	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = gpa;
	run->mmio.is_write = write;
	run->mmio.len = 4;
	memset(run->mmio.data, 0x12, sizeof(run->mmio.data));
	hypr_vcpu_exit(f->vcpu);
}

static void test_device_of_each_port(void **ctx)
{
	static const struct {
		unsigned int first, last;
		const char *name;
	} want[] = {
		{ 0x64, 0x64, "keyboard" }, { 0x70, 0x71, "clock chip" },
		{ 0x92, 0x92, "system port A" }, { 0xf4, 0xf4, "exit" },
		{ 0x3f8, 0x3ff, "serial line" },
		{ HYPR_REPORT_PORT, HYPR_REPORT_PORT, "reports" }, { 0x505, 0x505, "panic" },
		{ 0xcf9, 0xcf9, "reset control" },
		{ HYPR_REQUEST_PORT, HYPR_REQUEST_PORT, "requests" },
		{ HYPR_REQUEST_PORT_VIRTUAL, HYPR_REQUEST_PORT_VIRTUAL, "requests" },
	};
	const struct hypr_device *device;
	unsigned int at;
	size_t i;

	(void)ctx;
	for (at = 0; at < 0x10000; at++) {
		const char *name = NULL;

		for (i = 0; i < ARRAY_SIZE(want); i++) {
			if (at >= want[i].first && at <= want[i].last)
				name = want[i].name;
		}
		device = hypr_device_find(HYPR_BUS_PORT, at);
		assert_int_equal(device != NULL, name != NULL);
		if (name)
			assert_string_equal(device->name, name);
	}
	assert_string_equal(hypr_device_find(HYPR_BUS_MEMORY, 0x3f8)->name, "memory");
	assert_null(hypr_device_find(HYPR_BUS_MEMORY, HYPR_MEM_MAX_BYTES));
	assert_null(hypr_device_find(HYPR_BUS_MEMORY, UINT64_MAX));
}

static void test_device_reads(void **ctx)
{
	static const uint8_t ones[8] = { 255, 255, 255, 255, 255, 255, 255, 255 };
	static const uint8_t idle[8] = { 0, 255, 255, 255, 0, 255, 255, 255 };
	static const uint8_t panic[8] = { 1, 255, 255, 255, 1, 255, 255, 255 };
	struct fixture *f = *ctx;

	assert_memory_equal(port(f, 0x80, false, 4, 2, 0x1234), ones, 8);
	assert_memory_equal(port(f, HYPR_REPORT_PORT, false, 4, 2, 0x1234), ones, 8);
	assert_memory_equal(port(f, 0xcf9, false, 4, 2, 0x1234), ones, 8);
	assert_memory_equal(port(f, HYPR_REQUEST_PORT, false, 4, 2, 0x1234), ones, 8);
	f->vm->flags |= HYPR_VM_GUEST_REQUESTS;
	assert_memory_equal(port(f, HYPR_REQUEST_PORT, false, 4, 2, 0x1234), panic, 8);
	assert_memory_equal(port(f, 0x64, false, 4, 2, 0x1234), idle, 8);
	assert_memory_equal(port(f, 0x92, false, 4, 2, 0x1234), idle, 8);
	assert_memory_equal(port(f, 0x505, false, 4, 2, 0x1234), panic, 8);
	mmio(f, 0xfed00000, false);
	assert_memory_equal(f->vcpu->run->mmio.data, ones, 8);
	mmio(f, 0x1000, false);
	assert_memory_equal(f->vcpu->run->mmio.data, ones, 8);
	assert_false(f->vm->ended);
}

static void test_device_writes_that_reset(void **ctx)
{
	static const struct {
		uint16_t port;
		uint32_t value;
		bool ends;
	} writes[] = {
		{ 0x80, 0xff, false }, { 0x64, 0xff, false }, { 0x92, 0xfe, false },
		{ 0xcf9, 0xfb, false }, { 0x505, 0xfe, false }, { 0x64, 0xfe, true },
		{ 0x64, 0xaafe, true }, { 0x92, 0x01, true }, { 0xcf9, 0x06, true },
		{ 0x505, 0x01, true },
	};
	struct fixture *f = *ctx;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(writes); i++) {
		f->vm->ended = false;
		port(f, writes[i].port, true, 2, 1, writes[i].value);
		assert_int_equal(f->vm->ended, writes[i].ends);
	}
}

static void test_device_write_to_memory(void **ctx)
{
	struct fixture *f = *ctx;

	mmio(f, 0xfed00000, true);
	mmio(f, f->vm->mem_bytes, true);
	assert_false(f->vm->ended);
	mmio(f, f->vm->mem_bytes - 1, true);
	assert_true(f->vm->ended);
	assert_non_null(strstr(f->vm->end_reason, "read-only memory at GPA 0x"));
}

static void test_device_registers_of_a_state(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_state *state = f->vm->active->state;

	port(f, 0x3ff, true, 1, 1, 0x5a);	/* the serial line's scratch register */
	port(f, 0x70, true, 1, 1, 0x40);
	port(f, 0x71, true, 1, 1, 0xa5);
	hypr_devices_save(f->vm, state);
	assert_int_equal(state->console.scr, 0x5a);
	assert_int_equal(state->rtc.cmos[0x40], 0xa5);

	port(f, 0x3ff, true, 1, 1, 0x11);
	port(f, 0x71, true, 1, 1, 0x22);
	hypr_devices_set(f->vm, state);
	assert_int_equal(*port(f, 0x3ff, false, 1, 1, 0), 0x5a);
	assert_int_equal(*port(f, 0x71, false, 1, 1, 0), 0xa5);
}

int main(void)
{
#define T(test)	cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_device_of_each_port),
		T(test_device_reads),
		T(test_device_writes_that_reset),
		T(test_device_write_to_memory),
		T(test_device_registers_of_a_state),
	};

	return cmocka_run_group_tests_name("device", tests, NULL, NULL) ? 1 : 0;
}
