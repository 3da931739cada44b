#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What comes with states as files, on a Linux guest with two vCPUs: working sets are
# recorded and mapped ahead, archives are packed, an interrupted snapshot leaves the
# VM and nothing else, and a process that sleeps across a jump wakes at the right time.
# shellcheck source=tests/rig/common.sh
. "$(dirname "$0")/common.sh"

rm -rf "$HYPR_RUNTIME_DIR"
dir=/tmp/wset-test
rm -rf $dir
mkdir -p $dir
# A second of the emulated PC is dear, and a busy one dearer: the guest sleeps no longer
# than a file and a new VM take, and rests long between its steps.
sleep_ms=1000
late_s=2
slept="^epoch: slept $sleep_ms took [0-9]* at [0-9]*$"

# Lines of the guest's console end with a carriage return.
count()
{
	tr -d '\r' <"$(log "$1")" | grep -c "$2"
}

seen()
{
	[ "$(count "$1" "$2")" -ge "$3" ]
}

# first VM N, last VM N: word N of its first or last line about sleeping
first()
{
	tr -d '\r' <"$(log "$1")" | grep "$slept" | head -n 1 | cut -d ' ' -f "$2"
}

last()
{
	tr -d '\r' <"$(log "$1")" | grep "$slept" | tail -n 1 | cut -d ' ' -f "$2"
}

expect_line 0 "vm1 (ept-swap): runs" "run" \
	hypr run --name vm1 --kernel /demo/vmlinuz --initrd /demo/initrd --mem 16M \
	--vcpus 2 --pin 1,2 --detach \
	--cmdline "console=ttyS0 epoch.port=0 epoch.verbose=1 epoch.rest=100 epoch.sleep=$sleep_ms"
check "the guest comes up" wait_for 60 guest_is_up vm1 2
check "and works" wait_for 30 goes_on vm1 2
check "and sleeps" wait_for 60 seen vm1 "$slept" 1

up_ms()
{
	sed 's/\([0-9]*\)\.\([0-9]*\) .*/\1\20/' /proc/uptime
}

# The state lies in the middle of a sleep: the one after the last that was told.
before_ms=$(up_ms)
expect_line 0 "written in" "a file of this moment" hypr snapshot vm1 -o $dir/a.vmo
after_ms=$(up_ms)
stop_at=$(last vm1 7)

# ---- clocks

# clock HOW: resurrect, until the sleeper woke.
clock()
{
	least=$(($(up_ms) - after_ms))
	expect_line 0 "runs" "time $1: resurrect" \
		hypr resurrect $dir/a.vmo --name vm2 --pin 1,2 --detach --time "$1"
	most=$(($(up_ms) - before_ms))
	check "time $1: the sleeper wakes" wait_for 60 seen vm2 "$slept" 2
	check "time $1: all checks of the guest are right" all_right vm2
	took=$(first vm2 5)
	at=$(first vm2 7)
	tr -d '\r' <"$(log vm2)" | head -n 4 | sed 's/^/# | /'
	echo "# time $1: slept $took ms, woke at $at ms; told before at $stop_at ms"
	check "time $1: the clock does not run backwards" test "$at" -ge "$stop_at"
	check "time $1: no sleep is short" test "$took" -ge $sleep_ms
	next=$(($(last vm2 7) - at))
	check "time $1: the next sleep is as long as it should be" \
		test $next -ge $sleep_ms -a $next -lt $((sleep_ms + 1500))
	expect 0 "stopped" "time $1: stop" hypr stop vm2
}

# Time that passed while the state was a file, less than what is left of the sleep:
# it counts, and the sleeper wakes when its time has come, not later.
clock continue
check "continue, soon: it woke in time" test "$took" -lt $((sleep_ms + 1500))
check "the guest works on" wait_for 30 goes_on vm1 $(($(reports vm1) + 2))
expect 0 "stopped" "stop" hypr stop vm1
# Much more than that.
sleep $late_s
clock continue
# At once it says so, just when the kernel says something too, on the same line: then
# it is the next sleep that is seen first.
woke=$at
[ "$took" -ge $((late_s * 1000)) ] || woke=$((at - took))
echo "# woke $((woke - stop_at)) ms after the last time; the file was kept for $least to $most ms"
check "continue, late: all the time in between counts" test $((woke - stop_at)) -ge "$least"
check "and the sleeper woke at once" test $((woke - stop_at)) -lt $((most + 4000))
clock freeze
check "freeze: the sleep takes its rest" test "$took" -lt $((sleep_ms + 1500))

# ---- working sets

expect_line 1 "no working set was recorded" "none is recorded" \
	hypr resurrect $dir/a.vmo --name vm2 --detach --prefault used
expect_line 2 "all, none, used or record" "wrong --prefault" \
	hypr resurrect $dir/a.vmo --name vm2 --detach --prefault some
expect_line 0 "runs" "record" \
	hypr resurrect $dir/a.vmo --name vm2 --pin 1,2 --detach --prefault record
check "it goes on" wait_for 30 goes_on vm2 3
expect 0 "a.vmo.ws" "what was touched" hypr working-set vm2 --json
pages=$(field pages)
ranges=$(field ranges)
echo "# $pages pages in $ranges ranges of $(field pages_total)"
check "some pages were touched, and far from all" test "$pages" -gt 100 -a "$pages" -lt 3500
expect_line 6 "is there already" "it is recorded already" hypr working-set vm2
expect_line 0 "pages touched" "anew" hypr working-set vm2 boot --replace
expect 0 "a.vmo.ws" "and as JSON" hypr working-set vm2 --json --replace
pages=$(field pages)
check "all checks of the guest are right" all_right vm2
expect 1 " differ" "verify reads all of it" hypr verify vm2 boot
expect_line 8 "was verified" "and so ends the recording" hypr working-set vm2 --replace
expect 0 "stopped" "stop" hypr stop vm2

expect_line 0 "runs" "resurrect with it" \
	hypr resurrect $dir/a.vmo --name vm2 --pin 1,2 --detach --prefault used
check "it goes on" wait_for 30 goes_on vm2 3
expect_line 1 "--prefault record" "this one is not recorded" hypr working-set vm2
# Paused, so that no page changes hands meanwhile: then the counts are exact.
expect 0 "paused" "pause" hypr pause vm2
for how in all used none; do
	expect 0 "pages_mapped" "load, $how" hypr load vm2 $dir/a.vmo --view $how \
		--prefault $how --json
	mapped=$(field pages_mapped)
	echo "# $how: $mapped pages mapped, $(field prepare_cycles) emulated cycles"
	case $how in
	all) check "all: all pages" test "$mapped" -eq 4096 ;;
	used) check "used: those of the working set" test "$mapped" -eq "$pages" ;;
	none) check "none: the control page" test "$mapped" -eq 1 ;;
	esac
done
expect 0 "resumed" "resume" hypr resume vm2
for how in all used none; do
	expect 0 "$how" "swap to it" hypr swap vm2 $how
	check "$how: the guest goes on" \
		wait_for 30 goes_on vm2 $(($(reports vm2) + 2))
done
check "all checks of the guest are right" all_right vm2

# Not of this file, cut off, no such thing.
expect_line 0 "written in" "another file" hypr snapshot vm2 -o $dir/b.vmo
cp $dir/a.vmo.ws $dir/b.vmo.ws
expect_line 8 "b.vmo.ws: recorded of root" "of another file" \
	hypr load vm2 $dir/b.vmo --view x --prefault used
head -c 100 $dir/a.vmo.ws >$dir/b.vmo.ws
expect_line 8 "b.vmo.ws: truncated" "cut off" \
	hypr load vm2 $dir/b.vmo --view x --prefault used
head -c 100 $dir/a.vmo >$dir/b.vmo.ws
expect_line 8 "b.vmo.ws: not a working set" "no working set" \
	hypr load vm2 $dir/b.vmo --view x --prefault used
rm $dir/b.vmo.ws $dir/b.vmo

# ---- archives

expect_line 0 "written in" "packed" hypr snapshot vm2 -o $dir/z.vmo --compress
expect 0 '"packed":true' "it is packed" hypr vmo info --json $dir/z.vmo
expect 0 "z.vmo" "and whole" hypr vmo verify $dir/z.vmo
check "an archive is smaller" test "$(stat -c %s $dir/z.vmo)" -lt "$(stat -c %s $dir/a.vmo)"
expect_line 8 "hypr vmo unpack" "it cannot be loaded" hypr load vm2 $dir/z.vmo --view z
expect 0 "stopped" "stop" hypr stop vm2
expect_line 8 "hypr vmo unpack" "nor run" hypr resurrect $dir/z.vmo --name vm2 --detach
expect 0 "root" "unpack" hypr vmo unpack $dir/z.vmo $dir/y.vmo
expect_line 0 "runs" "what was packed runs" \
	hypr resurrect $dir/y.vmo --name vm2 --pin 1,2 --detach
check "it goes on" wait_for 30 goes_on vm2 3
check "all checks of the guest are right" all_right vm2
expect 0 "stopped" "stop" hypr stop vm2

check "nothing is left" wait_for 10 nothing_left
check "no litter beside the files" \
	test "$(echo $(ls -A $dir))" = "a.vmo a.vmo.ws y.vmo z.vmo"
rm -rf $dir
finish
