// SPDX-License-Identifier: GPL-2.0-only
/*
 * All that can be done with a VMO file that opens, whoever made it.  Beside the
 * sanitizers, what must hold: errors are one line and name the file; a file reads
 * alike by read(), mapped, flattened and packed; what the library wrote verifies.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypr/vmo.h"
#include "fuzz.h"
#include "lib/model/state.h"
#include "lib/model/vcpu.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/pc/cpu.h"
#include "lib/pc/msr.h"
#include "lib/pc/rtc.h"
#include "lib/run/state.h"
#include "lib/run/vmo_state.h"
#include "tests/unit/fake_vm.h"

#define PAGE		HYPR_VMO_PAGE_BYTES
#define TABLES_BYTES	(1u << 20)
#define LOOK_BYTES	(64 * (size_t)PAGE)	/* of memory, at its start */
#define STEPS_MAX	4096

struct hypr_vm *fuzz_vm(void)
{
	static uint32_t msr[FUZZ_MSRS] = { 0x10, 0xc0000080 };
	static uint64_t reset[FUZZ_MSRS];
	static struct hypr_vm *vm;

	if (!vm) {
		vm = fake_vm_create(FUZZ_VCPUS);
		hypr_state_free(vm, vm->active->state);
		vm->nr_msrs = FUZZ_MSRS;
		vm->msr_index = msr;
		vm->msr_reset = reset;
		vm->mce_banks = HYPR_MCE_BANKS;
		vm->xsave_bytes = FUZZ_XSAVE_BYTES;
		vm->active->state = hypr_state_alloc(vm);
	}
	return vm;
}

struct hypr_state *fuzz_vm_state(void)
{
	static struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[2];
	} cpuid = {
		.head = { .nent = 2 },
		.entry = { { .function = 0, .eax = 0xd }, { .function = 1, .edx = 0x0183fbff } },
	};
	struct hypr_vm *vm = fuzz_vm();
	struct hypr_state *state = vm->active->state;
	unsigned int i, n;

	vm->cpuid = &cpuid.head;
	vm->tsc_khz = 2400000;
	for (i = 0; i < FUZZ_VCPUS; i++) {
		state->vcpu[i].control = HYPR_VCPU_RUNNING;
		for (n = 0; n < FUZZ_MSRS; n++)
			state->vcpu[i].msrs->entries[n].index = vm->msr_index[n];
	}
	for (i = 0; i < 3; i++)
		state->chip[i].chip_id = i;
	state->chip[0].chip.pic.elcr_mask = 0xf8;
	state->chip[1].chip.pic.elcr_mask = 0xde;
	state->chip[2].chip.ioapic.base_address = 0xfec00000;
	state->rtc.cmos[HYPR_RTC_REG_B] = hypr_rtc_reg_b(0);
	return state;
}

/* ---- sections and state ---------------------------------------------------- */

static void try_sections(struct hypr_vmo *vmo)
{
	const struct hypr_vmo_section *table;
	unsigned int i, nr = hypr_vmo_sections(vmo, &table);
	uint8_t digest[HYPR_VMO_DIGEST_BYTES];
	uint32_t version;
	const void *data;
	size_t bytes;

	for (i = 0; i < nr; i++) {
		if (fuzz_checked(hypr_vmo_section(vmo, table[i].type, table[i].index, &data, &bytes,
					     &version)))
			continue;
		fuzz_check(bytes == table[i].bytes && version == table[i].version);
		hypr_digest(digest, data, bytes);
		fuzz_check(!memcmp(digest, table[i].digest, sizeof(digest)));
	}
}

static void try_cpu(struct hypr_vmo *vmo)
{
	static const struct kvm_cpuid_entry2 host[] = {
		{ .function = 0, .eax = 0xd }, { .function = 1, .edx = 0x0183fbff },
		{ .function = 0x80000001, .edx = 0x20100800 },
	};
	const struct kvm_cpuid_entry2 *entry;
	size_t nr;

	if (!fuzz_checked(hypr_vmo_cpu_read(vmo, "f.vmo", &entry, &nr)) && nr <= 256)
		fuzz_checked(hypr_cpu_check(entry, nr, host, 3, "f.vmo"));
}

static void try_state(struct hypr_vmo *vmo, const struct hypr_vmo_info *info)
{
	struct hypr_vm *vm = fuzz_vm();
	struct hypr_state *state = vm->active->state;
	unsigned int flags;

	try_cpu(vmo);
	vm->nr_vcpus = info->nr_vcpus < FUZZ_VCPUS ? info->nr_vcpus : FUZZ_VCPUS;
	for (flags = 0; flags <= HYPR_LOAD_TIME_CONTINUE; flags += HYPR_LOAD_TIME_CONTINUE) {
		if (fuzz_checked(hypr_vmo_state_read(vm, vmo, "f.vmo", flags, state)))
			continue;
		fuzz_check(state->valid);
		fuzz_check(state->console.rx_tail - state->console.rx_head <=
			   sizeof(state->console.rx));
	}
	vm->nr_vcpus = FUZZ_VCPUS;
}

/* ---- memory ---------------------------------------------------------------- */

static void try_segments(const struct hypr_vmo *vmo, const struct hypr_vmo_info *info)
{
	struct hypr_vmo_segment segment;
	uint64_t gpa;
	int steps = 0;

	for (gpa = 0; gpa < info->mem_bytes && steps < STEPS_MAX; steps++) {
		fuzz_check(!hypr_vmo_segment(vmo, gpa, &segment));
		fuzz_check(segment.gpa == gpa && segment.pages);
		fuzz_check(segment.pages <= (info->mem_bytes - gpa) / PAGE);
		fuzz_check(segment.layer < info->layers);
		gpa += segment.pages * PAGE;
	}
	fuzz_check(hypr_vmo_segment(vmo, info->mem_bytes, &segment) == -EINVAL);
	fuzz_check(hypr_vmo_segment(vmo, 1, &segment) == -EINVAL);
}

/* ---- page tables ----------------------------------------------------------- */

struct tables {
	struct hypr_vmo *vmo;
	const struct hypr_paging *paging;
	uint64_t mem_bytes, end;
	unsigned int nr;
};

/* Ascending, within memory, and as hypr_vmo_translate() has it. */
static int check_mapping(void *arg, const struct hypr_vmo_mapping *mapping)
{
	struct tables *tables = arg;
	struct hypr_translation t;

	fuzz_check(mapping->bytes && mapping->gpa < tables->mem_bytes);
	fuzz_check(mapping->bytes <= tables->mem_bytes - mapping->gpa);
	fuzz_check(mapping->gva >= tables->end);
	fuzz_check(!hypr_vmo_translate(tables->vmo, mapping->gva, tables->paging, &t));
	fuzz_check(t.gpa == mapping->gpa && t.rights == mapping->rights);
	tables->end = mapping->gva + mapping->bytes;
	return ++tables->nr == STEPS_MAX;
}

static void try_tables(struct hypr_vmo *vmo, const struct hypr_vmo_info *info)
{
	struct hypr_paging paging = { .size = sizeof(paging) };
	struct tables tables = { .vmo = vmo, .mem_bytes = info->mem_bytes, .paging = &paging };
	struct hypr_translation t;
	uint64_t repeats;
	int ret;

	ret = hypr_vmo_translate(vmo, 0xffffffff81000000, &paging, &t);
	fuzz_check(ret != -EFAULT || (t.fault && strstr(hypr_error(), "GVA 0x")));
	if (ret != -EFAULT)
		fuzz_checked(ret);
	/* What is on the first page, as a table; not of a memory that takes long. */
	paging.flags = HYPR_PAGING_CR3;
	if (info->mem_bytes > TABLES_BYTES)
		return;
	ret = hypr_vmo_mappings(vmo, &paging, check_mapping, &tables, &repeats);
	fuzz_check(ret != 1 || tables.nr == STEPS_MAX);
	if (ret != 1)
		fuzz_checked(ret);
}

/* Mapped it reads as by read(), and a write there changes no file. */
static void try_map(struct hypr_vmo *vmo, const struct hypr_vmo_info *info,
		    const uint8_t *mem, size_t look, bool shrunk)
{
	uint8_t *map, *again;
	int ret;

	map = mmap(NULL, info->mem_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	fuzz_check(map != MAP_FAILED);
	ret = fuzz_checked(hypr_vmo_map(vmo, map));
	fuzz_check(!(ret == 0 && shrunk));
	if (!ret && mem) {
		fuzz_check(!memcmp(map, mem, look));
		memset(map, 0xa5, look);
		map[info->mem_bytes - 1] ^= 1;
		again = malloc(look);
		fuzz_check(again && !hypr_vmo_read(vmo, 0, again, look));
		fuzz_check(!memcmp(again, mem, look));
		free(again);
	}
	if (ret)	/* nothing of the file, and still reserved */
		fuzz_check(!mprotect(map, PAGE, PROT_READ) && !map[0]);
	munmap(map, info->mem_bytes);
}

static int count_pages(void *arg, uint64_t gpa, uint64_t pages, int kind)
{
	uint64_t *sum = arg;

	(void)gpa;
	fuzz_check(pages);
	sum[0] += pages;
	sum[1] += kind == HYPR_VMO_CHANGED || kind == HYPR_VMO_ZEROED;
	return 0;
}

static void try_diff(struct hypr_vmo *from, struct hypr_vmo *to, bool alike)
{
	uint64_t sum[2] = { 0 };
	struct hypr_vmo_info info;

	hypr_vmo_info(from, &info);
	if (fuzz_checked(hypr_vmo_diff(from, to, count_pages, sum)))
		return;
	fuzz_check(sum[0] == info.pages);
	fuzz_check(!alike || !sum[1]);
}

/* ---- one file of another --------------------------------------------------- */

/* A file that the library has just written. */
static struct hypr_vmo *reopen(const char *name)
{
	struct hypr_vmo *vmo;

	fuzz_check(!hypr_vmo_open(fuzz_path(name), &vmo));
	return vmo;
}

static void try_flatten(struct hypr_vmo *vmo, const uint8_t *mem, size_t look)
{
	struct hypr_vmo_verify_result result;
	struct hypr_vmo *flat;
	uint8_t *read;

	if (fuzz_checked(hypr_vmo_flatten(vmo, fuzz_path("flat.vmo"), HYPR_VMO_REPLACE, NULL)))
		return;
	flat = reopen("flat.vmo");
	fuzz_checked(hypr_vmo_verify(flat, &result));
	fuzz_check(!result.bad_pages);
	read = malloc(look);
	fuzz_check(read && !hypr_vmo_read(flat, 0, read, look));
	if (mem)
		fuzz_check(!memcmp(read, mem, look));
	free(read);
	hypr_vmo_close(flat);
}

static bool files_are_alike(const char *one, const char *other)
{
	static uint8_t a[FUZZ_FILE_MAX], b[FUZZ_FILE_MAX];
	FILE *file = fopen(one, "r");
	size_t len;

	fuzz_check(file);
	len = fread(a, 1, sizeof(a), file);
	fclose(file);
	file = fopen(other, "r");
	fuzz_check(file);
	fuzz_check(fread(b, 1, sizeof(b), file) == len);
	fclose(file);
	return !memcmp(a, b, len);
}

static void try_pack(struct hypr_vmo *vmo, const char *name)
{
	struct hypr_vmo *packed;
	uint64_t bytes;

	if (!fuzz_checked(hypr_vmo_unpack(vmo, fuzz_path("plain.vmo"), HYPR_VMO_REPLACE, &bytes))) {
		packed = reopen("plain.vmo");
		try_diff(vmo, packed, true);
		hypr_vmo_close(packed);
	}
	if (fuzz_checked(hypr_vmo_pack(vmo, fuzz_path("packed.vmo"), HYPR_VMO_REPLACE, 1, &bytes)))
		return;
	packed = reopen("packed.vmo");
	try_diff(vmo, packed, true);
	fuzz_check(!hypr_vmo_unpack(packed, fuzz_path("again.vmo"), HYPR_VMO_REPLACE, &bytes));
	hypr_vmo_close(packed);
	fuzz_check(files_are_alike(fuzz_path(name), fuzz_path("again.vmo")));
}

/* A child of it, with one page changed: all else is the parent's. */
static void try_child(struct hypr_vmo *vmo, const struct hypr_vmo_info *info)
{
	struct hypr_vmo_params params = {
		.size = sizeof(params), .flags = HYPR_VMO_REPLACE, .mem_bytes = info->mem_bytes,
		.parent = vmo,
	};
	uint8_t page[PAGE], read[PAGE];
	struct hypr_vmo_writer *writer;
	struct hypr_vmo *child;
	int ret;

	if (fuzz_checked(hypr_vmo_writer_create(fuzz_path("child.vmo"), &params, &writer)))
		return;
	memset(page, 0x3c, sizeof(page));
	ret = fuzz_checked(hypr_vmo_writer_pages(writer, info->mem_bytes - PAGE, page, 1,
					    HYPR_VMO_RUN_R));
	if (!ret)
		ret = fuzz_checked(hypr_vmo_writer_commit(writer, NULL));
	hypr_vmo_writer_destroy(writer);
	if (ret)
		return;
	child = reopen("child.vmo");
	fuzz_check(!hypr_vmo_read(child, info->mem_bytes - PAGE, read, PAGE));
	fuzz_check(!memcmp(read, page, PAGE));
	try_diff(vmo, child, false);
	hypr_vmo_close(child);
}

/* ---- all of it ------------------------------------------------------------- */

static void try_one(struct hypr_vmo *vmo, const char *name, bool shrunk)
{
	struct hypr_vmo_verify_result result;
	struct hypr_vmo_info info;
	uint8_t *mem, last;
	size_t look;

	hypr_vmo_info(vmo, &info);
	fuzz_check(info.pages == info.pages_stored + info.pages_zero + info.pages_parent);
	look = info.mem_bytes < LOOK_BYTES ? info.mem_bytes : LOOK_BYTES;
	fuzz_checked(hypr_vmo_check_signature(vmo, NULL));
	try_segments(vmo, &info);
	if (!shrunk)
		try_tables(vmo, &info);
	try_sections(vmo);
	try_state(vmo, &info);
	fuzz_checked(hypr_vmo_verify(vmo, &result));
	mem = malloc(look);
	fuzz_check(mem);
	if (fuzz_checked(hypr_vmo_read(vmo, 0, mem, look))) {
		fuzz_check(shrunk || info.packed || info.layers > 1);
		free(mem);
		mem = NULL;
	}
	fuzz_checked(hypr_vmo_read(vmo, info.mem_bytes - 1, &last, 1));
	try_map(vmo, &info, mem, look, shrunk);
	try_diff(vmo, vmo, true);
	if (!shrunk)
		try_flatten(vmo, mem, look);
	fuzz_checked(hypr_vmo_export(vmo, fuzz_path("core.vmo"), HYPR_VMO_REPLACE, NULL));
	if (!shrunk) {
		try_pack(vmo, name);
		try_child(vmo, &info);
	}
	free(mem);
}

void fuzz_try(const char *name, const char *other, uint8_t mode)
{
	struct hypr_vmo *vmo = NULL, *second = NULL;
	bool shrunk = false;
	struct stat st;

	if (fuzz_checked(hypr_vmo_open(fuzz_path(name), &vmo))) {
		fuzz_check(!vmo);
		return;
	}
	if (mode & FUZZ_SHRINK && !stat(fuzz_path(name), &st)) {
		shrunk = true;
		fuzz_check(!truncate(fuzz_path(name), st.st_size / 2));
	}
	try_one(vmo, name, shrunk);
	if (other && !fuzz_checked(hypr_vmo_open(fuzz_path(other), &second))) {
		try_diff(vmo, second, false);
		try_diff(second, vmo, false);
		hypr_vmo_close(second);
	}
	hypr_vmo_close(vmo);
}
