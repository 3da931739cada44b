#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The fuzzing loop of examples/fuzz on the emulated PC: from each seed it finds the planted
# overflow and the planted race of a guest with two vCPUs within its limit, and after a
# reset no page differs from the moment.  Then the same requests from a program of a Linux
# guest, and without leave.
# shellcheck source=tests/rig/common.sh
. "$(dirname "$0")/common.sh"

fuzz()
{
	/fuzz/hypr-fuzz --guest /fuzz/guest --engine "$engine" --pin 1,2 --limit 200 "$@"
}


for seed in 1 2; do
	expect 0 "execution [0-9]*: the overflow: vCPU [01]: " \
		"seed $seed: the overflow is found" fuzz --seed $seed --executions 3000
	cp $out $out.$seed
	sed 's/^/# /' $out.$seed
	check "seed $seed: the race is found" grep "execution [0-9]*: the race" $out.$seed
	check "seed $seed: no page differs after a reset" \
		grep "^pages that differ from the moment after a reset: 0$" $out.$seed
	check "seed $seed: executions and the reset's share" \
		grep "^[1-9][0-9]* executions a second; of the time the reset takes [0-9]* %" \
		$out.$seed
	check "seed $seed: nearly all of them by the kernel, which the guest has asked" \
		awk '/resets by the kernel/ { ok = $1 > 2 * $6 } END { exit !ok }' $out.$seed
done
expect 0 "execution [0-9]*: the overflow: vCPU [01]: " \
	"with a spare: the overflow is found" fuzz --seed 3 --executions 3000 --spare 1
cp $out $out.1
sed 's/^/# /' $out.1
check "with a spare: the race is found" grep "execution [0-9]*: the race" $out.1
check "with a spare: no page differs after a reset" \
	grep "^pages that differ from the moment after a reset: 0$" $out.1
check "with a spare: the kernel goes on in it, for one reset in ten or more" \
	awk '/resets by the kernel/ { ok = $1 > 2 * $6 && $10 > ($1 + $6) / 10 } END { exit !ok }' $out.1
expect 1 "2 executions, 0 crashes" "good packets meet no fault" fuzz --executions 2
expect_line 1 "VM: .*/none" "a guest that is not there" \
	/fuzz/hypr-fuzz --guest /none --engine "$engine"
expect 2 "usage" "wrong usage" /fuzz/hypr-fuzz --seed

# --- a program of a Linux guest
linux()
{
	requests=$1
	shift
	hypr run --engine "$engine" --name ctl --kernel /demo/vmlinuz --vcpus 2 --pin 1,2 \
		--initrd /fuzz/hyprctl.cpio.gz --cmdline "console=ttyS0 panic=-1 reboot=k -- $requests" "$@"
}

reported_again()
{
	[ "$(grep -c "ctl: guest reports 2 " "$(log ctl)")" -ge 4 ]
}

expect 9 "ctl: guest panicked, by a request: 0x3" "hyprctl: a panic ends hypr run" \
	linux "report 1 moment report 2 input panic 3" --guest-requests
cp $out $out.1
check "hyprctl: the reports came before it" grep "ctl: guest reports 2 (0x2)" $out.1
expect 0 "the host does not allow requests" "hyprctl: requests are off by default" \
	linux "report 1"
expect_line 0 "runs" "hyprctl: a guest that puts itself back" \
	linux "moment report 2 back panic 4" --guest-requests --detach
check "hyprctl: it reports again and again" wait_for 120 reported_again
expect 0 '"name":"guest.1"' "hyprctl: its moment is a view" hypr views --json ctl
# Whenever it comes: between two reports, or in the middle of one.
for i in 1 2 3 4 5 6 7 8 9 10; do
	hypr pause ctl >$out 2>&1 || break
	reports=$(grep -c "guest reports" "$(log ctl)")
	sleep 0.2
	[ "$(grep -c "guest reports" "$(log ctl)")" -le $((reports + 1)) ] || break
	hypr ps | grep -q "^ctl .* paused " || break
	hypr resume ctl >$out 2>&1 || break
	i=done
done
check "hyprctl: a pause lasts until the resume" test "$i" = done
expect 0 "stopped" "hyprctl: stop" hypr stop ctl
expect_line 0 "runs" "hyprctl: a guest whose moments get a spare" \
	linux "moment report 2 back panic 4" --guest-requests --guest-spares --detach
check "hyprctl: it reports again and again" wait_for 120 reported_again
# Ready, or not ready since the guest has just gone back.
expect 0 "^guest.1 .*ready$" "hyprctl: its moment has one" hypr views ctl
expect 0 "stopped" "hyprctl: stop" hypr stop ctl
check "nothing is left" wait_for 10 nothing_left
rm -f $out.1 $out.2
finish
