// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory of a VMO: copied out, or mapped. */
#include <sys/mman.h>
#include <sys/stat.h>

#include "vmo/vmo.h"

#define MAPPINGS_MAX	16384	/* of the 65530 that a process has by default */

struct hypr_vmo *hypr_vmo_layer(struct hypr_vmo *vmo, uint32_t layer)
{
	while (layer--)
		vmo = vmo->parent;
	return vmo;
}

static uint64_t length(const struct hypr_vmo *vmo)
{
	struct stat st;

	return fstat(vmo->file.fd, &st) < 0 ? 0 : (uint64_t)st.st_size;
}

const struct hypr_vmo *hypr_vmo_truncated(const struct hypr_vmo *vmo)
{
	while (vmo && length(vmo) >= vmo->file.disk_bytes)
		vmo = vmo->parent;
	return vmo;
}

int hypr_vmo_check_length(const struct hypr_vmo *vmo)
{
	vmo = hypr_vmo_truncated(vmo);
	return !vmo ? 0 : hypr_fail(-EBADMSG, "%s: the file was truncated while in use, to %llu bytes",
				    vmo->file.name, (unsigned long long)length(vmo));
}

int hypr_vmo_gone(struct hypr_vmo *vmo, uint64_t gpa)
{
	struct hypr_vmo_segment segment;
	int ret;

	ret = hypr_vmo_segment(vmo, gpa, &segment);
	if (ret)
		return ret;
	vmo = hypr_vmo_layer(vmo, segment.layer);
	if (segment.fd >= 0 && length(vmo) < segment.offset + HYPR_VMO_PAGE_BYTES)
		return hypr_fail(-EBADMSG, "%s: GPA 0x%llx is gone: the file was truncated while in use",
				 vmo->file.name, (unsigned long long)gpa);
	return hypr_fail(-EIO, "%s: GPA 0x%llx cannot be read", vmo->file.name,
			 (unsigned long long)gpa);
}

static uint64_t segment_end(const struct hypr_vmo_segment *segment)
{
	return segment->gpa + segment->pages * HYPR_VMO_PAGE_BYTES;
}

int hypr_vmo_read(struct hypr_vmo *vmo, uint64_t gpa, void *buf, uint64_t bytes)
{
	struct hypr_vmo_segment segment;
	uint64_t skip, part;
	uint8_t *to = buf;
	int ret;

	if (gpa > vmo->header.mem_bytes || bytes > vmo->header.mem_bytes - gpa)
		return hypr_fail(-EINVAL, "%s: no memory at 0x%llx-0x%llx", vmo->file.name,
				 (unsigned long long)gpa, (unsigned long long)(gpa + bytes));
	while (bytes) {
		skip = gpa % HYPR_VMO_PAGE_BYTES;
		ret = hypr_vmo_segment(vmo, gpa - skip, &segment);
		if (ret)
			return ret;
		part = segment_end(&segment) - gpa;
		if (part > bytes)
			part = bytes;
		if (segment.flags & HYPR_VMO_RUN_ZERO)
			memset(to, 0, part);
		else
			ret = hypr_vmo_file_read(&hypr_vmo_layer(vmo, segment.layer)->file,
						 segment.offset + skip, to, part);
		if (ret)
			return ret;
		gpa += part;
		to += part;
		bytes -= part;
	}
	return 0;
}

/* ---- mapping --------------------------------------------------------------- */

/**
 * struct walk - through memory, a mapping at a time
 * @next: the segment behind the last one, if there is any
 */
struct walk {
	const struct hypr_vmo *vmo;
	struct hypr_vmo_segment next;
	bool has_next;
};

static int walk_begin(struct walk *walk, const struct hypr_vmo *vmo)
{
	walk->vmo = vmo;
	walk->has_next = true;
	return hypr_vmo_segment(vmo, 0, &walk->next);
}

/* What is one mapping: permissions may differ in it, files and offsets not. */
static int walk_step(struct walk *walk, struct hypr_vmo_segment *mapping)
{
	uint64_t end;
	int ret;

	*mapping = walk->next;
	for (;;) {
		end = segment_end(mapping);
		walk->has_next = end < walk->vmo->header.mem_bytes;
		if (!walk->has_next)
			return 0;
		ret = hypr_vmo_segment(walk->vmo, end, &walk->next);
		if (ret)
			return ret;
		if (walk->next.fd != mapping->fd ||
		    (mapping->fd >= 0 &&
		     walk->next.offset != mapping->offset + (end - mapping->gpa)))
			return 0;
		mapping->pages += walk->next.pages;
	}
}

/* How many pieces of at least @pages there are, up to MAPPINGS_MAX and one more. */
static int count_mappings(const struct hypr_vmo *vmo, uint64_t pages, unsigned int *nr)
{
	struct hypr_vmo_segment mapping;
	struct walk walk;
	int ret;

	*nr = 0;
	ret = walk_begin(&walk, vmo);
	while (!ret && walk.has_next && *nr <= MAPPINGS_MAX) {
		ret = walk_step(&walk, &mapping);
		*nr += !ret && mapping.fd >= 0 && mapping.pages >= pages;
	}
	return ret;
}

/* The shortest stretch that is mapped and not copied. */
static int least_to_map(const struct hypr_vmo *vmo, uint64_t *pages)
{
	const struct hypr_vmo *layer;
	uint64_t runs = 0;
	unsigned int nr;
	int ret = 0;

	*pages = 1;
	/* Each mapping begins where a run of some layer does. */
	for (layer = vmo; layer; layer = layer->parent)
		runs += layer->nr_runs;
	if (runs <= MAPPINGS_MAX)
		return 0;
	for (; !ret; *pages *= 2) {
		ret = count_mappings(vmo, *pages, &nr);
		if (ret || nr <= MAPPINGS_MAX)
			break;
	}
	return ret;
}

static int check_mappable(const struct hypr_vmo *top)
{
	const struct hypr_vmo *vmo;

	for (vmo = top; vmo; vmo = vmo->parent) {
		if (vmo->file.chunk)
			return hypr_fail(-EOPNOTSUPP, "%s: packed; it can be mapped after hypr vmo unpack",
					 vmo->file.name);
	}
	/* Beyond the end of a file a mapping would be made all the same. */
	return hypr_vmo_check_length(top);
}

static int map_at(void *mem, uint64_t bytes, int prot, int flags, int fd, uint64_t offset)
{
	return mmap(mem, bytes, prot, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE | flags, fd,
		    (off_t)offset) == MAP_FAILED ? -errno : 0;
}

static int map_one(struct hypr_vmo *vmo, uint8_t *mem, const struct hypr_vmo_segment *mapping,
		   uint64_t least_pages)
{
	uint64_t gpa = mapping->gpa, bytes = mapping->pages * HYPR_VMO_PAGE_BYTES;
	int ret;

	if (mapping->fd < 0)
		return 0;
	if (mapping->pages < least_pages)
		return hypr_vmo_read(vmo, gpa, mem + gpa, bytes);
	ret = map_at(mem + gpa, bytes, PROT_READ | PROT_WRITE, 0, mapping->fd, mapping->offset);
	return ret ? hypr_fail_sys(ret, "%s: mapping 0x%llx bytes at GPA 0x%llx", vmo->file.name,
				   (unsigned long long)bytes, (unsigned long long)gpa) : 0;
}

static int map_data(struct hypr_vmo *vmo, uint8_t *mem, uint64_t least_pages)
{
	struct hypr_vmo_segment mapping;
	struct walk walk;
	int ret;

	ret = walk_begin(&walk, vmo);
	while (!ret && walk.has_next) {
		ret = walk_step(&walk, &mapping);
		if (!ret)
			ret = map_one(vmo, mem, &mapping, least_pages);
	}
	return ret;
}

int hypr_vmo_map(struct hypr_vmo *vmo, void *mem)
{
	uint64_t least_pages, mem_bytes = vmo->header.mem_bytes;
	int ret;

	ret = check_mappable(vmo);
	if (!ret)
		ret = least_to_map(vmo, &least_pages);
	if (ret)
		goto reserve;
	ret = map_at(mem, mem_bytes, PROT_READ | PROT_WRITE, MAP_ANONYMOUS, -1, 0);
	if (ret) {
		hypr_fail_sys(ret, "%s: %llu bytes of memory", vmo->file.name,
			      (unsigned long long)mem_bytes);
		goto reserve;
	}
	ret = map_data(vmo, mem, least_pages);
	if (!ret)
		return 0;
reserve:
	map_at(mem, mem_bytes, PROT_NONE, MAP_ANONYMOUS, -1, 0);
	return ret;
}
