#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Every hypr command on the emulated PC, with good and with bad input, on a
# Linux guest with two vCPUs in 16 MiB.  After each error there must be one line
# that says what is wrong, and nothing left behind.
# shellcheck source=tests/rig/common.sh
. "$(dirname "$0")/common.sh"

rm -rf "$HYPR_RUNTIME_DIR"

# The demo guest; options given again count.  It rests between its steps: what a busy
# guest executes is time of the emulator that the command waits for.
run()
{
	hypr run --engine "$engine" --kernel /demo/vmlinuz --initrd /demo/initrd --mem 16M --vcpus 2 \
		--pin 1,2 --cmdline "console=ttyS0 epoch.rest=50" "$@"
}

# --- no VM yet
expect 0 "engine $engine: ready" "doctor finds all that is needed" \
	hypr doctor --engine "$engine"
expect 0 "\"$engine\":true" "doctor in JSON" hypr doctor --engine "$engine" --json
expect_line 2 "no engine 'qemu'" "doctor for another engine" hypr doctor --engine qemu
if [ "$engine" = stock ]; then
	expect 5 "engine ept-swap: cannot run" "doctor finds no HYPR host" hypr doctor
	expect_line 5 "engine ept-swap: this host's KVM has no HYPR capability" \
		"the other engine is not taken instead" \
		hypr run --name vm1 --kernel /demo/vmlinuz --detach
fi
expect 0 "engines: ept-swap, stock, hyprv$" "version names the engines" hypr version
expect 0 "usage: hypr" "help" hypr help
expect 0 "^NAME" "ps of nothing" hypr ps
expect 2 "usage: hypr" "no command is a usage error" hypr
expect_line 2 "no command 'fly'" "unknown command" hypr fly
expect_line 2 "usage: hypr swap NAME VIEW" "too few arguments" hypr swap vm1
expect_line 2 "unknown option '--fast'" "unknown option" hypr swap --fast vm1 A
for verb in pause resume views stop; do
	expect_line 3 "hypr: $verb: no VM 'vm1' runs" "$verb without a VM" hypr $verb vm1
done
for verb in snapshot swap reset verify remove; do
	expect_line 3 "hypr: $verb: no VM 'vm1' runs" "$verb without a VM" hypr $verb vm1 A
done
expect 3 '"exit":3' "a failure in JSON" hypr pause --json vm1
expect_line 2 "is no name" "a VM's name with a slash" hypr pause ../vm1

# --- VMs that cannot be
echo short >/tmp/short
head -c 100000 /demo/vmlinuz >/tmp/cut
truncate -s 14000000 /tmp/large
expect_line 2 "name is missing" "run without a name" run --detach
expect_line 2 "is no name" "run with a bad name" run --detach --name a/b
expect_line 1 "No such file" "run without such a kernel" \
	hypr run --engine "$engine" --name vm1 --kernel /nowhere --detach
expect_line 1 "no Linux kernel" "run a kernel that is no kernel" \
	hypr run --engine "$engine" --name vm1 --kernel /bin/busybox --detach
expect_line 1 "too few for a kernel" "run a kernel that is too short" \
	hypr run --engine "$engine" --name vm1 --kernel /tmp/short --detach
expect_line 1 "truncated" "run a kernel that was cut off" \
	hypr run --engine "$engine" --name vm1 --kernel /tmp/cut --detach
expect_line 1 "No such file" "run without such an initrd" run --name vm1 --initrd /nowhere
expect_line 1 "does not fit" "run with an initrd that does not fit" \
	run --name vm1 --initrd /tmp/large
expect_line 2 "too little" "run with too little memory" run --name vm1 --mem 8M --detach
expect_line 2 "no size" "run with a size that is none" run --name vm1 --mem lots
expect_line 2 "not 1 to 64" "run with too many vCPUs" run --name vm1 --vcpus 65
expect_line 2 "host CPU 99" "run on a host CPU that there is not" run --name vm1 --pin 99
expect_line 2 "no engine 'qemu'" "run with another engine" run --name vm1 --engine qemu
mv /dev/kvm /dev/kvm-away
expect_line 5 "/dev/kvm" "run without /dev/kvm" run --name vm1 --detach
expect 5 "no /dev/kvm" "doctor without /dev/kvm" hypr doctor
mv /dev/kvm-away /dev/kvm
check "nothing is left of the VMs that could not be" nothing_left
check "not even their logs" sh -c "[ -z \"\$(ls $HYPR_RUNTIME_DIR 2>/dev/null)\" ]"

# --- a VM
expect_line 0 "vm1 ($engine): runs" "run detached" run --name vm1 --detach
check "the socket is its owner's only" \
	sh -c "[ \"\$(stat -c %a $HYPR_RUNTIME_DIR/vm1.sock)\" = 600 ]"
check "the guest comes up with 2 vCPUs" wait_for 60 guest_is_up vm1 2
expect 0 "vm1 .* $engine  *running" "ps shows it" hypr ps
expect_line 6 "a VM of this name runs already" "a second VM of its name" run --name vm1 --detach
expect_line 4 "no view 'B': there is boot (hypr views vm1 lists them)" "no such view" \
	hypr swap vm1 B
expect_line 1 "boot' has no moment" "the boot view cannot be reset" hypr reset vm1 boot
expect_line 11 "boot' has no moment" "nor verified" hypr verify vm1 boot
expect_line 1 "is no name" "a view's name with a slash" hypr snapshot vm1 a/b
expect_line 1 "is not paused" "resume of a VM that runs" hypr resume vm1

expect 0 "view A (2): .* pause cooperative" "snapshot A" hypr snapshot vm1 A
expect_line 6 "view 'A' exists already" "snapshot A again" hypr snapshot vm1 A
expect 0 "view B (3)" "snapshot B" hypr snapshot vm1 B
expect 0 " 0 differ" "a new view equals its moment" hypr verify vm1 A
expect 0 "3 views" "views" hypr views vm1
expect 0 "\"engine\":\"$engine\"" "views in JSON name the engine" hypr views --json vm1

# From the first swap on.
state=kernel
[ "$engine" != stock ] || state=ioctls
expect 0 "boot -> A: pause cooperative .*($state)" "swap" hypr swap vm1 A
expect 0 "A -> B: pause cooperative .*($state)" "swap, refusing force" \
	hypr swap --cooperative vm1 B
expect 0 '"pause":"forced"' "swap by force, in JSON" hypr swap --force --json vm1 A
expect_line 2 "rule each other out" "force and no force" hypr swap --force --cooperative vm1 A
expect 0 "A -> A" "swap to the active view" hypr swap vm1 A
expect 0 "(reset)" "swap --reset" hypr swap --reset vm1 B
expect 0 "(reset)" "swap --reset of the active view" hypr swap --reset vm1 B
# The kernel reports what was written in a view; engine stock has no such kernel.
way=copy-back
[ "$engine" != stock ] || way=compare
# The kernel asks the guest only if a vCPU is in the middle of something, or halted.
pause="\\(forced\\|cooperative\\).* state by kernel"
[ "$engine" != stock ] || pause="cooperative.* state by ioctls"
expect 0 "view B reset by $way: .* pause $pause" "reset of the active view" hypr reset vm1 B
expect_line 1 "is active" "remove of the active view" hypr remove vm1 B

# A view that has run differs from its moment; one that was reset does not.
usleep 300000
expect 0 "B -> A" "leave B" hypr swap vm1 A
expect 1 "differ; first at 0x" "verify finds that B has run" hypr verify vm1 B
expect 0 "view B reset by $way: [1-9][0-9]* pages looked at; pause none" "reset B" hypr reset vm1 B
expect 0 "4095 pages compared .* 0 differ" "verify finds B as it was" hypr verify vm1 B
for by in compare drop; do
	expect 0 "A -> B" "let B run" hypr swap vm1 B
	expect 0 "B -> A" "leave B again" hypr swap vm1 A
	expect 0 "view B reset by $by: [1-9][0-9]* pages" "reset B by $by, as asked" \
		hypr reset --way $by vm1 B
	expect 0 " 0 differ" "verify finds B as it was" hypr verify vm1 B
done
if [ "$engine" = stock ]; then
	expect_line 5 "cannot be reset by copy-back: the kernel does not report" \
		"no way is taken instead" hypr reset --way copy-back vm1 B
else
	expect 0 "view B reset by copy-back: " "reset B by copy-back, as asked" \
		hypr reset --way copy-back vm1 B
fi
expect_line 2 "--way is auto, copy-back, compare, drop or spare" "no such way" hypr reset --way magic vm1 B
expect_line 5 "cannot be reset by spare: it was made without one" "nor the spare that B has not" \
	hypr reset --way spare vm1 B

# A view with a spare: one name and one number, and a reset goes on in the other copy.
expect 0 "view S (4)" "snapshot with a spare" hypr snapshot --spare vm1 S
expect 0 "^S  *4 .* ready$" "S has a spare" hypr views vm1
expect 0 " 0 differ; its spare: 4095 compared, 0 differ" "both are verified" hypr verify vm1 S
expect 0 "^A  *2 .* none$" "A has none" hypr views vm1
expect_line 2 "goes with a view only" "a spare of a file" hypr snapshot --spare --output /tmp/s.vmo vm1
state=kernel
[ "$engine" != stock ] || state=ioctls
expect 0 "A -> S" "enter S" hypr swap vm1 S
i=0
while [ $i -lt 20 ] && hypr reset --way spare vm1 S >$out 2>&1; do
	i=$((i + 1))
done
result $((i != 20)) "20 resets by spare in a row" "only $i"
expect 0 "view S reset by spare: 0 pages .* state by $state" "one more" \
	hypr reset --way spare vm1 S
expect 0 "S -> S (reset): .* reset by spare" "swap --reset by spare" \
	hypr swap --reset --way spare vm1 S
expect 0 "^S  *4 active" "it is the same view" hypr views vm1
for by in 1 2 3; do
	expect 0 "S -> A" "leave S" hypr swap vm1 A
	expect 1 "differ; first at 0x" "verify finds that S has run" hypr verify vm1 S
	expect 0 "view S reset by spare: 0 pages .* pause none" "reset S" \
		hypr reset --way spare vm1 S
	expect 0 "4095 pages compared .* 0 differ" "verify finds S as it was" hypr verify vm1 S
	expect 0 "A -> S" "enter S again" hypr swap vm1 S
done
expect 0 "paused" "pause" hypr pause vm1
for by in 1 2 3; do
	expect 0 "view S reset by spare" "reset of the paused VM" hypr reset --way spare vm1 S
	expect 0 " 0 differ" "verify finds S as it was" hypr verify vm1 S
done
expect 0 "resumed" "resume" hypr resume vm1
expect 0 "S -> A" "leave S" hypr swap vm1 A
expect 0 "view S removed" "remove S and its spare" hypr remove vm1 S
expect_line 2 "--way is of --reset" "a way without a reset" hypr swap --way drop vm1 B

expect 0 "paused, cooperative" "pause" hypr pause vm1
expect_line 1 "paused already" "pause again" hypr pause vm1
expect 0 " paused " "ps shows it paused" hypr ps
expect 0 "A -> B" "swap while paused" hypr swap vm1 B
expect 0 "0 differ" "nothing has run in B" hypr verify vm1 B
expect 0 "view C" "snapshot while paused" hypr snapshot vm1 C
expect 0 "view C removed" "remove" hypr remove vm1 C
expect 0 "resumed" "resume" hypr resume vm1

i=0
while [ $i -lt 25 ] && hypr swap vm1 A >$out 2>&1 && hypr swap --reset vm1 B >$out 2>&1; do
	i=$((i + 1))
done
result $((i != 25)) "50 swaps in a row" "only $i times two"
expect 0 "B -> boot" "back to the boot view" hypr swap vm1 boot
hypr ps --json >$out
pauses=$(field guest_pauses)
expect 0 "boot -> A: pause cooperative" "and away again" hypr swap vm1 A
hypr ps --json >$out
check "the guest counts its pauses" test "$(field guest_pauses)" -gt "$pauses"
check "the guest complained of nothing" guest_is_sane vm1

# As many views as there are, and one more.
for view in 3 4 5 6 7 8 9 10 11 12 13 14; do
	hypr snapshot vm1 v$view >$out 2>&1 || break
done
result $((view != 14)) "14 views besides the boot view" "no view v$view"
expect_line 1 "all 15 views are in use" "one view too many" hypr snapshot vm1 v15
expect 0 "v14" "the last of them can be entered" hypr swap vm1 v14

expect 0 "stopped" "stop" hypr stop vm1
check "nothing is left of it" wait_for 10 nothing_left
expect_line 3 "no VM 'vm1' runs" "stop again" hypr stop vm1

# --- a stale socket
run --name vm2 --detach >$out 2>&1
kill -KILL "$(pidof hypr)"
wait_for 10 sh -c '! pidof hypr >/dev/null'
check "a killed VM leaves a socket" test -S "$HYPR_RUNTIME_DIR/vm2.sock"
expect_line 3 "no VM 'vm2' runs" "which counts as no VM" hypr pause vm2
expect_line 0 "vm2 ($engine): runs" "and is replaced by the next of its name" \
	run --name vm2 --detach
kill -KILL "$(pidof hypr)"
wait_for 10 sh -c '! pidof hypr >/dev/null'
expect_line 0 "^NAME" "ps does not list it" hypr ps
check "and removes it" nothing_left

# --- in the foreground
hypr run --engine "$engine" --name vm3 --kernel /demo/vmlinuz --initrd /demo/initrd --vcpus 2 --pin 1,2 \
	</dev/null >/tmp/console 2>&1 &
pid=$!
check "run in the foreground prints the guest's console" \
	wait_for 60 grep -q "Linux version" /tmp/console
kill -TERM $pid
wait $pid
result $? "SIGTERM ends it in order" "exit code $?"
check "nothing is left of it" wait_for 10 nothing_left

# --- a guest that resets its machine ends its VM
expect_line 0 "vm4 ($engine): runs" "a guest whose initrd is missing" \
	hypr run --engine "$engine" --name vm4 --kernel /demo/vmlinuz --cmdline "console=ttyS0 panic=-1 reboot=k" \
	--pin 1 --detach
check "it panics and resets, and its VM ends by itself" wait_for 60 nothing_left
check "its log says so" grep -q "ended: guest panicked: No working init" "$HYPR_RUNTIME_DIR/vm4.log"
finish
