// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The sections of a file that is written, and its end: tables and header, and with
 * them its name.
 */
#include <stdlib.h>

#include "vmo/vmo_writer.h"

#define OWN_SECTIONS	4	/* DATA, RUNS, PAGE_DIGESTS, PARENT */
/* All of them and a parent's name within the format's bound. */
#define SECTIONS_MAX_BYTES	(HYPR_VMO_OPAQUE_SUM_MAX_BYTES - HYPR_VMO_NAME_MAX_BYTES)

/* ---- sections -------------------------------------------------------------- */

static int check_section(const struct hypr_vmo_writer *writer,
			 const struct hypr_vmo_section *entry, const void *data)
{
	bool is_named = *hypr_vmo_section_name(entry->type) != '?';
	uint32_t i, indexes = entry->type == HYPR_VMO_VCPU ? writer->header.nr_vcpus : 1;
	char text[48];

	hypr_vmo_describe(text, sizeof(text), entry);
	if (writer->committed || writer->failed)
		return hypr_fail(-EINVAL, "%s: it was committed, or failed before", writer->name);
	if (entry->flags & ~HYPR_VMO_SECTION_OPTIONAL)
		return hypr_fail(-EINVAL, "%s: %s: flags 0x%x", writer->name, text, entry->flags);
	if (hypr_vmo_known(entry->type) && entry->type != HYPR_VMO_WORKING_SET)
		return hypr_fail(-EINVAL, "%s: %s: the writer makes it by itself", writer->name,
				 text);
	if (!is_named && !(entry->flags & HYPR_VMO_SECTION_OPTIONAL))
		return hypr_fail(-EINVAL, "%s: %s: not known, so it must be optional",
				 writer->name, text);
	if (is_named && entry->index >= indexes)
		return hypr_fail(-EINVAL, "%s: %s: index %u is out of range", writer->name, text,
				 entry->index);
	if (entry->bytes > HYPR_VMO_OPAQUE_MAX_BYTES)
		return hypr_fail(-EINVAL, "%s: %s: %llu bytes are too many", writer->name, text,
				 (unsigned long long)entry->bytes);
	if (entry->type == HYPR_VMO_WORKING_SET &&
	    (entry->version != 1 || hypr_vmo_ranges_check(writer->name, writer->header.mem_bytes,
							  data, entry->bytes)))
		return hypr_fail(-EINVAL, "%s: %s: not ranges as version 1 has them",
				 writer->name, text);
	for (i = 0; i < writer->nr_sections; i++) {
		if (writer->section[i].entry.type == entry->type &&
		    writer->section[i].entry.index == entry->index)
			return hypr_fail(-EEXIST, "%s: %s: it is there already", writer->name,
					 text);
	}
	return 0;
}

/* Takes @data over, also when it fails. */
static int add_section(struct hypr_vmo_writer *writer, const struct hypr_vmo_section *entry,
		       void *data)
{
	struct hypr_vmo_pending *grown;

	grown = reallocarray(writer->section, writer->nr_sections + 1, sizeof(*grown));
	if (!grown || !data) {
		free(data);
		if (grown)
			writer->section = grown;
		return hypr_vmo_writer_no_memory(writer);
	}
	writer->section = grown;
	grown[writer->nr_sections++] = (struct hypr_vmo_pending){ *entry, data };
	return 0;
}

static void *copy_of(const void *data, size_t bytes)
{
	void *copy = malloc(bytes ? bytes : 1);

	if (copy && bytes)
		memcpy(copy, data, bytes);
	return copy;
}

int hypr_vmo_writer_section(struct hypr_vmo_writer *writer, uint32_t type, uint32_t index,
			    uint32_t version, uint32_t flags, const void *data, size_t bytes)
{
	struct hypr_vmo_section entry = {
		.type = type,
		.index = index,
		.version = version,
		.flags = flags,
		.bytes = bytes,
	};
	int ret;

	ret = check_section(writer, &entry, data);
	if (!ret && writer->nr_sections == HYPR_VMO_SECTIONS_MAX - OWN_SECTIONS)
		ret = hypr_fail(-E2BIG, "%s: too many sections", writer->name);
	if (!ret && bytes > SECTIONS_MAX_BYTES - writer->sections_bytes)
		ret = hypr_fail(-E2BIG, "%s: its sections have more than %llu bytes", writer->name,
				SECTIONS_MAX_BYTES);
	if (!ret)
		ret = add_section(writer, &entry, copy_of(data, bytes));
	if (!ret)
		writer->sections_bytes += bytes;
	return ret;
}

/* ---- commit ---------------------------------------------------------------- */

static int add_own(struct hypr_vmo_writer *writer, uint32_t type, const void *data, size_t bytes)
{
	struct hypr_vmo_section entry = { .type = type, .version = 1, .bytes = bytes };

	return add_section(writer, &entry, copy_of(data, bytes));
}

static int add_tables(struct hypr_vmo_writer *writer)
{
	const char *parent = writer->parent ? writer->parent_name : NULL;
	int ret;

	ret = hypr_vmo_writer_fill(writer, writer->header.mem_bytes);
	if (!ret)
		ret = add_own(writer, HYPR_VMO_RUNS, writer->run,
			      writer->nr_runs * sizeof(*writer->run));
	if (!ret && writer->pages_stored)
		ret = add_own(writer, HYPR_VMO_PAGE_DIGESTS, writer->digest,
			      writer->pages_stored * sizeof(*writer->digest));
	if (!ret && parent)
		ret = add_own(writer, HYPR_VMO_PARENT, parent, strlen(parent));
	return ret;
}

/* Write the sections, fill the table; return where they end. */
static int write_sections(struct hypr_vmo_writer *writer, struct hypr_vmo_section *table,
			  uint64_t *endp)
{
	uint64_t end = HYPR_VMO_HEADER_BYTES;
	struct hypr_vmo_section *entry = table;
	struct hypr_vmo_pending *pending;
	uint32_t i;
	int ret;

	if (writer->pages_stored) {
		*entry = (struct hypr_vmo_section){
			.type = HYPR_VMO_DATA,
			.version = 1,
			.offset = end,
			.bytes = writer->pages_stored * HYPR_VMO_PAGE_BYTES,
		};
		end += entry++->bytes;
	}
	for (i = 0; i < writer->nr_sections; i++, entry++) {
		pending = &writer->section[i];
		*entry = pending->entry;
		entry->offset = hypr_vmo_align(end);
		hypr_digest(entry->digest, pending->data, entry->bytes);
		ret = hypr_vmo_write(writer->temp.fd, entry->offset, pending->data, entry->bytes);
		if (ret)
			return ret;
		end = entry->offset + entry->bytes;
	}
	*endp = hypr_vmo_align(end);
	return 0;
}

static int write_tables(struct hypr_vmo_writer *writer)
{
	uint32_t nr = writer->nr_sections + !!writer->pages_stored;
	struct hypr_vmo_section *table = calloc(nr, sizeof(*table));
	uint64_t end;
	int ret;

	if (!table)
		return hypr_vmo_writer_no_memory(writer);
	ret = write_sections(writer, table, &end);
	if (!ret)
		ret = hypr_vmo_head_write(writer->temp.fd, &writer->header, end, table, nr);
	free(table);
	return ret ? hypr_fail_sys(ret, "%s: writing its tables", writer->name) : 0;
}

/* What was written stays without a name; its packed twin gets the name. */
static int commit_packed(struct hypr_vmo_writer *writer, uint64_t *bytes)
{
	struct hypr_vmo_file plain = {
		.fd = writer->temp.fd,
		.name = writer->name,
		.disk_bytes = writer->header.file_bytes,
		.bytes = writer->header.file_bytes,
	};
	int ret;

	hypr_progress_halves(true);
	ret = hypr_vmo_pack_file(&plain, &writer->header, writer->path,
				 writer->flags & HYPR_VMO_REPLACE, &writer->temp.need, 0, bytes);
	hypr_progress_halves(false);
	return ret;
}

int hypr_vmo_writer_commit(struct hypr_vmo_writer *writer, struct hypr_vmo_written *written)
{
	uint64_t bytes = 0;
	int ret;

	if (writer->committed || writer->failed)
		return hypr_fail(-EINVAL, "%s: it was committed, or failed before", writer->name);
	ret = add_tables(writer);
	if (!ret)
		ret = write_tables(writer);
	if (!ret && (writer->flags & HYPR_VMO_COMPRESS))
		ret = commit_packed(writer, &bytes);
	else if (!ret)
		ret = hypr_vmo_temp_commit(&writer->temp);
	writer->failed = ret;
	if (ret)
		return ret;
	writer->committed = true;
	if (written) {
		*written = (struct hypr_vmo_written){
			.file_bytes = bytes ? bytes : writer->header.file_bytes,
			.pages_stored = writer->pages_stored,
			.pages_zero = writer->pages_zero,
			.pages_parent = writer->pages_parent,
		};
		memcpy(written->root, writer->header.root, sizeof(written->root));
	}
	return 0;
}
