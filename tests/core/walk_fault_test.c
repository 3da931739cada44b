// SPDX-License-Identifier: GPL-2.0-only
/* Exact page-fault error codes and exit qualifications, written down by hand. */
#include "tests/unit/unit.h"

#include "tests/core/walk_case.h"

#define P	BIT_ULL(0)
#define W	BIT_ULL(1)
#define U	BIT_ULL(2)
#define PS	BIT_ULL(7)
#define XD	BIT_ULL(63)
#define KEY(n)	((u64)(n) << 59)
#define AD(n)	(1u << (2 * (n)))
#define WD(n)	(2u << (2 * (n)))

#define R	BIT_ULL(0)
#define X	BIT_ULL(2)
#define XU	BIT_ULL(10)
#define WB	(6ull << 3)

#define NONE	0xffffu		/* no fault */

/* Tables at 0x1000 (root), 0x2000, ... down to level 1; the page is at 0x9000. */
struct chain {
	u8 bytes[0x10000];
	struct flat_memory flat;
	struct walk walk;
};

static void put(struct chain *chain, u64 address, u64 entry)
{
	memcpy(chain->bytes + address, &entry, chain->walk.format->entry_bytes);
}

/* A chain of index 0 at each level: @entry[level - 1] are the flags of each. */
static void chain_init(struct chain *chain, const struct walk_format *format,
		       const u64 *entry)
{
	memset(chain->bytes, 0, sizeof(chain->bytes));
	flat_memory_init(&chain->flat, chain->bytes, sizeof(chain->bytes));
	chain->walk = (struct walk){
		.format = format,
		.mode = { .maxphyaddr = 40 },
		.memory = &chain->flat.memory,
		.root = 0x1000,
	};
	for (u32 level = format->levels; level >= 1; level--) {
		u64 table = 0x1000 * (1 + format->levels - level);
		u64 next = level == 1 ? 0x9000 : table + 0x1000;

		put(chain, table, entry[level - 1] ? next | entry[level - 1] : 0);
	}
}

struct fault_row {
	const char *name;
	u64 leaf, upper;	/* flags of level 1; of the others */
	u32 flags;		/* mode */
	u32 access;
	u32 pkru, pkrs;
	u32 want;		/* error code, or NONE */
};

#define F	WALK_FETCH
#define UR	WALK_USER
#define SW	WALK_WRITE
#define UW	(WALK_USER | WALK_WRITE)
#define UF	(WALK_USER | WALK_FETCH)
#define IR	WALK_IMPLICIT

static const struct fault_row long_rows[] = {
	{ "absent leaf, read", 0, P | W | U, 0, 0, 0, 0, 0x00 },
	{ "absent leaf, write", 0, P | W | U, 0, SW, 0, 0, 0x02 },
	{ "absent leaf, user read", 0, P | W | U, 0, UR, 0, 0, 0x04 },
	{ "absent leaf, user write", 0, P | W | U, 0, UW, 0, 0, 0x06 },
	{ "absent leaf, fetch reported by NXE", 0, P | W | U, WALK_NXE, F, 0, 0, 0x10 },
	{ "absent leaf, fetch reported by SMEP", 0, P | W | U, WALK_SMEP, F, 0, 0, 0x10 },
	{ "absent leaf, fetch not reported", 0, P | W | U, 0, F, 0, 0, 0x00 },
	{ "absent leaf, user fetch", 0, P | W | U, WALK_NXE, UF, 0, 0, 0x14 },
	{ "user reads a user page", P | U, P | U, 0, UR, 0, 0, NONE },
	{ "user reads a supervisor page", P, P | W | U, 0, UR, 0, 0, 0x05 },
	{ "user reads below a supervisor table", P | W | U, P | W, 0, UR, 0, 0, 0x05 },
	{ "user writes a read-only page", P | U, P | W | U, 0, UW, 0, 0, 0x07 },
	{ "user writes below a read-only table", P | W | U, P | U, 0, UW, 0, 0, 0x07 },
	{ "user writes a writable page", P | W | U, P | W | U, 0, UW, 0, 0, NONE },
	{ "user fetches XD", P | U | XD, P | U, WALK_NXE, UF, 0, 0, 0x15 },
	{ "user fetches below XD", P | U, P | U | XD, WALK_NXE, UF, 0, 0, 0x15 },
	{ "user fetches a supervisor page", P, P | U, WALK_NXE, UF, 0, 0, 0x15 },
	{ "user fetches", P | U, P | U, WALK_NXE, UF, 0, 0, NONE },
	{ "XD without NXE is reserved", P | U | XD, P | U, 0, UR, 0, 0, 0x0d },
	{ "XD without NXE, supervisor write", P | XD, P | W, 0, SW, 0, 0, 0x0b },
	{ "supervisor writes read-only, WP off", P, P, 0, SW, 0, 0, NONE },
	{ "supervisor writes read-only, WP on", P, P | W, WALK_WP, SW, 0, 0, 0x03 },
	{ "supervisor writes user page, WP on", P | U, P | W | U, WALK_WP, SW, 0, 0, 0x03 },
	{ "supervisor fetches XD", P | XD, P, WALK_NXE, F, 0, 0, 0x11 },
	{ "supervisor fetches user page", P | U, P | U, WALK_NXE, F, 0, 0, NONE },
	{ "SMEP", P | U, P | U, WALK_SMEP, F, 0, 0, 0x11 },
	{ "SMEP, supervisor page", P, P | U, WALK_SMEP, F, 0, 0, NONE },
	{ "SMEP lets user fetch", P | U, P | U, WALK_SMEP, UF, 0, 0, NONE },
	{ "SMAP, read", P | U, P | U, WALK_SMAP, 0, 0, 0, 0x01 },
	{ "SMAP, write", P | W | U, P | W | U, WALK_SMAP, SW, 0, 0, 0x03 },
	{ "SMAP, AC", P | U, P | U, WALK_SMAP | WALK_AC, 0, 0, 0, NONE },
	{ "SMAP, AC, implicit", P | U, P | U, WALK_SMAP | WALK_AC, IR, 0, 0, 0x01 },
	{ "SMAP, supervisor page", P, P | U, WALK_SMAP, IR, 0, 0, NONE },
	{ "SMAP lets fetch", P | U, P | U, WALK_SMAP, F, 0, 0, NONE },
	{ "SMAP lets user read", P | U, P | U, WALK_SMAP, UR, 0, 0, NONE },
	{ "no SMAP, implicit", P | U, P | U, 0, IR, 0, 0, NONE },
	{ "PKRU AD, user", P | U | KEY(3), P | U, WALK_PKE, UR, AD(3), 0, 0x25 },
	{ "PKRU AD, supervisor", P | U | KEY(3), P | U, WALK_PKE, 0, AD(3), 0, 0x21 },
	{ "PKRU AD of another key", P | U | KEY(3), P | U, WALK_PKE, UR, AD(2), 0, NONE },
	{ "PKRU AD, PKE off", P | U | KEY(3), P | U, 0, UR, AD(3), 0, NONE },
	{ "PKRU AD lets fetch", P | U | KEY(3), P | U, WALK_PKE, UF, AD(3), 0, NONE },
	{ "PKRU WD, read", P | U | KEY(15), P | U, WALK_PKE, UR, WD(15), 0, NONE },
	{ "PKRU WD, user write", P | W | U | KEY(15), P | W | U, WALK_PKE, UW, WD(15), 0, 0x27 },
	{ "PKRU WD, supervisor write, WP off", P | W | U | KEY(1), P | W | U, WALK_PKE, SW,
	  WD(1), 0, NONE },
	{ "PKRU WD, supervisor write, WP on", P | W | U | KEY(1), P | W | U,
	  WALK_PKE | WALK_WP, SW, WD(1), 0, 0x23 },
	{ "PKRU and read-only together", P | U | KEY(1), P | W | U, WALK_PKE, UW, AD(1), 0, 0x27 },
	{ "PKRU says nothing of supervisor pages", P | KEY(3), P, WALK_PKE, 0, AD(3), 0, NONE },
	{ "key of an absent page is not looked at", KEY(3), P | U, WALK_PKE, UR, AD(3), 0, 0x04 },
	{ "reserved bit before key", P | U | KEY(3) | XD, P | U, WALK_PKE, UR, AD(3), 0, 0x0d },
	{ "PKRS AD", P | KEY(3), P, WALK_PKS, 0, 0, AD(3), 0x21 },
	{ "PKRS AD, PKS off", P | KEY(3), P, 0, 0, 0, AD(3), NONE },
	{ "PKRS WD, WP off", P | W | KEY(3), P | W, WALK_PKS, SW, 0, WD(3), NONE },
	{ "PKRS WD, WP on", P | W | KEY(3), P | W, WALK_PKS | WALK_WP, SW, 0, WD(3), 0x23 },
	{ "PKRS says nothing of user pages", P | U | KEY(3), P | U, WALK_PKS, 0, 0, AD(3), NONE },
	{ "PKRS AD lets fetch", P | KEY(3), P, WALK_PKS, F, 0, AD(3), NONE },
	{ "address bit 40 of 40", P | U | BIT_ULL(40), P | U, 0, UR, 0, 0, 0x0d },
	{ "address bit 51 in a table", P | U, P | U | BIT_ULL(51), 0, UR, 0, 0, 0x0d },
	{ "bits 58:52 are ignored", P | U | 0x7full << 52, P | U | 0x7full << 52, 0, UR, 0, 0,
	  NONE },
};

static void check_row(const struct walk_format *format, const struct fault_row *row)
{
	struct chain *chain = malloc(sizeof(*chain));
	u8 before[sizeof(chain->bytes)];
	struct walk_result result;
	u64 entry[WALK_LEVELS];
	int error;

	assert_non_null(chain);
	entry[0] = row->leaf;
	for (u32 level = 2; level <= WALK_LEVELS; level++)
		entry[level - 1] = row->upper;
	chain_init(chain, format, entry);
	chain->walk.mode.flags = row->flags;
	chain->walk.mode.pkru = row->pkru;
	chain->walk.mode.pkrs = row->pkrs;
	memcpy(before, chain->bytes, sizeof(before));

	error = walk_translate(&chain->walk, 0x123, row->access, &result);
	if (row->want == NONE) {
		if (error || result.fault || result.address != 0x9123)
			fail_msg("%s, %s: fault %d, code 0x%x", format->name, row->name,
				 result.fault, result.error_code);
	} else {
		if (error != -EFAULT || result.fault != WALK_FAULT_PAGE ||
		    result.error_code != row->want)
			fail_msg("%s, %s: code 0x%x, not 0x%x", format->name, row->name,
				 result.error_code, row->want);
		/* A refused access sets no flag. */
		assert_memory_equal(before, chain->bytes, sizeof(before));
	}
	free(chain);
}

static void test_error_codes_of_4_and_5_levels(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(long_rows); i++) {
		check_row(&walk_x86_4level, &long_rows[i]);
		check_row(&walk_x86_5level, &long_rows[i]);
	}
}

static void test_error_codes_of_32_bit_paging(void **state)
{
	static const struct fault_row rows[] = {
		{ "absent, user write", 0, P | W | U, 0, UW, 0, 0, 0x06 },
		{ "fetch, NXE does not count", 0, P, WALK_NXE, F, 0, 0, 0x00 },
		{ "fetch, SMEP counts", P | U, P | U, WALK_SMEP, F, 0, 0, 0x11 },
		{ "supervisor page", P, P | U, 0, UR, 0, 0, 0x05 },
		{ "read-only, WP", P, P | W, WALK_WP, SW, 0, 0, 0x03 },
		{ "no keys", P | U, P | U, WALK_PKE, UR, ~0u, 0, NONE },
		{ "SMAP", P | U, P | U, WALK_SMAP, 0, 0, 0, 0x01 },
		{ "PS is ignored without PSE", P | U, P | U | PS, 0, UR, 0, 0, NONE },
		{ "bit 21 of a 4 MiB page", P, P | BIT_ULL(21) | PS,
		  WALK_PSE, 0, 0, 0, 0x09 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&walk_x86_32bit, &rows[i]);
}

/* PDPTEs have no rights, and other reserved bits. */
static void test_error_codes_of_pae(void **state)
{
	static const struct {
		u64 pdpte, pde, pte;
		u32 flags, access, want;
	} rows[] = {
		{ P, P | U, P | U, 0, UR, NONE },
		{ P, P | W | U, P | W | U, WALK_WP, UW, NONE },
		{ 0, P | U, P | U, 0, UR, 0x04 },
		{ P | W, P | U, P | U, 0, UR, 0x0d },
		{ P | U, P | U, P | U, 0, UR, 0x0d },
		{ P | BIT_ULL(5), P | U, P | U, 0, UR, 0x0d },
		{ P | PS, P | U, P | U, 0, UR, 0x0d },
		{ P | BIT_ULL(8), P | U, P | U, 0, UR, 0x0d },
		{ P | BIT_ULL(3) | BIT_ULL(4) | BIT_ULL(9), P | U, P | U, 0, UR, NONE },
		{ P | XD, P | U, P | U, WALK_NXE, UR, 0x0d },
		{ P, P | U | XD, P | U, WALK_NXE, UF, 0x15 },
		{ P, P | U, P | U | XD, 0, UR, 0x0d },
		{ P, P | U | BIT_ULL(52), P | U, WALK_NXE, UR, 0x0d },
		{ P, P | U, P | U | BIT_ULL(62), WALK_NXE, UR, 0x0d },
		{ P, P | U, P | U | KEY(1), WALK_NXE | WALK_PKE, UR, 0x0d },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 entry[] = { rows[i].pte, rows[i].pde, rows[i].pdpte };
		struct chain *chain = malloc(sizeof(*chain));
		struct walk_result result;

		assert_non_null(chain);
		chain_init(chain, &walk_x86_pae, entry);
		chain->walk.mode.flags = rows[i].flags;
		walk_translate(&chain->walk, 0, rows[i].access, &result);
		if ((result.fault ? result.error_code : NONE) != rows[i].want)
			fail_msg("PAE row %zu: code 0x%x", i, result.error_code);
		free(chain);
	}
}

/* Bit by bit, which bits of a large page are reserved; MAXPHYADDR is 40. */
static void test_reserved_bits_of_large_pages(void **state)
{
	static const struct {
		const struct walk_format *format;
		u32 level, flags;
		u64 reserved;
	} rows[] = {
		{ &walk_x86_32bit, 2, WALK_PSE, 0x00200000 },
		{ &walk_x86_pae, 2, WALK_NXE, 0x7fffff00001fe000 },
		{ &walk_x86_4level, 2, WALK_NXE, 0x000fff00001fe000 },
		{ &walk_x86_4level, 3, WALK_NXE | WALK_PAGE_1G, 0x000fff003fffe000 },
		{ &walk_x86_4level, 3, WALK_NXE, ~0ull },
		{ &walk_x86_4level, 4, WALK_NXE | WALK_PAGE_1G, ~0ull },
		{ &walk_x86_5level, 5, WALK_NXE | WALK_PAGE_1G, ~0ull },
		{ &walk_ept_4level, 2, WALK_PAGE_2M, 0x000fff00001ff000 },
		{ &walk_ept_4level, 2, 0, ~0ull },
		{ &walk_ept_4level, 3, WALK_PAGE_1G, 0x000fff003ffff000 },
		{ &walk_ept_4level, 3, WALK_PAGE_2M, ~0ull },
		{ &walk_ept_5level, 4, WALK_PAGE_1G | WALK_PAGE_2M, ~0ull },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct walk_format *format = rows[i].format;
		struct chain *chain = malloc(sizeof(*chain));
		u64 upper = P | W | U, page = format->ept ? upper | PS | WB : upper | PS;
		u32 width = format->entry_bytes * 8;
		struct walk_result result;

		assert_non_null(chain);
		for (u32 bit = 8; bit < width; bit++) {
			u64 entry[WALK_LEVELS] = { upper, upper, upper, upper, upper };
			bool want = rows[i].reserved >> bit & 1;

			if (format == &walk_x86_pae)
				entry[2] = P;
			chain_init(chain, format, entry);
			chain->walk.mode.flags = rows[i].flags;
			put(chain, 0x1000 * (1 + format->levels - rows[i].level),
			    page | BIT_ULL(bit));
			walk_peek(&chain->walk, 0, 0, &result);
			if (want != (result.fault == WALK_FAULT_EPT_MISCONFIG ||
				     (result.fault == WALK_FAULT_PAGE &&
				      result.error_code == (WALK_PF_P | WALK_PF_RSVD))))
				fail_msg("%s, level %u, bit %u: fault %d", format->name,
					 rows[i].level, bit, result.fault);
			assert_int_equal(result.level, rows[i].level);
		}
		free(chain);
	}
}

struct ept_row {
	const char *name;
	u64 leaf, upper;
	u32 flags;
	u32 access;
	enum walk_fault want;
	u64 qualification;
};

#define OK	WALK_FAULT_NONE
#define VIOL	WALK_FAULT_EPT_VIOLATION
#define CONF	WALK_FAULT_EPT_MISCONFIG
#define RWX	(R | W | X)
#define MBEC	WALK_EPT_MBEC
#define XONLY	WALK_EPT_X_ONLY

static const struct ept_row ept_rows[] = {
	{ "read", R | WB, RWX, 0, 0, OK, 0 },
	{ "absent, read", 0, RWX, 0, 0, VIOL, 0x001 },
	{ "absent, write", 0, RWX, 0, SW, VIOL, 0x002 },
	{ "absent, fetch", 0, RWX, 0, F, VIOL, 0x004 },
	{ "absent, linear", 0, RWX, 0, WALK_LINEAR, VIOL, 0x181 },
	{ "absent, table", 0, RWX, 0, WALK_LINEAR | WALK_TABLE, VIOL, 0x081 },
	{ "absent, table with A/D", 0, RWX, WALK_EPT_AD, WALK_LINEAR | WALK_TABLE, VIOL, 0x083 },
	{ "absent, A-flag update of a table", 0, RWX, 0, SW | WALK_TABLE, VIOL, 0x003 },
	{ "write to read-only", R | WB, RWX, 0, SW, VIOL, 0x00a },
	{ "write to RX", R | X | WB, RWX, 0, SW, VIOL, 0x02a },
	{ "fetch from RW", R | W | WB, RWX, 0, F, VIOL, 0x01c },
	{ "fetch below RW", RWX | WB, R | W, 0, F, VIOL, 0x01c },
	{ "table in read-only memory", R | WB, RWX, 0, WALK_TABLE, OK, 0 },
	{ "table in read-only memory, A/D", R | WB, RWX, WALK_EPT_AD, WALK_TABLE, VIOL, 0x00b },
	{ "read of execute-only", X | WB, RWX, XONLY, 0, VIOL, 0x021 },
	{ "fetch of execute-only", X | WB, RWX, XONLY, F, OK, 0 },
	{ "execute-only, not capable", X | WB, RWX, 0, F, CONF, 0 },
	{ "write-only", W | WB, RWX, XONLY, SW, CONF, 0 },
	{ "write and execute", W | X | WB, RWX, XONLY, SW, CONF, 0 },
	{ "write-only table", RWX | WB, W, XONLY, SW, CONF, 0 },
	{ "user execute without MBEC is absent", XU | WB, RWX, XONLY, WALK_USER | F, VIOL, 0x004 },
	{ "user execute", R | XU | WB, RWX | XU, MBEC, WALK_USER | F, OK, 0 },
	{ "user execute, supervisor fetch", R | XU | WB, RWX | XU, MBEC, F, VIOL, 0x04c },
	{ "supervisor execute, user fetch", R | X | WB, RWX | XU, MBEC, WALK_USER | F, VIOL,
	  0x02c },
	{ "user execute-only", XU | WB, RWX | XU, MBEC | XONLY, WALK_USER | F, OK, 0 },
	{ "user execute-only, not capable", XU | WB, RWX | XU, MBEC, WALK_USER | F, CONF, 0 },
	{ "X serves both without MBEC", R | X | WB, RWX, 0, WALK_USER | F, OK, 0 },
	{ "memory type 0", R, RWX, 0, 0, OK, 0 },
	{ "memory type 1", R | 1 << 3, RWX, 0, 0, OK, 0 },
	{ "memory type 2", R | 2 << 3, RWX, 0, 0, CONF, 0 },
	{ "memory type 3", R | 3 << 3, RWX, 0, 0, CONF, 0 },
	{ "memory type 4", R | 4 << 3, RWX, 0, 0, OK, 0 },
	{ "memory type 5", R | 5 << 3, RWX, 0, 0, OK, 0 },
	{ "memory type 7", R | 7 << 3, RWX, 0, 0, CONF, 0 },
	{ "table with bit 3", R | WB, RWX | BIT_ULL(3), 0, 0, CONF, 0 },
	{ "table with bit 6", R | WB, RWX | BIT_ULL(6), 0, 0, CONF, 0 },
	{ "root with bit 7", R | WB, RWX | PS, 0, 0, CONF, 0 },
	{ "address bit 40 of 40", R | WB | BIT_ULL(40), RWX, 0, 0, CONF, 0 },
	{ "misconfiguration before violation", R | 2 << 3, RWX, 0, SW, CONF, 0 },
	{ "bits 63:52 are ignored", R | WB | 0xfffull << 52, RWX | 0xfffull << 52, 0, 0, OK, 0 },
};

static void test_faults_of_ept(void **state)
{
	static const struct walk_format *const formats[] = { &walk_ept_4level, &walk_ept_5level };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ept_rows) * 2; i++) {
		const struct ept_row *row = &ept_rows[i / 2];
		u64 entry[] = { row->leaf, row->upper, row->upper, row->upper, row->upper };
		struct chain *chain = malloc(sizeof(*chain));
		struct walk_result result;

		assert_non_null(chain);
		chain_init(chain, formats[i % 2], entry);
		chain->walk.mode.flags = row->flags;
		walk_translate(&chain->walk, 0, row->access, &result);
		if (result.fault != row->want || result.qualification != row->qualification)
			fail_msg("%s, %s: fault %d, qualification 0x%llx",
				 formats[i % 2]->name, row->name, result.fault,
				 (unsigned long long)result.qualification);
		free(chain);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_codes_of_4_and_5_levels),
		cmocka_unit_test(test_error_codes_of_32_bit_paging),
		cmocka_unit_test(test_error_codes_of_pae),
		cmocka_unit_test(test_reserved_bits_of_large_pages),
		cmocka_unit_test(test_faults_of_ept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
