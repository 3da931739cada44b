// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What a host has of what HYPR needs, found by asking the processor's flags,
 * the module's parameters and KVM itself, and what to do about what is missing.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kvm.h>
#include <linux/kvm_hypr.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/kvm.h"
#include "hypr/hypr.h"
#include "vm/host.h"

#define CPUINFO_LINE_MAX	8192

enum { MISSING, OK, UNKNOWN = -1 };

struct probe {
	struct hypr_host_check *check;	/* caller's array */
	unsigned int room;
	unsigned int nr;
};

static void add(struct probe *probe, const char *name, int ok, const char *detail,
		const char *advice)
{
	struct hypr_host_check *check;

	if (probe->nr++ >= probe->room)
		return;
	check = &probe->check[probe->nr - 1];
	memset(check, 0, sizeof(*check));
	check->name = name;
	check->ok = ok;
	snprintf(check->detail, sizeof(check->detail), "%s", detail);
	snprintf(check->advice, sizeof(check->advice), "%s", ok == OK ? "" : advice);
}

/* Is @word one of the blank-separated words of @line? */
static bool has_word(const char *line, const char *word)
{
	size_t len = strlen(word);
	const char *at = line;

	while ((at = strstr(at, word))) {
		bool starts = at == line || at[-1] == ' ' || at[-1] == '\t';

		if (starts && (at[len] == ' ' || at[len] == '\n' || at[len] == '\0'))
			return true;
		at += len;
	}
	return false;
}

/* The first line of /proc/cpuinfo that begins with @key; "" when there is none. */
static void cpuinfo_line(const char *key, char *line, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	size_t len = strlen(key);

	line[0] = '\0';
	if (!file)
		return;
	while (fgets(line, (int)size, file)) {
		if (!strncmp(line, key, len) && (line[len] == '\t' || line[len] == ' '))
			break;
		line[0] = '\0';
	}
	fclose(file);
}

/* 'Y', 'N', '0', ...; 0 when there is no such parameter. */
static char parameter(const char *module, const char *name)
{
	char path[96], value = 0;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/%s/parameters/%s", module, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	if (read(fd, &value, 1) != 1)
		value = 0;
	close(fd);
	return value;
}

/* AMD has one feature in place of three: its TLB tags need no counterpart. */
static bool probe_svm(struct probe *probe, char *line)
{
	char value = parameter("kvm_amd", "npt"), detail[96];
	bool npt;

	cpuinfo_line("flags", line, CPUINFO_LINE_MAX);
	if (!has_word(line, "svm"))
		return false;
	npt = has_word(line, "npt");
	add(probe, "svm", OK, "the processor has AMD-V", "");
	snprintf(detail, sizeof(detail), "processor: %s; kvm_amd: %s", npt ? "yes" : "no",
		 value == 'Y' || value == '1' ? "used" : value ? "switched off" : "not loaded");
	add(probe, "npt", value == 'Y' || value == '1' ? OK : MISSING, detail,
	    npt ? "load kvm_amd with this parameter set to 1" :
		  "a processor with this feature is needed");
	return true;
}

static bool is_amd(char *line)
{
	cpuinfo_line("vendor_id", line, CPUINFO_LINE_MAX);
	return strstr(line, "AuthenticAMD") || strstr(line, "HygonGenuine");
}

static void probe_vmx(struct probe *probe, char *line)
{
	if (is_amd(line)) {
		add(probe, "svm", MISSING, "no svm flag in /proc/cpuinfo",
		    "enable SVM (AMD-V) in the firmware, or nested virtualisation if this is a VM; the emulated PC (make shell) needs none");
		return;
	}
	cpuinfo_line("flags", line, CPUINFO_LINE_MAX);
	if (has_word(line, "vmx"))
		add(probe, "vmx", OK, "the processor has VT-x", "");
	else
		add(probe, "vmx", MISSING, "no vmx flag in /proc/cpuinfo",
		    "enable VT-x in the firmware, or nested virtualisation if this is a VM; the emulated PC (make shell) needs none");
}

/* A feature of VT-x: the processor's flag, and that kvm_intel uses it. */
static void probe_feature(struct probe *probe, const char *name, char *line)
{
	char value = parameter("kvm_intel", name), detail[96];

	cpuinfo_line("vmx flags", line, CPUINFO_LINE_MAX);
	snprintf(detail, sizeof(detail), "processor: %s; kvm_intel: %s",
		 has_word(line, name) ? "yes" : "no",
		 value == 'Y' || value == '1' ? "used" : value ? "switched off" : "not loaded");
	if (value == 'Y' || value == '1')
		add(probe, name, OK, detail, "");
	else if (has_word(line, name))
		add(probe, name, MISSING, detail, "load kvm_intel with this parameter set to 1");
	else
		add(probe, name, MISSING, detail, "a processor with this feature is needed");
}

static int probe_device(struct probe *probe)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version;

	if (fd < 0 && errno == ENOENT) {
		add(probe, "kvm", MISSING, "no /dev/kvm",
		    "modprobe kvm_intel, or kvm_amd; in a container, pass the device in");
		return -1;
	}
	if (fd < 0) {
		add(probe, "kvm", MISSING,
		    errno == EACCES || errno == EPERM ? "/dev/kvm may not be opened" :
						       "/dev/kvm cannot be opened",
		    "become a member of the group that owns /dev/kvm (often kvm), or root");
		return -1;
	}
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	add(probe, "kvm", version == KVM_API_VERSION ? OK : MISSING,
	    version == KVM_API_VERSION ? "/dev/kvm opens, API version 12" :
					 "/dev/kvm has another API version",
	    "a KVM of this century is needed");
	return fd;
}

/* The module hyprv, and who has VT-x: hyprv or KVM, whoever took it first. */
static void probe_hyprv(struct probe *probe)
{
	const char *advice = "only engine hyprv needs the module hyprv (hyprv(4))";
	char detail[96];
	int fd;

	if (!hypr_hyprv_loaded()) {
		snprintf(detail, sizeof(detail), "not loaded; %s",
			 !parameter("kvm_intel", "ept") ? "kvm_intel neither: nobody has VT-x" :
			 parameter("kvm", "enable_virt_at_load") == 'Y' ?
			 "KVM has VT-x" : "KVM has VT-x as long as it has VMs");
		add(probe, "hyprv", UNKNOWN, detail, advice);
		return;
	}
	fd = open("/dev/hyprv", O_RDWR | O_CLOEXEC);
	snprintf(detail, sizeof(detail),
		 "loaded with mmu=%s, /dev/hyprv opens; hyprv has VT-x, and KVM gets no VM",
		 parameter("hyprv", "mmu") == 's' ? "shadow" : "ept");
	if (fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION)
		add(probe, "hyprv", OK, detail, "");
	else
		add(probe, "hyprv", UNKNOWN,
		    "loaded, but /dev/hyprv does not open; hyprv has VT-x, and KVM gets no VM",
		    "become root, or rmmod hyprv");
	if (fd >= 0)
		close(fd);
}

/* What every engine needs: /dev/kvm may open where no VM can be had. */
static void probe_vm(struct probe *probe, int kvm_fd)
{
	const char *advice = hypr_hyprv_loaded() ? "rmmod hyprv: it has VT-x" :
		"a Linux of 5.16 or later; look at dmesg: is another hypervisor using the processor's?";
	int vm_fd = kvm_fd < 0 ? -1 : ioctl(kvm_fd, KVM_CREATE_VM, 0);
	const char *lacks;
	char detail[96];

	if (vm_fd < 0) {
		snprintf(detail, sizeof(detail), "%s", kvm_fd < 0 ? "cannot be asked without /dev/kvm" :
								 "no VM can be created");
		add(probe, "vm", MISSING, detail, advice);
		return;
	}
	lacks = hypr_vm_lacks(vm_fd, false);
	close(vm_fd);
	snprintf(detail, sizeof(detail), "%s%s", lacks ? "KVM lacks " : "a VM can be created",
		 lacks ? lacks : "");
	add(probe, "vm", lacks ? MISSING : OK, detail, advice);
}

static void probe_capability(struct probe *probe, int kvm_fd)
{
	const char *advice =
		"boot the HYPR host kernel (make kernels builds it), with tdp_mmu not switched off";
	char detail[96];
	int vm_fd, views;

	if (kvm_fd < 0) {
		add(probe, "ept-swap", UNKNOWN, "cannot be asked without /dev/kvm", advice);
		return;
	}
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, 0);
	if (vm_fd < 0) {
		add(probe, "ept-swap", UNKNOWN, "no VM can be created",
		    hypr_hyprv_loaded() ? "rmmod hyprv: it has VT-x" :
		    "look at dmesg; is another hypervisor using VT-x?");
		return;
	}
	views = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_HYPR_EPT_SWAP);
	close(vm_fd);
	if (views > 0)
		snprintf(detail, sizeof(detail), "%d views besides the boot view", views);
	else
		snprintf(detail, sizeof(detail), "KVM has no HYPR capability");
	add(probe, "ept-swap", views > 0 ? OK : MISSING, detail, advice);
}

static bool may_admin(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	if (syscall(SYS_capget, &head, data) < 0)
		return false;
	return data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}

static void probe_rights(struct probe *probe)
{
	char detail[96];
	bool admin = may_admin();

	snprintf(detail, sizeof(detail), "user %u, group %u, CAP_SYS_ADMIN: %s",
		 (unsigned int)geteuid(), (unsigned int)getegid(), admin ? "yes" : "no");
	add(probe, "rights", admin ? OK : UNKNOWN, detail,
	    "only KVM_GET_EPTP and KVM_SET_EPTP need CAP_SYS_ADMIN (or kvm.ept_swap_unprivileged=1); hypr does not use them");
}

int hypr_host_probe(struct hypr_host_check *check, unsigned int nr)
{
	struct probe probe = { .check = check, .room = nr };
	char line[CPUINFO_LINE_MAX];
	int kvm_fd;

	kvm_fd = probe_device(&probe);
	if (!probe_svm(&probe, line)) {
		probe_vmx(&probe, line);
		if (!is_amd(line)) {
			probe_feature(&probe, "ept", line);
			probe_feature(&probe, "vpid", line);
			probe_hyprv(&probe);
		}
	}
	probe_vm(&probe, kvm_fd);
	probe_capability(&probe, kvm_fd);
	probe_rights(&probe);
	if (kvm_fd >= 0)
		close(kvm_fd);
	return (int)probe.nr;
}

/**
 * hypr_vm_lacks() - the first capability that a VM needs and KVM lacks, or NULL
 * @apics_only: a VM with local APICs and no other chips
 */
const char *hypr_vm_lacks(int vm_fd, bool apics_only)
{
	static const struct {
		unsigned long capability;
		const char *name;
		bool chips;
	} needed[] = {
		{ KVM_CAP_IRQCHIP, "KVM_CAP_IRQCHIP", true },
		{ KVM_CAP_PIT2, "KVM_CAP_PIT2", true },
		{ KVM_CAP_PIT_STATE2, "KVM_CAP_PIT_STATE2", true },
		{ KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI", false },
		{ KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT", false },
		{ KVM_CAP_XSAVE, "KVM_CAP_XSAVE", false },
		{ KVM_CAP_XCRS, "KVM_CAP_XCRS", false },
		{ KVM_CAP_VCPU_EVENTS, "KVM_CAP_VCPU_EVENTS", false },
		{ KVM_CAP_DEBUGREGS, "KVM_CAP_DEBUGREGS", false },
	};
	size_t i;

	for (i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		if (apics_only && needed[i].chips)
			continue;
		if (ioctl(vm_fd, KVM_CHECK_EXTENSION, needed[i].capability) <= 0)
			return needed[i].name;
	}
	return NULL;
}
