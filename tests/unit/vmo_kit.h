/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of VMO files share: a folder of their own, small memories, and
 * files whose bytes are changed and sealed anew.
 */
#ifndef TESTS_UNIT_VMO_KIT_H
#define TESTS_UNIT_VMO_KIT_H

#include "unit.h"

#include "lib/vmo/vmo.h"

#define PAGE		4096u
#define KIT_PAGES	32
#define KIT_BYTES	(KIT_PAGES * PAGE)
#define RWX		HYPR_VMO_RUN_RWX

/** kit_setup(), kit_teardown() - for each test, an empty folder; it is left empty */
int kit_setup(void **ctx);
int kit_teardown(void **ctx);

/** kit_path() - of a file there.  Valid until the test's end. */
const char *kit_path(const char *name);

/** kit_count() - how many files are there, hidden ones too */
int kit_count(void);

/** kit_fill() - a page of words that only @seed gives */
void kit_fill(uint8_t *page, uint64_t seed);

/** kit_random() - xorshift; the state is not zero */
uint64_t kit_random(uint64_t *state);

/** kit_seed() - HYPR_SEED, or one of the clock; it is printed */
uint64_t kit_seed(void);

/** kit_memory() - KIT_PAGES pages: data with zero pages between; free() it */
uint8_t *kit_memory(void);

/** kit_params() - for a file of KIT_PAGES pages and 2 vCPUs */
struct hypr_vmo_params kit_params(struct hypr_vmo *parent);

/** kit_write() - memory and a few sections; @parent may be NULL */
void kit_write(const char *name, const uint8_t *mem, struct hypr_vmo *parent);

struct hypr_vmo *kit_open(const char *name);

/** kit_refused() - it is, with @err and with @words in the reason */
void kit_refused(const char *name, int err, const char *words);

/** struct kit_file - all bytes of a file */
struct kit_file {
	uint8_t *bytes;
	size_t len;
	struct hypr_vmo_header *header;
	struct hypr_vmo_section *table;
};

struct kit_file kit_load(const char *name);
void kit_store(const char *name, const struct kit_file *file);
void kit_unload(struct kit_file *file);

/** kit_section() - entry of the table, which must be there */
struct hypr_vmo_section *kit_section(const struct kit_file *file, uint32_t type);

/** kit_seal() - make digests and root fit what stands there */
void kit_seal(struct kit_file *file);

#endif /* TESTS_UNIT_VMO_KIT_H */
