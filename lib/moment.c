// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A moment: memory as it was, in a sealed memfd that nobody can write any more,
 * with holes where pages were zero, and the vCPU and device state of that
 * instant.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

static bool page_is_zero(const uint8_t *page)
{
	const uint64_t *word = (const uint64_t *)page;
	size_t i;

	for (i = 0; i < HYPR_PAGE_BYTES / sizeof(*word); i++) {
		if (word[i])
			return false;
	}
	return true;
}

/* The control page's place in the view's own mapping is not guest memory. */
static uint64_t copy_pages(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
	uint64_t gpa, stored = 0;

	for (gpa = 0; gpa < bytes; gpa += HYPR_PAGE_BYTES) {
		if (gpa == HYPR_CONTROL_GPA || page_is_zero(from + gpa))
			continue;
		memcpy(to + gpa, from + gpa, HYPR_PAGE_BYTES);
		stored++;
	}
	return stored;
}

static int moment_fill(struct hypr_vm *vm, struct hypr_moment *moment, const uint8_t *from)
{
	uint8_t *to;

	if (ftruncate(moment->fd, (off_t)vm->mem_bytes) < 0)
		return -errno;
	to = mmap(NULL, vm->mem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, moment->fd, 0);
	if (to == MAP_FAILED)
		return -errno;
	moment->pages_stored = copy_pages(to, from, vm->mem_bytes);
	munmap(to, vm->mem_bytes);

	if (fcntl(moment->fd, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	to = mmap(NULL, vm->mem_bytes, PROT_READ, MAP_SHARED, moment->fd, 0);
	if (to == MAP_FAILED)
		return -errno;
	moment->mem = to;
	return 0;
}

/**
 * hypr_moment_create() - freeze the memory and state of a halted view
 * Return: NULL with hypr_error() set: not enough memory, nearly always.
 */
struct hypr_moment *hypr_moment_create(struct hypr_vm *vm, const struct hypr_view *view)
{
	struct hypr_moment *moment;
	int ret;

	moment = calloc(1, sizeof(*moment));
	if (!moment) {
		hypr_fail(-ENOMEM, "no memory for a moment");
		return NULL;
	}
	moment->fd = memfd_create("hypr-moment", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (moment->fd < 0) {
		hypr_fail_sys(-errno, "a moment's memory");
		goto destroy;
	}
	moment->state = hypr_state_alloc(vm);
	if (!moment->state)
		goto destroy;
	ret = moment_fill(vm, moment, view->mem);
	if (ret) {
		hypr_fail_sys(ret, "a moment of %llu MiB",
			      (unsigned long long)vm->mem_bytes >> 20);
		goto free_state;
	}
	hypr_state_copy(vm, moment->state, view->state);
	return moment;

free_state:
	hypr_state_free(vm, moment->state);
destroy:
	if (moment->fd >= 0)
		close(moment->fd);
	free(moment);
	return NULL;
}

void hypr_moment_destroy(struct hypr_vm *vm, struct hypr_moment *moment)
{
	if (!moment)
		return;
	munmap((void *)moment->mem, vm->mem_bytes);
	hypr_state_free(vm, moment->state);
	close(moment->fd);
	free(moment);
}
