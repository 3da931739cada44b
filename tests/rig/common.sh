# SPDX-License-Identifier: GPL-2.0-only
#
# For the shell tests of the hypr command on the emulated PC (busybox sh): TAP,
# and waiting on conditions with a deadline.  Sourced.

tests=0
failures=0
export HYPR_RUNTIME_DIR=/tmp/hypr-test
out=/tmp/hypr-test.out
engine=${HYPR_TEST_ENGINE:-ept-swap}

# result STATUS NAME [WHY]: one line of TAP
result()
{
	tests=$((tests + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $tests - $2"
	else
		failures=$((failures + 1))
		echo "not ok $tests - $2"
		echo "# $3"
		[ -s $out ] && sed 's/^/# | /' $out
	fi
}

# expect CODE WORDS NAME COMMAND...: its exit code, and words of its output
expect()
{
	code=$1
	words=$2
	name=$3
	shift 3
	"$@" >$out 2>&1 </dev/null
	got=$?
	if [ $got -ne "$code" ]; then
		result 1 "$name" "exit code $got, not $code: $*"
	elif ! grep -q -- "$words" $out; then
		result 1 "$name" "'$words' is not in the output: $*"
	else
		result 0 "$name"
	fi
}

# as expect, and what it says is one line
expect_line()
{
	expect "$@"
	if [ "$(wc -l <$out)" -ne 1 ]; then
		failures=$((failures + 1))
		echo "# more than one line:"
		sed 's/^/# | /' $out
	fi
}

# check NAME COMMAND...: it succeeds
check()
{
	name=$1
	shift
	"$@" >$out 2>&1
	result $? "$name" "failed: $*"
}

# after STATUS NAME: of what ran before; a failure shows the kernel's last words
after()
{
	[ "$1" -eq 0 ] || dmesg | tail -n 15 >$out
	result "$1" "$2" "the kernel's log ends so:"
}

# field KEY: a number or word of the last JSON output
field()
{
	sed -n 's/.*"'"$1"'":"\{0,1\}\([^",}]*\).*/\1/p' $out | head -n 1
}

# wait_for SECONDS COMMAND...: until it succeeds
wait_for()
{
	polls=$(($1 * 10))
	shift
	while ! "$@"; do
		polls=$((polls - 1))
		[ $polls -gt 0 ] || return 1
		usleep 100000
	done
}

# The console of a VM.
log()
{
	echo "$HYPR_RUNTIME_DIR/$1.log"
}

# A report of the program in the guest.  A whole line: the last may be on its way.
report='^epoch [0-9]* checks [0-9]* failures [0-9]* chain [0-9a-f]* [0-9a-f]* random [0-9a-f]\{16\}'

reports()
{
	grep -c "$report" "$(log "$1")"
}

# goes_on VM N: it reported N times so far
goes_on()
{
	[ "$(reports "$1")" -ge "$2" ]
}

# The program in the guest says on its console when a check of its failed.
guest_is_sane()
{
	! grep -E 'FAILED|panic|BUG:|WARNING:|Oops|detected stall|lockup' "$(log "$1")"
}

# And it counts its checks in each report.
all_right()
{
	! grep "$report" "$(log "$1")" | grep -v " failures 0 " && guest_is_sane "$1"
}

# The VM answers vector 0xF0 on N vCPUs, and its program runs.
guest_is_up()
{
	grep -q "^epoch:" "$(log "$1")" && hypr ps --json >$out 2>&1 &&
		[ "$(field guest_vcpus)" = "$2" ]
}

nothing_left()
{
	left=$(ls "$HYPR_RUNTIME_DIR" 2>/dev/null | grep -v '\.log\(\.1\)\{0,1\}$')
	[ -z "$left" ] && ! pidof hypr >/dev/null
}

finish()
{
	echo "1..$tests"
	[ $failures -eq 0 ]
	exit $?
}
