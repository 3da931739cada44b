// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * From the kernel's and initrd's files to a VM that can be started: files into
 * memory, boot.c and mptable.c into the boot view, registers into vCPU 0.  The
 * other vCPUs wait for the guest to start them.
 */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "internal.h"
#include "mptable.h"

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
	const uint8_t *data;
	size_t bytes;
};

static int file_map(const char *path, const char *what, struct file *file)
{
	struct stat st;
	void *data;
	int fd, ret = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return hypr_fail_sys(-errno, "%s '%s'", what, path);
	if (fstat(fd, &st) < 0) {
		ret = hypr_fail_sys(-errno, "%s '%s'", what, path);
		goto close_fd;
	}
	if (!S_ISREG(st.st_mode) || !st.st_size) {
		ret = hypr_fail(-ENOEXEC, "%s '%s': not a file with anything in it", what, path);
		goto close_fd;
	}
	data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED) {
		ret = hypr_fail_sys(-errno, "%s '%s'", what, path);
		goto close_fd;
	}
	file->data = data;
	file->bytes = (size_t)st.st_size;
close_fd:
	close(fd);
	return ret;
}

static void file_unmap(struct file *file)
{
	if (file->data)
		munmap((void *)file->data, file->bytes);
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
	struct kvm_regs regs = {
		.rip = entry->rip, .rsi = entry->rsi, .rsp = entry->rsp,
		.rflags = RFLAGS_FIXED,
	};
	struct kvm_sregs sregs;
	int fd = vm->vcpu[0].fd;

	if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		return hypr_fail_sys(-errno, "vCPU 0: KVM_GET_SREGS");
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	sregs.gdt.base = entry->gdt_base;
	sregs.gdt.limit = entry->gdt_limit;
	sregs.idt.base = 0;
	sregs.idt.limit = 0;
	sregs.cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
	sregs.cr3 = entry->cr3;
	sregs.cr4 = CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0)
		return hypr_fail_sys(-errno, "vCPU 0: KVM_SET_SREGS");
	if (ioctl(fd, KVM_SET_REGS, &regs) < 0)
		return hypr_fail_sys(-errno, "vCPU 0: KVM_SET_REGS");
	return 0;
}

int hypr_vm_load(struct hypr_vm *vm, const struct hypr_vm_config *config)
{
	struct file kernel = { 0 }, initrd = { 0 };
	struct hypr_boot_image image;
	struct hypr_boot_entry entry;
	uint8_t *ram = vm->active->mem;
	int ret;

	ret = file_map(config->kernel, "kernel", &kernel);
	if (ret)
		return ret;
	if (config->initrd) {
		ret = file_map(config->initrd, "initrd", &initrd);
		if (ret)
			goto unmap_kernel;
	}
	image = (struct hypr_boot_image){
		.kernel = kernel.data,
		.kernel_bytes = kernel.bytes,
		.kernel_name = config->kernel,
		.initrd = initrd.data,
		.initrd_bytes = initrd.bytes,
		.cmdline = config->cmdline ? config->cmdline : DEFAULT_CMDLINE,
	};
	ret = hypr_boot_load(ram, vm->mem_bytes, &image, &entry);
	if (!ret) {
		hypr_mptable_write(ram, vm->nr_vcpus);
		ret = registers_set(vm, &entry);
	}
	file_unmap(&initrd);
unmap_kernel:
	file_unmap(&kernel);
	return ret;
}
