// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that a file's guest may not write: it is a read-only slot, a write ends
 * the VM by name, and a file that is written of such a VM says the same.
 */
#include "hypr/hypr.h"
#include "hypr/vmo.h"
#include "played_vm.h"

#include <fcntl.h>

#define PAGE	4096u
#define RO	(HYPR_VMO_RUN_R | HYPR_VMO_RUN_X)
#define RW	(HYPR_VMO_RUN_R | HYPR_VMO_RUN_W)
#define RWX	HYPR_VMO_RUN_RWX
#define PAGES	(HYPR_MEM_MIN_BYTES / PAGE)

struct range {
	uint64_t gpa;
	uint64_t pages;
	uint32_t flags;
};

/* p->file: the VM of now, with these permissions; RWX between them. */
static void write_file(struct played *p, const struct range *range, size_t nr)
{
	const struct hypr_vmo_section *table;
	struct hypr_vmo_params params = {
		.size = sizeof(params), .flags = HYPR_VMO_REPLACE, .nr_vcpus = FAKE_VCPUS,
		.mem_bytes = HYPR_MEM_MIN_BYTES,
	};
	struct hypr_vmo_writer *writer;
	struct hypr_vmo *vmo;
	const void *data;
	uint32_t version;
	unsigned int i, n;
	uint8_t *mem;
	size_t bytes;

	played_save(p, p->other);
	assert_int_equal(hypr_vmo_open(p->other, &vmo), 0);
	mem = malloc(HYPR_MEM_MIN_BYTES);
	assert_int_equal(hypr_vmo_read(vmo, 0, mem, HYPR_MEM_MIN_BYTES), 0);
	assert_int_equal(hypr_vmo_writer_create(p->file, &params, &writer), 0);
	for (i = 0; i < nr; i++)
		assert_int_equal(hypr_vmo_writer_pages(writer, range[i].gpa, mem + range[i].gpa,
						       range[i].pages, range[i].flags), 0);
	n = hypr_vmo_sections(vmo, &table);
	for (i = 0; i < n; i++) {
		if (table[i].type < HYPR_VMO_VCPU)
			continue;
		assert_int_equal(hypr_vmo_section(vmo, table[i].type, table[i].index, &data,
						  &bytes, &version), 0);
		assert_int_equal(hypr_vmo_writer_section(writer, table[i].type, table[i].index,
							 version, 0, data, bytes), 0);
	}
	assert_int_equal(hypr_vmo_writer_commit(writer, NULL), 0);
	hypr_vmo_writer_destroy(writer);
	hypr_vmo_close(vmo);
	free(mem);
}

static const struct range some[] = {
	{ 0x200000, 16, RO },
	{ 0x210000, 16, RW },		/* no slot of its own */
	{ 0x400000, 1, HYPR_VMO_RUN_R },
	{ HYPR_CONTROL_GPA - PAGE, 3, RO },
};

static void assert_slot(unsigned int view, unsigned int n, uint64_t gpa, uint64_t end,
			bool readonly)
{
	const struct kvm_userspace_memory_region *slot = fake_kvm_slot(view, n);

	assert_non_null(slot);
	assert_int_equal(slot->guest_phys_addr, gpa);
	assert_int_equal(slot->memory_size, end - gpa);
	assert_int_equal(slot->flags, readonly ? KVM_MEM_READONLY : 0);
}

static void assert_slots(unsigned int view)
{
	assert_slot(view, 0, 0, 0x200000, false);
	assert_slot(view, 1, 0x200000, 0x210000, true);
	assert_slot(view, 2, 0x210000, 0x400000, false);
	assert_slot(view, 3, 0x400000, 0x401000, true);
	assert_slot(view, 4, 0x401000, HYPR_CONTROL_GPA - PAGE, false);
	assert_slot(view, 5, HYPR_CONTROL_GPA - PAGE, HYPR_CONTROL_GPA, true);
	/* The control page can be written whatever the file says. */
	assert_slot(view, 6, HYPR_CONTROL_GPA, HYPR_CONTROL_GPA + PAGE, false);
	assert_slot(view, 7, HYPR_CONTROL_GPA + PAGE, HYPR_MEM_MIN_BYTES, true);
	assert_null(fake_kvm_slot(view, 8));
}

static void start(struct played *p)
{
	write_file(p, some, ARRAY_SIZE(some));
	assert_int_equal(played_resurrect(p, p->file, 0), 0);
}

static void test_slots(void **ctx)
{
	struct played *p = *ctx;

	start(p);
	assert_slots(0);
	assert_false(fake_kvm_write(0x200000, 1));
	assert_true(fake_kvm_write(0x210000, 1));
	assert_true(fake_kvm_runs());
}

/* As a view beside another that may write everything. */
static void test_slots_of_a_view(void **ctx)
{
	struct played *p = *ctx;

	write_file(p, some, ARRAY_SIZE(some));
	assert_int_equal(hypr_view_load(p->vm, "A", p->file, 0, NULL), 0);
	assert_slots(2);
	assert_int_equal(fake_kvm.slots, 3 + 8);
	assert_true(fake_kvm_write(0x200000, 0x5a));
	assert_int_equal(hypr_view_swap(p->vm, "A", 0, NULL), 0);
	assert_false(fake_kvm_write(0x200000, 1));
	assert_int_equal(hypr_view_swap(p->vm, "boot", 0, NULL), 0);
	assert_int_equal(hypr_view_remove(p->vm, "A"), 0);
	assert_int_equal(fake_kvm.slots, 3);
}

static void test_a_write_ends_the_vm(void **ctx)
{
	struct hypr_vm_info info;
	struct played *p = *ctx;

	start(p);
	fake_kvm.gpa = 0x20f123;
	__atomic_store_n(&fake_kvm.exit_reason, KVM_EXIT_MMIO, __ATOMIC_SEQ_CST);
	assert_int_equal(hypr_vm_wait(p->vm, 10000), -EIO);
	hypr_vm_info(p->vm, &info);
	assert_string_equal(info.end_reason, "vCPU 0: write to read-only memory at GPA 0x20f123");
}

/* Above memory nothing is there, and nothing happens. */
static void test_a_write_to_nowhere(void **ctx)
{
	struct played *p = *ctx;

	start(p);
	fake_kvm.gpa = HYPR_MEM_MIN_BYTES;
	__atomic_store_n(&fake_kvm.exit_reason, KVM_EXIT_MMIO, __ATOMIC_SEQ_CST);
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_vm_wait(p->vm, 0), -ETIMEDOUT);
}

static void assert_perms(const char *path)
{
	struct hypr_vmo_segment segment;
	struct hypr_vmo *vmo;
	uint64_t gpa;
	size_t i = 0;

	assert_int_equal(hypr_vmo_open(path, &vmo), 0);
	for (gpa = 0; gpa < HYPR_MEM_MIN_BYTES; gpa += PAGE) {
		while (i < ARRAY_SIZE(some) && gpa >= some[i].gpa + some[i].pages * PAGE)
			i++;
		assert_int_equal(hypr_vmo_segment(vmo, gpa, &segment), 0);
		assert_int_equal(segment.flags & RWX,
				 i < ARRAY_SIZE(some) && gpa >= some[i].gpa ? some[i].flags : RWX);
	}
	hypr_vmo_close(vmo);
}

static int save(struct played *p, const char *view)
{
	struct hypr_save_params params = {
		.size = sizeof(params), .flags = HYPR_SAVE_REPLACE, .path = p->other,
	};

	return hypr_view_save(p->vm, view, &params, NULL);
}

static void test_they_go_into_files_and_views(void **ctx)
{
	struct hypr_verify_result r;
	struct played *p = *ctx;

	start(p);
	assert_int_equal(save(p, NULL), 0);
	assert_perms(p->other);
	assert_int_equal(save(p, "boot"), 0);
	assert_perms(p->other);
	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), 0);
	assert_slots(2);
	assert_int_equal(hypr_view_swap(p->vm, "A", 0, NULL), 0);
	assert_true(fake_kvm_runs());
	assert_int_equal(save(p, NULL), 0);
	assert_perms(p->other);
	assert_int_equal(hypr_view_reset(p->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_compare(p->vm, "A", p->other, &r), 0);
	assert_int_equal(r.pages_mismatched, 0);
	assert_int_equal(played_resurrect(p, p->other, 0), 0);
	assert_slots(0);
}

static void test_a_kvm_without_read_only_memory(void **ctx)
{
	struct played *p = *ctx;

	write_file(p, some, ARRAY_SIZE(some));
	assert_int_equal(played_resurrect(p, p->file, FAKE_NO_ROM), -EOPNOTSUPP);
	assert_non_null(strstr(hypr_error(), p->file));
	assert_non_null(strstr(hypr_error(), "KVM_CAP_READONLY_MEM"));
}

/* As many as fit, and one more. */
static void test_too_many_pieces(void **ctx)
{
	struct range range[260];
	struct played *p = *ctx;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(range); i++)
		range[i] = (struct range){ 0x200000 + i * 2 * PAGE, 1, RO };
	/* Each is two slots, and three are there before. */
	write_file(p, range, 248);
	assert_int_equal(hypr_view_load(p->vm, "A", p->file, 0, NULL), 0);
	assert_int_equal(fake_kvm.slots, 3 + 3 + 2 * 248);
	assert_int_equal(hypr_view_remove(p->vm, "A"), 0);
	write_file(p, range, 249);
	assert_int_equal(hypr_view_load(p->vm, "A", p->file, 0, NULL), -EOPNOTSUPP);
	assert_non_null(strstr(hypr_error(), p->file));
	assert_non_null(strstr(hypr_error(), "more than 500 memory slots"));
	assert_true(fake_kvm_runs());
}

/* Neither is it logged, nor does the log of others suffer. */
static void test_snapshot_beside_read_only_memory(void **ctx)
{
	struct hypr_snapshot_result r;
	struct played *p = *ctx;
	int i;

	start(p);
	fake_kvm.writes = 4;
	for (i = 0; i < 5; i++) {
		assert_int_equal(hypr_view_snapshot(p->vm, "A", &r), 0);
		assert_int_equal(r.copy, HYPR_COPY_PRECOPY);
		assert_int_equal(fake_kvm.logging, 0);
		assert_true(fake_kvm_runs());
		assert_int_equal(hypr_view_remove(p->vm, "A"), 0);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, played_setup, played_teardown)
	const struct CMUnitTest tests[] = {
		T(slots),
		T(slots_of_a_view),
		T(a_write_ends_the_vm),
		T(a_write_to_nowhere),
		T(they_go_into_files_and_views),
		T(a_kvm_without_read_only_memory),
		T(too_many_pieces),
		T(snapshot_beside_read_only_memory),
	};

	return cmocka_run_group_tests_name("perm", tests, NULL, NULL) ? 1 : 0;
}
