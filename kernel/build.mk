# SPDX-License-Identifier: GPL-2.0-only
#
# The kernels.  The script knows by itself what is up to date, so it is always
# asked; it leaves the file's time alone when there was nothing to do.

KERNEL_BUILD := kernel/build_hypr_kernels.sh

build-guest/vmlinuz: FORCE
	@$(KERNEL_BUILD) guest

# A guest that knows nothing of HYPR, for tests.
build-guest-stock/vmlinuz: FORCE
	@HYPR_STOCK=1 $(KERNEL_BUILD) guest

build-rig/vmlinuz: FORCE
	@$(KERNEL_BUILD) rig

# One at a time: they share the source tree and the compilers.
build-rig/vmlinuz: | build-guest/vmlinuz
build-guest-stock/vmlinuz: | build-rig/vmlinuz

.PHONY: kernels
kernels: setup
	@$(KERNEL_BUILD) guest host

# The mailable patch series; SERIES_SIGNOFF='Name <mail>' is its author.
.PHONY: series series-check
series: setup
	@kernel/make_series.sh

series-check: series
	@kernel/series_check.sh
