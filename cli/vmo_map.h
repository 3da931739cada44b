/* SPDX-License-Identifier: GPL-2.0-only */
/* The picture of hypr vmo diff: a square for a page, or for several. */
#ifndef CLI_VMO_MAP_H
#define CLI_VMO_MAP_H

#include <stdint.h>
#include <stdio.h>

struct cli_map;

/** cli_map_create() - for @pages pages, all the same as yet.  Return: NULL: no memory. */
struct cli_map *cli_map_create(uint64_t pages);
void cli_map_destroy(struct cli_map *map);

/** cli_map_add() - @kind: HYPR_VMO_SAME, ... */
void cli_map_add(struct cli_map *map, uint64_t page, uint64_t pages, int kind);

/** cli_map_write() - as SVG; @title needs no escapes */
void cli_map_write(const struct cli_map *map, const char *title, FILE *to);

#endif /* CLI_VMO_MAP_H */
