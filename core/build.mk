# SPDX-License-Identifier: GPL-2.0-only
#
# core/ in user space: out/lib/libcore.a, its unit tests out/tests/core/*_test under
# ASan and UBSan, and its bench programs out/bench/core_*.  A new core/NAME.c,
# tests/core/NAME_test.c or bench/core/NAME.c needs no line here.

CORE_SRC := $(wildcard core/*.c core/user/*.c)
CORE_OBJ := $(CORE_SRC:core/%.c=out/obj/core/%.o)
# For quotes alone: <numa.h> is libnuma's.
CORE_INCLUDE := -iquote core -iquote core/user
CORE_CFLAGS := $(CFLAGS) $(CORE_INCLUDE) -D_GNU_SOURCE -fPIC -pthread
CORE_LIBS := -lsodium -lnuma -pthread
CORE_STATIC := out/lib/libcore.a
PROGRAMS += $(CORE_STATIC)

out/obj/core/%.o: core/%.c core/build.mk
	@mkdir -p $(@D)
	$(CC) $(CORE_CFLAGS) -MMD -MP -c -o $@ $<

$(CORE_STATIC): $(CORE_OBJ)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

# Unit tests.  A test that makes a plat_*() fail wraps it: __wrap_plat_page_alloc().
CORE_TEST_OBJ := out/obj/tests/core
CORE_TEST_OUT := out/tests/core
CORE_TEST_SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all
CORE_TESTS := $(patsubst tests/core/%.c,$(CORE_TEST_OUT)/%,$(wildcard tests/core/*_test.c))
CORE_TEST_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror -I. $(CORE_INCLUDE) \
	-D_GNU_SOURCE -pthread -MMD -MP $(CORE_TEST_SANITIZE)
CORE_TEST_SUBJECT := $(CORE_TEST_OBJ)/subject.a
# Helpers of tests: every tests/core/*.c that is no test.
CORE_TEST_KIT := $(patsubst tests/core/%.c,$(CORE_TEST_OBJ)/tests/%.o,\
	$(filter-out %_test.c,$(wildcard tests/core/*.c)))
UNIT_TESTS += $(CORE_TESTS)

$(CORE_TEST_OBJ)/core/%.o: core/%.c core/build.mk
	@mkdir -p $(@D)
	$(CC) $(CORE_TEST_CFLAGS) -c -o $@ $<

$(CORE_TEST_OBJ)/tests/%.o: tests/core/%.c core/build.mk
	@mkdir -p $(@D)
	$(CC) $(CORE_TEST_CFLAGS) -c -o $@ $<

$(CORE_TEST_SUBJECT): $(CORE_SRC:%.c=$(CORE_TEST_OBJ)/%.o)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

$(CORE_TESTS): $(CORE_TEST_OUT)/%: $(CORE_TEST_OBJ)/tests/%.o $(CORE_TEST_KIT) $(CORE_TEST_SUBJECT)
	@mkdir -p $(@D)
	$(CC) $(CORE_TEST_CFLAGS) $(CORE_TEST_WRAP_$(*F)) -o $@ $^ $(CORE_LIBS) -lcmocka

# What a test replaces of the platform.
comma := ,
CORE_WRAP_PAGES := -Wl,--wrap=plat_page_alloc,--wrap=plat_alloc
CORE_TEST_WRAP_pool_test := $(CORE_WRAP_PAGES) \
	-Wl,--wrap=plat_lock_init,--wrap=plat_cpu,--wrap=plat_cpu_count
CORE_TEST_WRAP_numa_test := $(CORE_WRAP_PAGES) \
	$(patsubst %,-Wl$(comma)--wrap=plat_%,cpu node_count node_of_cpu node_distance)
CORE_TEST_WRAP_secure_test := $(patsubst %,-Wl$(comma)--wrap=plat_%,\
	alloc random secret_alloc secret_free secret_protect digest lock_init lock_take lock_drop)
CORE_TEST_WRAP_mmu_test := $(CORE_WRAP_PAGES)
CORE_TEST_WRAP_shadow_error_test := $(CORE_WRAP_PAGES)
CORE_TEST_WRAP_plat_test := -Wl,--wrap=getrandom,--wrap=sodium_init
CORE_TEST_WRAP_plat_pages_test := $(patsubst %,-Wl$(comma)--wrap=numa_%,\
	available max_node node_of_cpu distance tonode_memory)

# Threads in a pool once more, under TSan.
CORE_POOL_TSAN := out/tests/core/pool_thread_tsan_test
UNIT_TESTS += $(CORE_POOL_TSAN)

$(CORE_POOL_TSAN): tests/core/pool_thread_test.c $(CORE_SRC) $(wildcard core/*.h core/user/*.h)
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP -fsanitize=% -fno-sanitize-%,$(CORE_TEST_CFLAGS)) \
		-fsanitize=thread -o $@ $(filter %.c,$^) $(CORE_LIBS) -lcmocka

# The machine's own nodes: for the emulated PC, where it finds two.
CORE_NUMA := out/tests/rig/numa
PROGRAMS += $(CORE_NUMA)

$(CORE_NUMA): tests/rig/numa.c $(CORE_STATIC)
	@mkdir -p $(@D)
	$(CC) $(CORE_CFLAGS) -static -Wl,--wrap=getaddrinfo -o $@ $^ $(CORE_LIBS)

# Bench programs, without sanitisers: out/bench/core_NAME from bench/core/NAME.c.
CORE_BENCH := $(patsubst bench/core/%.c,out/bench/core_%,$(wildcard bench/core/*.c))
PROGRAMS += $(CORE_BENCH)

out/bench/core_tlb: $(patsubst %,tests/core/tlb_%.c,soft machine world broken)

out/bench/core_%: bench/core/%.c $(CORE_STATIC) core/build.mk
	@mkdir -p $(@D)
	$(CC) $(CORE_CFLAGS) -MMD -MP -I. -o $@ $(filter %.c,$^) $(CORE_STATIC) $(CORE_LIBS) -ljansson

# Fuzz targets, with clang's libFuzzer: out/fuzz/core/NAME from tests/fuzz/core_NAME.c.
# Not part of `all`: they need clang.
CORE_FUZZ := $(patsubst tests/fuzz/core_%.c,out/fuzz/core/%,$(wildcard tests/fuzz/core_*.c))
CORE_FUZZ_KIT := $(filter-out %_test.c,$(wildcard tests/core/*.c))

out/obj/fuzz/core/%.o: %.c core/build.mk
	@mkdir -p $(@D)
	clang $(CORE_TEST_CFLAGS) -O2 -fsanitize=fuzzer-no-link -c -o $@ $<

$(CORE_FUZZ): out/fuzz/core/%: out/obj/fuzz/core/tests/fuzz/core_%.o \
		$(CORE_SRC:%.c=out/obj/fuzz/core/%.o) $(CORE_FUZZ_KIT:%.c=out/obj/fuzz/core/%.o)
	@mkdir -p $(@D)
	clang $(CORE_TEST_CFLAGS) -fsanitize=fuzzer -o $@ $^ $(CORE_LIBS)

.PHONY: core-fuzz
core-fuzz: $(CORE_FUZZ)

-include $(CORE_OBJ:.o=.d) $(wildcard $(CORE_TEST_OBJ)/*/*.d $(CORE_TEST_OBJ)/*/*/*.d out/bench/core_*.d) \
	$(wildcard out/obj/fuzz/core/*/*.d out/obj/fuzz/core/*/*/*.d)
