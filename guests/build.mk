# SPDX-License-Identifier: GPL-2.0-only
#
# The guests: programs that run inside a VM.  The demo guest "epoch" is /init of
# an initrd of its own, without a C library.

GUESTS_EPOCH_SRC := guests/epoch/epoch_main.c guests/epoch/epoch_core.c
GUESTS_EPOCH_OBJ := $(GUESTS_EPOCH_SRC:%.c=out/obj/%.o) \
		    out/obj/guests/epoch/start.o
GUESTS_EPOCH_INITRD := out/guests/epoch/initrd.cpio.gz

# No SSE: the program keeps a value in xmm15 itself, and checks it.
GUESTS_CFLAGS := -std=gnu11 -O2 -g -Wall -Wextra -Werror -ffreestanding \
		 -fno-stack-protector -fno-pie -fno-asynchronous-unwind-tables \
		 -fcf-protection=none -mgeneral-regs-only
GUESTS_LDFLAGS := -static -nostdlib -no-pie -Wl,--build-id=none -s

.PHONY: guests
guests: $(GUESTS_EPOCH_INITRD)

out/obj/guests/%.o: guests/%.c guests/build.mk
	@mkdir -p $(@D)
	$(CC) $(GUESTS_CFLAGS) -MMD -MP -c -o $@ $<

out/obj/guests/%.o: guests/%.S guests/build.mk
	@mkdir -p $(@D)
	$(CC) -MMD -MP -c -o $@ $<

out/guests/epoch/init: $(GUESTS_EPOCH_OBJ)
	@mkdir -p $(@D)
	$(CC) $(GUESTS_LDFLAGS) -o $@ $^

# "beat", for bench/linux.c: tells when its vCPUs were away.
GUESTS_BEAT_INITRD := out/guests/beat/initrd.cpio.gz
PROGRAMS += $(GUESTS_BEAT_INITRD)

out/obj/guests/beat/%.o: GUESTS_CFLAGS += -I.

out/guests/beat/init: out/obj/guests/beat/beat.o out/obj/guests/epoch/start.o
	@mkdir -p $(@D)
	$(CC) $(GUESTS_LDFLAGS) -o $@ $^

# "churn", for tests/rig/churn.c: threads that do, and check, what a swap could break.
GUESTS_CHURN_OBJ := $(patsubst %,out/obj/guests/churn/%.o,churn registers memory waits hold) \
		    out/obj/guests/epoch/start.o
GUESTS_CHURN_INITRD := out/guests/churn/initrd.cpio.gz
PROGRAMS += $(GUESTS_CHURN_INITRD)

out/obj/guests/churn/%.o: GUESTS_CFLAGS += -I.

out/guests/churn/init: $(GUESTS_CHURN_OBJ)
	@mkdir -p $(@D)
	$(CC) $(GUESTS_LDFLAGS) -o $@ $^

# A fixed time and owner: the same program gives the same initrd.
out/guests/%/initrd.cpio.gz: out/guests/%/init
	@mkdir -p out/obj/guests/$*/root
	cp $< out/obj/guests/$*/root/init
	touch -d @1700000000 out/obj/guests/$*/root/init
	(cd out/obj/guests/$*/root && echo init | \
		cpio -o -H newc --reproducible -R 0:0 --quiet) | \
		gzip -n -9 >$@.tmp
	mv $@.tmp $@

-include $(GUESTS_EPOCH_OBJ:.o=.d) $(GUESTS_CHURN_OBJ:.o=.d) out/obj/guests/beat/beat.d

RIG_FILES += $(GUESTS_EPOCH_INITRD):/demo/initrd

# The guest's checks, tested in a process and under the sanitizers.
GUESTS_EPOCH_TEST := out/tests/unit/epoch_test
UNIT_TESTS += $(GUESTS_EPOCH_TEST)

$(GUESTS_EPOCH_TEST): tests/unit/epoch_test.c guests/epoch/epoch_core.c \
		guests/epoch/epoch_core.h guests/epoch/epoch_report.h \
		guests/build.mk | out/guests/epoch/init
	@mkdir -p $(@D)
	$(CC) -std=gnu11 -O1 -g -Wall -Wextra -Werror -I. \
		-fsanitize=address,undefined -fno-sanitize-recover=all \
		-o $@ tests/unit/epoch_test.c guests/epoch/epoch_core.c -lcmocka

# The runtime of function VMs, out/guest/: the library, the linker script, hypr-guest.pc.
# Built with the options of the .pc file and no others but warnings: as users build.
GUEST_SRC := $(wildcard guests/runtime/*.c)
GUEST_OBJ := $(GUEST_SRC:%.c=out/obj/%.o) out/obj/guests/runtime/start.o
GUEST_LIB := out/guest/libhypr-guest.a
GUEST_LD := out/guest/hypr/hypr-guest.ld
GUEST_PC := out/guest/hypr-guest.pc
GUEST_CFLAGS = -std=gnu11 -O2 -g -Wall -Wextra -Werror -Iinclude \
	$(filter-out -I%,$(shell sed -n 's/^Cflags: //p' guests/runtime/hypr-guest.pc.in))
GUEST_LIBS = $(subst $${libdir},out/guest,$(shell sed -n 's/^Libs: //p' guests/runtime/hypr-guest.pc.in))
PROGRAMS += $(GUEST_LIB) $(GUEST_LD) $(GUEST_PC)

out/obj/guests/runtime/%.o: guests/runtime/%.c guests/build.mk guests/runtime/hypr-guest.pc.in
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -MMD -MP -c -o $@ $<

out/obj/guests/runtime/start.o: guests/runtime/start.S include/hypr/abi/func.h
	@mkdir -p $(@D)
	$(CC) -Iinclude -c -o $@ $<

$(GUEST_LIB): $(GUEST_OBJ)
	@mkdir -p $(@D)
	rm -f $@
	$(AR) rcs $@ $^

$(GUEST_LD): guests/runtime/hypr-guest.ld
	@mkdir -p $(@D)
	cp $< $@

$(GUEST_PC): guests/runtime/hypr-guest.pc.in include/hypr/hypr.h guests/build.mk
	@mkdir -p $(@D)
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(LIB_VERSION)|' $< >$@

-include $(GUEST_OBJ:.o=.d)

# Function files: the examples, and those of the tests.
FUNC_ELFS := $(patsubst examples/call/%.c,out/guests/call/%.elf,$(wildcard examples/call/*.c)) \
	$(patsubst tests/call/guest/%,out/guests/call/%.elf,$(basename $(wildcard tests/call/guest/*)))
PROGRAMS += $(FUNC_ELFS)
RIG_FILES += $(foreach f,$(FUNC_ELFS),$(f):/call/$(notdir $(f)))

out/guests/call/%.elf: examples/call/%.c $(GUEST_LIB) $(GUEST_LD)
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $< $(GUEST_LIBS)

out/guests/call/%.elf: tests/call/guest/%.c $(GUEST_LIB) $(GUEST_LD)
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $< $(GUEST_LIBS)

out/guests/call/%.elf: tests/call/guest/%.S include/hypr/abi/func.h $(GUEST_LIB) $(GUEST_LD)
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -o $@ $< $(GUEST_LIBS)

.PHONY: install-guest
install-guest: $(GUEST_LIB) $(GUEST_LD) $(GUEST_PC)
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/lib/hypr
	install -m 644 $(GUEST_LIB) $(DESTDIR)$(PREFIX)/lib/
	install -m 644 $(GUEST_LD) $(DESTDIR)$(PREFIX)/lib/hypr/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(LIB_VERSION)|' \
		guests/runtime/hypr-guest.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/hypr-guest.pc

# hyprctl, for any Linux guest, and alone in an initrd, for tests.
GUESTS_HYPRCTL := out/guests/hyprctl
GUESTS_HYPRCTL_INITRD := out/guests/hyprctl.cpio.gz
PROGRAMS += $(GUESTS_HYPRCTL) $(GUESTS_HYPRCTL_INITRD)

out/obj/guests/hyprctl/hyprctl.o: GUESTS_CFLAGS += -Iinclude

$(GUESTS_HYPRCTL): out/obj/guests/hyprctl/hyprctl.o out/obj/guests/epoch/start.o
	@mkdir -p $(@D)
	$(CC) $(GUESTS_LDFLAGS) -o $@ $^

$(GUESTS_HYPRCTL_INITRD): $(GUESTS_HYPRCTL)
	@mkdir -p out/obj/guests/hyprctl/root
	cp $< out/obj/guests/hyprctl/root/init
	(cd out/obj/guests/hyprctl/root && echo init | \
		cpio -o -H newc --reproducible -R 0:0 --quiet) | gzip -n -9 >$@.tmp
	mv $@.tmp $@

-include out/obj/guests/hyprctl/hyprctl.d

# A multiboot kernel without an operating system, of 64 bits and repackaged as 32 bits.
GUESTS_MULTIBOOT := out/guests/multiboot.elf
GUESTS_MULTIBOOT_OBJ := out/obj/guests/multiboot/start.o out/obj/guests/multiboot/main.o
PROGRAMS += $(GUESTS_MULTIBOOT)
RIG_FILES += $(GUESTS_MULTIBOOT):/demo/multiboot.elf tests/rig/multiboot.sh:/tests/rig/multiboot.sh

out/obj/guests/multiboot/main.o: GUESTS_CFLAGS += -mno-red-zone

$(GUESTS_MULTIBOOT): $(GUESTS_MULTIBOOT_OBJ) guests/multiboot/multiboot.ld
	@mkdir -p $(@D)
	$(CC) $(GUESTS_LDFLAGS) -T guests/multiboot/multiboot.ld -Wl,-z,noexecstack \
		-Wl,--no-warn-rwx-segments -o $@ $(GUESTS_MULTIBOOT_OBJ)

-include $(GUESTS_MULTIBOOT_OBJ:.o=.d)
