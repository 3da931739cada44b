// SPDX-License-Identifier: GPL-2.0-only
/*
 * Function files and the memory that is made of them: hostile files are refused before
 * anything is mapped, and page tables give each window its rights and no more.
 */
#include "unit.h"

#include <elf.h>
#include <stdlib.h>
#include <unistd.h>

#include "hypr/abi/func.h"
#include "hypr/func.h"
#include "hypr/hypr.h"
#include "lib/func/elf.h"
#include "lib/func/image.h"
#include "lib/func/map.h"
#include "lib/func/outcome.h"

#define NX	(1ull << 63)
#define CODE	0x200000
#define DATA	0x201000

/* A file with code and data, whole until a test damages it. */
struct file {
	Elf64_Ehdr head;
	Elf64_Phdr part[20];
	uint8_t code[64];
	uint8_t data[64];
};

static struct file whole(void)
{
	struct file file = {
		.head = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_entry = CODE + 8,
			.e_phoff = offsetof(struct file, part),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 2,
		},
		.part = {
			{ PT_LOAD, PF_R | PF_X, offsetof(struct file, code), CODE, CODE, 64, 64, 1 },
			{ PT_LOAD, PF_R | PF_W, offsetof(struct file, data), DATA, DATA, 64, 8192, 1 },
		},
	};

	memset(file.code, 0xc3, sizeof(file.code));
	memset(file.data, 0xda, sizeof(file.data));
	return file;
}

/* From memory of just its size: a read beyond it is a finding of ASan. */
static int parse(const struct file *file, size_t bytes, struct hypr_func_elf *elf)
{
	uint8_t *copy = malloc(bytes ? bytes : 1);
	int ret;

	assert_non_null(copy);
	memcpy(copy, file, bytes);
	ret = hypr_func_elf_parse(copy, bytes, "f", elf);
	free(copy);
	return ret;
}

static void test_whole_file_is_taken(void **ctx)
{
	struct file file = whole();
	struct hypr_func_elf elf;

	(void)ctx;
	assert_int_equal(parse(&file, sizeof(file), &elf), 0);
	assert_int_equal(elf.nr_segments, 2);
	assert_int_equal(elf.entry, CODE + 8);
	assert_int_equal(elf.end, DATA + 8192);
	assert_true(elf.segment[0].execute && !elf.segment[0].write);
	assert_true(elf.segment[1].write && !elf.segment[1].execute);
}

static void test_every_truncation_is_refused(void **ctx)
{
	struct file file = whole();
	struct hypr_func_elf elf;
	size_t bytes;

	(void)ctx;
	for (bytes = 0; bytes < sizeof(file); bytes++)
		assert_int_equal(parse(&file, bytes, &elf), -ENOEXEC);
}

/* What a field becomes, and words of why the file is refused. */
static const struct damage {
	size_t offset;
	unsigned int bytes;
	uint64_t value;
	const char *why;
} damages[] = {
#define HEAD(field)	offsetof(struct file, head.field), sizeof(((Elf64_Ehdr *)0)->field)
#define PART(i, field)	offsetof(struct file, part[i].field), sizeof(((Elf64_Phdr *)0)->field)
	{ HEAD(e_ident[1]), 'X', "no ELF" },
	{ HEAD(e_ident[EI_CLASS]), ELFCLASS32, "not for x86-64" },
	{ HEAD(e_ident[EI_DATA]), ELFDATA2MSB, "not for x86-64" },
	{ HEAD(e_machine), EM_AARCH64, "not for x86-64" },
	{ HEAD(e_type), ET_DYN, "no fixed address" },
	{ HEAD(e_type), ET_REL, "no fixed address" },
	{ HEAD(e_phentsize), 55, "program headers" },
	{ HEAD(e_phnum), 0xffff, "program headers" },
	{ HEAD(e_phnum), 0, "in no code" },
	{ HEAD(e_phoff), UINT64_MAX, "program headers" },
	{ HEAD(e_phoff), UINT64_MAX - 55, "program headers" },
	{ HEAD(e_phoff), sizeof(struct file), "program headers" },
	{ HEAD(e_entry), 0, "in no code" },
	{ HEAD(e_entry), CODE + 64, "in no code" },
	{ HEAD(e_entry), DATA, "in no code" },
	{ PART(0, p_vaddr), 0, "not within" },
	{ PART(0, p_vaddr), HYPR_FUNC_IMAGE_START - 1, "not within" },
	{ PART(1, p_vaddr), HYPR_FUNC_IMAGE_END, "not within" },
	{ PART(1, p_vaddr), HYPR_FUNC_IMAGE_END - 4096, "not within" },
	{ PART(1, p_vaddr), UINT64_MAX, "not within" },
	{ PART(1, p_memsz), UINT64_MAX, "not within" },
	{ PART(1, p_memsz), UINT64_MAX - DATA, "not within" },
	{ PART(1, p_memsz), 63, "not in the file" },
	{ PART(1, p_filesz), 8193, "not in the file" },
	{ PART(1, p_filesz), 8192, "not in the file" },
	{ PART(1, p_offset), UINT64_MAX, "not in the file" },
	{ PART(1, p_offset), UINT64_MAX - 63, "not in the file" },
	{ PART(1, p_offset), offsetof(struct file, data) + 1, "not in the file" },
	{ PART(1, p_vaddr), CODE + 64, "the last page of another" },
	{ PART(1, p_vaddr), CODE, "the last page of another" },
	{ PART(0, p_vaddr), DATA + 8192, "the last page of another" },
	{ PART(0, p_memsz), 4097, "the last page of another" },
	{ PART(1, p_flags), PF_W | PF_X, "written and executed" },
	{ PART(1, p_type), PT_INTERP, "dynamically" },
	{ PART(1, p_type), PT_DYNAMIC, "dynamically" },
	{ PART(1, p_type), PT_TLS, "thread-local" },
};

static void test_damaged_file_is_refused(void **ctx)
{
	struct hypr_func_elf elf;
	struct file file;
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const struct damage *damage = &damages[i];

		file = whole();
		memcpy((uint8_t *)&file + damage->offset, &damage->value, damage->bytes);
		if (parse(&file, sizeof(file), &elf) != -ENOEXEC ||
		    !strstr(hypr_error(), damage->why))
			fail_msg("damage %zu: '%s', not '%s'", i, hypr_error(), damage->why);
	}
}

static void test_too_many_segments_are_refused(void **ctx)
{
	struct file file = whole();
	struct hypr_func_elf elf;
	unsigned int i;

	(void)ctx;
	for (i = 1; i < 20; i++) {
		file.part[i] = file.part[1];
		file.part[i].p_memsz = 64;
		file.part[i].p_vaddr = CODE + i * 4096;
	}
	file.head.e_phnum = FUNC_SEGMENTS_MAX;
	assert_int_equal(parse(&file, sizeof(file), &elf), 0);
	file.head.e_phnum = FUNC_SEGMENTS_MAX + 1;
	assert_int_equal(parse(&file, sizeof(file), &elf), -ENOEXEC);
}

/* Whatever is accepted is within the file and the image, and its windows do not overlap. */
static void test_random_damage_is_refused_or_harmless(void **ctx)
{
	const char *given = getenv("HYPR_SEED");
	unsigned int seed = given ? (unsigned int)strtoul(given, NULL, 0) : 0x48595052;
	unsigned int round, i, accepted = 0;

	(void)ctx;
	print_message("# seed 0x%x\n", seed);
	srand(seed);
	for (round = 0; round < 20000; round++) {
		struct file file = whole();
		struct hypr_func_elf elf;
		uint64_t last = HYPR_FUNC_IMAGE_START;

		for (i = 0; i < 1 + (unsigned int)rand() % 3; i++)
			((uint8_t *)&file)[(size_t)rand() % offsetof(struct file, part[2])] ^=
				(uint8_t)(1 << rand() % 8);
		if (hypr_func_elf_parse((uint8_t *)&file, sizeof(file), "f", &elf))
			continue;
		accepted++;
		for (i = 0; i < elf.nr_segments; i++) {
			const struct hypr_func_segment *segment = &elf.segment[i];

			assert_true(segment->start >= last);
			assert_true(segment->file_bytes <= segment->bytes);
			assert_true(segment->data >= (uint8_t *)&file &&
				    segment->data + segment->file_bytes <= (uint8_t *)(&file + 1));
			last = segment->start + segment->bytes;
		}
		assert_true(last <= HYPR_FUNC_IMAGE_END);
	}
	assert_true(accepted > 0 && accepted < round);
}

/* ---- memory -------------------------------------------------------------- */

static uint64_t pte(const uint8_t *mem, uint64_t address)
{
	uint64_t entry;

	memcpy(&entry, mem + FUNC_PT + address / 4096 * 8, sizeof(entry));
	return entry & ~(uint64_t)(PTE_ACCESSED | PTE_DIRTY);
}

static void check_window(const uint8_t *mem, struct hypr_func_window window, uint64_t rights)
{
	uint64_t at;

	for (at = window.start; at < window.start + window.bytes; at += 4096)
		assert_int_equal(pte(mem, at), at | rights | PTE_PRESENT);
	assert_int_equal(pte(mem, window.start + window.bytes), 0);
}

static void test_each_window_has_its_rights(void **ctx)
{
	const uint64_t data = PTE_USER | PTE_WRITE | NX;
	struct file file = whole();
	struct hypr_func_layout layout;
	struct hypr_func_elf elf;
	const struct hypr_func_range *range;
	uint64_t at, ranges, listed = 0, writable = 0;
	uint8_t *mem;

	(void)ctx;
	assert_int_equal(hypr_func_elf_parse((uint8_t *)&file, sizeof(file), "f", &elf), 0);
	assert_int_equal(hypr_func_layout_plan(&elf, 5000, 3 << 20, 65536, 1, &layout), 0);
	mem = calloc(1, layout.mem_bytes);
	assert_non_null(mem);
	hypr_func_image_build(mem, &elf, &layout);

	assert_int_equal(pte(mem, 0), 0);
	for (at = 4096; at < FUNC_USER; at += 4096)
		assert_false(pte(mem, at) & PTE_USER);
	assert_int_equal(pte(mem, CODE), CODE | PTE_USER | PTE_PRESENT);
	check_window(mem, (struct hypr_func_window){ DATA, 8192 }, data);
	assert_int_equal(pte(mem, layout.info - 4096), 0);
	assert_int_equal(pte(mem, layout.info), layout.info | PTE_USER | PTE_PRESENT | NX);
	check_window(mem, layout.in, PTE_USER | NX);
	check_window(mem, layout.heap, data);
	assert_int_equal(pte(mem, layout.stack.start - 4096), 0);
	check_window(mem, layout.stack, data);
	check_window(mem, layout.out, data);

	/* The monitor looks at each page that the function can write. */
	for (at = FUNC_USER; at < layout.mem_bytes; at += 4096)
		writable += !!(pte(mem, at) & PTE_WRITE);
	range = (const struct hypr_func_range *)(mem + FUNC_RANGES);
	ranges = ((struct hypr_func_conf *)(mem + FUNC_CONF))->nr_ranges;
	for (at = 0; at < ranges; at++) {
		assert_int_equal(range[at].pte, FUNC_PT + range[at].page * 8);
		assert_int_equal(range[at].pde, FUNC_PD + range[at].page / 512 * 8);
		assert_int_equal(range[at].page / 512, (range[at].page + range[at].nr - 1) / 512);
		listed += range[at].nr;
	}
	assert_int_equal(listed, writable);
	assert_memory_equal(mem + CODE, file.code, 64);
	assert_memory_equal(mem + DATA, file.data, 64);
	assert_int_equal(mem[DATA + 64], 0);
	free(mem);
}

static void test_sizes_that_do_not_fit_are_refused(void **ctx)
{
	static const uint64_t bad[][4] = {
		{ 0, 1, 1, 1 }, { 1, 0, 1, 1 }, { 1, 1, 0, 1 }, { 1, 1, 1, 0 },
		{ UINT64_MAX, 1, 1, 1 }, { 1, UINT64_MAX - 4095, 1, 1 }, { 1, 1, UINT64_MAX, 1 },
		{ 1, 1, 1, (uint64_t)FUNC_MEM_MAX + 1 }, { 1, FUNC_MEM_MAX, 1, 1 },
		{ FUNC_MEM_MAX / 2, FUNC_MEM_MAX / 2, FUNC_MEM_MAX / 2, FUNC_MEM_MAX / 2 },
	};
	struct hypr_func_elf elf = { .end = DATA };
	struct hypr_func_layout layout;
	size_t i;

	(void)ctx;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(hypr_func_layout_plan(&elf, bad[i][0], bad[i][1], bad[i][2],
						       bad[i][3], &layout), -EINVAL);
	assert_int_equal(hypr_func_layout_plan(&elf, 1, 1, 1, 1, &layout), 0);
	assert_true(layout.mem_bytes <= FUNC_MEM_MAX);
}

/* ---- what a report means ------------------------------------------------- */

static void test_hostile_reports_are_within_bounds(void **ctx)
{
	uint8_t mem[3 * 4096];
	const struct hypr_func_layout layout = {
		.stack = { 0x400000, 4096 }, .out = { 4096, 4096 }, .mem_bytes = sizeof(mem),
	};
	struct file file = whole();
	const struct hypr_func_outcome of = {
		.layout = &layout, .file = (uint8_t *)&file, .file_bytes = sizeof(file), .mem = mem,
	};
	struct hypr_func_report report = { .vector = FUNC_TRAP, .cs = FUNC_USER_CS };
	struct hypr_call_result result = { 0 };

	(void)ctx;
	memset(mem, '\n', sizeof(mem));
	report.rax = HYPR_FUNC_DONE;
	report.rdi = 4097;
	assert_int_equal(hypr_func_outcome(&of, &report, &result), -ENOBUFS);
	assert_int_equal(result.cause, HYPR_CALL_OUTPUT);
	report.rax = HYPR_FUNC_ABORT;
	report.rdi = UINT64_MAX;
	assert_int_equal(hypr_func_outcome(&of, &report, &result), -ECANCELED);
	assert_int_equal(strlen(result.reason), sizeof(result.reason) - 1);
	assert_int_equal(result.reason[0], '?');
	/* A breakpoint of its own, and an exception of the monitor. */
	report.rax = 5;
	assert_int_equal(hypr_func_outcome(&of, &report, &result), -EFAULT);
	assert_int_equal(result.cause, HYPR_CALL_EXCEPTION);
	report.cs = FUNC_CS;
	assert_int_equal(hypr_func_outcome(&of, &report, &result), -EIO);
	assert_int_equal(result.cause, HYPR_CALL_MACHINE);
	report.vector = UINT64_MAX;
	report.cs = FUNC_USER_CS;
	assert_int_equal(hypr_func_outcome(&of, &report, &result), -EIO);
}

/* Of real section headers, each byte of which is damaged in turn. */
static void test_damaged_symbols_are_within_bounds(void **ctx)
{
	struct hypr_func_elf elf;
	uint8_t *file, *copy;
	char text[64];
	size_t bytes, i, at;
	Elf64_Ehdr head;

	(void)ctx;
	assert_int_equal(hypr_func_elf_read("out/guests/call/upper.elf", &file, &bytes), 0);
	assert_int_equal(hypr_func_elf_parse(file, bytes, "f", &elf), 0);
	assert_int_equal(hypr_func_elf_symbol(file, bytes, elf.entry + 1, text, sizeof(text)), 0);
	assert_string_equal(text, "_start+0x1");
	assert_int_equal(hypr_func_elf_symbol(file, bytes, 1, text, sizeof(text)), -ENOENT);
	memcpy(&head, file, sizeof(head));
	copy = malloc(bytes);
	assert_non_null(copy);
	for (i = 0; i < head.e_shnum * sizeof(Elf64_Shdr); i++) {
		memcpy(copy, file, bytes);
		at = head.e_shoff + i;
		copy[at] ^= 0xff;
		/* Found or not: ASan sees a read beyond the file. */
		assert_in_range(-hypr_func_elf_symbol(copy, bytes, elf.entry + 1, text,
						      sizeof(text)), 0, ENOENT);
	}
	free(copy);
	free(file);
}

static void test_config_out_of_range_is_refused(void **ctx)
{
	struct hypr_func_config config = HYPR_FUNC_CONFIG_INIT, bad;
	struct hypr_func *func;

	(void)ctx;
	config.path = "/nowhere";
	assert_int_equal(hypr_func_open(&config, &func), -ENOENT);
	config.path = "/";
	assert_int_equal(hypr_func_open(&config, &func), -ENOEXEC);
	/* Shorter than it says. */
	config.path = "/sys/devices/system/cpu/online";
	assert_int_equal(hypr_func_open(&config, &func), -ENOEXEC);
	bad = config;
	bad.path = NULL;
	assert_int_equal(hypr_func_open(&bad, &func), -EINVAL);
	bad = config;
	bad.size--;
	assert_int_equal(hypr_func_open(&bad, &func), -EINVAL);
	bad = config;
	bad.flags = 1;
	assert_int_equal(hypr_func_open(&bad, &func), -EINVAL);
	bad = config;
	bad.vms = HYPR_FUNC_VMS_MAX + 1;
	assert_int_equal(hypr_func_open(&bad, &func), -EINVAL);
	bad = config;
	bad.timeout_ms = HYPR_FUNC_TIMEOUT_MAX_MS + 1;
	assert_int_equal(hypr_func_open(&bad, &func), -EINVAL);
	bad = config;
	bad.engine = "qemu";
	assert_int_equal(hypr_func_open(&bad, &func), -EINVAL);
	hypr_func_close(NULL);
}

static void test_file_that_is_too_large_is_refused(void **ctx)
{
	struct hypr_func_config config = HYPR_FUNC_CONFIG_INIT;
	char path[] = "/tmp/hypr-func-XXXXXX";
	struct hypr_func *func;
	int fd = mkstemp(path);

	(void)ctx;
	assert_true(fd >= 0);
	config.path = path;
	assert_int_equal(ftruncate(fd, (256 << 20) + 1), 0);
	assert_int_equal(hypr_func_open(&config, &func), -EFBIG);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(hypr_func_open(&config, &func), -ENOEXEC);
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_file_is_taken),
		cmocka_unit_test(test_every_truncation_is_refused),
		cmocka_unit_test(test_damaged_file_is_refused),
		cmocka_unit_test(test_too_many_segments_are_refused),
		cmocka_unit_test(test_random_damage_is_refused_or_harmless),
		cmocka_unit_test(test_each_window_has_its_rights),
		cmocka_unit_test(test_sizes_that_do_not_fit_are_refused),
		cmocka_unit_test(test_hostile_reports_are_within_bounds),
		cmocka_unit_test(test_damaged_symbols_are_within_bounds),
		cmocka_unit_test(test_config_out_of_range_is_refused),
		cmocka_unit_test(test_file_that_is_too_large_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
