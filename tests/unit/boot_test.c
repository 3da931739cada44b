// SPDX-License-Identifier: GPL-2.0-only
/*
 * The boot loader: what a good kernel finds in memory, and that a bad file is
 * refused before anything is written past the guest's memory (the sanitizer
 * watches a buffer of exactly that size).
 */
#include "unit.h"

#include <asm/bootparam.h>
#include <linux/kvm_hypr.h>

#include "hypr/hypr.h"
#include "lib/pc/boot.h"

#define RAM_BYTES	(16ull << 20)
#define SETUP_SECTS	4
#define CODE_OFFSET	((SETUP_SECTS + 1) * 512)
#define CODE_BYTES	8192
#define KERNEL_BYTES	(CODE_OFFSET + CODE_BYTES)
#define KERNEL_GPA	0x200000

struct fixture {
	uint8_t *ram;
	uint8_t kernel[KERNEL_BYTES];
	struct setup_header *hdr;
	struct hypr_boot_image image;
	struct hypr_boot_entry entry;
};

static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));
	size_t i;

	f->ram = calloc(1, RAM_BYTES);
	for (i = 0; i < CODE_BYTES; i++)
		f->kernel[CODE_OFFSET + i] = (uint8_t)(i * 7 + 1);
	f->kernel[0x200] = 0xeb;
	f->kernel[0x201] = 0x6a;	/* the header ends at 0x26c */
	f->hdr = (struct setup_header *)(f->kernel + 0x1f1);
	f->hdr->setup_sects = SETUP_SECTS;
	f->hdr->syssize = CODE_BYTES / 16;
	f->hdr->boot_flag = 0xaa55;
	f->hdr->jump = 0x6aeb;
	f->hdr->header = 0x53726448;
	f->hdr->version = 0x020f;
	f->hdr->loadflags = LOADED_HIGH;
	f->hdr->initrd_addr_max = 0x7fffffff;
	f->hdr->kernel_alignment = 0x200000;
	f->hdr->relocatable_kernel = 1;
	f->hdr->xloadflags = XLF_KERNEL_64;
	f->hdr->cmdline_size = 2047;
	f->hdr->pref_address = KERNEL_GPA;
	f->hdr->init_size = 0x400000;
	f->image = (struct hypr_boot_image){
		.kernel = f->kernel,
		.kernel_bytes = KERNEL_BYTES,
		.kernel_name = "vmlinuz",
		.cmdline = "console=ttyS0 quiet",
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
	return hypr_boot_place(&(struct hypr_guest){ f->ram, RAM_BYTES }, &f->image, &f->entry);
}

static const struct boot_params *params(const struct fixture *f)
{
	return (const struct boot_params *)(f->ram + HYPR_BOOT_PARAMS_GPA);
}

static void test_boot_loads_kernel(void **ctx)
{
	struct fixture *f = *ctx;

	assert_int_equal(load(f), 0);
	assert_int_equal(f->entry.rip, KERNEL_GPA + 0x200);
	assert_int_equal(f->entry.rsi, HYPR_BOOT_PARAMS_GPA);
	assert_memory_equal(f->ram + KERNEL_GPA, f->kernel + CODE_OFFSET, CODE_BYTES);
	assert_string_equal((char *)f->ram + params(f)->hdr.cmd_line_ptr, f->image.cmdline);
	assert_int_equal(params(f)->hdr.type_of_loader, 0xff);
	assert_int_equal(params(f)->hdr.header, 0x53726448);
}

static void test_boot_memory_map_reserves_control_page(void **ctx)
{
	static const struct boot_e820_entry expected[] = {
		{ 0, 0x9fc00, 1 },
		{ 0x9fc00, 0x100000 - 0x9fc00, 2 },
		{ 0x100000, HYPR_CONTROL_GPA - 0x100000, 1 },
		{ HYPR_CONTROL_GPA, HYPR_CONTROL_SIZE, 2 },
		{ HYPR_CONTROL_GPA + HYPR_CONTROL_SIZE, 0x1000, 1 },
	};
	struct fixture *f = *ctx;

	assert_int_equal(load(f), 0);
	assert_int_equal(params(f)->e820_entries, ARRAY_SIZE(expected));
	assert_memory_equal(params(f)->e820_table, expected, sizeof(expected));
}

static uint64_t get64(const struct fixture *f, uint64_t gpa)
{
	uint64_t value;

	memcpy(&value, f->ram + gpa, sizeof(value));
	return value;
}

static void test_boot_page_tables_map_4_gib(void **ctx)
{
	struct fixture *f = *ctx;
	uint64_t gpa, pdpt, pd;

	assert_int_equal(load(f), 0);
	pdpt = get64(f, f->entry.cr3) & ~0xfffull;
	for (gpa = 0; gpa < 4ull << 30; gpa += 2 << 20) {
		pd = get64(f, pdpt + 8 * (gpa >> 30)) & ~0xfffull;
		assert_int_equal(get64(f, pd + 8 * ((gpa >> 21) & 511)), gpa | 0x83);
	}
}

static void test_boot_initrd_below_control_page(void **ctx)
{
	static uint8_t initrd[5000];
	struct fixture *f = *ctx;
	uint64_t gpa;

	memset(initrd, 0x5a, sizeof(initrd));
	f->image.initrd = initrd;
	f->image.initrd_bytes = sizeof(initrd);
	assert_int_equal(load(f), 0);
	gpa = params(f)->hdr.ramdisk_image;
	assert_int_equal(gpa, HYPR_CONTROL_GPA - 8192);
	assert_int_equal(params(f)->hdr.ramdisk_size, sizeof(initrd));
	assert_memory_equal(f->ram + gpa, initrd, sizeof(initrd));
}

static void test_boot_initrd_too_large(void **ctx)
{
	struct fixture *f = *ctx;

	f->image.initrd = calloc(1, RAM_BYTES);
	f->image.initrd_bytes = 12 << 20;
	assert_int_equal(load(f), -ENOSPC);
	f->image.initrd_bytes = SIZE_MAX - 100;
	assert_int_equal(load(f), -ENOSPC);
	free((void *)f->image.initrd);
}

static void test_boot_initrd_respects_its_limit(void **ctx)
{
	static uint8_t initrd[4096];
	struct fixture *f = *ctx;

	f->image.initrd = initrd;
	f->image.initrd_bytes = sizeof(initrd);
	f->hdr->initrd_addr_max = 0x9fffff;
	assert_int_equal(load(f), 0);
	assert_int_equal(params(f)->hdr.ramdisk_image, 0x9ff000);
	f->hdr->initrd_addr_max = 0xfff;
	assert_int_equal(load(f), -ENOSPC);
}

static void test_boot_kernel_needs_more_memory(void **ctx)
{
	struct fixture *f = *ctx;

	f->hdr->init_size = 64 << 20;
	assert_int_equal(load(f), -ENOSPC);
	assert_non_null(strstr(hypr_error(), "vmlinuz"));
	f->hdr->init_size = 0xffffffff;
	assert_int_equal(load(f), -ENOSPC);
}

static void test_boot_kernel_keeps_off_control_page(void **ctx)
{
	struct fixture *f = *ctx;

	/* Would reach over the page where it likes to be: goes lower. */
	f->hdr->pref_address = 0xc00000;
	f->hdr->init_size = 0x400000;
	assert_int_equal(load(f), 0);
	assert_int_equal(f->entry.rip, 0x200000 + 0x200);
	f->hdr->relocatable_kernel = 0;
	assert_int_equal(load(f), -ENOSPC);
}

static void test_boot_kernel_at_absurd_address(void **ctx)
{
	struct fixture *f = *ctx;

	f->hdr->relocatable_kernel = 0;
	f->hdr->pref_address = UINT64_MAX - 0xfff;
	assert_int_equal(load(f), -ENOSPC);
	f->hdr->pref_address = 0;
	assert_int_equal(load(f), -ENOSPC);
	f->hdr->relocatable_kernel = 1;
	f->hdr->kernel_alignment = 3;
	assert_int_equal(load(f), -ENOSPC);
	f->hdr->kernel_alignment = 0x80000000;
	assert_int_equal(load(f), -ENOSPC);
}

static void test_boot_refuses_truncated_file(void **ctx)
{
	struct fixture *f = *ctx;
	size_t bytes;

	/* A copy of just that size, so that reading past it is seen. */
	for (bytes = 0; bytes < KERNEL_BYTES - 15; bytes += bytes < 0x300 ? 1 : 509) {
		uint8_t *file = malloc(bytes ? bytes : 1);

		memcpy(file, f->kernel, bytes);
		f->image.kernel = file;
		f->image.kernel_bytes = bytes;
		assert_int_equal(load(f), -ENOEXEC);
		free(file);
	}
}

static void test_boot_refuses_what_is_no_kernel(void **ctx)
{
	struct fixture *f = *ctx;

	f->hdr->header ^= 1;
	assert_int_equal(load(f), -ENOEXEC);
	f->hdr->header ^= 1;
	f->hdr->boot_flag = 0;
	assert_int_equal(load(f), -ENOEXEC);
	f->hdr->boot_flag = 0xaa55;
	f->hdr->version = 0x020b;
	assert_int_equal(load(f), -ENOEXEC);
	assert_non_null(strstr(hypr_error(), "2.11"));
	f->hdr->version = 0x020f;
	f->hdr->xloadflags = 0;
	assert_int_equal(load(f), -ENOEXEC);
	f->hdr->xloadflags = XLF_KERNEL_64;
	f->hdr->loadflags = 0;
	assert_int_equal(load(f), -ENOEXEC);
	f->hdr->loadflags = LOADED_HIGH;
	f->kernel[0x201] = 0x10;	/* the header would end before its fields */
	assert_int_equal(load(f), -ENOEXEC);
	f->kernel[0x201] = 0xff;	/* longer than we know: the rest is not taken */
	assert_int_equal(load(f), 0);
}

static void test_boot_refuses_setup_past_the_end(void **ctx)
{
	struct fixture *f = *ctx;

	f->hdr->setup_sects = 255;
	assert_int_equal(load(f), -ENOEXEC);
	f->hdr->setup_sects = 0;	/* means four */
	assert_int_equal(load(f), 0);
	f->hdr->syssize = 0xffffffff;
	assert_int_equal(load(f), -ENOEXEC);
}

static void test_boot_refuses_long_command_line(void **ctx)
{
	static char line[600 * 1024];
	struct fixture *f = *ctx;

	memset(line, 'x', sizeof(line) - 1);
	f->image.cmdline = line;
	assert_int_equal(load(f), -E2BIG);
	/* Whatever the kernel claims to take, low memory has an end. */
	f->hdr->cmdline_size = 0xffffffff;
	assert_int_equal(load(f), -E2BIG);
}

static void test_boot_refuses_little_memory(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_guest little = { f->ram, 8 << 20 }, none = { f->ram, 0 };

	assert_int_equal(hypr_boot_place(&little, &f->image, &f->entry), -ENOSPC);
	assert_int_equal(hypr_boot_place(&none, &f->image, &f->entry), -ENOSPC);
}

static void test_boot_survives_noise(void **ctx)
{
	struct fixture *f = *ctx;
	unsigned int seed = 1;
	int i, ret;

	/* Any header whatever: taken or refused, and nothing outside the memory. */
	for (i = 0; i < 20000; i++) {
		uint8_t *byte = f->kernel + 0x1f1 + (rand_r(&seed) % 0x7b);
		uint8_t old = *byte;

		*byte = (uint8_t)rand_r(&seed);
		ret = load(f);
		assert_true(ret == 0 || ret == -ENOEXEC || ret == -ENOSPC || ret == -E2BIG);
		if (i % 3)
			*byte = old;
		if (f->hdr->header != 0x53726448 || f->hdr->boot_flag != 0xaa55)
			*byte = old;
	}
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_boot_loads_kernel),
		T(test_boot_memory_map_reserves_control_page),
		T(test_boot_page_tables_map_4_gib),
		T(test_boot_initrd_below_control_page),
		T(test_boot_initrd_too_large),
		T(test_boot_initrd_respects_its_limit),
		T(test_boot_kernel_needs_more_memory),
		T(test_boot_kernel_keeps_off_control_page),
		T(test_boot_kernel_at_absurd_address),
		T(test_boot_refuses_truncated_file),
		T(test_boot_refuses_what_is_no_kernel),
		T(test_boot_refuses_setup_past_the_end),
		T(test_boot_refuses_long_command_line),
		T(test_boot_refuses_little_memory),
		T(test_boot_survives_noise),
	};

	return cmocka_run_group_tests_name("boot", tests, NULL, NULL) ? 1 : 0;
}
