// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From the kernel's and initrd's files to a VM that can be started: files into
 * memory, boot.c and mptable.c into the boot view, registers into vCPU 0.  The
 * other vCPUs wait for the guest to start them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "model/vcpu.h"
#include "model/view.h"
#include "model/vm.h"
#include "pc/boot.h"
#include "pc/kernel.h"
#include "pc/mptable.h"
#include "pc/multiboot.h"

#define CR0_PE		(1ull << 0)
#define CR0_ET		(1ull << 4)
#define CR0_NE		(1ull << 5)
#define CR0_WP		(1ull << 16)
#define CR0_PG		(1ull << 31)
#define CR4_PAE		(1ull << 5)
#define EFER_LME	(1ull << 8)
#define EFER_LMA	(1ull << 10)
#define RFLAGS_FIXED	(1ull << 1)

#define DEFAULT_CMDLINE	"console=ttyS0"

struct file {
	uint8_t *data;
	size_t bytes;
};

static int read_all(int fd, const char *path, const char *what, struct file *file)
{
	size_t at = 0;
	ssize_t n;

	while (at < file->bytes) {
		n = pread(fd, file->data + at, file->bytes - at, (off_t)at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return hypr_fail_sys(-errno, "%s '%s'", what, path);
		if (!n)
			return hypr_fail(-ENOEXEC, "%s '%s': truncated while it was read", what,
					 path);
		at += (size_t)n;
	}
	return 0;
}

/* Read, not mapped: of a file that is truncated meanwhile, pages go away. */
static int file_read(const char *path, const char *what, struct file *file)
{
	struct stat st;
	int fd, ret;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return hypr_fail_sys(-errno, "%s '%s'", what, path);
	if (fstat(fd, &st) < 0) {
		ret = hypr_fail_sys(-errno, "%s '%s'", what, path);
	} else if (!S_ISREG(st.st_mode) || !st.st_size) {
		ret = hypr_fail(-ENOEXEC, "%s '%s': not a file with anything in it", what, path);
	} else if ((uint64_t)st.st_size > HYPR_MEM_MAX_BYTES) {
		ret = hypr_fail(-EFBIG, "%s '%s': %llu MiB is more than any VM's memory", what, path,
				(unsigned long long)st.st_size >> 20);
	} else {
		file->bytes = (size_t)st.st_size;
		file->data = malloc(file->bytes);
		ret = file->data ? read_all(fd, path, what, file) :
				   hypr_fail(-ENOMEM, "%s '%s': no memory for it", what, path);
	}
	close(fd);
	return ret;
}

/* What the boot processor starts with; @cr3, @cr4 and @efer 0: without paging. */
struct start {
	struct kvm_segment code, data;
	struct kvm_regs regs;
	uint64_t gdt_base;
	uint16_t gdt_limit;
	uint64_t cr0, cr3, cr4, efer;
};

static int registers_write(struct hypr_vm *vm, const struct start *start)
{
	struct kvm_regs regs = start->regs;
	struct kvm_sregs sregs;
	int fd = vm->vcpu[0].fd;

	if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		return hypr_fail_sys(-errno, "vCPU 0: KVM_GET_SREGS");
	sregs.cs = start->code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = start->data;
	sregs.gdt.base = start->gdt_base;
	sregs.gdt.limit = start->gdt_limit;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = start->cr0;
	sregs.cr3 = start->cr3;
	sregs.cr4 = start->cr4;
	sregs.efer = start->efer;
	if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0)
		return hypr_fail_sys(-errno, "vCPU 0: KVM_SET_SREGS");
	if (ioctl(fd, KVM_SET_REGS, &regs) < 0)
		return hypr_fail_sys(-errno, "vCPU 0: KVM_SET_REGS");
	return 0;
}

static int registers_set(struct hypr_vm *vm, const struct hypr_boot_entry *entry)
{
	const struct kvm_segment code = {
		.limit = 0xffffffff, .selector = HYPR_BOOT_CS, .type = 0xb,
		.present = 1, .s = 1, .l = 1, .g = 1,
	};
	const struct kvm_segment data = {
		.limit = 0xffffffff, .selector = HYPR_BOOT_DS, .type = 0x3,
		.present = 1, .s = 1, .db = 1, .g = 1,
	};
	const struct kvm_regs regs = {
		.rip = entry->rip, .rsi = entry->rsi, .rsp = entry->rsp,
		.rflags = RFLAGS_FIXED,
	};

	return registers_write(vm, &(struct start){
		.code = code, .data = data, .regs = regs,
		.gdt_base = entry->gdt_base, .gdt_limit = entry->gdt_limit,
		.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG,
		.cr3 = entry->cr3, .cr4 = CR4_PAE, .efer = EFER_LME | EFER_LMA,
	});
}

/* 32-bit protected mode without paging, as the multiboot specification says. */
static int multiboot_registers_set(struct hypr_vm *vm, const struct hypr_multiboot_entry *entry)
{
	const struct kvm_segment code = {
		.limit = 0xffffffff, .selector = HYPR_BOOT_CS, .type = 0xb,
		.present = 1, .s = 1, .db = 1, .g = 1,
	};
	const struct kvm_segment data = {
		.limit = 0xffffffff, .selector = HYPR_BOOT_DS, .type = 0x3,
		.present = 1, .s = 1, .db = 1, .g = 1,
	};
	const struct kvm_regs regs = {
		.rip = entry->eip, .rax = HYPR_MULTIBOOT_EAX, .rbx = entry->ebx,
		.rsp = entry->esp, .rflags = RFLAGS_FIXED,
	};

	return registers_write(vm, &(struct start){
		.code = code, .data = data, .regs = regs,
		.gdt_base = entry->gdt_base, .gdt_limit = entry->gdt_limit,
		.cr0 = CR0_PE | CR0_ET | CR0_NE,
	});
}

/* 1: it is no multiboot file. */
static int multiboot_place(struct hypr_vm *vm, const struct hypr_guest *guest,
			   const struct hypr_boot_image *image)
{
	struct hypr_multiboot_entry entry;
	int ret = hypr_multiboot_place(guest, image, &entry);

	if (!ret)
		ret = hypr_mptable_write(guest, vm->nr_vcpus);
	return ret ? ret : multiboot_registers_set(vm, &entry);
}

static int linux_place(struct hypr_vm *vm, const struct hypr_guest *guest,
		       const struct hypr_boot_image *image)
{
	struct hypr_boot_entry entry;
	int ret;

	if (vm->apics_only)
		return hypr_fail(-EOPNOTSUPP,
				 "%s: this engine has no PIC, I/O APIC and PIT: it boots multiboot ELF files, no Linux",
				 image->kernel_name);
	ret = hypr_boot_place(guest, image, &entry);

	if (!ret)
		ret = hypr_mptable_write(guest, vm->nr_vcpus);
	return ret ? ret : registers_set(vm, &entry);
}

int hypr_kernel_place(struct hypr_vm *vm, const struct hypr_vm_config *config)
{
	struct file kernel = { 0 }, initrd = { 0 };
	struct hypr_boot_image image;
	const struct hypr_guest *guest = &vm->active->mem;
	int ret;

	ret = file_read(config->kernel, "kernel", &kernel);
	if (ret)
		goto free_files;
	if (config->initrd) {
		ret = file_read(config->initrd, "initrd", &initrd);
		if (ret)
			goto free_files;
	}
	image = (struct hypr_boot_image){
		.kernel = kernel.data,
		.kernel_bytes = kernel.bytes,
		.kernel_name = config->kernel,
		.initrd = initrd.data,
		.initrd_bytes = initrd.bytes,
		.cmdline = config->cmdline ? config->cmdline : "",
	};
	ret = multiboot_place(vm, guest, &image);
	if (ret > 0) {
		if (!config->cmdline)
			image.cmdline = DEFAULT_CMDLINE;
		ret = linux_place(vm, guest, &image);
	}
free_files:
	free(initrd.data);
	free(kernel.data);
	return ret;
}
