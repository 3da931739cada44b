// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Writing a VMO file.  Page data goes to the disk as it comes, straight from the
 * guest's memory, while another thread looks at what comes next (vmo_ahead.c);
 * runs, digests and sections are kept in memory and follow at the commit, the
 * header last.
 */
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "vmo/vmo_ahead.h"

#define PIECE_PAGES	HYPR_VMO_PIECE_PAGES
#define OWN_SECTIONS	4	/* DATA, RUNS, PAGE_DIGESTS, PARENT */
/* All of them and a parent's name within the format's bound. */
#define SECTIONS_MAX_BYTES	(HYPR_VMO_OPAQUE_SUM_MAX_BYTES - HYPR_VMO_NAME_MAX_BYTES)

struct pending {
	struct hypr_vmo_section entry;
	void *data;
};

/**
 * struct hypr_vmo_writer - a file that comes to be
 * @name: of the file, for messages
 * @flags: HYPR_VMO_*
 * @next_gpa: end of what was added
 * @failed: errno that ended it
 * @piece: of the parent's memory
 * @parent_name: as the file will have it
 */
struct hypr_vmo_writer {
	struct hypr_vmo_temp temp;
	const char *name;
	char *path;			/* as it was given */
	unsigned int flags;
	struct hypr_vmo *parent;
	char parent_name[HYPR_VMO_NAME_MAX_BYTES + 1];
	struct hypr_vmo_header header;
	uint64_t next_gpa;
	struct hypr_vmo_run *run;
	size_t nr_runs, max_runs;
	uint64_t *digest;
	size_t max_digests;
	uint64_t pages_stored, pages_zero, pages_parent;
	struct pending *section;
	uint32_t nr_sections;
	uint64_t sections_bytes;
	int failed;
	bool committed;
	uint8_t piece[PIECE_PAGES * HYPR_VMO_PAGE_BYTES];
};

/* ---- creation -------------------------------------------------------------- */

static int check_params(const char *path, const struct hypr_vmo_params *params)
{
	const struct hypr_vmo *parent = params->parent;

	if (params->size != sizeof(*params) || params->reserved)
		return hypr_fail(-EINVAL, "%.80s: parameters of %u bytes, or reserved ones used",
				 path, params->size);
	if (!params->mem_bytes || params->mem_bytes % HYPR_VMO_PAGE_BYTES ||
	    params->mem_bytes > HYPR_VMO_MEM_MAX_BYTES)
		return hypr_fail(-EINVAL, "%.80s: memory of %llu bytes is no size", path,
				 (unsigned long long)params->mem_bytes);
	if (params->nr_vcpus > HYPR_VMO_VCPUS_MAX)
		return hypr_fail(-EINVAL, "%.80s: %u vCPUs, more than %d", path, params->nr_vcpus,
				 HYPR_VMO_VCPUS_MAX);
	if (parent && parent->header.mem_bytes != params->mem_bytes)
		return hypr_fail(-EINVAL, "%.80s: memory of %llu bytes, and its parent has %llu",
				 path, (unsigned long long)params->mem_bytes,
				 (unsigned long long)parent->header.mem_bytes);
	if (parent && parent->layers >= HYPR_VMO_LAYERS_MAX)
		return hypr_fail(-ELOOP, "%.80s: its parent has %u layers already (hypr vmo flatten makes one of them)",
				 path, parent->layers);
	return 0;
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Is @dir the folder of the file @path? */
static bool is_folder(int dir, const char *path)
{
	char *folder = hypr_vmo_beside(path, ".");
	struct stat a, b;
	bool same;

	same = folder && !fstat(dir, &a) && !stat(folder, &b) && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
	free(folder);
	return same;
}

/*
 * A parent is found beside its child, and only there.  It has its own name in the
 * child, not that of a link to it in the same folder: a link may lead elsewhere later.
 */
static int name_parent(struct hypr_vmo_writer *writer)
{
	const struct hypr_vmo *parent = writer->parent;
	char now[PATH_MAX];
	const char *name;

	if (!is_folder(writer->temp.dir, parent->path))
		return hypr_fail(-EXDEV, "%s: it must stand in the folder of its parent %s",
				 writer->name, parent->file.name);
	if (!hypr_vmo_path_now(parent, now))
		return hypr_fail(-ESTALE, "%s: its parent %s was removed or replaced", writer->name,
				 parent->file.name);
	name = base_of(is_folder(writer->temp.dir, now) ? now : parent->path);
	if (!hypr_vmo_name_is_fit(name) || strlen(name) > HYPR_VMO_NAME_MAX_BYTES)
		return hypr_fail(-EINVAL, "%s: no name for a parent: one in UTF-8 without control characters, please",
				 parent->file.name);
	strcpy(writer->parent_name, name);
	writer->temp.need = (struct hypr_vmo_need){
		.layers = parent,
		.parent = writer->parent_name,
		.root = parent->header.root,
	};
	return hypr_vmo_temp_check(&writer->temp);
}

int hypr_vmo_writer_keep(struct hypr_vmo_writer *writer, const struct hypr_vmo *layers)
{
	writer->temp.need.layers = layers;
	return hypr_vmo_temp_check(&writer->temp);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void fill_header(struct hypr_vmo_header *header, const struct hypr_vmo_params *params)
{
	memcpy(header->magic, HYPR_VMO_MAGIC, sizeof(header->magic));
	header->version = HYPR_VMO_VERSION;
	header->header_bytes = HYPR_VMO_HEADER_BYTES;
	header->mem_bytes = params->mem_bytes;
	header->page_bytes = HYPR_VMO_PAGE_BYTES;
	header->nr_vcpus = params->nr_vcpus;
	header->created_ns = params->created_ns ? params->created_ns : now_ns();
	if (params->parent)
		memcpy(header->parent, params->parent->header.root, sizeof(header->parent));
}

int hypr_vmo_writer_create(const char *path, const struct hypr_vmo_params *params,
			   struct hypr_vmo_writer **writerp)
{
	struct hypr_vmo_writer *writer;
	int ret;

	ret = check_params(path, params);
	if (ret)
		return ret;
	writer = calloc(1, sizeof(*writer));
	if (!writer)
		return hypr_fail(-ENOMEM, "%.80s: no memory", path);
	writer->flags = params->flags;
	writer->path = strdup(path);
	if (!writer->path) {
		ret = hypr_fail(-ENOMEM, "%.80s: no memory", path);
		goto free_writer;
	}
	ret = hypr_vmo_temp_create(&writer->temp, path, params->flags & ~HYPR_VMO_COMPRESS, NULL);
	if (ret)
		goto free_writer;
	writer->name = hypr_vmo_tail(writer->temp.base);
	writer->parent = params->parent;
	fill_header(&writer->header, params);
	if (writer->parent)
		ret = name_parent(writer);
	if (ret)
		goto destroy_temp;
	*writerp = writer;
	return 0;

destroy_temp:
	hypr_vmo_temp_destroy(&writer->temp);
free_writer:
	free(writer->path);
	free(writer);
	return ret;
}

void hypr_vmo_writer_destroy(struct hypr_vmo_writer *writer)
{
	uint32_t i;

	if (!writer)
		return;
	hypr_vmo_temp_destroy(&writer->temp);
	for (i = 0; i < writer->nr_sections; i++)
		free(writer->section[i].data);
	free(writer->section);
	free(writer->run);
	free(writer->digest);
	free(writer->path);
	free(writer);
}

/* ---- pages ----------------------------------------------------------------- */

static int no_memory(const struct hypr_vmo_writer *writer)
{
	return hypr_fail(-ENOMEM, "%s: no memory for its tables", writer->name);
}

static int grow(void **array, size_t *max, size_t size)
{
	size_t more = *max ? 2 * *max : 1024;
	void *grown = reallocarray(*array, more, size);

	if (!grown)
		return -ENOMEM;
	*array = grown;
	*max = more;
	return 0;
}

static int add_run(struct hypr_vmo_writer *writer, uint64_t pages, uint32_t flags)
{
	struct hypr_vmo_run *last = writer->nr_runs ? &writer->run[writer->nr_runs - 1] : NULL;

	if (last && last->flags == flags) {
		last->pages += pages;
	} else {
		if (writer->nr_runs == HYPR_VMO_RUNS_MAX)
			return hypr_fail(-E2BIG, "%s: memory is in more than %u pieces",
					 writer->name, HYPR_VMO_RUNS_MAX);
		if (writer->nr_runs == writer->max_runs &&
		    grow((void **)&writer->run, &writer->max_runs, sizeof(*writer->run)))
			return no_memory(writer);
		writer->run[writer->nr_runs++] = (struct hypr_vmo_run){
			.gpa = writer->next_gpa,
			.pages = pages,
			.offset = flags & (HYPR_VMO_RUN_ZERO | HYPR_VMO_RUN_PARENT) ? 0 :
				  writer->pages_stored * HYPR_VMO_PAGE_BYTES,
			.flags = flags,
		};
	}
	writer->next_gpa += pages * HYPR_VMO_PAGE_BYTES;
	if (flags & HYPR_VMO_RUN_ZERO)
		writer->pages_zero += pages;
	else if (flags & HYPR_VMO_RUN_PARENT)
		writer->pages_parent += pages;
	return 0;
}

/* What nobody added is as in the parent, or zero. */
static int fill_gap(struct hypr_vmo_writer *writer, uint64_t gpa)
{
	uint64_t pages = (gpa - writer->next_gpa) / HYPR_VMO_PAGE_BYTES;
	uint32_t flags = HYPR_VMO_RUN_RWX |
			 (writer->parent ? HYPR_VMO_RUN_PARENT : HYPR_VMO_RUN_ZERO);

	return pages ? add_run(writer, pages, flags) : 0;
}

/* Pages that have to be in the file, all of @mem, with their digests. */
static int store(struct hypr_vmo_writer *writer, const uint8_t *mem, const uint64_t *digest,
		 uint64_t pages, uint32_t flags)
{
	uint64_t offset = HYPR_VMO_HEADER_BYTES + writer->pages_stored * HYPR_VMO_PAGE_BYTES;
	int ret;

	while (writer->max_digests < writer->pages_stored + pages) {
		if (grow((void **)&writer->digest, &writer->max_digests, sizeof(*writer->digest)))
			return no_memory(writer);
	}
	ret = add_run(writer, pages, flags);
	if (ret)
		return ret;
	memcpy(writer->digest + writer->pages_stored, digest, pages * sizeof(*digest));
	ret = hypr_vmo_write(writer->temp.fd, offset, mem, pages * HYPR_VMO_PAGE_BYTES);
	if (ret)
		return hypr_fail_sys(ret, "%s: writing page data", writer->name);
	writer->pages_stored += pages;
	return 0;
}

/* Page @n of what is looked at, and page @i of the piece of the parent. */
static uint32_t kind_of(const struct hypr_vmo_ahead *ahead, uint64_t n, const uint8_t *parent,
			uint64_t i)
{
	if (ahead->zero[n])
		return HYPR_VMO_RUN_ZERO;
	if (parent && !memcmp(ahead->mem + n * HYPR_VMO_PAGE_BYTES,
			      parent + i * HYPR_VMO_PAGE_BYTES, HYPR_VMO_PAGE_BYTES))
		return HYPR_VMO_RUN_PARENT;
	return 0;
}

static int add_piece(struct hypr_vmo_writer *writer, const struct hypr_vmo_ahead *ahead,
		     uint64_t first, uint64_t pages, uint32_t flags)
{
	const uint8_t *parent = writer->parent ? writer->piece : NULL;
	uint64_t start, end;
	uint32_t kind, next;
	int ret;

	if (parent) {
		ret = hypr_vmo_read(writer->parent, writer->next_gpa, writer->piece,
				    pages * HYPR_VMO_PAGE_BYTES);
		if (ret)
			return ret;
	}
	kind = kind_of(ahead, first, parent, 0);
	for (start = 0, end = 1; start < pages; end++) {
		next = kind;
		if (end < pages)
			next = kind_of(ahead, first + end, parent, end);
		if (end < pages && next == kind)
			continue;
		if (kind)
			ret = add_run(writer, end - start, flags | kind);
		else
			ret = store(writer, ahead->mem + (first + start) * HYPR_VMO_PAGE_BYTES,
				    ahead->digest + first + start, end - start, flags);
		if (ret)
			return ret;
		start = end;
		kind = next;
	}
	return 0;
}

/* With a second half, in which it is packed. */
static int tell(const struct hypr_vmo_writer *writer)
{
	uint64_t total = writer->header.mem_bytes;

	return hypr_progress(writer->next_gpa,
			     writer->flags & HYPR_VMO_COMPRESS ? 2 * total : total);
}

static int add_memory(struct hypr_vmo_writer *writer, const uint8_t *mem, uint64_t pages,
		      uint32_t flags)
{
	struct hypr_vmo_ahead ahead;
	uint64_t n, first, part;
	int ret = 0;

	if (hypr_vmo_ahead_init(&ahead, mem, pages))
		return no_memory(writer);
	for (n = 0; !ret && n < ahead.pieces; n++) {
		first = n * PIECE_PAGES;
		part = pages - first < PIECE_PAGES ? pages - first : PIECE_PAGES;
		hypr_vmo_ahead_need(&ahead, n);
		ret = add_piece(writer, &ahead, first, part, flags);
		if (!ret)
			ret = tell(writer);
	}
	hypr_vmo_ahead_fini(&ahead);
	return ret;
}

static int check_pages(const struct hypr_vmo_writer *writer, uint64_t gpa, uint64_t nr_pages,
		       uint32_t flags)
{
	uint64_t mem_bytes = writer->header.mem_bytes;

	if (writer->committed || writer->failed)
		return hypr_fail(-EINVAL, "%s: it was committed, or failed before", writer->name);
	if (gpa % HYPR_VMO_PAGE_BYTES || gpa < writer->next_gpa || gpa > mem_bytes ||
	    nr_pages > (mem_bytes - gpa) / HYPR_VMO_PAGE_BYTES)
		return hypr_fail(-EINVAL, "%s: %llu pages at GPA 0x%llx: outside memory or not in order",
				 writer->name, (unsigned long long)nr_pages,
				 (unsigned long long)gpa);
	if ((flags & ~HYPR_VMO_RUN_RWX) || !(flags & HYPR_VMO_RUN_R))
		return hypr_fail(-EINVAL, "%s: pages with flags 0x%x", writer->name, flags);
	return 0;
}

int hypr_vmo_writer_pages(struct hypr_vmo_writer *writer, uint64_t gpa, const void *mem,
			  uint64_t nr_pages, uint32_t flags)
{
	int ret;

	ret = check_pages(writer, gpa, nr_pages, flags);
	if (ret || !nr_pages)
		return ret;
	ret = fill_gap(writer, gpa);
	if (!ret && !mem)
		ret = add_run(writer, nr_pages, flags | HYPR_VMO_RUN_ZERO);
	if (!ret && mem)
		ret = add_memory(writer, mem, nr_pages, flags);
	writer->failed = ret;
	return ret;
}

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
	struct pending *grown;

	grown = reallocarray(writer->section, writer->nr_sections + 1, sizeof(*grown));
	if (!grown || !data) {
		free(data);
		if (grown)
			writer->section = grown;
		return no_memory(writer);
	}
	writer->section = grown;
	grown[writer->nr_sections++] = (struct pending){ *entry, data };
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

	ret = fill_gap(writer, writer->header.mem_bytes);
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
	struct pending *pending;
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

static int write_tables(struct hypr_vmo_writer *writer)
{
	uint32_t nr = writer->nr_sections + !!writer->pages_stored;
	struct hypr_vmo_section *table = calloc(nr, sizeof(*table));
	uint64_t end;
	int ret;

	if (!table)
		return no_memory(writer);
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
