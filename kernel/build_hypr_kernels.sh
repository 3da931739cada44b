#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Build the HYPR kernels: unpack a Linux 6.12.y source once, copy the overlay
# (new files) into a working tree, apply the hooks (small changes to existing
# files), and build each kernel in a folder of its own.  Whatever is up to date
# is left alone, and only files whose bytes change are written, so that a build
# after an edit compiles that edit and no more.
set -euo pipefail

usage()
{
	cat <<'USAGE'
usage: kernel/build_hypr_kernels.sh [--help] TARGET...

Targets:
  host    the full host kernel for real servers   build-host/vmlinuz-VERSION-hypr-host
  guest   the guest kernel                        build-guest/vmlinuz-VERSION-hypr-guest
  rig     the host kernel of the emulated PC      build-rig/vmlinuz-VERSION-hypr-rig
  debug   the same with KASAN, UBSAN, lockdep, kmemleak, fault injection
                                                  build-debug/vmlinuz-VERSION-hypr-debug
  kcsan   the same with the data-race detector    build-kcsan/vmlinuz-VERSION-hypr-kcsan
  all     host, guest and rig
  tree    only the patched source tree            out/src/linux-VERSION
          (its path is printed)

Environment:
  KERNEL_SRC  a Linux 6.12.y source, tarball or folder
              (default: /usr/src/linux-source-6.12.tar.xz)
  HYPR_OFF=1  build the rig kernel without CONFIG_KVM_HYPR_EPT_SWAP, in
              build-rig-off/
  HYPR_TLB=1  build the rig kernel with CONFIG_KVM_HYPR_DEBUG_TLB, in
              build-rig-tlb/
  HYPR_STOCK=1
              build the guest or rig kernel from the source as it is, no
              overlay and no hooks: build-guest-stock/ (a guest that cannot
              park), build-rig-stock/ (KVM to compare with)
  JOBS        compilers at a time (default: the number of CPUs)
  CCACHE_DIR  the compiler cache (default: that of ccache)

Logs are in out/logs/kernel-*.log.
USAGE
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
kernel_src=${KERNEL_SRC:-/usr/src/linux-source-6.12.tar.xz}
patches=$root/kernel/patches/6.12
overlay=$root/kernel/overlay
src_dir=$root/out/src
log_dir=$root/out/logs
jobs=${JOBS:-$(nproc)}

# shellcheck source=rig/progress.sh
. "$root/rig/progress.sh"

die()
{
	printf 'build_hypr_kernels.sh: %s\n' "$*" >&2
	exit 1
}

say()
{
	hypr_say kernel "$1"
}

# ---- source -----------------------------------------------------------------

# The version of a source tree, from the first lines of its Makefile.
tree_version()
{
	awk '/^VERSION = /{v=$3} /^PATCHLEVEL = /{p=$3} /^SUBLEVEL = /{s=$3}
	     NR > 6 {exit} END {print v "." p "." s}' "$1/Makefile"
}

# An identity of the source that changes when the source does.
source_hash()
{
	if [ -d "$kernel_src" ]; then
		(cd "$kernel_src" && find . -type f -printf '%p %s %T@\n' |
			LC_ALL=C sort | sha256sum)
	else
		sha256sum <"$kernel_src"
	fi | cut -c 1-12
}

# The same identity, read again only when the source's name, size or time
# changed: hashing 150 MB at each call would be felt.
source_hash_cached()
{
	local key cache=$src_dir/source-hash

	if [ -d "$kernel_src" ]; then
		source_hash
		return
	fi
	key=$(stat -c '%n %s %Y' "$kernel_src")
	if [ ! -f "$cache" ] || [ "$(head -n 1 "$cache")" != "$key" ]; then
		printf '%s\n%s\n' "$key" "$(source_hash)" >"$cache.new"
		mv "$cache.new" "$cache"
	fi
	sed -n 2p "$cache"
}

unpack_pristine()
{
	local dest=$1

	rm -rf "$dest"
	mkdir -p "$dest"
	if [ -d "$kernel_src" ]; then
		cp -a "$kernel_src/." "$dest/"
	else
		tar --extract --file "$kernel_src" --directory "$dest" \
			--strip-components=1 --no-same-owner
	fi
}

# Find or make out/src/linux-VERSION-pristine-HASH; sets pristine and version.
prepare_pristine()
{
	local hash found tmp

	[ -e "$kernel_src" ] ||
		die "no kernel source at $kernel_src: install linux-source-6.12 or set KERNEL_SRC"
	mkdir -p "$src_dir"
	hash=$(source_hash_cached)
	found=$(find "$src_dir" -maxdepth 1 -name "linux-*-pristine-$hash" | head -n 1)
	if [ -z "$found" ]; then
		tmp=$src_dir/unpack
		hypr_step kernel "unpack $(basename "$kernel_src")" \
			"$log_dir/kernel-unpack.log" unpack_pristine "$tmp" ||
			die "cannot unpack $kernel_src"
		version=$(tree_version "$tmp")
		case $version in
		6.12.*) ;;
		*) die "$kernel_src is Linux $version: a 6.12.y source is needed" ;;
		esac
		[ ! -e "$tmp/.config" ] ||
			die "$kernel_src was built in: it needs 'make mrproper'"
		found=$src_dir/linux-$version-pristine-$hash
		mv "$tmp" "$found"
	fi
	pristine=$found
	version=$(tree_version "$pristine")
}

# ---- overlay and hooks ------------------------------------------------------

# Write a file of the tree, only when its bytes differ.
tree_install()
{
	local from=$1 to=$2

	cmp -s "$from" "$to" && return 0
	mkdir -p "$(dirname "$to")"
	cp "$from" "$to.hypr-new"
	chmod 644 "$to.hypr-new"
	if [ -x "$from" ]; then chmod 755 "$to.hypr-new"; fi
	mv "$to.hypr-new" "$to"
	printf 'changed: %s\n' "${to#"$tree"/}" >>"$tree_log"
}

patch_header()
{
	# Text before the diff, where a hook may name an optional anchor.
	sed -n "/^--- /q; s/^$2: *//p" "$1" | head -n 1
}

patch_targets()
{
	sed -n 's,^+++ [^/]*/\([^[:space:]]*\).*,\1,p' "$1"
}

# Apply every hook to copies of the pristine files, in a staging folder.
stage_hooks()
{
	local hook target anchor output status

	while IFS= read -r hook; do
		anchor=$(patch_header "$hook" Optional-anchor)
		for target in $(patch_targets "$hook"); do
			[ -f "$pristine/$target" ] ||
				die "hook $(basename "$hook"): Linux $version has no $target"
			if [ ! -f "$stage/$target" ]; then
				mkdir -p "$stage/$(dirname "$target")"
				cp -p "$pristine/$target" "$stage/$target"
			fi
			if [ -n "$anchor" ] &&
			   ! grep -qF -- "$anchor" "$pristine/$target"; then
				say "hook $(basename "$hook") skipped: $target of Linux $version has no '$anchor' ($(patch_header "$hook" Optional-reason))"
				continue 2
			fi
		done
		status=0
		output=$(patch -p1 --batch --forward --no-backup-if-mismatch \
			--directory "$stage" <"$hook" 2>&1) || status=$?
		printf '%s:\n%s\n' "$(basename "$hook")" "$output" >>"$tree_log"
		if ((status)); then
			printf '%s\n' "$output" | sed 's/^/  /' >&2
			die "hook kernel/patches/6.12/$(basename "$hook") does not apply to Linux $version: $(
				printf '%s\n' "$output" | awk '
				/^patching file /{f=$3}
				/FAILED at/{printf "%s%s hunk %s", n++ ? ", " : "", f, $2}
				END {if (!n) printf "malformed, or applied already"}')"
		fi
	done < <(input_files | grep '^'"$patches"'/.*\.patch$')
	find "$stage" \( -name '*.orig' -o -name '*.rej' \) -delete
}

# Files that an earlier run put into the tree and that no longer belong there.
restore_dropped()
{
	local list=$tree.files file

	[ -f "$list" ] || return 0
	while IFS= read -r file; do
		grep -qxF -- "$file" "$list.new" && continue
		if [ -f "$pristine/$file" ]; then
			tree_install "$pristine/$file" "$tree/$file"
		else
			rm -f "$tree/$file"
			printf 'removed: %s\n' "$file" >>"$tree_log"
		fi
	done <"$list"
}

# Make out/src/linux-VERSION what overlay and hooks say; sets tree.
prepare_tree()
{
	local file

	tree=$src_dir/linux-$version
	tree_log=$log_dir/kernel-tree.log
	mkdir -p "$log_dir"
	: >"$tree_log"
	if [ ! -f "$tree.from" ] || [ "$(cat "$tree.from")" != "$pristine" ]; then
		rm -rf "$tree" "$tree.from" "$tree.files"
		# By hard links: nothing here writes into a file of the tree, a
		# changed one is moved over it.
		hypr_step kernel "copy Linux $version" "$log_dir/kernel-copy.log" \
			cp -al "$pristine" "$tree" || die "cannot copy $pristine"
		printf '%s\n' "$pristine" >"$tree.from"
	fi
	stage=$(mktemp -d "$src_dir/stage.XXXXXX")
	# The subshell's exit on a failing hook must still remove the stage.
	trap 'rm -rf "$stage"; tree_to_patched' EXIT
	stage_hooks
	(cd "$stage" && find . -type f -printf '%P\n') >"$tree.files.new"
	# Some files are links to core/.
	(cd "$overlay" && find . -xtype f -printf '%P\n') >"$src_dir/overlay-files"
	while IFS= read -r file; do
		[ ! -e "$pristine/$file" ] ||
			die "overlay/$file exists in Linux $version: a change to it must be a hook"
		tree_install "$overlay/$file" "$tree/$file"
	done <"$src_dir/overlay-files"
	while IFS= read -r file; do
		tree_install "$stage/$file" "$tree/$file"
	done <"$tree.files.new"
	cp "$tree.files.new" "$tree.hooked"
	cat "$src_dir/overlay-files" >>"$tree.files.new"
	restore_dropped
	mv "$tree.files.new" "$tree.files"
	rm -rf "$stage"
	trap tree_to_patched EXIT
}

# A stock kernel is built in the same tree, with the hooked files as the source
# has them: all that no hook touches is then compiled once for both.  New files
# of the overlay stay, and nothing names them.  All of a kernel depends on the
# headers that a guest hook touches, and a host kernel reads the same text in
# them with the hook and without: tests/objects shows it, and they stay as well.
tree_to_stock()
{
	local target=$1 file

	patched=$src_dir/patched
	rm -rf "$patched"
	while IFS= read -r file; do
		if [ "$target" != guest ] && [[ $file = *.h ]] &&
		   cat "$patches"/guest-*.patch | grep -q "^+++ [^/]*/$file"; then
			continue
		fi
		mkdir -p "$patched/$(dirname "$file")"
		mv "$tree/$file" "$patched/$file"
		# With the time of now, so that what depends on it is compiled.
		cp "$pristine/$file" "$tree/$file"
	done <"$tree.hooked"
}

# With the time that each file had: the patched kernels' objects are newer.
tree_to_patched()
{
	local file

	[ -n "${patched:-}" ] || return 0
	while IFS= read -r file; do
		if [ -f "$patched/$file" ]; then mv "$patched/$file" "$tree/$file"; fi
	done <"$tree.hooked"
	rm -rf "$patched"
	patched=
}

# ---- configuration ----------------------------------------------------------

# The fragment of a target, as it is merged.
fragment_print()
{
	local target=$1

	case $target in
	debug | kcsan) cat "$root/kernel/rig.config" ;;
	esac
	cat "$root/kernel/$target.config"
	printf 'CONFIG_LOCALVERSION="-hypr-%s"\n' "$target"
	echo '# CONFIG_LOCALVERSION_AUTO is not set'
	if [ "$target" = rig ] && [ "${HYPR_OFF:-0}" = 1 ]; then
		# The option, and those that depend on it.
		sed -n 's/^\(CONFIG_KVM_HYPR_[A-Z0-9_]*\)=.*/# \1 is not set/p' \
			"$root/kernel/$target.config"
	fi
	if [ "$target" = rig ] && [ "${HYPR_TLB:-0}" = 1 ]; then
		echo 'CONFIG_KVM_HYPR_DEBUG_TLB=y'
	fi
}

# Keep the last word on each option, and drop those a stock tree cannot have: our own, and
# x2APIC mode without interrupt remapping, which a hook allows.
fragment_reduce()
{
	awk -v stock="$1" '
	/^CONFIG_[A-Za-z0-9_]+=/ {o = $0; sub(/=.*/, "", o)}
	/^# CONFIG_[A-Za-z0-9_]+ is not set/ {o = $2}
	o != "" {
		if (!(o in line)) order[++n] = o
		line[o] = $0
		o = ""
	}
	END {
		for (i = 1; i <= n; i++)
			if (!(stock && order[i] ~ /^CONFIG_(HYPR_|KVM_HYPR_|VMM_CONTROL|X86_X2APIC)/))
				print line[order[i]]
	}'
}

config_make()
{
	local target=$1 dir=$2 fragment=$3

	if [ "$target" = host ]; then
		kmake "$dir" x86_64_defconfig
		cat "$fragment" >>"$dir/.config"
		# One file is built and installed: no modules.
		kmake "$dir" olddefconfig
		kmake "$dir" mod2yesconfig
	else
		cat "$tree/kernel/configs/tiny-base.config" "$fragment" \
			>"$dir/.hypr.allconfig"
		kmake "$dir" KCONFIG_ALLCONFIG="$dir/.hypr.allconfig" allnoconfig
	fi
}

# Every option that the fragment asks for must have come out so.
config_verify()
{
	local fragment=$1 config=$2 missing

	missing=$(awk '
	FNR == NR && /^CONFIG_/ {o = $0; sub(/=.*/, "", o); have[o] = $0; next}
	FNR == NR {next}
	/^CONFIG_[A-Za-z0-9_]+=n$/ {o = $0; sub(/=.*/, "", o)
		if (o in have) print "  " o " is set, must not be"; next}
	/^# CONFIG_/ {if ($2 in have) print "  " $2 " is set, must not be"; next}
	/^CONFIG_/ {o = $0; sub(/=.*/, "", o)
		if (!(o in have)) print "  " $0 " is wanted, it is not set"
		else if (have[o] != $0) print "  " $0 " is wanted, it is " have[o]}
	' "$config" "$fragment")
	[ -z "$missing" ] && return 0
	printf '%s\n' "$missing" >&2
	return 1
}

# ---- build ------------------------------------------------------------------

kmake()
{
	local dir=$1
	shift

	# A job server of a calling make is not ours.
	env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL \
		-u CFLAGS -u CPPFLAGS -u LDFLAGS -u KERNEL_SRC \
		CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1 \
		KBUILD_BUILD_TIMESTAMP='Sun Jan  1 00:00:00 UTC 2023' \
		KBUILD_BUILD_USER=hypr KBUILD_BUILD_HOST=hypr \
		KBUILD_BUILD_VERSION=1 \
		make -C "$tree" O="$dir" ARCH=x86_64 LC_ALL=C \
		CC="$cc" HOSTCC="$hostcc" -j "$jobs" "$@"
}

# Sets sanitize: for make, what KASAN and UBSAN instrument in the debug kernel.  That
# is KVM and what holds KVM's memory on its behalf; the rest of the kernel is called,
# not tested, and instrumenting it would double the time of all that boots with it.
# (A file's own setting comes before KASAN_SANITIZE: scripts/Makefile.lib.  It goes by
# the name without the folder, so names that the boot code has as well are left out.)
sanitize_choose()
{
	local object

	sanitize=()
	if [ "$1" != debug ]; then return 0; fi
	sanitize=(KASAN_SANITIZE=n UBSAN_SANITIZE=n)
	while IFS= read -r object; do
		sanitize+=("KASAN_SANITIZE_$object=y" "UBSAN_SANITIZE_$object=y")
	done < <(cd "$tree" && {
		find arch/x86/kvm virt/kvm -name '*.c'
		printf '%s\n' mm/mmu_notifier.c mm/shrinker.c kernel/rcu/srcutree.c \
			kernel/kthread.c lib/list_debug.c fs/eventfd.c fs/anon_inodes.c
	} | sed 's,.*/,,; s/\.c$/.o/' | LC_ALL=C sort -u |
		grep -vxF -f <(find "$tree/arch/x86/boot" "$tree/arch/x86/realmode" \
			-name '*.c' -printf '%f\n' | sed 's/\.c$/.o/'))
}

input_files()
{
	local dir

	for dir in "$overlay" "$patches"; do
		if [ -d "$dir" ]; then find "$dir" -xtype f; fi
	done | LC_ALL=C sort
}

# What the result depends on.
target_stamp()
{
	local fragment=$1

	{
		echo "$pristine $cc"
		gcc --version | head -n 1
		cat "$fragment" "${BASH_SOURCE[0]}"
		if [ -z "$stock" ]; then input_files | xargs -r sha256sum; fi
	} | sha256sum | cut -c 1-32
}

# The same for the configuration alone: Kconfig files and the fragment.
config_stamp()
{
	local fragment=$1

	{
		echo "$pristine"
		cat "$fragment"
		if [ -z "$stock" ]; then
			LC_ALL=C sort "$tree.files" | grep '/Kconfig[^/]*$' |
				(cd "$tree" && xargs -r cat) || true
		fi
	} | sha256sum | cut -c 1-32
}

# dir_start FOLDER FROM: a build folder begins as a copy of another kernel's, so
# that Kbuild compiles only what differs.  That needs an objtool which need not be
# built again, since all depends on it: the notes on how it was built hold the
# folder's full path.
dir_start()
{
	local dir=$1 from=$2

	if [ -d "$dir" ] || [ ! -f "$from/.hypr.stamp" ]; then return 0; fi
	rm -rf "$dir.new"
	cp -a "$from" "$dir.new"
	find "$dir.new/tools" -name '.*.cmd' -exec sed -i "s,$from/,$dir/,g" {} +
	rm -f "$dir.new"/.hypr.* "$dir.new"/vmlinuz*
	mv "$dir.new" "$dir"
}

build_target()
{
	local target=$1 dir fragment stamp config image
	local name=$1 stock= variant= wanted

	case $target in
	rig)
		if [ "${HYPR_OFF:-0}" = 1 ]; then variant=off; fi
		if [ "${HYPR_TLB:-0}" = 1 ]; then variant=tlb; fi
		if [ "${HYPR_STOCK:-0}" = 1 ]; then variant=stock stock=1; fi
		;;
	guest)
		if [ "${HYPR_STOCK:-0}" = 1 ]; then variant=stock stock=1; fi
		;;
	esac
	if [ -n "$variant" ]; then name=$target-$variant; fi
	dir=$root/build-$name
	if [ -n "$variant" ]; then dir_start "$dir" "$root/build-$target"; fi
	if [ "$variant" = off ] || [ -n "$stock" ]; then
		# Objects of our files, which came with the copied folder.
		sed -n 's/\.c$/.o/p' "$src_dir/overlay-files" |
			(cd "$dir" && xargs -r rm -f)
	fi
	[ -f "$root/kernel/$target.config" ] ||
		die "no kernel/$target.config"
	mkdir -p "$dir"
	fragment=$dir/.hypr.fragment
	fragment_print "$target" | fragment_reduce "$stock" >"$fragment"
	image=$dir/vmlinuz-$version-hypr-$target
	stamp=$(target_stamp "$fragment")
	if [ -f "$image" ] && [ -e "$dir/vmlinuz" ] &&
	   [ "$(cat "$dir/.hypr.stamp" 2>/dev/null)" = "$stamp" ]; then
		say "$name: ${image#"$root"/} is up to date"
		return
	fi
	rm -f "$dir/.hypr.stamp"
	if [ -n "$stock" ]; then tree_to_stock "$target"; fi
	config=$(config_stamp "$fragment")
	if [ ! -f "$dir/.config" ] ||
	   [ "$(cat "$dir/.hypr.config-stamp" 2>/dev/null)" != "$config" ]; then
		rm -f "$dir/.hypr.config-stamp"
		hypr_step kernel "$name: configure" \
			"$log_dir/kernel-$name-config.log" \
			config_make "$target" "$dir" "$fragment" ||
			die "$name: the configuration failed"
		config_verify "$fragment" "$dir/.config" ||
			die "$name: kernel/$target.config asks for options that Linux $version did not take (above): a dependency is missing, or the option's name is wrong"
		echo "$config" >"$dir/.hypr.config-stamp"
	fi
	sanitize_choose "$target"
	wanted=(bzImage)
	# hyprv is built for it, when the tree is the patched one again.
	if [ "$name" = rig-stock ]; then wanted+=(modules_prepare); fi
	if ! hypr_step kernel "$name: build Linux $version" \
	     "$log_dir/kernel-$name.log" kmake "$dir" "${sanitize[@]}" "${wanted[@]}"; then
		grep -nE -A 6 '(error|Error|undefined reference)' \
			"$log_dir/kernel-$name.log" | head -n 40 >&2
		die "$name: the build failed"
	fi
	# The same bytes keep their time: nothing that uses them is made again.
	if ! cmp -s "$dir/arch/x86/boot/bzImage" "$image"; then
		rm -f "$dir"/vmlinuz*
		cp "$dir/arch/x86/boot/bzImage" "$image.new"
		mv "$image.new" "$image"
	fi
	tree_to_patched
	# A name without the version, for makefiles.
	ln -sf "$(basename "$image")" "$dir/vmlinuz"
	echo "$stamp" >"$dir/.hypr.stamp"
	say "$name: ${image#"$root"/}, $(($(stat -c %s "$image") / 1024)) KiB"
}

# A function, so that an edit of this file does not disturb a run of it.
main()
{
	local tree_only= targets=() arg target

	for arg; do
		case $arg in
		-h | --help)
			usage
			exit 0
			;;
		host | guest | rig | debug | kcsan) targets+=("$arg") ;;
		all) targets+=(guest rig host) ;;
		tree) tree_only=1 ;;
		*)
			usage >&2
			die "unknown target '$arg'"
			;;
		esac
	done
	if [ ${#targets[@]} -eq 0 ] && [ -z "$tree_only" ]; then
		usage >&2
		exit 2
	fi

	cc=gcc
	hostcc=gcc
	if command -v ccache >/dev/null; then
		cc='ccache gcc'
		hostcc='ccache gcc'
	fi

	# One build at a time: two would write the same tree.
	mkdir -p "$root/out"
	exec 9>"$root/out/.kernel.lock"
	if ! flock --nonblock 9; then
		say 'another kernel build runs here: waiting for it'
		flock 9
	fi
	trap tree_to_patched EXIT
	trap 'hypr_step_stop; exit 130' INT TERM
	trap 'die "line $LINENO: $BASH_COMMAND failed"' ERR

	prepare_pristine
	prepare_tree
	for target in "${targets[@]}"; do
		build_target "$target"
	done
	if [ -n "$tree_only" ]; then
		echo "$tree"
	fi
}

main "$@"
exit
