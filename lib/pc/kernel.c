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

int hypr_kernel_place(struct hypr_vm *vm, const struct hypr_vm_config *config)
{
	struct file kernel = { 0 }, initrd = { 0 };
	struct hypr_boot_image image;
	struct hypr_boot_entry entry;
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
		.cmdline = config->cmdline ? config->cmdline : DEFAULT_CMDLINE,
	};
	ret = hypr_boot_place(guest, &image, &entry);
	if (!ret)
		ret = hypr_mptable_write(guest, vm->nr_vcpus);
	if (!ret)
		ret = registers_set(vm, &entry);
free_files:
	free(initrd.data);
	free(kernel.data);
	return ret;
}
