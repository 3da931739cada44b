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
# A whole line: the last one may be on its way.
report='^epoch [0-9]* checks [0-9]* failures [0-9]* chain [0-9a-f]* [0-9a-f]* random [0-9a-f]\{16\}'

log()
{
	echo "$HYPR_RUNTIME_DIR/$1.log"
}

reports()
{
	grep -c "$report" "$(log "$1")"
}

goes_on()
{
	[ "$(reports "$1")" -ge "$2" ]
}

all_right()
{
	! grep "$report" "$(log "$1")" | grep -v " failures 0 "
}

# A word of a report: the first is 1, the last is $.
word()
{
	grep "$report" "$(log "$1")" | sed -n "$2p" | cut -d ' ' -f "$3"
}

expect_line 0 "vm1 ($engine): runs" "run" \
	hypr run --engine "$engine" --name vm1 --kernel /demo/vmlinuz --initrd /demo/initrd --mem 16M \
	--vcpus 2 --pin 1,2 --detach --cmdline "console=ttyS0 epoch.port=0 epoch.verbose=5"
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
	test "$(wc -c <$dir/b.vmo)" -lt "$(wc -c <$dir/a.vmo)"

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
expect_line 6 "exists already" "a name that is taken" hypr load vm1 $dir/a.vmo --view old
expect_line 1 "No such file" "a file that is not there" hypr load vm1 $dir/none.vmo
check "every check of the guest was right" all_right vm1
check "the guest complained of nothing" guest_is_sane vm1
expect 0 "stopped" "stop" hypr stop vm1

# In new VMs: the first file, and the layer on it.
for file in a b; do
	expect_line 0 "vm2 ($engine): runs" "resurrect $file" \
		hypr resurrect $dir/$file.vmo --engine "$engine" --name vm2 --pin 1,2 --detach
	check "$file: it goes on" wait_for 30 goes_on vm2 3
	# A guest that boots would begin with the fifth.
	check "$file: from where it was" test "$(word vm2 1 2)" -gt 5
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

# What is wrong with a file is said, and nothing is left.
head -c 100000 $dir/a.vmo >$dir/short.vmo
expect_line 8 "short.vmo" "a file that was cut off" \
	hypr resurrect $dir/short.vmo --engine "$engine" --name vm3 --detach
expect_line 8 "/bin/busybox" "no VMO" hypr resurrect /bin/busybox --engine "$engine" --name vm3 --detach
expect_line 2 "freeze or continue" "wrong --time" \
	hypr resurrect $dir/a.vmo --engine "$engine" --name vm3 --time back
rm $dir/a.vmo
expect_line 1 "a.vmo" "a layer without the file it stands on" \
	hypr resurrect $dir/b.vmo --engine "$engine" --name vm3 --detach
check "nothing is left" wait_for 10 nothing_left
check "no litter beside the files" \
	test "$(echo $(ls -A $dir))" = "b.vmo short.vmo view.vmo"
rm -rf $dir
finish
