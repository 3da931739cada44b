#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# bench/trace.sh, on the emulated PC: KVM's and HYPR's tracepoints during one swap and one
# reset of the demo guest, with the TSC as their clock: which step of which thread begins
# when.  Each event costs some hundred cycles itself, so the sums are those of `make bench`.
#
#	rig/run --cpus 3 --script bench/trace.sh --log out/logs/trace.log
#	bench/trace-table out/logs/trace.log
set -e
tracing=/sys/kernel/tracing
mount | grep -q $tracing || mount -t tracefs tracefs $tracing
hypr run --detach --name vm1 --kernel /demo/vmlinuz --initrd /demo/initrd --mem 16M --vcpus 2 \
	--pin 1,2 --cmdline "console=ttyS0 epoch.verbose=1"
n=0
until hypr ps --json | grep -q '"guest_vcpus":2'; do
	n=$((n + 1))
	[ $n -lt 300 ] || { echo "the guest does not come up"; exit 1; }
	usleep 200000
done
hypr snapshot vm1 A
hypr snapshot vm1 B
for view in A B A B; do
	hypr swap --cooperative vm1 $view
done
echo x86-tsc >$tracing/trace_clock
echo 1 >$tracing/events/kvm/enable
echo 1 >$tracing/events/kvm_hypr/enable

# trace WHAT COMMAND...
trace()
{
	what=$1

	shift
	echo >$tracing/trace
	echo 1 >$tracing/tracing_on
	"$@"
	echo 0 >$tracing/tracing_on
	echo "TRACE-BEGIN $what"
	grep -v '^#' $tracing/trace
	echo "TRACE-END $what"
}

echo 0 >$tracing/tracing_on
trace swap hypr swap --json vm1 A
trace reset hypr reset --json vm1 A
hypr stop vm1
