/* SPDX-License-Identifier: GPL-2.0-only */
/* Decision functions with one mistake each, which the tests of tlb_decide() must find. */
#ifndef TESTS_CORE_TLB_BROKEN_H
#define TESTS_CORE_TLB_BROKEN_H

#include "tlb.h"

typedef struct tlb_decision (*tlb_decide_t)(const struct tlb_facts *facts);

struct tlb_broken {
	const char *name;
	tlb_decide_t decide;
};

extern const struct tlb_broken tlb_broken[];
extern const size_t tlb_broken_count;

#endif /* TESTS_CORE_TLB_BROKEN_H */
