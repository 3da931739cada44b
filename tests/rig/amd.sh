#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# What runs on the emulated AMD PC (tests/run amd): the ioctl tests that do not
# count on thousands of swaps, and the end-to-end test with a Linux guest.
status=0
for name in guest cap control errno eptp npt swap busy discard prepare isolation \
	    pv semantics kind written; do
	tap-run 300 "/tests/kvm/${name}_test" || status=1
done
tap-run 300 /tests/rig/amd_guest.sh || status=1
exit $status
