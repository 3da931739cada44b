// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The private pages of a mapping: those that were written since, and so are no
 * longer the file's.  The kernel tells them by the ioctl PAGEMAP_SCAN (Linux
 * 6.7), which goes past the rest quickly; without it, or without /proc, all
 * pages are dropped, which comes to the same and takes longer.
 *
 * Putting them back copies the file's bytes into them.  They stay private, and
 * mapped where the guest's tables map them: the guest writes most of them again
 * soon, and then neither breaks copy-on-write nor faults.
 */
#include <fcntl.h>
#include <linux/types.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

/* From <linux/fs.h>; the headers of Debian 12 are older than the ioctl. */
#define SCAN_PAGE_IS_FILE	(1ull << 2)
#define SCAN_PAGE_IS_PRESENT	(1ull << 3)
#define SCAN_PAGE_IS_SWAPPED	(1ull << 4)

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

/* Most private pages are as they were: compare, and write those that are not. */
static void put_back(uint8_t *mem, const uint8_t *from, uint64_t offset, uint64_t len)
{
	uint64_t at;

	for (at = offset; at < offset + len; at += HYPR_PAGE_BYTES) {
		if (memcmp(mem + at, from + at, HYPR_PAGE_BYTES))
			memcpy(mem + at, from + at, HYPR_PAGE_BYTES);
	}
}

/*
 * Count the private pages of @mem and, with @from not NULL, copy into each the
 * bytes at the same offset of @from.  -ENOTTY or -ENOENT: cannot be told.
 */
static int scan(uint8_t *mem, uint64_t bytes, const uint8_t *from, uint64_t *pages)
{
	struct scan_region region[SCAN_REGIONS];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)mem,
		.end = (uintptr_t)mem + bytes,
		.vec = (uintptr_t)region,
		.vec_len = SCAN_REGIONS,
		/* Not a page of a file, and there. */
		.category_inverted = SCAN_PAGE_IS_FILE,
		.category_mask = SCAN_PAGE_IS_FILE,
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
		for (i = 0; i < n; i++) {
			uint64_t len = region[i].end - region[i].start;

			*pages += len / HYPR_PAGE_BYTES;
			if (from)
				put_back(mem, from, region[i].start - (uintptr_t)mem, len);
		}
		arg.start = arg.walk_end;
	}
	close(fd);
	return ret;
}

/** hypr_privmem_count() - Return: 0; -errno when this kernel does not tell. */
int hypr_privmem_count(uint8_t *mem, uint64_t bytes, uint64_t *pages)
{
	return scan(mem, bytes, NULL, pages);
}

/**
 * hypr_privmem_restore() - make a private mapping equal its file again
 * @mem: the mapping, which nobody writes meanwhile
 * @from: the file, mapped as a whole
 * @pages: out: private pages put back; all pages when the kernel does not tell
 * @dropped: out: they were dropped, not copied: nothing is mapped any more
 *
 * Return: 0; -errno of madvise().
 */
int hypr_privmem_restore(uint8_t *mem, uint64_t bytes, const uint8_t *from,
			 uint64_t *pages, bool *dropped)
{
	*dropped = scan(mem, bytes, from, pages) != 0;
	if (!*dropped)
		return 0;
	*pages = bytes / HYPR_PAGE_BYTES;
	return madvise(mem, bytes, MADV_DONTNEED) ? -errno : 0;
}
