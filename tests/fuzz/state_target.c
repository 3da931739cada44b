// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz target: the state of a VM from a file is loaded into devices, and the devices
 * run.  The input: a byte with the number of changes; each change is a section (its
 * place in `sections`), an offset (2 bytes) and a byte to put there; then accesses of
 * 3 bytes: what (ACCESS_*), where, value.
 *
 * Beside the sanitizers, what must hold: what devices hold after any accesses is a
 * state that can be loaded again.
 */
#include <stdlib.h>
#include <string.h>

#include "hypr/vmo.h"
#include "fuzz.h"
#include "lib/model/state.h"
#include "lib/model/vcpu.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/pc/console.h"
#include "lib/pc/rtc.h"
#include "lib/run/device.h"
#include "lib/run/vcpu.h"
#include "lib/run/vmo_state.h"

#define NR_SECTIONS	8
#define RUN_BYTES	8192
#define IO_OFFSET	4096

/* What: kind in bits 7:6, bits 5:4 the width (1, 2, 4, 8), bits 3:0 a repetition. */
#define ACCESS_PORT_READ	0
#define ACCESS_MMIO		1
#define ACCESS_PORT_WRITE	2
#define ACCESS_RECEIVE		3	/* a byte from the other end of the serial line */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct section {
	uint32_t type;
	uint32_t index;
	uint8_t *good, *data;
	size_t bytes;
} sections[NR_SECTIONS] = {
	{ .type = HYPR_VMO_CPU }, { .type = HYPR_VMO_CLOCK }, { .type = HYPR_VMO_CHIPS },
	{ .type = HYPR_VMO_PIT }, { .type = HYPR_VMO_CONSOLE }, { .type = HYPR_VMO_RTC },
	{ .type = HYPR_VMO_VCPU }, { .type = HYPR_VMO_VCPU, .index = 1 },
};

static struct hypr_vmo_writer *begin(void)
{
	struct hypr_vmo_params params = {
		.size = sizeof(params), .flags = HYPR_VMO_REPLACE,
		.mem_bytes = HYPR_VMO_PAGE_BYTES, .nr_vcpus = FUZZ_VCPUS,
	};
	struct hypr_vmo_writer *writer;

	fuzz_check(!hypr_vmo_writer_create(fuzz_path("f.vmo"), &params, &writer));
	return writer;
}

static struct hypr_vmo *end(struct hypr_vmo_writer *writer)
{
	struct hypr_vmo *vmo;

	fuzz_check(!hypr_vmo_writer_commit(writer, NULL));
	hypr_vmo_writer_destroy(writer);
	fuzz_check(!hypr_vmo_open(fuzz_path("f.vmo"), &vmo));
	return vmo;
}

/* The sections of a good state, once. */
static void sections_init(void)
{
	struct hypr_vmo_writer *writer;
	struct hypr_vmo *vmo;
	const void *content;
	unsigned int i;

	if (sections[0].good)
		return;
	writer = begin();
	fuzz_check(!hypr_vmo_state_write(fuzz_vm(), fuzz_vm_state(), writer));
	vmo = end(writer);
	for (i = 0; i < NR_SECTIONS; i++) {
		struct section *s = &sections[i];

		fuzz_check(!hypr_vmo_section(vmo, s->type, s->index, &content, &s->bytes, NULL));
		s->good = malloc(s->bytes);
		s->data = malloc(s->bytes);
		fuzz_check(s->good && s->data);
		memcpy(s->good, content, s->bytes);
	}
	hypr_vmo_close(vmo);
}

/* Return: what is left of the input. */
static const uint8_t *change(const uint8_t *data, size_t *size)
{
	unsigned int i, n = data[0];

	for (i = 0; i < NR_SECTIONS; i++)
		memcpy(sections[i].data, sections[i].good, sections[i].bytes);
	data++;
	*size -= 1;
	for (; n && *size >= 4; n--, data += 4, *size -= 4) {
		struct section *s = &sections[data[0] % NR_SECTIONS];

		s->data[(data[1] | (size_t)data[2] << 8) % s->bytes] = data[3];
	}
	return data;
}

static struct hypr_vmo *write_sections(void)
{
	struct hypr_vmo_writer *writer = begin();
	unsigned int i;

	for (i = 0; i < NR_SECTIONS; i++)
		fuzz_check(!hypr_vmo_writer_section(writer, sections[i].type, sections[i].index,
						    HYPR_VMO_STATE_VERSION, 0, sections[i].data,
						    sections[i].bytes));
	return end(writer);
}

static void port(struct kvm_run *run, const uint8_t *access)
{
	static const uint16_t others[] = { 0x64, 0x92, 0xcf9, HYPR_REPORT_PORT, 0x61, 0xffff };
	uint8_t *data = (uint8_t *)run + IO_OFFSET;

	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = access[0] >> 6 == ACCESS_PORT_WRITE ? KVM_EXIT_IO_OUT :
								   KVM_EXIT_IO_IN;
	run->io.size = (uint8_t)(1 << (access[0] >> 4 & 3) % 3);	/* ports have no 8 */
	run->io.count = 1u + (access[0] & 15);
	run->io.data_offset = IO_OFFSET;
	if (access[1] < 8)
		run->io.port = (uint16_t)(HYPR_CONSOLE_PORT + access[1]);
	else if (access[1] < 10)
		run->io.port = (uint16_t)(HYPR_RTC_PORT + access[1] - 8);
	else
		run->io.port = others[access[1] % 6];
	memset(data, access[2], (size_t)run->io.size * run->io.count);
}

static void mmio(struct kvm_run *run, const uint8_t *access)
{
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.is_write = access[0] & 1;
	run->mmio.len = 1u << (access[0] >> 4 & 3);
	run->mmio.phys_addr = (uint64_t)access[1] << 24 | access[2];
	memset(run->mmio.data, access[2], sizeof(run->mmio.data));
}

static void run_devices(struct hypr_vm *vm, const uint8_t *data, size_t size)
{
	static uint64_t page[RUN_BYTES / 8];
	struct hypr_vcpu *vcpu = &vm->vcpu[0];

	vcpu->vm = vm;
	vcpu->run = (struct kvm_run *)page;
	for (; size >= 3; data += 3, size -= 3) {
		switch (data[0] >> 6) {
		case ACCESS_MMIO:
			mmio(vcpu->run, data);
			break;
		case ACCESS_RECEIVE:
			hypr_console_receive(&vm->console, data, 3);
			continue;
		default:
			port(vcpu->run, data);
		}
		hypr_vcpu_exit(vcpu);
	}
	vm->ended = false;
}

/* What the devices hold now goes into a file, and comes back. */
static void save_again(struct hypr_vm *vm, struct hypr_state *state)
{
	struct hypr_vmo_writer *writer = begin();
	struct hypr_vmo *vmo;

	hypr_devices_save(vm, state);
	fuzz_check(!hypr_vmo_state_write(vm, state, writer));
	vmo = end(writer);
	fuzz_check(!hypr_vmo_state_read(vm, vmo, "f.vmo", 0, state));
	hypr_vmo_close(vmo);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hypr_vm *vm = fuzz_vm();
	struct hypr_state *state = vm->active->state;
	struct hypr_vmo *vmo;
	int ret;

	if (!size)
		return 0;
	sections_init();
	data = change(data, &size);
	vmo = write_sections();
	ret = fuzz_checked(hypr_vmo_state_read(vm, vmo, "f.vmo", HYPR_LOAD_TIME_CONTINUE, state));
	if (!ret)
		ret = fuzz_checked(hypr_vmo_state_read(vm, vmo, "f.vmo", 0, state));
	hypr_vmo_close(vmo);
	if (ret)
		return 0;
	hypr_console_init(&vm->console, NULL, NULL);
	hypr_rtc_init(&vm->rtc, NULL);
	hypr_devices_set(vm, state);
	run_devices(vm, data, size);
	save_again(vm, state);
	return 0;
}
