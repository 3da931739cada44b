// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages as squares, the lowest address at the top left.  Where there are more
 * pages than squares, a square shows the strongest of what its pages are.
 */
#include <stdbool.h>
#include <stdlib.h>

#include "vmo_map.h"

#define COLUMNS		128
#define SQUARES_MAX	(COLUMNS * 128)
#define SQUARE		6	/* pixels */
#define TOP		28
#define BOTTOM		30

struct cli_map {
	const struct cli_map_kind *kinds;
	unsigned int nr_kinds;
	uint64_t pages;
	uint64_t pages_each;		/* of a square */
	uint32_t squares;
	uint8_t kind[];
};

struct cli_map *cli_map_create(uint64_t pages, const struct cli_map_kind *kinds,
			       unsigned int nr_kinds)
{
	uint64_t each = (pages + SQUARES_MAX - 1) / SQUARES_MAX;
	uint32_t squares = (uint32_t)((pages + each - 1) / each);
	struct cli_map *map = calloc(1, sizeof(*map) + squares);

	if (map) {
		map->kinds = kinds;
		map->nr_kinds = nr_kinds;
		map->pages = pages;
		map->pages_each = each;
		map->squares = squares;
	}
	return map;
}

void cli_map_destroy(struct cli_map *map)
{
	free(map);
}

void cli_map_add(struct cli_map *map, uint64_t page, uint64_t pages, unsigned int kind)
{
	uint64_t square, last = (page + pages - 1) / map->pages_each;

	for (square = page / map->pages_each; square <= last; square++) {
		if (map->kind[square] < kind)
			map->kind[square] = (uint8_t)kind;
	}
}

static void write_row(const struct cli_map *map, uint32_t row, FILE *to)
{
	uint32_t start = row * COLUMNS, end = start + COLUMNS, i, next;

	if (end > map->squares)
		end = map->squares;
	for (i = start; i < end; i = next) {
		for (next = i; next < end && map->kind[next] == map->kind[i]; next++)
			;
		fprintf(to, "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" fill=\"%s\"/>\n",
			(i - start) * SQUARE, TOP + row * SQUARE, (next - i) * SQUARE, SQUARE,
			map->kinds[map->kind[i]].colour);
	}
}

static void write_legend(const struct cli_map *map, unsigned int y, FILE *to)
{
	unsigned int i, x;

	for (i = 0; i < map->nr_kinds; i++) {
		x = 4 + COLUMNS * SQUARE / map->nr_kinds * i;
		fprintf(to, "<rect x=\"%u\" y=\"%u\" width=\"10\" height=\"10\" fill=\"%s\" "
			"stroke=\"#607d8b\"/><text x=\"%u\" y=\"%u\">%s</text>\n",
			x, y - 9, map->kinds[i].colour, x + 16, y, map->kinds[i].name);
	}
}

static void write_map(const struct cli_map *map, const char *title, FILE *to)
{
	uint32_t rows = (map->squares + COLUMNS - 1) / COLUMNS, row;
	uint32_t width = COLUMNS * SQUARE, legend = TOP + rows * SQUARE + 18;

	fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n", width,
		TOP + rows * SQUARE + BOTTOM);
	fprintf(to, "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n");
	fprintf(to, "<text x=\"4\" y=\"18\">%s; a square is %llu KiB, a row %llu KiB</text>\n",
		title, (unsigned long long)map->pages_each * 4,
		(unsigned long long)map->pages_each * 4 * COLUMNS);
	for (row = 0; row < rows; row++)
		write_row(map, row, to);
	write_legend(map, legend, to);
	fprintf(to, "</svg>\n");
}

/* Into memory first: it is at most a square for each of a bounded number. */
char *cli_map_text(const struct cli_map *map, const char *title, size_t *bytes)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, bytes);
	bool failed;

	if (!to)
		return NULL;
	write_map(map, title, to);
	failed = ferror(to);
	if (!fclose(to) && !failed)
		return text;
	free(text);
	return NULL;
}
