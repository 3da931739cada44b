# SPDX-License-Identifier: GPL-2.0-only
#
# hyprv, the stand-alone hypervisor: out/hyprv/hyprv.ko, for the unpatched kernel of the
# emulated PC or for that of HYPRV_KERNEL (a kernel's build folder).

HYPRV_KERNEL ?= $(CURDIR)/build-rig-stock
HYPRV_KO := out/hyprv/hyprv.ko
HYPRV_SRC := $(wildcard hyprv/*.[chS] core/*.[ch] core/linux/*.[ch])

# Kbuild puts objects beside their sources: it gets a tree of links of its own.
$(HYPRV_KO): $(HYPRV_SRC) hyprv/Kbuild hyprv/build.mk
	@mkdir -p out/hyprv/hyprv out/hyprv/core/linux
	@find out/hyprv -type l -delete
	@for f in $(HYPRV_SRC); do ln -sf "$(CURDIR)/$$f" "out/hyprv/$$f"; done
	@ln -sf "$(CURDIR)/hyprv/Kbuild" out/hyprv/Kbuild
	@env -u MAKEFLAGS -u CFLAGS CCACHE_BASEDIR="$(CURDIR)" $(MAKE) -s -C "$(HYPRV_KERNEL)" \
		ARCH=x86_64 M="$(CURDIR)/out/hyprv" \
		KBUILD_EXTRA_SYMBOLS="$(HYPRV_KERNEL)/vmlinux.symvers" modules

.PHONY: hyprv
hyprv: $(HYPRV_KO)
