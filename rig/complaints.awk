# SPDX-License-Identifier: GPL-2.0-only
#
# Reads a kernel's log and prints the lines for which a run on the emulated PC
# counts as failed; used on the PC by rig/init and outside by rig/run.
#
# KCSAN finds races all over a kernel.  A report is ours when a function of HYPR,
# by its name, made an access that is not marked, or called what made it, or the
# caller of that; the others concern code that is as it came.

function flush_kcsan()
{
	if (kcsan != "" && ours)
		print kcsan
	kcsan = ""
	ours = 0
}

/BUG: KCSAN: / {
	flush_kcsan()
	kcsan = $0
	frame = 9
	next
}
kcsan != "" {
	if (/(read|write).* by (task|interrupt)/)
		frame = /\(marked/ ? 9 : 0
	else if (/\+0x[0-9a-f]+\/0x/ && ++frame <= 3 &&
		 /hypr_[a-z_]*\+0x|vmx_get_eptp\+0x/)
		ours = 1
	if (/Reported by Kernel Concurrency Sanitizer|={40}/)
		flush_kcsan()
	next
}

# It warns of the emulator's CPUID when there is only one CPU.
/ at parse_legacy\+/ { next }

/WARNING: |BUG: |Oops: |Kernel panic|rcu.*stall|general protection fault/ ||
/UBSAN: |KASAN: |INFO: (task|trying to register|possible|inconsistent)/ ||
/kmemleak: [0-9]+ new|unreferenced object|debug_locks: *0/ { print }

END { flush_kcsan() }
