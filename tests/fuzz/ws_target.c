// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzz target: a recorded working set beside a good VMO file.  The input is a byte of
 * FUZZ_SEAL (its digest and the root of the VMO fit) and FUZZ_LENGTHS (so does its
 * count of ranges), then the file.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define RANGE_BYTES	sizeof(struct hypr_vmo_range)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct hypr_vmo *good_vmo(void)
{
	struct hypr_vmo_params params = {
		.size = sizeof(params),
		.mem_bytes = 64 * HYPR_VMO_PAGE_BYTES,
		.nr_vcpus = 1,
	};
	static struct hypr_vmo *vmo;
	struct hypr_vmo_writer *writer;

	if (!vmo) {
		fuzz_check(!hypr_vmo_writer_create(fuzz_path("f.vmo"), &params, &writer));
		fuzz_check(!hypr_vmo_writer_commit(writer, NULL));
		hypr_vmo_writer_destroy(writer);
		fuzz_check(!hypr_vmo_open(fuzz_path("f.vmo"), &vmo));
	}
	return vmo;
}

static void fit(struct fuzz_file *file, const struct hypr_vmo *vmo)
{
	struct hypr_vmo_ws *ws = (struct hypr_vmo_ws *)file->bytes;

	if (file->len < sizeof(*ws))
		return;
	if (file->mode & FUZZ_LENGTHS) {
		file->len -= (file->len - sizeof(*ws)) % RANGE_BYTES;
		ws->nr_ranges = (uint32_t)((file->len - sizeof(*ws)) / RANGE_BYTES);
	}
	if (file->mode & FUZZ_SEAL) {
		memcpy(ws->root, vmo->header.root, sizeof(ws->root));
		memset(ws->digest, 0, sizeof(ws->digest));
		hypr_digest(ws->digest, ws, file->len);
	}
}

/* Pages of memory, each once, in order; written and read again, the same. */
static void check_ranges(struct hypr_vmo *vmo, const struct hypr_vmo_range *range, size_t nr)
{
	struct hypr_vmo_range *again;
	uint64_t end = 0;
	size_t i, nr_again;

	for (i = 0; i < nr; i++) {
		fuzz_check(!(range[i].gpa % HYPR_VMO_PAGE_BYTES) && range[i].gpa >= end);
		fuzz_check(range[i].pages && range[i].pages <= 64);
		end = range[i].gpa + range[i].pages * HYPR_VMO_PAGE_BYTES;
		fuzz_check(end <= 64 * HYPR_VMO_PAGE_BYTES);
	}
	fuzz_check(!hypr_vmo_ws_write(vmo, NULL, HYPR_VMO_REPLACE, range, nr));
	fuzz_check(!hypr_vmo_ws_read(vmo, &again, &nr_again));
	fuzz_check(nr == nr_again && !memcmp(range, again, nr * RANGE_BYTES));
	free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint64_t bytes[FUZZ_FILE_MAX / 8];
	struct fuzz_file file = { .bytes = (uint8_t *)bytes };
	struct hypr_vmo *vmo = good_vmo();
	struct hypr_vmo_range *range;
	size_t nr;
	int ret;

	if (!size || size > FUZZ_FILE_MAX)
		return 0;
	file.mode = data[0];
	file.len = size - 1;
	memcpy(file.bytes, data + 1, file.len);
	fit(&file, vmo);
	fuzz_store("f.vmo.ws", &file);
	ret = hypr_vmo_ws_read(vmo, &range, &nr);
	if (fuzz_checked(ret))
		return 0;
	check_ranges(vmo, range, nr);
	free(range);
	return 0;
}
