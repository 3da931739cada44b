# SPDX-License-Identifier: GPL-2.0-only
#
# Fuzz targets of VMO files and function files, under ASan and UBSan: out/fuzz/libfuzzer/NAME with
# clang's libFuzzer, out/fuzz/afl/NAME with AFL++ in persistent mode, from the same
# source.  Not part of `all`: they need clang.

FUZZ_NAMES := vmo layers ws state func
FUZZ_SRC := $(patsubst %,tests/fuzz/%.c,input folder try) tests/unit/fake_vm.c $(LIB_SRC) $(LIB_CORE_SRC)
FUZZ_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror \
	-Wno-gnu-variable-sized-type-not-at-end -I. -Ilib -Iinclude \
	-Ikernel/overlay/include/uapi $(CORE_INCLUDE) -D_GNU_SOURCE -pthread -MMD -MP \
	-fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_LIBFUZZER := $(FUZZ_NAMES:%=out/fuzz/libfuzzer/%)
FUZZ_AFL := $(FUZZ_NAMES:%=out/fuzz/afl/%)
FUZZ_SEEDS := out/fuzz/seeds

# Two compilers with the same rules: objects below a folder of their own.
out/obj/fuzz/libfuzzer/%.o: %.c tests/fuzz/build.mk
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<

out/obj/fuzz/afl/%.o: %.c tests/fuzz/build.mk
	@mkdir -p $(@D)
	AFL_QUIET=1 afl-clang-fast $(FUZZ_CFLAGS) -c -o $@ $<

$(FUZZ_LIBFUZZER): out/fuzz/libfuzzer/%: out/obj/fuzz/libfuzzer/tests/fuzz/%_target.o \
		$(FUZZ_SRC:%.c=out/obj/fuzz/libfuzzer/%.o) $(LIB_MONITOR)
	@mkdir -p $(@D)
	clang $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIB_LIBS)

$(FUZZ_AFL): out/fuzz/afl/%: out/obj/fuzz/afl/tests/fuzz/%_target.o \
		$(FUZZ_SRC:%.c=out/obj/fuzz/afl/%.o) $(LIB_MONITOR)
	@mkdir -p $(@D)
	AFL_QUIET=1 afl-clang-fast $(FUZZ_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIB_LIBS)

# No fuzzer in it: gcc will do.
FUZZ_SEEDS_SRC := tests/fuzz/seeds.c $(patsubst %,tests/fuzz/%.c,input folder try) \
	tests/unit/fake_vm.c
$(FUZZ_SEEDS): $(FUZZ_SEEDS_SRC) $(UNIT_SUBJECT) tests/fuzz/fuzz.h
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(UNIT_CFLAGS)) -o $@ $(FUZZ_SEEDS_SRC) $(UNIT_SUBJECT) \
		$(LIB_LIBS)

-include $(shell find out/obj/fuzz -name '*.d' 2>/dev/null)

.PHONY: fuzz-libfuzzer fuzz-afl fuzz-corpus fuzz-vmo
fuzz-libfuzzer: $(FUZZ_LIBFUZZER)
fuzz-afl: $(FUZZ_AFL)

fuzz-corpus: $(FUZZ_SEEDS)
	$(FUZZ_SEEDS) tests/fuzz/corpus

fuzz-vmo: setup
	@tests/fuzz/run --seconds $(or $(FUZZ_SECONDS),600)
