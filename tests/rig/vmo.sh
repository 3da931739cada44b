#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# States as files: a Linux guest with two vCPUs is written to a VMO in the middle
# of its work and goes on from it, in new VMs and as a view of the same one, with
# every check of its own passing.  HYPR_RESURRECTIONS: how often.
# shellcheck source=tests/rig/common.sh
. "$(dirname "$0")/common.sh"

rm -rf "$HYPR_RUNTIME_DIR"
dir=/tmp/vmo-test
mkdir -p $dir
rounds=${HYPR_RESURRECTIONS:-10}
# Milliseconds between two steps of the guest, in which the emulator has less to do.
rest=${HYPR_REST:-50}

# A word of a report: the first is 1, the last is $.
word()
{
	grep "$report" "$(log "$1")" | sed -n "$2p" | cut -d ' ' -f "$3"
}

expect_line 0 "vm1 ($engine): runs" "run" \
	hypr run --engine "$engine" --name vm1 --kernel /demo/vmlinuz --initrd /demo/initrd --mem 16M \
	--vcpus 2 --pin 1,2 --detach --cmdline "console=ttyS0 epoch.port=0 epoch.verbose=1 epoch.rest=$rest"
check "the guest comes up" wait_for 60 guest_is_up vm1 2
check "and works" wait_for 30 goes_on vm1 2

expect_line 0 "written in" "a file of this moment" hypr snapshot vm1 -o $dir/a.vmo
expect_line 6 "is there already" "a file that is there already" hypr snapshot vm1 -o $dir/a.vmo
expect_line 0 "written in" "is replaced if so asked" \
	hypr snapshot vm1 -o $dir/a.vmo --replace
expect 0 "view A" "a view and a file of one moment" hypr snapshot vm1 A -o $dir/view.vmo
check "the guest works on" wait_for 30 goes_on vm1 $(($(reports vm1) + 2))
expect_line 0 "as in the parent" "a file of what changed since" \
	hypr snapshot vm1 -o $dir/b.vmo --parent $dir/a.vmo
expect 0 "vcpus" "what is in it" hypr vmo info --json $dir/a.vmo
expect 0 "b.vmo" "it is whole" hypr vmo verify $dir/b.vmo
check "a layer is smaller than what it stands on" \
	test "$(stat -c %s $dir/b.vmo)" -lt "$(stat -c %s $dir/a.vmo)"

# As a debugger sees it: the kernel's own symbols, by its own page tables.
banner=0x$(sed -n 's/ . linux_banner$//p' /demo/System.map)
expect_line 0 "addresses are guest virtual" "an ELF core by virtual addresses" \
	hypr vmo export --virtual $dir/a.vmo $dir/a.core
expect 0 "^Linux version 6\." "its linux_banner, by the symbol" \
	/tests/rig/core-read $dir/a.core "$banner"
expect_line 0 "$banner -> 0x.*page, r" "where that is" hypr translate $dir/a.vmo "$banner"
expect_line 0 "$banner -> 0x.*page, r" "and in the running VM" hypr translate vm1 "$banner"
expect_line 1 "no segment" "what Linux does not map is not in the core" \
	/tests/rig/core-read $dir/a.core 0xffffffff90000000
rm -f $dir/a.core

# As a view of the VM that it came from.
expect_line 0 "view old" "load" hypr load vm1 $dir/a.vmo --view old
expect 0 "boot -> old" "swap to it" hypr swap vm1 old
check "the guest goes on there" wait_for 30 goes_on vm1 $(($(reports vm1) + 2))
expect 0 "old -> boot" "and back" hypr swap vm1 boot
expect 1 " differ" "it differs from the file now" hypr verify vm1 old
expect 0 "view old reset" "reset" hypr reset vm1 old
expect 0 " 0 differ" "a reset view is the file, byte for byte" hypr verify vm1 old
expect 0 "boot -> old (reset)" "swap with reset" hypr swap --reset vm1 old
check "the guest goes on there again" wait_for 30 goes_on vm1 $(($(reports vm1) + 2))

# A running VM against a file.
expect_line 1 "view old and .* differ; first at 0x" "it differs from the file" \
	hypr vmo verify $dir/a.vmo --vm vm1
expect 0 "stopped\|paused" "pause" hypr pause vm1
expect 0 "written in" "a file of a paused VM" hypr snapshot vm1 -o $dir/now.vmo
expect_line 0 ", 0 differ" "it is that, page by page" hypr vmo verify $dir/now.vmo --vm vm1
expect 0 "packed.vmo: " "packed" hypr vmo pack $dir/now.vmo $dir/packed.vmo
expect 0 '"pages_mismatched":0' "it is that of the packed file, too" \
	hypr vmo verify $dir/packed.vmo --vm vm1 --json
expect 0 "resumed" "resume" hypr resume vm1
expect_line 1 "view boot and " "another view of it" \
	hypr vmo verify $dir/now.vmo --vm vm1 --view boot
expect_line 4 "no view 'none'" "a view that is not there" \
	hypr vmo verify $dir/now.vmo --vm vm1 --view none
expect_line 3 "no VM" "a VM that is not there" hypr vmo verify $dir/now.vmo --vm nobody
expect_line 8 "busybox" "no VMO" hypr vmo verify /bin/busybox --vm vm1
expect_line 8 "none.vmo" "no file" hypr vmo verify $dir/none.vmo --vm vm1
expect_line 2 "with --vm only" "--view alone" hypr vmo verify $dir/a.vmo --view boot
expect_line 2 "two questions" "--key and --vm" \
	hypr vmo verify $dir/a.vmo --vm vm1 --key $dir/none
rm $dir/now.vmo $dir/packed.vmo
check "the guest goes on" wait_for 30 goes_on vm1 $(($(reports vm1) + 2))
expect_line 6 "exists already" "a name that is taken" hypr load vm1 $dir/a.vmo --view old
expect_line 8 "No such file" "a file that is not there" hypr load vm1 $dir/none.vmo
check "every check of the guest was right" all_right vm1
check "the guest complained of nothing" guest_is_sane vm1
expect 0 "stopped" "stop" hypr stop vm1

# In new VMs: the first file, and the layer on it.
for file in a b; do
	expect_line 0 "vm2 ($engine): runs" "resurrect $file" \
		hypr resurrect $dir/$file.vmo --engine "$engine" --name vm2 --pin 1,2 --detach
	check "$file: it goes on" wait_for 30 goes_on vm2 3
	# A guest that boots would begin with the first; this one had told of two.
	check "$file: from where it was" test "$(word vm2 1 2)" -gt 2
	check "$file: every check is right" all_right vm2
	expect 0 "vm2 ($engine): view C" "$file: snapshot" hypr snapshot vm2 C
	expect 0 "boot -> C" "$file: swap" hypr swap vm2 C
	expect 0 "C -> boot (reset)" "$file: back to the file" hypr swap --reset vm2 boot
	check "$file: it goes on again" wait_for 30 goes_on vm2 $(($(reports vm2) + 2))
	check "$file: every check is right still" all_right vm2
	check "$file: the guest complained of nothing" guest_is_sane vm2
	expect 0 "stopped" "$file: stop" hypr stop vm2
done
expect_line 0 "vm2 ($engine): runs" "resurrect, the clock going on" \
	hypr resurrect $dir/a.vmo --engine "$engine" --name vm2 --pin 1,2 --detach --time continue \
	--prefault none
check "it goes on" wait_for 30 goes_on vm2 3
check "every check is right" all_right vm2
check "the guest complained of nothing" guest_is_sane vm2
expect 0 "stopped" "stop" hypr stop vm2

i=0
bad=
while [ $i -lt "$rounds" ]; do
	hypr resurrect $dir/a.vmo --engine "$engine" --name vm2 --pin 1,2 --detach >$out 2>&1 || bad="resurrect"
	wait_for 30 goes_on vm2 2 || bad="no report"
	all_right vm2 >>$out || bad="a check of the guest"
	guest_is_sane vm2 >>$out || bad="the guest complained"
	hypr stop vm2 >>$out 2>&1 || bad="stop"
	[ -z "$bad" ] || break
	i=$((i + 1))
done
result $((i != rounds)) "resurrected $rounds times in the middle of its work" \
	"$bad, in round $i"

# Two from one file: each has random numbers of its own.
for vm in c1 c2; do
	expect_line 0 "runs" "clone $vm" hypr resurrect $dir/a.vmo --engine "$engine" --name $vm --detach
done
for vm in c1 c2; do
	check "$vm goes on" wait_for 60 goes_on $vm 3
	check "$vm: every check is right" all_right $vm
done
# The first may have been made before it was written out.
check "they are at the same place" test "$(word c1 2 2)" = "$(word c2 2 2)"
check "and have other random numbers" test "$(word c1 2 11)" != "$(word c2 2 11)"
for vm in c1 c2; do
	expect 0 "stopped" "stop $vm" hypr stop $vm
done

# A file that is truncated under a VM that runs from it.
expect 0 "pages" "a file for that" hypr vmo flatten $dir/b.vmo $dir/t.vmo
expect_line 0 "runs" "resurrect it" hypr resurrect $dir/t.vmo --engine "$engine" --name vm4 --pin 1,2 --detach
check "it goes on" wait_for 30 goes_on vm4 2
expect 0 "view K" "a view of its own memory" hypr snapshot vm4 K
expect 0 "paused" "pause" hypr pause vm4
: >$dir/t.vmo
expect_line 8 "t.vmo: .* truncated while in use" "truncated: verify" hypr verify vm4 boot
expect_line 8 "t.vmo: .* truncated while in use" "truncated: a file of this moment" \
	hypr snapshot vm4 -o $dir/no.vmo
expect_line 8 "t.vmo: .* truncated while in use" "truncated: snapshot" hypr snapshot vm4 N
expect_line 8 "t.vmo: .* truncated while in use" "truncated: reset" hypr reset vm4 boot
expect_line 8 "t.vmo: .* truncated while in use" "truncated: a view against a file" \
	hypr vmo verify $dir/b.vmo --vm vm4
expect 0 "boot -> K" "truncated: swap to a view that is whole" hypr swap vm4 K
expect_line 8 "t.vmo: .* truncated while in use" "truncated: swap back" hypr swap vm4 boot
expect 0 "resumed" "resume" hypr resume vm4
check "it goes on in the other view" wait_for 30 goes_on vm4 $(($(reports vm4) + 2))
check "every check of the guest was right" all_right vm4
expect 0 "stopped" "stop" hypr stop vm4
expect 0 "pages" "the file once more" hypr vmo flatten $dir/b.vmo $dir/t.vmo --force
expect_line 0 "runs" "resurrect it again" hypr resurrect $dir/t.vmo --engine "$engine" --name vm4 --pin 1,2 --detach
check "it goes on" wait_for 30 goes_on vm4 2
: >$dir/t.vmo
check "truncated while it runs: it ends, and says why" wait_for 30 \
	grep -q "vm4 ($engine) ended: vCPU .: KVM_RUN: EFAULT: memory is gone, truncated in use: .*t.vmo" "$(log vm4)"
check "nothing of it is left" wait_for 10 nothing_left
rm $dir/t.vmo

# Memory that the guest may not write.
check "a file whose kernel text is read-only" \
	/tests/rig/vmo-readonly $dir/a.vmo $dir/ro.vmo 0x200000 0x240000
expect_line 0 "runs" "resurrect it" hypr resurrect $dir/ro.vmo --engine "$engine" --name vm5 --pin 1,2 --detach
check "it goes on" wait_for 30 goes_on vm5 2
expect 0 "precopy" "a view of it" hypr snapshot vm5 A
expect 0 "boot -> A" "swap to it" hypr swap vm5 A
check "it goes on there" wait_for 30 goes_on vm5 $(($(reports vm5) + 2))
check "every check of the guest was right" all_right vm5
check "the guest complained of nothing" guest_is_sane vm5
expect 0 "stopped" "stop" hypr stop vm5
rm $dir/ro.vmo
check "a file whose memory is read-only from 5 MiB on" \
	/tests/rig/vmo-readonly $dir/a.vmo $dir/ro.vmo 0x500000 0x1000000
hypr resurrect $dir/ro.vmo --engine "$engine" --name vm5 --pin 1,2 --detach >$out 2>&1
check "a write ends the VM, which says where" wait_for 30 \
	grep -q "vm5 ($engine) ended: vCPU .: write to read-only memory at GPA 0x" "$(log vm5)"
check "nothing of it is left" wait_for 10 nothing_left
rm $dir/ro.vmo

# What is wrong with a file is said, and nothing is left.
head -c 100000 $dir/a.vmo >$dir/short.vmo
expect_line 8 "short.vmo" "a file that was cut off" \
	hypr resurrect $dir/short.vmo --engine "$engine" --name vm3 --detach
expect_line 8 "/bin/busybox" "no VMO" hypr resurrect /bin/busybox --engine "$engine" --name vm3 --detach
expect_line 2 "freeze or continue" "wrong --time" \
	hypr resurrect $dir/a.vmo --engine "$engine" --name vm3 --time back
rm $dir/a.vmo
expect_line 8 "a.vmo" "a layer without the file it stands on" \
	hypr resurrect $dir/b.vmo --engine "$engine" --name vm3 --detach
check "nothing is left" wait_for 10 nothing_left
check "no litter beside the files" \
	test "$(echo $(ls -A $dir))" = "b.vmo short.vmo view.vmo"
rm -rf $dir
finish
