// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * How far a long operation is, and whether it is still wanted.  Kept per thread, as
 * hypr_error() is: an operation asks on the thread that called it.
 */
#include <errno.h>

#include "hypr/hypr.h"
#include "base/error.h"
#include "base/progress.h"

static __thread struct {
	hypr_progress_fn fn;
	void *arg;
	uint64_t done, total;
	bool second;
} progress;

void hypr_progress_set(hypr_progress_fn fn, void *arg)
{
	progress.fn = fn;
	progress.arg = arg;
	progress.done = progress.total = 0;
	progress.second = false;
}

void hypr_progress_halves(bool second)
{
	progress.second = second;
}

int hypr_progress_check(void)
{
	if (progress.fn && progress.fn(progress.arg, progress.done, progress.total))
		return hypr_fail(-ECANCELED, "interrupted");
	return 0;
}

int hypr_progress(uint64_t done, uint64_t total)
{
	progress.done = progress.second ? total + done : done;
	progress.total = progress.second ? 2 * total : total;
	return hypr_progress_check();
}
