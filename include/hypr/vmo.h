/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VMO files: the state of a VM, kept in a file, without a VM.  What stands where
 * in one is in <hypr/abi/vmo.h> and docs/spec/vmo-format.md.
 *
 * As in <hypr/hypr.h>, calls return 0 or a negative errno, and hypr_error() has
 * the reason: file, section, and what is wrong there.  Any thread may call, but
 * one struct hypr_vmo or hypr_vmo_writer is for one thread at a time.
 *
 * What calls that read a file return, besides what the system did:
 *
 *	-ENOEXEC	it is no VMO, or no regular file
 *	-EOPNOTSUPP	it is one, of a version or with a feature or section
 *			that this library does not know
 *	-EBADMSG	it is damaged: truncated, changed, or not as the format is
 *	-ESTALE		its parent is missing, or is not the one it was made on
 *	-ELOOP		too many parents, or one that is its own
 *	-ENOMEM
 *	-ECANCELED	see hypr_progress_set()
 */
#ifndef HYPR_VMO_H
#define HYPR_VMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hypr/abi/vmo.h>
#include <hypr/hypr.h>	/* hypr_error() */

#ifdef __cplusplus
extern "C" {
#endif

/* ---- reading ------------------------------------------------------------- */

struct hypr_vmo;

/**
 * hypr_vmo_open() - open a file and its parents
 * @vmop: out: to be given back with hypr_vmo_close()
 *
 * Checks all of their headers, section tables and runs; nothing is mapped, and
 * page data is not looked at.  Parents are looked for by name, where @path is.
 *
 * Return: 0; see above; or what open() returned for @path.
 */
int hypr_vmo_open(const char *path, struct hypr_vmo **vmop);

/** hypr_vmo_close() - mappings that were made from it stay.  NULL is allowed. */
void hypr_vmo_close(struct hypr_vmo *vmo);

/** hypr_vmo_parent() - the layer below, or NULL.  It belongs to @vmo. */
struct hypr_vmo *hypr_vmo_parent(struct hypr_vmo *vmo);

struct hypr_vmo_info {
	uint32_t version;
	uint32_t nr_vcpus;
	uint32_t nr_sections;
	uint32_t nr_runs;
	uint32_t layers;		/* 1 without a parent */
	uint8_t packed;			/* this file; it cannot be mapped */
	uint8_t has_signature;		/* see hypr_vmo_check_signature() */
	uint8_t has_parent;
	uint8_t reserved;
	uint64_t mem_bytes;
	uint64_t created_ns;		/* Unix time */
	uint64_t file_bytes;		/* as it stands there, packed or not */
	uint64_t unpacked_bytes;
	uint64_t pages;			/* of memory; the next three are its parts */
	uint64_t pages_stored;		/* in this file */
	uint64_t pages_zero;		/* by this file's own word */
	uint64_t pages_parent;		/* as in the parent */
	uint8_t root[HYPR_VMO_DIGEST_BYTES];	/* identity */
	uint8_t parent[HYPR_VMO_DIGEST_BYTES];
	uint8_t public_key[32];
	char parent_name[HYPR_VMO_NAME_MAX_BYTES + 1];	/* "" without a parent */
};

/** hypr_vmo_info() - what the topmost file says of itself */
void hypr_vmo_info(const struct hypr_vmo *vmo, struct hypr_vmo_info *info);

/**
 * hypr_vmo_sections() - the section table
 * @table: out: entries in the file's order; they belong to @vmo
 * Return: how many.
 */
unsigned int hypr_vmo_sections(const struct hypr_vmo *vmo,
			       const struct hypr_vmo_section **table);

/** hypr_vmo_section_name() - of a type; "?" when it is not known */
const char *hypr_vmo_section_name(uint32_t type);

/**
 * hypr_vmo_section() - contents of a section of the topmost file, once checked
 * @index: of a vCPU; else 0
 * @data: out: they belong to @vmo, and are aligned for any type
 * @version: out, or NULL
 *
 * Return: 0; see above; -ENOENT there is none; -EINVAL DATA is not had this way.
 */
int hypr_vmo_section(struct hypr_vmo *vmo, uint32_t type, uint32_t index,
		     const void **data, size_t *bytes, uint32_t *version);

/**
 * struct hypr_vmo_segment - pages that follow one another, parents seen through
 * @flags: HYPR_VMO_RUN_R, W, X as the topmost file has them; ZERO
 * @layer: whose file has them, 0 the topmost; 0 with ZERO
 * @fd, @offset: where in that file; -1 and 0 with ZERO.  Of a packed file they
 *	are no place to read from.
 */
struct hypr_vmo_segment {
	uint64_t gpa;
	uint64_t pages;
	uint32_t flags;
	uint32_t layer;
	int fd;
	uint32_t reserved;
	uint64_t offset;
};

/**
 * hypr_vmo_segment() - what is at @gpa, and how far from there it is the same
 *
 * From 0 on, and each time at gpa + 4096 * pages, it goes through all memory.
 * Return: 0; -EINVAL @gpa is not of a page of the memory.
 */
int hypr_vmo_segment(const struct hypr_vmo *vmo, uint64_t gpa, struct hypr_vmo_segment *segment);

/**
 * hypr_vmo_read() - copy memory out of the file, parents seen through
 * @gpa, @bytes: any range within memory
 *
 * By read(): a file that shrinks is an error and no signal.  Pages are not held
 * against their digests.
 *
 * Return: 0; see above; -EINVAL the range is not within the memory.
 */
int hypr_vmo_read(struct hypr_vmo *vmo, uint64_t gpa, void *buf, uint64_t bytes);

/**
 * hypr_vmo_map() - map the memory, copy-on-write
 * @mem: mem_bytes of address space that are the caller's; whatever is mapped
 *	there is replaced
 *
 * Page data is mapped from the files and shared with all who map them, zero
 * pages are anonymous; all can be read and written.  Where memory is in so many
 * pieces that the system would run out of mappings, the shortest are copied.
 *
 * A file that is truncated afterwards gives SIGBUS to who touches the pages
 * (EFAULT out of KVM_RUN): as with any mapping.  What a run says of writing and
 * executing is not in the mapping; hypr_vmo_segment() tells.
 *
 * Return: 0; -EOPNOTSUPP a file is packed; or what mmap() returned.  After an
 * error @mem is reserved (PROT_NONE) and has nothing of the file.
 */
int hypr_vmo_map(struct hypr_vmo *vmo, void *mem);

struct hypr_vmo_verify_result {
	uint32_t layers;
	uint32_t sections;
	uint64_t pages;			/* whose digests are right, of all layers */
	uint64_t bad_pages;
	uint64_t bad_gpa;		/* the first of them */
	uint32_t bad_layer;		/* and its layer */
	uint32_t reserved;
};

/**
 * hypr_vmo_verify() - check every section and page of all layers, and signatures
 * @result: out
 *
 * Return: 0 all is right; -EBADMSG it is not, and hypr_error() has the first
 * place; or as for hypr_vmo_open().
 */
int hypr_vmo_verify(struct hypr_vmo *vmo, struct hypr_vmo_verify_result *result);

/**
 * hypr_vmo_check_signature() - is the topmost file signed, and by this key?
 * @public_key: 32 bytes, or NULL for any key
 *
 * Return: 0; -ENOKEY not signed; -EKEYREJECTED by another key; -EBADMSG the
 * signature does not fit the file.
 */
int hypr_vmo_check_signature(const struct hypr_vmo *vmo, const uint8_t *public_key);

/* ---- writing ------------------------------------------------------------- */

struct hypr_vmo_writer;

/* hypr_vmo_params.flags, and of the calls that make one file of another */
/*
 * REPLACE: a regular file that is there already.  Anything else of that name (symbolic
 * link, folder, FIFO, socket, device) stays, and the call returns -EEXIST.
 */
#define HYPR_VMO_REPLACE	(1u << 0)
#define HYPR_VMO_COMPRESS	(1u << 1)	/* hypr_vmo_params only: write it packed */

/**
 * struct hypr_vmo_params - what is to be written
 * @size: sizeof(struct hypr_vmo_params); fields are only ever appended
 * @created_ns: Unix time; 0 is now
 * @parent: write only what differs from it; same memory size and same folder.
 *	Must stay open until the writer is destroyed.  Or NULL.
 */
struct hypr_vmo_params {
	uint32_t size;
	uint32_t flags;
	uint64_t mem_bytes;
	uint32_t nr_vcpus;
	uint32_t reserved;
	uint64_t created_ns;
	struct hypr_vmo *parent;
};

/**
 * hypr_vmo_writer_create() - begin a file
 * @path: its final name; nothing is there before hypr_vmo_writer_commit()
 * @writerp: out: to be given back with hypr_vmo_writer_destroy()
 *
 * Also removes what killed writers have left in the folder.
 *
 * A parent that was opened through a symbolic link in its own folder has its own
 * name in the file, not that of the link.
 *
 * Return: 0; -EINVAL a field of @params is out of range, the parent's memory has
 * another size, its name is none for a parent, or @path is another name of a file
 * that the new one needs; -EEXIST there is such a file; -EXDEV the parent stands in
 * another folder; -ESTALE the parent was removed or replaced; -ELOOP it has too
 * many parents itself; or what the system returned.
 */
int hypr_vmo_writer_create(const char *path, const struct hypr_vmo_params *params,
			   struct hypr_vmo_writer **writerp);

/**
 * hypr_vmo_writer_pages() - add pages
 * @gpa: not below the end of the pages added before
 * @mem: nr_pages * 4096 bytes that stay as they are meanwhile; NULL: all zero
 * @flags: HYPR_VMO_RUN_R, W, X; R is needed
 *
 * Zero pages, and pages that the parent has alike, take no space.  Pages that
 * are never added are as in the parent, or zero, and RWX.
 *
 * Return: 0; -EINVAL order, range or flags; -E2BIG memory is in too many pieces
 * (HYPR_VMO_RUNS_MAX); -ENOSPC, -EFBIG, -EIO; -ENOMEM; as for hypr_vmo_read() of
 * the parent.  After an error the file cannot be committed.
 */
int hypr_vmo_writer_pages(struct hypr_vmo_writer *writer, uint64_t gpa, const void *mem,
			  uint64_t nr_pages, uint32_t flags);

/**
 * hypr_vmo_writer_section() - add a section
 * @type: HYPR_VMO_WORKING_SET, HYPR_VMO_VCPU and up, or one of your own
 * @flags: HYPR_VMO_SECTION_*
 * @data: is copied
 *
 * Return: 0; -EINVAL the type is the writer's own, the index is out of range, or
 * the contents are too long; -EEXIST type and index are there already;
 * -E2BIG too many sections, or more than HYPR_VMO_OPAQUE_SUM_MAX_BYTES in them;
 * -ENOMEM.
 */
int hypr_vmo_writer_section(struct hypr_vmo_writer *writer, uint32_t type, uint32_t index,
			    uint32_t version, uint32_t flags, const void *data, size_t bytes);

struct hypr_vmo_written {
	uint64_t file_bytes;
	uint64_t pages_stored;
	uint64_t pages_zero;
	uint64_t pages_parent;
	uint8_t root[HYPR_VMO_DIGEST_BYTES];
};

/**
 * hypr_vmo_writer_commit() - finish the file, onto the disk and under its name
 * @written: out, or NULL
 *
 * With HYPR_VMO_COMPRESS the file is packed now, from one that has no name, and
 * @written has the length of the packed one; both are on the disk for a while.
 *
 * Return: 0; -EEXIST such a file came to be meanwhile; -EINVAL it was committed,
 * adding to it failed, or the name is now that of a file that is needed; -ESTALE the
 * parent was removed or replaced meanwhile; or what the system returned: nothing of it is under
 * the final name then.
 */
int hypr_vmo_writer_commit(struct hypr_vmo_writer *writer, struct hypr_vmo_written *written);

/** hypr_vmo_writer_destroy() - without a commit, nothing is left.  NULL is allowed. */
void hypr_vmo_writer_destroy(struct hypr_vmo_writer *writer);

/* ---- signatures ---------------------------------------------------------- */

#define HYPR_VMO_KEY_BYTES	32	/* a public key; a secret one is its 32-byte seed */

/*
 * Keys are text files of one line, "hypr-ed25519-public " or
 * "hypr-ed25519-secret " and 64 hexadecimal digits.
 */

/**
 * hypr_vmo_keygen() - make a pair of keys
 * @path: the secret key, mode 0600; the public one goes to @path.pub
 * Return: 0; -EEXIST one of them is there; or what the system returned.
 */
int hypr_vmo_keygen(const char *path, uint8_t public_key[HYPR_VMO_KEY_BYTES]);

/** hypr_vmo_public_key() - read one from its file.  Return: 0; -EINVAL it is none. */
int hypr_vmo_public_key(const char *path, uint8_t public_key[HYPR_VMO_KEY_BYTES]);

/**
 * hypr_vmo_sign() - sign a file in place; a signature that it has is replaced
 * @key: file of the secret key
 *
 * All of the file is verified first, but not its parents' pages: the root names
 * the parent.  The identity stays.
 *
 * Return: 0; -EACCES others than the owner can read the key; -EINVAL it is no
 * secret key; -EOPNOTSUPP the file is packed; as for hypr_vmo_verify().
 */
int hypr_vmo_sign(const char *path, const char *key);

/* ---- one file of another ------------------------------------------------- */

/**
 * hypr_vmo_flatten() - one file without a parent, of a file and its parents
 * @flags: HYPR_VMO_REPLACE
 *
 * Sections of the topmost file are kept.  The identity is another one.  @path can be
 * the topmost file itself, but no file below it.
 *
 * Return: 0; -EINVAL unknown flag, or @path is a file below; as for hypr_vmo_read() and the writer.
 */
int hypr_vmo_flatten(struct hypr_vmo *vmo, const char *path, unsigned int flags,
		     struct hypr_vmo_written *written);

/**
 * hypr_vmo_pack() - compress the topmost file, for keeping
 * @level: of zstd, 1 to 19; 0 is 3
 * @bytes: out: length of the packed file, or NULL
 *
 * @path can be the topmost file itself, but no file below it, nor its parent's name
 * in another folder.
 *
 * Return: 0; -EINVAL level, or such a @path; -EALREADY it is packed; as for hypr_vmo_read() and
 * the writer.
 */
int hypr_vmo_pack(struct hypr_vmo *vmo, const char *path, unsigned int flags, int level,
		  uint64_t *bytes);

/**
 * hypr_vmo_unpack() - get back what was packed, byte for byte
 * Return: 0; -EALREADY it is not packed; as for hypr_vmo_pack().
 */
int hypr_vmo_unpack(struct hypr_vmo *vmo, const char *path, unsigned int flags,
		    uint64_t *bytes);

/**
 * hypr_vmo_export() - an ELF core file for debuggers
 * @vcpus: out: how many vCPUs have their registers in it, or NULL
 *
 * A PT_LOAD for each stretch of memory, physical addresses as addresses, and
 * an NT_PRSTATUS for each vCPU section that begins with registers.
 *
 * Return: 0; -E2BIG more than 65534 stretches; -EINVAL @path is @vmo or a file below
 * it; as for hypr_vmo_read() and the writer.
 */
int hypr_vmo_export(struct hypr_vmo *vmo, const char *path, unsigned int flags,
		    unsigned int *vcpus);

/* ---- working sets -------------------------------------------------------- */

/**
 * hypr_vmo_ws_path() - where a file's working set is recorded: beside it
 * @path: out: absolute, symbolic links resolved, to be freed
 *
 * Return: 0; -ENOENT the file has no name any more; -ENOMEM.
 */
int hypr_vmo_ws_path(const struct hypr_vmo *vmo, char **path);

/**
 * hypr_vmo_ws_write() - record a working set
 * @path: its name; NULL: as hypr_vmo_ws_path() has it
 * @flags: HYPR_VMO_REPLACE
 * @range: @nr of them, ascending, none overlaps
 *
 * Return: 0; -EINVAL they are no such ranges, or @path is a VMO that they are of;
 * -E2BIG more than
 * HYPR_VMO_WS_RANGES_MAX; as for hypr_vmo_ws_path() and the writer.
 */
int hypr_vmo_ws_write(const struct hypr_vmo *vmo, const char *path, unsigned int flags,
		      const struct hypr_vmo_range *range, size_t nr);

/**
 * hypr_vmo_ws_read() - the working set that belongs to a file
 * @range, @nr: out: checked; to be freed
 *
 * That beside the file; if there is none, the section WORKING_SET.
 *
 * Return: 0; -ENODATA there is neither; -ESTALE it is of another file; else as
 * for hypr_vmo_open().
 */
int hypr_vmo_ws_read(struct hypr_vmo *vmo, struct hypr_vmo_range **range, size_t *nr);

/* ---- differences --------------------------------------------------------- */

/* How memory differs; a page that is zero in the second file is ZEROED. */
#define HYPR_VMO_SAME		0
#define HYPR_VMO_CHANGED	1
#define HYPR_VMO_ZEROED		2
#define HYPR_VMO_SAME_ZERO	3	/* the same, and zero */

/** hypr_vmo_diff_fn - a stretch of pages that are alike; other than 0 ends it */
typedef int (*hypr_vmo_diff_fn)(void *arg, uint64_t gpa, uint64_t pages, int kind);

/**
 * hypr_vmo_diff() - compare the memory of two files
 * @fn: called with ascending addresses, all memory covered, neighbours unlike
 *
 * Pages that both have from one place of one file are not read.
 *
 * Return: 0; -EINVAL memory of different sizes; what @fn returned; as for
 * hypr_vmo_read().
 */
int hypr_vmo_diff(struct hypr_vmo *from, struct hypr_vmo *to, hypr_vmo_diff_fn fn, void *arg);

/**
 * hypr_vmo_report_write() - what was found out about files, into a file
 * @vmo, @other: files that it must not replace, nor those below them; or NULL
 * @path, @flags: its name, and HYPR_VMO_REPLACE
 * @data: @bytes of text or the like
 *
 * As with a VMO nothing is under the name before all of it is on the disk, and a file
 * that is there stays when this fails.  Its mode is 0666 less the umask.
 *
 * Return: 0; -EINVAL @path is one of the files; as for the writer.
 */
int hypr_vmo_report_write(const struct hypr_vmo *vmo, const struct hypr_vmo *other,
			  const char *path, unsigned int flags, const void *data, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif /* HYPR_VMO_H */
