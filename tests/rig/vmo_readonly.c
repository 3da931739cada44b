// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmo-readonly IN OUT START END: the state of IN as OUT, whose guest may not write
 * from GPA START to END.  For tests/rig/vmo.sh; nothing else makes such files.
 */
#include <stdio.h>
#include <stdlib.h>

#include "hypr/hypr.h"
#include "hypr/vmo.h"

#define PAGE	4096u

static int copy_pages(struct hypr_vmo *vmo, struct hypr_vmo_writer *writer, uint64_t start,
		      uint64_t end)
{
	static uint8_t page[PAGE];
	struct hypr_vmo_info info;
	uint64_t gpa;
	int ret = 0;

	hypr_vmo_info(vmo, &info);
	for (gpa = 0; !ret && gpa < info.mem_bytes; gpa += PAGE) {
		ret = hypr_vmo_read(vmo, gpa, page, PAGE);
		if (!ret)
			ret = hypr_vmo_writer_pages(writer, gpa, page, 1,
						    gpa >= start && gpa < end ?
						    HYPR_VMO_RUN_R | HYPR_VMO_RUN_X :
						    HYPR_VMO_RUN_RWX);
	}
	return ret;
}

static int copy_sections(struct hypr_vmo *vmo, struct hypr_vmo_writer *writer)
{
	const struct hypr_vmo_section *table;
	unsigned int i, nr = hypr_vmo_sections(vmo, &table);
	const void *data;
	uint32_t version;
	size_t bytes;
	int ret = 0;

	for (i = 0; !ret && i < nr; i++) {
		if (table[i].type < HYPR_VMO_VCPU)
			continue;
		ret = hypr_vmo_section(vmo, table[i].type, table[i].index, &data, &bytes, &version);
		if (!ret)
			ret = hypr_vmo_writer_section(writer, table[i].type, table[i].index,
						      version, table[i].flags, data, bytes);
	}
	return ret;
}

static int copy(const char *in, const char *out, uint64_t start, uint64_t end)
{
	struct hypr_vmo_params params = { .size = sizeof(params) };
	struct hypr_vmo_writer *writer = NULL;
	struct hypr_vmo_info info;
	struct hypr_vmo *vmo;
	int ret;

	ret = hypr_vmo_open(in, &vmo);
	if (ret)
		return ret;
	hypr_vmo_info(vmo, &info);
	params.mem_bytes = info.mem_bytes;
	params.nr_vcpus = info.nr_vcpus;
	ret = hypr_vmo_writer_create(out, &params, &writer);
	if (!ret)
		ret = copy_pages(vmo, writer, start, end);
	if (!ret)
		ret = copy_sections(vmo, writer);
	if (!ret)
		ret = hypr_vmo_writer_commit(writer, NULL);
	hypr_vmo_writer_destroy(writer);
	hypr_vmo_close(vmo);
	return ret;
}

int main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: vmo-readonly IN OUT START END\n");
		return 2;
	}
	if (!copy(argv[1], argv[2], strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0)))
		return 0;
	fprintf(stderr, "vmo-readonly: %s\n", hypr_error());
	return 1;
}
