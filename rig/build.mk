# SPDX-License-Identifier: GPL-2.0-only
#
# The emulated PC: its initramfs, made of busybox and of what the areas name in
# RIG_FILES, and the program that joins its console to a terminal.

RIG_INITRAMFS := out/rig/initramfs.cpio
RIG_CONSOLE := out/bin/rig-console

RIG_FILES += build-guest/vmlinuz:/demo/vmlinuz

# The part before the colon of each pair.
RIG_FILES_FROM = $(foreach f,$(RIG_FILES),$(firstword $(subst :, ,$(f))))

$(RIG_CONSOLE): rig/console.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $<

# Made again also when the list changes, by a file that changes with it.
out/rig/files.list: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' $(RIG_FILES) >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

.SECONDEXPANSION:
$(RIG_INITRAMFS): rig/mkinitramfs rig/archive.sh rig/init rig/put-file rig/tap-run \
		rig/tap-each rig/motd rig/complaints.awk \
		out/rig/files.list $$(RIG_FILES_FROM)
	rig/mkinitramfs $@ $(RIG_FILES)
