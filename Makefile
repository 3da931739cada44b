# SPDX-License-Identifier: GPL-2.0-only
#
# The top of the build.  Each area has a build.mk with its own rules, included
# below; products go to out/, kernels to build-*/.  `make` alone tells what
# there is.

CC ?= gcc
CXX ?= g++
AR ?= ar
CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -Iinclude \
	-Ikernel/overlay/include/uapi
export CC CXX

# Appended to by the areas.
RIG_FILES :=
UNIT_TESTS :=
PROGRAMS :=

.DELETE_ON_ERROR:
.PHONY: help setup all programs unit-tests rig demo check \
	install shell clean FORCE

help:
	@sed -n 's/^## //p' Makefile

## make demo      install what is missing, build, boot the emulated PC, and show
##                one VM that swaps between its moments 1,000 times
## make check     the same for all tests; ends with the counts
## make check-quick     what a change is likely to touch, in a few minutes
##
## make bench     the price of a swap and a reset, and of what there is without views, as
##                a table, as out/bench.json, and with plots as out/bench.html
## make bench-native    the same on this machine, natively: needs /dev/kvm on VT-x
## make bench-call      function VMs: a call, a new VM for each call, a process; on the
##                emulated PC, as a table and as out/bench-call.json
## make bench-vmo writing, checking and opening VMO files, what clones share: natively,
##                as a table and as out/bench-vmo.json; from a file to a guest that
##                works: on the emulated PC, and as out/bench-start.json
## make bench-core      core/: page walks, EPT mapping, pools, the TLB model; natively, as
##                a table and as out/bench-core.json
## make soak      the long runs: hours (tests/soak.list)
## make fuzz-vmo  libFuzzer and AFL++ on VMO files, FUZZ_SECONDS=600 for each
## make core-coverage   how many lines of core/ its unit tests execute
## make fuzz-core libFuzzer on core/, FUZZ_SECONDS=600 for each target
## make kcsan     the ioctl tests on a kernel that looks for data races
##
## make setup     install the Debian packages of rig/packages.txt
## make bochs     build the Bochs that boots of tests run on, without its debugger: 2.5 times
##                as fast as Debian's, which all take that measure; `make check` does it
## make all       build the library, the command and the programs (out/)
## make rig       build the emulated PC: its kernel, the guest kernel, its files
## make shell     a prompt on the emulated PC, hypr and the demo guest in place
## make series    overlay and hooks as a mailable patch series: out/series/
## make series-check    the same, and build each of its steps
## make selftests the kernel's own KVM selftests, all that can run, on stock and
##                patched kernels: out/selftests.txt
## make kernels   the full kernels for real servers: build-host/, build-guest/
## make install   install libhypr, hypr and the manual (PREFIX=, DESTDIR=)
## make clean     remove what was built, except the unpacked kernel source
## make distclean remove that too
##
## KERNEL_SRC= is a Linux 6.12.y source other than that of linux-source-6.12.

-include core/build.mk
-include hyprv/build.mk
-include lib/build.mk
-include cli/build.mk
-include guests/build.mk
-include examples/build.mk
-include tests/guest/build.mk
-include tests/hyprv/build.mk
-include bench/build.mk
-include tests/unit/build.mk
-include tests/fuzz/build.mk
-include tests/kvm/build.mk
-include tests/call/build.mk
include kernel/build.mk
include rig/build.mk

FORCE:

setup:
	@rig/setup

.PHONY: bochs
bochs: out/bochs/bochs

out/bochs/bochs: rig/build-bochs
	@rig/step setup "build Bochs" out/logs/bochs.log rig/build-bochs out/bochs

# Everything but kernels: the programs here and those for the emulated PC.
programs: $(PROGRAMS) $(RIG_CONSOLE) \
	$(filter-out build-%,$(RIG_FILES_FROM))

all: programs

# The list is what tests/run goes through.
unit-tests: $(UNIT_TESTS)
	@mkdir -p out/tests
	@printf '%s\n' $(UNIT_TESTS) >out/tests/unit.list

# The recipes below run one step after another, also under make -j: packages
# first, then programs, then kernels, then the emulated PC.
MAKE_QUIET = $(MAKE) --no-print-directory --silent

rig:
	@rig/step build "programs" out/logs/programs.log \
		$(MAKE_QUIET) -j"$$(nproc)" programs
	@$(MAKE_QUIET) build-rig/vmlinuz
	@rig/step rig "initramfs" out/logs/initramfs.log \
		$(MAKE_QUIET) --old-file=build-guest/vmlinuz $(RIG_INITRAMFS)

demo: setup
	@$(MAKE_QUIET) rig
	@rig/demo

check: setup
	@tests/run

.PHONY: check-quick
check-quick: setup
	@tests/run quick

.PHONY: bench
bench: setup
	@$(MAKE_QUIET) rig
	@HYPR_STOCK=1 $(KERNEL_BUILD) rig
	@bench/swap-run
	@tests/bench_bars out/bench.json

.PHONY: bench-native
bench-native:
	@bench/native-run

.PHONY: bench-core core-coverage fuzz-core
bench-core: setup
	@$(MAKE_QUIET) -j2 $(CORE_BENCH)
	@bench/core-run

core-coverage: setup
	@tests/core/coverage

fuzz-core: setup
	@tests/fuzz/core-check --seconds $(or $(FUZZ_SECONDS),600)

.PHONY: soak kcsan
soak: setup
	@tests/run soak

kcsan: setup
	@tests/run kcsan

.PHONY: selftests
selftests: setup
	@tests/run selftests:full

install: install-lib install-cli install-guest

shell: setup
	@$(MAKE_QUIET) rig
	@rig/run --shell

clean:
	rm -rf build-host build-guest build-guest-stock build-rig build-rig-off \
		build-debug build-kcsan build-rig-tlb build-rig-stock
	find out -mindepth 1 -maxdepth 1 ! -name src ! -name .kernel.lock \
		-exec rm -rf {} +

.PHONY: distclean
distclean: clean
	rm -rf out
