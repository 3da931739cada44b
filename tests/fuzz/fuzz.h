/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the fuzz targets of VMO files share.  An input is not a file as it is: a
 * header is 4096 bytes of which 256 count, and page contents tell no parser
 * anything.  So it is put together from less, and digests are made to fit, or
 * else every mutation would end at the first of them.
 *
 *	input.c		bytes of the fuzzer into the bytes of a file
 *	folder.c	a private folder for the files, and what each target checks
 *	try.c		everything that can be done with a file that opens
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/vmo/vmo.h"

/*
 * An input: a byte of FUZZ_*, a byte with the number of pages of DATA (its low 4
 * bits), then the first 256 bytes of the header and what follows DATA.
 */
#define FUZZ_HEAD_BYTES	2
#define FUZZ_SEAL	0x01	/* digests of sections and the root fit */
#define FUZZ_LENGTHS	0x02	/* so do the length of the file and the table's place */
#define FUZZ_PLACES	0x04	/* and where sections begin */
#define FUZZ_PAGES	0x08	/* and digests of pages */
#define FUZZ_PACK	0x10	/* in an envelope whose digests fit */
#define FUZZ_RAW	0x20	/* instead: all that follows is the file, byte for byte */
#define FUZZ_SHRINK	0x40	/* the file loses its second half when it is open */
#define FUZZ_LINK	0x80	/* layers: the child names its parent's root */

#define FUZZ_FILE_MAX	(1u << 20)

/**
 * struct fuzz_file - bytes of a file; a buffer of the caller's
 * @root: of the file inside, as it is there
 */
struct fuzz_file {
	size_t len;
	uint8_t mode;
	uint8_t root[HYPR_VMO_DIGEST_BYTES];
	uint8_t *bytes;			/* FUZZ_FILE_MAX */
};

/**
 * fuzz_build() - @parent: root for FUZZ_LINK, or NULL
 * Return: false: the input is too short, or makes too long a file.
 */
bool fuzz_build(struct fuzz_file *file, const uint8_t *data, size_t size, const uint8_t *parent);

/** fuzz_path() - of a file of the private folder; valid until the fourth call after */
const char *fuzz_path(const char *name);

void fuzz_store(const char *name, const struct fuzz_file *file);

/** fuzz_clear() - empty the folder */
void fuzz_clear(void);

/** fuzz_try() - open that file and do all that can be done; @other as well, or NULL */
void fuzz_try(const char *name, const char *other, uint8_t mode);

/** fuzz_vm() - a VM for state: it knows FUZZ_MSRS and FUZZ_XSAVE_BYTES */
struct hypr_vm *fuzz_vm(void);

/** fuzz_vm_state() - its state, as that of a VM which was just switched on */
struct hypr_state *fuzz_vm_state(void);

#define FUZZ_VCPUS		2u
#define FUZZ_MSRS		2u
#define FUZZ_XSAVE_BYTES	64u

/** fuzz_check() - what must hold whatever the input is; ends the program otherwise */
#define fuzz_check(what)						\
	do {								\
		if (!(what))						\
			fuzz_bug(__FILE__, __LINE__, #what);		\
	} while (0)
void fuzz_bug(const char *file, int line, const char *what) __attribute__((noreturn));

/**
 * fuzz_checked() - @ret; a failure must be a line for a person that names the file,
 * without what makes a terminal do things
 */
int fuzz_checked(int ret);

#endif /* TESTS_FUZZ_FUZZ_H */
