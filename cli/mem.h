/* SPDX-License-Identifier: GPL-2.0-only */
/* The two halves of hypr mem: of a VMO file (cmd_mem.c), and of a running VM (mem_vm.c). */
#ifndef CLI_MEM_H
#define CLI_MEM_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"

struct cli_map;
struct hypr_vmo;

/* Places of the options in their table. */
enum {
	CLI_MEM_MAP,
	CLI_MEM_FORCE,
	CLI_MEM_VIEW,
	CLI_MEM_MAPPED,
	CLI_MEM_CR3,
	CLI_MEM_VCPU,
};

static inline bool cli_mem_wants_mapped(const struct cli_args *args)
{
	return args->option[CLI_MEM_MAPPED] || args->option[CLI_MEM_CR3] ||
	       args->option[CLI_MEM_VCPU];
}

/**
 * cli_mem_draw() - write the picture that --map names
 * @vmo: a file that the picture must not replace; or NULL
 * Return: EXIT_OK, or an exit code after having said what is wrong.
 */
int cli_mem_draw(const struct cli_args *args, const struct cli_map *map, uint64_t mem_bytes,
		 const struct hypr_vmo *vmo);

/** cli_mem_vm() - the command, of a running VM.  Return: an exit code. */
int cli_mem_vm(const struct cli_args *args);

#endif /* CLI_MEM_H */
