// SPDX-License-Identifier: GPL-2.0-only
/* See vmo_kit.h. */
#include "vmo_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

static char folder[64];
static char paths[40][128];
static unsigned int nr_paths;

int kit_setup(void **ctx)
{
	(void)ctx;
	nr_paths = 0;
	strcpy(folder, "/tmp/hypr-vmo-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int each_file(bool remove)
{
	struct dirent *entry;
	DIR *list = opendir(folder);
	int n = 0;

	assert_non_null(list);
	while ((entry = readdir(list))) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		n++;
		if (remove)
			unlinkat(dirfd(list), entry->d_name, 0);
	}
	closedir(list);
	return n;
}

int kit_teardown(void **ctx)
{
	(void)ctx;
	each_file(true);
	return rmdir(folder);
}

int kit_count(void)
{
	return each_file(false);
}

const char *kit_path(const char *name)
{
	char *path = paths[nr_paths++ % ARRAY_SIZE(paths)];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

uint64_t kit_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

uint64_t kit_seed(void)
{
	const char *text = getenv("HYPR_SEED");
	struct timespec now;
	uint64_t seed;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = text ? strtoull(text, NULL, 0) : (uint64_t)now.tv_nsec * 1000003u;
	seed += !seed;
	print_message("# HYPR_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

void kit_fill(uint8_t *page, uint64_t seed)
{
	uint64_t state = seed + 1, word;
	size_t i;

	for (i = 0; i < PAGE; i += sizeof(word)) {
		word = kit_random(&state);
		memcpy(page + i, &word, sizeof(word));
	}
}

uint8_t *kit_memory(void)
{
	uint8_t *mem = calloc(KIT_PAGES, PAGE);
	unsigned int i;

	assert_non_null(mem);
	for (i = 0; i < KIT_PAGES; i++) {
		if (i % 8 < 3 || i == KIT_PAGES - 1)
			kit_fill(mem + i * PAGE, i);
	}
	mem[20 * PAGE - 1] = 1;		/* the last byte of a page counts */
	return mem;
}

struct hypr_vmo_params kit_params(struct hypr_vmo *parent)
{
	return (struct hypr_vmo_params){
		.size = sizeof(struct hypr_vmo_params),
		.mem_bytes = KIT_BYTES,
		.nr_vcpus = 2,
		.created_ns = 1700000000000000000u,
		.parent = parent,
	};
}

void kit_write(const char *name, const uint8_t *mem, struct hypr_vmo *parent)
{
	struct hypr_vmo_params params = kit_params(parent);
	static const struct hypr_vmo_range used[] = { { 0, 2 }, { 8 * PAGE, 1 } };
	uint8_t vcpu[500];
	struct hypr_vmo_writer *w;
	unsigned int i;

	assert_int_equal(hypr_vmo_writer_create(kit_path(name), &params, &w), 0);
	assert_int_equal(hypr_vmo_writer_pages(w, 0, mem, KIT_PAGES, RWX), 0);
	for (i = 0; i < 2; i++) {
		memset(vcpu, 0x10 + (int)i, sizeof(vcpu));
		assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_VCPU, i, 7, 0, vcpu,
							 sizeof(vcpu)), 0);
	}
	assert_int_equal(hypr_vmo_writer_section(w, HYPR_VMO_WORKING_SET, 0, 1, 0, used,
						 sizeof(used)), 0);
	assert_int_equal(hypr_vmo_writer_section(w, 1000, 3, 1, HYPR_VMO_SECTION_OPTIONAL,
						 "of another time", 15), 0);
	assert_int_equal(hypr_vmo_writer_commit(w, NULL), 0);
	hypr_vmo_writer_destroy(w);
}

struct hypr_vmo *kit_open(const char *name)
{
	struct hypr_vmo *vmo = NULL;
	int ret = hypr_vmo_open(kit_path(name), &vmo);

	if (ret)
		fail_msg("%s: %d: %s", name, ret, hypr_error());
	return vmo;
}

void kit_refused(const char *name, int err, const char *words)
{
	struct hypr_vmo *vmo = NULL;
	int ret = hypr_vmo_open(kit_path(name), &vmo);

	if (ret != err || !strstr(hypr_error(), words))
		fail_msg("%d '%s', not %d '%s'", ret, hypr_error(), err, words);
	/* In one line, with the name of the file. */
	assert_null(strchr(hypr_error(), '\n'));
	assert_non_null(strstr(hypr_error(), ".vmo"));
	assert_null(vmo);
}

struct kit_file kit_load(const char *name)
{
	struct kit_file file = { 0 };
	struct stat st;
	int fd = open(kit_path(name), O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	file.len = (size_t)st.st_size;
	file.bytes = malloc(file.len + 4 * PAGE);	/* room to grow */
	assert_non_null(file.bytes);
	assert_int_equal(read(fd, file.bytes, file.len), file.len);
	close(fd);
	file.header = (struct hypr_vmo_header *)file.bytes;
	file.table = (struct hypr_vmo_section *)(file.bytes + file.header->table_offset);
	return file;
}

void kit_store(const char *name, const struct kit_file *file)
{
	int fd = open(kit_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, file->bytes, file->len), file->len);
	close(fd);
}

void kit_unload(struct kit_file *file)
{
	free(file->bytes);
}

struct hypr_vmo_section *kit_section(const struct kit_file *file, uint32_t type)
{
	uint32_t i;

	for (i = 0; i < file->header->nr_sections; i++) {
		if (file->table[i].type == type)
			return &file->table[i];
	}
	fail_msg("no section of type %u", type);
	return NULL;
}

void kit_seal(struct kit_file *file)
{
	struct hypr_vmo_section *entry;
	uint32_t i;

	for (i = 0; i < file->header->nr_sections; i++) {
		entry = &file->table[i];
		if (entry->type != HYPR_VMO_DATA && entry->offset <= file->len &&
		    entry->bytes <= file->len - entry->offset)
			hypr_digest(entry->digest, file->bytes + entry->offset, entry->bytes);
	}
	hypr_vmo_root(file->header->root, file->header, file->table);
}
