/* SPDX-License-Identifier: GPL-2.0-only */
/* The smallest file that counts as a kernel, for VMs on the KVM of fake_kvm.c. */
#ifndef TESTS_UNIT_FAKE_KERNEL_H
#define TESTS_UNIT_FAKE_KERNEL_H

#include "unit.h"

#include <fcntl.h>

static inline void fake_kernel_write(const char *path)
{
	static uint8_t kernel[5 * 512 + 4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	kernel[0x201] = 0x6a;
	kernel[0x1f1] = 4;
	memcpy(kernel + 0x1fe, "\x55\xaa", 2);
	memcpy(kernel + 0x202, "HdrS\x0f\x02", 6);
	kernel[0x211] = 1;
	kernel[0x236] = 1;
	memcpy(kernel + 0x22c, "\xff\xff\xff\x7f", 4);
	memcpy(kernel + 0x238, "\xff\x00\x00\x00", 4);
	memcpy(kernel + 0x258, "\x00\x00\x20\x00", 4);
	memcpy(kernel + 0x260, "\x00\x00\x01\x00", 4);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, kernel, sizeof(kernel)), sizeof(kernel));
	close(fd);
}

#endif /* TESTS_UNIT_FAKE_KERNEL_H */
