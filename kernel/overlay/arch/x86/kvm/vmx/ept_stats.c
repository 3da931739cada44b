// SPDX-License-Identifier: GPL-2.0-only
/*
 * HYPR views: tracepoints.
 */
#define CREATE_TRACE_POINTS
#include "ept_trace.h"
