#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# A snapshot's pause does not grow with memory: a guest with two vCPUs that works is
# kept, as a file and as a view, with 16, 64 and 256 MiB.  The figures are medians
# of three, in emulated cycles.
# shellcheck source=tests/rig/common.sh
. "$(dirname "$0")/common.sh"

rm -rf "$HYPR_RUNTIME_DIR"
dir=/tmp/snapshot-test
mkdir -p $dir
median()
{
	sort -n "$1" | sed -n 2p
}

# Three files of a VM that works; the median of how long it stood goes to $1.stop.
measure()
{
	vm=$1
	for key in stop pause_cycles copy_cycles pages_in_pause precopy_cycles; do
		rm -f $dir/$key
	done
	for i in 1 2 3; do
		hypr snapshot --json $vm -o $dir/$vm.vmo --replace >$out 2>&1 || return 1
		[ "$(field copy)" = precopy ] || return 1
		echo $(($(field pause_cycles) + $(field copy_cycles))) >>$dir/stop
		for key in pause_cycles copy_cycles pages_in_pause precopy_cycles; do
			field $key >>$dir/$key
		done
	done
	echo "# $vm: stopped for $(median $dir/stop) cycles: pause $(median $dir/pause_cycles)," \
		"copy $(median $dir/copy_cycles) of $(median $dir/pages_in_pause) pages;" \
		"before it $(median $dir/precopy_cycles)"
	median $dir/stop >$dir/$vm.stop
}

for mib in 16 64 256; do
	vm=m$mib
	expect_line 0 "runs" "$mib MiB: run" \
		hypr run --name $vm --kernel /demo/vmlinuz --initrd /demo/initrd --mem ${mib}M \
		--vcpus 2 --pin 1,2 --detach \
		--cmdline "console=ttyS0 epoch.port=0 epoch.verbose=5 epoch.rest=5"
	check "$mib MiB: the guest comes up" wait_for 120 guest_is_up $vm 2
	check "$mib MiB: and works" wait_for 60 goes_on $vm 2
	if measure $vm; then
		result 0 "$mib MiB: copied while it ran"
	else
		result 1 "$mib MiB: copied while it ran" "no pre-copy"
	fi
	check "$mib MiB: the guest works on" wait_for 60 goes_on $vm $(($(reports $vm) + 2))
	# A view of 256 MiB takes the emulated PC minutes to prepare.
	if [ $mib -lt 256 ]; then
		expect 0 "precopy" "$mib MiB: a view of a moment" hypr snapshot $vm A
		expect 0 "boot -> A" "$mib MiB: swap to it" hypr swap $vm A
		check "$mib MiB: the guest goes on there" wait_for 60 goes_on $vm $(($(reports $vm) + 2))
		expect 0 "precopy" "$mib MiB: a file of that view" \
			hypr snapshot $vm -o $dir/$vm.vmo --replace
		expect 0 "view A reset" "$mib MiB: reset" hypr reset $vm A
	fi
	check "$mib MiB: every check of the guest was right" all_right $vm
	check "$mib MiB: the guest complained of nothing" guest_is_sane $vm
	expect 0 "stopped" "$mib MiB: stop" hypr stop $vm
	expect_line 0 "runs" "$mib MiB: resurrect" \
		hypr resurrect $dir/$vm.vmo --name r$mib --pin 1,2 --detach \
		--prefault none
	check "$mib MiB: it goes on" wait_for 60 goes_on r$mib 3
	check "$mib MiB: every check is right" all_right r$mib
	check "$mib MiB: the guest complained of nothing" guest_is_sane r$mib
	expect 0 "stopped" "$mib MiB: stop it" hypr stop r$mib
	rm -f $dir/$vm.vmo
done
small=$(cat $dir/m16.stop)
large=$(cat $dir/m256.stop)
echo "# stopped for: 16 MiB $small, 64 MiB $(cat $dir/m64.stop), 256 MiB $large cycles (emulated)"
if [ -n "$small" ] && [ "${large:-0}" -gt 0 ] && [ "$large" -le $((2 * small)) ]; then
	result 0 "the pause with 256 MiB is at most twice that with 16 MiB"
else
	result 1 "the pause with 256 MiB is at most twice that with 16 MiB" "$large and $small"
fi
check "nothing is left" wait_for 10 nothing_left
rm -rf $dir
finish
