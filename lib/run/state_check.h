/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What each field of a state section may hold: one table for all of them. */
#ifndef LIB_RUN_STATE_CHECK_H
#define LIB_RUN_STATE_CHECK_H

#include <stddef.h>
#include <stdint.h>

/**
 * enum hypr_rule - what a consumer of a field can take
 * @HYPR_ANY: every value
 * @HYPR_MAX: 0 to limit
 * @HYPR_BITS: no bit outside limit
 * @HYPR_IS: limit and nothing else
 * @HYPR_OWN: judged by a function of its own, see state_check.c
 */
enum hypr_rule { HYPR_ANY, HYPR_MAX, HYPR_BITS, HYPR_IS, HYPR_OWN };

/** struct hypr_field - @nr elements of @bytes each at offset @at of a section */
struct hypr_field {
	const char *name;
	uint32_t at;
	uint32_t bytes;
	uint32_t nr;
	enum hypr_rule rule;
	uint64_t limit;
};

/**
 * hypr_state_fields() - the rules of a section type, in the order of their offsets
 * @bytes: out: of the fixed part of the section; the fields cover each of its bytes
 *
 * Of CPU they are those of one entry.  Return: NULL: there are none for the type.
 */
const struct hypr_field *hypr_state_fields(uint32_t type, size_t *nr, size_t *bytes);

/**
 * hypr_state_check() - can what this section says be set?
 * @path: for messages
 * @data: contents, at least as long as the fixed part
 * @bytes: of them
 *
 * Return: 0; -EBADMSG with the name of the field.
 */
int hypr_state_check(const char *path, uint32_t type, uint32_t index, const void *data,
		     size_t bytes);

#endif /* LIB_RUN_STATE_CHECK_H */
