/* SPDX-License-Identifier: GPL-2.0-only */
/* The pictures of hypr vmo diff and hypr mem: a square for a page, or for several. */
#ifndef CLI_VMO_MAP_H
#define CLI_VMO_MAP_H

#include <stdint.h>
#include <stdio.h>

struct cli_map;

/** struct cli_map_kind - what a page can be; tables of them go from the weakest on */
struct cli_map_kind {
	const char *name, *colour;
};

/**
 * cli_map_create() - for @pages pages, all of the weakest kind as yet
 * @kinds: @nr_kinds of them; are kept
 * Return: NULL: no memory.
 */
struct cli_map *cli_map_create(uint64_t pages, const struct cli_map_kind *kinds,
			       unsigned int nr_kinds);
void cli_map_destroy(struct cli_map *map);

/** cli_map_add() - @kind: place in the table */
void cli_map_add(struct cli_map *map, uint64_t page, uint64_t pages, unsigned int kind);

/** cli_map_text() - as SVG, to be freed; @title needs no escapes.  Return: NULL: no memory. */
char *cli_map_text(const struct cli_map *map, const char *title, size_t *bytes);

#endif /* CLI_VMO_MAP_H */
