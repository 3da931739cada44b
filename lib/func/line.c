// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Lines of addresses.  A line table is a program of one-byte instructions; each row that
 * it makes is the line of the addresses from its own to that of the next row.
 *
 * The file is hostile.  Nothing is allocated, and each byte is read a few times at most,
 * so a table can cost no more than its size (docs/adr/0006-libraries.md).
 * Source: DWARF Debugging Information Format 5, section 6.2, Line Number Information.
 */
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "func/elf.h"
#include "func/line.h"

#define TABLES_MAX	(16u << 20)

/* Standard instructions; those of 0 are followed by one of the extended ones. */
enum { EXTENDED, COPY, ADVANCE_PC, ADVANCE_LINE, SET_FILE, CONST_ADD_PC = 8, FIXED_ADVANCE_PC };
enum { END_SEQUENCE = 1, SET_ADDRESS };

/* What a field of a directory or file is, and how it is stored. */
enum { CONTENT_NAME = 1 };
enum {
	FORM_BLOCK2 = 0x03, FORM_BLOCK4, FORM_DATA2, FORM_DATA4, FORM_DATA8, FORM_STRING,
	FORM_BLOCK, FORM_BLOCK1, FORM_DATA1, FORM_STRP = 0x0e, FORM_UDATA, FORM_DATA16 = 0x1e,
	FORM_LINE_STRP,
};

/* ---- bytes --------------------------------------------------------------- */

/* What is left to read.  Once something was not there, all that follows is zero. */
struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool bad;
};

static bool more(const struct cursor *from)
{
	return !from->bad && from->at < from->end;
}

static const uint8_t *skip(struct cursor *from, uint64_t bytes)
{
	const uint8_t *at = from->at;

	if (from->bad || bytes > (uint64_t)(from->end - at)) {
		from->bad = true;
		return NULL;
	}
	from->at += bytes;
	return at;
}

static uint64_t take(struct cursor *from, unsigned int bytes)
{
	const uint8_t *at = bytes <= sizeof(uint64_t) ? skip(from, bytes) : NULL;
	uint64_t value = 0;

	if (at)
		memcpy(&value, at, bytes);
	return value;
}

/* LEB128; bits beyond 64 are dropped. */
static uint64_t take_leb(struct cursor *from, bool is_signed)
{
	unsigned int shift = 0;
	uint64_t value = 0;
	uint8_t byte;

	do {
		byte = (uint8_t)take(from, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift = shift < 64 ? shift + 7 : shift;
	} while (byte & 0x80);
	if (is_signed && shift < 64 && (byte & 0x40))
		value |= ~(uint64_t)0 << shift;
	return value;
}

static uint64_t take_uleb(struct cursor *from)
{
	return take_leb(from, false);
}

static const char *take_string(struct cursor *from)
{
	const uint8_t *at = from->at;
	const uint8_t *end = more(from) ? memchr(at, 0, (size_t)(from->end - at)) : NULL;

	return (const char *)skip(from, end ? (uint64_t)(end - at) + 1 : UINT64_MAX);
}

/* The next @bytes, as something to read by itself. */
static struct cursor take_part(struct cursor *from, uint64_t bytes)
{
	const uint8_t *at = skip(from, bytes);

	return (struct cursor){ .at = at, .end = at ? at + bytes : NULL, .bad = !at };
}

/* ---- a table ------------------------------------------------------------- */

struct table {
	unsigned int version;
	unsigned int offset_bytes;	/* of a reference to another section */
	uint8_t step;			/* bytes of the shortest instruction */
	int8_t line_base;
	uint8_t line_range;
	uint8_t opcode_base;
	const uint8_t *operands;	/* how many each standard instruction has */
	struct cursor names;
	struct cursor program;
};

static bool open_table(struct cursor *tables, struct table *table)
{
	struct cursor unit, head;
	uint64_t bytes = take(tables, 4);

	table->offset_bytes = bytes == UINT32_MAX ? 8 : 4;
	if (table->offset_bytes == 8)
		bytes = take(tables, 8);
	unit = take_part(tables, bytes);
	table->version = (unsigned int)take(&unit, 2);
	if (table->version < 2 || table->version > 5)
		return false;
	if (table->version == 5)
		skip(&unit, 2);		/* sizes of an address and of a segment selector */
	head = take_part(&unit, take(&unit, table->offset_bytes));
	table->program = unit;
	table->step = (uint8_t)take(&head, 1);
	if (table->version >= 4)
		skip(&head, 1);		/* VLIW */
	skip(&head, 1);			/* is_stmt */
	table->line_base = (int8_t)take(&head, 1);
	table->line_range = (uint8_t)take(&head, 1);
	table->opcode_base = (uint8_t)take(&head, 1);
	if (!table->opcode_base || !table->line_range)
		return false;
	table->operands = skip(&head, table->opcode_base - 1u);
	table->names = head;
	return !head.bad && !unit.bad;
}

struct row {
	uint64_t address;
	uint64_t file;
	uint64_t line;
};

static const struct row first_row = { .file = 1, .line = 1 };

/* Return: whether the sequence ends here, which is a row as well. */
static bool extended(struct cursor *program, struct row *row)
{
	struct cursor part = take_part(program, take_uleb(program));

	switch (take(&part, 1)) {
	case END_SEQUENCE:
		return true;
	case SET_ADDRESS:
		row->address = take(&part, (unsigned int)(part.end - part.at));
		return false;
	default:
		return false;
	}
}

static void standard(const struct table *table, struct cursor *program, uint8_t opcode,
		     struct row *row)
{
	unsigned int i;

	switch (opcode) {
	case ADVANCE_PC:
		row->address += take_uleb(program) * table->step;
		break;
	case ADVANCE_LINE:
		row->line += take_leb(program, true);
		break;
	case SET_FILE:
		row->file = take_uleb(program);
		break;
	case CONST_ADD_PC:
		row->address += (255u - table->opcode_base) / table->line_range * table->step;
		break;
	case FIXED_ADVANCE_PC:
		row->address += take(program, 2);
		break;
	default:
		for (i = 0; i < table->operands[opcode - 1]; i++)
			take_uleb(program);
	}
}

/* Run the program until a row has the address. */
static bool find_row(const struct table *table, uint64_t address, struct row *found)
{
	struct cursor program = table->program;
	struct row row = first_row;
	bool has_row = false, is_row, ends;
	unsigned int special;
	uint8_t opcode;

	*found = first_row;
	while (more(&program)) {
		opcode = (uint8_t)take(&program, 1);
		is_row = opcode == COPY || opcode >= table->opcode_base;
		ends = false;
		if (opcode >= table->opcode_base) {
			special = opcode - table->opcode_base;
			row.address += special / table->line_range * table->step;
			row.line += (uint64_t)(table->line_base +
					       (int)(special % table->line_range));
		} else if (opcode == EXTENDED) {
			ends = extended(&program, &row);
		} else if (opcode != COPY) {
			standard(table, &program, opcode, &row);
		}
		if (!is_row && !ends)
			continue;
		if (has_row && found->address <= address && address < row.address)
			return true;
		*found = row;
		has_row = is_row;
		if (ends)
			row = first_row;
	}
	return false;
}

/* ---- names of source files ----------------------------------------------- */

/* Up to version 4: folders, an empty name, then files from 1 on. */
static const char *old_name(struct cursor names, uint64_t file)
{
	const char *name;

	do
		name = take_string(&names);
	while (name && *name);
	while (more(&names)) {
		name = take_string(&names);
		if (!name || !*name)
			return NULL;
		if (!--file)
			return name;
		take_uleb(&names);	/* folder, time, size */
		take_uleb(&names);
		take_uleb(&names);
	}
	return NULL;
}

struct strings {
	struct cursor line_str;
	struct cursor str;
};

static const char *string_at(struct cursor strings, uint64_t offset)
{
	skip(&strings, offset);
	return take_string(&strings);
}

#define FIELDS_MAX	255	/* what a byte can count */

struct field {
	uint64_t content;
	uint64_t form;
};

/*
 * Return: the text, if @wanted and the field is one.  A text in another section is looked
 * at only if it is wanted: many fields may refer to a long one.
 */
static const char *take_field(const struct table *table, const struct strings *strings,
			      struct cursor *names, uint64_t form, bool wanted)
{
	uint64_t bytes;

	switch (form) {
	case FORM_STRING:
		return take_string(names);
	case FORM_LINE_STRP:
	case FORM_STRP:
		bytes = take(names, table->offset_bytes);
		if (!wanted)
			return NULL;
		return string_at(form == FORM_STRP ? strings->str : strings->line_str, bytes);
	case FORM_UDATA:
		take_uleb(names);
		return NULL;
	case FORM_BLOCK:
		bytes = take_uleb(names);
		break;
	case FORM_BLOCK1:
		bytes = take(names, 1);
		break;
	case FORM_BLOCK2:
		bytes = take(names, 2);
		break;
	case FORM_BLOCK4:
		bytes = take(names, 4);
		break;
	case FORM_DATA1:
		bytes = 1;
		break;
	case FORM_DATA2:
		bytes = 2;
		break;
	case FORM_DATA4:
		bytes = 4;
		break;
	case FORM_DATA8:
		bytes = 8;
		break;
	case FORM_DATA16:
		bytes = 16;
		break;
	default:
		bytes = UINT64_MAX;	/* not known how long */
	}
	skip(names, bytes);
	return NULL;
}

/* Version 5: a list of entries whose fields it describes first.  Return: the name of @index. */
static const char *take_list(const struct table *table, const struct strings *strings,
			     struct cursor *names, uint64_t index)
{
	unsigned int i, fields = (unsigned int)take(names, 1);
	const char *text, *name = NULL;
	struct field field[FIELDS_MAX];
	uint64_t nr, entry;

	for (i = 0; i < fields; i++) {
		field[i].content = take_uleb(names);
		field[i].form = take_uleb(names);
	}
	nr = take_uleb(names);
	/* A field has at least a byte: the loop ends with the table. */
	for (entry = 0; entry < nr && fields && more(names); entry++) {
		for (i = 0; i < fields; i++) {
			bool wanted = entry == index && field[i].content == CONTENT_NAME;

			text = take_field(table, strings, names, field[i].form, wanted);
			if (wanted)
				name = text;
		}
	}
	return names->bad ? NULL : name;
}

static const char *name_of(const struct table *table, const struct strings *strings,
			   uint64_t file)
{
	struct cursor names = table->names;

	if (table->version < 5)
		return old_name(names, file);
	take_list(table, strings, &names, UINT64_MAX);	/* folders */
	return take_list(table, strings, &names, file);
}

/* ---- the section --------------------------------------------------------- */

static struct cursor section(const uint8_t *file, size_t bytes, const char *name)
{
	struct cursor all = { .at = file, .end = file + bytes };
	uint64_t start, size;

	if (hypr_func_elf_section(file, bytes, name, &start, &size))
		return (struct cursor){ .bad = true };
	skip(&all, start);
	return take_part(&all, size);
}

int hypr_func_line(const uint8_t *file, size_t bytes, uint64_t address, char *source,
		   size_t size, uint32_t *line)
{
	struct cursor tables = section(file, bytes, ".debug_line");
	const struct strings strings = {
		.line_str = section(file, bytes, ".debug_line_str"),
		.str = section(file, bytes, ".debug_str"),
	};
	struct table table;
	const char *name;
	struct row row;

	if (tables.bad || tables.end - tables.at > TABLES_MAX)
		return -ENOENT;
	while (more(&tables)) {
		if (!open_table(&tables, &table) || !find_row(&table, address, &row))
			continue;
		name = name_of(&table, &strings, row.file);
		/* Line 0: the compiler's own code. */
		if (!name || !row.line || row.line > INT32_MAX)
			return -ENOENT;
		if (strrchr(name, '/'))
			name = strrchr(name, '/') + 1;
		hypr_text_printable(source, size, name, strlen(name));
		*line = (uint32_t)row.line;
		return 0;
	}
	return -ENOENT;
}
