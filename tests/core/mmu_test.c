// SPDX-License-Identifier: GPL-2.0-only
/*
 * core/mmu*.c: one table of operations and expected translations, run over EPT and over
 * shadow paging.  The processor of the test walks the guest's tables and then EPT, or
 * the shadow tables; what the guest sees must be equal.
 */
#include "tests/unit/unit.h"

#include "mmu.h"
#include "plat.h"

#define PAGES	1024u			/* of host memory: 4 MiB, aligned */
#define CR3	0x1000ull		/* the guest's root; its tables follow */
#define RWU	7u
#define LEAF(n)	(0x4000ull + (n) * 8)	/* GPA of the entry of GVA(n) */
#define GVA(n)	((n) * CORE_PAGE_4K)
#define SUPER	0u
#define USER	WALK_USER
#define CR4_PAE	0x20ull
#define CR4_PCIDE (1ull << 17)
#define CR4_SMEP (1ull << 20)

static u8 *host;
static struct mmu_virtualization mmu;
static struct mmu_vcpu vcpu;
static u64 cr0, cr4, efer;
static u16 flushed_pcid;
static u32 flushes_address, flushes_context, flushes_all;
static int page_allocs_left = -1, allocs_left = -1;

void *__real_plat_page_alloc(u32 count, int node);
void *__wrap_plat_page_alloc(u32 count, int node);
void *__real_plat_alloc(size_t bytes);
void *__wrap_plat_alloc(size_t bytes);

void *__wrap_plat_page_alloc(u32 count, int node)
{
	if (!page_allocs_left)
		return NULL;
	page_allocs_left -= page_allocs_left > 0;
	return __real_plat_page_alloc(count, node);
}

void *__wrap_plat_alloc(size_t bytes)
{
	if (!allocs_left)
		return NULL;
	allocs_left -= allocs_left > 0;
	return __real_plat_alloc(bytes);
}

static void count_address(void *context, u16 pcid, hypr_gva_t gva)
{
	(void)context;
	(void)gva;
	flushed_pcid = pcid;
	flushes_address++;
}

static void count_context(void *context, u16 pcid)
{
	(void)context;
	flushed_pcid = pcid;
	flushes_context++;
}

static void count_all(void *context)
{
	(void)context;
	flushes_all++;
}

static struct mmu_params params_of(enum mmu_kind kind)
{
	const struct mmu_params params = {
		.ept = kind == MMU_EPT,
		.can = { .maxphyaddr = 52, .page_2m = true, .page_1g = true },
		.tlb = { count_address, count_context, count_all, NULL },
		.maxphyaddr = 40,
		.cpu_flags = WALK_PAGE_1G,
		.max_pages = 64,
		.hash_key = 77,
	};

	return params;
}

/* Of the guest's instruction. */
struct seen {
	enum mmu_result result;		/* MMU_RETRY: done */
	u32 error_code;
	u64 hpa;
	u64 gpa;			/* to emulate */
};

static struct walk guest_walk(void)
{
	struct walk walk = { .memory = &mmu.memory, .root = CR3 };

	walk_set_registers(&walk, cr0, cr4, efer, 0, WALK_PAGE_1G);
	walk.mode.maxphyaddr = 40;
	return walk;
}

/* EPT: the guest's tables, then the map; NO_MEMORY and NO_TABLE are EPT violations. */
static struct seen access_ept(u64 gva, u32 access)
{
	struct walk walk = guest_walk();
	struct walk ept = {
		.format = &walk_ept_4level,
		.mode = { .flags = WALK_PAGE_2M | WALK_PAGE_1G, .maxphyaddr = 52 },
		.memory = &walk_host_memory,
		.root = mmu.cache->root(&vcpu),
	};
	struct mmu_fault fault = { 0 };
	struct seen seen = { 0 };
	struct walk_result result;

	if (walk_translate(&walk, gva, access, &result)) {
		seen.result = result.fault == WALK_FAULT_MEMORY ? MMU_NO_TABLE : MMU_REFLECT;
		seen.error_code = result.error_code;
		return seen;
	}
	fault.gpa = walk_gpa(&result);
	fault.access = access;
	if (walk_translate(&ept, fault.gpa.addr, access & (WALK_WRITE | WALK_FETCH), &result)) {
		assert_int_equal(result.fault, WALK_FAULT_EPT_VIOLATION);
		assert_int_equal(mmu.page_table->fault(&vcpu, &fault), 0);
		assert_int_not_equal(fault.result, MMU_RETRY);
		seen.result = fault.result;
		return seen;
	}
	/* The map has it: a violation would have come from an old TLB entry. */
	assert_int_equal(mmu.page_table->fault(&vcpu, &fault), 0);
	assert_int_equal(fault.result, MMU_RETRY);
	seen.hpa = result.address;
	return seen;
}

static struct seen access_shadow(u64 gva, u32 access)
{
	struct walk walk = {
		.format = &walk_x86_4level,
		.mode = { .flags = WALK_WP | WALK_NXE | (cr4 & CR4_SMEP ? WALK_SMEP : 0),
			  .maxphyaddr = 52 },
		.memory = &walk_host_memory,
		.root = mmu.cache->root(&vcpu),
	};
	struct mmu_fault fault = { .gva = hypr_gva(gva), .access = access };
	struct walk_result result;
	struct seen seen = { 0 };

	for (int tries = 0; tries < 3; tries++) {
		if (!walk_translate(&walk, gva, access, &result)) {
			seen.hpa = result.address;
			return seen;
		}
		assert_int_equal(mmu.page_table->fault(&vcpu, &fault), 0);
		if (fault.result == MMU_RETRY)
			continue;
		if (fault.result == MMU_EMULATE) {
			struct memory_mapping run;
			hypr_gpa_t page = hypr_gpa(fault.gpa.addr & ~(CORE_PAGE_4K - 1));

			assert_int_equal(mmu.page_table->translate(&mmu, page, CORE_PAGE_4K,
								   &run), 0);
			seen.hpa = run.hpa.addr + fault.gpa.addr % CORE_PAGE_4K;
			seen.gpa = fault.gpa.addr;
			return seen;
		}
		seen.result = fault.result;
		seen.error_code = fault.error_code;
		return seen;
	}
	fail_msg("gva %#llx faults all the time", (unsigned long long)gva);
	return seen;
}

static struct seen access_gva(u64 gva, u32 access)
{
	return mmu.kind == MMU_EPT ? access_ept(gva, access) : access_shadow(gva, access);
}

/* One row: an operation with up to three arguments, or an access and what the guest sees. */
enum what {
	MAP,		/* a: GPA, b: pages, c: host page, d: permissions; want */
	UNMAP,		/* a: GPA, b: pages; want */
	PROTECT,	/* a: GPA, b: pages, c: permissions; want */
	TRANSLATE,	/* a: GPA; c: host page; want */
	ENTRY,		/* the guest's tables: a: GPA, b: value; by the host */
	STORE,		/* the guest stores b at GVA a, in supervisor mode */
	INVLPG,		/* a: GVA */
	FLUSH,		/* the entries of the PCID */
	FLUSH_ALL,
	LOAD,		/* CR3 */
	FORGET,
	MODE,		/* a: CR0.WP, b: CR4.SMEP */
	ACCESS,		/* a: GVA, b: access; c: host address, or error code; want */
};

struct row {
	const char *why;
	enum what what;
	u64 a, b, c, d;
	int want;
};

#define RWX	(EPT_RWX | EPT_WB)
#define RX	(EPT_READ | EPT_EXEC | EPT_WB)
#define RW	(EPT_READ | EPT_WRITE | EPT_WB)

static const struct row rows[] = {
	{ "all memory, identical", MAP, 0, PAGES / 2, 0, RWX, 0 },
	{ "mapped already", MAP, 0x5000, 1, 9, RWX, -EEXIST },
	{ "no page", MAP, 0x500000, 0, 9, RWX, -EINVAL },
	{ "where a page is", TRANSLATE, 0x5000, 0, 5, 0, 0 },
	{ "where none is", TRANSLATE, 0x500000, 0, 0, 0, -ENOENT },
	{ "nothing mapped by the guest", ACCESS, GVA(1), USER, 4, 0, MMU_REFLECT },

	{ "root", ENTRY, 0x1000, 0x2000 | RWU, 0, 0, 0 },
	{ "level 3", ENTRY, 0x2000, 0x3000 | RWU, 0, 0, 0 },
	{ "level 2", ENTRY, 0x3000, 0x4000 | RWU, 0, 0, 0 },
	{ "level 1: a window to the leaf table", ENTRY, LEAF(0), 0x4000 | 3, 0, 0, 0 },
	{ "a page", ENTRY, LEAF(1), 0x9000 | RWU, 0, 0, 0 },
	{ "a read-only page", ENTRY, LEAF(2), 0xa000 | 5, 0, 0, 0 },
	{ "a page of the kernel", ENTRY, LEAF(3), 0xb000 | 3, 0, 0, 0 },
	{ "beyond memory", ENTRY, LEAF(4), 0x700000 | RWU, 0, 0, 0 },
	{ "no execution", ENTRY, LEAF(5), 0xc000 | RWU | 1ull << 63, 0, 0, 0 },
	{ "2 MiB beyond memory", ENTRY, 0x3008, 0x200000 | RWU | 0x80, 0, 0, 0 },
	{ "2 MiB", ENTRY, 0x3010, 0 | RWU | 0x80, 0, 0, 0 },

	{ "read", ACCESS, GVA(1) + 8, USER, 0x9008, 0, MMU_RETRY },
	{ "write", ACCESS, GVA(1), USER | WALK_WRITE, 0x9000, 0, MMU_RETRY },
	{ "fetch", ACCESS, GVA(1), USER | WALK_FETCH, 0x9000, 0, MMU_RETRY },
	{ "write to read-only", ACCESS, GVA(2), USER | WALK_WRITE, 7, 0, MMU_REFLECT },
	{ "the kernel's write", ACCESS, GVA(2), WALK_WRITE, 3, 0, MMU_REFLECT },
	{ "user in the kernel's page", ACCESS, GVA(3), USER, 5, 0, MMU_REFLECT },
	{ "kernel there", ACCESS, GVA(3), SUPER, 0xb000, 0, MMU_RETRY },
	{ "fetch of NX", ACCESS, GVA(5), USER | WALK_FETCH, 0x15, 0, MMU_REFLECT },
	{ "no memory", ACCESS, GVA(4), USER, 0, 0, MMU_NO_MEMORY },
	{ "large", ACCESS, 2 * CORE_PAGE_2M + 0xe010, USER, 0xe010, 0, MMU_RETRY },
	{ "large, no memory", ACCESS, CORE_PAGE_2M, USER, 0, 0, MMU_NO_MEMORY },

	{ "without CR0.WP", MODE, 0, 0, 0, 0, 0 },
	{ "the kernel writes", ACCESS, GVA(2), WALK_WRITE, 0xa000, 0, MMU_RETRY },
	{ "the user does not", ACCESS, GVA(2), USER | WALK_WRITE, 7, 0, MMU_REFLECT },
	{ "the user reads", ACCESS, GVA(2), USER, 0xa000, 0, MMU_RETRY },
	{ "with SMEP", MODE, 1, 1, 0, 0, 0 },
	{ "the kernel runs no user page", ACCESS, GVA(1), WALK_FETCH, 0x11, 0, MMU_REFLECT },
	{ "WP is back", ACCESS, GVA(2), WALK_WRITE, 3, 0, MMU_REFLECT },
	{ "as before", MODE, 1, 0, 0, 0, 0 },

	{ "host: read-only", PROTECT, 0x9000, 1, RX, 0, 0 },
	{ "not mapped", PROTECT, 0x700000, 1, RX, 0, -ENOENT },
	{ "the guest reads", ACCESS, GVA(1), USER, 0x9000, 0, MMU_RETRY },
	{ "a write exits", ACCESS, GVA(1), USER | WALK_WRITE, 0, 0, MMU_NO_MEMORY },
	{ "host: no execution", PROTECT, 0x9000, 1, RW, 0, 0 },
	{ "a fetch exits", ACCESS, GVA(1), USER | WALK_FETCH, 0, 0, MMU_NO_MEMORY },
	{ "a write is fine", ACCESS, GVA(1), USER | WALK_WRITE, 0x9000, 0, MMU_RETRY },
	{ "host: gone", UNMAP, 0x9000, 1, 0, 0, 0 },
	{ "the guest's read exits", ACCESS, GVA(1), USER, 0, 0, MMU_NO_MEMORY },
	{ "nothing to unmap", UNMAP, 0x9000, 1, 0, 0, 0 },
	{ "an odd size", UNMAP, 0x9001, 1, 0, 0, -EINVAL },
	{ "another page there", MAP, 0x9000, 1, 600, RWX, 0 },
	{ "the guest reads it", ACCESS, GVA(1), USER, 600 * 4096, 0, MMU_RETRY },
	{ "by the large page too", ACCESS, 2 * CORE_PAGE_2M + 0x9000, USER, 600 * 4096, 0,
	  MMU_RETRY },

	{ "the guest edits", STORE, GVA(0) + 8, 0xd000 | RWU, 0, 0, 0 },
	{ "and invalidates", INVLPG, GVA(1), 0, 0, 0, 0 },
	{ "the new page", ACCESS, GVA(1), USER, 0xd000, 0, MMU_RETRY },
	{ "again", STORE, GVA(0) + 8, 0xe000 | RWU, 0, 0, 0 },
	{ "flushes the PCID", FLUSH, 0, 0, 0, 0, 0 },
	{ "the new page", ACCESS, GVA(1), USER, 0xe000, 0, MMU_RETRY },
	{ "again", STORE, GVA(0) + 8, 0xf000 | RWU, 0, 0, 0 },
	{ "flushes all", FLUSH_ALL, 0, 0, 0, 0, 0 },
	{ "the new page", ACCESS, GVA(1), USER, 0xf000, 0, MMU_RETRY },
	{ "takes it away", STORE, GVA(0) + 8, 0, 0, 0, 0 },
	{ "loads CR3", LOAD, 0, 0, 0, 0, 0 },
	{ "not present", ACCESS, GVA(1), USER | WALK_WRITE, 6, 0, MMU_REFLECT },
	{ "and back", STORE, GVA(0) + 8, 0xf000 | RWU, 0, 0, 0 },
	{ "nothing to invalidate", ACCESS, GVA(1), USER, 0xf000, 0, MMU_RETRY },
	{ "a device edits", ENTRY, LEAF(1), 0x10000 | RWU, 0, 0, 0 },
	{ "and the guest invalidates", INVLPG, GVA(1), 0, 0, 0, 0 },
	{ "the new page", ACCESS, GVA(1), USER, 0x10000, 0, MMU_RETRY },
	{ "everything forgotten", FORGET, 0, 0, 0, 0, 0 },
	{ "is found again", ACCESS, GVA(1), USER, 0x10000, 0, MMU_RETRY },

	{ "host: a table is read-only", PROTECT, 0x3000, 1, RX, 0, 0 },
	{ "no accessed flag to set", ACCESS, GVA(1), USER, 0x10000, 0, MMU_RETRY },
	{ "a table without its flag", ENTRY, 0x3000, 0x4000 | RWU, 0, 0, 0 },
	{ "invalidated", INVLPG, GVA(1), 0, 0, 0, 0 },
	{ "a flag to set", ACCESS, GVA(1), USER, 0, 0, MMU_NO_TABLE },
	{ "host: the table is gone", UNMAP, 0x3000, 1, 0, 0, 0 },
	{ "nowhere to go", ACCESS, GVA(1), USER, 0, 0, MMU_NO_TABLE },
	{ "host: all is gone", UNMAP, 0, PAGES, 0, 0, 0 },
	{ "nowhere at all", ACCESS, GVA(3), SUPER, 0, 0, MMU_NO_TABLE },
};

static void set_mode(u64 wp, u64 smep)
{
	cr0 = 0x80000001ull | wp << 16;
	cr4 = CR4_PAE | (smep ? CR4_SMEP : 0);
	efer = 0xd00;
	assert_int_equal(mmu.cache->set_registers(&vcpu, cr0, cr4, efer), 0);
}

static int run_access(const struct row *row)
{
	struct seen seen = access_gva(row->a, (u32)row->b);

	if (seen.result == MMU_RETRY)
		return seen.hpa == (u64)(uintptr_t)host + row->c ? MMU_RETRY : -EXDEV;
	return seen.error_code == row->c ? (int)seen.result : -EXDEV;
}

static int run_store(const struct row *row)
{
	struct seen seen = access_gva(row->a, WALK_WRITE);

	if (seen.result != MMU_RETRY)
		return -EFAULT;
	*(u64 *)(uintptr_t)seen.hpa = row->b;
	if (seen.gpa)
		mmu.page_table->wrote(&mmu, hypr_gpa(seen.gpa), 8);
	return 0;
}

static int run_row(const struct row *row)
{
	struct memory_mapping mapping = { .gpa = hypr_gpa(row->a) };
	hypr_gpa_t gpa = hypr_gpa(row->a);
	u64 size = row->b * CORE_PAGE_4K;
	int err;

	switch (row->what) {
	case MAP:
		mapping.hpa = hypr_hpa((u64)(uintptr_t)host + row->c * CORE_PAGE_4K);
		mapping.size = size;
		mapping.permissions = (u32)row->d;
		return mmu.page_table->map(&mmu, &mapping);
	case UNMAP:
		return mmu.page_table->unmap(&mmu, gpa, size);
	case PROTECT:
		return mmu.page_table->protect(&mmu, gpa, size, (u32)row->c);
	case TRANSLATE:
		err = mmu.page_table->translate(&mmu, gpa, CORE_PAGE_4K, &mapping);
		if (!err && mapping.hpa.addr != (u64)(uintptr_t)host + row->c * CORE_PAGE_4K)
			return -EXDEV;
		return err;
	case ENTRY:
		*(u64 *)(host + row->a) = row->b;
		mmu.page_table->wrote(&mmu, gpa, 8);
		return 0;
	case STORE:
		return run_store(row);
	case INVLPG:
		mmu.tlb->flush_address(&vcpu, hypr_gva(row->a));
		return 0;
	case FLUSH:
		mmu.tlb->flush_context(&vcpu);
		return 0;
	case FLUSH_ALL:
		mmu.tlb->flush_all(&mmu);
		return 0;
	case LOAD:
		return mmu.cache->load_root(&vcpu, CR3);
	case FORGET:
		mmu.cache->forget(&mmu);
		return 0;
	case MODE:
		set_mode(row->a, row->b);
		return 0;
	case ACCESS:
		return run_access(row);
	}
	return -ENOSYS;
}

static void start(enum mmu_kind kind)
{
	struct mmu_params params = params_of(kind);

	/* plat_page_alloc() aligns to the size. */
	host = __real_plat_page_alloc(PAGES, PLAT_NODE_ANY);
	assert_non_null(host);
	assert_int_equal(init_mmu_virtualization(&mmu, &params), 0);
	assert_int_equal(mmu.kind, kind);
	mmu_vcpu_init(&vcpu, &mmu);
	set_mode(1, 0);
	assert_int_equal(mmu.cache->load_root(&vcpu, CR3), 0);
	flushes_all = 0;
	flushes_address = 0;
	flushes_context = 0;
}

static void stop(void)
{
	mmu_vcpu_fini(&vcpu);
	fini_mmu_virtualization(&mmu);
	plat_page_free(host, PAGES);
}

static void run_table(enum mmu_kind kind)
{
	start(kind);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int have = run_row(&rows[i]);

		if (have != rows[i].want)
			fail_msg("row %zu, %s: %d, not %d", i, rows[i].why, have, rows[i].want);
	}
	/* Each way to flush arrived at the hardware. */
	assert_true(flushes_address >= 3);
	assert_true(flushes_context >= 1);
	assert_true(flushes_all >= 5);
	stop();
}

static void test_table_over_ept(void **state)
{
	(void)state;
	run_table(MMU_EPT);
}

static void test_table_over_shadow(void **state)
{
	(void)state;
	run_table(MMU_SHADOW);
}

static void test_parameters_are_checked(void **state)
{
	struct mmu_params params;

	(void)state;
	params = params_of(MMU_EPT);
	params.tlb.flush_all = NULL;
	assert_int_equal(init_mmu_virtualization(&mmu, &params), -EINVAL);
	params = params_of(MMU_EPT);
	params.can.maxphyaddr = 60;
	assert_int_equal(init_mmu_virtualization(&mmu, &params), -EINVAL);
	params = params_of(MMU_SHADOW);
	params.max_pages = 1;
	assert_int_equal(init_mmu_virtualization(&mmu, &params), -EINVAL);
}

static void test_memory_runs_out(void **state)
{
	static const enum mmu_kind kinds[] = { MMU_EPT, MMU_SHADOW };
	struct memory_mapping mapping = { .size = CORE_PAGE_4K, .permissions = RWX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct mmu_params params = params_of(kinds[i]);

		page_allocs_left = 0;
		assert_int_equal(init_mmu_virtualization(&mmu, &params), -ENOMEM);
		page_allocs_left = -1;
		start(kinds[i]);
		mapping.hpa = hypr_hpa((u64)(uintptr_t)host);
		page_allocs_left = 1;
		assert_int_equal(mmu.page_table->map(&mmu, &mapping), -ENOMEM);
		page_allocs_left = -1;
		assert_int_equal(mmu.page_table->map(&mmu, &mapping), 0);
		stop();
	}
	for (int left = 0; left < 5; left++) {
		struct mmu_params params = params_of(MMU_SHADOW);

		allocs_left = left;
		assert_int_equal(init_mmu_virtualization(&mmu, &params), -ENOMEM);
	}
	allocs_left = -1;
}

static void test_fault_without_memory_is_reported(void **state)
{
	struct mmu_fault fault = { .gva = hypr_gva(0) };
	struct memory_mapping mapping = { .size = CORE_PAGE_2M, .permissions = RWX };

	(void)state;
	start(MMU_SHADOW);
	mapping.hpa = hypr_hpa((u64)(uintptr_t)host);
	assert_int_equal(mmu.page_table->map(&mmu, &mapping), 0);
	*(u64 *)(host + 0x1000) = 0x2000 | RWU;
	*(u64 *)(host + 0x2000) = 0x3000 | RWU;
	*(u64 *)(host + 0x3000) = 0x4000 | RWU;
	*(u64 *)(host + 0x4000) = 0x9000 | RWU;
	page_allocs_left = 2;
	assert_int_equal(mmu.page_table->fault(&vcpu, &fault), -ENOMEM);
	page_allocs_left = -1;
	assert_int_equal(mmu.page_table->fault(&vcpu, &fault), 0);
	assert_int_equal(fault.result, MMU_RETRY);
	stop();
}

static void test_flushes_name_the_pcid(void **state)
{
	(void)state;
	for (int kind = MMU_EPT; kind <= MMU_SHADOW; kind++) {
		struct memory_mapping mapping = { .size = CORE_PAGE_2M, .permissions = RWX };

		start(kind);
		mapping.hpa = hypr_hpa((u64)(uintptr_t)host);
		assert_int_equal(mmu.page_table->map(&mmu, &mapping), 0);
		cr4 |= CR4_PCIDE;
		assert_int_equal(mmu.cache->set_registers(&vcpu, cr0, cr4, efer), 0);
		assert_int_equal(mmu.cache->load_root(&vcpu, CR3 | 5), 0);
		mmu.tlb->flush_context(&vcpu);
		assert_int_equal(flushed_pcid, 5);
		assert_int_equal(mmu.cache->load_root(&vcpu, CR3 | 6), 0);
		mmu.tlb->flush_address(&vcpu, hypr_gva(0));
		assert_int_equal(flushed_pcid, 6);
		stop();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_over_ept),
		cmocka_unit_test(test_table_over_shadow),
		cmocka_unit_test(test_parameters_are_checked),
		cmocka_unit_test(test_memory_runs_out),
		cmocka_unit_test(test_fault_without_memory_is_reported),
		cmocka_unit_test(test_flushes_name_the_pcid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
