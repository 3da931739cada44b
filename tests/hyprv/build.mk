# SPDX-License-Identifier: GPL-2.0-only
#
# Unit tests of hyprv's pure files, in user space, and the program that tests the module
# on the emulated PC.

HYPRV_TEST_OBJ := out/obj/tests/hyprv
HYPRV_TEST_CFLAGS := -std=gnu11 -O1 -g -Wall -Wextra -Werror -iquote hyprv $(CORE_INCLUDE) \
	-MMD -MP -fsanitize=address,undefined -fno-sanitize-recover=all
HYPRV_UNIT := out/tests/unit/hyprv_vmcs_check_test out/tests/unit/hyprv_decode_test \
	out/tests/unit/hyprv_lapic_test out/tests/unit/hyprv_vmx_need_test
UNIT_TESTS += $(HYPRV_UNIT)

$(HYPRV_TEST_OBJ)/%.o: hyprv/%.c tests/hyprv/build.mk
	@mkdir -p $(@D)
	$(CC) $(HYPRV_TEST_CFLAGS) -c -o $@ $<

$(HYPRV_TEST_OBJ)/%_test.o: tests/hyprv/%_test.c tests/hyprv/build.mk
	@mkdir -p $(@D)
	$(CC) $(HYPRV_TEST_CFLAGS) -c -o $@ $<

out/tests/unit/hyprv_vmcs_check_test: $(addprefix $(HYPRV_TEST_OBJ)/,vmcs_check_test.o \
	vmcs_check.o vmcs_check_guest.o)
out/tests/unit/hyprv_decode_test: $(HYPRV_TEST_OBJ)/decode_test.o $(HYPRV_TEST_OBJ)/decode.o
out/tests/unit/hyprv_vmx_need_test: $(HYPRV_TEST_OBJ)/vmx_need_test.o $(HYPRV_TEST_OBJ)/vmx_need.o
out/tests/unit/hyprv_lapic_test: $(addprefix $(HYPRV_TEST_OBJ)/,lapic_test.o lapic.o \
	lapic_target.o)
$(HYPRV_UNIT):
	@mkdir -p $(@D)
	$(CC) $(HYPRV_TEST_CFLAGS) -o $@ $(filter %.o,$^) -lcmocka

# They run on the emulated PC, with the module loaded.
HYPRV_PROGRAMS := $(patsubst %,out/tests/hyprv/%,device api views paging apic nmi instruction \
	fuzz fuzz_ioctl reaper)
PROGRAMS += $(HYPRV_PROGRAMS)

$(HYPRV_PROGRAMS): out/tests/hyprv/%: tests/hyprv/%.c $(TEST_GUEST_OBJ)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -Itests/guest -iquote hyprv -static -pthread -o $@ $^

-include $(wildcard $(HYPRV_TEST_OBJ)/*.d)
