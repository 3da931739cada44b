#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# selftests.sh: run the KVM selftests of /selftests/list on the emulated PC.  For
# each one line "SELFTEST name result": pass, skip, fail or timeout.
while read -r name limit arguments; do
	echo
	# The arguments are words.
	# shellcheck disable=SC2086
	timeout -s KILL "$limit" "/selftests/$name" $arguments </dev/null >/tmp/out 2>&1
	status=$?
	case $status in
	0) result=pass ;;
	4) result=skip ;;
	137) result=timeout ;;
	*) result=fail ;;
	esac
	# Why a test was skipped or failed; not addresses and times of a pass.
	[ "$result" = pass ] || grep -v '^Random seed' /tmp/out | tail -n 6 | sed 's/^/# /'
	echo "SELFTEST $name $result $status"
done </selftests/list
