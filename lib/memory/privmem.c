// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The private pages of a mapping: those that were written since, and so are no
 * longer the file's.  Where the kernel does not tell them (pagemap.c), all pages
 * are dropped, which comes to the same and takes longer.
 *
 * Putting them back copies the file's bytes into them.  They stay private, and
 * mapped where the guest's tables map them: the guest writes most of them again
 * soon, and then neither breaks copy-on-write nor faults.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/guest.h"
#include "base/page.h"
#include "memory/pagemap.h"
#include "memory/privmem.h"

/**
 * hypr_privmem_put_back() - make pages equal their file again
 * @privmem: struct hypr_privmem
 * @gpa: the first page
 *
 * Pages that are as they were stay shared, or clean.
 * Return: 0; -EFAULT a page is beyond the memory.
 */
int hypr_privmem_put_back(void *privmem, uint64_t gpa, uint64_t pages)
{
	const struct hypr_privmem *p = privmem;
	uint8_t *have = hypr_guest_at(p->guest, hypr_gpa(gpa), pages * HYPR_PAGE_BYTES);
	const uint8_t *want = hypr_guest_at(p->from, hypr_gpa(gpa), pages * HYPR_PAGE_BYTES);

	if (!have || !want)
		return -EFAULT;
	for (; pages; pages--, have += HYPR_PAGE_BYTES, want += HYPR_PAGE_BYTES) {
		if (memcmp(have, want, HYPR_PAGE_BYTES))
			memcpy(have, want, HYPR_PAGE_BYTES);
	}
	return 0;
}

/**
 * hypr_privmem_copy_back() - the same for pages that were written: all are private
 * @privmem: struct hypr_privmem
 * @gpa: the first page
 *
 * To compare a page takes longer than to copy it.
 * Return: 0; -EFAULT a page is beyond the memory.
 */
int hypr_privmem_copy_back(void *privmem, uint64_t gpa, uint64_t pages)
{
	const struct hypr_privmem *p = privmem;
	uint8_t *have = hypr_guest_at(p->guest, hypr_gpa(gpa), pages * HYPR_PAGE_BYTES);
	const uint8_t *want = hypr_guest_at(p->from, hypr_gpa(gpa), pages * HYPR_PAGE_BYTES);

	if (!have || !want)
		return -EFAULT;
	for (; pages; pages--, have += HYPR_PAGE_BYTES, want += HYPR_PAGE_BYTES)
		memcpy(have, want, HYPR_PAGE_BYTES);
	return 0;
}

/** hypr_privmem_count() - Return: 0; -errno when this kernel does not tell. */
int hypr_privmem_count(const struct hypr_guest *guest, uint64_t *pages)
{
	return hypr_pagemap_scan(guest, HYPR_PAGES_PRIVATE, NULL, NULL, pages);
}

/**
 * hypr_privmem_restore() - make the private pages of a mapping equal their file again
 * @pages: out: private pages put back
 *
 * Return: 0; -errno when this kernel does not tell them.
 */
int hypr_privmem_restore(struct hypr_privmem *privmem, uint64_t *pages)
{
	return hypr_pagemap_scan(privmem->guest, HYPR_PAGES_PRIVATE, hypr_privmem_put_back,
				 privmem, pages);
}

/**
 * hypr_privmem_drop() - the same for all pages: nothing is mapped any more
 *
 * Return: 0; -errno of madvise().
 */
int hypr_privmem_drop(const struct hypr_guest *guest, uint64_t *pages)
{
	*pages = guest->bytes / HYPR_PAGE_BYTES;
	return madvise(guest->host, guest->bytes, MADV_DONTNEED) ? -errno : 0;
}
