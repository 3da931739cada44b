// SPDX-License-Identifier: GPL-2.0-only
/* The registers of one local APIC: lapic.h. */
#include "lapic.h"

#define VERSION		0x50014u	/* six LVT entries; no switch for broadcast EOIs */
#define SVR_ENABLED	(1u << 8)
#define LVT_MASKED	(1u << 16)
#define LVT_PERIODIC	(1u << 17)
#define ICR_PENDING	(1u << 12)	/* never seen: delivery is at once */

static u32 *at(struct lapic *lapic, u32 offset)
{
	return &lapic->reg[offset / 16];
}

static u32 get(const struct lapic *lapic, u32 offset)
{
	return lapic->reg[offset / 16];
}

static bool enabled(const struct lapic *lapic)
{
	return lapic_mode(lapic) != LAPIC_OFF && (get(lapic, LAPIC_SVR) & SVR_ENABLED);
}

/* ---- 256 bits in eight registers ------------------------------------------ */

static void bit_set(struct lapic *lapic, u32 offset, u32 vector)
{
	*at(lapic, offset + vector / 32 * 16) |= 1u << vector % 32;
}

static void bit_clear(struct lapic *lapic, u32 offset, u32 vector)
{
	*at(lapic, offset + vector / 32 * 16) &= ~(1u << vector % 32);
}

static int highest(const struct lapic *lapic, u32 offset)
{
	int i;

	for (i = 7; i >= 0; i--) {
		u32 bits = get(lapic, offset + i * 16);

		if (bits)
			return i * 32 + 31 - __builtin_clz(bits);
	}
	return -1;
}

/* ---- mode ----------------------------------------------------------------- */

enum lapic_mode lapic_mode(const struct lapic *lapic)
{
	if (!(lapic->base & LAPIC_BASE_ENABLED))
		return LAPIC_OFF;
	return lapic->base & LAPIC_BASE_X2APIC ? LAPIC_X2APIC : LAPIC_XAPIC;
}

static void registers_reset(struct lapic *lapic)
{
	u32 i;

	memset(lapic->reg, 0, sizeof(lapic->reg));
	lapic->errors = 0;
	lapic->due_ns = 0;
	*at(lapic, LAPIC_ID) = lapic->id << 24;
	*at(lapic, LAPIC_VERSION) = VERSION;
	*at(lapic, LAPIC_DFR) = 0xffffffff;
	*at(lapic, LAPIC_SVR) = 0xff;
	for (i = LAPIC_LVT_TIMER; i <= LAPIC_LVT_ERROR; i += 16)
		*at(lapic, i) = LVT_MASKED;
}

/* Fixed in x2APIC mode: a cluster of 16 IDs, and a bit of it. */
static u32 wide_ldr(u32 id)
{
	return id / 16 << 16 | 1u << id % 16;
}

void lapic_reset(struct lapic *lapic, u32 id, u64 base)
{
	lapic->id = id;
	lapic->base = base;
	registers_reset(lapic);
	if (lapic_mode(lapic) == LAPIC_X2APIC)
		*at(lapic, LAPIC_LDR) = wide_ldr(id);
}

bool lapic_base_is_valid(u64 base)
{
	const u64 bits = LAPIC_BASE_BSP | LAPIC_BASE_X2APIC | LAPIC_BASE_ENABLED;

	/* The page does not move. */
	return (base & ~bits) == LAPIC_GPA &&
	       (!(base & LAPIC_BASE_X2APIC) || (base & LAPIC_BASE_ENABLED));
}

int lapic_load_base(struct lapic *lapic, u64 base)
{
	if (!lapic_base_is_valid(base))
		return -EINVAL;
	if ((base & LAPIC_BASE_X2APIC) && lapic_mode(lapic) != LAPIC_X2APIC) {
		*at(lapic, LAPIC_LDR) = wide_ldr(lapic->id);
		*at(lapic, LAPIC_ICR_HIGH) = 0;
	}
	lapic->base = base;
	return 0;
}

int lapic_set_base(struct lapic *lapic, u64 base)
{
	bool wide = base & LAPIC_BASE_X2APIC;

	if (!lapic_base_is_valid(base))
		return -EINVAL;
	if (!wide && (base & LAPIC_BASE_ENABLED) && lapic_mode(lapic) == LAPIC_X2APIC)
		return -EINVAL;
	if (wide && lapic_mode(lapic) == LAPIC_OFF)
		return -EINVAL;
	if (!(base & LAPIC_BASE_ENABLED) && lapic_mode(lapic) != LAPIC_OFF)
		registers_reset(lapic);
	return lapic_load_base(lapic, base);
}

/* ---- interrupts arrive and are taken -------------------------------------- */

static u32 priority(const struct lapic *lapic)
{
	int served = highest(lapic, LAPIC_ISR);
	u32 tpr = get(lapic, LAPIC_TPR), in_service = served < 0 ? 0 : (u32)served;

	return (tpr & 0xf0) >= (in_service & 0xf0) ? tpr : in_service & 0xf0;
}

static void fail(struct lapic *lapic, u32 error)
{
	u32 lvt = get(lapic, LAPIC_LVT_ERROR);

	lapic->errors |= error;
	if (!(lvt & LVT_MASKED) && (lvt & 0xff) >= 16 && enabled(lapic))
		bit_set(lapic, LAPIC_IRR, lvt & 0xff);
}

bool lapic_accept(struct lapic *lapic, u32 vector)
{
	if (!enabled(lapic))
		return false;
	if (vector < 16) {
		fail(lapic, LAPIC_ERROR_RECEIVE);
		return false;
	}
	/* All that comes is edge-triggered: there is no I/O APIC. */
	bit_clear(lapic, LAPIC_TMR, vector);
	bit_set(lapic, LAPIC_IRR, vector);
	return true;
}

int lapic_next(const struct lapic *lapic)
{
	int vector = enabled(lapic) ? highest(lapic, LAPIC_IRR) : -1;

	return vector >= 0 && ((u32)vector & 0xf0) > (priority(lapic) & 0xf0) ? vector : -1;
}

void lapic_take(struct lapic *lapic, u8 vector)
{
	bit_clear(lapic, LAPIC_IRR, vector);
	bit_set(lapic, LAPIC_ISR, vector);
}

/* ---- the timer ------------------------------------------------------------ */

/* A count is a nanosecond times this, as with KVM. */
static u32 divide(const struct lapic *lapic)
{
	u32 bits = get(lapic, LAPIC_TIMER_DIVIDE);

	return 1u << ((((bits & 3) | (bits & 8) >> 1) + 1) & 7);
}

static u64 period_ns(const struct lapic *lapic)
{
	u64 ns = (u64)get(lapic, LAPIC_TIMER_INITIAL) * divide(lapic);

	return (get(lapic, LAPIC_LVT_TIMER) & LVT_PERIODIC) && ns && ns < LAPIC_PERIOD_MIN_NS ?
	       LAPIC_PERIOD_MIN_NS : ns;
}

static void timer_start(struct lapic *lapic, u64 ns, u64 now_ns)
{
	lapic->due_ns = ns ? now_ns + ns : 0;
}

static u32 timer_count(const struct lapic *lapic, u64 now_ns)
{
	u64 left = lapic->due_ns > now_ns ? lapic->due_ns - now_ns : 0;

	/* Not 0 before it has run out: from that count a timer that is loaded goes on. */
	left = (left + divide(lapic) - 1) / divide(lapic);
	if (lapic->due_ns && !left)
		left = 1;
	return left > get(lapic, LAPIC_TIMER_INITIAL) ? get(lapic, LAPIC_TIMER_INITIAL) : (u32)left;
}

/* What another divide or mode means for a timer that runs: the count goes on. */
static void timer_change(struct lapic *lapic, u32 offset, u32 value, u64 now_ns)
{
	u32 left = timer_count(lapic, now_ns);

	*at(lapic, offset) = value;
	if (lapic->due_ns)
		timer_start(lapic, left ? (u64)left * divide(lapic) : 1, now_ns);
}

bool lapic_expire(struct lapic *lapic, u64 now_ns)
{
	u32 lvt = get(lapic, LAPIC_LVT_TIMER);
	u64 late;

	if (!lapic->due_ns || now_ns < lapic->due_ns)
		return false;
	late = now_ns - lapic->due_ns;
	/* Periods that nobody saw are one interrupt. */
	if ((lvt & LVT_PERIODIC) && period_ns(lapic))
		lapic->due_ns = now_ns + period_ns(lapic) - late % period_ns(lapic);
	else
		lapic->due_ns = 0;
	if (!(lvt & LVT_MASKED))
		lapic_accept(lapic, lvt & 0xff);
	return true;
}

/* ---- the guest reads ------------------------------------------------------ */

static bool exists(const struct lapic *lapic, u32 offset)
{
	bool wide = lapic_mode(lapic) == LAPIC_X2APIC;

	switch (offset) {
	case LAPIC_ID:
	case LAPIC_VERSION:
	case LAPIC_TPR:
	case LAPIC_PPR:
	case LAPIC_EOI:
	case LAPIC_LDR:
	case LAPIC_SVR:
	case LAPIC_ESR:
	case LAPIC_ICR:
	case LAPIC_TIMER_INITIAL:
	case LAPIC_TIMER_CURRENT:
	case LAPIC_TIMER_DIVIDE:
		return true;
	case LAPIC_DFR:
	case LAPIC_ICR_HIGH:
		return !wide;
	case LAPIC_SELF_IPI:
		return wide;
	}
	return (offset >= LAPIC_ISR && offset < LAPIC_ESR) ||
	       (offset >= LAPIC_LVT_TIMER && offset <= LAPIC_LVT_ERROR);
}

int lapic_read(const struct lapic *lapic, u32 offset, u64 now_ns, u32 *value)
{
	bool wide = lapic_mode(lapic) == LAPIC_X2APIC;

	*value = 0;
	if (!exists(lapic, offset))
		return -EINVAL;
	switch (offset) {
	case LAPIC_ID:
		*value = wide ? lapic->id : lapic->id << 24;
		break;
	case LAPIC_PPR:
		*value = priority(lapic);
		break;
	case LAPIC_EOI:
	case LAPIC_SELF_IPI:
		return wide ? -EINVAL : 0;
	case LAPIC_TIMER_CURRENT:
		*value = timer_count(lapic, now_ns);
		break;
	default:
		*value = get(lapic, offset);
	}
	return 0;
}

/* ---- the guest writes ----------------------------------------------------- */

/* Bits that a register keeps; of an x2APIC MSR, others are refused. */
static u64 kept(const struct lapic *lapic, u32 offset)
{
	bool wide = lapic_mode(lapic) == LAPIC_X2APIC;

	switch (offset) {
	case LAPIC_TPR:
	case LAPIC_SELF_IPI:
		return 0xff;
	case LAPIC_LDR:
		return 0xff000000;
	case LAPIC_DFR:
		return 0xf0000000;
	case LAPIC_SVR:
		return 0x3ff;
	case LAPIC_ICR:
		return wide ? 0xffffffff000ccfffull : 0xccfff;
	case LAPIC_ICR_HIGH:
		return 0xff000000;
	case LAPIC_LVT_TIMER:
		return 0x300ff;
	case LAPIC_LVT_THERMAL:
	case LAPIC_LVT_COUNTER:
		return 0x107ff;
	case LAPIC_LVT_LINT0:
	case LAPIC_LVT_LINT1:
		return 0x1a7ff;
	case LAPIC_LVT_ERROR:
		return 0x100ff;
	case LAPIC_TIMER_INITIAL:
		return 0xffffffff;
	case LAPIC_TIMER_DIVIDE:
		return 0xb;
	}
	return 0;
}

static bool read_only(const struct lapic *lapic, u32 offset)
{
	return offset == LAPIC_VERSION || offset == LAPIC_PPR || offset == LAPIC_TIMER_CURRENT ||
	       offset == LAPIC_ID || (offset >= LAPIC_ISR && offset < LAPIC_ESR) ||
	       (offset == LAPIC_LDR && lapic_mode(lapic) == LAPIC_X2APIC);
}

static void command(const struct lapic *lapic, u32 low, u32 high, struct lapic_ipi *ipi)
{
	bool wide = lapic_mode(lapic) == LAPIC_X2APIC;

	*ipi = (struct lapic_ipi) {
		.delivery = (enum lapic_delivery)(low >> 8 & 7),
		.shorthand = (enum lapic_shorthand)(low >> 18 & 3),
		.vector = (u8)low,
		.logical = low >> 11 & 1,
		.wide = wide,
		/* Level-triggered, with the level down. */
		.deassert = (low >> 15 & 1) && !(low >> 14 & 1),
		.dest = wide ? high : high >> 24,
	};
}

static int send(struct lapic *lapic, const struct lapic_ipi *ipi)
{
	if ((ipi->delivery == LAPIC_FIXED || ipi->delivery == LAPIC_LOWEST) && ipi->vector < 16) {
		fail(lapic, LAPIC_ERROR_SEND);
		return LAPIC_DONE;
	}
	return LAPIC_SEND;
}

static void end_of_interrupt(struct lapic *lapic)
{
	int vector = highest(lapic, LAPIC_ISR);

	if (vector >= 0)
		bit_clear(lapic, LAPIC_ISR, (u32)vector);
}

/* Switched off by software, an APIC masks its own sources. */
static void write_svr(struct lapic *lapic, u32 value)
{
	u32 i;

	*at(lapic, LAPIC_SVR) = value;
	for (i = LAPIC_LVT_TIMER; !(value & SVR_ENABLED) && i <= LAPIC_LVT_ERROR; i += 16)
		*at(lapic, i) |= LVT_MASKED;
}

static int write_timer(struct lapic *lapic, u32 offset, u32 value, u64 now_ns)
{
	if (offset == LAPIC_LVT_TIMER && !(get(lapic, LAPIC_SVR) & SVR_ENABLED))
		value |= LVT_MASKED;
	if (offset == LAPIC_TIMER_INITIAL) {
		*at(lapic, offset) = value;
		timer_start(lapic, period_ns(lapic), now_ns);
	} else {
		timer_change(lapic, offset, value, now_ns);
	}
	return LAPIC_TIMER;
}

static int write_lvt(struct lapic *lapic, u32 offset, u32 value)
{
	*at(lapic, offset) = value | (get(lapic, LAPIC_SVR) & SVR_ENABLED ? 0 : LVT_MASKED);
	return LAPIC_DONE;
}

int lapic_write(struct lapic *lapic, u32 offset, u64 value, u64 now_ns, struct lapic_ipi *ipi)
{
	bool wide = lapic_mode(lapic) == LAPIC_X2APIC;
	u64 bits = kept(lapic, offset);

	if (!exists(lapic, offset) || (wide && read_only(lapic, offset))) {
		if (wide)
			return -EINVAL;
		fail(lapic, LAPIC_ERROR_REGISTER);
		return LAPIC_DONE;
	}
	if (wide && (value & ~bits))
		return -EINVAL;
	if (read_only(lapic, offset))
		return LAPIC_DONE;
	value &= bits;
	switch (offset) {
	case LAPIC_EOI:
		end_of_interrupt(lapic);
		return LAPIC_DONE;
	case LAPIC_ESR:
		*at(lapic, offset) = lapic->errors;
		lapic->errors = 0;
		return LAPIC_DONE;
	case LAPIC_DFR:
		*at(lapic, offset) = (u32)value | 0x0fffffff;
		return LAPIC_DONE;
	case LAPIC_SVR:
		write_svr(lapic, (u32)value);
		return LAPIC_DONE;
	case LAPIC_ICR:
		*at(lapic, LAPIC_ICR) = (u32)value & ~ICR_PENDING;
		if (wide)
			*at(lapic, LAPIC_ICR_HIGH) = (u32)(value >> 32);
		command(lapic, (u32)value, get(lapic, LAPIC_ICR_HIGH), ipi);
		return send(lapic, ipi);
	case LAPIC_SELF_IPI:
		*ipi = (struct lapic_ipi) { .shorthand = LAPIC_TO_SELF, .vector = (u8)value };
		return send(lapic, ipi);
	case LAPIC_LVT_TIMER:
	case LAPIC_TIMER_INITIAL:
	case LAPIC_TIMER_DIVIDE:
		return write_timer(lapic, offset, (u32)value, now_ns);
	}
	if (offset > LAPIC_LVT_TIMER && offset <= LAPIC_LVT_ERROR)
		return write_lvt(lapic, offset, (u32)value);
	*at(lapic, offset) = (u32)value;
	return LAPIC_DONE;
}

/* ---- state ---------------------------------------------------------------- */

int lapic_load(struct lapic *lapic, const u32 *reg, u64 now_ns)
{
	u32 id = reg[LAPIC_ID / 16];
	u32 count = reg[LAPIC_TIMER_CURRENT / 16];

	/* KVM has the plain ID there in x2APIC mode, unless it is asked for another format. */
	if (id != lapic->id << 24 && !(lapic_mode(lapic) == LAPIC_X2APIC && id == lapic->id))
		return -EINVAL;
	memcpy(lapic->reg, reg, sizeof(lapic->reg));
	*at(lapic, LAPIC_ID) = lapic->id << 24;
	*at(lapic, LAPIC_VERSION) = VERSION;
	*at(lapic, LAPIC_LVT_TIMER) &= (u32)kept(lapic, LAPIC_LVT_TIMER);
	if (lapic_mode(lapic) == LAPIC_X2APIC)
		*at(lapic, LAPIC_LDR) = wide_ldr(lapic->id);
	/* Of vectors below 16 there are none. */
	*at(lapic, LAPIC_IRR) &= 0xffff0000;
	*at(lapic, LAPIC_ISR) &= 0xffff0000;
	lapic->errors = 0;
	timer_start(lapic, (u64)count * divide(lapic), now_ns);
	return 0;
}

void lapic_save(const struct lapic *lapic, u32 *reg, u64 now_ns)
{
	memcpy(reg, lapic->reg, sizeof(lapic->reg));
	reg[LAPIC_PPR / 16] = priority(lapic);
	reg[LAPIC_TIMER_CURRENT / 16] = timer_count(lapic, now_ns);
	if (lapic_mode(lapic) == LAPIC_X2APIC)
		reg[LAPIC_ID / 16] = lapic->id;
}
