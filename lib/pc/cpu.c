// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A guest keeps what CPUID told it at boot, so it can go on only where all of that is
 * still true.  One table says of each leaf how it is judged; a leaf, sub-leaf or
 * register that it does not know has to be as this host has it.  Names of features are
 * those of the SDM, volume 2, CPUID.
 */
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "pc/cpu.h"

enum { EAX, EBX, ECX, EDX };

#define ALL	UINT32_MAX

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

/* How a register of a leaf is judged. */
enum judge {
	SAME,		/* as this host has it, or zero: also what the table does not know */
	BITS,		/* each bit is a feature: none that this host lacks */
	TELLS,		/* it tells and promises nothing, or hypr writes it itself */
};

#define LEAF(function, first, last, eax, ebx, ecx, edx) \
	{ function, first, last, { eax, ebx, ecx, edx }, { 0 }, { NULL } }

/*
 * Every leaf that a guest may build on; others are SAME in all registers.  A rule is
 * for sub-leaves from @first to @last.
 */
static const struct leaf {
	uint32_t function;
	uint32_t first, last;
	enum judge judge[4];		/* EAX, EBX, ECX, EDX */
	uint32_t ignore[4];		/* bits of BITS that follow CR4, and the like */
	const char *const *names[4];
} leaves[] = {
	/* Highest leaf, and the vendor, which is judged before all others. */
	LEAF(0x0, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	/* Model, APIC ID; OSXSAVE follows CR4. */
	{ .function = 0x1, .last = ALL, .judge = { TELLS, TELLS, BITS, BITS },
	  .ignore[ECX] = 1u << 27, .names[ECX] = names_1_ecx, .names[EDX] = names_1_edx },
	/* Caches and TLBs, serial number, threads and cores; MONITOR, which hypr hides. */
	LEAF(0x2, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x3, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x4, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x5, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	/* Thermal and power: a timer that never stops is one of them. */
	LEAF(0x6, 0, ALL, BITS, TELLS, BITS, SAME),
	/* Highest sub-leaf; OSPKE follows CR4. */
	{ .function = 0x7, .judge = { TELLS, BITS, BITS, BITS },
	  .ignore[ECX] = 1u << 4, .names[EBX] = names_7_ebx, .names[ECX] = names_7_ecx },
	LEAF(0x7, 1, ALL, BITS, BITS, BITS, BITS),
	LEAF(0xb, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	/* State components; sizes for what is switched on now, and for all there is. */
	LEAF(0xd, 0, 0, BITS, TELLS, TELLS, BITS),
	LEAF(0xd, 1, 1, BITS, TELLS, BITS, BITS),
	/* Size, place and kind of each: the guest keeps its own states by them. */
	LEAF(0xd, 2, ALL, SAME, SAME, SAME, SAME),
	/* Frequencies and the chip's name. */
	LEAF(0x15, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x16, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x17, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x18, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x1e, 1, ALL, BITS, SAME, SAME, SAME),
	LEAF(0x1f, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x80000000, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	{ .function = 0x80000001, .last = ALL, .judge = { TELLS, TELLS, BITS, BITS },
	  .names[ECX] = names_ext_ecx, .names[EDX] = names_ext_edx },
	/* The CPU's name, caches and TLBs. */
	LEAF(0x80000002, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x80000003, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x80000004, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x80000005, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x80000006, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	/* A TSC that never stops is one of them. */
	LEAF(0x80000007, 0, ALL, BITS, BITS, TELLS, BITS),
	/* Widths, which are judged apart; the number of cores. */
	LEAF(0x80000008, 0, ALL, TELLS, BITS, TELLS, SAME),
	/* SVM, which hypr hides. */
	LEAF(0x8000000a, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x80000019, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	/* Which instructions are fast. */
	LEAF(0x8000001a, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x8000001d, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x8000001e, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	/* Memory encryption, which no guest of hypr has. */
	LEAF(0x8000001f, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0x80000021, 0, ALL, BITS, TELLS, BITS, SAME),
	LEAF(0x80000026, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0xc0000000, 0, ALL, TELLS, TELLS, TELLS, TELLS),
	LEAF(0xc0000001, 0, ALL, SAME, SAME, SAME, BITS),
};

static const struct leaf unknown = { .judge = { SAME, SAME, SAME, SAME } };

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

static const struct leaf *leaf_of(uint32_t function, uint32_t index)
{
	size_t i;

	for (i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		if (leaves[i].function == function && index >= leaves[i].first &&
		    index <= leaves[i].last)
			return &leaves[i];
	}
	return &unknown;
}

static int lacks(const char *what, const struct kvm_cpuid_entry2 *guest, int reg,
		 const char *const *names, uint32_t missing)
{
	int bit = __builtin_ctz(missing);

	if (names && names[bit])
		return hypr_fail(-EOPNOTSUPP, "%s: its guest uses a CPU with %s, which this host lacks",
				 what, names[bit]);
	return hypr_fail(-EOPNOTSUPP,
			 "%s: its guest uses a CPU with CPUID.%XH.%u:%s[%d], which this host lacks",
			 what, guest->function, guest->index, reg_names[reg], bit);
}

static int check_entry(const struct kvm_cpuid_entry2 *guest,
		       const struct kvm_cpuid_entry2 *host, const char *what)
{
	const struct leaf *leaf = leaf_of(guest->function, guest->index);
	int reg;

	for (reg = EAX; reg <= EDX; reg++) {
		uint32_t is = reg_of(guest, reg), here = reg_of(host, reg);
		uint32_t missing = is & ~here & ~leaf->ignore[reg];

		if (leaf->judge[reg] == BITS && missing)
			return lacks(what, guest, reg, leaf->names[reg], missing);
		if (leaf->judge[reg] == SAME && is && is != here)
			return hypr_fail(-EOPNOTSUPP,
					 "%s: its guest uses a CPU with CPUID.%XH.%u:%s = 0x%x; this host's is 0x%x",
					 what, guest->function, guest->index, reg_names[reg], is,
					 here);
	}
	return 0;
}

/* Bits of an address, from @shift on in leaf 0x80000008. */
static int check_width(const struct kvm_cpuid_entry2 *guest, const struct kvm_cpuid_entry2 *host,
		       const char *what, const char *kind, unsigned int shift)
{
	uint32_t guest_bits = reg_of(guest, EAX) >> shift & 0xff;
	uint32_t host_bits = reg_of(host, EAX) >> shift & 0xff;

	if (guest_bits > host_bits)
		return hypr_fail(-EOPNOTSUPP,
				 "%s: its guest has %s addresses of %u bits, this host of %u",
				 what, kind, guest_bits, host_bits);
	return 0;
}

int hypr_cpu_check(const struct kvm_cpuid_entry2 *guest, size_t nr_guest,
		   const struct kvm_cpuid_entry2 *host, size_t nr_host, const char *what)
{
	const struct kvm_cpuid_entry2 *guest_widths = find(guest, nr_guest, 0x80000008, 0);
	const struct kvm_cpuid_entry2 *host_widths = find(host, nr_host, 0x80000008, 0);
	char guest_vendor[13], host_vendor[13];
	size_t i;
	int ret = 0;

	vendor(guest, nr_guest, guest_vendor);
	vendor(host, nr_host, host_vendor);
	if (strcmp(guest_vendor, host_vendor))
		return hypr_fail(-EOPNOTSUPP, "%s: its guest runs on a CPU of %s; this host's is of %s",
				 what, guest_vendor, host_vendor);
	for (i = 0; i < nr_guest && !ret; i++)
		ret = check_entry(&guest[i],
				  find(host, nr_host, guest[i].function, guest[i].index), what);
	if (!ret)
		ret = check_width(guest_widths, host_widths, what, "physical", 0);
	if (!ret)
		ret = check_width(guest_widths, host_widths, what, "linear", 8);
	return ret;
}
