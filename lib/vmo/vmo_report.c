// SPDX-License-Identifier: LGPL-2.1-or-later
/* A file of what was found out about VMO files; it takes its name as they do. */
#include "vmo/vmo.h"

/**
 * hypr_vmo_temp_finish() - all of a new file: its bytes, then its name
 * @temp: was created; is destroyed, also after an error
 */
int hypr_vmo_temp_finish(struct hypr_vmo_temp *temp, const void *data, size_t bytes)
{
	int ret = hypr_vmo_write(temp->fd, 0, data, bytes);

	if (ret)
		hypr_fail_sys(ret, "%.80s: writing", temp->base);
	else
		ret = hypr_vmo_temp_commit(temp);
	hypr_vmo_temp_destroy(temp);
	return ret;
}

int hypr_vmo_report_write(const struct hypr_vmo *vmo, const struct hypr_vmo *other,
			  const char *path, unsigned int flags, const void *data, size_t bytes)
{
	const struct hypr_vmo_need need = { .layers = vmo, .others = other };
	struct hypr_vmo_temp temp;
	int ret;

	ret = hypr_vmo_temp_create_shared(&temp, path, flags, &need);
	return ret ? ret : hypr_vmo_temp_finish(&temp, data, bytes);
}
