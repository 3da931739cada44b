#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# End to end on NPT: a Linux guest with two vCPUs goes back and forth between two
# moments, checks its memory at each step, and is put back byte for byte.  It is
# the stock guest: a parked one writes CR8 with an interrupt window open, at which
# QEMU 7.2 aborts (tcg_handle_interrupt: assertion failed).  And it reports on its
# console: once a vCPU's state was loaded, QEMU takes no OUT from user space (it
# wants a TSS that is not busy).  In 16 MiB a stock kernel has room for 32 threads,
# kernel threads and all, and the guest's program could come too late for its own:
# 20 MiB.  A thread of it makes system calls whose results are known.
# shellcheck source=tests/rig/common.sh
. "$(dirname "$0")/common.sh"

rm -rf "$HYPR_RUNTIME_DIR"
swaps=20

expect 0 "npt" "doctor names NPT" hypr doctor
expect 0 "engine ept-swap: ready" "doctor finds all that is needed" hypr doctor
expect_line 0 "vm1 (ept-swap): runs" "run detached" hypr run --name vm1 --detach \
	--kernel /demo/vmlinuz-stock --initrd /demo/initrd --mem 20M --vcpus 2 --pin 1,2 \
	--cmdline "console=ttyS0 epoch.port=0 epoch.verbose=5 epoch.calls=1"
check "the guest comes up" wait_for 60 grep -q "^epoch: 2 vCPUs" "$(log vm1)"
expect 0 "view A (2)" "snapshot A" hypr snapshot vm1 A
usleep 300000
expect 0 "view B (3)" "snapshot B" hypr snapshot vm1 B
i=0
while [ $i -lt $swaps ] && hypr swap vm1 A >$out 2>&1 &&
      hypr swap --reset vm1 B >$out 2>&1; do
	i=$((i + 1))
done
result $((i != swaps)) "$((2 * swaps)) swaps in a row" "only $i times two"
expect 0 "B -> A" "leave B" hypr swap vm1 A
expect 0 "view B reset" "reset B" hypr reset vm1 B
expect 0 " 0 differ" "B is its moment, byte for byte" hypr verify vm1 B
expect 0 "A -> boot" "back to the boot view" hypr swap vm1 boot
usleep 300000
check "the guest complained of nothing" guest_is_sane vm1
check "the guest goes on reporting" wait_for 20 goes_on vm1 $(($(reports vm1) + 1))
check "every check of the guest was right" all_right vm1
expect 0 "stopped" "stop" hypr stop vm1
expect 0 "intel-guest.vmo" "a file from the Intel PC is whole" \
	hypr vmo verify /tests/golden/intel-guest.vmo
expect_line 5 "of GenuineIntel; this host's is of AuthenticAMD" "and refused here, with the reason" \
	hypr resurrect /tests/golden/intel-guest.vmo --name vm2 --detach
check "nothing is left of it" wait_for 10 nothing_left
finish
