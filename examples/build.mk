# SPDX-License-Identifier: GPL-2.0-only
#
# examples/fuzz: a guest with planted faults, and two fuzzers for it.  Those for users are
# built by the Makefile there; this builds the same for tests and for the emulated PC.

FUZZ_EX_OBJ := out/obj/examples/fuzz
FUZZ_EX_GUEST := out/guests/fuzz-guest
FUZZ_EX_LOOP := out/bin/hypr-fuzz
FUZZ_EX_AFL := out/bin/hypr-fuzz-afl
FUZZ_EX_CFLAGS := $(CFLAGS) -D_GNU_SOURCE -MMD -MP

PROGRAMS += $(FUZZ_EX_GUEST) $(FUZZ_EX_LOOP) $(FUZZ_EX_AFL)

$(FUZZ_EX_OBJ)/%.o: examples/fuzz/%.c examples/build.mk
	@mkdir -p $(@D)
	$(CC) $(FUZZ_EX_CFLAGS) -c -o $@ $<

$(FUZZ_EX_LOOP): $(FUZZ_EX_OBJ)/loop.o $(FUZZ_EX_OBJ)/fuzz.o out/lib/libhypr.a
	@mkdir -p $(@D)
	$(CC) -static -pthread -o $@ $^ $(LIB_LIBS)

$(FUZZ_EX_AFL): $(FUZZ_EX_OBJ)/afl.o $(FUZZ_EX_OBJ)/fuzz.o out/lib/libhypr.a
	@mkdir -p $(@D)
	$(CC) -static -pthread -o $@ $^ $(LIB_LIBS)

-include $(wildcard $(FUZZ_EX_OBJ)/*.d $(FUZZ_EX_OBJ)/guest/*.d)

# What is fuzzed counts its basic blocks; the rest of the guest does not.
$(FUZZ_EX_OBJ)/guest/target.o: FUZZ_EX_COUNT := -fsanitize-coverage=trace-pc
$(FUZZ_EX_OBJ)/guest/%.o: examples/fuzz/%.c examples/build.mk
	@mkdir -p $(@D)
	$(CC) $(GUESTS_CFLAGS) -Iinclude -mno-red-zone $(FUZZ_EX_COUNT) -MMD -MP -c -o $@ $<

$(FUZZ_EX_OBJ)/guest/start.o: examples/fuzz/start.S examples/build.mk
	@mkdir -p $(@D)
	$(CC) -c -o $@ $<

$(FUZZ_EX_GUEST).elf: $(patsubst %,$(FUZZ_EX_OBJ)/guest/%.o,start guest target) examples/fuzz/guest.ld
	@mkdir -p $(@D)
	$(CC) -static -nostdlib -no-pie -Wl,--build-id=none -Wl,-T,examples/fuzz/guest.ld \
		-Wl,--no-warn-rwx-segments -o $@ $(filter %.o,$^)

$(FUZZ_EX_GUEST): $(FUZZ_EX_GUEST).elf
	objcopy -O binary $< $@
