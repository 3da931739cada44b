# SPDX-License-Identifier: GPL-2.0-only
#
# hypr-demo, the demonstration that `make demo` runs on the emulated PC: static,
# on libhypr, with the report format of the guest "epoch".

BENCH_DEMO_SRC := bench/demo.c bench/bench.c bench/demo_result.c bench/timeline.c \
		  bench/stats.c bench/memslot_replace.c
BENCH_DEMO_OBJ := $(BENCH_DEMO_SRC:%.c=out/obj/%.o)
BENCH_CFLAGS := $(CFLAGS) -D_GNU_SOURCE -I. -pthread
BENCH_DEMO := out/bin/hypr-demo

out/obj/bench/%.o: bench/%.c bench/build.mk
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -MMD -MP -c -o $@ $<

$(BENCH_DEMO): $(BENCH_DEMO_OBJ) out/lib/libhypr.a
	@mkdir -p $(@D)
	$(CC) -static -pthread -o $@ $^ $(LIB_LIBS)

-include $(BENCH_DEMO_OBJ:.o=.d)

PROGRAMS += $(BENCH_DEMO)

# hypr-bench-swap: swaps and plain KVM with the tiny guest of the ioctl tests.
BENCH_SWAP_SRC := bench/swap.c bench/swap_bench.c bench/reset_bench.c bench/prepare_bench.c bench/stats.c \
		  bench/stats_json.c bench/memslot_replace.c
BENCH_SWAP_OBJ := $(BENCH_SWAP_SRC:%.c=out/obj/%.o)
BENCH_SWAP := out/bin/hypr-bench-swap

$(BENCH_SWAP): $(BENCH_SWAP_OBJ) $(TEST_GUEST_OBJ)
	@mkdir -p $(@D)
	$(CC) -static -pthread -o $@ $^ -ljansson

-include $(BENCH_SWAP_OBJ:.o=.d)

PROGRAMS += $(BENCH_SWAP)

# hypr-bench-linux: whole swaps and resets of a Linux guest.
BENCH_LINUX_SRC := bench/linux.c bench/bench.c bench/timeline.c bench/stats.c \
		   bench/stats_json.c
BENCH_LINUX_OBJ := $(BENCH_LINUX_SRC:%.c=out/obj/%.o)
BENCH_LINUX := out/bin/hypr-bench-linux

$(BENCH_LINUX): $(BENCH_LINUX_OBJ) out/lib/libhypr.a
	@mkdir -p $(@D)
	$(CC) -static -pthread -o $@ $^ $(LIB_LIBS)

-include $(BENCH_LINUX_OBJ:.o=.d)

PROGRAMS += $(BENCH_LINUX)

# hypr-bench-swap --device, on KVM with views and on hyprv: two boots.
.PHONY: bench-hyprv
bench-hyprv: setup
	@$(MAKE_QUIET) rig
	@HYPR_STOCK=1 $(KERNEL_BUILD) rig
	@$(MAKE_QUIET) hyprv
	@bench/hyprv-run
	@tests/bench_hyprv_bars out/bench-hyprv.json

# hypr-bench-start: from a VMO file to a guest that works, on the emulated PC.
BENCH_START_SRC := bench/start.c bench/bench.c bench/timeline.c bench/stats.c
BENCH_START_OBJ := $(BENCH_START_SRC:%.c=out/obj/%.o)
BENCH_START := out/bin/hypr-bench-start

$(BENCH_START): $(BENCH_START_OBJ) out/lib/libhypr.a
	@mkdir -p $(@D)
	$(CC) -static -pthread -o $@ $^ $(LIB_LIBS)

-include $(BENCH_START_OBJ:.o=.d)

PROGRAMS += $(BENCH_START)

# How the demo judges, under the sanitizers.
BENCH_TEST := out/tests/unit/demo_test
BENCH_TEST_SRC := tests/unit/demo_test.c bench/demo_result.c bench/timeline.c \
		  bench/stats.c
UNIT_TESTS += $(BENCH_TEST)

$(BENCH_TEST): $(BENCH_TEST_SRC) $(wildcard bench/*.h) \
		guests/epoch/epoch_report.h bench/build.mk
	@mkdir -p $(@D)
	$(CC) $(BENCH_CFLAGS) -O1 -fsanitize=address,undefined \
		-fno-sanitize-recover=all -o $@ $(BENCH_TEST_SRC) -lcmocka -ljansson

# hypr-bench-vmo: VMO files, natively; and from a file to a guest that works.
BENCH_VMO_SRC := bench/vmo.c bench/vmo_bench.c bench/vmo_speed.c bench/vmo_start.c \
		 bench/vmo_clones.c bench/bench.c bench/stats.c
BENCH_VMO_OBJ := $(BENCH_VMO_SRC:%.c=out/obj/%.o)
BENCH_VMO := out/bin/hypr-bench-vmo
PROGRAMS += $(BENCH_VMO)

$(BENCH_VMO): $(BENCH_VMO_OBJ) out/lib/libhypr.a
	@mkdir -p $(@D)
	$(CC) -pthread -o $@ $^ $(LIB_LIBS)

-include $(BENCH_VMO_OBJ:.o=.d)

.PHONY: bench-vmo
bench-vmo: setup
	@$(MAKE_QUIET) $(BENCH_VMO)
	@$(BENCH_VMO) $(if $(BENCH_ROUNDS),--rounds $(BENCH_ROUNDS)) --json out/bench-vmo.json
	@echo "figures: out/bench-vmo.json"
	@$(MAKE_QUIET) rig
	@bench/start-run

# hypr-bench-call: a function VM, a new VM, a process; on the emulated PC.
BENCH_CALL_SRC := bench/call.c bench/bench.c bench/stats.c
BENCH_CALL_OBJ := $(BENCH_CALL_SRC:%.c=out/obj/%.o)
BENCH_CALL := out/bin/hypr-bench-call
BENCH_CALL_PROCESS := out/bench/call-process
BENCH_CALL_ELF := out/bench/call-empty.elf
PROGRAMS += $(BENCH_CALL) $(BENCH_CALL_PROCESS) $(BENCH_CALL_ELF)

$(BENCH_CALL): $(BENCH_CALL_OBJ) out/lib/libhypr.a
	@mkdir -p $(@D)
	$(CC) -static -pthread -o $@ $^ $(LIB_LIBS)

-include $(BENCH_CALL_OBJ:.o=.d)

$(BENCH_CALL_ELF): bench/call/empty.c $(GUEST_LIB) $(GUEST_LD)
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $< $(GUEST_LIBS)

$(BENCH_CALL_PROCESS): bench/call/process.c bench/call/empty.c include/hypr/guest.h
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -static -nostdlib -no-pie -o $@ bench/call/process.c bench/call/empty.c

.PHONY: bench-call
bench-call: setup
	@$(MAKE_QUIET) rig
	@$(MAKE_QUIET) -j2 $(BENCH_CALL) $(BENCH_CALL_PROCESS) $(BENCH_CALL_ELF)
	@HYPR_STOCK=1 $(KERNEL_BUILD) rig
	@$(MAKE_QUIET) hyprv
	@bench/call-run
	@tests/bench_call_bars out/bench-call.json
