# SPDX-License-Identifier: GPL-2.0-only
#
# The hypr command, out/bin/hypr: static, so that the same file runs here and on
# the emulated PC.

CLI_SRC := $(wildcard cli/*.c)
CLI_OBJ := $(CLI_SRC:cli/%.c=out/obj/cli/%.o)
CLI_CFLAGS := $(CFLAGS) -D_GNU_SOURCE -pthread
CLI_HYPR := out/bin/hypr

.PHONY: cli
cli: $(CLI_HYPR)
PROGRAMS += $(CLI_HYPR)
RIG_FILES += $(CLI_HYPR):/bin/hypr

out/obj/cli/%.o: cli/%.c cli/build.mk
	@mkdir -p $(@D)
	$(CC) $(CLI_CFLAGS) -MMD -MP -c -o $@ $<

$(CLI_HYPR): $(CLI_OBJ) $(LIB_STATIC)
	@mkdir -p $(@D)
	$(CC) -static -o $@ $(CLI_OBJ) $(LIB_STATIC) $(LIB_LIBS)

-include $(CLI_OBJ:.o=.d)

.PHONY: install-cli
install-cli: cli
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 755 $(CLI_HYPR) $(DESTDIR)$(PREFIX)/bin/
	install -m 644 docs/man/hypr.1 docs/man/hypr-call.1 docs/man/hypr-vmo.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 cli/hypr.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/hypr

# Shell tests of the command, run there (tests/rig.list).
RIG_FILES += $(foreach f,common.sh cli.sh forced.sh vmo.sh snapshot.sh fuzz.sh wset.sh amd.sh amd_guest.sh,tests/rig/$(f):/tests/rig/$(f))
RIG_FILES += tests/golden/intel-guest.vmo:/tests/golden/intel-guest.vmo

# Makes the files with read-only memory that vmo.sh tries.
CLI_READONLY := out/tests/rig/vmo-readonly
PROGRAMS += $(CLI_READONLY)

$(CLI_READONLY): tests/rig/vmo_readonly.c $(LIB_STATIC)
	@mkdir -p $(@D)
	$(CC) $(CLI_CFLAGS) -static -o $@ $^ $(LIB_LIBS)

# Swaps a guest that checks itself, for rig.list.
CLI_CHURN := out/tests/rig/churn
PROGRAMS += $(CLI_CHURN)

$(CLI_CHURN): tests/rig/churn.c guests/churn/churn_report.h $(LIB_STATIC)
	@mkdir -p $(@D)
	$(CC) $(CLI_CFLAGS) -I. -static -o $@ $(filter-out %.h,$^) $(LIB_LIBS)

# Reads a guest's ELF core as gdb does, for vmo.sh.
CLI_CORE_READ := out/tests/rig/core-read
PROGRAMS += $(CLI_CORE_READ)

$(CLI_CORE_READ): tests/rig/core_read.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -static -o $@ $<
