// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Which pages of a mapping are there: the ioctl PAGEMAP_SCAN (Linux 6.7), which
 * goes past the rest quickly.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/page.h"
#include "memory/pagemap.h"
#include "memory/pages.h"

/* From <linux/fs.h>; the headers of Debian 12 are older than the ioctl. */
#define SCAN_PAGE_IS_FILE	(1ull << 2)
#define SCAN_PAGE_IS_PRESENT	(1ull << 3)
#define SCAN_PAGE_IS_SWAPPED	(1ull << 4)
#define SCAN_PAGE_IS_PFNZERO	(1ull << 5)

struct scan_region {
	__u64 start;
	__u64 end;
	__u64 categories;
};

struct scan_arg {
	__u64 size;
	__u64 flags;
	__u64 start;
	__u64 end;
	__u64 walk_end;
	__u64 vec;
	__u64 vec_len;
	__u64 max_pages;
	__u64 category_inverted;
	__u64 category_mask;
	__u64 category_anyof_mask;
	__u64 return_mask;
};

#define SCAN_IOCTL	_IOWR('f', 16, struct scan_arg)
#define SCAN_REGIONS	64

/**
 * hypr_pagemap_scan() - find the pages of a mapping of this process
 * @kind: HYPR_PAGES_PRESENT: all that are there, or were and are swapped;
 *	HYPR_PAGES_PRIVATE: of these, the ones that are no file's, nor
 *	the zero page, which who reads plain memory gets
 * @fn: called for each stretch of them, in order, by their GPA; may be NULL
 * @pages: out: how many there are
 *
 * Return: 0; what @fn returned other than 0; -ENOTTY or -ENOENT: an older kernel,
 * or no /proc.
 */
int hypr_pagemap_scan(const struct hypr_guest *guest, enum hypr_pages kind,
		      hypr_pages_fn fn, void *fn_arg, uint64_t *pages)
{
	struct scan_region region[SCAN_REGIONS];
	uint64_t start = (uintptr_t)guest->host;
	uint64_t not_own = kind == HYPR_PAGES_PRIVATE ?
			   SCAN_PAGE_IS_FILE | SCAN_PAGE_IS_PFNZERO : 0;
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = start,
		.end = start + guest->bytes,
		.vec = (uintptr_t)region,
		.vec_len = SCAN_REGIONS,
		.category_inverted = not_own,
		.category_mask = not_own,
		.category_anyof_mask = SCAN_PAGE_IS_PRESENT | SCAN_PAGE_IS_SWAPPED,
		.return_mask = SCAN_PAGE_IS_PRESENT,
	};
	int fd, i, n, ret = 0;

	*pages = 0;
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (!ret && arg.start < arg.end) {
		n = ioctl(fd, SCAN_IOCTL, &arg);
		if (n < 0)
			ret = -errno;
		for (i = 0; !ret && i < n; i++) {
			uint64_t nr = (region[i].end - region[i].start) / HYPR_PAGE_BYTES;

			*pages += nr;
			if (fn)
				ret = fn(fn_arg, region[i].start - start, nr);
		}
		arg.start = arg.walk_end;
	}
	close(fd);
	return ret;
}
