// SPDX-License-Identifier: GPL-2.0-only
/* The page tables of a guest in a VMO: translated, listed, and exported for debuggers. */
#include "vmo_kit.h"

#include <elf.h>
#include <linux/kvm.h>

#include "hypr/abi/vmo_state.h"

#define MEM_BYTES	(8u << 20)
#define CR0		0x80010001u	/* PG, WP, PE */
#define CR4_PAE		0x20u
#define EFER		0xd00u		/* NXE, LMA, LME */
#define P		0x1ull
#define W		0x2ull
#define U		0x4ull
#define PS		0x80ull
#define NX		(1ull << 63)

/* Tables, by address. */
enum {
	ROOT = 0x1000, LOW3 = 0x2000, LOW2 = 0x3000, LOW1 = 0x4000, HIGH3 = 0x5000,
	HIGH2 = 0x6000, OLD2 = 0x7000, OLD1 = 0x8000,
};

static void put(uint8_t *mem, uint64_t table, unsigned int index, uint64_t entry)
{
	memcpy(mem + table + 8 * index, &entry, sizeof(entry));
}

/* 4-level tables with a page of each size; a word that names its page begins each page. */
static uint8_t *make_memory(void)
{
	uint8_t *mem = calloc(1, MEM_BYTES);
	uint64_t gpa;

	assert_non_null(mem);
	for (gpa = 0x10000; gpa < MEM_BYTES; gpa += PAGE)
		put(mem, gpa, 0, 0x5a5a000000000000 | gpa);
	put(mem, ROOT, 0, LOW3 | P | W | U);
	put(mem, LOW3, 0, LOW2 | P | W | U);
	put(mem, LOW3, 1, 0 | P | W | U | PS | NX);		/* 1 GiB */
	put(mem, LOW3, 2, LOW2 | P | PS | 1ull << 13);		/* reserved */
	put(mem, LOW2, 0, LOW1 | P | W | U);
	put(mem, LOW2, 1, 0x40000000 | P | W | U);		/* beyond memory */
	put(mem, LOW2, 2, 0x400000 | P | U | PS);		/* 2 MiB */
	put(mem, LOW1, 1, 0x10000 | P | W | U | NX);
	put(mem, LOW1, 2, 0x11000 | P | W | U | NX);
	put(mem, LOW1, 3, 0x12000 | P);
	put(mem, LOW1, 5, 0xfee00000 | P | W | NX);		/* a device */
	put(mem, ROOT, 511, HIGH3 | P | W);
	put(mem, HIGH3, 510, HIGH2 | P | W);
	put(mem, HIGH2, 8, 0x200000 | P | W | PS);
	/* 32-bit tables: 4 MiB and 4 KiB. */
	memcpy(mem + OLD2, (uint32_t[]){ OLD1 | P | W, 0x400000 | P | W | U | PS }, 8);
	memcpy(mem + OLD1 + 4, (uint32_t[]){ 0x13000 | P | W }, 4);
	return mem;
}

static struct kvm_sregs long_mode(void)
{
	return (struct kvm_sregs){ .cr0 = CR0, .cr3 = ROOT | 7, .cr4 = CR4_PAE, .efer = EFER };
}

/* t.vmo: vCPU 0 has @sregs, vCPU 1 paging off, vCPU 2 no registers. */
static void write_file(const uint8_t *mem, const struct kvm_sregs *sregs,
		       const struct kvm_cpuid_entry2 *cpuid, size_t nr)
{
	struct { struct kvm_regs regs; struct kvm_sregs sregs; } vcpu = { .sregs = *sregs };
	struct hypr_vmo_params params = kit_params(NULL);
	struct hypr_vmo_writer *w;

	params.mem_bytes = MEM_BYTES;
	params.nr_vcpus = 3;
	vcpu.regs.rip = 0xffffffff81000000;
	assert_int_equal(hypr_vmo_writer_create(kit_path("t.vmo"), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 0, mem, MEM_BYTES / PAGE, RWX), 0);
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_VCPU, 0, 1, 0, &vcpu,
						 sizeof(vcpu)), 0);
	memset(&vcpu.sregs, 0, sizeof(vcpu.sregs));
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_VCPU, 1, 1, 0, &vcpu,
						 sizeof(vcpu)), 0);
	if (nr)
		assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_CPU, 0, 1, 0, cpuid,
							 nr * sizeof(*cpuid)), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
}

static struct hypr_vmo *start(const uint8_t *mem)
{
	struct kvm_sregs sregs = long_mode();

	write_file(mem, &sregs, NULL, 0);
	return kit_open("t.vmo");
}

/* ---- one address ----------------------------------------------------------- */

#define RWXU	(HYPR_RIGHT_READ | HYPR_RIGHT_WRITE | HYPR_RIGHT_EXECUTE | HYPR_RIGHT_USER)

static const struct known {
	uint64_t gva, gpa, page_bytes;
	uint32_t rights, fault;
	uint8_t level;
	bool in_memory;
} known[] = {
	{ 0x1000, 0x10000, 1u << 12, RWXU & ~HYPR_RIGHT_EXECUTE, HYPR_FAULT_NONE, 1, true },
	{ 0x2fff, 0x11fff, 1u << 12, RWXU & ~HYPR_RIGHT_EXECUTE, HYPR_FAULT_NONE, 1, true },
	{ 0x3008, 0x12008, 1u << 12, HYPR_RIGHT_READ | HYPR_RIGHT_EXECUTE, HYPR_FAULT_NONE, 1,
	  true },
	{ 0x5010, 0xfee00010, 1u << 12, HYPR_RIGHT_READ | HYPR_RIGHT_WRITE, HYPR_FAULT_NONE, 1,
	  false },
	{ 0x423456, 0x423456, 1u << 21, RWXU & ~HYPR_RIGHT_WRITE, HYPR_FAULT_NONE, 2, true },
	{ 0x40412345, 0x412345, 1u << 30, RWXU & ~HYPR_RIGHT_EXECUTE, HYPR_FAULT_NONE, 3,
	  true },
	{ 0xffffffff81000123, 0x200123, 1u << 21,
	  HYPR_RIGHT_READ | HYPR_RIGHT_WRITE | HYPR_RIGHT_EXECUTE, HYPR_FAULT_NONE, 2, true },
	{ .gva = 0, .fault = HYPR_FAULT_ABSENT, .level = 1 },
	{ .gva = 0x4000, .fault = HYPR_FAULT_ABSENT, .level = 1 },
	{ .gva = 0x600000, .fault = HYPR_FAULT_ABSENT, .level = 2 },
	{ .gva = 0xc0000000, .fault = HYPR_FAULT_ABSENT, .level = 3 },
	{ .gva = 0x8000000000, .fault = HYPR_FAULT_ABSENT, .level = 4 },
	{ .gva = 0x80000000, .fault = HYPR_FAULT_RESERVED, .level = 3 },
	{ .gva = 0x200000, .fault = HYPR_FAULT_BEYOND, .level = 1 },
	{ .gva = 0x800000000000, .fault = HYPR_FAULT_CANONICAL, .level = 4 },
};

static void assert_known(struct hypr_vmo *vmo, const struct hypr_paging *paging,
			 const struct known *want)
{
	struct hypr_translation have;
	int ret = hypr_vmo_translate(vmo, want->gva, paging, &have);
	char gva[24];

	if (ret != (want->fault ? -EFAULT : 0) || have.fault != want->fault ||
	    have.level != want->level || have.gpa != want->gpa || have.rights != want->rights ||
	    have.page_bytes != want->page_bytes || have.in_memory != want->in_memory)
		fail_msg("0x%llx: %d, %s at level %u: GPA 0x%llx, rights %x",
			 (unsigned long long)want->gva, ret, hypr_fault_name((int)have.fault),
			 have.level, (unsigned long long)have.gpa, have.rights);
	assert_int_equal(have.gva, want->gva);
	if (!ret)
		return;
	snprintf(gva, sizeof(gva), "GVA 0x%llx ", (unsigned long long)want->gva);
	assert_non_null(strstr(hypr_error(), gva));
}

static void test_each_size_and_each_fault(void **ctx)
{
	uint8_t *mem = make_memory();
	struct hypr_vmo *vmo = start(mem);
	struct hypr_translation have;
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(known); i++)
		assert_known(vmo, NULL, &known[i]);
	assert_int_equal(hypr_vmo_translate(vmo, 0x80000000, NULL, &have), -EFAULT);
	assert_int_equal(have.levels, 4);
	assert_int_equal(have.entry_gpa, LOW3 + 16);
	assert_int_equal(have.entry, LOW2 | P | PS | 1ull << 13);
	assert_int_equal(have.cr3, ROOT | 7);
	assert_non_null(strstr(hypr_error(), "level 3"));
	assert_non_null(strstr(hypr_error(), "reserved bit"));
	hypr_vmo_close(vmo);
	free(mem);
}

/* Width of addresses and 1 GiB pages are the guest's, not this machine's. */
static void test_reserved_bits_are_those_of_the_guest(void **ctx)
{
	const struct kvm_cpuid_entry2 cpuid[] = {
		{ .function = 0x80000001 },
		{ .function = 0x80000008, .eax = 36 },
	};
	static const struct known small[] = {
		{ .gva = 0x40000000, .fault = HYPR_FAULT_RESERVED, .level = 3 },
		{ .gva = 0x6000, .fault = HYPR_FAULT_RESERVED, .level = 1 },
		{ 0x7000, 0x800000000, 1u << 12, HYPR_RIGHT_READ | HYPR_RIGHT_EXECUTE,
		  HYPR_FAULT_NONE, 1, false },
	};
	struct kvm_sregs sregs = long_mode();
	uint8_t *mem = make_memory();
	struct hypr_vmo *vmo;
	size_t i;

	(void)ctx;
	put(mem, LOW1, 6, 1ull << 36 | P);
	put(mem, LOW1, 7, 1ull << 35 | P);
	write_file(mem, &sregs, cpuid, ARRAY_SIZE(cpuid));
	vmo = kit_open("t.vmo");
	for (i = 0; i < ARRAY_SIZE(small); i++)
		assert_known(vmo, NULL, &small[i]);
	hypr_vmo_close(vmo);
	free(mem);
}

static void test_other_tables_and_none(void **ctx)
{
	static const struct known flat = { 0x40000000, 0x40000000, 0, RWXU, HYPR_FAULT_NONE, 0,
					   false };
	static const struct known old[] = {
		{ 0x400123, 0x400123, 1u << 22, RWXU, HYPR_FAULT_NONE, 2, true },
		{ 0x1004, 0x13004, 1u << 12, RWXU & ~HYPR_RIGHT_USER, HYPR_FAULT_NONE, 1, true },
		{ .gva = 0x100000000, .fault = HYPR_FAULT_CANONICAL, .level = 2 },
	};
	struct hypr_paging paging = { .size = sizeof(paging), .vcpu = 1 };
	struct kvm_sregs sregs = { .cr0 = CR0, .cr3 = OLD2, .cr4 = 0x10 };
	struct hypr_translation have;
	uint8_t *mem = make_memory();
	struct hypr_vmo *vmo;
	size_t i;

	(void)ctx;
	write_file(mem, &sregs, NULL, 0);
	vmo = kit_open("t.vmo");
	for (i = 0; i < ARRAY_SIZE(old); i++)
		assert_known(vmo, NULL, &old[i]);
	assert_known(vmo, &paging, &flat);
	/* A CR3 does without a vCPU's paging, and without a vCPU. */
	paging.flags = HYPR_PAGING_CR3;
	paging.cr3 = ROOT;
	for (paging.vcpu = 1; paging.vcpu < 3; paging.vcpu++)
		for (i = 0; i < ARRAY_SIZE(known); i++)
			assert_known(vmo, &paging, &known[i]);
	paging.cr3 = MEM_BYTES;
	assert_known(vmo, &paging, &(struct known){ .gva = 0x1000, .fault = HYPR_FAULT_BEYOND,
						    .level = 4 });
	paging.flags = 0;
	paging.vcpu = 2;
	assert_int_equal(hypr_vmo_translate(vmo, 0, &paging, &have), -ENODATA);
	paging.size--;
	assert_int_equal(hypr_vmo_translate(vmo, 0, &paging, &have), -EINVAL);
	paging.size++;
	paging.flags = 2;
	assert_int_equal(hypr_vmo_translate(vmo, 0, &paging, &have), -EINVAL);
	hypr_vmo_close(vmo);
	free(mem);
}

/* ---- all of them ----------------------------------------------------------- */

struct list {
	struct hypr_vmo_mapping mapping[4096];
	unsigned int nr;
};

static int note(void *arg, const struct hypr_vmo_mapping *mapping)
{
	struct list *list = arg;

	if (list->nr == ARRAY_SIZE(list->mapping))
		return -E2BIG;
	list->mapping[list->nr++] = *mapping;
	return 0;
}

/* What make_memory() maps and is memory: a device's page and what is behind 8 MiB are not. */
static const struct hypr_vmo_mapping all[] = {
	{ 0x1000, 0x10000, 0x2000, RWXU & ~HYPR_RIGHT_EXECUTE, 0 },
	{ 0x3000, 0x12000, 0x1000, HYPR_RIGHT_READ | HYPR_RIGHT_EXECUTE, 0 },
	{ 0x400000, 0x400000, 0x200000, RWXU & ~HYPR_RIGHT_WRITE, 0 },
	{ 0x40000000, 0, MEM_BYTES, RWXU & ~HYPR_RIGHT_EXECUTE, 0 },
	{ 0xffffffff81000000, 0x200000, 0x200000,
	  HYPR_RIGHT_READ | HYPR_RIGHT_WRITE | HYPR_RIGHT_EXECUTE, 0 },
};

static void test_mappings_are_merged(void **ctx)
{
	struct list *list = calloc(1, sizeof(*list));
	uint8_t *mem = make_memory();
	struct hypr_vmo *vmo = start(mem);
	uint64_t repeats;

	(void)ctx;
	assert_int_equal(hypr_vmo_mappings(vmo, NULL, note, list, &repeats), 0);
	assert_int_equal(list->nr, ARRAY_SIZE(all));
	assert_memory_equal(list->mapping, all, sizeof(all));
	assert_int_equal(repeats, 0);
	hypr_vmo_close(vmo);
	free(mem);
	free(list);
}

/* Each entry of each table leads to the same table, which is its own child. */
static void test_circles_have_an_end(void **ctx)
{
	struct list *list = calloc(1, sizeof(*list));
	uint8_t *mem = make_memory();
	struct hypr_vmo *vmo;
	uint64_t repeats;
	unsigned int i;

	(void)ctx;
	for (i = 0; i < 512; i++)
		put(mem, ROOT, i, ROOT | P | W);
	vmo = start(mem);
	assert_int_equal(hypr_vmo_mappings(vmo, NULL, note, list, &repeats), 0);
	/* It is entered once for each level; its 512 entries are pages once. */
	assert_int_equal(list->nr, 512);
	assert_int_equal(list->mapping[511].gpa, ROOT);
	assert_int_equal(list->mapping[511].gva, 511 * PAGE);
	assert_int_equal(repeats, 3 * 511);
	hypr_vmo_close(vmo);
	free(mem);
	free(list);
}

/* Random words as tables: nothing is found that hypr_vmo_translate() does not find. */
static void test_random_tables(void **ctx)
{
	struct list *list = calloc(1, sizeof(*list));
	struct hypr_paging paging = { .size = sizeof(paging), .flags = HYPR_PAGING_CR3 };
	uint64_t state = kit_seed(), word;
	struct hypr_translation have;
	uint8_t *mem = make_memory();
	unsigned int round, i, found = 0;
	struct hypr_vmo *vmo;
	int ret;

	(void)ctx;
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 16 * 512; i++) {
			word = kit_random(&state);
			/* Most point below 64 KiB, some elsewhere, some anywhere. */
			word = word % 8 ? 0 : word % 64 ? (word >> 20 & 0xf0e7) | P : word;
			put(mem, 0, i, word);
		}
		vmo = start(mem);
		paging.cr3 = round % 16 * PAGE;
		list->nr = 0;
		ret = hypr_vmo_mappings(vmo, &paging, note, list, NULL);
		assert_true(!ret || ret == -E2BIG);
		for (i = 0; i < list->nr; i++) {
			assert_int_equal(hypr_vmo_translate(vmo, list->mapping[i].gva, &paging,
							    &have), 0);
			assert_int_equal(have.gpa, list->mapping[i].gpa);
			assert_int_equal(have.rights, list->mapping[i].rights);
		}
		found += list->nr;
		hypr_vmo_close(vmo);
		unlink(kit_path("t.vmo"));
	}
	assert_true(found > 1000);
	free(mem);
	free(list);
}

/* ---- the core -------------------------------------------------------------- */

static void test_export_by_virtual_addresses(void **ctx)
{
	struct hypr_vmo_exported exported;
	uint8_t *mem = make_memory();
	struct hypr_vmo *vmo = start(mem);
	const Elf64_Phdr *ph;
	const Elf64_Ehdr *eh;
	struct kit_file core;
	size_t i;

	(void)ctx;
	assert_int_equal(hypr_vmo_export_virtual(vmo, kit_path("core.vmo"), 0, NULL, &exported),
			 0);
	hypr_vmo_close(vmo);
	assert_int_equal(exported.vcpus, 2);
	assert_int_equal(exported.loads, ARRAY_SIZE(all));
	core = kit_load("core.vmo");
	eh = (const void *)core.bytes;
	assert_memory_equal(eh->e_ident, ELFMAG, SELFMAG);
	assert_int_equal(eh->e_phnum, 1 + ARRAY_SIZE(all));
	ph = (const void *)(core.bytes + eh->e_phoff);
	assert_int_equal(ph[0].p_type, PT_NOTE);
	for (i = 0; i < ARRAY_SIZE(all); i++) {
		ph++;
		assert_int_equal(ph->p_type, PT_LOAD);
		assert_int_equal(ph->p_vaddr, all[i].gva);
		assert_int_equal(ph->p_paddr, all[i].gpa);
		assert_int_equal(ph->p_filesz, all[i].bytes);
		assert_int_equal(ph->p_memsz, all[i].bytes);
		assert_int_equal(!!(ph->p_flags & PF_W), !!(all[i].rights & HYPR_RIGHT_WRITE));
		assert_int_equal(!!(ph->p_flags & PF_X), !!(all[i].rights & HYPR_RIGHT_EXECUTE));
		assert_true(ph->p_offset + ph->p_filesz <= core.len);
		assert_memory_equal(core.bytes + ph->p_offset, mem + ph->p_paddr, ph->p_filesz);
	}
	/* Each page is in it once. */
	assert_true(core.len < MEM_BYTES + 2 * PAGE);
	kit_unload(&core);
	free(mem);
}

static void test_no_core_without_mappings(void **ctx)
{
	struct hypr_paging paging = { .size = sizeof(paging), .vcpu = 1 };
	uint8_t *mem = make_memory();
	struct hypr_vmo *vmo = start(mem);

	(void)ctx;
	assert_int_equal(hypr_vmo_export_virtual(vmo, kit_path("core"), 0, &paging, NULL),
			 -EINVAL);
	assert_non_null(strstr(hypr_error(), "paging off"));
	paging.flags = HYPR_PAGING_CR3;
	paging.cr3 = 0x9000;
	assert_int_equal(hypr_vmo_export_virtual(vmo, kit_path("core"), 0, &paging, NULL),
			 -EFAULT);
	paging.cr3 = 1ull << 40;
	assert_int_equal(hypr_vmo_export_virtual(vmo, kit_path("core"), 0, &paging, NULL),
			 -EFAULT);
	assert_int_equal(kit_count(), 1);
	hypr_vmo_close(vmo);
	free(mem);
}

/* 65534 pages that follow one another backwards: one more than a core can have. */
static void test_too_many_stretches(void **ctx)
{
	uint64_t tables = 0x400000, gva, page;
	uint8_t *mem = make_memory();
	struct hypr_vmo *vmo;

	(void)ctx;
	memset(mem + LOW3, 0, 2 * PAGE);
	put(mem, ROOT, 511, 0);
	put(mem, LOW3, 0, LOW2 | P | W);
	for (gva = 0; gva < 65534; gva++) {
		put(mem, LOW2, (unsigned int)(gva / 512), (tables + gva / 512 * PAGE) | P | W);
		page = 1023 - gva % 1024;
		put(mem, tables + gva / 512 * PAGE, gva % 512, page * PAGE | P | W);
	}
	vmo = start(mem);
	assert_int_equal(hypr_vmo_export_virtual(vmo, kit_path("core"), 0, NULL, NULL), -E2BIG);
	hypr_vmo_close(vmo);
	unlink(kit_path("t.vmo"));
	gva--;
	put(mem, tables + gva / 512 * PAGE, gva % 512, 0);
	vmo = start(mem);
	assert_int_equal(hypr_vmo_export_virtual(vmo, kit_path("core"), 0, NULL, NULL), 0);
	hypr_vmo_close(vmo);
	free(mem);
}

static void test_a_debugger_reads_virtual_addresses(void **ctx)
{
	uint8_t *mem = make_memory();
	struct hypr_vmo *vmo = start(mem);
	char command[400], line[200];
	unsigned int found = 0;
	FILE *from;

	(void)ctx;
	if (system("command -v gdb >/dev/null")) {
		print_message("# skipped: gdb is not installed\n");
		hypr_vmo_close(vmo);
		free(mem);
		skip();
	}
	assert_int_equal(hypr_vmo_export_virtual(vmo, kit_path("core"), 0, NULL, NULL), 0);
	hypr_vmo_close(vmo);
	snprintf(command, sizeof(command), "LD_PRELOAD= gdb -nx -batch -ex 'x/gx 0xffffffff81001000' "
		 "-ex 'x/gx 0x2000' -ex 'x/gx 0x40412000' -ex 'x/gx 0x4000' -c %s 2>&1",
		 kit_path("core"));
	from = popen(command, "r");
	assert_non_null(from);
	while (fgets(line, sizeof(line), from)) {
		found |= strstr(line, "0xffffffff81001000:\t0x5a5a000000201000") ? 1 : 0;
		found |= strstr(line, "0x2000:\t0x5a5a000000011000") ? 2 : 0;
		found |= strstr(line, "0x40412000:\t0x5a5a000000412000") ? 4 : 0;
		found |= strstr(line, "Cannot access memory at address 0x4000") ? 8 : 0;
	}
	pclose(from);
	assert_int_equal(found, 15);
	free(mem);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_each_size_and_each_fault),
		T(test_reserved_bits_are_those_of_the_guest),
		T(test_other_tables_and_none),
		T(test_mappings_are_merged),
		T(test_circles_have_an_end),
		T(test_random_tables),
		T(test_export_by_virtual_addresses),
		T(test_no_core_without_mappings),
		T(test_too_many_stretches),
		T(test_a_debugger_reads_virtual_addresses),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
