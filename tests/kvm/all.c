// SPDX-License-Identifier: GPL-2.0-only
/*
 * All programs of this folder in one: which one runs is told by the name that it is
 * called by, as with busybox.  The C library is in it once, not once for each of them,
 * and the emulated PC boots half a minute sooner.
 */
#include <stdio.h>
#include <string.h>

#define PROGRAM(name) int name##_main(int argc, char **argv);
#include "programs.h"
#undef PROGRAM

static const struct {
	const char *name;
	int (*main)(int argc, char **argv);
} programs[] = {
#define PROGRAM(name) { #name, name##_main },
#include "programs.h"
#undef PROGRAM
};

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/');
	const char *name = slash ? slash + 1 : argv[0];

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		if (!strcmp(programs[i].name, name))
			return programs[i].main(argc, argv);
	fprintf(stderr, "%s: no test has this name; call it by the name of one:\n", name);
	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		fprintf(stderr, "  %s\n", programs[i].name);
	return 2;
}
