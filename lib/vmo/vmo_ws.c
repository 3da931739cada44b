// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Recorded working sets: which pages of a VMO a guest touched when it went on from
 * there.  A file of its own, FILE.ws, that names the VMO by its root: a recording
 * comes after the file it is of, whose identity must not change by it.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "vmo/vmo.h"

int hypr_vmo_ws_path(const struct hypr_vmo *vmo, char **path)
{
	char now[PATH_MAX];

	if (!hypr_vmo_path_now(vmo, now))
		return hypr_fail(-ENOENT, "%s: it is not there any more, so nothing can stand beside it",
				 vmo->file.name);
	if (asprintf(path, "%s" HYPR_VMO_WS_SUFFIX, now) < 0)
		return hypr_fail(-ENOMEM, "%s: no memory", vmo->file.name);
	return 0;
}

/* ---- writing --------------------------------------------------------------- */

static struct hypr_vmo_ws *make(const struct hypr_vmo *vmo, const struct hypr_vmo_range *range,
				size_t nr)
{
	struct hypr_vmo_ws *ws = malloc(sizeof(*ws) + nr * sizeof(*range));
	struct timespec now;
	size_t i;

	if (!ws)
		return NULL;
	clock_gettime(CLOCK_REALTIME, &now);
	*ws = (struct hypr_vmo_ws){
		.version = HYPR_VMO_WS_VERSION,
		.header_bytes = HYPR_VMO_WS_HEADER_BYTES,
		.mem_bytes = vmo->header.mem_bytes,
		.recorded_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
		.nr_ranges = (uint32_t)nr,
	};
	memcpy(ws->magic, HYPR_VMO_WS_MAGIC, sizeof(ws->magic));
	memcpy(ws->root, vmo->header.root, sizeof(ws->root));
	if (nr)
		memcpy(ws + 1, range, nr * sizeof(*range));
	for (i = 0; i < nr; i++)
		ws->pages += range[i].pages;
	hypr_digest(ws->digest, ws, sizeof(*ws) + nr * sizeof(*range));
	return ws;
}

static int write_file(const struct hypr_vmo *vmo, const struct hypr_vmo_ws *ws,
		      const char *path, unsigned int flags)
{
	const struct hypr_vmo_need need = { .layers = vmo };
	uint64_t bytes = sizeof(*ws) + ws->nr_ranges * sizeof(struct hypr_vmo_range);
	struct hypr_vmo_temp temp;
	int ret;

	ret = hypr_vmo_temp_create(&temp, path, flags, &need);
	return ret ? ret : hypr_vmo_temp_finish(&temp, ws, bytes);
}

int hypr_vmo_ws_write(const struct hypr_vmo *vmo, const char *path, unsigned int flags,
		      const struct hypr_vmo_range *range, size_t nr)
{
	struct hypr_vmo_ws *ws;
	char *beside = NULL;
	int ret;

	if (nr > HYPR_VMO_WS_RANGES_MAX)
		return hypr_fail(-E2BIG, "%s: a working set of %zu pieces, more than %u",
				 vmo->file.name, nr, HYPR_VMO_WS_RANGES_MAX);
	if (hypr_vmo_ranges_check(vmo->file.name, vmo->header.mem_bytes, range,
				  nr * sizeof(*range)))
		return -EINVAL;
	ret = path ? 0 : hypr_vmo_ws_path(vmo, &beside);
	if (ret)
		return ret;
	ws = make(vmo, range, nr);
	if (ws)
		ret = write_file(vmo, ws, path ? path : beside, flags);
	else
		ret = hypr_fail(-ENOMEM, "%s: no memory for a working set", vmo->file.name);
	free(ws);
	free(beside);
	return ret;
}

/* ---- reading --------------------------------------------------------------- */

static int check_header(const char *name, const struct hypr_vmo_ws *ws, uint64_t bytes)
{
	if (bytes < sizeof(ws->magic) || memcmp(ws->magic, HYPR_VMO_WS_MAGIC, sizeof(ws->magic)))
		return hypr_fail(-ENOEXEC, "%s: not a working set", name);
	if (bytes < sizeof(*ws))
		return hypr_fail(-EBADMSG, "%s: truncated: %llu bytes, and the header has %u", name,
				 (unsigned long long)bytes, HYPR_VMO_WS_HEADER_BYTES);
	if (ws->version > HYPR_VMO_WS_VERSION)
		return hypr_fail(-EOPNOTSUPP, "%s: working set of version %u, and this reads up to %u",
				 name, ws->version, HYPR_VMO_WS_VERSION);
	if (ws->required)
		return hypr_fail(-EOPNOTSUPP, "%s: it needs features 0x%llx, which are not known here",
				 name, (unsigned long long)ws->required);
	if (!ws->version || ws->header_bytes != sizeof(*ws) || ws->reserved ||
	    ws->nr_ranges > HYPR_VMO_WS_RANGES_MAX)
		return hypr_fail(-EBADMSG, "%s: its header is not as version 1 has it", name);
	if (bytes != sizeof(*ws) + (uint64_t)ws->nr_ranges * sizeof(struct hypr_vmo_range))
		return hypr_fail(-EBADMSG, "%s: %llu bytes for a header and %u ranges", name,
				 (unsigned long long)bytes, ws->nr_ranges);
	if (ws->nr_ranges > ws->mem_bytes / HYPR_VMO_PAGE_BYTES)
		return hypr_fail(-EBADMSG, "%s: %u ranges for %llu bytes of memory", name,
				 ws->nr_ranges, (unsigned long long)ws->mem_bytes);
	return 0;
}

static int check_digest(const char *name, struct hypr_vmo_ws *ws, uint64_t bytes)
{
	uint8_t stored[HYPR_VMO_DIGEST_BYTES], digest[HYPR_VMO_DIGEST_BYTES];

	memcpy(stored, ws->digest, sizeof(stored));
	memset(ws->digest, 0, sizeof(ws->digest));
	hypr_digest(digest, ws, bytes);
	memcpy(ws->digest, stored, sizeof(stored));
	if (memcmp(digest, stored, sizeof(digest)))
		return hypr_fail(-EBADMSG, "%s: its digest does not fit", name);
	return 0;
}

/* Before any memory is taken for its ranges: is it of this VMO at all? */
static int check_owner(const struct hypr_vmo *vmo, const char *name, const struct hypr_vmo_ws *ws)
{
	char want[17], have[17];

	if (memcmp(ws->root, vmo->header.root, sizeof(ws->root)))
		return hypr_fail(-ESTALE, "%s: recorded of root %s, and %s has %s (hypr working-set --replace records it again)",
				 name, hypr_digest_text(have, ws->root), vmo->file.name,
				 hypr_digest_text(want, vmo->header.root));
	if (ws->mem_bytes != vmo->header.mem_bytes)
		return hypr_fail(-EBADMSG, "%s: memory of %llu bytes, and %s has %llu", name,
				 (unsigned long long)ws->mem_bytes, vmo->file.name,
				 (unsigned long long)vmo->header.mem_bytes);
	return 0;
}

static int check_ranges(const char *name, const struct hypr_vmo_ws *ws)
{
	const struct hypr_vmo_range *range = (const struct hypr_vmo_range *)(ws + 1);
	uint64_t pages = 0;
	uint32_t i;
	int ret;

	ret = hypr_vmo_ranges_check(name, ws->mem_bytes, range, ws->nr_ranges * sizeof(*range));
	if (ret)
		return ret;
	for (i = 0; i < ws->nr_ranges; i++)
		pages += range[i].pages;
	if (pages != ws->pages)
		return hypr_fail(-EBADMSG, "%s: %llu pages, and its header says %llu", name,
				 (unsigned long long)pages, (unsigned long long)ws->pages);
	return 0;
}

static int read_open(const struct hypr_vmo *vmo, struct hypr_vmo_file *file,
		     struct hypr_vmo_range **range, size_t *nr)
{
	struct hypr_vmo_ws head = { 0 }, *ws;
	uint64_t bytes = file->bytes;
	int ret;

	ret = hypr_vmo_file_read(file, 0, &head, bytes < sizeof(head) ? bytes : sizeof(head));
	if (!ret)
		ret = check_header(file->name, &head, bytes);
	if (!ret)
		ret = check_owner(vmo, file->name, &head);
	if (ret)
		return ret;
	ws = malloc(bytes);
	if (!ws)
		return hypr_fail(-ENOMEM, "%s: no memory", file->name);
	ret = hypr_vmo_file_read(file, 0, ws, bytes);
	/* Once more: what is in memory is what counts. */
	if (!ret)
		ret = check_header(file->name, ws, bytes);
	if (!ret)
		ret = check_digest(file->name, ws, bytes);
	if (!ret)
		ret = check_owner(vmo, file->name, ws);
	if (!ret)
		ret = check_ranges(file->name, ws);
	if (ret) {
		free(ws);
		return ret;
	}
	*nr = ws->nr_ranges;
	*range = memmove(ws, ws + 1, *nr * sizeof(**range));
	return 0;
}

/* Of one that was written together with the file. */
static int read_section(struct hypr_vmo *vmo, const char *path, struct hypr_vmo_range **range,
			size_t *nr)
{
	const void *data;
	size_t bytes;
	int ret;

	ret = hypr_vmo_section(vmo, HYPR_VMO_WORKING_SET, 0, &data, &bytes, NULL);
	if (ret == -ENOENT)
		return hypr_fail(-ENODATA, "%s: no working set was recorded: there is no %s (hypr working-set makes it)",
				 vmo->file.name, hypr_vmo_tail(path));
	if (ret)
		return ret;
	*range = malloc(bytes ? bytes : 1);
	if (!*range)
		return hypr_fail(-ENOMEM, "%s: no memory for a working set", vmo->file.name);
	memcpy(*range, data, bytes);
	*nr = bytes / sizeof(**range);
	return 0;
}

int hypr_vmo_ws_read(struct hypr_vmo *vmo, struct hypr_vmo_range **range, size_t *nr)
{
	struct hypr_vmo_file file = { .fd = -1 };
	char *path;
	int ret;

	ret = hypr_vmo_ws_path(vmo, &path);
	if (ret)
		return ret;
	ret = hypr_vmo_file_open(&file, path, hypr_vmo_tail(path));
	if (ret == -ENOENT)
		ret = read_section(vmo, path, range, nr);
	else if (!ret)
		ret = read_open(vmo, &file, range, nr);
	hypr_vmo_file_close(&file);
	free(path);
	return ret;
}
