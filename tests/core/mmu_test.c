// SPDX-License-Identifier: GPL-2.0-only
/*
 * core/mmu*.c: one table of operations and expected translations, run over EPT and over
 * shadow paging.  The processor of the test walks the guest's tables and then EPT, or
 * the shadow tables; what the guest sees must be equal.
 */
#include "tests/unit/unit.h"

#include "mmu.h"
#include "tests/core/alloc_left.h"
#include "tests/core/mmu_rows.h"

#define CR4_PAE	0x20ull
#define CR4_PCIDE (1ull << 17)
#define CR4_SMEP (1ull << 20)

static u8 *host;
static struct mmu_virtualization mmu;
static struct mmu_vcpu vcpu;
static u64 cr0, cr4, efer;
static u16 flushed_pcid;
static u32 flushes_address, flushes_context, flushes_all;

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

static void test_user_fetches_have_a_right_of_their_own(void **state)
{
	struct mmu_params params = params_of(MMU_EPT);
	struct memory_mapping mapping = { .size = CORE_PAGE_4K, .permissions = RWX };
	struct mmu_fault fault = { .access = WALK_FETCH };

	(void)state;
	params.can.user_execute = true;
	assert_int_equal(init_mmu_virtualization(&mmu, &params), 0);
	mmu_vcpu_init(&vcpu, &mmu);
	assert_int_equal(mmu.page_table->map(&mmu, &mapping), 0);
	assert_int_equal(mmu.page_table->fault(&vcpu, &fault), 0);
	assert_int_equal(fault.result, MMU_RETRY);
	fault.access = WALK_FETCH | WALK_USER;
	assert_int_equal(mmu.page_table->fault(&vcpu, &fault), 0);
	assert_int_equal(fault.result, MMU_NO_MEMORY);
	mmu_vcpu_fini(&vcpu);
	fini_mmu_virtualization(&mmu);
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
		cmocka_unit_test(test_user_fetches_have_a_right_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
