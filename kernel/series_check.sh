#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build each step of the series that make_series.sh left in out/series.git: KVM's
# objects for the rig's configuration, with the option as that step offers it and,
# once its header is there, switched on by force; the guest's objects for the
# guest's configuration.  Prints TAP.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
repo=${1:-$root/out/series.git}
jobs=${JOBS:-$(nproc)}
work=$root/out/series-build
export LC_ALL=C

die()
{
	printf 'series_check.sh: %s\n' "$*" >&2
	exit 1
}

[ -d "$repo/.git" ] || die "no $repo: run kernel/make_series.sh first"
tree=$("$root/kernel/build_hypr_kernels.sh" tree)
pristine=$(cat "$tree.from")
cc=gcc
if command -v ccache >/dev/null; then cc='ccache gcc'; fi

# A tree of links to the pristine source; files that change are replaced.
source_make()
{
	if [ "$(cat "$work/from" 2>/dev/null)" != "$pristine" ]; then
		rm -rf "$work"
		mkdir -p "$work"
		cp -al "$pristine" "$work/src"
		echo "$pristine" >"$work/from"
	fi
}

# Make the source what it is after a commit, base included.
source_set()
{
	local commit=$1 file

	while IFS= read -r file; do
		git -C "$repo" cat-file -e "$commit:$file" 2>/dev/null || {
			rm -f "$work/src/$file"
			continue
		}
		git -C "$repo" show "$commit:$file" >"$work/file"
		cmp -s "$work/file" "$work/src/$file" && continue
		mkdir -p "$work/src/$(dirname "$file")"
		# A new file: the old one may be a link.
		rm -f "$work/src/$file"
		cp "$work/file" "$work/src/$file"
	done < <(git -C "$repo" diff --name-only base series)
}

step_make()
{
	local dir=$1
	shift

	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u CFLAGS -u CPPFLAGS -u LDFLAGS \
		CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1 \
		KBUILD_BUILD_TIMESTAMP='Sun Jan  1 00:00:00 UTC 2023' \
		KBUILD_BUILD_USER=hypr KBUILD_BUILD_HOST=hypr \
		make -C "$work/src" O="$work/$dir" ARCH=x86_64 -j "$jobs" \
		CC="$cc" HOSTCC="$cc" "$@"
}

step_config()
{
	local dir=$1 fragment=$2

	mkdir -p "$work/$dir"
	cat "$work/src/kernel/configs/tiny-base.config" "$root/kernel/$fragment" \
		>"$work/$dir/allconfig"
	step_make "$dir" KCONFIG_ALLCONFIG="$work/$dir/allconfig" allnoconfig
}

step_build()
{
	local commit=$1 changed tests

	source_set "$commit" || return
	changed=$(git -C "$repo" diff --name-only "$commit~" "$commit")
	if grep -qE '^(include|virt)/|^arch/x86/(kvm|include)/' <<<"$changed"; then
		step_config off rig.config &&
			step_make off arch/x86/kvm/ virt/kvm/ || return
		if [ -f "$work/src/arch/x86/include/asm/kvm_hypr.h" ]; then
			step_config on rig.config &&
				step_make on CONFIG_KVM_HYPR_EPT_SWAP=y \
				KCFLAGS=-DCONFIG_KVM_HYPR_EPT_SWAP=1 \
				arch/x86/kvm/ virt/kvm/ || return
		fi
	fi
	if grep -qE '^arch/x86/(kernel/|Kconfig)' <<<"$changed"; then
		step_config guest guest.config && step_make guest arch/x86/kernel/ || return
	fi
	if grep -q '^tools/testing/selftests/kvm/' <<<"$changed"; then
		mapfile -t tests < <(grep -o 'x86_64/[a-z_]*_test\.c$' <<<"$changed" |
			sed 's/\.c$//')
		"$root/kernel/make_selftests.sh" "$work/src" "$work/selftests" "${tests[@]}"
	fi
}

source_make
mapfile -t commits < <(git -C "$repo" rev-list --reverse base..series)
echo "1..${#commits[@]}"
failed=0
number=0
for commit in "${commits[@]}"; do
	number=$((number + 1))
	title=$(git -C "$repo" log -1 --format=%s "$commit")
	log=$root/out/logs/series-$number.log
	mkdir -p "$(dirname "$log")"
	# The forced option is a macro again when the step offers it.
	if step_build "$commit" >"$log" 2>&1; then
		echo "ok $number - builds: $title"
	else
		echo "not ok $number - builds: $title"
		tail -n 15 "$log" | sed 's/^/# /'
		failed=1
	fi
done
exit $failed
