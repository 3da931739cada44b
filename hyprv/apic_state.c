// SPDX-License-Identifier: GPL-2.0-only
/* User space's side of local APICs: enabled, their state, messages as devices send them. */
#include <linux/ktime.h>

#include "apic.h"

/* Pins of an I/O APIC in user space, as KVM has it; hyprv has no use for the number. */
#define PINS_MAX	24

int apics_enable(struct vm *vm, const struct kvm_enable_cap *cap)
{
	int err = 0;

	if (cap->flags || cap->args[0] > PINS_MAX ||
	    memchr_inv(cap->args + 1, 0, sizeof(cap->args) - sizeof(cap->args[0])))
		return -EINVAL;
	if (mutex_lock_killable(&vm->swap_lock))
		return -EINTR;
	/* Memory must not be where the APICs are: memory_set_region() sees to it from now on. */
	if (vm->apics || vm->vcpus || READ_ONCE(vm->had_regions))
		err = -EEXIST;
	else
		WRITE_ONCE(vm->apics, true);
	mutex_unlock(&vm->swap_lock);
	return err;
}

/* What others have posted is part of the state. */
static int collect(struct vcpu *vcpu)
{
	int err = vmcs_get(vcpu);

	if (err)
		return err;
	apic_collect(vcpu);
	vmcs_put(vcpu);
	return 0;
}

int apic_get_state(struct vcpu *vcpu, struct kvm_lapic_state *state)
{
	u32 reg[LAPIC_REGS], i;
	int err = collect(vcpu);

	if (err)
		return err;
	memset(state, 0, sizeof(*state));
	lapic_save(&vcpu->apic->regs, reg, ktime_get_ns());
	for (i = 0; i < LAPIC_REGS; i++)
		memcpy(state->regs + i * 16, &reg[i], sizeof(reg[i]));
	return 0;
}

/* What was posted before goes with the state that is replaced. */
int apic_set_state(struct vcpu *vcpu, const struct kvm_lapic_state *state)
{
	struct apic *apic = vcpu->apic;
	u32 reg[LAPIC_REGS], i;
	int err;

	for (i = 0; i < LAPIC_REGS; i++)
		memcpy(&reg[i], state->regs + i * 16, sizeof(reg[i]));
	err = lapic_load(&apic->regs, reg, ktime_get_ns());
	if (err)
		return err;
	for (i = 0; i < ARRAY_SIZE(apic->vectors); i++)
		xchg(&apic->vectors[i], 0);
	clear_bit(POSTED_VECTORS, &apic->posted);
	apic_timer_set(apic);
	return 0;
}

int apic_get_activity(struct vcpu *vcpu, u32 *activity)
{
	int err = collect(vcpu);

	*activity = vcpu->apic->activity;
	return err;
}

int apic_set_activity(struct vcpu *vcpu, u32 activity)
{
	switch (activity) {
	case KVM_MP_STATE_RUNNABLE:
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_HALTED:
		vcpu->apic->activity = activity;
		return 0;
	}
	return -EINVAL;
}

int apic_signal_msi(struct vm *vm, const struct kvm_msi *msi)
{
	u64 address = (u64)msi->address_hi << 32 | msi->address_lo;
	struct lapic_ipi ipi;
	int ret;

	if (!READ_ONCE(vm->apics) || msi->flags)
		return -EINVAL;
	lapic_msi(&ipi, address, msi->data);
	if ((address & ~0xfffffull) != LAPIC_GPA ||
	    (ipi.delivery != LAPIC_NMI && ipi.vector < 16))
		return -EINVAL;
	ret = apic_send(vm, &ipi, HYPRV_MAX_VCPUS);
	return ret == -EOPNOTSUPP ? -EINVAL : ret;
}
