// SPDX-License-Identifier: GPL-2.0-only
/*
 * The multiboot loader: what a good file finds in memory, and that a bad one is refused
 * before anything is written past the guest's memory (the sanitizer watches a buffer of
 * exactly that size).
 */
#include "unit.h"

#include <elf.h>
#include <linux/kvm_hypr.h>

#include "hypr/hypr.h"
#include "lib/pc/multiboot.h"

#define RAM_BYTES	(17ull << 20)
#define CODE_OFFSET	0x1000
#define CODE_BYTES	0x300
#define KERNEL_BYTES	(CODE_OFFSET + CODE_BYTES)
#define KERNEL_GPA	0x200000
#define KERNEL_VA	0xc0200000u
#define BSS_BYTES	0x5000
#define HEADER_OFFSET	0x400
#define MAGIC		0x1badb002u

struct fixture {
	uint8_t *ram;
	uint8_t kernel[KERNEL_BYTES];
	uint8_t module[5000];
	Elf32_Ehdr *head;
	Elf32_Phdr *phdr;
	struct hypr_boot_image image;
	struct hypr_multiboot_entry entry;
};

static void header_write(struct fixture *f, uint32_t flags)
{
	const uint32_t header[3] = { MAGIC, flags, -(MAGIC + flags) };

	memcpy(f->kernel + HEADER_OFFSET, header, sizeof(header));
}

static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));
	size_t i;

	f->ram = calloc(1, RAM_BYTES);
	for (i = 0; i < CODE_BYTES; i++)
		f->kernel[CODE_OFFSET + i] = (uint8_t)(i * 7 + 1);
	f->head = (Elf32_Ehdr *)f->kernel;
	f->phdr = (Elf32_Phdr *)(f->kernel + 0x100);
	*f->head = (Elf32_Ehdr){
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_386, .e_version = EV_CURRENT,
		.e_entry = KERNEL_VA + 0x10, .e_phoff = 0x100,
		.e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 2,
	};
	f->phdr[0] = (Elf32_Phdr){
		.p_type = PT_LOAD, .p_offset = CODE_OFFSET, .p_vaddr = KERNEL_VA,
		.p_paddr = KERNEL_GPA, .p_filesz = CODE_BYTES, .p_memsz = BSS_BYTES,
	};
	f->phdr[1] = (Elf32_Phdr){ .p_type = PT_NOTE, .p_offset = ~0u };
	header_write(f, 3);
	f->image = (struct hypr_boot_image){
		.kernel = f->kernel, .kernel_bytes = KERNEL_BYTES, .kernel_name = "test.elf",
		.cmdline = "one two",
	};
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;

	free(f->ram);
	free(f);
	return 0;
}

static int load(struct fixture *f)
{
	return hypr_multiboot_place(&(struct hypr_guest){ f->ram, RAM_BYTES }, &f->image,
				    &f->entry);
}

static uint32_t get32(const struct fixture *f, uint64_t gpa)
{
	uint32_t value;

	memcpy(&value, f->ram + gpa, sizeof(value));
	return value;
}

static uint32_t info(const struct fixture *f, unsigned int offset)
{
	return get32(f, f->entry.ebx + offset);
}

static void check_loaded(struct fixture *f)
{
	assert_int_equal(load(f), 0);
	/* As its segment goes to memory. */
	assert_int_equal(f->entry.eip, KERNEL_GPA + 0x10);
	assert_memory_equal(f->ram + KERNEL_GPA, f->kernel + CODE_OFFSET, CODE_BYTES);
	assert_string_equal((char *)f->ram + info(f, 16), "one two");
	assert_string_equal((char *)f->ram + info(f, 64), "hypr");
}

static void test_multiboot_32(void **ctx)
{
	struct fixture *f = *ctx;

	check_loaded(f);
	assert_int_equal(info(f, 0), 0x24d);
	assert_int_equal(info(f, 4), 639);
	assert_int_equal(info(f, 8), (HYPR_CONTROL_GPA - 0x100000) >> 10);
	assert_int_equal(info(f, 20), 0);
}

static void test_multiboot_64(void **ctx)
{
	struct fixture *f = *ctx;
	Elf64_Phdr phdr = {
		.p_type = PT_LOAD, .p_offset = CODE_OFFSET, .p_vaddr = 0xffffffff80200000ull,
		.p_paddr = KERNEL_GPA, .p_filesz = CODE_BYTES, .p_memsz = BSS_BYTES,
	};
	Elf64_Ehdr head = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_entry = 0xffffffff80200010ull, .e_phoff = 0x100,
		.e_phentsize = sizeof(phdr), .e_phnum = 1,
	};

	memcpy(f->kernel, &head, sizeof(head));
	memcpy(f->kernel + 0x100, &phdr, sizeof(phdr));
	check_loaded(f);
	head.e_machine = EM_AARCH64;
	memcpy(f->kernel, &head, sizeof(head));
	assert_int_equal(load(f), -ENOEXEC);
	head.e_machine = EM_X86_64;
	head.e_phnum = 0xffff;
	memcpy(f->kernel, &head, sizeof(head));
	assert_int_equal(load(f), -ENOEXEC);
}

static void test_multiboot_memory_map(void **ctx)
{
	static const struct {
		uint64_t base, bytes;
		uint32_t type;
	} expected[] = {
		{ 0, 0x9fc00, 1 },
		{ 0x9fc00, 0x100000 - 0x9fc00, 2 },
		{ 0x100000, HYPR_CONTROL_GPA - 0x100000, 1 },
		{ HYPR_CONTROL_GPA, HYPR_CONTROL_SIZE, 2 },
		{ HYPR_CONTROL_GPA + HYPR_CONTROL_SIZE,
		  RAM_BYTES - HYPR_CONTROL_GPA - HYPR_CONTROL_SIZE, 1 },
	};
	struct fixture *f = *ctx;
	size_t i;

	assert_int_equal(load(f), 0);
	assert_int_equal(info(f, 44), 24 * ARRAY_SIZE(expected));
	for (i = 0; i < ARRAY_SIZE(expected); i++) {
		uint64_t at = info(f, 48) + 24 * i, value;

		assert_int_equal(get32(f, at), 20);
		memcpy(&value, f->ram + at + 4, 8);
		assert_int_equal(value, expected[i].base);
		memcpy(&value, f->ram + at + 12, 8);
		assert_int_equal(value, expected[i].bytes);
		assert_int_equal(get32(f, at + 20), expected[i].type);
	}
}

static void test_multiboot_module(void **ctx)
{
	struct fixture *f = *ctx;
	uint32_t start;

	memset(f->module, 0x5a, sizeof(f->module));
	f->image.initrd = f->module;
	f->image.initrd_bytes = sizeof(f->module);
	assert_int_equal(load(f), 0);
	assert_int_equal(info(f, 20), 1);
	start = get32(f, info(f, 24));
	assert_int_equal(start, KERNEL_GPA + BSS_BYTES);
	assert_int_equal(get32(f, info(f, 24) + 4), start + sizeof(f->module));
	assert_memory_equal(f->ram + start, f->module, sizeof(f->module));
	/* Not over the control page, but behind it. */
	f->phdr[0].p_paddr = HYPR_CONTROL_GPA - BSS_BYTES;
	assert_int_equal(load(f), 0);
	assert_int_equal(get32(f, info(f, 24)), HYPR_CONTROL_GPA + HYPR_CONTROL_SIZE);
	/* Nor over the end of memory. */
	f->phdr[0].p_paddr = (uint32_t)RAM_BYTES - BSS_BYTES;
	assert_int_equal(load(f), -ENOSPC);
	f->image.initrd_bytes = SIZE_MAX / 2;
	f->phdr[0].p_paddr = KERNEL_GPA;
	assert_int_equal(load(f), -ENOSPC);
}

static void test_multiboot_header(void **ctx)
{
	struct fixture *f = *ctx;
	static const struct {
		uint32_t flags;
		const char *says;
	} refused[] = {
		{ 1 << 2, "a video mode" }, { 1 << 3, "flag 3" }, { 1 << 15, "flag 15" },
		{ 1 << 16, "flag 16" },
	};
	uint8_t behind[8192 + 4] = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		header_write(f, refused[i].flags);
		assert_int_equal(load(f), -ENOEXEC);
		assert_non_null(strstr(hypr_error(), refused[i].says));
	}
	/* Flags that a loader need not know. */
	header_write(f, 0xfffe0000);
	assert_int_equal(load(f), 0);
	/* A wrong checksum, and a header behind the first 8 KiB, are none. */
	f->kernel[HEADER_OFFSET + 8]++;
	assert_int_equal(load(f), 1);
	header_write(f, 3);
	memcpy(behind + sizeof(behind) - 12, f->kernel + HEADER_OFFSET, 12);
	f->image.kernel = behind;
	f->image.kernel_bytes = sizeof(behind);
	assert_int_equal(load(f), 1);
	f->image.kernel = f->kernel;
	f->image.kernel_bytes = 11;
	assert_int_equal(load(f), 1);
	f->image.kernel_bytes = 0;
	assert_int_equal(load(f), 1);
}

/* Each field, wrong alone. */
static void test_multiboot_bad_fields(void **ctx)
{
#define BAD(field, value, err, words)							\
	do {										\
		__typeof__(field) saved_ = field;					\
											\
		field = (__typeof__(field))(value);					\
		if (load(f) != (err) || !strstr(hypr_error(), words))			\
			fail_msg(#field " = " #value ": %s", hypr_error());		\
		field = saved_;								\
	} while (0)
	struct fixture *f = *ctx;

	BAD(f->head->e_ident[1], 'X', -ENOEXEC, "no ELF file");
	BAD(f->head->e_ident[EI_CLASS], 3, -ENOEXEC, "no ELF file");
	BAD(f->head->e_ident[EI_DATA], ELFDATA2MSB, -ENOEXEC, "no ELF file");
	BAD(f->head->e_type, ET_DYN, -ENOEXEC, "linked to its place");
	BAD(f->head->e_version, 2, -ENOEXEC, "linked to its place");
	BAD(f->head->e_machine, EM_ARM, -ENOEXEC, "machine 40");
	BAD(f->head->e_phentsize, 31, -ENOEXEC, "program headers");
	BAD(f->head->e_phoff, KERNEL_BYTES - 1, -ENOEXEC, "program headers");
	BAD(f->head->e_phoff, 0xffffffff, -ENOEXEC, "program headers");
	BAD(f->head->e_phnum, 0xffff, -ENOEXEC, "program headers");
	BAD(f->head->e_phnum, 0, -ENOEXEC, "nothing in it");
	BAD(f->head->e_entry, KERNEL_VA - 1, -ENOEXEC, "entry point");
	BAD(f->head->e_entry, KERNEL_VA + BSS_BYTES, -ENOEXEC, "entry point");
	BAD(f->phdr[0].p_filesz, BSS_BYTES + 1, -ENOEXEC, "more bytes in the file");
	BAD(f->phdr[0].p_offset, CODE_OFFSET + 1, -ENOEXEC, "truncated");
	BAD(f->phdr[0].p_offset, 0xffffffff, -ENOEXEC, "truncated");
	BAD(f->phdr[0].p_paddr, 0xff000, -ENOEXEC, "below 1 MiB");
	BAD(f->phdr[0].p_paddr, RAM_BYTES - BSS_BYTES + 1, -ENOSPC, "17 MiB of memory");
	BAD(f->phdr[0].p_paddr, 0xfffff000, -ENOSPC, "17 MiB of memory");
	BAD(f->phdr[0].p_memsz, 0xffffffff, -ENOSPC, "17 MiB of memory");
	BAD(f->phdr[0].p_paddr, HYPR_CONTROL_GPA, -ENOSPC, "control page");
	BAD(f->phdr[0].p_memsz, HYPR_CONTROL_GPA + 1 - KERNEL_GPA, -ENOSPC, "control page");
	BAD(f->phdr[1].p_type, PT_INTERP, -ENOEXEC, "dynamic linker");
	BAD(f->phdr[1].p_type, PT_DYNAMIC, -ENOEXEC, "dynamic linker");
	BAD(f->phdr[1], f->phdr[0], -ENOEXEC, "segments 0 and 1");
	assert_int_equal(load(f), 0);
	/* Truncated anywhere: refused, or all of it is there. */
	for (f->image.kernel_bytes = 0; f->image.kernel_bytes < KERNEL_BYTES; f->image.kernel_bytes++)
		assert_int_not_equal(load(f), 0);
}

static void test_multiboot_cmdline(void **ctx)
{
	struct fixture *f = *ctx;
	size_t room = HYPR_BOOT_EBDA_GPA - HYPR_BOOT_CMDLINE_GPA;
	char *line = malloc(room + 1);

	memset(line, 'x', room);
	line[room] = '\0';
	f->image.cmdline = line;
	assert_int_equal(load(f), -E2BIG);
	line[room - 1] = '\0';
	assert_int_equal(load(f), 0);
	assert_string_equal((char *)f->ram + info(f, 16), line);
	free(line);
}

static void test_multiboot_little_memory(void **ctx)
{
	struct fixture *f = *ctx;

	assert_int_equal(hypr_multiboot_place(&(struct hypr_guest){ f->ram, HYPR_CONTROL_GPA },
					      &f->image, &f->entry), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_multiboot_32, setup, teardown),
		cmocka_unit_test_setup_teardown(test_multiboot_64, setup, teardown),
		cmocka_unit_test_setup_teardown(test_multiboot_memory_map, setup, teardown),
		cmocka_unit_test_setup_teardown(test_multiboot_module, setup, teardown),
		cmocka_unit_test_setup_teardown(test_multiboot_header, setup, teardown),
		cmocka_unit_test_setup_teardown(test_multiboot_bad_fields, setup, teardown),
		cmocka_unit_test_setup_teardown(test_multiboot_cmdline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_multiboot_little_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
