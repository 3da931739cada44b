/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The results of hypr.h as JSON: one function for each struct, its fields as keys. */
#ifndef LIB_SERVE_RESULT_H
#define LIB_SERVE_RESULT_H

#include <jansson.h>

struct hypr_pages_result;
struct hypr_pause_result;
struct hypr_reset_result;
struct hypr_save_result;
struct hypr_snapshot_result;
struct hypr_swap_result;
struct hypr_verify_result;
struct hypr_view_info;
struct hypr_vm_info;
struct hypr_working_set_result;

json_t *hypr_json_vm_info(const struct hypr_vm_info *info);
json_t *hypr_json_view_info(const struct hypr_view_info *view);
json_t *hypr_json_pause(const struct hypr_pause_result *r);
json_t *hypr_json_snapshot(const struct hypr_snapshot_result *r);
json_t *hypr_json_save(const struct hypr_save_result *r);
json_t *hypr_json_working_set(const struct hypr_working_set_result *r);
json_t *hypr_json_swap(const struct hypr_swap_result *r);
json_t *hypr_json_reset(const struct hypr_reset_result *r);
json_t *hypr_json_verify(const struct hypr_verify_result *r);
json_t *hypr_json_pages(const struct hypr_pages_result *r);

#endif /* LIB_SERVE_RESULT_H */
