// SPDX-License-Identifier: GPL-2.0-only
/* Local APICs and their vCPUs: apic.h.  The run's side; user space's is in apic_state.c. */
#include <linux/ktime.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <asm/debugreg.h>
#include <asm/processor-flags.h>

#include "apic.h"
#include "vmx.h"

/* What EDX holds after INIT: family 6. */
#define RESET_EDX	0x600

/* ---- others post ---------------------------------------------------------- */

void apic_wake(struct vcpu *vcpu)
{
	if (vcpu->apic && wq_has_sleeper(&vcpu->apic->wake))
		wake_up(&vcpu->apic->wake);
	vcpu_kick(vcpu);
}

void apics_wake(struct vm *vm)
{
	u32 i;

	rcu_read_lock();
	for (i = 0; i < HYPRV_MAX_VCPUS; i++) {
		struct vcpu *vcpu = READ_ONCE(vm->by_index[i]);

		if (vcpu)
			apic_wake(vcpu);
	}
	rcu_read_unlock();
}

static void post(struct apic *apic, int what)
{
	set_bit(what, &apic->posted);
	/* Before the look at where the vCPU is.  Pairs with vcpu_enter() and apic_wait(). */
	smp_mb__after_atomic();
	apic_wake(apic->vcpu);
}

static enum hrtimer_restart timer_fired(struct hrtimer *timer)
{
	post(container_of(timer, struct apic, timer), POSTED_TIMER);
	return HRTIMER_NORESTART;
}

static void deliver(struct apic *apic, const struct lapic_ipi *ipi)
{
	switch (ipi->delivery) {
	case LAPIC_INIT:
		if (!ipi->deassert)
			post(apic, POSTED_INIT);
		break;
	case LAPIC_STARTUP:
		WRITE_ONCE(apic->startup, ipi->vector);
		post(apic, POSTED_STARTUP);
		break;
	case LAPIC_NMI:
		post(apic, POSTED_NMI);
		break;
	default:
		set_bit(ipi->vector, apic->vectors);
		post(apic, POSTED_VECTORS);
	}
}

static bool is_delivered(const struct lapic_ipi *ipi)
{
	return ipi->delivery == LAPIC_FIXED || ipi->delivery == LAPIC_LOWEST ||
	       ipi->delivery == LAPIC_NMI || ipi->delivery == LAPIC_INIT ||
	       ipi->delivery == LAPIC_STARTUP;
}

/* 1: it reached one; 0: none; -EOPNOTSUPP: hyprv has no such interrupt. */
int apic_send(struct vm *vm, const struct lapic_ipi *ipi, u32 from)
{
	int reached = 0;
	u32 i;

	if (!is_delivered(ipi))
		return -EOPNOTSUPP;
	rcu_read_lock();
	for (i = 0; i < HYPRV_MAX_VCPUS; i++) {
		struct vcpu *to = READ_ONCE(vm->by_index[i]);

		if (!to || !lapic_is_target(&to->apic->regs, ipi, from))
			continue;
		deliver(to->apic, ipi);
		reached = 1;
		/* All have the same claim; the first takes it. */
		if (ipi->delivery == LAPIC_LOWEST)
			break;
	}
	rcu_read_unlock();
	return reached;
}

/* ---- the vCPU takes ------------------------------------------------------- */

void apic_timer_set(struct apic *apic)
{
	u64 due = apic->regs.due_ns;

	if (due)
		hrtimer_start(&apic->timer, ns_to_ktime(due), HRTIMER_MODE_ABS);
	else
		hrtimer_try_to_cancel(&apic->timer);
}

/* As after RESET, but for FPU, MSRs and the APIC's mode. */
static void take_init(struct vcpu *vcpu)
{
	struct apic *apic = vcpu->apic;

	vmcs_reset(vcpu);
	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs[REG_RDX] = RESET_EDX;
	vcpu->cr2 = 0;
	memset(vcpu->dr, 0, sizeof(vcpu->dr));
	vcpu->dr6 = DR6_RESERVED;
	vcpu->dr7 = DR7_FIXED_1;
	vcpu->event = 0;
	vcpu->interrupt = -1;
	vcpu->nmi = false;
	lapic_reset(&apic->regs, vcpu->index, vcpu->apic_base);
	apic_timer_set(apic);
	apic->activity = vcpu->apic_base & LAPIC_BASE_BSP ? KVM_MP_STATE_RUNNABLE :
							    KVM_MP_STATE_INIT_RECEIVED;
}

static void take_startup(struct vcpu *vcpu, u8 page)
{
	if (vcpu->apic->activity != KVM_MP_STATE_INIT_RECEIVED)
		return;
	vmcs_write(VMCS_GUEST_CS_SELECTOR, page << 8);
	vmcs_write(VMCS_GUEST_CS_BASE, page << 12);
	vmcs_write(VMCS_GUEST_RIP, 0);
	vcpu->apic->activity = KVM_MP_STATE_RUNNABLE;
}

static void take_vectors(struct apic *apic)
{
	u32 i, bit;

	for (i = 0; i < ARRAY_SIZE(apic->vectors); i++) {
		unsigned long bits = READ_ONCE(apic->vectors[i]) ? xchg(&apic->vectors[i], 0) : 0;

		for_each_set_bit(bit, &bits, BITS_PER_LONG)
			lapic_accept(&apic->regs, i * BITS_PER_LONG + bit);
	}
}

void apic_collect(struct vcpu *vcpu)
{
	struct apic *apic = vcpu->apic;
	unsigned long posted;

	if (likely(!READ_ONCE(apic->posted)))
		return;
	posted = xchg(&apic->posted, 0);
	if ((posted & BIT(POSTED_TIMER)) && lapic_expire(&apic->regs, ktime_get_ns()))
		apic_timer_set(apic);
	if (posted & BIT(POSTED_VECTORS))
		take_vectors(apic);
	if (posted & BIT(POSTED_NMI))
		vcpu->nmi = true;
	if (posted & BIT(POSTED_INIT))
		take_init(vcpu);
	if (posted & BIT(POSTED_STARTUP))
		take_startup(vcpu, READ_ONCE(apic->startup));
}

static bool halt_ends(const struct vcpu *vcpu)
{
	if (vcpu->nmi && vcpu_takes_nmis())
		return true;
	return (vmcs_read(VMCS_GUEST_RFLAGS) & X86_EFLAGS_IF) &&
	       (vcpu->interrupt >= 0 || apic_next(vcpu) >= 0);
}

bool apic_sync(struct vcpu *vcpu)
{
	struct apic *apic = vcpu->apic;

	apic_collect(vcpu);
	if (apic->activity == KVM_MP_STATE_HALTED && halt_ends(vcpu))
		apic->activity = KVM_MP_STATE_RUNNABLE;
	return apic->activity == KVM_MP_STATE_RUNNABLE;
}

void apic_halt(struct vcpu *vcpu)
{
	vcpu->apic->activity = KVM_MP_STATE_HALTED;
}

static bool must_look(const struct vcpu *vcpu)
{
	return apic_is_posted(vcpu) || swap_is_asked(vcpu) || READ_ONCE(vcpu->vm->dead);
}

int apic_wait(struct vcpu *vcpu)
{
	bool runs;
	int err;

	for (;;) {
		if (!swap_pass(vcpu)) {
			err = swap_sleep(vcpu, false);
			if (err)
				return err;
			continue;
		}
		err = vmcs_get(vcpu);
		if (err)
			return err;
		runs = apic_sync(vcpu);
		vmcs_put(vcpu);
		if (runs)
			return 1;
		if (READ_ONCE(vcpu->vm->dead))
			return -EIO;
		if (wait_event_interruptible(vcpu->apic->wake, must_look(vcpu)))
			return -EINTR;
	}
}

int apic_next(const struct vcpu *vcpu)
{
	return lapic_next(&vcpu->apic->regs);
}

void apic_take(struct vcpu *vcpu, u8 vector)
{
	lapic_take(&vcpu->apic->regs, vector);
}

/* ---- the guest's accesses ------------------------------------------------- */

u64 apic_cr8(const struct vcpu *vcpu)
{
	return vcpu->apic ? lapic_cr8(&vcpu->apic->regs) : vcpu->cr8;
}

void apic_set_cr8(struct vcpu *vcpu, u64 value)
{
	if (vcpu->apic)
		lapic_set_cr8(&vcpu->apic->regs, value);
	else
		vcpu->cr8 = value;
}

static int register_write(struct vcpu *vcpu, u32 offset, u64 value)
{
	struct apic *apic = vcpu->apic;
	struct lapic_ipi ipi;
	int ret = lapic_write(&apic->regs, offset, value, ktime_get_ns(), &ipi);

	if (ret == LAPIC_TIMER)
		apic_timer_set(apic);
	else if (ret == LAPIC_SEND)
		ret = apic_send(vcpu->vm, &ipi, vcpu->index);
	return min(ret, 0);
}

bool apic_is_page(const struct vcpu *vcpu, u64 gpa)
{
	return vcpu->apic && (gpa & PAGE_MASK) == LAPIC_GPA &&
	       lapic_mode(&vcpu->apic->regs) == LAPIC_XAPIC;
}

/* The SDM leaves other accesses than those of 32 bits to a register undefined. */
int apic_page_access(struct vcpu *vcpu, u64 gpa, bool write, u32 bytes, u64 *value)
{
	u32 offset = gpa & ~PAGE_MASK, word = 0;
	bool defined = bytes == 4 && !(offset & 15);

	if (write)
		return defined ? register_write(vcpu, offset, (u32)*value) : 0;
	if (defined)
		lapic_read(&vcpu->apic->regs, offset, ktime_get_ns(), &word);
	*value = word;
	return 0;
}

bool apic_is_msr(const struct vcpu *vcpu, u32 index)
{
	return vcpu->apic && index >= LAPIC_MSR && index < LAPIC_MSR + 0x100;
}

static bool msr_is_there(const struct vcpu *vcpu, u32 index)
{
	return lapic_mode(&vcpu->apic->regs) == LAPIC_X2APIC && index < LAPIC_MSR + LAPIC_REGS;
}

int apic_msr_read(struct vcpu *vcpu, u32 index, u64 *value)
{
	const struct lapic *regs = &vcpu->apic->regs;
	u32 offset = (index - LAPIC_MSR) * 16, word;
	int err;

	if (!msr_is_there(vcpu, index))
		return -EINVAL;
	err = lapic_read(regs, offset, ktime_get_ns(), &word);
	*value = word;
	if (offset == LAPIC_ICR)
		*value |= (u64)regs->reg[LAPIC_ICR_HIGH / 16] << 32;
	return err;
}

int apic_msr_write(struct vcpu *vcpu, u32 index, u64 value)
{
	if (!msr_is_there(vcpu, index))
		return -EINVAL;
	return register_write(vcpu, (index - LAPIC_MSR) * 16, value);
}

int apic_set_base(struct vcpu *vcpu, u64 base, bool host)
{
	struct lapic *regs = &vcpu->apic->regs;
	int err = host ? lapic_load_base(regs, base) : lapic_set_base(regs, base);

	if (err)
		return err;
	vcpu->apic_base = base;
	apic_timer_set(vcpu->apic);
	return 0;
}

/* ---- life ----------------------------------------------------------------- */

int apic_create(struct vcpu *vcpu)
{
	struct apic *apic = kzalloc(sizeof(*apic), GFP_KERNEL_ACCOUNT);

	if (!apic)
		return -ENOMEM;
	apic->vcpu = vcpu;
	apic->activity = vcpu->index ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
	init_waitqueue_head(&apic->wake);
	hrtimer_init(&apic->timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	apic->timer.function = timer_fired;
	lapic_reset(&apic->regs, vcpu->index, vcpu->apic_base);
	vcpu->apic = apic;
	return 0;
}

void apic_destroy(struct vcpu *vcpu)
{
	if (!vcpu->apic)
		return;
	hrtimer_cancel(&vcpu->apic->timer);
	kfree(vcpu->apic);
	vcpu->apic = NULL;
}
