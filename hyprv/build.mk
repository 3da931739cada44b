# SPDX-License-Identifier: GPL-2.0-only
#
# hyprv, the stand-alone hypervisor: out/hyprv/hyprv.ko, for the unpatched kernel of the
# emulated PC or for that of HYPRV_KERNEL (a kernel's build folder).

HYPRV_KERNEL ?= $(CURDIR)/build-rig-stock
HYPRV_KO := out/hyprv/hyprv.ko
HYPRV_SRC := $(wildcard hyprv/*.[chS] core/*.[ch] core/linux/*.[ch])
HYPRV_ABI := kvm_hypr.h kvm_hypr_layout.h

# Kbuild puts objects beside their sources: it gets a tree of links of its own.
$(HYPRV_KO): $(HYPRV_SRC) $(addprefix kernel/overlay/include/uapi/linux/,$(HYPRV_ABI)) hyprv/Kbuild hyprv/build.mk
	@mkdir -p out/hyprv/hyprv out/hyprv/core/linux out/hyprv/include/linux
	@find out/hyprv -type l -delete
	@for f in $(HYPRV_SRC); do ln -sf "$(CURDIR)/$$f" "out/hyprv/$$f"; done
	@for f in $(HYPRV_ABI); do \
		ln -sf "$(CURDIR)/kernel/overlay/include/uapi/linux/$$f" out/hyprv/include/linux; done
	@ln -sf "$(CURDIR)/hyprv/Kbuild" out/hyprv/Kbuild
	@env -u MAKEFLAGS -u CFLAGS CCACHE_BASEDIR="$(CURDIR)" $(MAKE) -s -C "$(HYPRV_KERNEL)" \
		ARCH=x86_64 M="$(CURDIR)/out/hyprv" \
		KBUILD_EXTRA_SYMBOLS="$(HYPRV_KERNEL)/vmlinux.symvers" modules

.PHONY: hyprv
hyprv: $(HYPRV_KO)
