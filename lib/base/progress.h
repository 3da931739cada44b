/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What long operations call now and then: see hypr_progress_set(). */
#ifndef LIB_BASE_PROGRESS_H
#define LIB_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/** hypr_progress() - so far it is.  Return: 0; -ECANCELED with hypr_error() set. */
int hypr_progress(uint64_t done, uint64_t total);

/** hypr_progress_check() - as far as before.  Return: 0; -ECANCELED. */
int hypr_progress_check(void);

/** hypr_progress_halves() - what is told from now on is the second half of it */
void hypr_progress_halves(bool second);

#endif /* LIB_BASE_PROGRESS_H */
