// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file that is truncated while it is mapped, under a VM that is played: whoever
 * reads such memory gets an error that names file and address, no signal; the VM
 * runs on.  (Private copies of the pages go with the file: that is what Linux does.)
 */
#include "hypr/vmo.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/view/build.h"
#include "played_vm.h"

#include <fcntl.h>
#include <sys/mman.h>

#define PAGE		4096u
#define MARK_GPA	0x900000

/* A VM that runs from p->file, whose page at MARK_GPA is 0x5a and written to since. */
static int setup(void **ctx)
{
	struct played *p;

	played_setup(ctx);
	p = *ctx;
	p->vm->active->mem.host[MARK_GPA] = 0x5a;
	played_save(p, p->file);
	assert_int_equal(played_resurrect(p, p->file, 0), 0);
	p->vm->active->mem.host[MARK_GPA] = 1;
	return 0;
}

static void truncated(const struct played *p)
{
	assert_int_equal(truncate(p->file, 0), 0);
}

static void assert_said(struct played *p, const char *words)
{
	if (!strstr(hypr_error(), p->file) || !strstr(hypr_error(), words))
		fail_msg("'%s' or '%s' is not in: %s", p->file, words, hypr_error());
}

static void assert_gone(struct played *p)
{
	assert_said(p, "truncated while in use");
	assert_true(fake_kvm_runs());
	assert_string_equal(p->vm->active->name, "boot");
	assert_int_equal(fake_kvm.logging, 0);
}

static void test_verify(void **ctx)
{
	struct hypr_verify_result r;
	struct played *p = *ctx;

	assert_int_equal(hypr_view_verify(p->vm, "boot", &r), 0);
	assert_int_equal(r.pages_mismatched, 1);
	truncated(p);
	assert_int_equal(hypr_view_verify(p->vm, "boot", &r), -EBADMSG);
	assert_gone(p);
	assert_said(p, "GPA 0x");
}

static void test_verify_while_paused(void **ctx)
{
	struct hypr_verify_result r;
	struct played *p = *ctx;

	assert_int_equal(hypr_vm_pause(p->vm, NULL), 0);
	truncated(p);
	assert_int_equal(hypr_view_verify(p->vm, "boot", &r), -EBADMSG);
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	assert_true(fake_kvm_runs());
}

static void test_reset(void **ctx)
{
	struct played *p = *ctx;

	truncated(p);
	assert_int_equal(hypr_view_reset(p->vm, "boot", NULL), -EBADMSG);
	assert_gone(p);
	assert_int_equal(hypr_view_swap(p->vm, "boot", HYPR_SWAP_RESET, NULL), -EBADMSG);
	assert_gone(p);
}

/* Of many private pages only the last ones are gone: the others stay as they are. */
static void test_reset_changes_nothing(void **ctx)
{
	struct hypr_vmo_segment segment;
	struct played *p = *ctx;
	unsigned int i;

	p->vm->active->mem.host[MARK_GPA] = 0x5a;
	memset(p->vm->active->mem.host + MARK_GPA + PAGE, 7, 300 * PAGE);
	played_save(p, p->other);
	assert_int_equal(played_resurrect(p, p->other, 0), 0);
	for (i = 0; i <= 300; i++)
		p->vm->active->mem.host[MARK_GPA + i * PAGE] = 1;
	assert_int_equal(hypr_vmo_segment(p->vm->active->moment->vmo, MARK_GPA + 200 * PAGE,
					  &segment), 0);
	assert_int_equal(truncate(p->other, (off_t)segment.offset), 0);
	assert_int_equal(hypr_view_reset(p->vm, "boot", NULL), -EBADMSG);
	assert_non_null(strstr(hypr_error(), p->other));
	for (i = 0; i < 200; i++)
		assert_int_equal(p->vm->active->mem.host[MARK_GPA + i * PAGE], 1);
	assert_true(fake_kvm_runs());
}

/* In the middle of writing it back: what is left is neither the one nor the other. */
static const struct hypr_view *resetting;

static void truncate_then(const uint8_t *buf)
{
	if (buf == resetting->mem.host + MARK_GPA)
		assert_int_equal(truncate(resetting->moment->path, 0), 0);
}

static void test_reset_under_way_ends_the_vm(void **ctx)
{
	struct hypr_vm_info info;
	struct played *p = *ctx;

	resetting = p->vm->active;
	played_on_pread = truncate_then;
	assert_int_equal(hypr_view_reset(p->vm, "boot", NULL), -EBADMSG);
	assert_said(p, "GPA 0x900000");
	assert_int_equal(hypr_vm_wait(p->vm, 10000), -EIO);
	hypr_vm_info(p->vm, &info);
	assert_string_equal(info.end_reason, "view boot: its file was truncated during a reset");
}

static void test_reset_of_another_view_under_way(void **ctx)
{
	struct played *p = *ctx;

	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_swap(p->vm, "A", 0, NULL), 0);
	resetting = p->vm->view[0];
	played_on_pread = truncate_then;
	assert_int_equal(hypr_view_reset(p->vm, "boot", NULL), -EBADMSG);
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_swap(p->vm, "boot", 0, NULL), -EBADMSG);
	assert_true(fake_kvm_runs());
}

static int save(struct played *p, const char *view)
{
	struct hypr_save_params params = { .size = sizeof(params), .path = p->other };

	return hypr_view_save(p->vm, view, &params, NULL);
}

static void test_save_of_its_moment(void **ctx)
{
	struct played *p = *ctx;

	truncated(p);
	assert_int_equal(save(p, "boot"), -EBADMSG);
	assert_gone(p);
	assert_int_equal(access(p->other, F_OK), -1);
}

static void test_save_of_this_moment(void **ctx)
{
	struct played *p = *ctx;

	truncated(p);
	assert_int_equal(save(p, NULL), -EBADMSG);
	assert_gone(p);
	assert_said(p, "GPA 0x");
	assert_int_equal(access(p->other, F_OK), -1);
}

static void test_snapshot(void **ctx)
{
	struct played *p = *ctx;

	truncated(p);
	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), -EBADMSG);
	assert_gone(p);
	assert_int_equal(hypr_vm_pause(p->vm, NULL), 0);
	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), -EBADMSG);
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	assert_gone(p);
	assert_int_equal(hypr_view_list(p->vm, NULL, 0), 1);
}

/* While the copy is made: the log is read for the first time before it. */
static const char *victim;

static void truncate_now(unsigned int n)
{
	if (n == 0)
		assert_int_equal(truncate(victim, 0), 0);
}

static void test_snapshot_under_way(void **ctx)
{
	struct played *p = *ctx;

	victim = p->file;
	fake_kvm.log_reads = 0;
	fake_kvm.on_log_read = truncate_now;
	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), -EBADMSG);
	fake_kvm.on_log_read = NULL;
	assert_gone(p);
}

static void test_compare(void **ctx)
{
	struct hypr_verify_result r;
	struct played *p = *ctx;

	played_save(p, p->other);
	assert_int_equal(hypr_view_compare(p->vm, NULL, p->other, &r), 0);
	assert_int_equal(r.pages_mismatched, 0);
	truncated(p);
	assert_int_equal(hypr_view_compare(p->vm, NULL, p->other, &r), -EBADMSG);
	assert_gone(p);
}

static void test_swap(void **ctx)
{
	struct played *p = *ctx;

	assert_int_equal(hypr_view_load(p->vm, "A", p->file, 0, NULL), 0);
	assert_int_equal(hypr_view_snapshot(p->vm, "B", NULL), 0);
	truncated(p);
	assert_int_equal(hypr_view_swap(p->vm, "A", 0, NULL), -EBADMSG);
	assert_gone(p);
	/* From such a view to one that is whole. */
	assert_int_equal(hypr_view_swap(p->vm, "B", 0, NULL), 0);
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_swap(p->vm, "boot", 0, NULL), -EBADMSG);
	assert_int_equal(hypr_view_remove(p->vm, "A"), 0);
	assert_true(fake_kvm_runs());
}

static void test_prepare(void **ctx)
{
	struct hypr_view *view;
	struct played *p = *ctx;

	assert_int_equal(hypr_view_load(p->vm, "A", p->file, 0, NULL), 0);
	view = p->vm->view[2];
	truncated(p);
	assert_int_equal(hypr_view_prepare(p->vm, view, NULL), -EBADMSG);
	assert_gone(p);
	assert_false(view->prepared);
	assert_int_equal(hypr_view_load(p->vm, "B", p->file, 0, NULL), -ENOEXEC);
	assert_true(fake_kvm_runs());
}

/* The layer that lacks it is named, not the one on top. */
static void test_parent(void **ctx)
{
	struct hypr_save_params params = { .size = sizeof(params) };
	struct hypr_verify_result r;
	struct played *p = *ctx;

	params.path = p->other;
	params.parent = p->file;
	assert_int_equal(hypr_view_save(p->vm, NULL, &params, NULL), 0);
	assert_int_equal(played_resurrect(p, p->other, 0), 0);
	p->vm->active->mem.host[MARK_GPA] = 1;
	truncated(p);
	assert_int_equal(hypr_view_verify(p->vm, "boot", &r), -EBADMSG);
	assert_gone(p);
}

static void assert_ends(struct played *p, unsigned int vcpus, const char *file)
{
	struct hypr_vm_info info;
	unsigned int i;

	assert_int_equal(truncate(file, 0), 0);
	for (i = 0; i < vcpus; i++)
		__atomic_store_n(&fake_kvm.run_errno[i], EFAULT, __ATOMIC_SEQ_CST);
	assert_int_equal(hypr_vm_wait(p->vm, 10000), -EIO);
	hypr_vm_info(p->vm, &info);
	if (!strstr(info.end_reason, "EFAULT: memory is gone, truncated in use: ") ||
	    !strstr(info.end_reason, file + strlen(p->dir)))
		fail_msg("%s", info.end_reason);
}

static void test_a_vcpu_ends_the_vm(void **ctx)
{
	assert_ends(*ctx, 1, ((struct played *)*ctx)->file);
}

/* At the same time: the one that comes first knows the file, whichever it is. */
static void test_both_vcpus_end_the_vm(void **ctx)
{
	struct played *p = *ctx;
	int i;

	for (i = 0; i < 20; i++) {
		played_end(p);
		played_start(p, 0);
		played_save(p, p->other);
		assert_int_equal(played_resurrect(p, p->other, 0), 0);
		assert_ends(p, 2, p->other);
	}
}

static void test_efault_of_another_cause(void **ctx)
{
	struct hypr_vm_info info;
	struct played *p = *ctx;

	__atomic_store_n(&fake_kvm.run_errno[0], EFAULT, __ATOMIC_SEQ_CST);
	assert_int_equal(hypr_vm_wait(p->vm, 10000), -EIO);
	hypr_vm_info(p->vm, &info);
	assert_string_equal(info.end_reason, "vCPU 0: KVM_RUN: EFAULT: memory is gone");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, played_teardown)
	const struct CMUnitTest tests[] = {
		T(verify),
		T(verify_while_paused),
		T(reset),
		T(reset_changes_nothing),
		T(reset_under_way_ends_the_vm),
		T(reset_of_another_view_under_way),
		T(save_of_its_moment),
		T(save_of_this_moment),
		T(snapshot),
		T(snapshot_under_way),
		T(compare),
		T(swap),
		T(prepare),
		T(parent),
		T(a_vcpu_ends_the_vm),
		T(both_vcpus_end_the_vm),
		T(efault_of_another_cause),
	};

	return cmocka_run_group_tests_name("gone", tests, NULL, NULL) ? 1 : 0;
}
