/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The one way from a guest-physical address to a host pointer. */
#ifndef LIB_BASE_GUEST_H
#define LIB_BASE_GUEST_H

#include <stdint.h>

#include "core/types.h"

/** struct hypr_guest - memory of a guest, mapped from GPA 0 on: @bytes at @host */
struct hypr_guest {
	uint8_t *host;
	uint64_t bytes;
};

/**
 * hypr_guest_at() - where @bytes from @gpa on are mapped
 * Return: NULL unless the memory has all of them; no bytes may begin at its end.
 */
void *hypr_guest_at(const struct hypr_guest *guest, hypr_gpa_t gpa, uint64_t bytes);

/** hypr_guest_write() - Return: 0; -EFAULT, and nothing is written. */
int hypr_guest_write(const struct hypr_guest *guest, hypr_gpa_t gpa, const void *from,
		     uint64_t bytes);

/** hypr_guest_fail() - Return: -EFAULT with hypr_error() naming @what and the range. */
int hypr_guest_fail(const struct hypr_guest *guest, hypr_gpa_t gpa, uint64_t bytes,
		    const char *what);

#endif /* LIB_BASE_GUEST_H */
