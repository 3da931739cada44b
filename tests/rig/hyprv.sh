#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The module hyprv on the emulated PC, from load to unload.  Prints TAP.  KVM must not have
# taken VT-x: kvm.enable_virt_at_load=0 on the kernel's command line.  HYPR_HYPRV_MMU is the
# module's mmu=: ept or shadow.
# shellcheck source=tests/rig/common.sh
. /tests/rig/common.sh
module=/hyprv.ko
mmu=${HYPR_HYPRV_MMU:-ept}
steps=9
selftests=12
# The lines on the console are the tests' own.
dmesg -n 1

# The module is not there, the device neither, and KVM can have VT-x: it finds CR4.VMXE
# clear on every CPU.
left_nothing()
{
	! grep -q '^hyprv ' /proc/modules && [ ! -e /dev/hyprv ] &&
		[ ! -e /sys/kernel/debug/hyprv ] && [ ! -e $kunit/hyprv ] &&
		/tests/kvm/guest_test "$kvm_test" >/tmp/kvm 2>&1 &&
		grep -q '^ok 1' /tmp/kvm && ! grep -q SKIP /tmp/kvm
}
kvm_test="the guest runs"
kunit=/sys/kernel/debug/kunit

# The rows of KUnit's suite that ended so, as KTAP has them: parameters of the suite's case.
kunit_rows()
{
	grep -c "^        $1 [0-9]* " $kunit/hyprv/results
}

# Of VT-x, on all NUMA nodes.
pages_used()
{
	awk '{ for (i = 1; i < NF; i++) if ($i == "used") sum += $(i + 1) } END { print sum + 0 }' \
		/sys/kernel/debug/hyprv/pool
}

# KVM has VT-x while it has a VM.
hypr run --engine stock --name kvm --kernel /demo/multiboot.elf --cmdline count --detach >/tmp/kvm 2>&1
after $? "a VM of KVM runs"
! insmod "$module" mmu=$mmu 2>/dev/null && [ ! -e /dev/hyprv ] &&
	dmesg | grep -q 'hyprv: VT-x is in use on CPU [0-9]* (by KVM?)'
after $? "the module does not load beside it, and says why"
hypr ps | grep -q '^kvm .*stock' && hypr stop kvm >/dev/null && left_nothing
after $? "which that VM does not notice"
insmod "$module" mmu=$mmu
after $? "the module loads"
[ -c /dev/hyprv ]
after $? "/dev/hyprv is there"
! insmod "$module" mmu=$mmu 2>/dev/null
after $? "it does not load twice"
/tests/kvm/guest_test "$kvm_test" >/tmp/kvm 2>&1
grep -q 'KVM_CREATE_VM: Input/output error' /tmp/kvm
after $? "KVM fails to have VT-x, and nothing else happens"
hypr doctor >/tmp/doctor
grep -q '^hyprv *ok .*hyprv has VT-x' /tmp/doctor && grep -q 'no VM can be created' /tmp/doctor &&
	grep -q -- '-> rmmod hyprv: it has VT-x' /tmp/doctor
after $? "hypr doctor says that hyprv has VT-x"
hypr doctor | grep -q "^hyprv .*mmu=$mmu"
after $? "and how its VMs translate addresses"
hypr doctor --json | grep -q '"check":"hyprv","state":"ok"'
after $? "in JSON, too"
hypr call --engine stock --arg x /call/upper.elf >/tmp/call 2>&1
[ $? -eq 5 ] && grep -q 'the module hyprv has VT-x; rmmod hyprv' /tmp/call
after $? "a VM of KVM that hyprv keeps away is told apart"
rmmod hyprv && left_nothing
after $? "unloaded, it leaves VT-x to KVM"
hypr doctor | grep -q '^hyprv *note *not loaded; KVM has VT-x as long as'
after $? "hypr doctor says that it is not loaded"

step=1
while [ $step -le $steps ]; do
	! insmod "$module" mmu=$mmu fail_step=$step 2>/dev/null && left_nothing
	after $? "a failure of step $step leaves nothing"
	step=$((step + 1))
done
cpu=$(($(nproc) - 1))
! insmod "$module" mmu=$mmu fail_cpu=$cpu 2>/dev/null && left_nothing
after $? "VMXON that fails on the last CPU is undone on the others"
! insmod "$module" mmu=$mmu pool_pages=1 2>/dev/null && left_nothing
after $? "a pool without pages leaves nothing"

! insmod "$module" mmu=npt 2>/dev/null && left_nothing &&
	dmesg | grep -q 'hyprv: mmu=npt: it is ept or shadow'
after $? "another mmu= is refused"

insmod "$module" mmu=$mmu selftest=1
after $? "the module loads after its self test"
passed=$(dmesg | grep -c 'hyprv: self test [0-9]*, .*: ok$')
[ "$passed" -eq $selftests ]
after $? "the log has $selftests results"
if [ -d $kunit ]; then
	grep -q '^ok 1 hyprv$' $kunit/hyprv/results && [ "$(kunit_rows ok)" -eq $selftests ] &&
		[ ! -e $kunit/hyprv/run ]
	after $? "KUnit's suite has them, too"
else
	after 0 "KUnit's suite has them, too # SKIP this kernel has no KUnit"
fi
rmmod hyprv && left_nothing
after $? "the self test leaves nothing"
! insmod "$module" mmu=$mmu selftest=1 fail_selftest=$selftests 2>/dev/null && left_nothing &&
	dmesg | grep -q 'hyprv: 1 of [0-9]* self tests failed'
after $? "a self test that fails keeps the module out"
if [ -d $kunit ]; then
	dmesg | grep -q "not ok $selftests all pages came back" && dmesg | grep -q 'not ok 1 hyprv$'
	after $? "KUnit's suite fails with it"
else
	after 0 "KUnit's suite fails with it # SKIP this kernel has no KUnit"
fi

# In a crash the kernel asks hyprv.  (KVM would warn: it is not used here before rmmod.)
insmod "$module" mmu=$mmu emergency=1 && HYPR_DEVICE=/dev/hyprv /hyprv-device "the guest runs" >/tmp/run 2>&1 &&
	grep -q '^ok 1' /tmp/run && ! grep -q SKIP /tmp/run && rmmod hyprv && left_nothing
after $? "with emergency=1 it runs VMs, and gives the kernel's call back"

insmod "$module" mmu=$mmu
HYPR_DEVICE=/dev/hyprv /hyprv-device "the guest runs" >/tmp/run 2>&1
grep -q '^ok 1' /tmp/run && grep -q '^10 [1-9]\|^30 [1-9]\|^1 [1-9]\|^48 [1-9]' \
	/sys/kernel/debug/hyprv/exits
after $? "exits are counted by reason"
grep -q "^mmu $mmu\$" /sys/kernel/debug/hyprv/summary &&
	if [ $mmu = ept ]; then
		grep -q '^faults 0$' /sys/kernel/debug/hyprv/shadow
	else
		grep -q '^faults [1-9]' /sys/kernel/debug/hyprv/shadow &&
			grep -q '^invept 0$' /sys/kernel/debug/hyprv/summary
	fi
after $? "the statistics are those of mmu=$mmu"
grep -q '^[1-9][0-9]* a vCPU ended$' /sys/kernel/debug/hyprv/flushes
after $? "flushes are counted by reason"
grep -q '^vms 0$' /sys/kernel/debug/hyprv/summary
after $? "no VM is left when its process has ended"
used=$(pages_used)
round=0
while [ $round -lt 5 ]; do
	HYPR_DEVICE=/dev/hyprv /hyprv-device "three vCPUs" >/dev/null 2>&1
	round=$((round + 1))
done
[ "$used" -gt 0 ] && [ "$used" = "$(pages_used)" ]
after $? "VMs give all pages back"
# The last CPU goes and comes back: VMXON follows it.
last=/sys/devices/system/cpu/cpu$cpu/online
echo 0 >$last && HYPR_DEVICE=/dev/hyprv /hyprv-device "the guest runs" >/tmp/run 2>&1 &&
	grep -q '^ok 1' /tmp/run && ! grep -q SKIP /tmp/run
after $? "VMs run while a CPU is offline"
echo 1 >$last && HYPR_DEVICE=/dev/hyprv /hyprv-device "three vCPUs" >/tmp/run 2>&1 &&
	grep -q '^ok 1' /tmp/run && ! grep -q SKIP /tmp/run
after $? "a CPU that comes back runs vCPUs"
rmmod hyprv && left_nothing
after $? "the module unloads after VMs, and VT-x is KVM's"
# kmemleak looks at the end, where the kernel has it.
loads=${HYPR_LOADS:-10}
round=0
while [ $round -lt "$loads" ] && insmod "$module" mmu=$mmu &&
      HYPR_DEVICE=/dev/hyprv /hyprv-device "the guest runs" >/tmp/run 2>&1 &&
      grep -q '^ok 1' /tmp/run && ! grep -q SKIP /tmp/run && rmmod hyprv; do
	round=$((round + 1))
done
[ $round -eq "$loads" ] && left_nothing
after $? "loaded and unloaded, with VMs in between"
echo "# $round times"
finish
