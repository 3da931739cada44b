# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Progress of long steps, sourced by the project's bash scripts.  A step runs
# with its output in a log file; the reader sees one line for it, with the
# elapsed time: rewritten every second on a terminal, printed once at the end
# (and every half minute, so that a log of a CI shows life) elsewhere.

hypr_step_pid=

# Give a duration in milliseconds as "12.3s" or "4m05s".
hypr_duration_format()
{
	local ms=$1

	if ((ms < 60000)); then
		printf '%d.%ds' $((ms / 1000)) $((ms % 1000 / 100))
	else
		printf '%dm%02ds' $((ms / 60000)) $((ms % 60000 / 1000))
	fi
}

hypr_now_ms()
{
	local us=${EPOCHREALTIME/[.,]/}

	echo $((us / 1000))
}

# hypr_say AREA TEXT: one line of progress that stays.
hypr_say()
{
	printf '%-8s %7s  %s\n' "$1" "" "$2" >&2
}

# End the step that runs, with all that it started (it leads a process group).
hypr_step_stop()
{
	local pid=$hypr_step_pid

	[ -n "$pid" ] || return 0
	hypr_step_pid=
	kill -TERM -- "-$pid" 2>/dev/null || return 0
	wait "$pid" 2>/dev/null || true
}

# The last line of a log that has something to show, cut to a width.
hypr_log_tail()
{
	tail -c 400 "$1" 2>/dev/null | tr -d '\r' |
		LC_ALL=C tr -c '[:print:]\n' ' ' | awk 'NF { l = $0 } END { print l }' |
		cut -c "1-$2"
}

# Sets hypr_cpu_ms: processor time of the children that this shell has waited
# for, and of theirs.
hypr_cpu_read()
{
	local stat fields

	# Behind the name, which can hold spaces: the state is proc(5)'s field 3,
	# and fields 16 and 17 are the children's times in ticks of 10 ms.
	read -r stat </proc/self/stat
	read -r -a fields <<<"${stat##*) }"
	hypr_cpu_ms=$(((fields[13] + fields[14]) * 10))
}

# hypr_step AREA TEXT LOG COMMAND...: run a command, show its progress.
# Returns the status of the command.  The file that HYPR_TIMES names gets a
# line for each step: milliseconds of wall clock and of processor time, area,
# text.
hypr_step()
{
	local area=$1 text=$2 log=$3 start now shown status=0 tty= cpu
	shift 3

	[ -t 2 ] && tty=1
	mkdir -p "$(dirname "$log")"
	: >"$log"
	start=$(hypr_now_ms)
	shown=$start
	hypr_cpu_read
	cpu=$hypr_cpu_ms
	set -m
	"$@" >>"$log" 2>&1 </dev/null &
	hypr_step_pid=$!
	set +m
	while kill -0 "$hypr_step_pid" 2>/dev/null; do
		now=$(hypr_now_ms)
		if [ -n "$tty" ]; then
			printf '\r\033[K%-8s %7s  %s: %s' "$area" \
				"$(hypr_duration_format $((now - start)))" \
				"$text" "$(hypr_log_tail "$log" 40)" >&2
		elif ((now - shown >= 30000)); then
			shown=$now
			printf '%-8s %7s  %s ... %s\n' "$area" \
				"$(hypr_duration_format $((now - start)))" \
				"$text" "$(hypr_log_tail "$log" 60)" >&2
		fi
		# Short sleeps first: most steps are over at once.
		if ((now - start < 1000)); then sleep 0.05; else sleep 0.5; fi
	done
	wait "$hypr_step_pid" || status=$?
	hypr_step_pid=
	now=$(hypr_now_ms)
	[ -z "$tty" ] || printf '\r\033[K' >&2
	hypr_cpu_read
	if [ -n "${HYPR_TIMES:-}" ]; then
		printf '%d %d %s %s\n' $((now - start)) $((hypr_cpu_ms - cpu)) \
			"$area" "$text" >>"$HYPR_TIMES"
	fi
	if ((status)); then
		text="$text: FAILED (status $status, log in $log)"
	fi
	printf '%-8s %7s  %s\n' "$area" \
		"$(hypr_duration_format $((now - start)))" "$text" >&2
	return "$status"
}
