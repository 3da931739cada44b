/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A VMO as it stands in its file: docs/spec/vmo-format.md in C.  Needs nothing
 * of libhypr.  All numbers are little-endian; offsets and sizes are in bytes
 * unless the name says pages.
 *
 *	header		page 0
 *	sections	one after another, DATA (page-aligned) first
 *	section table	to the end of the file
 */
#ifndef HYPR_ABI_VMO_H
#define HYPR_ABI_VMO_H

#include <stddef.h>
#include <stdint.h>

#define HYPR_VMO_MAGIC			"HYPRVMO\x1a"	/* 8 bytes, no NUL */
#define HYPR_VMO_VERSION		1
#define HYPR_VMO_HEADER_BYTES		4096
#define HYPR_VMO_PAGE_BYTES		4096
#define HYPR_VMO_DIGEST_BYTES		32		/* BLAKE2b-256 */
#define HYPR_VMO_ALIGN			8		/* of sections and the table */

/* Bounds of a file of this version. */
#define HYPR_VMO_MEM_MAX_BYTES		(1ull << 40)
#define HYPR_VMO_VCPUS_MAX		1024
#define HYPR_VMO_SECTIONS_MAX		2048
#define HYPR_VMO_RUNS_MAX		(1u << 22)
#define HYPR_VMO_OPAQUE_MAX_BYTES	(64ull << 20)	/* of a section, but DATA and tables */
#define HYPR_VMO_OPAQUE_SUM_MAX_BYTES	(128ull << 20)	/* of all such in a file */
#define HYPR_VMO_LAYERS_MAX		16		/* a file and its parents */
#define HYPR_VMO_NAME_MAX_BYTES		255		/* of a parent's name */

/* Required features: a reader that does not know a bit refuses the file. */
#define HYPR_VMO_PACKED			(1ull << 0)	/* an envelope of CHUNKS and DATA */

/**
 * struct hypr_vmo_signature - who vouches for the root
 * @algorithm: HYPR_VMO_SIGNED_*
 * @public_key: Ed25519
 * @signature: of HYPR_VMO_SIGN_PREFIX, without its NUL, and the root
 */
struct hypr_vmo_signature {
	uint32_t algorithm;
	uint32_t reserved;
	uint8_t public_key[32];
	uint8_t signature[64];
};

#define HYPR_VMO_SIGNED_NOT		0		/* all of the struct is zero */
#define HYPR_VMO_SIGNED_ED25519		1
#define HYPR_VMO_SIGN_PREFIX		"HYPR VMO root 1\n"

/**
 * struct hypr_vmo_header - page 0
 * @required, @optional: feature bits
 * @created_ns: Unix time
 * @file_bytes: length of the file
 * @table_offset, @table_bytes, @nr_sections: the section table
 * @parent: root of the parent; zero: no parent
 * @root: BLAKE2b-256 of this page, with @root and @signature zero, and of the
 *	section table
 */
struct hypr_vmo_header {
	uint8_t magic[8];
	uint32_t version;
	uint32_t header_bytes;
	uint64_t required;
	uint64_t optional;
	uint64_t mem_bytes;
	uint32_t page_bytes;
	uint32_t nr_vcpus;
	uint64_t created_ns;
	uint64_t file_bytes;
	uint64_t table_offset;
	uint64_t table_bytes;
	uint32_t nr_sections;
	uint32_t reserved0;
	uint8_t parent[HYPR_VMO_DIGEST_BYTES];
	uint8_t root[HYPR_VMO_DIGEST_BYTES];
	struct hypr_vmo_signature signature;
	uint8_t reserved1[3840];
};

/* hypr_vmo_section.type */
#define HYPR_VMO_RUNS			1	/* struct hypr_vmo_run[] */
#define HYPR_VMO_PAGE_DIGESTS		2	/* uint64_t[]: XXH3-64 of each page of DATA */
#define HYPR_VMO_DATA			3	/* pages */
#define HYPR_VMO_PARENT			4	/* file name of the parent, no NUL */
#define HYPR_VMO_WORKING_SET		5	/* struct hypr_vmo_range[]; see hypr_vmo_ws */
#define HYPR_VMO_CHUNKS			6	/* struct hypr_vmo_chunks; packed files only */
#define HYPR_VMO_VCPU			16	/* index: the vCPU */
#define HYPR_VMO_CHIPS			17
#define HYPR_VMO_PIT			18
#define HYPR_VMO_CLOCK			19
#define HYPR_VMO_CONSOLE		20
#define HYPR_VMO_RTC			21
#define HYPR_VMO_CPU			22	/* what the guest's CPU must have */

/* hypr_vmo_section.flags */
#define HYPR_VMO_SECTION_OPTIONAL	(1u << 0) /* skip it when the type is not known */

/**
 * struct hypr_vmo_section - an entry of the section table
 * @index: number of the vCPU; 0 for other types
 * @version: of the section's contents, counted for each type
 * @digest: BLAKE2b-256 of the contents; zero for DATA
 */
struct hypr_vmo_section {
	uint32_t type;
	uint32_t index;
	uint32_t version;
	uint32_t flags;
	uint64_t offset;
	uint64_t bytes;
	uint8_t digest[HYPR_VMO_DIGEST_BYTES];
};

/* hypr_vmo_run.flags: R is always set; at most one of ZERO and PARENT */
#define HYPR_VMO_RUN_R			(1u << 0)
#define HYPR_VMO_RUN_W			(1u << 1)
#define HYPR_VMO_RUN_X			(1u << 2)
#define HYPR_VMO_RUN_ZERO		(1u << 3)
#define HYPR_VMO_RUN_PARENT		(1u << 4)
#define HYPR_VMO_RUN_RWX		(HYPR_VMO_RUN_R | HYPR_VMO_RUN_W | HYPR_VMO_RUN_X)

/**
 * struct hypr_vmo_run - pages that follow one another
 * @gpa: where the run before it ends; the last one ends at mem_bytes
 * @offset: of its pages in DATA, where those of the run with pages before it
 *	end; 0 with ZERO and PARENT
 */
struct hypr_vmo_run {
	uint64_t gpa;
	uint64_t pages;
	uint64_t offset;
	uint32_t flags;
	uint32_t reserved;
};

/** struct hypr_vmo_range - an entry of a working set: ascending, no two overlap */
struct hypr_vmo_range {
	uint64_t gpa;
	uint64_t pages;
};

/** struct hypr_vmo_chunk - a zstd frame in DATA; one begins where the last one ends */
struct hypr_vmo_chunk {
	uint64_t offset;
	uint64_t bytes;
};

/**
 * struct hypr_vmo_chunks - how the DATA of a packed file unpacks
 * @file_bytes: of the whole file that was packed, its header included
 * @chunk_bytes: of it in each frame; the last frame may have less
 */
struct hypr_vmo_chunks {
	uint64_t file_bytes;
	uint32_t chunk_bytes;
	uint32_t nr_chunks;
	/* struct hypr_vmo_chunk[nr_chunks] */
};

#define HYPR_VMO_CHUNK_BYTES		(1u << 20)

/*
 * A recorded working set: a file beside the VMO, FILE.vmo.ws, and no part of it.
 */
#define HYPR_VMO_WS_MAGIC		"HYPR-WS\x1a"	/* 8 bytes, no NUL */
#define HYPR_VMO_WS_VERSION		1
#define HYPR_VMO_WS_HEADER_BYTES	128
#define HYPR_VMO_WS_RANGES_MAX		(1u << 22)
#define HYPR_VMO_WS_SUFFIX		".ws"

/**
 * struct hypr_vmo_ws - its header; struct hypr_vmo_range[nr_ranges] to the end follow
 * @required, @optional: feature bits, as in a VMO; none are known
 * @mem_bytes: of the VMO
 * @pages: of all ranges
 * @recorded_ns: Unix time
 * @root: of the VMO that it belongs to
 * @digest: BLAKE2b-256 of the whole file, with @digest zero
 */
struct hypr_vmo_ws {
	uint8_t magic[8];
	uint32_t version;
	uint32_t header_bytes;
	uint64_t required;
	uint64_t optional;
	uint64_t mem_bytes;
	uint64_t pages;
	uint64_t recorded_ns;
	uint32_t nr_ranges;
	uint32_t reserved;
	uint8_t root[HYPR_VMO_DIGEST_BYTES];
	uint8_t digest[HYPR_VMO_DIGEST_BYTES];
};

#endif /* HYPR_ABI_VMO_H */
