#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The module hyprv on a CPU of 2009, which has EPT, and no unrestricted guests: shadow paging
# alone runs there.  Prints TAP.
# shellcheck source=tests/rig/common.sh
. /tests/rig/common.sh
! insmod /hyprv.ko 2>/tmp/insmod && grep -q 'Operation not supported' /tmp/insmod &&
	dmesg | grep -q "hyprv: this CPU's VT-x lacks, for mmu=ept: unrestricted guests\$"
after $? "mmu=ept is refused, and the line names what the CPU lacks"
! grep -q '^hyprv ' /proc/modules && [ ! -e /dev/hyprv ] && [ ! -e /sys/kernel/debug/hyprv ]
after $? "nothing of it is left"
insmod /hyprv.ko mmu=shadow selftest=1 && rmmod hyprv
after $? "with mmu=shadow it loads after its self test"
finish
