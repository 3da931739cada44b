# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Sourced by tests/fuzz/run and tests/fuzz/check, in the root of the tree: where
# the targets write their files, and what no input may make them use.

fuzz_targets=(vmo layers ws state func)
fuzz_findings=out/fuzz/findings
mkdir -p "$fuzz_findings"

# In memory where it can be; removed at the end, also when a target crashes.
if [ -w /dev/shm ]; then fuzz_base=/dev/shm; else fuzz_base=${TMPDIR:-/tmp}; fi
HYPR_FUZZ_DIR=$(mktemp -d "$fuzz_base/hypr-fuzz.XXXXXX")
export HYPR_FUZZ_DIR
trap 'rm -rf "$HYPR_FUZZ_DIR"' EXIT

# 1 GiB in all, 512 MiB at once, 5 seconds; sizes of inputs in bytes.
fuzz_limits=(-rss_limit_mb=1024 -malloc_limit_mb=512 -timeout=5 -max_len=16384)
fuzz_asan=detect_leaks=1:allocator_may_return_null=0:max_allocation_size_mb=512

# fuzz_libfuzzer TARGET LOG OPTIONS...
fuzz_libfuzzer()
{
	local target=$1 log=$2
	shift 2

	ASAN_OPTIONS=$fuzz_asan UBSAN_OPTIONS=print_stacktrace=1 \
		"out/fuzz/libfuzzer/$target" "${fuzz_limits[@]}" \
		-artifact_prefix="$fuzz_findings/libfuzzer-$target-" "$@" >"$log" 2>&1
}

# Executions that a log of libFuzzer ends with; 0 when it did not end well.
fuzz_executions()
{
	sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$1" | grep . || echo 0
}
