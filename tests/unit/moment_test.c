// SPDX-License-Identifier: GPL-2.0-only
/* Moments and what a view adds to one: real memory, real kernel, no guest. */
#include "lib/memory/privmem.h"
#include "lib/model/state.h"
#include "lib/model/vcpu.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/swap/snapshot.h"
#include "lib/view/hole.h"
#include "lib/view/moment.h"
#include "unit.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "fake_vm.h"

#define PAGE	4096

struct fixture {
	struct hypr_vm *vm;
	uint8_t *boot;
};

static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->vm = fake_vm_create(2);
	f->boot = f->vm->active->mem.host;
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;

	fake_vm_destroy(f->vm);
	free(f);
	return 0;
}

/* Holes of [page, end), and none of them shorter than @min. */
static void test_holes_of_a_bitmap(void **ctx)
{
	static const struct {
		uint64_t page, end, min, hole, hole_end;
	} row[] = {
		{ 0, 200, 1, 0, 1 },	{ 1, 200, 1, 60, 70 },	{ 1, 200, 11, 100, 192 },
		{ 62, 66, 1, 62, 66 },	{ 70, 100, 1, 100, 100 }, { 192, 200, 1, 200, 200 },
		{ 130, 200, 62, 130, 192 }, { 130, 200, 63, 200, 200 }, { 5, 5, 1, 5, 5 },
		{ 64, 128, 8, 100, 128 }, { 70, 105, 8, 105, 105 },
	};
	uint64_t zeros[4] = { 0 }, page, end;
	unsigned int i;

	(void)ctx;
	for (page = 0; page < 192; page++)
		if (!page || (page >= 60 && page < 70) || page >= 100)
			zeros[page / 64] |= 1ull << page % 64;
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		assert_int_equal(hypr_hole_find(zeros, row[i].page, row[i].end, row[i].min, &end),
				 row[i].hole);
		assert_int_equal(end, row[i].hole_end);
	}
}

/* No vCPU runs: as of a VM that is paused. */
static struct hypr_moment *freeze(struct hypr_vm *vm)
{
	struct hypr_snapshot_result result = { 0 };
	struct hypr_moment *moment = NULL;

	vm->paused = true;
	assert_int_equal(hypr_moment_take(vm, &result, &moment, NULL), 0);
	vm->paused = false;
	return moment;
}

static uint8_t *map_view(const struct hypr_moment *moment)
{
	uint8_t *mem = mmap(NULL, FAKE_MEM_BYTES, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_NORESERVE, moment->fd, 0);

	assert_ptr_not_equal(mem, MAP_FAILED);
	return mem;
}

static void test_moment_keeps_memory_and_state(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_moment *moment;
	uint64_t page;

	f->boot[0] = 1;
	f->boot[5 * PAGE + 17] = 2;
	f->boot[FAKE_MEM_BYTES - 1] = 3;
	f->boot[HYPR_CONTROL_GPA] = 4;	/* not guest memory */
	f->vm->active->state->vcpu[1].regs.rip = 0x1234;
	f->vm->active->state->host_tsc = 99;
	moment = freeze(f->vm);
	assert_non_null(moment);
	f->boot[0] = 0x55;
	f->vm->active->state->vcpu[1].regs.rip = 0;

	assert_int_equal(moment->pages_stored, 3);
	for (page = 0; page < FAKE_MEM_BYTES / PAGE; page++)
		assert_int_equal(moment->zeros[page / 64] >> page % 64 & 1,
				 page && page != 5 && page != FAKE_MEM_BYTES / PAGE - 1);
	assert_int_equal(moment->mem.host[0], 1);
	assert_int_equal(moment->mem.host[5 * PAGE + 17], 2);
	assert_int_equal(moment->mem.host[FAKE_MEM_BYTES - 1], 3);
	assert_int_equal(moment->mem.host[HYPR_CONTROL_GPA], 0);
	assert_int_equal(moment->state->vcpu[1].regs.rip, 0x1234);
	assert_int_equal(moment->state->host_tsc, 99);
	hypr_moment_destroy(f->vm, moment);
}

static void test_moment_is_sealed(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_moment *moment;

	moment = freeze(f->vm);
	assert_non_null(moment);
	assert_int_equal(write(moment->fd, "x", 1), -1);
	assert_int_equal(ftruncate(moment->fd, 0), -1);
	assert_ptr_equal(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, moment->fd, 0), MAP_FAILED);
	hypr_moment_destroy(f->vm, moment);
}

static void test_private_pages_are_counted_and_put_back(void **ctx)
{
	static const size_t at[] = { 0, 1, 2, 100, 4095 };
	struct fixture *f = *ctx;
	struct hypr_moment *moment;
	struct hypr_guest guest;
	uint64_t pages;
	struct hypr_privmem privmem;
	uint8_t *view;
	size_t i;

	memset(f->boot, 0x11, 8 * PAGE);
	moment = freeze(f->vm);
	assert_non_null(moment);
	view = map_view(moment);
	guest = (struct hypr_guest){ view, FAKE_MEM_BYTES };
	privmem = (struct hypr_privmem){ &guest, &moment->mem };
	/* Reading makes nothing private. */
	assert_int_equal(memcmp(view, moment->mem.host, FAKE_MEM_BYTES), 0);
	assert_int_equal(hypr_privmem_count(&guest, &pages), 0);
	assert_int_equal(pages, 0);

	for (i = 0; i < ARRAY_SIZE(at); i++)
		view[at[i] * PAGE + i] = 0xee;
	assert_int_equal(hypr_privmem_count(&guest, &pages), 0);
	assert_int_equal(pages, ARRAY_SIZE(at));
	assert_int_equal(hypr_privmem_restore(&privmem, &pages), 0);
	assert_int_equal(pages, ARRAY_SIZE(at));
	assert_int_equal(memcmp(view, moment->mem.host, FAKE_MEM_BYTES), 0);
	/* They stay the view's own. */
	assert_int_equal(hypr_privmem_count(&guest, &pages), 0);
	assert_int_equal(pages, ARRAY_SIZE(at));
	munmap(view, FAKE_MEM_BYTES);
	hypr_moment_destroy(f->vm, moment);
}

static blkcnt_t blocks(const struct hypr_moment *moment)
{
	struct stat stat;

	assert_int_equal(fstat(moment->fd, &stat), 0);
	return stat.st_blocks;
}

/* Reading a view costs no memory where the moment has none, and makes nothing private. */
static void test_holes_stay_holes(void **ctx)
{
	static const uint8_t zero[FAKE_MEM_BYTES];
	struct fixture *f = *ctx;
	struct hypr_moment *moment;
	struct hypr_guest view;
	struct hypr_privmem privmem;
	uint64_t pages;
	blkcnt_t before;

	memset(f->boot, 0x11, 8 * PAGE);
	memset(f->boot + 100 * PAGE, 0x22, PAGE);
	moment = freeze(f->vm);
	assert_non_null(moment);
	before = blocks(moment);
	assert_int_equal(hypr_moment_map(f->vm, moment, &view), 0);
	privmem = (struct hypr_privmem){ &view, &moment->mem };
	assert_int_equal(memcmp(view.host, f->boot, 101 * PAGE), 0);
	assert_int_equal(memcmp(view.host + 101 * PAGE, zero, FAKE_MEM_BYTES - 101 * PAGE), 0);
	assert_int_equal(blocks(moment), before);
	assert_int_equal(hypr_privmem_count(&view, &pages), 0);
	assert_int_equal(pages, 0);

	view.host[50 * PAGE] = 1;
	view.host[100 * PAGE] = 2;
	assert_int_equal(hypr_privmem_count(&view, &pages), 0);
	assert_int_equal(pages, 2);
	assert_int_equal(hypr_privmem_restore(&privmem, &pages), 0);
	assert_int_equal(view.host[50 * PAGE], 0);
	assert_int_equal(view.host[100 * PAGE], 0x22);
	view.host[50 * PAGE] = 1;
	assert_int_equal(hypr_privmem_drop(&view, &pages), 0);
	assert_int_equal(view.host[50 * PAGE], 0);
	assert_int_equal(view.host[0], 0x11);
	munmap(view.host, view.bytes);
	hypr_moment_destroy(f->vm, moment);
}

static void test_private_pages_more_than_one_scan(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_moment *moment;
	struct hypr_guest guest;
	uint64_t pages;
	struct hypr_privmem privmem;
	uint8_t *view;
	size_t i;

	moment = freeze(f->vm);
	assert_non_null(moment);
	view = map_view(moment);
	guest = (struct hypr_guest){ view, FAKE_MEM_BYTES };
	privmem = (struct hypr_privmem){ &guest, &moment->mem };
	for (i = 0; i < FAKE_MEM_BYTES; i += 2 * PAGE)
		view[i] = 1;
	assert_int_equal(hypr_privmem_restore(&privmem, &pages), 0);
	assert_int_equal(pages, FAKE_MEM_BYTES / PAGE / 2);
	assert_int_equal(memcmp(view, moment->mem.host, FAKE_MEM_BYTES), 0);
	munmap(view, FAKE_MEM_BYTES);
	hypr_moment_destroy(f->vm, moment);
}

/* A view that is not active can be verified without a vCPU. */
static void add_view(struct fixture *f, const char *name)
{
	struct hypr_view *view = calloc(1, sizeof(*view));

	strcpy(view->name, name);
	view->number = 2;
	view->moment = freeze(f->vm);
	assert_non_null(view->moment);
	view->mem = (struct hypr_guest){ map_view(view->moment), FAKE_MEM_BYTES };
	f->vm->view[2] = view;
}

static void remove_view(struct fixture *f)
{
	struct hypr_view *view = f->vm->view[2];

	munmap(view->mem.host, FAKE_MEM_BYTES);
	hypr_moment_destroy(f->vm, view->moment);
	free(view);
	f->vm->view[2] = NULL;
}

static void test_verify_finds_every_difference(void **ctx)
{
	struct hypr_verify_result r;
	struct fixture *f = *ctx;
	uint8_t *mem;
	int i;

	add_view(f, "A");
	mem = f->vm->view[2]->mem.host;
	assert_int_equal(hypr_view_verify(f->vm, "A", &r), 0);
	assert_int_equal(r.pages_compared, FAKE_MEM_BYTES / PAGE - 1);
	assert_int_equal(r.pages_mismatched, 0);

	mem[0] = 1;
	mem[PAGE + 4095] = 1;
	mem[HYPR_CONTROL_GPA] = 1;	/* left out */
	mem[FAKE_MEM_BYTES - 1] = 1;
	assert_int_equal(hypr_view_verify(f->vm, "A", &r), 0);
	assert_int_equal(r.pages_mismatched, 3);
	assert_int_equal(r.nr_ranges, 2);
	assert_int_equal(r.range[0].start, 0);
	assert_int_equal(r.range[0].end, 2 * PAGE);
	assert_int_equal(r.range[1].start, FAKE_MEM_BYTES - PAGE);
	assert_int_equal(r.range[1].end, FAKE_MEM_BYTES);

	for (i = 0; i < 20; i++)
		mem[(100 + 2 * i) * PAGE] = 1;
	assert_int_equal(hypr_view_verify(f->vm, "A", &r), 0);
	assert_int_equal(r.pages_mismatched, 23);
	assert_int_equal(r.nr_ranges, HYPR_VERIFY_RANGES);
	remove_view(f);
}

static void test_verify_refuses(void **ctx)
{
	struct hypr_verify_result r;
	struct fixture *f = *ctx;

	assert_int_equal(hypr_view_verify(f->vm, "B", &r), -ENOENT);
	assert_string_equal(hypr_error(), "no view 'B': there is boot");
	assert_int_equal(hypr_view_verify(f->vm, "boot", &r), -EINVAL);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_holes_of_a_bitmap),
		T(test_moment_keeps_memory_and_state),
		T(test_moment_is_sealed),
		T(test_private_pages_are_counted_and_put_back),
		T(test_holes_stay_holes),
		T(test_private_pages_more_than_one_scan),
		T(test_verify_finds_every_difference),
		T(test_verify_refuses),
	};

	return cmocka_run_group_tests_name("moment", tests, NULL, NULL) ? 1 : 0;
}
