// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Guest memory by GPA.  Every range is checked against the memory's size before it
 * becomes a host pointer.
 */
#include <string.h>

#include "base/error.h"
#include "base/guest.h"

void *hypr_guest_at(const struct hypr_guest *guest, hypr_gpa_t gpa, uint64_t bytes)
{
	if (gpa.addr > guest->bytes || bytes > guest->bytes - gpa.addr)
		return NULL;
	return guest->host + gpa.addr;
}

int hypr_guest_write(const struct hypr_guest *guest, hypr_gpa_t gpa, const void *from,
		     uint64_t bytes)
{
	void *to = hypr_guest_at(guest, gpa, bytes);

	if (!to)
		return -EFAULT;
	if (bytes)
		memcpy(to, from, bytes);
	return 0;
}

int hypr_guest_fail(const struct hypr_guest *guest, hypr_gpa_t gpa, uint64_t bytes,
		    const char *what)
{
	return hypr_fail(-EFAULT, "%s: %llu bytes at GPA 0x%llx are not in %llu KiB of memory",
			 what, (unsigned long long)bytes, (unsigned long long)gpa.addr,
			 (unsigned long long)guest->bytes >> 10);
}
