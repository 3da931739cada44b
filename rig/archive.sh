# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Archives for the emulated PC's memory, sourced by rig/mkinitramfs and rig/run.  The
# PC reads them through its BIOS and unpacks them, instruction by instruction: a
# megabyte more is a second more at every boot.

# archive_put FILE DEST: a copy.  Of a program without its symbols.  A module, which the
# kernel links by its symbols, loses those for debuggers alone; a function file (*.elf),
# whose faults are told by name and line, keeps its lines, too.
archive_put()
{
	mkdir -p "$(dirname "$2")"
	# A path that busybox has as a link gives way to the real program.
	rm -f "$2"
	cp "$1" "$2"
	case $(head -c 4 "$1" | od -An -tx1 | tr -d ' \n') in
	7f454c46)
		case $1 in
		*.elf) strip --strip-debug --keep-section=.debug_line \
			--keep-section=.debug_line_str "$2" ;;
		*.ko) strip --strip-debug "$2" ;;
		*) strip --strip-all "$2" ;;
		esac
		;;
	esac
}

# archive_print FOLDER: the folder as cpio.  No root rights are needed, and files that
# are hard links are stored once.
archive_print()
{
	(cd "$1" && find . -mindepth 1 -print0 | LC_ALL=C sort -z |
		cpio --quiet --null --create --format=newc --owner=+0:+0)
}
