/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TESTS_CORE_SHADOW_AUDIT_H
#define TESTS_CORE_SHADOW_AUDIT_H

#include "tests/core/shadow_guest.h"

/* Looks at every shadow entry of @guest; aborts if one must not be. */
void shadow_audit(struct guest *guest);

#endif /* TESTS_CORE_SHADOW_AUDIT_H */
