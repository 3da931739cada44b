// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages as squares, the lowest address at the top left.  Where there are more
 * pages than squares, a square shows the strongest of what its pages are.
 */
#include <stdlib.h>

#include "hypr/vmo.h"
#include "vmo_map.h"

#define COLUMNS		128
#define SQUARES_MAX	(COLUMNS * 128)
#define SQUARE		6	/* pixels */
#define TOP		28
#define BOTTOM		30

struct cli_map {
	uint64_t pages;
	uint64_t pages_each;		/* of a square */
	uint32_t squares;
	uint8_t kind[];
};

/* From the weakest to the strongest. */
static const struct {
	int kind;
	const char *name, *colour;
} kinds[] = {
	{ HYPR_VMO_SAME_ZERO, "zero, unchanged", "#eceff1" },
	{ HYPR_VMO_SAME, "unchanged", "#90a4ae" },
	{ HYPR_VMO_ZEROED, "changed to zero", "#1565c0" },
	{ HYPR_VMO_CHANGED, "changed", "#e65100" },
};

#define NR_KINDS	((int)(sizeof(kinds) / sizeof(kinds[0])))

static uint8_t strength(int kind)
{
	uint8_t i = 0;

	while (kinds[i].kind != kind)
		i++;
	return i;
}

struct cli_map *cli_map_create(uint64_t pages)
{
	uint64_t each = (pages + SQUARES_MAX - 1) / SQUARES_MAX;
	uint32_t squares = (uint32_t)((pages + each - 1) / each);
	struct cli_map *map = calloc(1, sizeof(*map) + squares);

	if (map) {
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

void cli_map_add(struct cli_map *map, uint64_t page, uint64_t pages, int kind)
{
	uint64_t square, last = (page + pages - 1) / map->pages_each;
	uint8_t is = strength(kind);

	for (square = page / map->pages_each; square <= last; square++) {
		if (map->kind[square] < is)
			map->kind[square] = is;
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
			kinds[map->kind[i]].colour);
	}
}

void cli_map_write(const struct cli_map *map, const char *title, FILE *to)
{
	uint32_t rows = (map->squares + COLUMNS - 1) / COLUMNS, row;
	uint32_t width = COLUMNS * SQUARE, legend = TOP + rows * SQUARE + 18;
	int i;

	fprintf(to, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n", width,
		TOP + rows * SQUARE + BOTTOM);
	fprintf(to, "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n");
	fprintf(to, "<text x=\"4\" y=\"18\">%s; a square is %llu KiB, a row %llu KiB</text>\n",
		title, (unsigned long long)map->pages_each * 4,
		(unsigned long long)map->pages_each * 4 * COLUMNS);
	for (row = 0; row < rows; row++)
		write_row(map, row, to);
	for (i = 0; i < NR_KINDS; i++)
		fprintf(to, "<rect x=\"%d\" y=\"%u\" width=\"10\" height=\"10\" fill=\"%s\" "
			"stroke=\"#607d8b\"/><text x=\"%d\" y=\"%u\">%s</text>\n",
			4 + 150 * i, legend - 9, kinds[i].colour, 20 + 150 * i, legend,
			kinds[i].name);
	fprintf(to, "</svg>\n");
}
