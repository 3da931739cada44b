// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A moment: memory as it was, and the vCPU and device state of that instant.  One
 * that was taken here (snapshot.c, copy.c) is in a sealed memfd that nobody can
 * write any more, with holes where pages were zero; one from a file is mapped
 * from there.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/page.h"
#include "memory/mem.h"
#include "memory/perm.h"
#include "model/view.h"
#include "model/vm.h"
#include "pc/cpu.h"
#include "run/state.h"
#include "run/vmo_state.h"
#include "view/hole.h"
#include "view/moment.h"
#include "vmo/vmo.h"

/** hypr_moment_alloc() - one without memory; NULL with hypr_error() set */
struct hypr_moment *hypr_moment_alloc(struct hypr_vm *vm)
{
	struct hypr_moment *moment = calloc(1, sizeof(*moment));

	if (!moment) {
		hypr_fail(-ENOMEM, "no memory for a moment");
		return NULL;
	}
	moment->fd = -1;
	moment->state = hypr_state_alloc(vm);
	if (moment->state)
		return moment;
	free(moment);
	return NULL;
}

/**
 * hypr_moment_read() - memory of a moment, to be read
 * @buf: @pages pages; not used unless the moment is in a file
 * @memp: out: the memory itself, or @buf
 *
 * Return: 0; -EBADMSG, -EIO a page is gone, with hypr_error() naming file and GPA.
 */
int hypr_moment_read(const struct hypr_moment *moment, hypr_gpa_t gpa, uint64_t pages,
		     uint8_t *buf, const uint8_t **memp)
{
	uint64_t at = gpa.addr, i;

	*memp = hypr_guest_at(&moment->mem, gpa, pages * HYPR_PAGE_BYTES);
	if (!*memp)
		return hypr_guest_fail(&moment->mem, gpa, pages * HYPR_PAGE_BYTES, "a moment");
	if (!moment->vmo)
		return 0;
	*memp = buf;
	if (!hypr_vmo_read(moment->vmo, at, buf, pages * HYPR_PAGE_BYTES))
		return 0;
	/* Which page is it? */
	for (i = 0; i < pages; i++, at += HYPR_PAGE_BYTES) {
		if (hypr_vmo_read(moment->vmo, at, buf + i * HYPR_PAGE_BYTES, HYPR_PAGE_BYTES))
			return hypr_vmo_gone(moment->vmo, at);
	}
	return 0;
}

static int map_memfd(const struct hypr_moment *moment, uint64_t bytes, struct hypr_guest *mapped)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
			 moment->fd, 0);
	int ret = mem == MAP_FAILED ? -errno : 0;

	if (!ret) {
		ret = hypr_hole_map(moment->zeros, mem, bytes, PROT_READ | PROT_WRITE);
		if (ret)
			munmap(mem, bytes);
	}
	if (ret)
		return hypr_fail_sys(ret, "mapping a moment of %llu MiB",
				     (unsigned long long)bytes >> 20);
	*mapped = (struct hypr_guest){ mem, bytes };
	return 0;
}

/**
 * hypr_moment_map() - map its memory once more, copy-on-write
 * @mapped: out: vm->mem_bytes, which the caller gives back with munmap()
 */
int hypr_moment_map(struct hypr_vm *vm, const struct hypr_moment *moment,
		    struct hypr_guest *mapped)
{
	void *mem;
	int ret;

	if (!moment->vmo)
		return map_memfd(moment, vm->mem_bytes, mapped);
	mem = mmap(NULL, vm->mem_bytes, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE | MAP_ANONYMOUS,
		   -1, 0);
	if (mem == MAP_FAILED)
		return hypr_fail_sys(-errno, "%s: address space", moment->path);
	ret = hypr_vmo_map(moment->vmo, mem);
	if (ret) {
		munmap(mem, vm->mem_bytes);
		return ret;
	}
	*mapped = (struct hypr_guest){ mem, vm->mem_bytes };
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
	int ret;

	ret = check_fits(vm, moment->vmo, moment->path);
	if (ret)
		return ret;
	ret = hypr_vmo_state_read(vm, moment->vmo, moment->path, flags, moment->state);
	if (ret)
		return ret;
	ret = hypr_perm_from_file(moment, vm->mem_bytes);
	if (!ret)
		ret = hypr_mem_slots_check(vm, moment);
	if (!ret)
		ret = hypr_moment_map(vm, moment, &moment->mem);
	if (ret)
		return ret;
	if (mprotect(moment->mem.host, moment->mem.bytes, PROT_READ) < 0)
		return hypr_fail_sys(-errno, "%s: mapping it read-only", moment->path);
	hypr_vmo_info(moment->vmo, &info);
	moment->pages_stored = info.pages - info.pages_zero;
	return 0;
}

/**
 * hypr_moment_from_vmo() - a moment from a file
 * @vmo: is taken over, also after an error
 * @flags: HYPR_LOAD_*
 * @momentp: out: to be given back with hypr_moment_destroy()
 *
 * Return: 0; -EOPNOTSUPP it does not fit this VM or this host; -EBADMSG it is
 * damaged; as for hypr_vmo_map().
 */
int hypr_moment_from_vmo(struct hypr_vm *vm, struct hypr_vmo *vmo, const char *path,
		     unsigned int flags, struct hypr_moment **momentp)
{
	struct hypr_moment *moment = hypr_moment_alloc(vm);
	int ret;

	if (!moment) {
		hypr_vmo_close(vmo);
		return -ENOMEM;
	}
	moment->vmo = vmo;
	moment->path = strdup(path);
	if (!moment->path)
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
	if (moment->mem.host)
		munmap(moment->mem.host, moment->mem.bytes);
	hypr_state_free(vm, moment->state);
	if (moment->fd >= 0)
		close(moment->fd);
	hypr_vmo_close(moment->vmo);
	free(moment->zeros);
	free(moment->perm);
	free(moment->path);
	free(moment);
}
