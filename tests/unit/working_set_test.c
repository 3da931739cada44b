// SPDX-License-Identifier: GPL-2.0-only
/*
 * Working sets, on a KVM that is played (fake_kvm.c): what was touched is recorded
 * to the page, and exactly that is built ahead the next time.
 */
#include "unit.h"

#include <sys/stat.h>

#include "hypr/hypr.h"
#include "hypr/vmo.h"
#include "fake_kernel.h"
#include "fake_kvm.h"
#include "lib/base/time.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/view/view.h"

#define PAGES		(HYPR_MEM_MIN_BYTES / 4096)
#define CONTROL_PAGE	(HYPR_CONTROL_GPA / 4096)

struct fixture {
	char dir[32];
	char file[64], ws[64], kernel[64], other[64];
	struct hypr_vm *vm;
	uint8_t touched[PAGES];
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void boot(struct fixture *f)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;

	c.name = "vm1";
	c.kernel = f->kernel;
	c.vcpus = FAKE_VCPUS;
	c.pause_timeout_ms = 200;
	assert_int_equal(hypr_vm_create(&c, &f->vm), 0);
	assert_int_equal(hypr_vm_start(f->vm), 0);
}

static void end(struct fixture *f)
{
	hypr_vm_destroy(f->vm);
	f->vm = NULL;
	fake_kvm_reset();
}

/* A file whose memory has data, with holes of zero pages. */
static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct hypr_save_params p = { .size = sizeof(p) };
	uint64_t i;

	fake_kvm_reset();
	strcpy(f->dir, "/tmp/hypr-wset-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->file, sizeof(f->file), "%s/a.vmo", f->dir);
	snprintf(f->ws, sizeof(f->ws), "%s/a.vmo.ws", f->dir);
	snprintf(f->other, sizeof(f->other), "%s/b.ws", f->dir);
	snprintf(f->kernel, sizeof(f->kernel), "%s/kernel", f->dir);
	fake_kernel_write(f->kernel);
	boot(f);
	for (i = 0; i < PAGES; i++) {
		if (i != CONTROL_PAGE && i % 100 < 60)
			f->vm->active->mem.host[i * 4096] = (uint8_t)(i | 1);
	}
	p.path = f->file;
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), 0);
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;

	hypr_vm_destroy(f->vm);
	unlink(f->file);
	unlink(f->ws);
	unlink(f->other);
	unlink(f->kernel);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static int resurrect(struct fixture *f, unsigned int flags)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;

	c.name = "vm2";
	c.vmo = f->file;
	c.load_flags = flags;
	return hypr_vm_create(&c, &f->vm);
}

/* As a guest does: reads and writes here and there, in stretches. */
static void touch(struct fixture *f, const struct hypr_view *view, uint64_t seed)
{
	volatile uint8_t *mem = view->mem.host;
	uint64_t i, page, len;

	for (i = 0; i < 60; i++) {
		page = next_random(&seed) % PAGES;
		for (len = next_random(&seed) % 8 + 1; len && page < PAGES; len--, page++) {
			if (page == CONTROL_PAGE)
				break;
			if (next_random(&seed) % 2)
				mem[page * 4096 + 8]++;
			else
				(void)mem[page * 4096 + 8];
			f->touched[page] = 1;
		}
	}
}

static uint64_t nr_touched(const struct fixture *f)
{
	uint64_t i, nr = 0;

	for (i = 0; i < PAGES; i++)
		nr += f->touched[i];
	return nr;
}

/* The parts that were built are those pages, each once. */
static void assert_parts(struct fixture *f, unsigned int view)
{
	uint8_t built[PAGES] = { 0 };
	uint64_t page;
	unsigned int i;

	for (i = 0; i < fake_kvm.nr_parts; i++) {
		const struct kvm_hypr_prepare *part = &fake_kvm.part[i];

		assert_int_equal(part->view, view);
		for (page = part->gpa / 4096; page < (part->gpa + part->size) / 4096; page++)
			built[page]++;
	}
	assert_memory_equal(built, f->touched, PAGES);
}

static uint64_t seed_now(void)
{
	const char *text = getenv("HYPR_SEED");
	uint64_t seed = text ? strtoull(text, NULL, 0) : hypr_now_ns() | 1;

	print_message("# HYPR_SEED=%llu\n", (unsigned long long)seed);
	return seed;
}

static void test_record_and_use(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_working_set_result r;
	uint64_t seed = seed_now();

	end(f);
	assert_int_equal(resurrect(f, HYPR_LOAD_RECORD), 0);
	assert_int_equal(fake_kvm.prepared, 0);
	assert_int_equal(fake_kvm.nr_parts, 0);
	touch(f, f->vm->active, seed);
	assert_int_equal(hypr_vm_start(f->vm), 0);
	assert_int_equal(hypr_view_working_set(f->vm, NULL, NULL, 0, &r), 0);
	assert_int_equal(r.view, 0);
	assert_int_equal(r.pages, nr_touched(f));
	assert_int_equal(r.pages_total, PAGES);
	assert_string_equal(r.path, f->ws);
	assert_int_equal(hypr_view_working_set(f->vm, "boot", NULL, 0, NULL), -EEXIST);
	assert_int_equal(hypr_view_working_set(f->vm, "boot", f->other, 0, NULL), 0);
	/* Recording goes on. */
	touch(f, f->vm->active, seed + 1);
	assert_int_equal(hypr_view_working_set(f->vm, "boot", NULL, HYPR_SAVE_REPLACE, &r), 0);
	assert_int_equal(r.pages, nr_touched(f));
	end(f);

	assert_int_equal(resurrect(f, HYPR_LOAD_PREFAULT_USED), 0);
	assert_parts(f, 0);
	assert_int_equal(fake_kvm.nr_parts, r.ranges);
	assert_int_equal(hypr_vm_start(f->vm), 0);
	/* It is not recorded itself. */
	assert_int_equal(hypr_view_working_set(f->vm, NULL, NULL, 0, NULL), -EINVAL);
	assert_non_null(strstr(hypr_error(), "--prefault record"));
}

static void record(struct fixture *f, uint64_t seed)
{
	end(f);
	assert_int_equal(resurrect(f, HYPR_LOAD_RECORD), 0);
	touch(f, f->vm->active, seed);
	assert_int_equal(hypr_vm_start(f->vm), 0);
	assert_int_equal(hypr_view_working_set(f->vm, NULL, NULL, 0, NULL), 0);
	end(f);
}

/* A view of a VM that runs: recorded as such, and built by parts. */
static void test_views(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_snapshot_result r;
	struct hypr_view *view;
	uint64_t seed = seed_now();

	assert_int_equal(hypr_view_load(f->vm, "rec", f->file, HYPR_LOAD_RECORD, &r), 0);
	/* What can be swapped to has something that is prepared. */
	assert_int_equal(fake_kvm.nr_parts, 1);
	assert_int_equal(fake_kvm.part[0].gpa, HYPR_CONTROL_GPA);
	assert_int_equal(fake_kvm.part[0].size, HYPR_CONTROL_SIZE);
	view = hypr_view_find(f->vm, "rec");
	assert_int_equal(hypr_view_swap(f->vm, "rec", 0, NULL), 0);
	touch(f, view, seed);
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, NULL), 0);
	assert_int_equal(hypr_view_working_set(f->vm, "rec", NULL, 0, NULL), 0);
	assert_int_equal(hypr_view_working_set(f->vm, "nope", NULL, 0, NULL), -ENOENT);
	assert_int_equal(hypr_view_working_set(f->vm, "rec", NULL, 2, NULL), -EINVAL);
	assert_int_equal(hypr_view_remove(f->vm, "rec"), 0);

	fake_kvm.nr_parts = 0;
	assert_int_equal(hypr_view_load(f->vm, "used", f->file, HYPR_LOAD_PREFAULT_USED, &r), 0);
	assert_parts(f, r.view);
	assert_int_equal(r.pages_mapped, nr_touched(f));
	assert_int_equal(hypr_view_swap(f->vm, "used", 0, NULL), 0);
	fake_kvm.nr_parts = 0;
	fake_kvm.part_errno = EAGAIN;
	fake_kvm.part_fails = fake_kvm.nr_parts;
	assert_int_equal(hypr_view_load(f->vm, "none", f->file, HYPR_LOAD_PREFAULT_NONE, &r), 0);
	assert_int_equal(fake_kvm.part_errno, 0);
	assert_int_equal(fake_kvm.nr_parts, 1);
	assert_int_equal(fake_kvm.part[0].gpa, HYPR_CONTROL_GPA);
	assert_int_equal(hypr_view_swap(f->vm, "none", 0, NULL), 0);
}

/* hypr's own looking at all pages is no guest's touching. */
static void test_spoilt(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_verify_result v;

	end(f);
	assert_int_equal(resurrect(f, HYPR_LOAD_RECORD), 0);
	assert_int_equal(hypr_vm_start(f->vm), 0);
	assert_int_equal(hypr_view_reset(f->vm, "boot", NULL), 0);
	assert_int_equal(hypr_view_working_set(f->vm, NULL, NULL, 0, NULL), 0);
	assert_int_equal(hypr_view_verify(f->vm, "boot", &v), 0);
	assert_int_equal(hypr_view_working_set(f->vm, NULL, f->other, 0, NULL), -ESTALE);
	assert_non_null(strstr(hypr_error(), "was verified"));
	end(f);
	assert_int_equal(resurrect(f, HYPR_LOAD_RECORD), 0);
	assert_int_equal(hypr_vm_start(f->vm), 0);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	assert_int_equal(hypr_view_working_set(f->vm, "boot", f->other, 0, NULL), -ESTALE);
	assert_non_null(strstr(hypr_error(), "snapshot"));
	assert_int_equal(access(f->other, F_OK), -1);
}

static void test_none_recorded(void **ctx)
{
	struct fixture *f = *ctx;

	assert_int_equal(hypr_view_load(f->vm, "A", f->file, HYPR_LOAD_PREFAULT_USED, NULL),
			 -ENODATA);
	assert_int_equal(hypr_view_list(f->vm, NULL, 0), 1);
	end(f);
	assert_int_equal(resurrect(f, HYPR_LOAD_PREFAULT_USED), -ENODATA);
	assert_non_null(strstr(hypr_error(), "a.vmo.ws"));
	assert_null(f->vm);
	assert_int_equal(fake_kvm.slots, 0);
}

static void test_damaged(void **ctx)
{
	struct fixture *f = *ctx;

	record(f, 5);
	assert_int_equal(truncate(f->ws, 100), 0);
	assert_int_equal(resurrect(f, HYPR_LOAD_PREFAULT_USED), -EBADMSG);
	assert_non_null(strstr(hypr_error(), "a.vmo.ws: truncated"));
	assert_int_equal(fake_kvm.slots, 0);
	/* Who does not ask for it is not concerned. */
	fake_kvm_reset();
	assert_int_equal(resurrect(f, 0), 0);
}

/* A signal interrupts a part: on from there.  Tables that were dropped: all anew. */
static void test_interrupted(void **ctx)
{
	static const int err[] = { EINTR, EAGAIN };
	struct fixture *f = *ctx;
	size_t i;

	record(f, 99);
	for (i = 0; i < ARRAY_SIZE(err); i++) {
		fake_kvm_reset();
		fake_kvm.part_errno = err[i];
		fake_kvm.part_fails = 20;
		assert_int_equal(resurrect(f, HYPR_LOAD_PREFAULT_USED), 0);
		assert_int_equal(fake_kvm.part_errno, 0);
		assert_parts(f, 0);
		end(f);
	}
	fake_kvm.part_errno = ENOMEM;
	fake_kvm.part_fails = 20;
	assert_int_equal(resurrect(f, HYPR_LOAD_PREFAULT_USED), -ENOMEM);
	assert_int_equal(fake_kvm.slots, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(record_and_use),
		T(views),
		T(spoilt),
		T(none_recorded),
		T(damaged),
		T(interrupted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
