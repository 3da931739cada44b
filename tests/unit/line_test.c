// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lines of addresses, from the files that compilers make in each version of DWARF; and
 * damaged and costly ones, which must neither be read beyond their end nor take long.
 */
#include "unit.h"

#include <elf.h>

#include "lib/base/text.h"
#include "lib/func/elf.h"
#include "lib/func/line.h"

#define CODE		0x200000
#define CODE_MAX	0x4000

struct file {
	uint8_t *data;
	size_t bytes;
};

static struct file read_file(const char *path)
{
	struct hypr_func_elf elf;
	struct file file;

	assert_int_equal(hypr_func_elf_read(path, &file.data, &file.bytes), 0);
	assert_int_equal(hypr_func_elf_parse(file.data, file.bytes, "f", &elf), 0);
	return file;
}

static uint64_t address_of(const struct file *file, const char *symbol)
{
	char text[64];
	uint64_t at;

	for (at = CODE; at < CODE + CODE_MAX; at++)
		if (!hypr_func_elf_symbol(file->data, file->bytes, at, text, sizeof(text)) &&
		    !strcmp(text, symbol))
			return at;
	fail_msg("no %s", symbol);
	return 0;
}

static int find(const struct file *file, uint64_t address, char source[60], uint32_t *line)
{
	return hypr_func_line(file->data, file->bytes, address, source, 60, line);
}

/* The line of a source file that has @text first. */
static uint32_t line_with(const char *path, const char *text)
{
	FILE *source = fopen(path, "r");
	uint32_t line = 0;
	char row[200];
	bool found = false;

	assert_non_null(source);
	while (!found && fgets(row, sizeof(row), source)) {
		line++;
		found = strstr(row, text);
	}
	fclose(source);
	assert_true(found);
	return line;
}

/* ---- what compilers make ------------------------------------------------- */

static const char *const kinds[] = { "3", "4", "5", "64", "clang4", "clang5" };

static void test_each_version_of_dwarf_is_read(void **ctx)
{
	const uint32_t first = line_with("examples/call/upper.c", "int hypr_main(");
	const uint32_t last = line_with("examples/call/upper.c", "return 0;") + 1;
	char path[60], source[60], text[64];
	uint64_t start, at, found;
	struct file file;
	uint32_t line;
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		snprintf(path, sizeof(path), "out/tests/unit/lines-%s.elf", kinds[i]);
		file = read_file(path);
		start = address_of(&file, "hypr_main+0x0");
		found = 0;
		assert_int_equal(find(&file, start, source, &line), 0);
		assert_string_equal(source, "upper.c");
		assert_in_range(line, first, first + 1);
		for (at = start; !hypr_func_elf_symbol(file.data, file.bytes, at, text, sizeof(text)) &&
		     !strncmp(text, "hypr_main+", 10); at++) {
			/* Some is the compiler's own. */
			if (find(&file, at, source, &line))
				continue;
			found++;
			assert_string_equal(source, "upper.c");
			assert_in_range(line, first, last);
		}
		assert_true(found > 50 && found > (at - start) / 2);
		/* The runtime's own files are in tables of their own. */
		assert_int_equal(find(&file, address_of(&file, "memcpy+0x0"), source, &line), 0);
		assert_string_equal(source, "string.c");
		assert_int_equal(find(&file, CODE - 1, source, &line), -ENOENT);
		free(file.data);
	}
}

/* No assembler makes it; its tables are those of version 3 in all that is read. */
static void test_version_2_is_read_as_3_and_others_are_not(void **ctx)
{
	struct file file = read_file("out/tests/unit/lines-3.elf");
	uint64_t at = address_of(&file, "hypr_main+0x0"), start, size;
	static const uint8_t bad[] = { 0, 1, 6, 255 };
	char source[60];
	uint32_t line;
	size_t i;

	(void)ctx;
	assert_int_equal(hypr_func_elf_section(file.data, file.bytes, ".debug_line", &start, &size), 0);
	assert_int_equal(file.data[start + 4], 3);
	file.data[start + 4] = 2;
	assert_int_equal(find(&file, at, source, &line), 0);
	assert_string_equal(source, "upper.c");
	for (i = 0; i < sizeof(bad); i++) {
		file.data[start + 4] = bad[i];
		assert_int_equal(find(&file, at, source, &line), -ENOENT);
	}
	free(file.data);
}

static void test_file_without_tables_has_no_lines(void **ctx)
{
	static const char *const paths[] = {
		"out/tests/unit/lines-0.elf", "out/tests/unit/lines-gz.elf",
	};
	struct file file;
	char source[60];
	uint32_t line;
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		file = read_file(paths[i]);
		assert_int_equal(find(&file, address_of(&file, "hypr_main+0x0"), source, &line),
				 -ENOENT);
		free(file.data);
	}
}

/* ---- hostile files ------------------------------------------------------- */

/* Where a section is; headers are those that a linker made. */
static void section_of(const struct file *file, const char *name, uint64_t *start, uint64_t *size)
{
	assert_int_equal(hypr_func_elf_section(file->data, file->bytes, name, start, size), 0);
	assert_true(*size > 0);
}

/* Found or not: ASan sees a read beyond the file. */
static void look(const struct file *file, uint64_t address)
{
	char source[60];
	uint32_t line;
	int ret = find(file, address, source, &line);

	assert_true(ret == 0 || ret == -ENOENT);
	if (!ret)
		assert_true(strlen(source) < sizeof(source) && line > 0);
}

static void test_each_damaged_byte_is_harmless(void **ctx)
{
	static const uint8_t damages[] = { 0x01, 0x80, 0xff };
	uint64_t start, size, address;
	struct file file;
	Elf64_Ehdr head;
	size_t i, at, kind;
	uint8_t was;

	(void)ctx;
	for (kind = 0; kind < 2; kind++) {
		file = read_file(kind ? "out/tests/unit/lines-5.elf" : "out/tests/unit/lines-4.elf");
		address = address_of(&file, "hypr_main+0x0") + 9;
		section_of(&file, ".debug_line", &start, &size);
		memcpy(&head, file.data, sizeof(head));
		for (at = 0; at < size + head.e_shnum * sizeof(Elf64_Shdr); at++) {
			size_t where = at < size ? start + at : head.e_shoff + at - size;

			was = file.data[where];
			for (i = 0; i < ARRAY_SIZE(damages); i++) {
				file.data[where] = was ^ damages[i];
				look(&file, address);
			}
			file.data[where] = was;
		}
		free(file.data);
	}
}

static void test_random_damage_is_harmless(void **ctx)
{
	const char *given = getenv("HYPR_SEED");
	unsigned int seed = given ? (unsigned int)strtoul(given, NULL, 0) : 0x48595052;
	struct file file = read_file("out/tests/unit/lines-5.elf");
	uint64_t start, size, address = address_of(&file, "hypr_main+0x0") + 9;
	unsigned int round, i;
	uint8_t *whole;

	(void)ctx;
	print_message("# seed 0x%x\n", seed);
	srand(seed);
	section_of(&file, ".debug_line", &start, &size);
	whole = malloc(size);
	assert_non_null(whole);
	memcpy(whole, file.data + start, size);
	for (round = 0; round < 20000; round++) {
		for (i = 0; i < 1 + (unsigned int)rand() % 8; i++)
			file.data[start + (size_t)rand() % size] = (uint8_t)rand();
		look(&file, address);
		memcpy(file.data + start, whole, size);
	}
	free(whole);
	free(file.data);
}

/* A file whose only tables are @tables, @line_str of @bytes 'a' besides. */
static struct file file_of(const void *tables, size_t size, size_t bytes)
{
	static const char names[] = "\0.debug_line\0.debug_line_str\0.shstrtab";
	struct {
		Elf64_Ehdr head;
		Elf64_Shdr section[4];
		char names[sizeof(names)];
	} all = {
		.head = { .e_shoff = offsetof(typeof(all), section), .e_shnum = 4,
			  .e_shentsize = sizeof(Elf64_Shdr), .e_shstrndx = 3 },
		.section = {
			[1] = { .sh_name = 1, .sh_type = SHT_PROGBITS, .sh_size = size,
				.sh_offset = sizeof(all) },
			[2] = { .sh_name = 13, .sh_type = SHT_PROGBITS, .sh_size = bytes,
				.sh_offset = sizeof(all) + size },
			[3] = { .sh_name = 29, .sh_type = SHT_STRTAB, .sh_size = sizeof(names),
				.sh_offset = offsetof(typeof(all), names) },
		},
	};
	struct file file = { .bytes = sizeof(all) + size + bytes };

	memcpy(all.names, names, sizeof(names));
	file.data = malloc(file.bytes);
	assert_non_null(file.data);
	memcpy(file.data, &all, sizeof(all));
	memcpy(file.data + sizeof(all), tables, size);
	memset(file.data + sizeof(all) + size, 'a', bytes);
	return file;
}

#define MANY	(1u << 20)

static uint8_t *put(uint8_t *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
	return to + bytes;
}

/*
 * A million files in a table of version 5, the names of all but the last one of which are a
 * text of 4 MiB; line 7 of @wanted is at CODE.  Whoever joins folders and names, or looks
 * at each, needs hours or terabytes.
 */
static struct file many_files(uint32_t wanted)
{
	static const uint8_t names[] = {
		1, 1, 0x08, 1, 'd', 0,			/* a folder "d" */
		1, 1, 0x1f, 0x80, 0x80, 0x40,		/* MANY files, in .debug_line_str */
	};
	static const uint8_t head[] = { 1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1 };
	static const uint8_t program[] = {
		0, 9, 2, 0, 0, 0x20, 0, 0, 0, 0, 0,	/* address CODE */
		4, 0, 0, 0, 3, 6, 1,			/* a file, line 7, a row */
		2, 4, 0, 1, 1,				/* 4 bytes, end */
	};
	uint32_t head_bytes = sizeof(head) + sizeof(names) + MANY * 4;
	uint32_t bytes = 8 + head_bytes + sizeof(program);
	uint8_t *table = calloc(1, bytes + 4), *to = table;
	struct file file;

	assert_non_null(table);
	to = put(to, &bytes, 4);
	to = put(to, "\x05\0\x08\0", 4);
	to = put(to, &head_bytes, 4);
	to = put(to, head, sizeof(head));
	to = put(to, names, sizeof(names)) + MANY * 4;
	to = put(to, program, sizeof(program));
	to -= sizeof(program);
	to[12] = 0x80 | (wanted & 0x7f);
	to[13] = 0x80 | (wanted >> 7 & 0x7f);
	to[14] = (uint8_t)(wanted >> 14);
	file = file_of(table, bytes + 4, 4 << 20);
	file.data[file.bytes - 1] = 0;
	free(table);
	return file;
}

static void test_table_costs_no_more_than_its_size(void **ctx)
{
	struct file file = many_files(MANY - 1);
	char source[60];
	uint32_t line;

	(void)ctx;
	alarm(60);
	assert_int_equal(find(&file, CODE, source, &line), 0);
	assert_int_equal(line, 7);
	assert_int_equal(strlen(source), sizeof(source) - 1);
	alarm(0);
	free(file.data);
	file = many_files(MANY);
	assert_int_equal(find(&file, CODE, source, &line), -ENOENT);
	free(file.data);
}

static void test_tables_that_are_too_large_are_left(void **ctx)
{
	uint8_t *tables = calloc(1, (16 << 20) + 1);
	struct file file;

	(void)ctx;
	assert_non_null(tables);
	file = file_of(tables, (16 << 20) + 1, 1);
	look(&file, CODE);
	free(file.data);
	free(tables);
}

static void test_terminals_get_printable_text(void **ctx)
{
	char text[8];

	(void)ctx;
	hypr_text_printable(text, sizeof(text), "a\033[2J\x80\n", 7);
	assert_string_equal(text, "a?[2J??");
	hypr_text_printable(text, sizeof(text), "12345678", 8);
	assert_string_equal(text, "1234567");
}

static void test_name_of_a_symbol_is_printable(void **ctx)
{
	struct file file = read_file("out/tests/unit/lines-5.elf");
	uint64_t at = address_of(&file, "hypr_main+0x0");
	uint8_t *from = file.data, *name;
	char text[64];

	(void)ctx;
	/* In all tables of strings. */
	while ((name = memmem(from, (size_t)(file.data + file.bytes - from), "\0hypr_main", 11))) {
		name[5] = '\033';
		from = name + 1;
	}
	assert_int_equal(hypr_func_elf_symbol(file.data, file.bytes, at, text, sizeof(text)), 0);
	assert_string_equal(text, "hypr?main+0x0");
	free(file.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_version_of_dwarf_is_read),
		cmocka_unit_test(test_version_2_is_read_as_3_and_others_are_not),
		cmocka_unit_test(test_file_without_tables_has_no_lines),
		cmocka_unit_test(test_each_damaged_byte_is_harmless),
		cmocka_unit_test(test_random_damage_is_harmless),
		cmocka_unit_test(test_table_costs_no_more_than_its_size),
		cmocka_unit_test(test_tables_that_are_too_large_are_left),
		cmocka_unit_test(test_terminals_get_printable_text),
		cmocka_unit_test(test_name_of_a_symbol_is_printable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
