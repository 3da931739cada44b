// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The results of hypr.h as JSON.  A key is the name of its field, and has its meaning:
 * "view" is a number and "name" a view's name, as there.  Enumerations are words, and
 * bytes are hexadecimal digits.
 */
#include <stdio.h>

#include "hypr/hypr.h"
#include "serve/result.h"

/* How memory was copied: the fields that a snapshot and a save have both. */
#define COPY_FORMAT	"s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s"
#define COPY_FIELDS(r)	"pause", hypr_pause_name((r)->pause),			\
			"pause_cycles", (json_int_t)(r)->pause_cycles,		\
			"copy_cycles", (json_int_t)(r)->copy_cycles,		\
			"precopy_cycles", (json_int_t)(r)->precopy_cycles,	\
			"pages_precopied", (json_int_t)(r)->pages_precopied,	\
			"pages_in_pause", (json_int_t)(r)->pages_in_pause,	\
			"rounds", (json_int_t)(r)->rounds,			\
			"copy", hypr_copy_name((r)->copy)

/* A busy VM says only what does not change. */
json_t *hypr_json_vm_info(const struct hypr_vm_info *info)
{
	json_t *json = json_pack("{s:s, s:i, s:i, s:I, s:i, s:I}",
				 "state", hypr_vm_state_name(info->state),
				 "vcpus", (int)info->vcpus,
				 "views_max", (int)info->views_max,
				 "mem_bytes", (json_int_t)info->mem_bytes,
				 "guest_vcpus", (int)info->guest_vcpus,
				 "guest_pauses", (json_int_t)info->guest_pauses);

	if (info->state == HYPR_VM_BUSY)
		return json;
	json_object_set_new(json, "active_view", json_string(info->active_view));
	json_object_set_new(json, "views", json_integer(info->views));
	json_object_set_new(json, "swaps", json_integer((json_int_t)info->swaps));
	json_object_set_new(json, "generation", json_integer((json_int_t)info->generation));
	json_object_set_new(json, "requests", json_integer((json_int_t)info->requests));
	json_object_set_new(json, "resets_in_kernel",
			    json_integer((json_int_t)info->resets_in_kernel));
	return json;
}

json_t *hypr_json_view_info(const struct hypr_view_info *view)
{
	return json_pack("{s:s, s:i, s:b, s:b, s:b, s:s, s:I, s:I, s:I, s:I}",
			 "name", view->name,
			 "view", (int)view->view,
			 "active", view->active,
			 "prepared", view->prepared,
			 "has_moment", view->has_moment,
			 "spare", hypr_spare_name(view->spare),
			 "swaps", (json_int_t)view->swaps,
			 "resets", (json_int_t)view->resets,
			 "private_pages", (json_int_t)view->private_pages,
			 "stored_pages", (json_int_t)view->stored_pages);
}

json_t *hypr_json_pause(const struct hypr_pause_result *r)
{
	return json_pack("{s:s, s:I}",
			 "pause", hypr_pause_name(r->pause),
			 "pause_cycles", (json_int_t)r->pause_cycles);
}

json_t *hypr_json_snapshot(const struct hypr_snapshot_result *r)
{
	return json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, " COPY_FORMAT "}",
			 "view", (int)r->view,
			 "prepare_cycles", (json_int_t)r->prepare_cycles,
			 "total_cycles", (json_int_t)r->total_cycles,
			 "pages_total", (json_int_t)r->pages_total,
			 "pages_stored", (json_int_t)r->pages_stored,
			 "pages_mapped", (json_int_t)r->pages_mapped,
			 COPY_FIELDS(r));
}

json_t *hypr_json_save(const struct hypr_save_result *r)
{
	char root[2 * sizeof(r->root) + 1];
	size_t i;

	for (i = 0; i < sizeof(r->root); i++)
		snprintf(root + 2 * i, 3, "%02x", r->root[i]);
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, " COPY_FORMAT "}",
			 "root", root,
			 "write_ns", (json_int_t)r->write_ns,
			 "file_bytes", (json_int_t)r->file_bytes,
			 "pages_stored", (json_int_t)r->pages_stored,
			 "pages_zero", (json_int_t)r->pages_zero,
			 "pages_parent", (json_int_t)r->pages_parent,
			 COPY_FIELDS(r));
}

json_t *hypr_json_working_set(const struct hypr_working_set_result *r)
{
	return json_pack("{s:i, s:I, s:I, s:I, s:s}",
			 "view", (int)r->view,
			 "pages", (json_int_t)r->pages,
			 "pages_total", (json_int_t)r->pages_total,
			 "ranges", (json_int_t)r->ranges,
			 "path", r->path);
}

json_t *hypr_json_swap(const struct hypr_swap_result *r)
{
	return json_pack("{s:s, s:s, s:i, s:i, s:I, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s}",
			 "old_name", r->old_name,
			 "new_name", r->new_name,
			 "old_view", (int)r->old_view,
			 "new_view", (int)r->new_view,
			 "generation", (json_int_t)r->generation,
			 "pause", hypr_pause_name(r->pause),
			 "forced_vcpus", (int)r->forced_vcpus,
			 "pause_cycles", (json_int_t)r->pause_cycles,
			 "commit_cycles", (json_int_t)r->commit_cycles,
			 "ioctl_cycles", (json_int_t)r->ioctl_cycles,
			 "state_cycles", (json_int_t)r->state_cycles,
			 "total_cycles", (json_int_t)r->total_cycles,
			 "reset_cycles", (json_int_t)r->reset_cycles,
			 "pages_restored", (json_int_t)r->pages_restored,
			 "reset_way", hypr_reset_name(r->reset_way),
			 "reset_spare", hypr_spare_name(r->reset_spare),
			 "state_way", hypr_state_way_name(r->state_way));
}

json_t *hypr_json_reset(const struct hypr_reset_result *r)
{
	return json_pack("{s:i, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}",
			 "view", (int)r->view,
			 "pause", hypr_pause_name(r->pause),
			 "way", hypr_reset_name(r->way),
			 "spare", hypr_spare_name(r->spare),
			 "state_way", hypr_state_way_name(r->state_way),
			 "pages_restored", (json_int_t)r->pages_restored,
			 "pause_cycles", (json_int_t)r->pause_cycles,
			 "restore_cycles", (json_int_t)r->restore_cycles,
			 "prepare_cycles", (json_int_t)r->prepare_cycles,
			 "total_cycles", (json_int_t)r->total_cycles);
}

json_t *hypr_json_verify(const struct hypr_verify_result *r)
{
	json_t *ranges = json_array();
	uint32_t i;

	for (i = 0; i < r->nr_ranges; i++)
		json_array_append_new(ranges,
				      json_pack("{s:I, s:I}",
						"start", (json_int_t)r->range[i].start,
						"end", (json_int_t)r->range[i].end));
	return json_pack("{s:i, s:I, s:I, s:s, s:I, s:I, s:I, s:o, s:s}",
			 "view", (int)r->view,
			 "pages_compared", (json_int_t)r->pages_compared,
			 "pages_mismatched", (json_int_t)r->pages_mismatched,
			 "spare", hypr_spare_name(r->spare),
			 "spare_compared", (json_int_t)r->spare_compared,
			 "spare_mismatched", (json_int_t)r->spare_mismatched,
			 "cycles", (json_int_t)r->cycles,
			 "range", ranges,
			 "name", r->name);
}

json_t *hypr_json_pages(const struct hypr_pages_result *r)
{
	return json_pack("{s:s, s:i, s:b, s:I, s:I, s:I, s:I, s:I}",
			 "name", r->name,
			 "view", (int)r->view,
			 "written_known", r->written_known,
			 "pages_total", (json_int_t)r->pages_total,
			 "pages_touched", (json_int_t)r->pages_touched,
			 "pages_private", (json_int_t)r->pages_private,
			 "pages_written", (json_int_t)r->pages_written,
			 "nr_runs", (json_int_t)r->nr_runs);
}
