// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A moment: memory as it was, and the vCPU and device state of that instant.  One
 * that was taken here is in a sealed memfd that nobody can write any more, with
 * holes where pages were zero; one from a file is mapped from there.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu.h"
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

/**
 * hypr_moment_take() - keep this moment of the active view
 * @result: out: the pause and the copy
 * @momentp: out: to be given back with hypr_moment_destroy()
 *
 * The VM goes on, unless it was paused before.
 */
int hypr_moment_take(struct hypr_vm *vm, struct hypr_snapshot_result *result,
		     struct hypr_moment **momentp)
{
	struct hypr_pause_result pause = { .pause = vm->paused_how };
	struct hypr_moment *moment;
	uint64_t start;
	int ret;

	if (!vm->paused) {
		ret = hypr_vm_halt(vm, 0, &pause);
		if (ret)
			return ret;
	}
	result->pause = pause.pause;
	result->pause_cycles = pause.pause_cycles;

	start = hypr_tsc();
	hypr_record_spoil(vm->active, "was copied for a snapshot");
	moment = hypr_moment_create(vm, vm->active);
	result->copy_cycles = hypr_tsc() - start;
	ret = vm->paused ? 0 : hypr_vm_go(vm);
	if (!moment)
		return -ENOMEM;
	if (ret)
		hypr_moment_destroy(vm, moment);
	else
		*momentp = moment;
	return ret;
}

/**
 * hypr_moment_map() - map its memory once more, copy-on-write
 * @memp: out: vm->mem_bytes, to be given back with munmap()
 */
int hypr_moment_map(struct hypr_vm *vm, const struct hypr_moment *moment, uint8_t **memp)
{
	int flags = MAP_PRIVATE | MAP_NORESERVE;
	void *mem;
	int ret;

	if (!moment->vmo) {
		mem = mmap(NULL, vm->mem_bytes, PROT_READ | PROT_WRITE, flags, moment->fd, 0);
		if (mem == MAP_FAILED)
			return hypr_fail_sys(-errno, "mapping a moment of %llu MiB",
					     (unsigned long long)vm->mem_bytes >> 20);
		*memp = mem;
		return 0;
	}
	mem = mmap(NULL, vm->mem_bytes, PROT_NONE, flags | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return hypr_fail_sys(-errno, "%s: address space", moment->path);
	ret = hypr_vmo_map(moment->vmo, mem);
	if (ret) {
		munmap(mem, vm->mem_bytes);
		return ret;
	}
	*memp = mem;
	return 0;
}

static int check_fits(struct hypr_vm *vm, struct hypr_vmo *vmo, const char *path)
{
	const struct kvm_cpuid_entry2 *cpu;
	struct hypr_vmo_info info;
	size_t nr;
	int ret;

	ret = hypr_vmo_check_plain(vmo, path);
	if (ret)
		return ret;
	hypr_vmo_info(vmo, &info);
	if (info.mem_bytes != vm->mem_bytes || info.nr_vcpus != vm->nr_vcpus)
		return hypr_fail(-EOPNOTSUPP,
				 "%s: %u vCPUs and %llu MiB, where the VM has %u and %llu", path,
				 info.nr_vcpus, (unsigned long long)info.mem_bytes >> 20,
				 vm->nr_vcpus, (unsigned long long)vm->mem_bytes >> 20);
	ret = hypr_vmo_cpu_read(vmo, path, &cpu, &nr);
	if (ret)
		return ret;
	return hypr_cpu_check(cpu, nr, vm->cpuid->entries, vm->cpuid->nent, path);
}

static int moment_from_file(struct hypr_vm *vm, unsigned int flags, struct hypr_moment *moment)
{
	struct hypr_vmo_info info;
	uint8_t *mem;
	int ret;

	ret = check_fits(vm, moment->vmo, moment->path);
	if (ret)
		return ret;
	ret = hypr_vmo_state_read(vm, moment->vmo, moment->path, flags, moment->state);
	if (ret)
		return ret;
	ret = hypr_moment_map(vm, moment, &mem);
	if (ret)
		return ret;
	moment->mem = mem;
	if (mprotect(mem, vm->mem_bytes, PROT_READ) < 0)
		return hypr_fail_sys(-errno, "%s: mapping it read-only", moment->path);
	hypr_vmo_info(moment->vmo, &info);
	moment->pages_stored = info.pages - info.pages_zero;
	return 0;
}

/**
 * hypr_moment_load() - a moment from a file
 * @vmo: is taken over, also after an error
 * @flags: HYPR_LOAD_*
 * @momentp: out: to be given back with hypr_moment_destroy()
 *
 * Return: 0; -EOPNOTSUPP it does not fit this VM or this host; -EBADMSG it is
 * damaged; as for hypr_vmo_map().
 */
int hypr_moment_load(struct hypr_vm *vm, struct hypr_vmo *vmo, const char *path,
		     unsigned int flags, struct hypr_moment **momentp)
{
	struct hypr_moment *moment = calloc(1, sizeof(*moment));
	int ret;

	if (!moment) {
		hypr_vmo_close(vmo);
		return hypr_fail(-ENOMEM, "no memory for a moment");
	}
	moment->fd = -1;
	moment->vmo = vmo;
	moment->path = strdup(path);
	moment->state = hypr_state_alloc(vm);
	if (!moment->path || !moment->state)
		ret = hypr_fail(-ENOMEM, "no memory for a moment");
	else
		ret = moment_from_file(vm, flags, moment);
	if (ret)
		hypr_moment_destroy(vm, moment);
	else
		*momentp = moment;
	return ret;
}

void hypr_moment_destroy(struct hypr_vm *vm, struct hypr_moment *moment)
{
	if (!moment)
		return;
	if (moment->mem)
		munmap((void *)moment->mem, vm->mem_bytes);
	hypr_state_free(vm, moment->state);
	if (moment->fd >= 0)
		close(moment->fd);
	hypr_vmo_close(moment->vmo);
	free(moment->path);
	free(moment);
}
