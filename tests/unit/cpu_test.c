// SPDX-License-Identifier: GPL-2.0-only
/* Can a guest go on on this CPU?  What lacks is named. */
#include "unit.h"

#include "hypr/hypr.h"
#include "lib/pc/cpu.h"

#define ENTRIES	7

static void cpu(struct kvm_cpuid_entry2 *entry)
{
	const struct kvm_cpuid_entry2 all[ENTRIES] = {
		{ .function = 0, .eax = 0xd, .ebx = 0x756e6547, .edx = 0x49656e69,
		  .ecx = 0x6c65746e },
		{ .function = 1, .ecx = 0x7fffffff, .edx = 0xbfebfbff },
		{ .function = 7, .index = 0, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .ebx = 0x00fff7ff, .ecx = 0xffff, .edx = 0xff },
		{ .function = 7, .index = 1, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .eax = 0x30 },
		{ .function = 0xd, .index = 0, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		  .eax = 7 },
		{ .function = 0x80000001, .ecx = 0x121, .edx = 0x2c100800 },
		{ .function = 0x80000008, .eax = 0x3027 },
	};

	memcpy(entry, all, sizeof(all));
}

static void refused(const struct kvm_cpuid_entry2 *guest, const struct kvm_cpuid_entry2 *host,
		    size_t nr_host, const char *words)
{
	assert_int_equal(hypr_cpu_check(guest, ENTRIES, host, nr_host, "x.vmo"), -EOPNOTSUPP);
	if (!strstr(hypr_error(), words))
		fail_msg("'%s' is not in: %s", words, hypr_error());
	assert_ptr_equal(strstr(hypr_error(), "x.vmo: "), hypr_error());
}

static void test_the_same(void **ctx)
{
	struct kvm_cpuid_entry2 guest[ENTRIES], host[ENTRIES];

	(void)ctx;
	cpu(guest);
	cpu(host);
	assert_int_equal(hypr_cpu_check(guest, ENTRIES, host, ENTRIES, "x.vmo"), 0);
	guest[1].ecx &= ~(1u << 12);
	guest[6].eax = 0x3020;
	assert_int_equal(hypr_cpu_check(guest, ENTRIES, host, ENTRIES, "x.vmo"), 0);
	/* Follows CR4: no feature. */
	host[1].ecx &= ~(1u << 27);
	assert_int_equal(hypr_cpu_check(guest, ENTRIES, host, ENTRIES, "x.vmo"), 0);
}

static void test_lacks(void **ctx)
{
	struct kvm_cpuid_entry2 guest[ENTRIES], host[ENTRIES];

	(void)ctx;
	cpu(guest);
#define LACKS(entry, reg, bit, words) do {				\
	cpu(host);							\
	host[entry].reg &= ~(1u << (bit));				\
	refused(guest, host, ENTRIES, words);				\
} while (0)
	LACKS(1, ecx, 30, "RDRAND");
	LACKS(1, ecx, 28, "AVX,");
	LACKS(1, edx, 26, "SSE2");
	LACKS(2, ebx, 5, "AVX2");
	LACKS(2, ecx, 2, "UMIP");
	LACKS(2, edx, 3, "CPUID.7H.0:EDX[3]");
	LACKS(3, eax, 4, "CPUID.7H.1:EAX[4]");
	LACKS(4, eax, 2, "CPUID.DH.0:EAX[2]");
	LACKS(5, ecx, 5, "LZCNT");
	LACKS(5, edx, 27, "RDTSCP");
	LACKS(5, edx, 29, "Intel 64");
	/* A leaf that is not there has nothing. */
	cpu(host);
	refused(guest, host, 2, "FSGSBASE");
}

/* Leaves, sub-leaves and registers that came later; what nobody has heard of yet. */
static void test_newer_leaves(void **ctx)
{
	static const struct {
		uint32_t function, index;
		int reg;		/* 0 to 3: EAX to EDX */
		uint32_t guest, host;
		const char *words;	/* NULL: it may go on */
	} cases[] = {
		{ 7, 1, 3, 0x4030, 0x4020, "CPUID.7H.1:EDX[4]" },
		{ 7, 1, 3, 0x4020, 0x4030, NULL },
		{ 7, 1, 1, 1, 0, "CPUID.7H.1:EBX[0]" },
		{ 7, 1, 2, 1u << 31, 0, "CPUID.7H.1:ECX[31]" },
		{ 7, 2, 3, 0x20, 0x1f, "CPUID.7H.2:EDX[5]" },
		{ 7, 9, 0, 1, 0, "CPUID.7H.9:EAX[0]" },
		{ 6, 0, 0, 4, 0, "CPUID.6H.0:EAX[2]" },
		{ 0xd, 0, 3, 0x80000000, 0, "CPUID.DH.0:EDX[31]" },
		{ 0xd, 1, 2, 0x800, 0, "CPUID.DH.1:ECX[11]" },
		/* PKRU stands elsewhere on another make's CPU. */
		{ 0xd, 9, 1, 0xa80, 0x980, "CPUID.DH.9:EBX = 0xa80; this host's is 0x980" },
		{ 0xd, 9, 1, 0xa80, 0xa80, NULL },
		{ 0x14, 0, 1, 0xf, 0, "CPUID.14H.0:EBX = 0xf; this host's is 0x0" },
		{ 0x1d, 1, 0, 0x4002000, 0, "CPUID.1DH.1:EAX" },
		{ 0x24, 0, 1, 0x70001, 0x70002, "CPUID.24H.0:EBX" },
		{ 0x29, 0, 0, 1, 0, "CPUID.29H.0:EAX" },
		{ 0x29, 0, 0, 0, 1, NULL },
		/* A host's paravirtual leaves are none that this host has. */
		{ 0x40000001, 0, 0, 1, 0, "CPUID.40000001H.0:EAX" },
		{ 0x80000007, 0, 3, 0x100, 0, "CPUID.80000007H.0:EDX[8]" },
		{ 0x80000021, 0, 0, 0x40, 0, "CPUID.80000021H.0:EAX[6]" },
		{ 0x80000022, 0, 1, 6, 0, "CPUID.80000022H.0:EBX" },
		/* What only tells. */
		{ 4, 0, 0, 0x1c0003f, 0x2c0003f, NULL },
		{ 0x80000003, 0, 0, 1, 2, NULL },
		{ 0x15, 0, 0, 9, 8, NULL },
		{ 0x8000001e, 0, 1, 0x100, 0, NULL },
	};
	struct kvm_cpuid_entry2 guest[ENTRIES + 1], host[ENTRIES + 1];
	size_t i;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		int ret;

		cpu(guest);
		cpu(host);
		guest[ENTRIES] = (struct kvm_cpuid_entry2){
			.function = cases[i].function, .index = cases[i].index,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
		host[ENTRIES] = guest[ENTRIES];
		/* Instead of the one that cpu() has. */
		if (cases[i].function == 7 && cases[i].index == 1)
			guest[3].function = host[3].function = 0x2;
		if (cases[i].function == 0xd && !cases[i].index)
			guest[4].function = host[4].function = 0x2;
		(&guest[ENTRIES].eax)[cases[i].reg] = cases[i].guest;
		(&host[ENTRIES].eax)[cases[i].reg] = cases[i].host;
		ret = hypr_cpu_check(guest, ENTRIES + 1, host, ENTRIES + 1, "x.vmo");
		if (!cases[i].words) {
			if (ret)
				fail_msg("%s", hypr_error());
			continue;
		}
		assert_int_equal(ret, -EOPNOTSUPP);
		if (!strstr(hypr_error(), cases[i].words))
			fail_msg("'%s' is not in: %s", cases[i].words, hypr_error());
		/* Nor on a host that has no such leaf, or not that sub-leaf. */
		assert_int_equal(hypr_cpu_check(guest, ENTRIES + 1, host, ENTRIES, "x.vmo"),
				 -EOPNOTSUPP);
	}
}

static void test_linear_width(void **ctx)
{
	struct kvm_cpuid_entry2 guest[ENTRIES], host[ENTRIES];

	(void)ctx;
	cpu(guest);
	cpu(host);
	guest[6].eax = 0x3927;
	refused(guest, host, ENTRIES, "linear addresses of 57 bits, this host of 48");
}

/* The name is the file's: what a terminal obeys does not get there. */
static void test_vendor_with_controls(void **ctx)
{
	struct kvm_cpuid_entry2 guest[ENTRIES], host[ENTRIES];

	(void)ctx;
	cpu(guest);
	cpu(host);
	memcpy(&guest[0].ebx, "\033[2J", 4);
	memcpy(&guest[0].edx, "\n\r\t\177", 4);
	refused(guest, host, ENTRIES, "on a CPU of ?[2J????ntel; this");
}

static void test_vendor_and_width(void **ctx)
{
	struct kvm_cpuid_entry2 guest[ENTRIES], host[ENTRIES];

	(void)ctx;
	cpu(guest);
	cpu(host);
	memcpy(&host[0].ebx, "Auth", 4);
	memcpy(&host[0].edx, "enti", 4);
	memcpy(&host[0].ecx, "cAMD", 4);
	refused(guest, host, ENTRIES, "GenuineIntel; this host's is of AuthenticAMD");
	cpu(host);
	host[6].eax = 0x3024;
	refused(guest, host, ENTRIES, "39 bits, this host of 36");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_same),
		cmocka_unit_test(test_lacks),
		cmocka_unit_test(test_newer_leaves),
		cmocka_unit_test(test_linear_width),
		cmocka_unit_test(test_vendor_and_width),
		cmocka_unit_test(test_vendor_with_controls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
