# SPDX-License-Identifier: GPL-2.0-only
#
# out/bench.json: the figures of all programs of `make bench` under one set of keys.
# $swap: hypr-bench-swap, $stock: its plain half on the unpatched kernel, $linux:
# hypr-bench-linux; each null where it did not run.

# The keys that hypr-bench-swap has, as the rows are named.
def row_name:
	if test("^swap_[0-9]+$") then sub("swap_"; "swap_memory_") + "vcpu"
	elif test("^swap_call_[0-9]+$") then sub("swap_call_"; "swap_memory_call_") + "vcpu"
	elif test("^pool_[0-9]+$") then . + "vcpu"
	else . end;

def rows: (. // {}) | del(.kernel) | with_entries(.key |= row_name);

{
	cycles: $cycles, processor: $processor,
	kernel: ($swap // $stock).kernel, stock_kernel: ($stock // {}).kernel,
	rows: (($swap | rows) + ($stock | rows | with_entries(.key |= "stock_" + .)) + ($linux // {})
		+ (if $linux then { pause_linux_2vcpu: $linux.swap_linux_2vcpu_pause } else {} end))
}
