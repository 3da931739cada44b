# SPDX-License-Identifier: GPL-2.0-only
#
# Adds up TAP in a log of several programs.  Each program's output stands
# between "HYPR-TAP-BEGIN name" and "HYPR-TAP-END status".  A result that the
# plan promised and that did not come, a status that says otherwise than the
# results, and a program without an end are failures too.  Prints one line
# "COUNT passed failed skipped" and a line "FAIL name: what" for each failure,
# with what the program says of it: a comment before the result or after it.

function fail(what)
{
	failed++
	print "FAIL " name ": " what
}

# A failed test's line, held back until it is known what is said of it.
function tell_failed(why)
{
	if (held != "")
		print "FAIL " held (why == "" ? "" : ": " why)
	held = ""
}

function program_end(status,    seen)
{
	tell_failed("")
	if (name == "")
		return
	seen = ok + bad + skip
	passed += ok
	skipped += skip
	if (skip_all && seen == 0)
		skipped++
	else if (status == "")
		fail("ended without a word after " seen " results (crashed, hung or cut off)")
	else if (plan == "")
		fail("no TAP plan (status " status ")")
	else if (seen < plan)
		fail("only " seen " of " plan " results (status " status ")")
	else if (seen > plan)
		fail(seen " results, planned were " plan)
	else if (status != 0 && status != 77 && bad == 0)
		fail("status " status " though no test failed")
	else if (status == 0 && bad > 0)
		fail("status 0 though tests failed")
	name = ""
}

{ sub(/\r$/, "") }

/^HYPR-TAP-BEGIN / {
	program_end("")
	name = substr($0, 16)
	plan = said = ""
	ok = bad = skip = skip_all = 0
	next
}
/^HYPR-TAP-END / { program_end($2); next }
name == "" { next }
/^# / {
	said = substr($0, 3)
	if (held != "")
		tell_failed(said)
	next
}
{ tell_failed("") }
/^1\.\.[0-9]+/ {
	# A cmocka program with several groups prints a plan for each.
	plan = plan + substr($1, 4)
	if ($0 ~ /# *[Ss][Kk][Ii][Pp]/ && plan == 0)
		skip_all = 1
	next
}
/^ok / {
	if ($0 ~ /# *[Ss][Kk][Ii][Pp]/)
		skip++
	else
		ok++
	said = ""
	next
}
# So cmocka says that a test was skipped.
/^not ok .*# *SKIP/ { skip++; next }
/^not ok / {
	bad++
	failed++
	held = name ": " substr($0, 8)
	if (said != "")
		tell_failed(said)
	said = ""
	next
}

END {
	program_end("")
	print "COUNT " passed + 0 " " failed + 0 " " skipped + 0
}
