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

# A fixed time and owner: the same program gives the same initrd.
$(GUESTS_EPOCH_INITRD): out/guests/epoch/init
	@mkdir -p out/obj/guests/epoch/root
	cp $< out/obj/guests/epoch/root/init
	touch -d @1700000000 out/obj/guests/epoch/root/init
	(cd out/obj/guests/epoch/root && echo init | \
		cpio -o -H newc --reproducible -R 0:0 --quiet) | \
		gzip -n -9 >$@.tmp
	mv $@.tmp $@

-include $(GUESTS_EPOCH_OBJ:.o=.d)

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
