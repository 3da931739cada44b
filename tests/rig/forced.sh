#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A guest kernel that knows nothing of HYPR, on 1 and on 2 vCPUs: every pause is
# forced, and its views are swapped and put back all the same.  20 MiB: such a kernel
# has room for few threads (tests/rig/amd_guest.sh).
# shellcheck source=tests/rig/common.sh
. "$(dirname "$0")/common.sh"

rm -rf "$HYPR_RUNTIME_DIR"
kernel=${1:-/demo/vmlinuz-stock}

program_runs()
{
	grep -q "^epoch:" "$HYPR_RUNTIME_DIR/$1.log"
}

for vcpus in 1 2; do
	vm=stock$vcpus
	expect_line 0 "$vm ($engine): runs" "$vcpus vCPU: run" \
		hypr run --engine "$engine" --name $vm --kernel "$kernel" --initrd /demo/initrd --mem 20M \
		--vcpus $vcpus --pin 1,2 --detach
	check "$vcpus vCPU: the guest comes up" wait_for 60 program_runs $vm
	hypr ps --json >$out
	check "$vcpus vCPU: it offers no cooperative pause" test "$(field guest_vcpus)" = 0
	expect 0 "pause forced" "$vcpus vCPU: snapshot A" hypr snapshot $vm A
	usleep 200000
	expect 0 "pause forced" "$vcpus vCPU: snapshot B" hypr snapshot $vm B
	expect_line 7 "does not offer to park" "$vcpus vCPU: cooperation cannot be had" \
		hypr swap --cooperative $vm A
	expect 0 "boot -> A: pause forced" "$vcpus vCPU: swap" hypr swap $vm A
	expect 0 "A -> B (reset): pause forced" "$vcpus vCPU: swap --reset" \
		hypr swap --reset $vm B
	i=0
	while [ $i -lt 25 ] && hypr swap $vm A >$out 2>&1 &&
	      hypr swap --reset $vm B >$out 2>&1; do
		i=$((i + 1))
	done
	result $((i != 25)) "$vcpus vCPU: 50 swaps in a row" "only $i times two"
	usleep 300000
	expect 0 "B -> A" "$vcpus vCPU: leave B" hypr swap $vm A
	expect 0 "view B reset" "$vcpus vCPU: reset B" hypr reset $vm B
	expect 0 " 0 differ" "$vcpus vCPU: B is as it was" hypr verify $vm B
	expect 0 "paused, forced" "$vcpus vCPU: pause" hypr pause $vm
	expect 0 "resumed" "$vcpus vCPU: resume" hypr resume $vm
	check "$vcpus vCPU: the guest complained of nothing" guest_is_sane $vm
	expect 0 "stopped" "$vcpus vCPU: stop" hypr stop $vm
done
check "nothing is left" wait_for 10 nothing_left
finish
