#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# The results of the kernel's KUnit suites of HYPR, which ran when the emulated
# PC booted (kunit.enable=1), as flat TAP: one result a case.  A suite that is
# missing, one that did not run and a case without a result are failures.
kunit=/sys/kernel/debug/kunit
wanted='hypr_budget hypr_eptp hypr_lru hypr_tlb hypr_view'

for suite in $wanted; do
	[ -f $kunit/$suite/results ] || echo "    # Missing: $suite"
done >/tmp/kunit.missing

cat /tmp/kunit.missing $kunit/hypr_*/results | awk '
function result(ok, what)
{
	number++
	bad += !ok
	print (ok ? "ok " : "not ok ") number " - kunit " what
}
function suite_end()
{
	if (suite != "" && seen != plan)
		result(0, suite ": " seen " of " plan " cases have a result")
	suite = ""
}
# Of KUnit itself, indented by 4: cases.  Deeper: parameters of a case.
/^    # Missing: / { result(0, $3 ": the kernel has no such suite"); next }
/^    # Subtest: / { suite_end(); suite = $3; plan = -1; seen = 0; next }
/^    1\.\.[0-9]+/ { plan = substr($1, 4) + 0; next }
/^    ok [0-9]+ / { seen++; result(1, suite ": " substr($0, index($0, $3))); next }
/^    not ok [0-9]+ / { seen++; result(0, suite ": " substr($0, index($0, $4))); next }
# What a case has to say stands before its result.
{ print "# " $0 }
END {
	suite_end()
	print "1.." number + 0
	exit(bad || !number)
}'
