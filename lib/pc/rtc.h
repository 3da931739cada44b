/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The clock chip behind ports 0x70 and 0x71 (MC146818), as far as a guest reads it. */
#ifndef LIB_PC_RTC_H
#define LIB_PC_RTC_H

#include <pthread.h>
#include <stdint.h>

#define HYPR_RTC_PORT		0x70
#define HYPR_RTC_PORTS		2

#define HYPR_RTC_REGS		128	/* power of two */
#define HYPR_RTC_REG_A		0x0a
#define HYPR_RTC_REG_B		0x0b
#define HYPR_RTC_REG_A_BITS	0x7f	/* UIP, the top one, is read-only and never set */

/* What belongs to a moment.  The time of day does not: it is the host's. */
struct hypr_rtc_state {
	uint8_t index;
	uint8_t cmos[HYPR_RTC_REGS];
};

struct hypr_rtc {
	pthread_mutex_t lock;	/* guards @s */
	struct hypr_rtc_state s;
	int64_t (*now)(void);	/* seconds since 1970, UTC */
};

/** hypr_rtc_init() - @now may be NULL for the host's clock */
void hypr_rtc_init(struct hypr_rtc *rtc, int64_t (*now)(void));

/** hypr_rtc_reg_b() - what register B is when @value was written to it */
uint8_t hypr_rtc_reg_b(uint8_t value);

uint8_t hypr_rtc_read(struct hypr_rtc *rtc, unsigned int reg);
void hypr_rtc_write(struct hypr_rtc *rtc, unsigned int reg, uint8_t value);
void hypr_rtc_save(struct hypr_rtc *rtc, struct hypr_rtc_state *state);

/** hypr_rtc_set() - whatever @state says, the registers hold what they can hold */
void hypr_rtc_set(struct hypr_rtc *rtc, const struct hypr_rtc_state *state);

#endif /* LIB_PC_RTC_H */
