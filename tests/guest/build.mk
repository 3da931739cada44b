# SPDX-License-Identifier: GPL-2.0-only
# Tiny guests and the harness that runs them, on the device of HYPR_DEVICE: for
# tests/kvm and bench/.

TEST_GUEST_OBJ := $(patsubst tests/guest/%.c,out/obj/tests/guest/%.o,$(wildcard tests/guest/*.c))
TEST_GUEST_CFLAGS := $(CFLAGS) -MMD -MP -pthread

# The guest is copied into a VM: relative addresses only, no SSE, and
# no red zone, since interrupts come on the same stack.
$(addprefix out/obj/tests/guest/,guest.o guest_vmx.o guest_svm.o): TEST_GUEST_CFLAGS += \
	-ffreestanding -fpie -mgeneral-regs-only \
	-mno-red-zone -fno-stack-protector -fno-jump-tables \
	-fno-tree-loop-distribute-patterns -fcf-protection=none \
	-fno-asynchronous-unwind-tables

out/obj/tests/guest/%.o: tests/guest/%.c tests/guest/build.mk
	@mkdir -p $(@D)
	$(CC) $(TEST_GUEST_CFLAGS) -c -o $@ $<

-include $(wildcard out/obj/tests/guest/*.d)
