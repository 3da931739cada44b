# SPDX-License-Identifier: GPL-2.0-only
# Tests of the HYPR ioctls with tiny guests: programs that run on the emulated PC,
# each printing TAP.  They are one static program with many names (all.c).

KVMTEST_OBJ := out/obj/tests/kvm
KVMTEST_NAMES := $(patsubst tests/kvm/%.c,%,$(wildcard tests/kvm/*_test.c)) \
	soak fuzz
KVMTEST_ALL := out/tests/kvm/all
KVMTEST_COMMON_OBJ := $(addprefix $(KVMTEST_OBJ)/,fuzz_vm.o fuzz_state.o fuzz_reset.o moment.o) \
	$(TEST_GUEST_OBJ)
KVMTEST_CFLAGS := $(CFLAGS) -Itests/guest -MMD -MP -pthread

RIG_FILES += $(foreach t,$(KVMTEST_NAMES),$(KVMTEST_ALL):/tests/kvm/$(t))
RIG_FILES += tests/rig/kunit.sh:/tests/rig/kunit.sh

.PHONY: kvm-tests
kvm-tests: $(KVMTEST_ALL)

$(KVMTEST_OBJ)/%.o: tests/kvm/%.c tests/kvm/build.mk
	@mkdir -p $(@D)
	$(CC) $(KVMTEST_CFLAGS) -c -o $@ $<

# A program's main() as NAME_main(), and no other name of it to be seen.
$(KVMTEST_OBJ)/%.main.o: $(KVMTEST_OBJ)/%.o
	objcopy --keep-global-symbol=main $< $@
	objcopy --redefine-sym main=$*_main $@

$(KVMTEST_OBJ)/programs.h: FORCE
	@mkdir -p $(@D)
	@printf 'PROGRAM(%s)\n' $(KVMTEST_NAMES) >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(KVMTEST_OBJ)/all.o: KVMTEST_CFLAGS += -I$(KVMTEST_OBJ)
$(KVMTEST_OBJ)/all.o: $(KVMTEST_OBJ)/programs.h

$(KVMTEST_ALL): $(KVMTEST_OBJ)/all.o $(KVMTEST_NAMES:%=$(KVMTEST_OBJ)/%.main.o) \
		$(KVMTEST_COMMON_OBJ)
	@mkdir -p $(@D)
	$(CC) -static -pthread -o $@ $^

-include $(wildcard $(KVMTEST_OBJ)/*.d)

# Unit tests of a kernel file, with the types of core/, and of the ABI header.
KUNIT_OBJ := out/obj/tests/kernel-unit
KUNIT_CFLAGS := $(CFLAGS) -Itests/unit $(CORE_INCLUDE) -MMD -MP \
	-fsanitize=address,undefined -fno-sanitize-recover=all
KUNIT_CXXFLAGS := $(filter-out -std=gnu11,$(KUNIT_CFLAGS)) -std=c++11

UNIT_TESTS += out/tests/unit/abi_test out/tests/unit/kernel_lru_test

$(KUNIT_OBJ)/%.o: tests/unit/%.c tests/kvm/build.mk
	@mkdir -p $(@D)
	$(CC) $(KUNIT_CFLAGS) -c -o $@ $<

$(KUNIT_OBJ)/%.o: tests/unit/%.cc tests/kvm/build.mk
	@mkdir -p $(@D)
	$(CXX) $(KUNIT_CXXFLAGS) -c -o $@ $<

out/tests/unit/abi_test: $(KUNIT_OBJ)/abi_test.o $(KUNIT_OBJ)/abi_cxx.o
out/tests/unit/kernel_lru_test: $(KUNIT_OBJ)/kernel_lru_test.o
out/tests/unit/abi_test out/tests/unit/kernel_lru_test:
	@mkdir -p $(@D)
	$(CC) $(KUNIT_CFLAGS) -o $@ $(filter %.o,$^) -lcmocka

-include $(wildcard $(KUNIT_OBJ)/*.d)
