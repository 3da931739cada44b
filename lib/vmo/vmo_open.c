// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Opening a VMO file: header and section table (vmo_head.c), the same once more
 * inside a packed file, runs (vmo_runs.c), then the parents in turn.  A layer
 * that passed has no number in it that leads outside memory or file.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmo/vmo.h"

const char *hypr_vmo_tail(const char *path)
{
	size_t len = strlen(path);

	if (len <= HYPR_VMO_TAIL)
		return path;
	path += len - HYPR_VMO_TAIL;
	/* Not from the middle of a UTF-8 character. */
	while ((*path & 0xc0) == 0x80)
		path++;
	return path;
}

static void free_table(struct hypr_vmo *vmo)
{
	uint32_t i;

	for (i = 0; vmo->table && vmo->content && i < vmo->header.nr_sections; i++)
		free(vmo->content[i]);
	free(vmo->content);
	free(vmo->table);
	vmo->content = NULL;
	vmo->table = NULL;
}

void hypr_vmo_close(struct hypr_vmo *vmo)
{
	struct hypr_vmo *parent;

	for (; vmo; vmo = parent) {
		parent = vmo->parent;
		free_table(vmo);
		hypr_vmo_file_close(&vmo->file);
		free(vmo->path);
		free(vmo);
	}
}

/* ---- a packed file --------------------------------------------------------- */

static int check_envelope(const struct hypr_vmo *vmo)
{
	static const uint32_t needed[] = { HYPR_VMO_DATA, HYPR_VMO_CHUNKS };
	size_t i;

	for (i = 0; i < 2; i++) {
		if (!hypr_vmo_find(vmo, needed[i], 0))
			return hypr_fail(-EBADMSG, "%s: section %s: missing in a packed file",
					 vmo->file.name, hypr_vmo_section_name(needed[i]));
	}
	if (vmo->header.nr_sections != 2 || vmo->header.signature.algorithm)
		return hypr_fail(-EBADMSG, "%s: header: a packed file with more than DATA and CHUNKS",
				 vmo->file.name);
	return 0;
}

/* What the envelope says of the file inside must be so. */
static int check_inside(const struct hypr_vmo *vmo, const struct hypr_vmo_header *outer)
{
	const struct hypr_vmo_header *inner = &vmo->header;

	if (inner->required & HYPR_VMO_PACKED)
		return hypr_fail(-EBADMSG, "%s: header: a packed file inside a packed one",
				 vmo->file.name);
	if (inner->mem_bytes != outer->mem_bytes || inner->nr_vcpus != outer->nr_vcpus ||
	    inner->created_ns != outer->created_ns ||
	    memcmp(inner->parent, outer->parent, sizeof(inner->parent)))
		return hypr_fail(-EBADMSG, "%s: header: it is not that of the file inside",
				 vmo->file.name);
	return 0;
}

static int open_envelope(struct hypr_vmo *vmo)
{
	struct hypr_vmo_header outer = vmo->header;
	const struct hypr_vmo_section *section;
	void *chunks;
	int ret;

	ret = check_envelope(vmo);
	if (ret)
		return ret;
	section = hypr_vmo_find(vmo, HYPR_VMO_CHUNKS, 0);
	ret = hypr_vmo_content(vmo, section, &chunks);
	if (!ret)
		ret = hypr_vmo_file_unpack(&vmo->file, hypr_vmo_find(vmo, HYPR_VMO_DATA, 0), chunks,
					   section->bytes);
	if (ret)
		return ret;
	free_table(vmo);
	ret = hypr_vmo_head_read(vmo);
	return ret ? ret : check_inside(vmo, &outer);
}

/* ---- a layer --------------------------------------------------------------- */

static int read_parent_name(struct hypr_vmo *vmo)
{
	const struct hypr_vmo_section *section = hypr_vmo_find(vmo, HYPR_VMO_PARENT, 0);
	const char *file = vmo->file.name;
	void *content;
	int ret;

	if (!section != hypr_digest_is_zero(vmo->header.parent))
		return hypr_fail(-EBADMSG, "%s: section PARENT: header and section table disagree whether there is one",
				 file);
	if (!section)
		return 0;
	if (!section->bytes || section->bytes > HYPR_VMO_NAME_MAX_BYTES)
		return hypr_fail(-EBADMSG, "%s: section PARENT: a name of %llu bytes", file,
				 (unsigned long long)section->bytes);
	ret = hypr_vmo_content(vmo, section, &content);
	if (ret)
		return ret;
	memcpy(vmo->parent_name, content, section->bytes);
	if (strlen(vmo->parent_name) != section->bytes || !hypr_vmo_name_is_fit(vmo->parent_name))
		return hypr_fail(-EBADMSG, "%s: section PARENT: no file name", file);
	return 0;
}

static int open_layer(const char *path, struct hypr_vmo **vmop)
{
	struct hypr_vmo *vmo = calloc(1, sizeof(*vmo));
	int ret;

	if (!vmo)
		return hypr_fail(-ENOMEM, "%s: no memory", hypr_vmo_tail(path));
	vmo->layers = 1;
	vmo->file.fd = -1;
	vmo->path = strdup(path);
	if (!vmo->path) {
		ret = hypr_fail(-ENOMEM, "%s: no memory", hypr_vmo_tail(path));
		goto close_vmo;
	}
	ret = hypr_vmo_file_open(&vmo->file, vmo->path, hypr_vmo_tail(vmo->path));
	if (!ret)
		ret = hypr_vmo_head_read(vmo);
	if (!ret && (vmo->header.required & HYPR_VMO_PACKED))
		ret = open_envelope(vmo);
	if (!ret && hypr_vmo_find(vmo, HYPR_VMO_CHUNKS, 0))
		ret = hypr_fail(-EBADMSG, "%s: section CHUNKS: in a file that is not packed",
				vmo->file.name);
	if (ret)
		goto close_vmo;
	vmo->data = hypr_vmo_find(vmo, HYPR_VMO_DATA, 0);
	ret = read_parent_name(vmo);
	if (!ret)
		ret = hypr_vmo_runs_check(vmo);
	if (ret)
		goto close_vmo;
	*vmop = vmo;
	return 0;

close_vmo:
	hypr_vmo_close(vmo);
	return ret;
}

/* ---- layers ---------------------------------------------------------------- */

static int check_parent(const struct hypr_vmo *top, const struct hypr_vmo *child,
			const struct hypr_vmo *parent)
{
	const struct hypr_vmo *vmo;
	char want[17], have[17];

	for (vmo = top; ; vmo = vmo->parent) {
		if (vmo->file.dev == parent->file.dev && vmo->file.ino == parent->file.ino)
			return hypr_fail(-ELOOP, "%s: section PARENT: %s is its own ancestor",
					 child->file.name, parent->file.name);
		if (vmo == child)
			break;
	}
	if (memcmp(child->header.parent, parent->header.root, HYPR_VMO_DIGEST_BYTES))
		return hypr_fail(-ESTALE, "%s: section PARENT: it was made on root %s, and %s has %s",
				 child->file.name, hypr_digest_text(want, child->header.parent),
				 parent->file.name, hypr_digest_text(have, parent->header.root));
	if (parent->header.mem_bytes != child->header.mem_bytes)
		return hypr_fail(-EBADMSG, "%s: section PARENT: memory of %llu bytes, and %s has %llu",
				 child->file.name, (unsigned long long)child->header.mem_bytes,
				 parent->file.name, (unsigned long long)parent->header.mem_bytes);
	return 0;
}

char *hypr_vmo_beside(const char *path, const char *name)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) + 1 : 0;
	char *to = malloc(len + strlen(name) + 1);

	if (to) {
		memcpy(to, path, len);
		strcpy(to + len, name);
	}
	return to;
}

static int open_parents(struct hypr_vmo *top)
{
	struct hypr_vmo *child = top;
	char *path;
	int ret;

	for (; child->parent_name[0]; child = child->parent) {
		if (top->layers == HYPR_VMO_LAYERS_MAX)
			return hypr_fail(-ELOOP, "%s: section PARENT: more than %d layers (hypr vmo flatten makes one of them)",
					 top->file.name, HYPR_VMO_LAYERS_MAX);
		path = hypr_vmo_beside(child->path, child->parent_name);
		if (!path)
			return hypr_fail(-ENOMEM, "%s: no memory", top->file.name);
		ret = open_layer(path, &child->parent);
		if (ret == -ENOENT)
			ret = hypr_fail(-ESTALE, "%s: section PARENT: there is no %s", child->file.name,
					hypr_vmo_tail(path));
		free(path);
		if (ret)
			return ret;
		ret = check_parent(top, child, child->parent);
		if (ret)
			return ret;
		top->layers++;
	}
	/* Each knows how many are below it. */
	for (child = top; child->parent; child = child->parent)
		child->parent->layers = child->layers - 1;
	return 0;
}

int hypr_vmo_open(const char *path, struct hypr_vmo **vmop)
{
	struct hypr_vmo *vmo;
	int ret;

	ret = open_layer(path, &vmo);
	if (ret)
		return ret;
	ret = open_parents(vmo);
	if (ret) {
		hypr_vmo_close(vmo);
		return ret;
	}
	*vmop = vmo;
	return 0;
}

bool hypr_vmo_path_now(const struct hypr_vmo *vmo, char *path)
{
	char link[64];
	struct stat st;
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", vmo->file.fd);
	len = readlink(link, path, PATH_MAX - 1);
	if (len > 0)
		path[len] = '\0';
	else if (!realpath(vmo->path, path))
		return false;
	return !stat(path, &st) && st.st_dev == vmo->file.dev && st.st_ino == vmo->file.ino;
}

/* ---- looking --------------------------------------------------------------- */

struct hypr_vmo *hypr_vmo_parent(struct hypr_vmo *vmo)
{
	return vmo->parent;
}

void hypr_vmo_info(const struct hypr_vmo *vmo, struct hypr_vmo_info *info)
{
	const struct hypr_vmo_header *header = &vmo->header;

	*info = (struct hypr_vmo_info){
		.version = header->version,
		.nr_vcpus = header->nr_vcpus,
		.nr_sections = header->nr_sections,
		.nr_runs = vmo->nr_runs,
		.layers = vmo->layers,
		.packed = !!vmo->file.chunk,
		.has_signature = header->signature.algorithm != HYPR_VMO_SIGNED_NOT,
		.has_parent = !!vmo->parent,
		.mem_bytes = header->mem_bytes,
		.created_ns = header->created_ns,
		.file_bytes = vmo->file.disk_bytes,
		.unpacked_bytes = header->file_bytes,
		.pages = header->mem_bytes / HYPR_VMO_PAGE_BYTES,
		.pages_stored = vmo->pages_stored,
		.pages_zero = vmo->pages_zero,
		.pages_parent = vmo->pages_parent,
	};
	memcpy(info->root, header->root, sizeof(info->root));
	memcpy(info->parent, header->parent, sizeof(info->parent));
	memcpy(info->public_key, header->signature.public_key, sizeof(info->public_key));
	strcpy(info->parent_name, vmo->parent_name);
}

unsigned int hypr_vmo_sections(const struct hypr_vmo *vmo, const struct hypr_vmo_section **table)
{
	*table = vmo->table;
	return vmo->header.nr_sections;
}

int hypr_vmo_section(struct hypr_vmo *vmo, uint32_t type, uint32_t index, const void **data,
		     size_t *bytes, uint32_t *version)
{
	const struct hypr_vmo_section *section = hypr_vmo_find(vmo, type, index);
	struct hypr_vmo_section wanted = { .type = type, .index = index };
	void *content;
	char text[48];
	int ret;

	hypr_vmo_describe(text, sizeof(text), &wanted);
	if (type == HYPR_VMO_DATA)
		return hypr_fail(-EINVAL, "%s: %s: read it as memory", vmo->file.name, text);
	if (!section)
		return hypr_fail(-ENOENT, "%s: %s: missing", vmo->file.name, text);
	ret = hypr_vmo_content(vmo, section, &content);
	if (!ret && type == HYPR_VMO_WORKING_SET)
		ret = hypr_vmo_ranges_check(vmo->file.name, vmo->header.mem_bytes, content,
					    section->bytes);
	if (ret)
		return ret;
	*data = content;
	*bytes = section->bytes;
	if (version)
		*version = section->version;
	return 0;
}
