#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The module hyprv on a PC whose CPUs have no VT-x: the emulated AMD PC.  Prints TAP.

# shellcheck source=tests/rig/common.sh
. /tests/rig/common.sh
! insmod /hyprv.ko 2>/dev/null && dmesg | grep -q 'hyprv: this CPU has no VT-x$'
after $? "hyprv does not load without VT-x, and says so"
! grep -q '^hyprv ' /proc/modules && [ ! -e /dev/hyprv ] && [ ! -e /sys/kernel/debug/hyprv ]
after $? "nothing of it is left"
/tests/kvm/guest_test "the guest runs" >/tmp/kvm 2>&1 && grep -q '^ok 1' /tmp/kvm &&
	! grep -q SKIP /tmp/kvm
after $? "KVM runs a guest"
finish
