#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The module hyprv on the emulated PC, from load to unload.  Prints TAP.  KVM must not have
# taken VT-x: kvm.enable_virt_at_load=0 on the kernel's command line.
module=/hyprv.ko
steps=7
# The lines on the console are the tests' own.
dmesg -n 1
number=0
status=0

check()
{
	number=$((number + 1))
	if [ "$2" -eq 0 ]; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		dmesg | tail -n 15 | sed 's/^/# /'
		status=1
	fi
}

# The module is not there, the device neither, and KVM can have VT-x: it finds CR4.VMXE
# clear on every CPU.
left_nothing()
{
	! grep -q '^hyprv ' /proc/modules && [ ! -e /dev/hyprv ] &&
		[ ! -e /sys/kernel/debug/hyprv ] && /tests/kvm/guest_test "$kvm_test" >/tmp/kvm 2>&1 &&
		grep -q '^ok 1' /tmp/kvm && ! grep -q SKIP /tmp/kvm
}
kvm_test="the guest runs"

echo "1..$((steps + 13))"

insmod "$module"
check "the module loads" $?
[ -c /dev/hyprv ]
check "/dev/hyprv is there" $?
! insmod "$module" 2>/dev/null
check "it does not load twice" $?
/tests/kvm/guest_test "$kvm_test" >/tmp/kvm 2>&1
grep -q 'KVM_CREATE_VM: Input/output error' /tmp/kvm
check "KVM fails to have VT-x, and nothing else happens" $?
rmmod hyprv && left_nothing
check "unloaded, it leaves VT-x to KVM" $?

step=1
while [ $step -le $steps ]; do
	! insmod "$module" fail_step=$step 2>/dev/null && left_nothing
	check "a failure of step $step leaves nothing" $?
	step=$((step + 1))
done
cpu=$(($(nproc) - 1))
! insmod "$module" fail_cpu=$cpu 2>/dev/null && left_nothing
check "VMXON that fails on the last CPU is undone on the others" $?
! insmod "$module" pool_pages=1 2>/dev/null && left_nothing
check "a pool without pages leaves nothing" $?

insmod "$module"
HYPR_DEVICE=/dev/hyprv /hyprv-device "the guest runs" >/tmp/run 2>&1
grep -q '^ok 1' /tmp/run && grep -q '^10 [1-9]\|^30 [1-9]\|^1 [1-9]\|^48 [1-9]' \
	/sys/kernel/debug/hyprv/exits
check "exits are counted by reason" $?
grep -q '^vms 0$' /sys/kernel/debug/hyprv/summary
check "no VM is left when its process has ended" $?
used=$(sed -n 's/^used //p' /sys/kernel/debug/hyprv/pool)
round=0
while [ $round -lt 5 ]; do
	HYPR_DEVICE=/dev/hyprv /hyprv-device "three vCPUs" >/dev/null 2>&1
	round=$((round + 1))
done
[ "$used" = "$(sed -n 's/^used //p' /sys/kernel/debug/hyprv/pool)" ]
check "VMs give all pages back" $?
# The last CPU goes and comes back: VMXON follows it.
last=/sys/devices/system/cpu/cpu$cpu/online
echo 0 >$last && HYPR_DEVICE=/dev/hyprv /hyprv-device "the guest runs" >/tmp/run 2>&1 &&
	grep -q '^ok 1' /tmp/run && ! grep -q SKIP /tmp/run
check "VMs run while a CPU is offline" $?
echo 1 >$last && HYPR_DEVICE=/dev/hyprv /hyprv-device "three vCPUs" >/tmp/run 2>&1 &&
	grep -q '^ok 1' /tmp/run && ! grep -q SKIP /tmp/run
check "a CPU that comes back runs vCPUs" $?
rmmod hyprv && left_nothing
check "the module unloads after VMs, and VT-x is KVM's" $?
exit $status
