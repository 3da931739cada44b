// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Header and section table: nothing of them is believed before it was checked.
 * What tells the kind of file comes first, then lengths, then the root, and
 * then what an evil writer could have put under a root of his own.
 */
#include <stdio.h>
#include <stdlib.h>

#include "vmo/vmo.h"

static const struct {
	uint32_t type;
	const char *name;
} names[] = {
	{ HYPR_VMO_RUNS, "RUNS" },
	{ HYPR_VMO_PAGE_DIGESTS, "PAGE_DIGESTS" },
	{ HYPR_VMO_DATA, "DATA" },
	{ HYPR_VMO_PARENT, "PARENT" },
	{ HYPR_VMO_WORKING_SET, "WORKING_SET" },
	{ HYPR_VMO_CHUNKS, "CHUNKS" },
	{ HYPR_VMO_VCPU, "VCPU" },
	{ HYPR_VMO_CHIPS, "CHIPS" },
	{ HYPR_VMO_PIT, "PIT" },
	{ HYPR_VMO_CLOCK, "CLOCK" },
	{ HYPR_VMO_CONSOLE, "CONSOLE" },
	{ HYPR_VMO_RTC, "RTC" },
	{ HYPR_VMO_CPU, "CPU" },
};

#define NR_NAMES	(sizeof(names) / sizeof(names[0]))

const char *hypr_vmo_section_name(uint32_t type)
{
	size_t i;

	for (i = 0; i < NR_NAMES; i++) {
		if (names[i].type == type)
			return names[i].name;
	}
	return "?";
}

bool hypr_vmo_known(uint32_t type)
{
	return type >= HYPR_VMO_RUNS && type <= HYPR_VMO_CHUNKS;
}

const char *hypr_vmo_describe(char *text, size_t size, const struct hypr_vmo_section *section)
{
	const char *name = hypr_vmo_section_name(section->type);

	if (section->type == HYPR_VMO_VCPU)
		snprintf(text, size, "section %s %u", name, section->index);
	else if (*name == '?')
		snprintf(text, size, "section of type %u", section->type);
	else
		snprintf(text, size, "section %s", name);
	return text;
}

static bool is_zero(const void *data, size_t bytes)
{
	const uint8_t *byte = data;

	return !bytes || (!byte[0] && !memcmp(byte, byte + 1, bytes - 1));
}

/* ---- before the root was checked ------------------------------------------- */

static int check_kind(const struct hypr_vmo_file *file, const struct hypr_vmo_header *header)
{
	uint64_t unknown = header->required & ~HYPR_VMO_PACKED;

	if (header->version > HYPR_VMO_VERSION)
		return hypr_fail(-EOPNOTSUPP, "%s: header: format version %u, and this reads up to %u",
				 file->name, header->version, HYPR_VMO_VERSION);
	if (!header->version)
		return hypr_fail(-EBADMSG, "%s: header: format version 0", file->name);
	if (unknown)
		return hypr_fail(-EOPNOTSUPP, "%s: header: it needs features 0x%llx, which are not known here",
				 file->name, (unsigned long long)unknown);
	if (header->header_bytes != HYPR_VMO_HEADER_BYTES)
		return hypr_fail(-EBADMSG, "%s: header: it says to have %u bytes, not %u",
				 file->name, header->header_bytes, HYPR_VMO_HEADER_BYTES);
	return 0;
}

static int check_lengths(const struct hypr_vmo_file *file, const struct hypr_vmo_header *header)
{
	if (file->bytes < header->file_bytes)
		return hypr_fail(-EBADMSG, "%s: truncated: %llu of %llu bytes", file->name,
				 (unsigned long long)file->bytes,
				 (unsigned long long)header->file_bytes);
	if (file->bytes > header->file_bytes)
		return hypr_fail(-EBADMSG, "%s: %llu bytes where header says %llu", file->name,
				 (unsigned long long)file->bytes,
				 (unsigned long long)header->file_bytes);
	if (!header->nr_sections || header->nr_sections > HYPR_VMO_SECTIONS_MAX)
		return hypr_fail(-EBADMSG, "%s: header: %u sections, not 1 to %u", file->name,
				 header->nr_sections, HYPR_VMO_SECTIONS_MAX);
	if (header->table_bytes != header->nr_sections * sizeof(struct hypr_vmo_section) ||
	    header->table_bytes > header->file_bytes - HYPR_VMO_HEADER_BYTES ||
	    header->table_offset != header->file_bytes - header->table_bytes ||
	    header->table_offset % HYPR_VMO_ALIGN)
		return hypr_fail(-EBADMSG, "%s: header: the section table does not end the file",
				 file->name);
	return 0;
}

static int read_header(struct hypr_vmo_file *file, struct hypr_vmo_header *header)
{
	uint64_t bytes = file->bytes < sizeof(*header) ? file->bytes : sizeof(*header);
	int ret;

	memset(header, 0, sizeof(*header));
	ret = hypr_vmo_file_read(file, 0, header, bytes);
	if (ret)
		return ret;
	if (bytes < sizeof(header->magic) ||
	    memcmp(header->magic, HYPR_VMO_MAGIC, sizeof(header->magic)))
		return hypr_fail(-ENOEXEC, "%s: not a VMO", file->name);
	if (bytes < sizeof(*header))
		return hypr_fail(-EBADMSG, "%s: truncated: %llu bytes, and the header has %u",
				 file->name, (unsigned long long)bytes, HYPR_VMO_HEADER_BYTES);
	ret = check_kind(file, header);
	return ret ? ret : check_lengths(file, header);
}

static int read_table(struct hypr_vmo *vmo)
{
	const struct hypr_vmo_header *header = &vmo->header;
	uint8_t root[HYPR_VMO_DIGEST_BYTES];
	int ret;

	vmo->table = malloc(header->table_bytes);
	vmo->content = calloc(header->nr_sections, sizeof(*vmo->content));
	if (!vmo->table || !vmo->content)
		return hypr_fail(-ENOMEM, "%s: no memory for its section table", vmo->file.name);
	ret = hypr_vmo_file_read(&vmo->file, header->table_offset, vmo->table,
				 header->table_bytes);
	if (ret)
		return ret;
	hypr_vmo_root(root, header, vmo->table);
	if (memcmp(root, header->root, sizeof(root)))
		return hypr_fail(-EBADMSG, "%s: header: the root digest does not fit header and section table",
				 vmo->file.name);
	return 0;
}

/* ---- under a root that fits ------------------------------------------------ */

static int check_signature(const char *name, const struct hypr_vmo_signature *signature)
{
	if (signature->reserved)
		return hypr_fail(-EBADMSG, "%s: header: reserved bytes of the signature are used",
				 name);
	if (signature->algorithm > HYPR_VMO_SIGNED_ED25519)
		return hypr_fail(-EOPNOTSUPP, "%s: header: signature of kind %u, which is not known here",
				 name, signature->algorithm);
	if (!signature->algorithm && !is_zero(signature, sizeof(*signature)))
		return hypr_fail(-EBADMSG, "%s: header: bytes of a signature, and no kind", name);
	return 0;
}

static int check_header(const struct hypr_vmo *vmo)
{
	const struct hypr_vmo_header *header = &vmo->header;
	const char *name = vmo->file.name;

	if (header->page_bytes != HYPR_VMO_PAGE_BYTES)
		return hypr_fail(-EBADMSG, "%s: header: pages of %u bytes, not %u", name,
				 header->page_bytes, HYPR_VMO_PAGE_BYTES);
	if (!header->mem_bytes || header->mem_bytes > HYPR_VMO_MEM_MAX_BYTES ||
	    header->mem_bytes % HYPR_VMO_PAGE_BYTES)
		return hypr_fail(-EBADMSG, "%s: header: memory of %llu bytes", name,
				 (unsigned long long)header->mem_bytes);
	if (header->nr_vcpus > HYPR_VMO_VCPUS_MAX)
		return hypr_fail(-EBADMSG, "%s: header: %u vCPUs, more than %u", name,
				 header->nr_vcpus, HYPR_VMO_VCPUS_MAX);
	if (header->reserved0 || !is_zero(header->reserved1, sizeof(header->reserved1)))
		return hypr_fail(-EBADMSG, "%s: header: reserved bytes are used", name);
	return check_signature(name, &header->signature);
}

static int check_fields(const struct hypr_vmo *vmo, const struct hypr_vmo_section *section)
{
	const char *name = vmo->file.name;
	bool is_vcpu = section->type == HYPR_VMO_VCPU;
	bool is_named = *hypr_vmo_section_name(section->type) != '?';
	char text[48];

	hypr_vmo_describe(text, sizeof(text), section);
	if (section->flags & ~HYPR_VMO_SECTION_OPTIONAL)
		return hypr_fail(-EOPNOTSUPP, "%s: %s: flags 0x%x, which are not known here", name,
				 text, section->flags);
	if (!is_named && !(section->flags & HYPR_VMO_SECTION_OPTIONAL))
		return hypr_fail(-EOPNOTSUPP, "%s: %s: needed, and not known here", name, text);
	if (hypr_vmo_known(section->type) && section->version != 1)
		return hypr_fail(-EOPNOTSUPP, "%s: %s: version %u, and this reads 1", name, text,
				 section->version);
	if (is_named && section->index >= (is_vcpu ? vmo->header.nr_vcpus : 1))
		return hypr_fail(-EBADMSG, "%s: %s: index %u is out of range", name, text,
				 section->index);
	return 0;
}

/*
 * The longest that a section can be in a file with so much memory: no number in a small
 * file makes us take more than what it says of its memory accounts for.
 */
static uint64_t most_bytes(const struct hypr_vmo *vmo, uint32_t type)
{
	uint64_t pages = vmo->header.mem_bytes / HYPR_VMO_PAGE_BYTES, most, inside;

	switch (type) {
	case HYPR_VMO_PAGE_DIGESTS:
		return pages * sizeof(uint64_t);
	case HYPR_VMO_RUNS:
		most = (uint64_t)HYPR_VMO_RUNS_MAX * sizeof(struct hypr_vmo_run);
		return pages < HYPR_VMO_RUNS_MAX ? pages * sizeof(struct hypr_vmo_run) : most;
	case HYPR_VMO_WORKING_SET:
		most = pages * sizeof(struct hypr_vmo_range);
		break;
	case HYPR_VMO_CHUNKS:
		/* Header, pages, tables of pages, sections with gaps, section table. */
		inside = HYPR_VMO_HEADER_BYTES + HYPR_VMO_OPAQUE_SUM_MAX_BYTES +
			 pages * (HYPR_VMO_PAGE_BYTES + sizeof(uint64_t) +
				  sizeof(struct hypr_vmo_run)) +
			 (uint64_t)HYPR_VMO_SECTIONS_MAX *
			 (HYPR_VMO_PAGE_BYTES + sizeof(struct hypr_vmo_section));
		most = sizeof(struct hypr_vmo_chunks) +
		       (inside / HYPR_VMO_CHUNK_BYTES + 1) * sizeof(struct hypr_vmo_chunk);
		break;
	default:
		most = HYPR_VMO_OPAQUE_MAX_BYTES;
	}
	return most < HYPR_VMO_OPAQUE_MAX_BYTES ? most : HYPR_VMO_OPAQUE_MAX_BYTES;
}

/* @sum: of sections that are kept in memory once they are read, so far */
static int check_size(const struct hypr_vmo *vmo, const struct hypr_vmo_section *section,
		      uint64_t *sum)
{
	bool is_table = section->type == HYPR_VMO_RUNS || section->type == HYPR_VMO_PAGE_DIGESTS;
	bool packed = vmo->header.required & HYPR_VMO_PACKED;
	char text[48];

	if (section->type == HYPR_VMO_DATA) {
		if (section != vmo->table || section->offset % HYPR_VMO_PAGE_BYTES ||
		    (!packed && section->bytes % HYPR_VMO_PAGE_BYTES))
			return hypr_fail(-EBADMSG, "%s: section DATA: not the first one, or not whole pages",
					 vmo->file.name);
		if (!hypr_digest_is_zero(section->digest))
			return hypr_fail(-EBADMSG, "%s: section DATA: it has a digest of its own",
					 vmo->file.name);
		return 0;
	}
	if (section->bytes > most_bytes(vmo, section->type))
		return hypr_fail(-EBADMSG, "%s: %s: %llu bytes, more than it may have",
				 vmo->file.name, hypr_vmo_describe(text, sizeof(text), section),
				 (unsigned long long)section->bytes);
	*sum += is_table ? 0 : section->bytes;
	if (*sum > HYPR_VMO_OPAQUE_SUM_MAX_BYTES)
		return hypr_fail(-EBADMSG, "%s: %s: with those before it more than %llu bytes",
				 vmo->file.name, hypr_vmo_describe(text, sizeof(text), section),
				 HYPR_VMO_OPAQUE_SUM_MAX_BYTES);
	return 0;
}

/* Where it stands: behind @end, and before the table. */
static int check_place(struct hypr_vmo *vmo, const char *what, uint64_t end, uint64_t offset,
		       uint64_t bytes, uint64_t limit)
{
	uint8_t gap[HYPR_VMO_PAGE_BYTES];
	int ret;

	if (offset % HYPR_VMO_ALIGN || offset < end || offset - end >= sizeof(gap))
		return hypr_fail(-EBADMSG, "%s: %s: at 0x%llx, and what is before it ends at 0x%llx",
				 vmo->file.name, what, (unsigned long long)offset,
				 (unsigned long long)end);
	if (offset > limit || bytes > limit - offset)
		return hypr_fail(-EBADMSG, "%s: %s: 0x%llx bytes at 0x%llx are beyond 0x%llx",
				 vmo->file.name, what, (unsigned long long)bytes,
				 (unsigned long long)offset, (unsigned long long)limit);
	ret = hypr_vmo_file_read(&vmo->file, end, gap, offset - end);
	if (!ret && !is_zero(gap, offset - end))
		ret = hypr_fail(-EBADMSG, "%s: %s: bytes before it that belong to nothing",
				vmo->file.name, what);
	return ret;
}

static int check_section(struct hypr_vmo *vmo, uint32_t n, uint64_t *end, uint64_t *sum)
{
	const struct hypr_vmo_section *section = &vmo->table[n];
	char text[48];
	uint32_t i;
	int ret;

	hypr_vmo_describe(text, sizeof(text), section);
	ret = check_fields(vmo, section);
	if (!ret)
		ret = check_place(vmo, text, *end, section->offset, section->bytes,
				  vmo->header.table_offset);
	if (!ret)
		ret = check_size(vmo, section, sum);
	if (ret)
		return ret;
	for (i = 0; i < n; i++) {
		if (vmo->table[i].type == section->type && vmo->table[i].index == section->index)
			return hypr_fail(-EBADMSG, "%s: %s: there are two", vmo->file.name, text);
	}
	*end = section->offset + section->bytes;
	return 0;
}

int hypr_vmo_head_read(struct hypr_vmo *vmo)
{
	uint64_t end = HYPR_VMO_HEADER_BYTES, sum = 0;
	uint32_t i;
	int ret;

	ret = read_header(&vmo->file, &vmo->header);
	if (!ret)
		ret = read_table(vmo);
	if (!ret)
		ret = check_header(vmo);
	for (i = 0; !ret && i < vmo->header.nr_sections; i++)
		ret = check_section(vmo, i, &end, &sum);
	if (!ret)
		ret = check_place(vmo, "section table", end, vmo->header.table_offset,
				  vmo->header.table_bytes, vmo->header.file_bytes);
	return ret;
}

struct hypr_vmo_section *hypr_vmo_find(const struct hypr_vmo *vmo, uint32_t type, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < vmo->header.nr_sections; i++) {
		if (vmo->table[i].type == type && vmo->table[i].index == index)
			return &vmo->table[i];
	}
	return NULL;
}

int hypr_vmo_content(struct hypr_vmo *vmo, const struct hypr_vmo_section *section, void **contentp)
{
	void **slot = &vmo->content[section - vmo->table];
	uint8_t digest[HYPR_VMO_DIGEST_BYTES];
	void *content = *slot;
	char text[48];
	int ret;

	*contentp = content;
	if (content)
		return 0;
	hypr_vmo_describe(text, sizeof(text), section);
	content = malloc(section->bytes ? section->bytes : 1);
	if (!content)
		return hypr_fail(-ENOMEM, "%s: %s: no memory for %llu bytes", vmo->file.name, text,
				 (unsigned long long)section->bytes);
	ret = hypr_vmo_file_read(&vmo->file, section->offset, content, section->bytes);
	if (ret)
		goto free_content;
	hypr_digest(digest, content, section->bytes);
	if (memcmp(digest, section->digest, sizeof(digest))) {
		ret = hypr_fail(-EBADMSG, "%s: %s: its digest does not fit", vmo->file.name, text);
		goto free_content;
	}
	*contentp = *slot = content;
	return 0;

free_content:
	free(content);
	return ret;
}

int hypr_vmo_head_write(int fd, struct hypr_vmo_header *header, uint64_t table_offset,
			const struct hypr_vmo_section *table, uint32_t nr)
{
	int ret;

	header->table_offset = table_offset;
	header->nr_sections = nr;
	header->table_bytes = nr * sizeof(*table);
	header->file_bytes = table_offset + header->table_bytes;
	hypr_vmo_root(header->root, header, table);
	ret = hypr_vmo_write(fd, table_offset, table, header->table_bytes);
	return ret ? ret : hypr_vmo_write(fd, 0, header, sizeof(*header));
}
