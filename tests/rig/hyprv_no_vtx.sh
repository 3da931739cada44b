#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The module hyprv on a PC whose CPUs have no VT-x: the emulated AMD PC.  Prints TAP.
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

echo "1..3"
! insmod /hyprv.ko 2>/dev/null && dmesg | grep -q 'hyprv: this CPU has no VT-x$'
check "hyprv does not load without VT-x, and says so" $?
! grep -q '^hyprv ' /proc/modules && [ ! -e /dev/hyprv ] && [ ! -e /sys/kernel/debug/hyprv ]
check "nothing of it is left" $?
/tests/kvm/guest_test "the guest runs" >/tmp/kvm 2>&1 && grep -q '^ok 1' /tmp/kvm &&
	! grep -q SKIP /tmp/kvm
check "KVM runs a guest" $?
exit $status
