// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Memory slots.  A view has three: below the control page, the control page,
 * and above it.  The control page has one host address, the same in all views.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define SLOTS_PER_VIEW	3
#define CONTROL_END	(HYPR_CONTROL_GPA + HYPR_CONTROL_SIZE)

static int slot_set(const struct hypr_view *view, unsigned int n,
		    uint64_t gpa, uint64_t bytes, const void *host)
{
	struct kvm_userspace_memory_region region = {
		.slot = view->slot_base | n,
		.guest_phys_addr = gpa,
		.memory_size = bytes,
		.userspace_addr = (uintptr_t)host,
	};

	return ioctl(view->vm_fd, KVM_SET_USER_MEMORY_REGION, &region) < 0 ? -errno : 0;
}

/** hypr_mem_slots_add() - give a view its memory */
int hypr_mem_slots_add(struct hypr_vm *vm, struct hypr_view *view)
{
	int ret;

	ret = slot_set(view, 0, 0, HYPR_CONTROL_GPA, view->mem);
	if (!ret)
		ret = slot_set(view, 1, HYPR_CONTROL_GPA, HYPR_CONTROL_SIZE,
			       vm->control);
	if (!ret)
		ret = slot_set(view, 2, CONTROL_END, vm->mem_bytes - CONTROL_END,
			       view->mem + CONTROL_END);
	if (ret) {
		hypr_fail_sys(ret, "view '%s': memory slots", view->name);
		hypr_mem_slots_remove(view);
	}
	return ret;
}

/** hypr_mem_slots_remove() - take it away; slots that are not there do not matter */
void hypr_mem_slots_remove(const struct hypr_view *view)
{
	unsigned int n;

	for (n = 0; n < SLOTS_PER_VIEW && view->vm_fd >= 0; n++)
		slot_set(view, n, 0, 0, NULL);
}

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
	vm->control = page;
close_fd:
	close(fd);
	return ret;
}
