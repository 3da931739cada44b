# SPDX-License-Identifier: GPL-2.0-only
#
# hyprv, the stand-alone hypervisor: out/hyprv/hyprv.ko, for the unpatched kernel of the
# emulated PC or for that of HYPRV_KERNEL (a kernel's build folder), in HYPRV_OUT.

HYPRV_KERNEL ?= $(CURDIR)/build-rig-stock
HYPRV_OUT ?= out/hyprv
HYPRV_KO := $(HYPRV_OUT)/hyprv.ko
HYPRV_MAKE = env -u MAKEFLAGS -u CFLAGS CCACHE_BASEDIR="$(CURDIR)" $(MAKE) -s \
	-C "$(HYPRV_KERNEL)" ARCH=x86_64
HYPRV_SRC := $(wildcard hyprv/*.[chS] core/*.[ch] core/linux/*.[ch])
HYPRV_ABI := kvm_hypr.h kvm_hypr_layout.h

# Kbuild puts objects beside their sources: it gets a tree of links of its own.
$(HYPRV_KO): $(HYPRV_SRC) $(addprefix kernel/overlay/include/uapi/linux/,$(HYPRV_ABI)) \
		hyprv/Kbuild hyprv/build.mk
	@mkdir -p $(HYPRV_OUT)/hyprv $(HYPRV_OUT)/core/linux $(HYPRV_OUT)/include/linux
	@find $(HYPRV_OUT) -type l -delete
	@for f in $(HYPRV_SRC); do ln -sf "$(CURDIR)/$$f" "$(HYPRV_OUT)/$$f"; done
	@for f in $(HYPRV_ABI); do ln -sf "$(CURDIR)/kernel/overlay/include/uapi/linux/$$f" \
		$(HYPRV_OUT)/include/linux; done
	@ln -sf "$(CURDIR)/hyprv/Kbuild" $(HYPRV_OUT)/Kbuild
	@[ -e "$(HYPRV_KERNEL)/scripts/module.lds" ] || $(HYPRV_MAKE) modules_prepare
	@$(HYPRV_MAKE) M="$(CURDIR)/$(HYPRV_OUT)" \
		KBUILD_EXTRA_SYMBOLS="$(HYPRV_KERNEL)/vmlinux.symvers" modules

.PHONY: hyprv
hyprv: $(HYPRV_KO)
