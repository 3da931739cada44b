#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# hypr call on the emulated PC: good and bad input, and each exit code.  After each error
# there is one line that says what is wrong.
# shellcheck source=tests/rig/common.sh
. "$(dirname "$0")/common.sh"

call()
{
	hypr call --engine "$engine" "$@"
}

from_pipe()
{
	printf 'from a pipe' | hypr call --engine "$engine" --in - /call/upper.elf
}

# what_is_in FILE WORDS
what_is_in()
{
	[ "$(cat "$1")" = "$2" ]
}

expect 0 "usage: hypr call" "help" hypr call --help
expect 0 "^HELLO$" "a function returns its output" call --arg hello /call/upper.elf
expect 0 '"output":"HELLO"' "and in JSON" call --arg hello --json /call/upper.elf
expect 0 '"engine":"'"$engine"'"' "JSON names the engine" call --json /call/upper.elf
echo "a file" >/tmp/call.in
check "input from a file, output to another" \
	call --in /tmp/call.in --out /tmp/call.out /call/upper.elf
check "the output is right" what_is_in /tmp/call.out "A FILE"
expect 0 "FROM A PIPE" "input from a pipe" from_pipe
expect 0 "^cbf43926$" "a function with an init" call --arg 123456789 /call/checksum.elf
expect 0 "100 calls, median [0-9]* ns ([0-9]* cycles), p99" "many calls" \
	call --arg 123456789 --repeat 100 /call/checksum.elf
expect 0 '"calls":100,.*"median_cycles":[1-9]' "many calls in JSON" \
	call --arg empty --repeat 100 --json /call/verbs.elf
check "no call of 200 finds what another wrote" \
	call --arg state --repeat 200 --out /tmp/call.out /call/verbs.elf

# --- functions that fail
expect_line 1 "verbs.elf ($engine): the function returned 3" "a function that returns 3" \
	call --arg "value 3" /call/verbs.elf
expect_line 12 "the function aborted: nothing to sum up, at 0x[0-9a-f]* (hypr_main[.a-z]*+0x[0-9a-f]*, checksum.c:" "a function that aborts" \
	call /call/checksum.elf
expect_line 12 "a bad write of address 0x8, at 0x[0-9a-f]* (run_wild+0x[0-9a-f]*, verbs.c:[1-9][0-9]*)$" "a bad pointer" \
	call --arg write-null /call/verbs.elf
expect_line 12 "the stack of 64 KiB overflowed" "a stack overflow" \
	call --arg stack --stack 64K /call/verbs.elf
expect_line 12 "not done in 1000 ms, at 0x[0-9a-f]* (.*verbs.c:[1-9]" "a function that loops" \
	call --arg loop --timeout 1000 /call/verbs.elf
expect_line 12 "5000 bytes of output, .*, at 0x[0-9a-f]* (.*, verbs.c:[1-9]" "too much output" \
	call --arg "big 5000" --max 4K /call/verbs.elf
rm -f /tmp/call.out
expect 12 "division by zero" "a division by zero" \
	call --arg divide --out /tmp/call.out /call/verbs.elf
check "a call that fails writes no output" test ! -e /tmp/call.out
expect 12 '"cause":"divide","vector":0,' "a failure in JSON" \
	call --arg divide --json /call/verbs.elf
expect 12 '"address":"0x8","symbol":"run_wild+0x[0-9a-f]*","source":"verbs.c","line":[1-9]' "JSON has the address and the line" \
	call --arg write-null --json /call/verbs.elf
expect 12 '"call":1' "JSON has the number of the call" \
	call --arg divide --json --repeat 5 /call/verbs.elf
expect_line 12 "its init: the function aborted: no table" "an init that aborts" \
	call /call/abort_init.elf

# --- a disk that is full, while the file that the output would replace is there
mkdir -p /tmp/call.full
mount -t tmpfs -o size=12k full /tmp/call.full
echo "what was there" >/tmp/call.full/out
expect_line 1 "No space left on device" "a full disk" \
	call --arg "big 50000" --out /tmp/call.full/out /call/verbs.elf
check "a full disk leaves the file as it was" what_is_in /tmp/call.full/out "what was there"
check "and no other file" test "$(ls -A /tmp/call.full)" = out
umount /tmp/call.full
echo old >/tmp/call.target
ln -sf call.target /tmp/call.link
check "output to a link" call --arg new --out /tmp/call.link /call/upper.elf
check "replaces the file that the link leads to" what_is_in /tmp/call.target NEW
check "and not the link" test -L /tmp/call.link
check "output to a device" call --arg new --out /dev/null /call/upper.elf
check "leaves the device" test -c /dev/null
expect_line 1 "Not a directory" "output to no folder" \
	call --arg new --out /tmp/call.target/out /call/upper.elf

# --- what is no call
expect_line 2 "usage: hypr call FILE" "no file" hypr call
expect_line 2 "both the input" "two inputs" call --arg a --in /tmp/call.in /call/upper.elf
expect_line 2 "no number from 1" "a time limit that is none" call --timeout soon /call/upper.elf
expect_line 2 "no number from 1" "no calls at all" call --repeat 0 /call/upper.elf
expect_line 2 "no size" "a heap that is none" call --heap big /call/upper.elf
expect_line 2 "512 MiB are possible" "a heap that is too large" call --heap 512M /call/upper.elf
expect_line 2 "no engine 'qemu'" "another engine" call --engine qemu /call/upper.elf
expect_line 1 "No such file" "no such file" call /call/nowhere
expect_line 1 "No such file" "no such input" call --in /call/nowhere /call/upper.elf
expect_line 1 "is no ELF file" "a file that is no program" call /tests/rig/call.sh
expect_line 1 "thread-local" "a program that is no function" call /bin/busybox
expect_line 1 "another version" "a function of another version" call /call/other_abi.elf
head -c 5000 /dev/zero >/tmp/call.in
expect_line 1 "more than 4096 bytes of input" "too much input" \
	call --in /tmp/call.in --max 4K /call/upper.elf
if [ "$engine" = stock ]; then
	expect_line 5 "engine ept-swap: this host's KVM has no HYPR capability" \
		"the other engine is not taken instead" hypr call --engine ept-swap /call/upper.elf
fi
device=/dev/kvm
words=$device
if [ "$engine" = hyprv ]; then
	device=/dev/hyprv
	words="$device (load the module hyprv as root"
fi
mv $device $device-away
expect_line 5 "$words" "without $device" call /call/upper.elf
mv $device-away $device
finish
