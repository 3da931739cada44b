/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text that goes with a failure, one for each thread, and the rules for
 * names.
 */
#ifndef LIB_BASE_ERROR_H
#define LIB_BASE_ERROR_H

#include <errno.h>
#include <string.h>

#define HYPR_ERROR_TEXT_MAX	256

/**
 * hypr_fail() - note why a call fails
 * @err: a negative errno
 * @fmt: one line, no newline; what failed, on what, and what to do
 *
 * Return: @err, so that a function can end with "return hypr_fail(...)".
 */
int hypr_fail(int err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * hypr_fail_sys() - as hypr_fail(), with ": " and the errno's words appended
 */
int hypr_fail_sys(int err, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * hypr_fail_thread() - no thread was to be had
 * @err: of pthread_create(), negative
 * @what: the thread
 *
 * Return: never -EAGAIN, which says that a guest did not park.
 */
int hypr_fail_thread(int err, const char *what);

#endif /* LIB_BASE_ERROR_H */
