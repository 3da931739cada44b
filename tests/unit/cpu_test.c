// SPDX-License-Identifier: GPL-2.0-only
/* Can a guest go on on this CPU?  What lacks is named. */
#include "unit.h"

#include "hypr/hypr.h"
#include "lib/cpu.h"

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
		cmocka_unit_test(test_vendor_and_width),
		cmocka_unit_test(test_vendor_with_controls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
