// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The clock chip (MC146818) at ports 0x70 and 0x71.  It tells the host's time
 * of day in UTC, BCD, 24 hours, and is never found in the middle of an update:
 * Linux polls register A tens of thousands of times when it is not there.  It
 * has no interrupts, and the time cannot be set.
 */
#include <string.h>
#include <time.h>

#include "pc/rtc.h"

#define CMOS_SECONDS	0x00
#define CMOS_MINUTES	0x02
#define CMOS_HOURS	0x04
#define CMOS_WEEKDAY	0x06
#define CMOS_DAY	0x07
#define CMOS_MONTH	0x08
#define CMOS_YEAR	0x09
#define CMOS_REG_A	HYPR_RTC_REG_A
#define CMOS_REG_B	HYPR_RTC_REG_B
#define CMOS_REG_C	0x0c
#define CMOS_REG_D	0x0d
#define CMOS_CENTURY	0x32

#define REG_A_32KHZ	0x26	/* 32,768 Hz, rate 1024 Hz, no update under way */
#define REG_B_24H	0x02
#define REG_B_WRITABLE	0x78	/* binary or 12-hour mode is not offered */
#define REG_D_VALID	0x80

static int64_t host_now(void)
{
	return time(NULL);
}

static uint8_t bcd(int value)
{
	return (uint8_t)((value / 10 % 10) << 4 | value % 10);
}

void hypr_rtc_init(struct hypr_rtc *rtc, int64_t (*now)(void))
{
	memset(rtc, 0, sizeof(*rtc));
	pthread_mutex_init(&rtc->lock, NULL);
	rtc->now = now ? now : host_now;
	rtc->s.cmos[CMOS_REG_A] = REG_A_32KHZ;
	rtc->s.cmos[CMOS_REG_B] = REG_B_24H;
}

uint8_t hypr_rtc_reg_b(uint8_t value)
{
	return (value & REG_B_WRITABLE) | REG_B_24H;
}

static uint8_t read_cmos(struct hypr_rtc *rtc)
{
	uint8_t index = rtc->s.index;
	time_t now = rtc->now();
	struct tm tm;

	if (!gmtime_r(&now, &tm))
		memset(&tm, 0, sizeof(tm));

	switch (index) {
	case CMOS_SECONDS:
		return bcd(tm.tm_sec);
	case CMOS_MINUTES:
		return bcd(tm.tm_min);
	case CMOS_HOURS:
		return bcd(tm.tm_hour);
	case CMOS_WEEKDAY:
		return bcd(tm.tm_wday + 1);
	case CMOS_DAY:
		return bcd(tm.tm_mday);
	case CMOS_MONTH:
		return bcd(tm.tm_mon + 1);
	case CMOS_YEAR:
		return bcd(tm.tm_year % 100);
	case CMOS_CENTURY:
		return bcd((tm.tm_year + 1900) / 100);
	case CMOS_REG_C:
		return 0;
	case CMOS_REG_D:
		return REG_D_VALID;
	default:
		return rtc->s.cmos[index];
	}
}

uint8_t hypr_rtc_read(struct hypr_rtc *rtc, unsigned int reg)
{
	uint8_t value;

	pthread_mutex_lock(&rtc->lock);
	value = reg == 0 ? 0xff : read_cmos(rtc);
	pthread_mutex_unlock(&rtc->lock);
	return value;
}

void hypr_rtc_write(struct hypr_rtc *rtc, unsigned int reg, uint8_t value)
{
	pthread_mutex_lock(&rtc->lock);
	if (reg == 0)
		rtc->s.index = value % HYPR_RTC_REGS;	/* bit 7 masks NMI */
	else if (rtc->s.index == CMOS_REG_A)
		rtc->s.cmos[CMOS_REG_A] = value & HYPR_RTC_REG_A_BITS;
	else if (rtc->s.index == CMOS_REG_B)
		rtc->s.cmos[CMOS_REG_B] = hypr_rtc_reg_b(value);
	else
		rtc->s.cmos[rtc->s.index] = value;
	pthread_mutex_unlock(&rtc->lock);
}

void hypr_rtc_save(struct hypr_rtc *rtc, struct hypr_rtc_state *state)
{
	pthread_mutex_lock(&rtc->lock);
	*state = rtc->s;
	pthread_mutex_unlock(&rtc->lock);
}

void hypr_rtc_set(struct hypr_rtc *rtc, const struct hypr_rtc_state *state)
{
	pthread_mutex_lock(&rtc->lock);
	rtc->s = *state;
	rtc->s.index %= HYPR_RTC_REGS;
	rtc->s.cmos[CMOS_REG_A] &= HYPR_RTC_REG_A_BITS;
	rtc->s.cmos[CMOS_REG_B] = hypr_rtc_reg_b(rtc->s.cmos[CMOS_REG_B]);
	pthread_mutex_unlock(&rtc->lock);
}
