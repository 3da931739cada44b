// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that writes while its memory is copied (played, see fake_kvm.c): the
 * moment has every page as it was when the vCPUs stopped, nothing logs afterwards,
 * and an answer tells how the copy was made.
 */
#include "lib/model/vcpu.h"
#include "lib/model/state.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "played_vm.h"

#include <jansson.h>
#include <sys/stat.h>

#include "lib/serve/protocol.h"
#include "memory/pagemap.h"

#define PAGE		4096u
#define ALL_PAGES	(HYPR_MEM_MIN_BYTES / PAGE)
#define FREE_GPA	0xa00000	/* nobody else writes from here on */

static const struct hypr_view *view_of(struct played *p, const char *name)
{
	unsigned int i;

	for (i = 0; i < KVM_HYPR_MAX_VIEWS; i++) {
		if (p->vm->view[i] && !strcmp(p->vm->view[i]->name, name))
			return p->vm->view[i];
	}
	fail_msg("no view %s", name);
	return NULL;
}

static uint64_t word(const struct hypr_moment *moment, uint64_t gpa)
{
	uint64_t value;

	memcpy(&value, moment->mem.host + gpa, sizeof(value));
	return value;
}

/* What vCPU 0 wrote last where, as RAX of the same moment says. */
static void assert_consistent(const struct hypr_moment *moment)
{
	uint64_t rax = moment->state->vcpu[0].regs.rax, k;

	assert_true(rax > FAKE_WRITTEN_PAGES);
	for (k = rax - FAKE_WRITTEN_PAGES + 1; k <= rax; k++) {
		if (word(moment, fake_kvm_written_gpa(k)) != fake_kvm_written_value(k))
			fail_msg("write %llu of %llu is not in the moment", (unsigned long long)k,
				 (unsigned long long)rax);
	}
}

/* Pages of the boot view that are there; the rest the guest never looked at. */
static uint64_t touched(struct played *p)
{
	uint64_t pages;

	assert_int_equal(hypr_pagemap_scan(&p->vm->view[0]->mem, HYPR_PAGES_PRESENT, NULL, NULL,
					   &pages), 0);
	assert_in_range(pages, 1, ALL_PAGES / 2);
	return pages;
}

/* Until vCPU 0 has written each of its pages. */
static void let_write(unsigned int pages)
{
	uint64_t was = fake_kvm_count(0);
	int i;

	__atomic_store_n(&fake_kvm.writes, pages, __ATOMIC_SEQ_CST);
	for (i = 0; i < 5000 && fake_kvm_count(0) < was + 2 * FAKE_WRITTEN_PAGES; i++)
		usleep(1000);
	assert_true(fake_kvm_count(0) >= was + 2 * FAKE_WRITTEN_PAGES);
}

static void snapshots_are_consistent(struct played *p, int copy)
{
	struct hypr_snapshot_result r;
	int i;

	let_write(8);
	for (i = 0; i < 20; i++) {
		assert_int_equal(hypr_view_snapshot(p->vm, "A", &r), 0);
		assert_int_equal(fake_kvm.logging, 0);
		assert_int_equal(r.copy, copy);
		assert_consistent(view_of(p, "A")->moment);
		if (copy == HYPR_COPY_PRECOPY) {
			assert_in_range(r.rounds, 1, 4);
			assert_in_range(r.pages_in_pause, 0, FAKE_WRITTEN_PAGES);
			assert_true(r.pages_precopied >= FAKE_WRITTEN_PAGES);
			assert_true(r.precopy_cycles > 0);
		} else {
			assert_int_equal(r.rounds, 0);
			assert_int_equal(r.pages_precopied, 0);
			assert_int_equal(r.pages_in_pause, touched(p));
		}
		assert_true(fake_kvm_runs());
		assert_int_equal(hypr_view_remove(p->vm, "A"), 0);
	}
}

static void test_a_guest_that_writes(void **ctx)
{
	snapshots_are_consistent(*ctx, HYPR_COPY_PRECOPY);
}

static void test_a_log_that_is_cleared_when_read(void **ctx)
{
	played_end(*ctx);
	played_start(*ctx, FAKE_ONE_CALL);
	snapshots_are_consistent(*ctx, HYPR_COPY_PRECOPY);
}

static void test_a_guest_that_is_forced(void **ctx)
{
	played_end(*ctx);
	played_start(*ctx, FAKE_UNPATCHED);
	snapshots_are_consistent(*ctx, HYPR_COPY_PRECOPY);
}

static void test_a_kvm_without_a_log(void **ctx)
{
	played_end(*ctx);
	played_start(*ctx, FAKE_NO_LOG);
	snapshots_are_consistent(*ctx, HYPR_COPY_STOPPED);
}

static void test_a_vm_that_is_paused(void **ctx)
{
	struct hypr_snapshot_result r;
	struct played *p = *ctx;

	let_write(8);
	assert_int_equal(hypr_vm_pause(p->vm, NULL), 0);
	assert_int_equal(hypr_view_snapshot(p->vm, "A", &r), 0);
	assert_int_equal(r.copy, HYPR_COPY_PAUSED);
	assert_int_equal(r.pause, HYPR_PAUSE_COOPERATIVE);
	assert_int_equal(r.pause_cycles, 0);
	assert_int_equal(r.pages_in_pause, touched(p));
	assert_int_equal(fake_kvm.log_reads, 0);
	assert_consistent(view_of(p, "A")->moment);
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	assert_true(fake_kvm_runs());
}

/* ---- rounds -------------------------------------------------------------- */

static unsigned int script[8];

/* Before the n-th reading of the log, that many pages are written. */
static void by_script(unsigned int n)
{
	unsigned int i;

	for (i = 0; n < ARRAY_SIZE(script) && i < script[n]; i++)
		assert_true(fake_kvm_write(FREE_GPA + i * PAGE, n + 1));
}

/*
 * The first number is written before the log is looked at for the first time, which
 * only asks whether it can be; a KVM with two calls has these pages in round 1.
 */
static void rounds(struct played *p, const unsigned int *pages, unsigned int want_rounds,
		   unsigned int in_pause)
{
	struct hypr_snapshot_result r;
	const struct hypr_moment *moment;
	unsigned int n, i, last;

	memcpy(script, pages, sizeof(script));
	fake_kvm.log_reads = 0;
	fake_kvm.on_log_read = by_script;
	assert_int_equal(hypr_view_snapshot(p->vm, "A", &r), 0);
	fake_kvm.on_log_read = NULL;
	assert_int_equal(r.rounds, want_rounds);
	assert_int_equal(r.pages_in_pause, in_pause);
	assert_int_equal(fake_kvm.log_reads, want_rounds + 2);
	moment = view_of(p, "A")->moment;
	for (i = 0; i < 1000; i++) {
		for (n = 0, last = 0; n < want_rounds + 2; n++)
			last = i < script[n] ? n + 1 : last;
		if (last)
			assert_int_equal(word(moment, FREE_GPA + i * PAGE), last);
	}
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_remove(p->vm, "A"), 0);
}

static void test_rounds(void **ctx)
{
	static const struct {
		unsigned int pages[8];
		unsigned int rounds;
		unsigned int in_pause;
	} cases[] = {
		{ { 0, 0, 0 }, 1, 0 },
		{ { 0, 64, 3 }, 1, 3 },
		{ { 0, 65, 10, 7 }, 2, 7 },
		{ { 0, 900, 500, 300, 100, 90 }, 4, 90 },	/* no more rounds */
		{ { 0, 300, 300, 20 }, 2, 20 },			/* it does not shrink */
		{ { 0, 300, 400, 1000 }, 2, 1000 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		rounds(*ctx, cases[i].pages, cases[i].rounds, cases[i].in_pause);
}

/* ---- pages that become zero ---------------------------------------------- */

static void becomes_zero(unsigned int n)
{
	if (n == 0) {
		assert_true(fake_kvm_write(FREE_GPA, 7));
		assert_true(fake_kvm_write(FREE_GPA + PAGE, 7));
	} else if (n == 1) {
		assert_true(fake_kvm_write(FREE_GPA, 0));
	} else {
		assert_true(fake_kvm_write(FREE_GPA + PAGE, 0));
		assert_true(fake_kvm_write(FREE_GPA + 2 * PAGE, 9));
	}
}

static void test_a_page_that_becomes_zero(void **ctx)
{
	struct hypr_snapshot_result before, r;
	const struct hypr_moment *moment;
	struct played *p = *ctx;
	struct stat st;

	assert_int_equal(hypr_view_snapshot(p->vm, "A", &before), 0);
	assert_int_equal(hypr_view_remove(p->vm, "A"), 0);
	fake_kvm.log_reads = 0;
	fake_kvm.on_log_read = becomes_zero;
	assert_int_equal(hypr_view_snapshot(p->vm, "A", &r), 0);
	fake_kvm.on_log_read = NULL;
	moment = view_of(p, "A")->moment;
	assert_int_equal(r.pages_stored, before.pages_stored + 1);
	/* They are holes again; reading a hole would fill it. */
	assert_int_equal(fstat(moment->fd, &st), 0);
	assert_int_equal(st.st_blocks * 512, r.pages_stored * PAGE);
	assert_int_equal(word(moment, FREE_GPA), 0);
	assert_int_equal(word(moment, FREE_GPA + PAGE), 0);
	assert_int_equal(word(moment, FREE_GPA + 2 * PAGE), 9);
}

/* ---- other views --------------------------------------------------------- */

static void test_views_go_their_own_ways(void **ctx)
{
	struct hypr_verify_result v;
	struct played *p = *ctx;

	let_write(8);
	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_swap(p->vm, "A", 0, NULL), 0);
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_snapshot(p->vm, "B", NULL), 0);
	assert_int_equal(fake_kvm.logging, 0);
	assert_consistent(view_of(p, "B")->moment);
	assert_int_equal(hypr_view_reset(p->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_swap(p->vm, "B", 0, NULL), 0);
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_reset(p->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_verify(p->vm, "A", &v), 0);
	assert_int_equal(v.pages_mismatched, 0);
	assert_string_equal(v.name, "A");
	assert_consistent(view_of(p, "A")->moment);
	assert_int_equal(hypr_view_swap(p->vm, "A", HYPR_SWAP_RESET, NULL), 0);
	assert_int_equal(hypr_view_snapshot(p->vm, "C", NULL), 0);
	assert_consistent(view_of(p, "C")->moment);
}

/* ---- errors -------------------------------------------------------------- */

/* Fail the first ioctl, the second, ...: the VM runs on, and nothing logs. */
static void each_ioctl_fails(struct played *p)
{
	unsigned int n, failed = 0;
	int ret;

	let_write(2);
	for (n = 1; n < 200; n++) {
		fake_kvm.fail_at = fake_kvm.ioctls + n;
		ret = hypr_view_snapshot(p->vm, "A", NULL);
		if (!ret && fake_kvm.ioctls < fake_kvm.fail_at)
			break;
		fake_kvm.fail_at = 0;
		failed += ret != 0;
		assert_int_equal(fake_kvm.logging, 0);
		assert_true(fake_kvm_runs());
		if (!ret) {
			assert_consistent(view_of(p, "A")->moment);
			assert_int_equal(hypr_view_remove(p->vm, "A"), 0);
		} else {
			assert_int_not_equal(hypr_error()[0], 0);
			assert_int_equal(hypr_view_list(p->vm, NULL, 0), 1);
		}
	}
	assert_in_range(n, 20, 199);
	assert_true(failed > 20);
}

static void test_each_ioctl_fails(void **ctx)
{
	each_ioctl_fails(*ctx);
}

static void test_each_ioctl_fails_with_one_call(void **ctx)
{
	played_end(*ctx);
	played_start(*ctx, FAKE_ONE_CALL);
	each_ioctl_fails(*ctx);
}

static struct hypr_vm *ending;
static unsigned int ends_at;

static void end_vm(unsigned int n)
{
	if (n != ends_at)
		return;
	__atomic_store_n(&fake_kvm.exit_reason, KVM_EXIT_SHUTDOWN, __ATOMIC_SEQ_CST);
	assert_int_equal(hypr_vm_wait(ending, 5000), -EIO);
}

static void ends_meanwhile(struct played *p, unsigned int n, uint64_t pages)
{
	struct hypr_snapshot_result r;

	ending = p->vm;
	ends_at = n;
	fake_kvm.log_reads = 0;
	fake_kvm.on_log_read = end_vm;
	assert_int_equal(hypr_view_snapshot(p->vm, "A", &r), -ESHUTDOWN);
	fake_kvm.on_log_read = NULL;
	assert_int_equal(fake_kvm.logging, 0);
	assert_int_equal(r.pages_precopied, pages);
	assert_non_null(strstr(hypr_error(), "triple fault"));
}

/* Before all is copied once, which is then not done; and before a round. */
static void test_a_guest_that_ends_meanwhile(void **ctx)
{
	ends_meanwhile(*ctx, 0, 0);
	played_end(*ctx);
	played_start(*ctx, 0);
	ends_meanwhile(*ctx, 1, touched(*ctx));
}

/*
 * Memory that the guest never looked at takes none, in the view, in its moment and in
 * the file, and none is there afterwards.
 */
static void test_what_was_never_touched(void **ctx)
{
	struct played *p = *ctx;
	struct hypr_save_params params = { .size = sizeof(params), .path = p->file };
	struct hypr_save_result saved;
	struct hypr_snapshot_result r;
	struct stat before, after;
	uint64_t pages;
	int fd;

	assert_int_equal(hypr_vm_pause(p->vm, NULL), 0);
	pages = touched(p);
	assert_int_equal(hypr_view_snapshot(p->vm, "A", &r), 0);
	assert_int_equal(r.pages_in_pause, pages);
	assert_int_equal(touched(p), pages);
	fd = view_of(p, "A")->moment->fd;
	assert_int_equal(fstat(fd, &before), 0);
	assert_in_range((uint64_t)before.st_blocks * 512, PAGE, pages * PAGE);
	assert_int_equal(hypr_view_save(p->vm, "A", &params, &saved), 0);
	assert_int_equal(fstat(fd, &after), 0);
	/* But for holes too short to count. */
	assert_true((uint64_t)(after.st_blocks - before.st_blocks) * 512 <
		    (uint64_t)HYPR_MEM_MIN_BYTES / 4);
	assert_int_equal(saved.pages_stored + saved.pages_zero, ALL_PAGES);
	assert_in_range(saved.pages_stored, 1, pages);
}

/* ---- answers ------------------------------------------------------------- */

static json_t *ask(struct played *p, const char *text)
{
	struct hypr_request request;
	json_t *answer;
	char *line;
	bool stop;

	assert_int_equal(hypr_request_parse(text, strlen(text), &request), 0);
	line = hypr_request_serve(p->vm, &request, &stop);
	answer = json_loads(line, 0, NULL);
	free(line);
	assert_non_null(answer);
	return answer;
}

static void assert_copy(const json_t *answer, const char *copy, uint64_t in_pause)
{
	assert_string_equal(json_string_value(json_object_get(answer, "copy")), copy);
	assert_int_equal(json_integer_value(json_object_get(answer, "pages_in_pause")),
			 in_pause);
	assert_true(json_is_integer(json_object_get(answer, "rounds")));
	assert_true(json_is_integer(json_object_get(answer, "precopy_cycles")));
	assert_true(json_is_integer(json_object_get(answer, "pages_precopied")));
	assert_true(json_is_integer(json_object_get(answer, "copy_cycles")));
}

static void test_answers_tell_the_way(void **ctx)
{
	struct played *p = *ctx;
	char save[128];
	json_t *answer;

	snprintf(save, sizeof(save), "{\"op\":\"save\",\"file\":\"%s\",\"replace\":true}", p->file);
	answer = ask(p, "{\"op\":\"snapshot\",\"view\":\"A\"}");
	assert_copy(answer, "precopy", 0);
	json_decref(answer);
	answer = ask(p, save);
	assert_copy(answer, "precopy", 0);
	json_decref(answer);
	assert_int_equal(hypr_vm_pause(p->vm, NULL), 0);
	answer = ask(p, save);
	assert_copy(answer, "paused", touched(p));
	json_decref(answer);
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	fake_kvm.flags |= FAKE_NO_LOG;
	answer = ask(p, save);
	assert_copy(answer, "stopped", touched(p));
	json_decref(answer);
	snprintf(save, sizeof(save),
		 "{\"op\":\"save\",\"view\":\"A\",\"file\":\"%s\",\"replace\":true}", p->file);
	answer = ask(p, save);
	assert_copy(answer, "none", 0);
	json_decref(answer);
}

static void assert_json(const json_t *answer, const char *key, json_type type)
{
	const json_t *value = json_object_get(answer, key);

	if (!value || json_typeof(value) != type)
		fail_msg("\"%s\" is not there, or of another type", key);
}

/* A key is a field of hypr.h and means the same: "view" a number, "name" a name. */
static void test_answers_have_the_fields_of_hypr_h(void **ctx)
{
	static const struct {
		const char *request;
		const char *numbers[5];
		const char *words[3];
	} ops[] = {
		{ "{\"op\":\"snapshot\",\"view\":\"A\"}",
		  { "view", "pages_total", "pages_mapped", "pages_in_pause", "rounds" },
		  { "name", "copy", "pause" } },
		{ "{\"op\":\"swap\",\"view\":\"A\"}",
		  { "old_view", "new_view", "generation", "commit_cycles" },
		  { "old_name", "new_name", "pause" } },
		{ "{\"op\":\"reset\",\"view\":\"A\"}",
		  { "view", "pages_restored", "restore_cycles" }, { "name", "pause" } },
		{ "{\"op\":\"verify\",\"view\":\"A\"}",
		  { "view", "pages_compared", "pages_mismatched", "spare_mismatched", "cycles" },
		  { "name", "spare" } },
		{ "{\"op\":\"pause\"}", { "pause_cycles" }, { "pause" } },
		{ "{\"op\":\"info\"}", { "views", "swaps", "generation", "mem_bytes", "vcpus" },
		  { "state", "active_view" } },
	};
	struct played *p = *ctx;
	json_t *answer, *view;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		answer = ask(p, ops[i].request);
		assert_true(json_is_true(json_object_get(answer, "ok")));
		for (j = 0; j < ARRAY_SIZE(ops[i].numbers) && ops[i].numbers[j]; j++)
			assert_json(answer, ops[i].numbers[j], JSON_INTEGER);
		for (j = 0; j < ARRAY_SIZE(ops[i].words) && ops[i].words[j]; j++)
			assert_json(answer, ops[i].words[j], JSON_STRING);
		assert_null(json_object_get(answer, "number"));
		json_decref(answer);
	}
	answer = ask(p, "{\"op\":\"views\"}");
	view = json_array_get(json_object_get(answer, "views"), 1);
	assert_json(view, "view", JSON_INTEGER);
	assert_string_equal(json_string_value(json_object_get(view, "name")), "A");
	json_decref(answer);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, played_setup, played_teardown)
	const struct CMUnitTest tests[] = {
		T(a_guest_that_writes),
		T(a_log_that_is_cleared_when_read),
		T(a_guest_that_is_forced),
		T(a_kvm_without_a_log),
		T(a_vm_that_is_paused),
		T(rounds),
		T(a_page_that_becomes_zero),
		T(views_go_their_own_ways),
		T(each_ioctl_fails),
		T(each_ioctl_fails_with_one_call),
		T(a_guest_that_ends_meanwhile),
		T(what_was_never_touched),
		T(answers_tell_the_way),
		T(answers_have_the_fields_of_hypr_h),
	};

	return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL) ? 1 : 0;
}
