// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory slots.  A view has three: below the control page, the control page,
 * and above it; and more where a file says that the guest may not write.  The
 * control page has one host address, the same in all views.
 */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hypr/vmo.h"
#include "base/error.h"
#include "base/page.h"
#include "memory/mem.h"
#include "model/view.h"
#include "model/vm.h"

/* KVM takes more; each costs at every lookup. */
#define SLOTS_MAX	500
#define CONTROL_END	(HYPR_CONTROL_GPA + HYPR_CONTROL_SIZE)

/* Which KVM VM has the slots of a view, and under which number: only here. */
static int slot_ioctl(const struct hypr_view *view, unsigned long request, void *arg)
{
	return ioctl(view->vm_fd, request, arg);
}

static uint32_t slot_id(const struct hypr_view *view, unsigned int n)
{
	return view->slot_base | n;
}

/* ---- which slots a view has ---------------------------------------------- */

/* Room is for SLOTS_MAX, and one that is too many. */
static void add(struct hypr_slot *slot, unsigned int *nr, uint64_t start, uint64_t end,
		bool readonly)
{
	struct hypr_slot *last = *nr ? &slot[*nr - 1] : NULL;

	if (start == end || *nr > SLOTS_MAX)
		return;
	if (last && !last->control && last->readonly == readonly)
		last->bytes += end - start;
	else
		slot[(*nr)++] = (struct hypr_slot){
			.gpa = start, .bytes = end - start, .readonly = readonly,
		};
}

static void add_control(struct hypr_slot *slot, unsigned int *nr)
{
	if (*nr <= SLOTS_MAX)
		slot[(*nr)++] = (struct hypr_slot){
			.gpa = HYPR_CONTROL_GPA, .bytes = HYPR_CONTROL_SIZE, .control = true,
		};
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The control page can be written whatever a file says of its place. */
static unsigned int plan(const struct hypr_vm *vm, const struct hypr_moment *moment,
			 struct hypr_slot *slot)
{
	const struct hypr_perm all = { 0, vm->mem_bytes, HYPR_VMO_RUN_RWX };
	const struct hypr_perm *perm = moment && moment->nr_perms ? moment->perm : &all;
	size_t i, nr_perms = perm == &all ? 1 : moment->nr_perms;
	unsigned int nr = 0;

	for (i = 0; i < nr_perms; i++) {
		uint64_t start = perm[i].gpa, end = start + perm[i].bytes;
		bool readonly = !(perm[i].flags & HYPR_VMO_RUN_W);

		add(slot, &nr, start, max(start, min(end, HYPR_CONTROL_GPA)), readonly);
		if (start <= HYPR_CONTROL_GPA && end > HYPR_CONTROL_GPA)
			add_control(slot, &nr);
		add(slot, &nr, min(end, max(start, CONTROL_END)), end, readonly);
	}
	return nr;
}

/**
 * hypr_mem_slots_check() - can a view of this file be made?
 * Return: 0; -EOPNOTSUPP the file's permissions are in too many pieces, or this
 * KVM has no read-only memory.
 */
int hypr_mem_slots_check(struct hypr_vm *vm, const struct hypr_moment *moment)
{
	struct hypr_slot *slot = calloc(SLOTS_MAX + 1, sizeof(*slot));
	bool readonly = false;
	unsigned int nr, n;
	int ret = 0;

	if (!slot)
		return hypr_fail(-ENOMEM, "%s: no memory for its slots", moment->path);
	nr = plan(vm, moment, slot);
	for (n = 0; n < nr; n++)
		readonly |= slot[n].readonly;
	free(slot);
	if (nr > SLOTS_MAX)
		ret = hypr_fail(-EOPNOTSUPP,
				"%s: read-only memory is in too many pieces: more than %d memory slots",
				moment->path, SLOTS_MAX);
	else if (readonly && ioctl(vm->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_READONLY_MEM) <= 0)
		ret = hypr_fail(-EOPNOTSUPP,
				"%s: it has read-only memory, and this host's KVM lacks KVM_CAP_READONLY_MEM",
				moment->path);
	return ret;
}

/* ---- giving them to KVM -------------------------------------------------- */

static int slot_set(struct hypr_vm *vm, const struct hypr_view *view, unsigned int n, bool log)
{
	const struct hypr_slot *slot = &view->slot[n];
	const void *host = slot->control ? vm->control :
			   hypr_guest_at(&view->mem, hypr_gpa(slot->gpa), slot->bytes);
	struct kvm_userspace_memory_region region = {
		.slot = slot_id(view, n),
		.flags = (slot->readonly ? KVM_MEM_READONLY : 0) |
			 (log ? KVM_MEM_LOG_DIRTY_PAGES : 0),
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->bytes,
		.userspace_addr = (uintptr_t)host,
	};

	if (!host)
		return -EFAULT;
	return slot_ioctl(view, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

/** hypr_mem_slots_add() - give a view its memory */
int hypr_mem_slots_add(struct hypr_vm *vm, struct hypr_view *view)
{
	unsigned int n;
	int ret = 0;

	view->slot = calloc(SLOTS_MAX + 1, sizeof(*view->slot));
	if (!view->slot)
		return hypr_fail(-ENOMEM, "view '%s': no memory for its slots", view->name);
	view->nr_slots = plan(vm, view->moment, view->slot);
	if (view->nr_slots > SLOTS_MAX)
		ret = -ENOSPC;
	for (n = 0; !ret && n < view->nr_slots; n++)
		ret = slot_set(vm, view, n, false);
	if (ret) {
		hypr_fail_sys(ret, "view '%s': memory slots", view->name);
		hypr_mem_slots_remove(view);
	}
	return ret;
}

/** hypr_mem_slots_remove() - take it away; slots that are not there do not matter */
void hypr_mem_slots_remove(struct hypr_view *view)
{
	unsigned int n;

	for (n = 0; n < view->nr_slots && view->vm_fd >= 0; n++) {
		struct kvm_userspace_memory_region region = { .slot = slot_id(view, n) };

		slot_ioctl(view, KVM_SET_USER_MEMORY_REGION, &region);
	}
	free(view->slot);
	view->slot = NULL;
	view->nr_slots = 0;
}

/* ---- the dirty log of a slot --------------------------------------------- */

static int log_fail(int err, const struct hypr_view *view, const char *what)
{
	return hypr_fail_sys(err, "view '%s': %s", view->name, what);
}

/**
 * hypr_mem_log_has_clear() - is the log read and cleared by two calls?
 *
 * Asks for it where KVM has it; it stays so for this VM.
 */
int hypr_mem_log_has_clear(const struct hypr_view *view, bool *has)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args[0] = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE,
	};
	int bits = slot_ioctl(view, KVM_CHECK_EXTENSION,
			      (void *)KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);

	if (bits < 0)
		return log_fail(-errno, view, "KVM_CHECK_EXTENSION");
	*has = bits & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE;
	if (*has && slot_ioctl(view, KVM_ENABLE_CAP, &cap) < 0)
		return log_fail(-errno, view, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
	return 0;
}

int hypr_mem_log_set(struct hypr_vm *vm, const struct hypr_view *view, unsigned int n, bool on)
{
	int ret = slot_set(vm, view, n, on);

	return ret ? log_fail(ret, view, on ? "KVM_MEM_LOG_DIRTY_PAGES" :
					      "ending KVM_MEM_LOG_DIRTY_PAGES") : 0;
}

/** hypr_mem_log_get() - @bitmap: a bit for each page, to whole words */
int hypr_mem_log_get(const struct hypr_view *view, unsigned int n,
		     uint64_t *bitmap)
{
	struct kvm_dirty_log log = { .slot = slot_id(view, n), .dirty_bitmap = bitmap };

	if (slot_ioctl(view, KVM_GET_DIRTY_LOG, &log) < 0)
		return log_fail(-errno, view, "KVM_GET_DIRTY_LOG");
	return 0;
}

/** hypr_mem_log_clear() - log the pages of @bitmap anew */
int hypr_mem_log_clear(const struct hypr_view *view, unsigned int n,
		       uint64_t *bitmap)
{
	struct kvm_clear_dirty_log clear = {
		.slot = slot_id(view, n),
		.num_pages = (uint32_t)(view->slot[n].bytes / HYPR_PAGE_BYTES),
		.dirty_bitmap = bitmap,
	};

	if (slot_ioctl(view, KVM_CLEAR_DIRTY_LOG, &clear) < 0)
		return log_fail(-errno, view, "KVM_CLEAR_DIRTY_LOG");
	return 0;
}

/* ---- the control page ---------------------------------------------------- */

/* Shared memory of its own, so that no private mapping ever copies it. */
int hypr_mem_control_create(struct hypr_vm *vm)
{
	struct hypr_control_page *page;
	int fd, ret = 0;

	fd = memfd_create("hypr-control", MFD_CLOEXEC);
	if (fd < 0)
		return hypr_fail_sys(-errno, "the control page's memory");
	if (ftruncate(fd, HYPR_CONTROL_SIZE) < 0) {
		ret = hypr_fail_sys(-errno, "the control page's memory");
		goto close_fd;
	}
	page = mmap(NULL, HYPR_CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED) {
		ret = hypr_fail_sys(-errno, "mapping the control page");
		goto close_fd;
	}
	page->magic = HYPR_CONTROL_MAGIC;
	page->version = HYPR_CONTROL_VERSION;
	page->nr_vcpus = vm->nr_vcpus;
	page->features = HYPR_CONTROL_MOVES_TIMERS;
	vm->control = page;
close_fd:
	close(fd);
	return ret;
}
