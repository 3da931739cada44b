/* SPDX-License-Identifier: GPL-2.0-only */
/* What the guest "beat" reports: 32-bit words, each written to HYPR_REPORT_PORT. */
#ifndef GUESTS_BEAT_BEAT_H
#define GUESTS_BEAT_BEAT_H

#define BEAT_TAG		0xbea70000u	/* | vCPU: it was away from its loop */
#define BEAT_DIRTY		0xd1000000u	/* | pages written since BEAT_REST */
#define BEAT_REST		0x5e570000u	/* no page is written for BEAT_REST_CYCLES */
#define BEAT_MASK		0xffff0000u

#define BEAT_PAGES_MAX		1000u
#define BEAT_PAGES_BIG		4096u	/* a stage of a VM with more than 16 MiB alone */
#define BEAT_STAGES		{ 1, 100, BEAT_PAGES_MAX, BEAT_PAGES_BIG }
#define BEAT_GAP_CYCLES		600u
#define BEAT_REST_CYCLES	1000000u
#define BEAT_STAGE_CYCLES	300000u

#endif /* GUESTS_BEAT_BEAT_H */
