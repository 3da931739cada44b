#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Guests without an operating system on the emulated PC: a multiboot kernel boots, tests its
# machine and exits; one that counts is paused, kept, swapped, reset, verified and resurrected.
# shellcheck source=tests/rig/common.sh
. "$(dirname "$0")/common.sh"

rm -rf "$HYPR_RUNTIME_DIR"
kernel=/demo/multiboot.elf
# Kept for another engine in the same boot.
file=/tmp/multiboot.$engine.vmo

# mb WORDS...: in the foreground
mb()
{
	hypr run --engine "$engine" --name mb --kernel $kernel "$@"
}

ticks()
{
	cat "$(log count)" 2>/dev/null | grep -c '^tick'
}

ticked()
{
	[ "$(ticks)" -ge "$1" ]
}

goes_on_ticking()
{
	wait_for 60 ticked $(($(ticks) + 3))
}

# A file of the other engine of this boot: a guest of KVM's has what hyprv has not.
if [ "$engine" = hyprv ] && [ -e /tmp/multiboot.stock.vmo ]; then
	expect_line 5 "machine check banks, which engine hyprv does not have" "a file of engine stock is refused" \
		hypr resurrect --engine hyprv --name count /tmp/multiboot.stock.vmo
elif [ "$engine" != hyprv ] && [ -e /tmp/multiboot.hyprv.vmo ]; then
	expect 0 "runs" "a file of engine hyprv" hypr resurrect --engine "$engine" --name count \
		--detach /tmp/multiboot.hyprv.vmo
	check "its guest counts on" goes_on_ticking
	expect 0 "" "stop that" hypr stop count
	finish
fi

# --- to its exit
expect 0 "all tests passed" "the guest's tests: memory map, APIC timer, IPI" mb
expect 0 "guest exited with 0 (port 0xf4)" "and by the APIC's page" mb --cmdline xapic
expect 0 "ok 7 - IPIs to another CPU and back" "a second CPU starts" mb --vcpus 2 --pin 1,2
expect 0 "CPU 1 is up" "and by the APIC's page" mb --vcpus 2 --pin 1,2 --cmdline xapic
expect 0 "guest exited with 0" "the guest exits with 0" mb --cmdline exit=0
expect 13 "hypr: run: mb: guest exited with 7 (port 0xf4)" "and with 7" mb --cmdline exit=7
expect 0 '"end":"exit"' "the end in JSON" mb --cmdline exit=0 --json
expect 1 "internal error" "a guest that jumps to nowhere" mb --cmdline wild
expect 0 "guest reset (port 0x64)" "a guest that resets" mb --cmdline reset
printf 'module and more' >/tmp/module
expect 0 "ok 2 - the module" "the initrd is module 0" mb --initrd /tmp/module
printf 'another' >/tmp/module
expect 13 "guest exited with 2" "and the guest looks at it" mb --initrd /tmp/module
head -c 4200 $kernel >/tmp/short.elf
expect_line 1 "truncated: segment 0 ends behind the file" "a truncated file" \
	hypr run --engine "$engine" --name mb --kernel /tmp/short.elf

# --- one that counts
# Paused, it does not count.
stands()
{
	was=$(ticks)
	usleep 300000
	[ "$(ticks)" -eq "$was" ]
}

expect_line 0 "count ($engine): runs" "run, detached" hypr run --engine "$engine" --name count \
	--kernel $kernel --cmdline count --vcpus 2 --pin 1,2 --detach
check "the guest counts" wait_for 60 ticked 3
expect 0 "$engine" "hypr ps names the engine" hypr ps
expect 0 "paused" "pause" hypr pause count
check "it stands" stands
expect 0 "resume" "resume" hypr resume count
check "it counts on" goes_on_ticking
expect 0 "" "snapshot: a view" hypr snapshot count A
expect 0 "boot -> A" "swap to it" hypr swap count A
check "it counts there" goes_on_ticking
expect 0 "A -> boot" "swap back" hypr swap count boot
check "it counts here" goes_on_ticking
expect 0 "reset" "reset of the view" hypr reset count A
expect 0 "" "the view is its moment" hypr verify count A
expect 0 "boot -> A" "swap to it again" hypr swap count A
check "it counts there again" goes_on_ticking
expect 0 "reset" "reset of the active view" hypr reset count A
check "it counts on after it" goes_on_ticking
expect 0 "" "snapshot: a file" hypr snapshot count -o $file --replace
expect 0 "" "the file is sound" hypr vmo verify $file
expect 0 "" "load it as a view" hypr load count $file --view B
expect 0 "A -> B" "swap to that" hypr swap count B
check "it counts there, too" goes_on_ticking
expect 0 "" "stop" hypr stop count
rm -f "$(log count)"
expect 0 "runs" "resurrect the file" hypr resurrect --engine "$engine" --name count --pin 1,2 \
	--detach $file
check "it counts on where it was" goes_on_ticking
expect 0 "" "stop it" hypr stop count
check "nothing is left" wait_for 10 nothing_left

# --- what engine hyprv cannot do
if [ "$engine" = hyprv ]; then
	expect_line 5 "boots multiboot ELF files, no Linux" "a Linux kernel is refused" \
		hypr run --engine hyprv --name linux --kernel /demo/vmlinuz
fi
finish
