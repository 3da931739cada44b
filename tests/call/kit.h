/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of function VMs share.  They run on a real KVM, on this machine and on
 * the emulated PC: HYPR_TEST_ENGINE is the engine, HYPR_CALL_FILES the folder of the
 * function files.  Without its device they skip.
 */
#ifndef TESTS_CALL_KIT_H
#define TESTS_CALL_KIT_H

#include "hypr/func.h"

#define ROOM	(64 << 10)

extern char out[ROOM];

const char *engine(void);
struct hypr_func_config config_of(const char *name);
struct hypr_func *load(const struct hypr_func_config *config);
struct hypr_func *open_func(const char *name);

/** call() - with text as the input; the output goes to @out */
int call(struct hypr_func *func, const char *in, struct hypr_call_result *result);

/** check_upper(), check_verbs() - does a call work? */
void check_upper(struct hypr_func *func);
void check_verbs(struct hypr_func *func);

/** check_refused() - hypr_func_open() of a file returns @want */
void check_refused(const char *name, const char *at_engine, int want);

#endif /* TESTS_CALL_KIT_H */
