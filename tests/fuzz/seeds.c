// SPDX-License-Identifier: GPL-2.0-only
/*
 * seeds FOLDER: makes the seed corpus of the fuzz targets, FOLDER/vmo, FOLDER/layers,
 * FOLDER/ws and FOLDER/state, in the form that fuzz.h tells, and FOLDER/func, function files.  The
 * same bytes at each run.  `make fuzz-corpus` runs it for tests/fuzz/corpus.  Run in the root of the tree.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "hypr/vmo.h"
#include "fuzz.h"
#include "hypr/abi/func.h"
#include "lib/run/vmo_state.h"

#define PAGE	HYPR_VMO_PAGE_BYTES
#define RWX	HYPR_VMO_RUN_RWX
#define FITS	(FUZZ_SEAL | FUZZ_LENGTHS | FUZZ_PAGES)

static const char *corpus;

static void must(int ret, const char *what)
{
	if (!ret)
		return;
	fprintf(stderr, "seeds: %s: %s\n", what, hypr_error());
	exit(1);
}

/** struct seed - an input that is made */
struct seed {
	uint8_t bytes[65536];
	size_t len;
};

/* A file of the private folder, or of the tree, as an input. */
static void take(struct seed *seed, const char *path, uint8_t mode)
{
	static uint64_t words[FUZZ_FILE_MAX / 8];
	uint8_t *file = (uint8_t *)words;
	const struct hypr_vmo_header *header = (const void *)file;
	const struct hypr_vmo_section *table;
	size_t len, data = 0;
	FILE *from = fopen(path, "r");

	must(from ? 0 : -errno, path);
	len = fread(file, 1, FUZZ_FILE_MAX, from);
	fclose(from);
	table = (const void *)(file + header->table_offset);
	if (table->type == HYPR_VMO_DATA && !(header->required & HYPR_VMO_PACKED))
		data = table->bytes;
	seed->bytes[seed->len++] = mode;
	seed->bytes[seed->len++] = (uint8_t)(data / PAGE);
	memcpy(seed->bytes + seed->len, file, 256);
	seed->len += 256;
	memcpy(seed->bytes + seed->len, file + PAGE + data, len - PAGE - data);
	seed->len += len - PAGE - data;
}

static void keep(const char *target, const char *name, const struct seed *seed)
{
	char path[300];
	FILE *to;

	snprintf(path, sizeof(path), "%s/%s/%s", corpus, target, name);
	to = fopen(path, "w");
	if (!to || fwrite(seed->bytes, 1, seed->len, to) != seed->len || fclose(to)) {
		perror(path);
		exit(1);
	}
}

static void keep_file(const char *name, const char *path, uint8_t mode)
{
	struct seed seed = { .len = 0 };

	take(&seed, path, mode);
	keep("vmo", name, &seed);
}

static void keep_layers(const char *name, const char *parent, uint8_t parent_mode,
			const char *child, uint8_t child_mode)
{
	struct seed seed = { .len = 2 };
	size_t first;

	take(&seed, parent, parent_mode);
	first = seed.len - 2;
	take(&seed, child, child_mode);
	seed.bytes[0] = (uint8_t)first;
	seed.bytes[1] = (uint8_t)(first >> 8);
	keep("layers", name, &seed);
}

/* ---- files ----------------------------------------------------------------- */

static struct hypr_vmo_writer *begin(const char *name, uint64_t mem_bytes, struct hypr_vmo *parent)
{
	struct hypr_vmo_params params = {
		.size = sizeof(params),
		.flags = HYPR_VMO_REPLACE,
		.mem_bytes = mem_bytes,
		.nr_vcpus = FUZZ_VCPUS,
		.created_ns = 1700000000000000000u,
		.parent = parent,
	};
	struct hypr_vmo_writer *writer;

	must(hypr_vmo_writer_create(fuzz_path(name), &params, &writer), name);
	return writer;
}

static void end(struct hypr_vmo_writer *writer)
{
	must(hypr_vmo_writer_commit(writer, NULL), "commit");
	hypr_vmo_writer_destroy(writer);
}

static void page(struct hypr_vmo_writer *writer, uint64_t n, uint8_t byte, uint32_t flags)
{
	uint8_t mem[PAGE];

	memset(mem, byte, sizeof(mem));
	must(hypr_vmo_writer_pages(writer, n * PAGE, mem, 1, flags), "page");
}

static void make_zero(const char *name, uint64_t mem_bytes)
{
	end(begin(name, mem_bytes, NULL));
}

/* Pages of all kinds, a working set, a section of another time. */
static void make_kinds(const char *name, struct hypr_vmo *parent)
{
	static const struct hypr_vmo_range used[] = { { 0, 2 }, { 4 * PAGE, 1 } };
	struct hypr_vmo_writer *writer = begin(name, 16 * PAGE, parent);

	page(writer, 0, 1, RWX);
	page(writer, 1, parent ? 1 : 2, RWX);
	page(writer, 4, 3, HYPR_VMO_RUN_R);
	page(writer, 5, 0, HYPR_VMO_RUN_R);
	page(writer, 6, 4, HYPR_VMO_RUN_R | HYPR_VMO_RUN_X);
	must(hypr_vmo_writer_section(writer, HYPR_VMO_WORKING_SET, 0, 1, 0, used, sizeof(used)),
	     "working set");
	must(hypr_vmo_writer_section(writer, 1000, 3, 9, HYPR_VMO_SECTION_OPTIONAL, "later", 5),
	     "section");
	end(writer);
}

static void make_stripes(const char *name)
{
	struct hypr_vmo_writer *writer = begin(name, 64 * PAGE, NULL);
	uint64_t i;

	for (i = 0; i < 64; i++)
		page(writer, i, i % 8 == 1, i % 2 ? RWX : HYPR_VMO_RUN_R);
	end(writer);
}

static void make_state(const char *name)
{
	struct hypr_vmo_writer *writer = begin(name, 4 * PAGE, NULL);

	must(hypr_vmo_state_write(fuzz_vm(), fuzz_vm_state(), writer), "state");
	end(writer);
}

/* As the writer would not: the parent's name in a child is another. */
static void rename_parent(struct seed *seed, const char *from, const char *to)
{
	uint8_t *at = memmem(seed->bytes, seed->len, from, strlen(from));

	must(at ? 0 : -ENOENT, from);
	memcpy(at, to, strlen(from));
}

static void make_cycle(void)
{
	struct seed seed = { .len = 2 };
	size_t first;

	take(&seed, fuzz_path("p.vmo"), FITS);
	first = seed.len - 2;
	take(&seed, fuzz_path("c.vmo"), FITS | FUZZ_LINK);
	rename_parent(&seed, "p.vmo", "c.vmo");
	seed.bytes[0] = (uint8_t)first;
	seed.bytes[1] = (uint8_t)(first >> 8);
	keep("layers", "cycle", &seed);
}

static void make_signed(void)
{
	char text[128];
	size_t len;
	FILE *key = fopen("tests/golden/v1-key", "r");
	int fd = open(fuzz_path("key"), O_WRONLY | O_CREAT, 0600);

	must(key && fd >= 0 ? 0 : -errno, "tests/golden/v1-key");
	len = fread(text, 1, sizeof(text), key);
	must(write(fd, text, len) == (ssize_t)len ? 0 : -EIO, "key");
	close(fd);
	fclose(key);
	must(hypr_vmo_sign(fuzz_path("zero.vmo"), fuzz_path("key")), "sign");
	/* As it is: it keeps its root, and the signature fits. */
	keep_file("signed", fuzz_path("zero.vmo"), 0);
}

/*
 * A packed file whose one chunk has something beside its frame, before or behind it: the
 * fuzzer makes lengths and digests fit, and the format forbids it all the same.
 */
static void keep_frames(const char *name, const uint8_t *beside, size_t bytes, bool before)
{
	static uint64_t words[FUZZ_FILE_MAX / 8];
	uint8_t *file = (uint8_t *)words, *data = file + PAGE;
	struct hypr_vmo_header *header = (void *)file;
	struct hypr_vmo_section table[2];
	struct { struct hypr_vmo_chunks head; struct hypr_vmo_chunk chunk; } chunks;
	FILE *from = fopen(fuzz_path("packed.vmo"), "r"), *to;
	size_t at;

	must(from && fread(file, 1, FUZZ_FILE_MAX, from) > PAGE ? 0 : -EIO, "packed.vmo");
	fclose(from);
	memcpy(table, file + header->table_offset, sizeof(table));
	memcpy(&chunks, file + table[1].offset, sizeof(chunks));
	if (before)
		memmove(data + bytes, data, table[0].bytes);
	memcpy(before ? data : data + table[0].bytes, beside, bytes);
	table[0].bytes += bytes;
	chunks.chunk.bytes = table[0].bytes;
	at = hypr_vmo_align(PAGE + table[0].bytes);
	memset(data + table[0].bytes, 0, at - PAGE - table[0].bytes);
	table[1].offset = at;
	memcpy(file + at, &chunks, sizeof(chunks));
	header->table_offset = at + sizeof(chunks);
	header->file_bytes = header->table_offset + sizeof(table);
	memcpy(file + header->table_offset, table, sizeof(table));
	to = fopen(fuzz_path("frames.vmo"), "w");
	must(to && fwrite(file, 1, header->file_bytes, to) == header->file_bytes && !fclose(to) ?
	     0 : -EIO, "frames.vmo");
	keep_file(name, fuzz_path("frames.vmo"), FITS);
}

static void make_frames(void)
{
	static const uint8_t skipped[] = { 0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4 };
	uint8_t empty[64];
	struct hypr_vmo *vmo;
	size_t bytes;

	must(hypr_vmo_open(fuzz_path("zero.vmo"), &vmo), "zero.vmo");
	must(hypr_vmo_pack(vmo, fuzz_path("packed.vmo"), HYPR_VMO_REPLACE, 1, NULL), "pack");
	hypr_vmo_close(vmo);
	bytes = ZSTD_compress(empty, sizeof(empty), "", 0, 1);
	must(ZSTD_isError(bytes) ? -EIO : 0, "an empty frame");
	keep_frames("packed-skippable", skipped, sizeof(skipped), true);
	keep_frames("packed-two-frames", empty, bytes, false);
}

static void make_files(void)
{
	struct hypr_vmo *parent;

	make_zero("zero.vmo", 4 * PAGE);
	keep_file("zero", fuzz_path("zero.vmo"), FITS);
	make_signed();
	make_frames();
	make_zero("huge.vmo", HYPR_VMO_MEM_MAX_BYTES);
	keep_file("huge", fuzz_path("huge.vmo"), FITS);
	make_kinds("p.vmo", NULL);
	keep_file("kinds", fuzz_path("p.vmo"), FITS);
	keep_file("kinds-placed", fuzz_path("p.vmo"), FITS | FUZZ_PLACES);
	keep_file("kinds-unsealed", fuzz_path("p.vmo"), FUZZ_PAGES);
	keep_file("kinds-packed", fuzz_path("p.vmo"), FITS | FUZZ_PACK);
	keep_file("kinds-shrinks", fuzz_path("p.vmo"), FITS | FUZZ_SHRINK);
	make_stripes("stripes.vmo");
	keep_file("stripes", fuzz_path("stripes.vmo"), FITS);
	make_state("state.vmo");
	keep_file("state", fuzz_path("state.vmo"), FITS);
	keep_file("golden", "tests/golden/v1-base.vmo", FITS);
	keep_file("golden-packed", "tests/golden/v1-packed.vmo", FUZZ_SEAL);

	must(hypr_vmo_open(fuzz_path("p.vmo"), &parent), "p.vmo");
	make_kinds("c.vmo", parent);
	hypr_vmo_close(parent);
	keep_layers("two", fuzz_path("p.vmo"), FITS, fuzz_path("c.vmo"), FITS | FUZZ_LINK);
	keep_layers("packed-parent", fuzz_path("p.vmo"), FITS | FUZZ_PACK, fuzz_path("c.vmo"),
		    FITS | FUZZ_LINK);
	keep_layers("packed-child", fuzz_path("p.vmo"), FITS, fuzz_path("c.vmo"),
		    FITS | FUZZ_LINK | FUZZ_PACK);
	keep_layers("stale", fuzz_path("p.vmo"), FITS, fuzz_path("c.vmo"), FITS);
	keep_layers("other-size", fuzz_path("zero.vmo"), FITS, fuzz_path("c.vmo"),
		    FITS | FUZZ_LINK);
	keep_layers("shrinks", fuzz_path("p.vmo"), FITS, fuzz_path("c.vmo"),
		    FITS | FUZZ_LINK | FUZZ_SHRINK);
	make_cycle();
}

/* A recording of ranges of @pages pages, with as many between them. */
static void keep_ws(const char *name, uint8_t mode, uint64_t pages)
{
	struct seed seed = { .len = 1 + sizeof(struct hypr_vmo_ws) };
	struct hypr_vmo_ws ws = {
		.magic = HYPR_VMO_WS_MAGIC,
		.version = HYPR_VMO_WS_VERSION,
		.header_bytes = HYPR_VMO_WS_HEADER_BYTES,
		.mem_bytes = 64 * PAGE,
	};
	struct hypr_vmo_range range = { .pages = pages };

	for (; pages && range.gpa < 64 * PAGE; range.gpa += 2 * pages * PAGE) {
		memcpy(seed.bytes + seed.len, &range, sizeof(range));
		seed.len += sizeof(range);
		ws.nr_ranges++;
		ws.pages += pages;
	}
	seed.bytes[0] = mode;
	memcpy(seed.bytes + 1, &ws, sizeof(ws));
	keep("ws", name, &seed);
}

static void make_working_sets(void)
{
	keep_ws("none", FUZZ_SEAL, 0);
	keep_ws("some", FUZZ_SEAL, 2);
	keep_ws("many", FUZZ_SEAL | FUZZ_LENGTHS, 1);
	keep_ws("stale", 0, 2);
}

/* Changes of sections, then accesses; see state_target.c. */
static void keep_state(const char *name, const uint8_t *bytes, size_t len)
{
	struct seed seed = { .len = len };

	memcpy(seed.bytes, bytes, len);
	keep("state", name, &seed);
}

static void make_states(void)
{
	/* A byte each is sent, received and read; the time is asked for. */
	static const uint8_t plain[] = {
		0, 0x80, 1, 2, 0x80, 0, 'x', 0x00, 2, 0, 0xc0, 0, 'y', 0x00, 5, 0, 0x00, 0, 0,
		0x81, 0, 9, 0x01, 1, 0, 0xa2, 0, 0x64, 0x22, 0x30, 0x00,
	};
	/* The index of the clock chip (section 5), the ring (4), a received byte. */
	static const uint8_t wild[] = {
		3, 5, 0, 0, 255, 4, 12, 0, 1, 4, 2, 0, 3, 0x01, 1, 0, 0x81, 1, 0x55, 0x00, 0, 0,
	};

	keep_state("none", (const uint8_t[]){ 0 }, 1);
	keep_state("plain", plain, sizeof(plain));
	keep_state("wild", wild, sizeof(wild));
}

/* The smallest function file: code, data, and the name of the code. */
struct func_file {
	Elf64_Ehdr head;
	Elf64_Phdr part[2];
	Elf64_Shdr section[3];
	Elf64_Sym symbol[2];
	char names[8];
	uint8_t code[8];
	uint8_t data[8];
};

static void make_func(void)
{
	const uint64_t code = HYPR_FUNC_IMAGE_START, data = code + PAGE;
	const struct func_file file = {
		.head = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = code,
			.e_phoff = offsetof(struct func_file, part),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 2,
			.e_shoff = offsetof(struct func_file, section),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = 3,
		},
		.part = {
			{ PT_LOAD, PF_R | PF_X, offsetof(struct func_file, code), code, code, 8, 8, 1 },
			{ PT_LOAD, PF_R | PF_W, offsetof(struct func_file, data), data, data, 8, PAGE, 1 },
		},
		.section = {
			[1] = { .sh_type = SHT_SYMTAB, .sh_link = 2,
				.sh_offset = offsetof(struct func_file, symbol),
				.sh_size = 2 * sizeof(Elf64_Sym) },
			[2] = { .sh_type = SHT_STRTAB, .sh_size = 8,
				.sh_offset = offsetof(struct func_file, names) },
		},
		.symbol[1] = { .st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
			       .st_value = code, .st_size = 8 },
		.names = "\0_start",
		.code = { 0xcc, 0x0f, 0x0b },
	};
	struct seed seed = { .len = sizeof(file) };

	memcpy(seed.bytes, &file, sizeof(file));
	keep("func", "smallest", &seed);
}

static void make_folder(const char *target)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", corpus, target);
	mkdir(path, 0777);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("usage: seeds FOLDER\n", stderr);
		return 2;
	}
	corpus = argv[1];
	mkdir(corpus, 0777);
	make_folder("vmo");
	make_folder("layers");
	make_folder("ws");
	make_folder("state");
	make_folder("func");
	make_files();
	make_working_sets();
	make_states();
	make_func();
	return 0;
}
