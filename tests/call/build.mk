# SPDX-License-Identifier: GPL-2.0-only
#
# Function VMs on a real KVM: on this machine where there is one, as a unit test, and on
# the emulated PC.
CALL_TEST := out/tests/call/call_test
CALL_TEST_OBJ := out/obj/tests/call/call_test.o
UNIT_TESTS += $(CALL_TEST)
PROGRAMS += $(CALL_TEST)
RIG_FILES += $(CALL_TEST):/tests/call/call_test tests/rig/call.sh:/tests/rig/call.sh

out/obj/tests/call/%.o: tests/call/%.c tests/call/build.mk
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -I. -D_GNU_SOURCE -pthread -MMD -MP -c -o $@ $<

$(CALL_TEST): $(CALL_TEST_OBJ) out/obj/tests/guest/tap.o out/lib/libhypr.a | $(FUNC_ELFS)
	@mkdir -p $(@D)
	$(CC) -static -pthread -o $@ $^ $(LIB_LIBS)

# It installs, so that all of that is built.
UNIT_TESTS += tests/call/install_test
unit-tests: $(CLI_HYPR) $(LIB_STATIC) $(LIB_SHARED) $(LIB_PC) $(GUEST_LIB) $(GUEST_LD) $(GUEST_PC)

-include $(CALL_TEST_OBJ:.o=.d)
