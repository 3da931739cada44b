// SPDX-License-Identifier: GPL-2.0-only
/* A guest's address by the page tables in a view of a VM that is played. */
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/view/view.h"
#include "played_vm.h"

#define ROOT	0x900000u	/* tables, one a page */
#define GVA	0xffffffff81234567ull

static uint8_t *memory(struct played *p, const char *view)
{
	return hypr_view_find(p->vm, view)->mem.host;
}

static void put(uint8_t *mem, uint64_t at, uint64_t entry)
{
	memcpy(mem + at, &entry, sizeof(entry));
}

/* GVA is in a page of 2 MiB at @gpa. */
static void write_tables(uint8_t *mem, uint64_t gpa)
{
	put(mem, ROOT + 8 * 511, (ROOT + 0x1000) | 3);
	put(mem, ROOT + 0x1000 + 8 * 510, (ROOT + 0x2000) | 3);
	put(mem, ROOT + 0x2000 + 8 * 9, gpa | 0x83);
}

static const struct hypr_paging root = {
	.size = sizeof(root), .flags = HYPR_PAGING_CR3, .cr3 = ROOT,
};

static void assert_gpa(struct played *p, const char *view, uint64_t gpa)
{
	struct hypr_translation t;

	if (hypr_view_translate(p->vm, view, GVA, &root, &t))
		fail_msg("%s", hypr_error());
	assert_int_equal(t.gpa, gpa);
	assert_int_equal(t.page_bytes, 2u << 20);
	assert_int_equal(t.rights, HYPR_RIGHT_READ | HYPR_RIGHT_WRITE | HYPR_RIGHT_EXECUTE);
	assert_true(t.in_memory);
}

static void test_each_view_has_its_own_tables(void **ctx)
{
	struct hypr_snapshot_result snapshot;
	struct played *p = *ctx;

	write_tables(memory(p, "boot"), 0x200000);
	assert_gpa(p, NULL, 0x234567);
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_snapshot(p->vm, "A", &snapshot), 0);
	write_tables(memory(p, "boot"), 0x400000);
	assert_gpa(p, "boot", 0x434567);
	assert_gpa(p, "A", 0x234567);
	assert_int_equal(hypr_vm_pause(p->vm, NULL), 0);
	assert_gpa(p, "boot", 0x434567);
	assert_int_equal(p->vm->paused, 1);
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	assert_true(fake_kvm_runs());
}

static void test_what_is_not_mapped_and_what_is_refused(void **ctx)
{
	struct hypr_paging paging = root;
	struct played *p = *ctx;
	struct hypr_translation t;

	write_tables(memory(p, "boot"), 0x200000);
	put(memory(p, "boot"), ROOT + 0x2000 + 8 * 9, 0);
	assert_int_equal(hypr_view_translate(p->vm, NULL, GVA, &root, &t), -EFAULT);
	assert_int_equal(t.fault, HYPR_FAULT_ABSENT);
	assert_int_equal(t.level, 2);
	assert_non_null(strstr(hypr_error(), "level 2"));
	paging.cr3 = 1ull << 40;
	assert_int_equal(hypr_view_translate(p->vm, NULL, GVA, &paging, &t), -EFAULT);
	assert_int_equal(t.fault, HYPR_FAULT_BEYOND);
	paging.vcpu = FAKE_VCPUS;
	assert_int_equal(hypr_view_translate(p->vm, NULL, GVA, &paging, &t), -EINVAL);
	paging.vcpu = 0;
	paging.reserved = 1;
	assert_int_equal(hypr_view_translate(p->vm, NULL, GVA, &paging, &t), -EINVAL);
	assert_int_equal(hypr_view_translate(p->vm, "none", GVA, &root, &t), -ENOENT);
	/* The vCPUs that are played have paging off. */
	assert_int_equal(hypr_view_translate(p->vm, NULL, 0x1234, NULL, &t), 0);
	assert_int_equal(t.gpa, 0x1234);
	assert_int_equal(t.level, 0);
	assert_true(fake_kvm_runs());
}

static void test_a_table_in_a_truncated_file(void **ctx)
{
	struct played *p = *ctx;
	struct hypr_translation t;

	write_tables(memory(p, "boot"), 0x200000);
	played_save(p, p->file);
	assert_int_equal(played_resurrect(p, p->file, 0), 0);
	assert_gpa(p, NULL, 0x234567);
	assert_int_equal(truncate(p->file, 0), 0);
	assert_int_equal(hypr_view_translate(p->vm, NULL, GVA, &root, &t), -EBADMSG);
	assert_non_null(strstr(hypr_error(), "truncated while in use"));
	assert_true(fake_kvm_runs());
}

#define T(name)	cmocka_unit_test_setup_teardown(name, played_setup, played_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_each_view_has_its_own_tables),
		T(test_what_is_not_mapped_and_what_is_refused),
		T(test_a_table_in_a_truncated_file),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
