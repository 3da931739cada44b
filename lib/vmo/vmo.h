/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of libhypr that know VMO files share.  Read vmo_open.c first:
 * it says in which order a file is checked.
 *
 *	vmo_file.c	bytes of a file, packed or not
 *	vmo_head.c	header and section table
 *	vmo_name.c	names of parents
 *	vmo_runs.c	runs, and which layer has a page
 *	vmo_temp.c	a file that is complete once it has its name
 */
#ifndef LIB_VMO_VMO_H
#define LIB_VMO_VMO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hypr/vmo.h"
#include "base/error.h"
#include "base/progress.h"

#define HYPR_VMO_TAIL	64	/* of a path, in messages */

struct ZSTD_DCtx_s;

/**
 * struct hypr_vmo_file - bytes of a file
 * @name: its path, or the end of a long one, for messages
 * @disk_bytes: its length; @bytes: as it reads, unpacked
 * @chunk: NULL: not packed
 * @data_offset: of the first frame
 * @frame, @cached: one unpacked chunk, and its number
 */
struct hypr_vmo_file {
	int fd;
	const char *name;
	dev_t dev;
	ino_t ino;
	uint64_t disk_bytes;
	uint64_t bytes;
	struct hypr_vmo_chunk *chunk;
	uint32_t nr_chunks;
	uint64_t data_offset;
	uint8_t *packed;
	uint8_t *cache;
	uint64_t cached;
	struct ZSTD_DCtx_s *unpacker;
};

/**
 * struct hypr_vmo - a layer, and by @parent those below it
 * @content: of section i, or NULL while it was not read
 * @data: of the section DATA; NULL when the file has none
 */
struct hypr_vmo {
	char *path;
	struct hypr_vmo_file file;
	struct hypr_vmo_header header;
	struct hypr_vmo_section *table;
	void **content;
	const struct hypr_vmo_run *run;
	uint32_t nr_runs;
	uint64_t pages_stored;
	uint64_t pages_zero;
	uint64_t pages_parent;
	const struct hypr_vmo_section *data;
	char parent_name[HYPR_VMO_NAME_MAX_BYTES + 1];
	struct hypr_vmo *parent;
	unsigned int layers;
};

/* vmo_digest.c */

void hypr_digest(uint8_t digest[HYPR_VMO_DIGEST_BYTES], const void *data, size_t bytes);

/** hypr_vmo_root() - @header's root and signature do not count */
void hypr_vmo_root(uint8_t root[HYPR_VMO_DIGEST_BYTES], const struct hypr_vmo_header *header,
		   const struct hypr_vmo_section *table);

uint64_t hypr_page_digest(const void *page);

/** hypr_page_is_zero() - @page is aligned to 8 bytes at least */
bool hypr_page_is_zero(const void *page);

bool hypr_digest_is_zero(const uint8_t digest[HYPR_VMO_DIGEST_BYTES]);

/** hypr_digest_text() - the first 16 digits; @text has 17 bytes */
const char *hypr_digest_text(char *text, const uint8_t digest[HYPR_VMO_DIGEST_BYTES]);

/* vmo_file.c */

/** hypr_vmo_file_open() - @name, for messages, is kept */
int hypr_vmo_file_open(struct hypr_vmo_file *file, const char *path, const char *name);
void hypr_vmo_file_close(struct hypr_vmo_file *file);

/** hypr_vmo_file_read() - all of it; -EBADMSG where the file is shorter */
int hypr_vmo_file_read(struct hypr_vmo_file *file, uint64_t offset, void *buf, uint64_t bytes);

/**
 * hypr_vmo_file_unpack() - from here on, read what is inside the envelope
 * @chunks: contents of CHUNKS, checked here
 */
int hypr_vmo_file_unpack(struct hypr_vmo_file *file, const struct hypr_vmo_section *data,
			 const struct hypr_vmo_chunks *chunks, uint64_t bytes);

/** hypr_vmo_write() - all of it */
int hypr_vmo_write(int fd, uint64_t offset, const void *data, uint64_t bytes);

/* vmo_head.c */

/**
 * hypr_vmo_head_write() - finish a file: section table and header
 * @header: all but the table's place, lengths and root, which are set
 * @table_offset: end of the sections, aligned
 */
int hypr_vmo_head_write(int fd, struct hypr_vmo_header *header, uint64_t table_offset,
			const struct hypr_vmo_section *table, uint32_t nr);

/** hypr_vmo_head_read() - header and section table, checked; allocates the table */
int hypr_vmo_head_read(struct hypr_vmo *vmo);

/** hypr_vmo_find() - section by type and index, or NULL */
struct hypr_vmo_section *hypr_vmo_find(const struct hypr_vmo *vmo, uint32_t type, uint32_t index);

/** hypr_vmo_content() - contents of a section, checked; they belong to @vmo */
int hypr_vmo_content(struct hypr_vmo *vmo, const struct hypr_vmo_section *section, void **content);

/** hypr_vmo_known() - does the library itself know what is in such a section? */
bool hypr_vmo_known(uint32_t type);

/** hypr_vmo_describe() - "section VCPU 3" */
const char *hypr_vmo_describe(char *text, size_t size, const struct hypr_vmo_section *section);

/* vmo_name.c */

/** hypr_vmo_name_is_fit() - can it be the name of a parent, as the format has it? */
bool hypr_vmo_name_is_fit(const char *name);

/* vmo_read.c */

/** hypr_vmo_layer() - the file that has a segment */
struct hypr_vmo *hypr_vmo_layer(struct hypr_vmo *vmo, uint32_t layer);

/** hypr_vmo_truncated() - the first layer that is shorter than it was, or NULL */
const struct hypr_vmo *hypr_vmo_truncated(const struct hypr_vmo *vmo);

/** hypr_vmo_check_length() - of all layers.  Return: 0; -EBADMSG one was truncated. */
int hypr_vmo_check_length(const struct hypr_vmo *vmo);

/** hypr_vmo_gone() - a page of it cannot be read: say why.  Return: -EBADMSG, -EIO. */
int hypr_vmo_gone(struct hypr_vmo *vmo, uint64_t gpa);

/* vmo_runs.c */

/** hypr_vmo_runs_check() - those of the file alone, and count its pages */
int hypr_vmo_runs_check(struct hypr_vmo *vmo);

/** hypr_vmo_ranges_check() - a working set */
int hypr_vmo_ranges_check(const char *name, uint64_t mem_bytes,
			  const struct hypr_vmo_range *range, uint64_t bytes);

/* vmo_open.c */

/** hypr_vmo_tail() - the end of a path, for messages */
const char *hypr_vmo_tail(const char *path);

/** hypr_vmo_beside() - @name in the folder of @path; free() it.  NULL: no memory. */
char *hypr_vmo_beside(const char *path, const char *name);

/**
 * hypr_vmo_path_now() - the file's name now: it may have been moved
 * @path: out: PATH_MAX bytes; absolute, symbolic links resolved
 * Return: false: the file has no name, or its name is another file's.
 */
bool hypr_vmo_path_now(const struct hypr_vmo *vmo, char *path);

/* vmo_temp.c */

/**
 * struct hypr_vmo_need - what a new file must leave as it is
 * @layers, @others: none of these files has the new file's name; or NULL
 * @parent: name of the new file's parent, in the same folder; or NULL
 * @root: of @parent, which is there when the new file gets its name; NULL: nobody asks
 */
struct hypr_vmo_need {
	const struct hypr_vmo *layers, *others;
	const char *parent;
	const uint8_t *root;
};

/**
 * struct hypr_vmo_temp - a file without its final name
 * @mode: less the umask
 * @path: as the caller gave it
 * @dir: its folder; @base: final name there
 * @name: "" while it has none at all
 */
struct hypr_vmo_temp {
	int fd;
	int dir;
	bool replace;
	mode_t mode;
	struct hypr_vmo_need need;
	char *path;
	char base[256];
	char name[300];
};

/** hypr_vmo_temp_create() - @need: or NULL; what it points to must stay until the commit */
int hypr_vmo_temp_create(struct hypr_vmo_temp *temp, const char *path, unsigned int flags,
			 const struct hypr_vmo_need *need);

/** hypr_vmo_temp_create_shared() - the same, with mode 0666 and not 0600 */
int hypr_vmo_temp_create_shared(struct hypr_vmo_temp *temp, const char *path,
				unsigned int flags, const struct hypr_vmo_need *need);
int hypr_vmo_temp_commit(struct hypr_vmo_temp *temp);
int hypr_vmo_temp_finish(struct hypr_vmo_temp *temp, const void *data, size_t bytes);

/** hypr_vmo_temp_check() - may the file take its name, as things are?  See hypr_vmo_need. */
int hypr_vmo_temp_check(const struct hypr_vmo_temp *temp);

/** hypr_vmo_temp_destroy() - and the file, unless it was committed */
void hypr_vmo_temp_destroy(struct hypr_vmo_temp *temp);

/* vmo_verify.c */

/** struct hypr_vmo_sign_message - what is signed of a file */
struct hypr_vmo_sign_message {
	uint8_t prefix[sizeof(HYPR_VMO_SIGN_PREFIX) - 1];
	uint8_t root[HYPR_VMO_DIGEST_BYTES];
};

void hypr_vmo_sign_message(struct hypr_vmo_sign_message *message,
			   const struct hypr_vmo_header *header);

/* vmo_pack.c */

/** hypr_vmo_pack_file() - compress a file that may have no name; @header is its own */
int hypr_vmo_pack_file(struct hypr_vmo_file *file, const struct hypr_vmo_header *header,
		       const char *path, unsigned int flags, const struct hypr_vmo_need *need,
		       int level, uint64_t *bytes);

/* vmo_writer.c */

/**
 * hypr_vmo_writer_keep() - none of these layers may be replaced
 * Return: 0; -EINVAL the writer's name is that of one of them.
 */
int hypr_vmo_writer_keep(struct hypr_vmo_writer *writer, const struct hypr_vmo *layers);

static inline uint64_t hypr_vmo_align(uint64_t at)
{
	return (at + HYPR_VMO_ALIGN - 1) & ~(uint64_t)(HYPR_VMO_ALIGN - 1);
}

#endif /* LIB_VMO_VMO_H */
