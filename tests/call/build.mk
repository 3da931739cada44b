# SPDX-License-Identifier: GPL-2.0-only
#
# Function VMs on a real KVM: on this machine where there is one, as unit tests, and on
# the emulated PC.
CALL_TESTS := out/tests/call/call_test out/tests/call/error_test out/tests/call/png_test
UNIT_TESTS += $(CALL_TESTS)
PROGRAMS += $(CALL_TESTS)
RIG_FILES += $(foreach t,$(CALL_TESTS),$(t):/tests/call/$(notdir $(t))) \
	tests/rig/call.sh:/tests/rig/call.sh

out/obj/tests/call/%.o: tests/call/%.c tests/call/build.mk
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -I. -D_GNU_SOURCE -pthread -MMD -MP -c -o $@ $<

out/obj/tests/call/pngs.h: tests/call/make_pngs
	@mkdir -p $(@D)
	$< >$@.new
	mv $@.new $@

out/obj/tests/call/png_test.o: CFLAGS += -iquote out/obj/tests/call
out/obj/tests/call/png_test.o: out/obj/tests/call/pngs.h

$(CALL_TESTS): out/tests/call/%: out/obj/tests/call/%.o out/obj/tests/call/kit.o \
		out/obj/tests/guest/tap.o out/lib/libhypr.a | $(FUNC_ELFS)
	@mkdir -p $(@D)
	$(CC) -static -pthread -o $@ $^ $(LIB_LIBS)

# It installs, so that all of that is built.
UNIT_TESTS += tests/call/install_test
unit-tests: $(CLI_HYPR) $(LIB_STATIC) $(LIB_SHARED) $(LIB_PC) $(GUEST_LIB) $(GUEST_LD) $(GUEST_PC)

-include $(wildcard out/obj/tests/call/*.d)
