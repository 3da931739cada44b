/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For vmlinux.lds.S only: sections of the kernel image are aligned to pages
 * instead of to large pages.
 *
 * The large alignment keeps large pages for the kernel's mapping, and is needed
 * by page-table isolation and memory encryption.  It costs 3.5 MiB of padding,
 * which a guest of 16 MiB has better uses for.
 */
#ifdef CONFIG_HYPR_SMALL_GUEST

#undef HPAGE_SIZE
#define HPAGE_SIZE	PAGE_SIZE

#undef PMD_SIZE
#define PMD_SIZE	PAGE_SIZE

#endif /* CONFIG_HYPR_SMALL_GUEST */
