/* SPDX-License-Identifier: GPL-2.0-only */
/* A VM on the KVM that is played (fake_kvm.h), and a folder for its files. */
#ifndef TESTS_UNIT_PLAYED_VM_H
#define TESTS_UNIT_PLAYED_VM_H

#include "unit.h"

#include "hypr/hypr.h"
#include "hypr/vmo.h"
#include "fake_kvm.h"
#include "lib/model/vm.h"

struct played {
	char dir[32];
	char file[64];
	char other[64];
	char kernel[64];
	struct hypr_vm *vm;
};

/* Called, when it is not NULL, before each pread() of the library, with its buffer. */
extern void (*played_on_pread)(const uint8_t *buf);

/** played_setup() - a folder, and a VM that runs from a kernel */
int played_setup(void **ctx);

/** played_teardown() - the VM and the folder, which has nothing but these files */
int played_teardown(void **ctx);

/** played_start() - such a VM once more, after played_end(); @flags: FAKE_*; with FAKE_NO_HYPR by engine stock */
void played_start(struct played *p, unsigned int flags);
void played_end(struct played *p);

/** played_resurrect() - end the VM; another one from a file.  Return: of the library. */
int played_resurrect(struct played *p, const char *path, unsigned int flags);

/** played_save() - the active view's moment into a file */
void played_save(struct played *p, const char *path);

#endif /* TESTS_UNIT_PLAYED_VM_H */
