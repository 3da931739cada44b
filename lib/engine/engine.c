// SPDX-License-Identifier: LGPL-2.1-or-later
/* The engines that there are. */
#include <stddef.h>
#include <string.h>

#include "engine/engine.h"

static const struct hypr_engine *const engines[] = {
	&hypr_engine_ept_swap,
	&hypr_engine_stock,
	&hypr_engine_hyprv,
};

const struct hypr_engine *hypr_engine_find(const char *name)
{
	size_t i;

	if (!name)
		return engines[0];
	for (i = 0; i < sizeof(engines) / sizeof(engines[0]); i++) {
		if (!strcmp(engines[i]->name, name))
			return engines[i];
	}
	return NULL;
}
