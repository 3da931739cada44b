/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The timer of a local APIC whose state is set later. */
#ifndef LIB_RUN_TIMERS_H
#define LIB_RUN_TIMERS_H

#include <linux/kvm.h>
#include <stdint.h>

void hypr_lapic_note_expired(struct kvm_lapic_state *lapic);
void hypr_lapic_advance(struct kvm_lapic_state *lapic, uint64_t ns);

#endif /* LIB_RUN_TIMERS_H */
