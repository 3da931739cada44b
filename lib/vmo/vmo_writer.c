// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Writing a VMO file.  Page data goes to the disk as it comes, straight from the
 * guest's memory, while another thread looks at what comes next (vmo_ahead.c);
 * runs, digests and sections are kept in memory and follow at the commit
 * (vmo_commit.c), the header last.
 */
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "vmo/vmo_writer.h"

#define PIECE_PAGES	HYPR_VMO_PIECE_PAGES
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

int hypr_vmo_writer_no_memory(const struct hypr_vmo_writer *writer)
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
			return hypr_vmo_writer_no_memory(writer);
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

int hypr_vmo_writer_fill(struct hypr_vmo_writer *writer, uint64_t gpa)
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
			return hypr_vmo_writer_no_memory(writer);
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
		return hypr_vmo_writer_no_memory(writer);
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
	ret = hypr_vmo_writer_fill(writer, gpa);
	if (!ret && !mem)
		ret = add_run(writer, nr_pages, flags | HYPR_VMO_RUN_ZERO);
	if (!ret && mem)
		ret = add_memory(writer, mem, nr_pages, flags);
	writer->failed = ret;
	return ret;
}
