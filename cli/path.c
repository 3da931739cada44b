// SPDX-License-Identifier: GPL-2.0-only
/* Names of files that another process is to use. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int cli_path(const struct cli_args *args, const char *verb, const char *file, char **path)
{
	char *for_dir = strdup(file), *for_base = strdup(file);
	char *dir = NULL;
	int code = EXIT_OK;

	*path = NULL;
	if (for_dir && for_base && *file)
		dir = realpath(dirname(for_dir), NULL);
	if (!dir)
		code = cli_fail(args, EXIT_FAILED, verb, "%.200s: its folder: %s", file,
				strerror(*file ? errno : ENOENT));
	else if (asprintf(path, "%s/%s", strcmp(dir, "/") ? dir : "", basename(for_base)) < 0)
		code = cli_fail(args, EXIT_FAILED, verb, "no memory");
	free(dir);
	free(for_dir);
	free(for_base);
	return code;
}
