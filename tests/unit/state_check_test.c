// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every byte of a state section has a rule, every rule refuses what breaks it by the
 * field's name, and a state that hypr saves breaks none: neither that of a real
 * guest nor one of a device that a guest wrote to at random.
 */
#include "unit.h"

#include "hypr/abi/vmo_state.h"
#include "hypr/hypr.h"
#include "hypr/vmo.h"
#include "lib/pc/console.h"
#include "lib/pc/rtc.h"
#include "lib/run/state_check.h"

#define GOLDEN	"tests/golden/intel-guest.vmo"

static const uint32_t types[] = {
	HYPR_VMO_VCPU, HYPR_VMO_CHIPS, HYPR_VMO_PIT, HYPR_VMO_CLOCK, HYPR_VMO_CONSOLE,
	HYPR_VMO_RTC, HYPR_VMO_CPU,
};

static struct hypr_vmo *vmo;

static int setup(void **ctx)
{
	(void)ctx;
	return hypr_vmo_open(GOLDEN, &vmo);
}

static int teardown(void **ctx)
{
	(void)ctx;
	hypr_vmo_close(vmo);
	return 0;
}

/* A copy of a section of a real guest, to be given back with free(). */
static uint8_t *section(uint32_t type, size_t *bytes)
{
	const void *data;
	uint8_t *copy;

	assert_int_equal(hypr_vmo_section(vmo, type, 0, &data, bytes, NULL), 0);
	copy = malloc(*bytes);
	memcpy(copy, data, *bytes);
	return copy;
}

static void test_each_byte_has_a_rule(void **ctx)
{
	size_t i, n, nr, bytes;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		const struct hypr_field *field = hypr_state_fields(types[i], &nr, &bytes);
		uint32_t at = 0;

		assert_non_null(field);
		for (n = 0; n < nr; n++, field++) {
			if (field->at != at)
				fail_msg("%s: %s is at %u, the rule before it ends at %u",
					 hypr_vmo_section_name(types[i]), field->name,
					 field->at, at);
			assert_in_range(field->bytes, 1, 8);
			at += field->bytes * field->nr;
		}
		assert_int_equal(at, bytes);
	}
	assert_null(hypr_state_fields(HYPR_VMO_RUNS, &nr, &bytes));
}

static void test_a_real_guest_breaks_none(void **ctx)
{
	size_t i, bytes;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		uint8_t *data = section(types[i], &bytes);

		if (hypr_state_check("x.vmo", types[i], 0, data, bytes))
			fail_msg("%s", hypr_error());
		free(data);
	}
}

/* The least value that breaks the rule; 0 when none does. */
static uint64_t misfit(const struct hypr_field *field)
{
	uint64_t most = field->bytes == 8 ? UINT64_MAX : (1ull << 8 * field->bytes) - 1;

	switch (field->rule) {
	case HYPR_MAX:
		return field->limit < most ? field->limit + 1 : 0;
	case HYPR_BITS:
		return ~field->limit & most ? 1ull << __builtin_ctzll(~field->limit) : 0;
	case HYPR_IS:
		return field->limit ^ 1;
	case HYPR_OWN:
		return !strcmp(field->name, "cmos[11]") ? 0x83 : 6;
	default:
		return 0;
	}
}

static bool fits(uint32_t type, uint8_t *data, size_t bytes, const struct hypr_field *field,
		 uint32_t n, uint64_t value)
{
	uint8_t *at = data + field->at + n * field->bytes;
	uint64_t was = 0;
	int ret;

	memcpy(&was, at, field->bytes);
	memcpy(at, &value, field->bytes);
	ret = hypr_state_check("x.vmo", type, 0, data, bytes);
	memcpy(at, &was, field->bytes);
	if (!ret)
		return true;
	assert_int_equal(ret, -EBADMSG);
	assert_ptr_equal(strstr(hypr_error(), "x.vmo: section "), hypr_error());
	return false;
}

static void test_each_rule_refuses(void **ctx)
{
	unsigned int judged = 0;
	size_t i, n, nr, fixed, bytes;
	uint32_t e;

	(void)ctx;
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		const struct hypr_field *field = hypr_state_fields(types[i], &nr, &fixed);
		uint8_t *data = section(types[i], &bytes);

		for (n = 0; n < nr; n++, field++) {
			for (e = 0; e < field->nr && misfit(field); e++, judged++) {
				if (fits(types[i], data, bytes, field, e, misfit(field)))
					fail_msg("%s: %s takes 0x%llx",
						 hypr_vmo_section_name(types[i]), field->name,
						 (unsigned long long)misfit(field));
				if (!strstr(hypr_error(), field->name))
					fail_msg("'%s' is not in: %s", field->name, hypr_error());
				if (field->rule == HYPR_MAX || field->rule == HYPR_BITS)
					assert_true(fits(types[i], data, bytes, field, e,
							 field->limit));
			}
		}
		free(data);
	}
	assert_true(judged > 300);
}

/* The ring's two indices are judged together, an MSR and an entry of CPUID each. */
static void test_what_a_field_alone_does_not_say(void **ctx)
{
	struct hypr_vmo_console *con;
	struct kvm_cpuid_entry2 *entry;
	struct hypr_vmo_msr *msr;
	struct hypr_vmo_vcpu *vcpu;
	size_t bytes;

	(void)ctx;
	con = (void *)section(HYPR_VMO_CONSOLE, &bytes);
	con->rx_head = 0xffffffff;
	con->rx_tail = 63;
	assert_int_equal(hypr_state_check("x.vmo", HYPR_VMO_CONSOLE, 0, con, bytes), 0);
	con->rx_tail = 64;
	assert_int_equal(hypr_state_check("x.vmo", HYPR_VMO_CONSOLE, 0, con, bytes), -EBADMSG);
	con->rx_tail = 0xfffffffe;
	assert_int_equal(hypr_state_check("x.vmo", HYPR_VMO_CONSOLE, 0, con, bytes), -EBADMSG);
	free(con);

	vcpu = (void *)section(HYPR_VMO_VCPU, &bytes);
	msr = (struct hypr_vmo_msr *)(vcpu + 1);
	msr[vcpu->nr_msrs - 1].reserved = 1;
	assert_int_equal(hypr_state_check("x.vmo", HYPR_VMO_VCPU, 0, vcpu, bytes), -EBADMSG);
	msr[vcpu->nr_msrs - 1].reserved = 0;
	vcpu->nr_msrs = 0xffffffff;
	assert_int_equal(hypr_state_check("x.vmo", HYPR_VMO_VCPU, 0, vcpu, bytes), -EBADMSG);
	free(vcpu);

	entry = (void *)section(HYPR_VMO_CPU, &bytes);
	entry[bytes / sizeof(*entry) - 1].flags = 8;
	assert_int_equal(hypr_state_check("x.vmo", HYPR_VMO_CPU, 0, entry, bytes), -EBADMSG);
	free(entry);
}

/* ---- what a guest can make of a device can be loaded again ------------------- */

static void check_console(struct hypr_console *con)
{
	struct hypr_console_state s;
	struct hypr_vmo_console to;

	hypr_console_save(con, &s);
	to = (struct hypr_vmo_console){
		.dll = s.dll, .dlm = s.dlm, .ier = s.ier, .fcr = s.fcr, .lcr = s.lcr,
		.mcr = s.mcr, .scr = s.scr, .thre_pending = s.thre_pending,
		.rx_head = s.rx_head, .rx_tail = s.rx_tail,
	};
	if (hypr_state_check("x.vmo", HYPR_VMO_CONSOLE, 0, &to, sizeof(to)))
		fail_msg("%s", hypr_error());
}

static void test_a_console_breaks_none(void **ctx)
{
	struct hypr_console con;
	uint8_t buf[70] = { 0 };
	int i;

	(void)ctx;
	srandom(1);
	hypr_console_init(&con, NULL, NULL);
	for (i = 0; i < 20000; i++) {
		unsigned int reg = (unsigned int)random() % 8;

		if (random() % 8 == 0)
			hypr_console_receive(&con, buf, (uint32_t)random() % sizeof(buf));
		else if (random() % 2)
			hypr_console_write(&con, reg, (uint8_t)random());
		else
			hypr_console_read(&con, reg);
		check_console(&con);
	}
}

static void test_a_clock_chip_breaks_none(void **ctx)
{
	struct hypr_vmo_rtc to = { 0 };
	struct hypr_rtc_state s;
	struct hypr_rtc rtc;
	int i;

	(void)ctx;
	srandom(1);
	hypr_rtc_init(&rtc, NULL);
	for (i = 0; i < 20000; i++) {
		hypr_rtc_write(&rtc, random() % 2, (uint8_t)random());
		hypr_rtc_read(&rtc, 1);
		hypr_rtc_save(&rtc, &s);
		to.index = s.index;
		memcpy(to.cmos, s.cmos, sizeof(to.cmos));
		if (hypr_state_check("x.vmo", HYPR_VMO_RTC, 0, &to, sizeof(to)))
			fail_msg("%s", hypr_error());
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_byte_has_a_rule),
		cmocka_unit_test(test_a_real_guest_breaks_none),
		cmocka_unit_test(test_each_rule_refuses),
		cmocka_unit_test(test_what_a_field_alone_does_not_say),
		cmocka_unit_test(test_a_console_breaks_none),
		cmocka_unit_test(test_a_clock_chip_breaks_none),
	};

	return cmocka_run_group_tests_name("state_check", tests, setup, teardown) ? 1 : 0;
}
