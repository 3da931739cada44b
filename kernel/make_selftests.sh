#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# kernel/make_selftests.sh TREE FOLDER [PROGRAM...]: build KVM's selftests of a
# kernel source; all, or those named as x86_64/NAME or NAME.  They and their list, out
# of the source's own Makefile, are in FOLDER/kvm.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tree=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
shift 2
jobs=${JOBS:-$(nproc)}
cc=gcc
if command -v ccache >/dev/null; then cc='ccache gcc'; fi

run_make()
{
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u CFLAGS -u CPPFLAGS -u LDFLAGS \
		-u OUTPUT CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1 \
		make --no-print-directory -j "$jobs" ARCH=x86_64 "$@"
}

mkdir -p "$out/headers" "$out/kvm"
run_make -C "$tree" O="$out/headers" HOSTCC="$cc" headers
run_make -C "$tree/tools/testing/selftests/kvm" OUTPUT="$out/kvm" CC="$cc" \
	LDFLAGS='-pthread -no-pie' \
	KHDR_INCLUDES="-isystem $out/headers/usr/include" \
	"${@/#/$out/kvm/}"
sed -n 's/^TEST_GEN_PROGS\(_EXTENDED\)\?_x86_64 *+\?= *//p' \
	"$tree/tools/testing/selftests/kvm/Makefile" | LC_ALL=C sort >"$out/list"
