#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Export overlay and hooks as a patch series that can be mailed: out/series/.
# kernel/series.list says which file and which hunk belongs to which patch, and
# what the patch's message is.  Each patch carries the lines of the Makefile and
# of MAINTAINERS that its own files need.  Start reading at main().
set -euo pipefail

usage()
{
	cat <<'USAGE'
usage: kernel/make_series.sh [OPTION]...

  --list FILE    the table (default kernel/series.list)
  --overlay DIR  new files (default kernel/overlay)
  --hooks DIR    changes to existing files (default kernel/patches/6.12)
  --out DIR      where the mails go (default out/series); it is emptied
  --table-only   stop when the table has been read and found complete
  --help

Environment:
  SERIES_SIGNOFF  "Name <mail>" of author and Signed-off-by
                  (default: user.name and user.email of git)
  KERNEL_SRC      as for kernel/build_hypr_kernels.sh

The series is also left as a git repository in DIR.git, of the files that it
touches.  checkpatch --strict runs on each mail; a complaint is an error.
USAGE
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
list=$root/kernel/series.list
overlay=$root/kernel/overlay
hooks=$root/kernel/patches/6.12
out=$root/out/series
table_only=
export LC_ALL=C

die()
{
	printf 'make_series.sh: %s\n' "$*" >&2
	exit 1
}

# ---- the table --------------------------------------------------------------

# Split the table into $work/NN.{title,message,files,hooks}, $work/cover.*,
# $work/objects and $work/maintainers; prints the number of patches.
table_split()
{
	awk -v work="$work" '
	function bad(what) {
		printf "line %d: %s\n", FNR, what > "/dev/stderr"
		failed = 1
		exit 1
	}
	function rest() { sub(/^[a-z]+ +/, ""); return $0 }
	/^#/ || /^[ ]*$/ && into == "" { next }
	/^\t/ || /^$/ {
		if (into == "")
			bad("text that belongs to no patch")
		# Blank lines only between lines of a message.
		if ($0 == "") { blank++; next }
		for (; blank > 0; blank--)
			if (started) print "" > into
		blank = 0
		started = 1
		print substr($0, 2) > into
		next
	}
	{ blank = 0; started = 0 }
	/^cover / { into = work "/cover.message"; print rest() > (work "/cover.title"); next }
	/^maintainers / { into = ""; print rest() > (work "/maintainers"); next }
	/^objects / { into = ""; print $2 > (work "/objects"); next }
	/^patch / {
		step = sprintf("%s/%02d", work, ++n)
		into = step ".message"
		print rest() > (step ".title")
		printf "" > (step ".files")
		printf "" > (step ".hooks")
		next
	}
	n == 0 { bad("\"" $1 "\" before the first patch") }
	/^file / { into = ""; print rest() > (step ".files"); next }
	/^hook / { into = ""; print rest() > (step ".hooks"); next }
	{ bad("unknown word \"" $1 "\"") }
	END { if (!failed) print n + 0 }' "$list"
}

# Give each overlay file to its patch: $work/files holds "NN PATH".
files_assign()
{
	local step pattern file found

	: >"$work/files"
	for step in "${steps[@]}"; do
		while IFS= read -r pattern; do
			found=
			while IFS= read -r file; do
				# The right side is a pattern: that is meant.
				# shellcheck disable=SC2053
				[[ $file == $pattern ]] || continue
				found=1
				echo "$step $file" >>"$work/files"
			done <"$work/overlay"
			[ -n "$found" ] ||
				die "$list names the file $pattern, which is not in $overlay"
		done <"$work/$step.files"
	done
	file=$(cut -d ' ' -f 2- "$work/files" | sort | uniq -d | head -n 1)
	[ -z "$file" ] || die "$list has $file in more than one patch"
	file=$(cut -d ' ' -f 2- "$work/files" | sort |
		comm -13 - "$work/overlay" | tr '\n' ' ')
	[ -z "$file" ] || die "$list has no patch with the overlay's file ${file% }"
}

# Split a hook into $work/hunks/NAME/{head,KK}.
hook_split()
{
	local dir=$work/hunks/$1

	mkdir -p "$dir"
	awk -v dir="$dir" '
	/^--- / && !n { on = 1 }
	/^@@ / { n++ }
	on { print > (n ? sprintf("%s/%02d", dir, n) : dir "/head") }' "$hooks/$1"
}

# A hook that build_hypr_kernels.sh leaves out for this kernel is left out too.
hook_is_skipped()
{
	local anchor target

	anchor=$(sed -n '/^--- /q; s/^Optional-anchor: *//p' "$hooks/$1" | head -n 1)
	[ -n "$anchor" ] || return 1
	target=$(hook_target "$1")
	! grep -qF -- "$anchor" "$pristine/$target"
}

hook_target()
{
	sed -n 's,^+++ [^/]*/\([^[:space:]]*\).*,\1,p' "$hooks/$1"
}

# Give hunks to their patches: $work/hunks.owned holds "NN HOOK HUNK".
hunks_assign()
{
	local step name pattern hunk owner found pass

	: >"$work/hunks.owned"
	# Those with a pattern choose first, the others take what is left.
	for pass in pattern rest; do
		for step in "${steps[@]}"; do
			while read -r name pattern; do
				if [ "$pass" = pattern ]; then
					[ -n "$pattern" ] || continue
				else
					[ -z "$pattern" ] || continue
				fi
				[ -f "$hooks/$name" ] ||
					die "$list names the hook $name, which is not in $hooks"
				pattern=${pattern#/}
				pattern=${pattern%/}
				found=
				for hunk in "$work/hunks/$name"/[0-9]*; do
					hunk=$(basename "$hunk")
					owner=$(awk -v n="$name" -v h="$hunk" \
						'$2 == n && $3 == h {print $1}' "$work/hunks.owned")
					if [ -n "$pattern" ]; then
						grep -E '^[-+]' "$work/hunks/$name/$hunk" |
							grep -qE -- "$pattern" || continue
						[ -z "$owner" ] ||
							die "$list has hunk $hunk of $name in patches $owner and $step"
					elif [ -n "$owner" ]; then
						continue
					fi
					found=1
					echo "$step $name $hunk" >>"$work/hunks.owned"
				done
				[ -n "$found" ] ||
					die "$list, patch $step: nothing of $name is left for '${pattern:-the rest}'"
			done <"$work/$step.hooks"
		done
	done
}

hooks_check()
{
	local name hunk

	for name in "${hook_names[@]}"; do
		! grep -qxF -- "$name" "$work/objects" || continue
		for hunk in "$work/hunks/$name"/[0-9]*; do
			hunk=$(basename "$hunk")
			awk -v n="$name" -v h="$hunk" '$2 == n && $3 == h {f = 1}
				END {exit !f}' "$work/hunks.owned" ||
				die "$list has no patch with hunk $hunk of the hook $name: $(
					sed -n 1p "$work/hunks/$name/$hunk")"
		done
	done
}

table_read()
{
	local count name step

	touch "$work/objects"
	count=$(table_split) || die "$list cannot be read"
	((count > 0)) || die "$list has no patch"
	mapfile -t steps < <(seq -f %02.0f 1 "$count")
	for name in cover.title cover.message maintainers; do
		[ -s "$work/$name" ] || die "$list has no '${name%.*}' or no text for it"
	done
	for step in "${steps[@]}"; do
		[ -s "$work/$step.message" ] ||
			die "$list: the patch '$(cat "$work/$step.title")' has no message"
	done
	(cd "$overlay" && find . -xtype f -printf '%P\n') | sort >"$work/overlay"
	mapfile -t hook_names < <(cd "$hooks" && find . -name '*.patch' -printf '%P\n' | sort)
	files_assign
	for name in "${hook_names[@]}"; do
		hook_split "$name"
	done
	hunks_assign
	hooks_check
}

# ---- the tree at each step --------------------------------------------------

# Keep of what a Makefile's hook adds those objects whose source is there.
objects_filter()
{
	local makefile=$1 hook=$2 dir object

	dir=$(dirname "$makefile")
	while IFS= read -r object; do
		[ -f "$repo/$dir/${object%.o}.c" ] || [ -f "$repo/$dir/${object%.o}.S" ] ||
			printf '%s ' "$object"
	done < <(grep '^+[^+]' "$hook" | grep -oE '[[:alnum:]_/-]+\.o') >"$work/absent"
	[ -s "$work/absent" ] || return 0
	awk -v absent="$(cat "$work/absent")" '
	BEGIN { n = split(absent, a, " "); for (i = 1; i <= n; i++) gone[a[i]] = 1 }
	FNR == NR { if (/^\+[^+]/) added[substr($0, 2)] = 1; next }
	!($0 in added) { print; next }
	/=/ { head = $0; sub(/=.*/, "=", head); sub(/^.*[+:]?=/, ""); objects = "" }
	{
		last = !sub(/\\$/, "")
		for (i = 1; i <= NF; i++)
			if (!($i in gone)) objects = objects " " $i
		if (!last || objects == "") next
		n = split(objects, o, " ")
		line = head
		for (i = 1; i <= n; i++) {
			if (length(line) + length(o[i]) > 72) {
				print line " \\"
				line = "\t\t\t  "
			}
			line = line " " o[i]
		}
		print line
	}' "$hook" "$repo/$makefile" >"$work/makefile"
	cp "$work/makefile" "$repo/$makefile"
}

# The entry of MAINTAINERS for the files that the series has brought so far.
maintainers_write()
{
	local title

	title=$(cat "$work/maintainers")
	{
		printf '%s\nM:\t%s\nL:\tkvm@vger.kernel.org\nS:\tMaintained\n' \
			"$title" "$signoff"
		awk -v step="$1" '$1 <= step {print "F:\t" $2}' "$work/files" | sort
		echo
	} >"$work/entry"
	# Not all of the list is sorted: the place is after the greatest title that
	# is smaller.
	awk -v title="$title" -v entry="$work/entry" '
	function is_title() { return list && blank && /^[^[:space:]]/ }
	FNR == 1 { pass++; list = blank = 0 }
	/^Maintainers List/ { list = 1 }
	pass == 1 && is_title() && $0 < title && $0 > before { before = $0 }
	pass == 2 && is_title() && found {
		while ((getline line < entry) > 0) print line
		found = 0
		done = 1
	}
	pass == 2 && is_title() && $0 == before { found = 1 }
	pass == 2 { print }
	{ blank = $0 == "" }
	END { if (!done) exit 1 }' "$pristine/MAINTAINERS" "$pristine/MAINTAINERS" \
		>"$repo/MAINTAINERS" || die "no place in MAINTAINERS for $title"
}

# Make the files in $repo what they are after patch $1.
step_write()
{
	local step=$1 file owner name hunk
	local -A begun=()

	while read -r owner file; do
		[[ $owner == "$step" ]] || continue
		mkdir -p "$repo/$(dirname "$file")"
		cp "$overlay/$file" "$repo/$file"
	done <"$work/files"
	for name in "${hook_names[@]}"; do
		! hook_is_skipped "$name" || continue
		file=$(hook_target "$name")
		# A file may have two hooks, one of them optional.
		if [ -z "${begun[$file]:-}" ]; then cp "$pristine/$file" "$repo/$file"; fi
		begun[$file]=1
		if grep -qxF -- "$name" "$work/objects"; then
			cat "$hooks/$name" >"$work/diff"
		else
			cat "$work/hunks/$name/head" >"$work/diff"
			while read -r owner hunk; do
				((10#$owner > 10#$step)) || cat "$work/hunks/$name/$hunk"
			done < <(awk -v n="$name" '$2 == n {print $1, $3}' \
				"$work/hunks.owned" | sort -k 2) >>"$work/diff"
			grep -q '^@@ ' "$work/diff" || continue
		fi
		patch -p1 --batch --forward --fuzz=0 --no-backup-if-mismatch --silent \
			--directory "$repo" <"$work/diff" ||
			die "patch $step: $name does not apply"
		if grep -qxF -- "$name" "$work/objects"; then
			objects_filter "$file" "$hooks/$name"
		fi
	done
	maintainers_write "$step"
}

# The last step is what the kernels are built from.
result_check()
{
	local file

	while IFS= read -r file; do
		cmp -s "$repo/$file" "$tree/$file" ||
			die "after the last patch $file is not what the kernels are built from"
	done < <(sort -u "$tree.files")
}

# ---- mails ------------------------------------------------------------------

series_git()
{
	local mail=${signoff#*<}

	git -C "$repo" -c user.name="${signoff% <*}" -c user.email="${mail%>}" \
		-c commit.gpgsign=false -c core.autocrlf=false "$@"
}

repo_make()
{
	local step name

	rm -rf "$repo"
	mkdir -p "$repo"
	(cd "$pristine" && {
		echo MAINTAINERS
		for name in "${hook_names[@]}"; do
			hook_is_skipped "$name" || hook_target "$name"
		done
	} | sort -u | cpio --quiet -pd "$repo")
	series_git init --quiet --initial-branch=series
	series_git add --all --force
	series_git commit --quiet --message "Linux $version"
	series_git tag base
	for step in "${steps[@]}"; do
		step_write "$step"
		series_git add --all --force
		{
			cat "$work/$step.title"
			echo
			cat "$work/$step.message"
			printf '\nSigned-off-by: %s\n' "$signoff"
		} | series_git commit --quiet --file - ||
			die "patch $step '$(cat "$work/$step.title")' changes nothing"
	done
}

mails_write()
{
	rm -rf "$out"
	mkdir -p "$out"
	series_git config branch.series.description "$(
		cat "$work/cover.title"
		echo
		cat "$work/cover.message"
		printf '\nThe series applies to Linux %s.\n' "$version")"
	series_git format-patch --quiet --cover-letter --no-signature \
		--cover-from-description=subject --output-directory "$out" base..series
}

# Prints a line for each mail; a complaint of checkpatch is shown and counted.
mails_check()
{
	local mail output bad=0

	for mail in "$out"/[0-9]*.patch; do
		case $(basename "$mail") in 0000-*) continue ;; esac
		if output=$(perl "$tree/scripts/checkpatch.pl" --strict --no-tree \
			--root="$tree" --no-summary --terse --show-types \
			--typedefsfile "$root/kernel/checkpatch.typedefs" "$mail" 2>&1); then
			echo "clean: $(basename "$mail")"
		else
			bad=$((bad + 1))
			echo "checkpatch: $(basename "$mail")"
			printf '%s\n' "$output" | sed "s,^$out/,  ,"
		fi
	done
	((bad == 0)) || die "checkpatch --strict complains of $bad patches"
}

# ---- main -------------------------------------------------------------------

signoff_find()
{
	local name mail

	name=$(git -C "$root" config user.name || true)
	mail=$(git -C "$root" config user.email || true)
	signoff=${SERIES_SIGNOFF:-"$name <$mail>"}
	[[ $signoff =~ ^[^\<\>]+\ \<[^\<\>@\ ]+@[^\<\>@\ ]+\>$ ]] ||
		die "no author: set SERIES_SIGNOFF='Name <mail>', or user.name and user.email of git"
}

main()
{
	while [ $# -gt 0 ]; do
		case $1 in
		--help | -h) usage; exit 0 ;;
		--table-only) table_only=1; shift; continue ;;
		--list | --overlay | --hooks | --out)
			[ $# -ge 2 ] || die "$1 needs a value" ;;
		*) usage >&2; die "unknown option '$1'" ;;
		esac
		case $1 in
		--list) list=$(realpath "$2") ;;
		--overlay) overlay=$(realpath "$2") ;;
		--hooks) hooks=$(realpath "$2") ;;
		--out) out=$(realpath -m "$2") ;;
		esac
		shift 2
	done
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	table_read
	if [ -n "$table_only" ]; then
		echo "${#steps[@]} patches, complete"
		exit 0
	fi
	signoff_find
	tree=$("$root/kernel/build_hypr_kernels.sh" tree)
	pristine=$(cat "$tree.from")
	version=$(basename "$tree")
	version=${version#linux-}
	repo=$out.git
	# The same input gives the same mails.
	GIT_AUTHOR_DATE="$(git -C "$root" log -1 --format=%ct 2>/dev/null || date +%s) +0000"
	export GIT_AUTHOR_DATE GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE
	export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1
	repo_make
	result_check
	mails_write
	mails_check
	echo "${#steps[@]} patches and a cover letter in $out"
}

main "$@"
