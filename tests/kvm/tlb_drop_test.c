// SPDX-License-Identifier: GPL-2.0-only
/*
 * CONFIG_KVM_HYPR_DEBUG_TLB finds a flush that is missing: the module parameter
 * ept_tlb_drop leaves one out, and the kernel's log must have the warning.
 *
 * The warning is wanted here, so panic_on_warn is off meanwhile, and the log is
 * emptied of it: what else stands there still fails the run.
 */
#include "harness.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <unistd.h>

#define A		KVM_HYPR_VIEW_FIRST
#define B		(KVM_HYPR_VIEW_FIRST + 1)
#define FORCE		KVM_EPT_SWAP_FORCE
#define DROP		"/sys/module/kvm/parameters/ept_tlb_drop"
#define PANIC_ON_WARN	"/proc/sys/kernel/panic_on_warn"
#define WARNING		"EPT_SWAP: TLB not flushed"
/* All flushes of an edit: one that has to give way flushes before that, too. */
#define MANY		1000

#define LOG_READ_ALL	3
#define LOG_CLEAR	5
#define LOG_SIZE	10

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		FAIL("cannot write %s to %s: %m", text, path);
	close(fd);
}

static int read_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		FAIL("cannot read %s: %m", path);
	close(fd);
	return atoi(text);
}

/* How often @text stands in the kernel's log since it was emptied. */
static int count_in_log(const char *text)
{
	int bytes = klogctl(LOG_SIZE, NULL, 0), got, count = 0;
	char *log, *at;

	CHECK(bytes > 0);
	log = calloc(1, bytes + 1);
	CHECK(log);
	got = klogctl(LOG_READ_ALL, log, bytes);
	CHECK(got >= 0);
	for (at = strstr(log, text); at; at = strstr(at + 1, text))
		count++;
	free(log);
	return count;
}

/* What stands in the log already is not ours to take away. */
static void begin_warnings(void)
{
	CHECK_EQ(count_in_log("WARNING: "), 0);
	CHECK_EQ(count_in_log("BUG: "), 0);
	write_file(PANIC_ON_WARN, "0");
}

static void end_warnings(int wanted)
{
	int found = count_in_log(WARNING);
	int all = count_in_log("WARNING: ");

	/* The message and the warning's own line, for each. */
	if (found == all)
		klogctl(LOG_CLEAR, NULL, 0);
	write_file(PANIC_ON_WARN, "1");
	CHECK_EQ(all, found);
	CHECK_EQ(found, wanted);
}

static struct vm *warm_vm(void)
{
	static const unsigned int views[] = { A, B, 0 };
	struct vm *vm;
	unsigned int i;

	need_cpus(1);
	if (access(DROP, W_OK))
		skip("this kernel has no CONFIG_KVM_HYPR_DEBUG_TLB");
	vm = vm_new();
	vm_views_add(vm, 2);
	/* A page that can be written: of the zero page mprotect() takes nothing away. */
	vm->ram[A][GUEST_FREE_GPA] = 1;
	vcpus_start(vm, 1);
	CHECK_EQ(vcpu_view(&vm->vcpu[0]), 0);
	OK(try_prepare(vm, A));
	OK(try_prepare(vm, B));
	for (i = 0; i < 6; i++) {
		vm_commit(vm, views[i % 3], FORCE);
		CHECK_EQ(vcpu_view(&vm->vcpu[0]), views[i % 3]);
	}
	return vm;
}

/* Edits of view A, while it is inactive. */
static void mark(struct vm *vm)
{
	struct kvm_hypr_mark_edited arg = { .view = A };

	OK(try_ioctl(vm->fd, KVM_HYPR_MARK_EDITED, &arg));
}

static void take_page(struct vm *vm)
{
	CHECK(!madvise(vm->ram[A] + GUEST_FREE_GPA, 4096, MADV_DONTNEED));
}

static void protect_page(struct vm *vm)
{
	CHECK(!mprotect(vm->ram[A] + GUEST_FREE_GPA, 4096, PROT_READ));
}

static void delete_slot(struct vm *vm)
{
	OK(try_set_slot(vm, A, SLOT_SHARED, 0, GUEST_SHARED_GPA, 0, vm->shared));
	OK(try_set_slot(vm, A, SLOT_SHARED, 0, GUEST_SHARED_GPA,
			GUEST_SHARED_BYTES, vm->shared));
}

static void log_dirty(struct vm *vm)
{
	OK(try_set_slot(vm, A, SLOT_RAM, KVM_MEM_LOG_DIRTY_PAGES, 0,
			vm->ram_bytes, vm->ram[A]));
}

static void drop_begin(int flushes)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", flushes);
	write_file(DROP, text);
}

static void drop_end(void)
{
	int left = read_number(DROP);

	CHECK(left < MANY);
	write_file(DROP, "0");
}

/*
 * Some edits ask for a flush right away, in the view that is active and was not
 * edited: that is the one to lose, @drop is MANY.  A mark's flush comes with the swap.
 */
static void edit_and_swap(void (*edit)(struct vm *vm), int drop, int wanted)
{
	struct vm *vm = warm_vm();
	struct vcpu *vcpu = &vm->vcpu[0];

	begin_warnings();
	drop_begin(drop);
	edit(vm);
	CHECK_EQ(vcpu_view(vcpu), 0);
	if (drop == MANY)
		drop_end();
	vm_commit(vm, A, FORCE);
	CHECK_EQ(vcpu_view(vcpu), A);
	/* A check that met a lock is made up for at the next entry. */
	vcpu_ask(vcpu, GUEST_OUT, 0x10, 0, 0);
	vcpu_resume(vcpu);
	vcpu_wait_done(vcpu);
	CHECK_EQ(read_number(DROP), 0);
	end_warnings(wanted);
	vm_close(vm);
}

#define EDIT_TESTS(name, drop)						\
static void test_##name##_flushed(void)				\
{									\
	edit_and_swap(name, 0, 0);					\
}									\
									\
static void test_##name##_not_flushed(void)				\
{									\
	edit_and_swap(name, drop, 1);					\
}

EDIT_TESTS(mark, 1)
EDIT_TESTS(take_page, MANY)
EDIT_TESTS(protect_page, MANY)
EDIT_TESTS(delete_slot, MANY)
EDIT_TESTS(log_dirty, MANY)

static const struct test tests[] = {
	{ "MARK_EDITED, flushed: no warning", test_mark_flushed },
	{ "MARK_EDITED, flush left out: a warning", test_mark_not_flushed },
	{ "a page taken from an inactive view, flushed: no warning",
	  test_take_page_flushed },
	{ "a page taken from an inactive view, flush left out: a warning",
	  test_take_page_not_flushed },
	{ "a page of an inactive view write-protected, flushed: no warning",
	  test_protect_page_flushed },
	{ "a page of an inactive view write-protected, flush left out: a warning",
	  test_protect_page_not_flushed },
	{ "a slot of an inactive view deleted, flushed: no warning",
	  test_delete_slot_flushed },
	{ "a slot of an inactive view deleted, flush left out: a warning",
	  test_delete_slot_not_flushed },
	{ "dirty logging of an inactive view, flushed: no warning",
	  test_log_dirty_flushed },
	{ "dirty logging of an inactive view, flush left out: a warning",
	  test_log_dirty_not_flushed },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
