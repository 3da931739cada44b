// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: the table of views.  Which numbers are views, when a view exists, and
 * when one is in use, on a struct kvm that is no VM: only what these look at is
 * set up.
 */
#include <kunit/test.h>

#include "vmx_ept_swap.h"

#define A	KVM_HYPR_VIEW_FIRST
#define LAST	(KVM_HYPR_MAX_VIEWS - 1)

struct fake {
	struct kvm kvm;
	struct kvm_hypr hypr;
	struct kvm_memory_slot slot[KVM_HYPR_MAX_VIEWS];
	struct kvm_vcpu vcpu;
};

static int view_init(struct kunit *test)
{
	struct fake *fake;
	int i, r;

	fake = kvzalloc(sizeof(*fake), GFP_KERNEL);
	if (!fake)
		return -ENOMEM;
	r = init_srcu_struct(&fake->kvm.srcu);
	if (r) {
		kvfree(fake);
		return r;
	}
	mutex_init(&fake->hypr.lock);
	INIT_LIST_HEAD(&fake->hypr.vcpus);
	refcount_set(&fake->kvm.users_count, 1);
	fake->kvm.arch.hypr.vm = &fake->hypr;
	fake->kvm.arch.hypr.nr_as_ids = KVM_HYPR_MAX_VIEWS;
	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++)
		rcu_assign_pointer(fake->kvm.memslots[i],
				   &fake->kvm.__memslots[i][0]);
	test->priv = fake;
	return 0;
}

static void view_exit(struct kunit *test)
{
	struct fake *fake = test->priv;

	if (!fake)
		return;
	cleanup_srcu_struct(&fake->kvm.srcu);
	kvfree(fake);
}

/* As KVM does at each change: of a view's slots, no two are of one generation. */
static void slots_change(struct kvm_memslots *slots)
{
	slots->generation += KVM_HYPR_MAX_VIEWS;
}

static void slot_set(struct fake *fake, u32 view, short id)
{
	struct kvm_memslots *slots = &fake->kvm.__memslots[view][0];
	struct kvm_memory_slot *slot = &fake->slot[view];

	slot->id = id;
	slot->base_gfn = 0x100;
	slot->npages = 16;
	slots->gfn_tree = RB_ROOT;
	rb_link_node(&slot->gfn_node[0], NULL, &slots->gfn_tree.rb_node);
	rb_insert_color(&slot->gfn_node[0], &slots->gfn_tree);
	slots_change(slots);
}

static void slot_clear(struct fake *fake, u32 view)
{
	fake->kvm.__memslots[view][0].gfn_tree = RB_ROOT;
	slots_change(&fake->kvm.__memslots[view][0]);
}

static void view_numbers(struct kunit *test)
{
	u32 view;

	for (view = 0; view < 1000; view++)
		KUNIT_EXPECT_EQ_MSG(test, hypr_view_is_valid(view),
				    view < 16 && view != 1, "view %u", view);
	for (view = 4; view < 32; view++)
		KUNIT_EXPECT_FALSE(test, hypr_view_is_valid(BIT(view)));
	KUNIT_EXPECT_FALSE(test, hypr_view_is_valid(U32_MAX));
}

/* A view's number is a byte of the root's role, and an address space. */
static void view_numbers_fit(struct kunit *test)
{
	union kvm_mmu_page_role role = { .smm = LAST };

	KUNIT_EXPECT_EQ(test, (u32)role.smm, LAST);
	KUNIT_EXPECT_EQ(test, KVM_MAX_NR_ADDRESS_SPACES, KVM_HYPR_MAX_VIEWS);
	KUNIT_EXPECT_TRUE(test, is_power_of_2(KVM_MAX_NR_ADDRESS_SPACES));
	KUNIT_EXPECT_EQ(test, KVM_HYPR_VIEW_SMM, 1);
}

static void view_without_slots(struct kunit *test)
{
	struct fake *fake = test->priv;
	u32 view;

	for (view = 0; view < KVM_HYPR_MAX_VIEWS; view++)
		KUNIT_EXPECT_FALSE(test, hypr_view_exists(&fake->kvm, view));
}

static void view_with_a_slot(struct kunit *test)
{
	struct fake *fake = test->priv;
	u32 view, other;

	for (view = 0; view < KVM_HYPR_MAX_VIEWS; view++) {
		slot_set(fake, view, 0);
		for (other = 0; other < KVM_HYPR_MAX_VIEWS; other++)
			KUNIT_EXPECT_EQ_MSG(test,
					    hypr_view_exists(&fake->kvm, other),
					    other == view && other != 1,
					    "view %u, slot in %u", other, view);
		slot_clear(fake, view);
		KUNIT_EXPECT_FALSE(test, hypr_view_exists(&fake->kvm, view));
	}
}

/* KVM's own slots stand in every address space: they are no memory of a view. */
static void view_with_slots_of_kvm(struct kunit *test)
{
	struct fake *fake = test->priv;

	slot_set(fake, A, KVM_USER_MEM_SLOTS);
	KUNIT_EXPECT_FALSE(test, hypr_view_exists(&fake->kvm, A));
	slot_set(fake, A, KVM_USER_MEM_SLOTS - 1);
	KUNIT_EXPECT_TRUE(test, hypr_view_exists(&fake->kvm, A));
}

static void view_beyond_the_table(struct kunit *test)
{
	struct fake *fake = test->priv;

	slot_set(fake, 0, 0);
	slot_set(fake, A, 0);
	KUNIT_EXPECT_FALSE(test, hypr_view_exists(&fake->kvm, KVM_HYPR_MAX_VIEWS));
	KUNIT_EXPECT_FALSE(test, hypr_view_exists(&fake->kvm, 0x10000));
	KUNIT_EXPECT_FALSE(test, hypr_view_exists(&fake->kvm, 0x10002));
	KUNIT_EXPECT_FALSE(test, hypr_view_exists(&fake->kvm, U32_MAX));
}

static void view_in_use(struct kunit *test)
{
	struct fake *fake = test->priv;
	u32 view;

	mutex_lock(&fake->hypr.lock);
	fake->kvm.arch.hypr.active = A;
	for (view = 0; view < KVM_HYPR_MAX_VIEWS; view++)
		KUNIT_EXPECT_EQ(test, hypr_view_in_use(&fake->kvm, view),
				view == A);

	/* KVM_SET_EPTP has taken one vCPU elsewhere. */
	list_add_tail(&fake->vcpu.arch.hypr.node, &fake->hypr.vcpus);
	fake->vcpu.arch.hypr.next = LAST;
	for (view = 0; view < KVM_HYPR_MAX_VIEWS; view++)
		KUNIT_EXPECT_EQ(test, hypr_view_in_use(&fake->kvm, view),
				view == A || view == LAST);
	mutex_unlock(&fake->hypr.lock);
}

static struct kunit_case hypr_view_cases[] = {
	KUNIT_CASE(view_numbers),
	KUNIT_CASE(view_numbers_fit),
	KUNIT_CASE(view_without_slots),
	KUNIT_CASE(view_with_a_slot),
	KUNIT_CASE(view_with_slots_of_kvm),
	KUNIT_CASE(view_beyond_the_table),
	KUNIT_CASE(view_in_use),
	{}
};

static struct kunit_suite hypr_view_suite = {
	.name = "hypr_view",
	.init = view_init,
	.exit = view_exit,
	.test_cases = hypr_view_cases,
};

kunit_test_suite(hypr_view_suite);
