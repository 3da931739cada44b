// SPDX-License-Identifier: GPL-2.0-only
/* What the pages of a view of a VM that is played are: touched, private, written. */
#include <jansson.h>
#include <sys/mman.h>

#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/serve/protocol.h"
#include "lib/view/view.h"
#include "played_vm.h"

#define PAGES	(HYPR_MEM_MIN_BYTES / 4096)

/* What hypr_view_pages() said, a byte for each page. */
static struct {
	struct hypr_pages_result result;
	uint8_t flags[PAGES];
	uint64_t end;		/* of the last run, in pages */
	uint32_t last;		/* flags */
} seen;

static int note(void *arg, const struct hypr_page_run *run)
{
	uint64_t page = run->gpa / 4096;

	assert_ptr_equal(arg, &seen);
	assert_int_equal(run->gpa % 4096, 0);
	assert_true(run->pages > 0);
	assert_int_equal(run->reserved, 0);
	assert_int_not_equal(run->flags, 0);
	/* Ascending, and neighbours unlike. */
	assert_true(page > seen.end || !seen.last ||
		    (page == seen.end && run->flags != seen.last));
	seen.end = page + run->pages;
	seen.last = run->flags;
	assert_true(seen.end <= PAGES);
	memset(seen.flags + page, (int)run->flags, run->pages);
	return 0;
}

static uint64_t nr_with(unsigned int flag)
{
	uint64_t i, nr = 0;

	for (i = 0; i < PAGES; i++)
		nr += (seen.flags[i] & flag) != 0;
	return nr;
}

static void look(struct played *p, const char *view)
{
	memset(&seen, 0, sizeof(seen));
	if (hypr_view_pages(p->vm, view, note, &seen, &seen.result))
		fail_msg("%s", hypr_error());
	assert_int_equal(seen.result.pages_total, PAGES);
	assert_int_equal(seen.result.pages_touched, nr_with(HYPR_PAGE_TOUCHED));
	assert_int_equal(seen.result.pages_private, nr_with(HYPR_PAGE_PRIVATE));
	assert_int_equal(seen.result.pages_written, nr_with(HYPR_PAGE_WRITTEN));
}

static volatile uint64_t *word(struct played *p, const char *view, unsigned int page)
{
	uint8_t *mem = hypr_view_find(p->vm, view)->mem.host;

	return (volatile uint64_t *)(void *)(mem + page * 4096ull);
}

static void test_touched_and_private_pages(void **ctx)
{
	struct played *p = *ctx;
	unsigned int i;

	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), 0);
	look(p, "A");
	assert_string_equal(seen.result.name, "A");
	assert_int_equal(seen.result.view, KVM_HYPR_VIEW_FIRST);
	assert_int_equal(seen.result.pages_private, 0);
	assert_int_equal(seen.flags[100], 0);
	(void)*word(p, "A", 100);
	*word(p, "A", 1000) = 1;
	*word(p, "A", 1001) = 1;
	*word(p, "A", PAGES - 1) = 1;
	for (i = 0; i < 2; i++) {
		/* The first look touched nothing. */
		look(p, "A");
		assert_int_equal(seen.result.pages_private, 3);
		assert_int_equal(seen.flags[100], HYPR_PAGE_TOUCHED);
		assert_int_equal(seen.flags[1000], HYPR_PAGE_TOUCHED | HYPR_PAGE_PRIVATE);
		assert_int_equal(seen.flags[1001], HYPR_PAGE_TOUCHED | HYPR_PAGE_PRIVATE);
		assert_int_equal(seen.flags[PAGES - 1], HYPR_PAGE_TOUCHED | HYPR_PAGE_PRIVATE);
		/* The kernel may map the neighbours of a page: 64 KiB. */
		assert_int_equal(seen.flags[2000], 0);
	}
}

static void test_written_pages_are_not_lost_to_the_next_reset(void **ctx)
{
	struct hypr_reset_result r;
	struct hypr_verify_result v;
	struct played *p = *ctx;

	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_reset(p->vm, "A", NULL), 0);
	fake_kvm.tracks = true;
	fake_kvm.written = 1ull << 20 | 1ull << 21 | 1ull << 63;
	*word(p, "A", 20) += 1;
	*word(p, "A", 21) += 1;
	*word(p, "A", 63) += 1;
	look(p, "A");
	assert_int_equal(seen.result.written_known, 1);
	assert_int_equal(seen.result.pages_written, 3);
	assert_int_equal(seen.flags[63],
			 HYPR_PAGE_TOUCHED | HYPR_PAGE_PRIVATE | HYPR_PAGE_WRITTEN);
	fake_kvm.written = 1ull << 5;
	*word(p, "A", 5) += 1;
	look(p, "A");
	assert_int_equal(seen.result.pages_written, 4);
	assert_int_equal(hypr_view_reset(p->vm, "A", &r), 0);
	assert_int_equal(r.way, HYPR_RESET_COPY_BACK);
	assert_int_equal(r.pages_restored, 4);
	assert_int_equal(hypr_view_verify(p->vm, "A", &v), 0);
	assert_int_equal(v.pages_mismatched, 0);
	/* They are private for good, and equal the moment. */
	look(p, "A");
	assert_int_equal(seen.result.written_known, 1);
	assert_int_equal(seen.result.pages_written, 0);
	assert_true(seen.flags[63] & HYPR_PAGE_PRIVATE);
	fake_kvm.written_errno = EOPNOTSUPP;
	look(p, "A");
	assert_int_equal(seen.result.written_known, 0);
	assert_int_equal(seen.result.pages_written, 0);
}

/* A kernel reports all pages of a view that nobody asked about yet, and only then. */
static void test_a_report_of_all_pages_is_none(void **ctx)
{
	struct hypr_reset_result r;
	struct played *p = *ctx;

	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), 0);
	look(p, "A");
	assert_int_equal(seen.result.written_known, 0);
	fake_kvm.tracks = true;
	look(p, "A");
	assert_int_equal(seen.result.written_known, 0);
	/* Or the reset would copy all of memory. */
	*word(p, "A", 7) += 1;
	assert_int_equal(hypr_view_reset(p->vm, "A", &r), 0);
	assert_int_equal(r.way, HYPR_RESET_COMPARE);
	assert_int_equal(r.pages_restored, 1);
	look(p, "A");
	assert_int_equal(seen.result.written_known, 1);
}

static int runs_on(void *arg, const struct hypr_page_run *run)
{
	(void)run;
	assert_true(fake_kvm_runs());
	++*(int *)arg;
	return 7;
}

static void test_the_active_view(void **ctx)
{
	struct played *p = *ctx;
	int calls = 0;

	*word(p, "boot", 300) = 1;
	look(p, NULL);
	assert_string_equal(seen.result.name, "boot");
	assert_int_equal(seen.result.written_known, 0);
	assert_int_equal(seen.flags[300], HYPR_PAGE_TOUCHED | HYPR_PAGE_PRIVATE);
	assert_int_equal(seen.result.pages_private, seen.result.pages_touched);
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_pages(p->vm, NULL, runs_on, &calls, NULL), 7);
	assert_int_equal(calls, 1);
	assert_int_equal(hypr_vm_pause(p->vm, NULL), 0);
	look(p, NULL);
	assert_int_equal(p->vm->paused, 1);
	assert_int_equal(hypr_vm_resume(p->vm), 0);
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_pages(p->vm, NULL, NULL, NULL, &seen.result), 0);
	assert_true(seen.result.nr_runs > 0);
}

static void test_a_view_of_a_file(void **ctx)
{
	struct played *p = *ctx;

	*word(p, "boot", 300) = 1;
	played_save(p, p->file);
	assert_int_equal(played_resurrect(p, p->file, 0), 0);
	*word(p, "boot", 300) += 1;
	*word(p, "boot", 2000) += 1;
	look(p, NULL);
	assert_int_equal(seen.flags[300], HYPR_PAGE_TOUCHED | HYPR_PAGE_PRIVATE);
	assert_int_equal(seen.flags[2000], HYPR_PAGE_TOUCHED | HYPR_PAGE_PRIVATE);
	/* A file that is gone is not missed: no page is read. */
	assert_int_equal(truncate(p->file, 0), 0);
	look(p, NULL);
	assert_true(fake_kvm_runs());
}

static void test_what_is_refused(void **ctx)
{
	static const struct {
		int host, ret;
		const char *words;
	} errors[] = {
		{ ENOTTY, -EOPNOTSUPP, "Linux 6.7" },
		{ ENOENT, -EOPNOTSUPP, "/proc/self/pagemap" },
		{ EPERM, -EPERM, "view 'boot': which pages are there" },
	};
	struct played *p = *ctx;
	size_t i;

	assert_int_equal(hypr_view_pages(p->vm, "none", note, &seen, NULL), -ENOENT);
	assert_non_null(strstr(hypr_error(), "none"));
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		fake_kvm.pagemap_errno = errors[i].host;
		assert_int_equal(hypr_view_pages(p->vm, NULL, note, &seen, NULL), errors[i].ret);
		assert_non_null(strstr(hypr_error(), errors[i].words));
		assert_true(fake_kvm_runs());
	}
	fake_kvm.pagemap_errno = 0;
	assert_int_equal(hypr_vm_stop(p->vm), 0);
	assert_int_equal(hypr_view_pages(p->vm, NULL, note, &seen, NULL), -ESHUTDOWN);
}

/* ---- on the control socket --------------------------------------------------- */

/* A request's answer; @bytes: out, its length. */
static json_t *ask(struct played *p, const char *request, size_t *bytes)
{
	struct hypr_request r;
	json_t *answer;
	bool stop;
	char *text;

	assert_int_equal(hypr_request_parse(request, strlen(request), &r), 0);
	text = hypr_request_serve(p->vm, &r, &stop);
	assert_non_null(text);
	*bytes = strlen(text) + 1;
	answer = json_loads(text, 0, NULL);
	assert_non_null(answer);
	free(text);
	return answer;
}

static json_int_t number(const json_t *answer, const char *key)
{
	const json_t *value = json_object_get(answer, key);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static void test_an_answer_with_and_without_runs(void **ctx)
{
	struct played *p = *ctx;
	json_int_t touched = 0;
	json_t *answer, *run;
	size_t bytes, i;

	assert_int_equal(hypr_view_snapshot(p->vm, "A", NULL), 0);
	*word(p, "A", 2000) = 1;
	answer = ask(p, "{\"op\":\"mem\",\"view\":\"A\"}", &bytes);
	assert_true(json_is_true(json_object_get(answer, "ok")));
	assert_null(json_object_get(answer, "run"));
	assert_int_equal(number(answer, "pages_total"), PAGES);
	assert_int_equal(number(answer, "pages_private"), 1);
	assert_true(json_is_false(json_object_get(answer, "written_known")));
	json_decref(answer);
	answer = ask(p, "{\"op\":\"mem\",\"view\":\"A\",\"runs\":true}", &bytes);
	assert_int_equal(json_array_size(json_object_get(answer, "run")),
			 number(answer, "nr_runs"));
	json_array_foreach(json_object_get(answer, "run"), i, run) {
		json_int_t flags = json_integer_value(json_array_get(run, 2));

		assert_int_equal(json_array_size(run), 3);
		touched += flags & HYPR_PAGE_TOUCHED ?
			   json_integer_value(json_array_get(run, 1)) : 0;
		if (flags & HYPR_PAGE_PRIVATE)
			assert_int_equal(json_integer_value(json_array_get(run, 0)), 2000);
	}
	assert_int_equal(touched, number(answer, "pages_touched"));
	json_decref(answer);
	answer = ask(p, "{\"op\":\"mem\",\"view\":\"none\"}", &bytes);
	assert_int_equal(number(answer, "errno"), ENOENT);
	json_decref(answer);
}

/* Pages that lie alone, the last ones of memory, where numbers are the longest. */
static void touch_every_other(struct played *p, uint64_t from, uint64_t to)
{
	const volatile uint8_t *mem = p->vm->active->mem.host;

	for (; from < to; from += 2)
		(void)mem[from * 4096];
}

static void test_an_answer_has_a_limit(void **ctx)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;
	uint64_t pages = HYPR_MEM_MAX_BYTES / 4096;
	struct hypr_pages_result r;
	struct played *p = *ctx;
	json_t *answer;
	size_t bytes;

	played_end(p);
	fake_kvm_reset();
	c.name = "vm1";
	c.kernel = p->kernel;
	c.vcpus = FAKE_VCPUS;
	c.mem_bytes = HYPR_MEM_MAX_BYTES;
	assert_int_equal(hypr_vm_create(&c, &p->vm), 0);
	/* Reading such memory maps one page of zeroes, again and again. */
	assert_int_equal(madvise(p->vm->active->mem.host, c.mem_bytes, MADV_NOHUGEPAGE), 0);
	assert_int_equal(hypr_vm_start(p->vm), 0);
	assert_int_equal(hypr_view_pages(p->vm, NULL, NULL, NULL, &r), 0);
	assert_true(r.nr_runs < 100);
	touch_every_other(p, pages - 2 * (HYPR_RUNS_MAX - r.nr_runs), pages);
	answer = ask(p, "{\"op\":\"mem\",\"runs\":true}", &bytes);
	assert_int_equal(json_array_size(json_object_get(answer, "run")), HYPR_RUNS_MAX);
	assert_true(bytes <= HYPR_ANSWER_MAX);
	json_decref(answer);
	touch_every_other(p, pages / 2, pages / 2 + 1);
	answer = ask(p, "{\"op\":\"mem\",\"runs\":true}", &bytes);
	assert_int_equal(number(answer, "errno"), E2BIG);
	assert_non_null(strstr(json_string_value(json_object_get(answer, "error")),
			       "more than 65536 runs"));
	json_decref(answer);
	answer = ask(p, "{\"op\":\"mem\"}", &bytes);
	assert_int_equal(number(answer, "nr_runs"), HYPR_RUNS_MAX + 1);
	json_decref(answer);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, played_setup, played_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_touched_and_private_pages),
		T(test_written_pages_are_not_lost_to_the_next_reset),
		T(test_a_report_of_all_pages_is_none),
		T(test_the_active_view),
		T(test_a_view_of_a_file),
		T(test_what_is_refused),
		T(test_an_answer_with_and_without_runs),
		T(test_an_answer_has_a_limit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
