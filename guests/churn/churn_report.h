/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the guest "churn" tells its host: CHURN_TAG with a count each time that all
 * of its workers have completed a round since the time before.
 */
#ifndef GUESTS_CHURN_REPORT_H
#define GUESTS_CHURN_REPORT_H

#define CHURN_PORT	0x5e0
#define CHURN_TAG	0xc4000000u
#define CHURN_MASK	0xff000000u

#endif /* GUESTS_CHURN_REPORT_H */
