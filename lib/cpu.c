// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A guest keeps what CPUID told it at boot, so it can go on only where all of
 * that is still true.  Names of features are those of the SDM, volume 2, CPUID.
 */
#include <stdint.h>
#include <stdio.h>

#include "cpu.h"
#include "error.h"

enum { EAX, EBX, ECX, EDX };

static const char *const names_1_ecx[32] = {
	"SSE3", "PCLMULQDQ", "DTES64", "MONITOR", "DS-CPL", "VMX", "SMX", "EIST", "TM2",
	"SSSE3", "CNXT-ID", "SDBG", "FMA", "CMPXCHG16B", "xTPR", "PDCM", NULL, "PCID", "DCA",
	"SSE4.1", "SSE4.2", "x2APIC", "MOVBE", "POPCNT", "TSC-Deadline", "AESNI", "XSAVE",
	"OSXSAVE", "AVX", "F16C", "RDRAND", "hypervisor",
};

static const char *const names_1_edx[32] = {
	"FPU", "VME", "DE", "PSE", "TSC", "MSR", "PAE", "MCE", "CX8", "APIC", NULL, "SEP",
	"MTRR", "PGE", "MCA", "CMOV", "PAT", "PSE-36", "PSN", "CLFSH", NULL, "DS", "ACPI",
	"MMX", "FXSR", "SSE", "SSE2", "SS", "HTT", "TM", NULL, "PBE",
};

static const char *const names_7_ebx[32] = {
	"FSGSBASE", "TSC_ADJUST", "SGX", "BMI1", "HLE", "AVX2", NULL, "SMEP", "BMI2", "ERMS",
	"INVPCID", "RTM", "RDT-M", NULL, "MPX", "RDT-A", "AVX512F", "AVX512DQ", "RDSEED", "ADX",
	"SMAP", "AVX512_IFMA", NULL, "CLFLUSHOPT", "CLWB", "PT", "AVX512PF", "AVX512ER",
	"AVX512CD", "SHA", "AVX512BW", "AVX512VL",
};

static const char *const names_7_ecx[32] = {
	"PREFETCHWT1", "AVX512_VBMI", "UMIP", "PKU", "OSPKE", "WAITPKG", "AVX512_VBMI2",
	"CET_SS", "GFNI", "VAES", "VPCLMULQDQ", "AVX512_VNNI", "AVX512_BITALG", "TME",
	"AVX512_VPOPCNTDQ", NULL, "LA57", [22] = "RDPID", "KL", [25] = "CLDEMOTE",
	[27] = "MOVDIRI", "MOVDIR64B", "ENQCMD", "SGX_LC", "PKS",
};

static const char *const names_ext_ecx[32] = {
	"LAHF", [5] = "LZCNT", [6] = "SSE4A", [8] = "PREFETCHW", [11] = "XOP", [16] = "FMA4",
	[21] = "TBM",
};

static const char *const names_ext_edx[32] = {
	[11] = "SYSCALL", [20] = "NX", [26] = "1-GByte pages", "RDTSCP", [29] = "Intel 64",
	"3DNow!+", "3DNow!",
};

/* Words in which each bit is a feature. */
static const struct word {
	uint32_t function;
	uint32_t index;
	int reg;
	const char *const *names;
	uint32_t ignore;	/* no features: OSXSAVE, OSPKE follow CR4 */
} words[] = {
	{ 0x1, 0, ECX, names_1_ecx, 1u << 27 },
	{ 0x1, 0, EDX, names_1_edx, 0 },
	{ 0x7, 0, EBX, names_7_ebx, 0 },
	{ 0x7, 0, ECX, names_7_ecx, 1u << 4 },
	{ 0x7, 0, EDX, NULL, 0 },
	{ 0x7, 1, EAX, NULL, 0 },
	{ 0xd, 0, EAX, NULL, 0 },
	{ 0xd, 1, EAX, NULL, 0 },
	{ 0x80000001, 0, ECX, names_ext_ecx, 0 },
	{ 0x80000001, 0, EDX, names_ext_edx, 0 },
	{ 0x80000008, 0, EBX, NULL, 0 },
};

static const char *const reg_names[] = { "EAX", "EBX", "ECX", "EDX" };

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid_entry2 *entry, size_t nr,
					   uint32_t function, uint32_t index)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		if (entry[i].function == function &&
		    (entry[i].index == index ||
		     !(entry[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			return &entry[i];
	}
	return NULL;
}

static uint32_t reg_of(const struct kvm_cpuid_entry2 *entry, int reg)
{
	if (!entry)
		return 0;
	switch (reg) {
	case EAX:
		return entry->eax;
	case EBX:
		return entry->ebx;
	case ECX:
		return entry->ecx;
	default:
		return entry->edx;
	}
}

static void vendor(const struct kvm_cpuid_entry2 *entry, size_t nr, char name[13])
{
	const struct kvm_cpuid_entry2 *basic = find(entry, nr, 0, 0);
	uint32_t word[3] = { reg_of(basic, EBX), reg_of(basic, EDX), reg_of(basic, ECX) };

	memcpy(name, word, sizeof(word));
	name[12] = '\0';
}

static int lacks(const char *what, const struct word *word, uint32_t missing)
{
	int bit = __builtin_ctz(missing);

	if (word->names && word->names[bit])
		return hypr_fail(-EOPNOTSUPP, "%s: its guest uses a CPU with %s, which this host lacks",
				 what, word->names[bit]);
	return hypr_fail(-EOPNOTSUPP,
			 "%s: its guest uses a CPU with CPUID.%XH.%u:%s[%d], which this host lacks",
			 what, word->function, word->index, reg_names[word->reg], bit);
}

int hypr_cpu_check(const struct kvm_cpuid_entry2 *guest, size_t nr_guest,
		   const struct kvm_cpuid_entry2 *host, size_t nr_host, const char *what)
{
	char guest_vendor[13], host_vendor[13];
	uint32_t guest_bits, host_bits;
	size_t i;

	vendor(guest, nr_guest, guest_vendor);
	vendor(host, nr_host, host_vendor);
	if (strcmp(guest_vendor, host_vendor))
		return hypr_fail(-EOPNOTSUPP, "%s: its guest runs on a CPU of %s; this host's is of %s",
				 what, guest_vendor, host_vendor);
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		const struct word *word = &words[i];
		uint32_t missing;

		missing = reg_of(find(guest, nr_guest, word->function, word->index), word->reg) &
			  ~reg_of(find(host, nr_host, word->function, word->index), word->reg) &
			  ~word->ignore;
		if (missing)
			return lacks(what, word, missing);
	}
	guest_bits = reg_of(find(guest, nr_guest, 0x80000008, 0), EAX) & 0xff;
	host_bits = reg_of(find(host, nr_host, 0x80000008, 0), EAX) & 0xff;
	if (guest_bits > host_bits)
		return hypr_fail(-EOPNOTSUPP,
				 "%s: its guest has physical addresses of %u bits, this host of %u",
				 what, guest_bits, host_bits);
	return 0;
}
