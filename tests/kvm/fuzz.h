/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the ioctl fuzzer (fuzz.c) shares with the part that makes its VMs and
 * withholds their memory (fuzz_vm.c),  with the one that keeps states (fuzz_state.c),
 * and with the one that puts memory back (fuzz_reset.c).
 */
#ifndef TESTS_KVM_FUZZ_H
#define TESTS_KVM_FUZZ_H

#include "harness.h"

#define FUZZ_THREADS	3
#define FUZZ_VCPUS	6
#define FUZZ_VIEWS	3	/* boot, A, B */
#define POOL_BYTES	0x400000
/* Of a view's own memory: pages that may come late. */
#define LATE_GPA	0x30000
#define LATE_BYTES	0x10000

#define A		KVM_HYPR_VIEW_FIRST
#define B		(KVM_HYPR_VIEW_FIRST + 1)

/* What the VM is asked for before it has memory and vCPUs. */
enum fuzz_first {
	FIRST_VIEWS,		/* it gets views */
	FIRST_SLOT,		/* a memslot that comes and goes: no views */
	FIRST_SEV,		/* no views, whether the host has SEV or not */
	FIRST_RACE,		/* all of it and more, by several threads at once */
};

/**
 * struct fuzz_kind - what one VM is
 * @nested: its first vCPU may have a nested guest
 * @late: there are pages that come late, by @late_fd of struct fuzz
 * @resets: it has no memory of SMM, with which the kernel does not know what was written
 */
struct fuzz_kind {
	enum irqchip irqchip;
	enum fuzz_first first;
	bool nested;
	bool late;
	bool resets;
};

/* How often what the fuzzer is there for was met, in all lives. */
struct fuzz_met {
	atomic_bool going;	/* this life has all of its threads */
	atomic_uint swaps;
	atomic_uint nested;	/* states of a nested guest loaded */
	atomic_uint late;	/* pages delivered */
	atomic_uint half_done;	/* instructions left to be completed */
	atomic_uint masked;	/* KVM_RUN ended by a signal that is blocked outside */
	atomic_uint raced;	/* races that views have won */
	atomic_uint kept;	/* states of a vCPU */
	atomic_uint moved;	/* swaps that moved them */
	atomic_uint resets;	/* swaps that put memory back */
	atomic_uint asked;	/* requests of guests to be put back, */
	atomic_uint asked_back;	/* and those that the kernel did */
};

struct fuzz_vcpu {
	int fd;
	struct kvm_run *run;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	pthread_mutex_t running;
};

struct fuzz {
	struct vm *vm;
	struct fuzz_kind kind;
	struct fuzz_met *met;	/* shared by all processes */
	bool has_views;
	bool states;		/* HYPR_FUZZ_STATES */
	int late_fd;
	uint8_t *pool;
	uint8_t *moment;
	struct kvm_hypr_requests_page *requests;
	int event;
	struct fuzz_vcpu vcpu[FUZZ_VCPUS];
	atomic_int nr_vcpus;
	pthread_t thread[FUZZ_THREADS];
	/* What its first vCPU had in the nested guest. */
	uint64_t nested_state[STATE_BYTES / 8];
	pthread_mutex_t start;	/* held until all threads are there */
	uint64_t random[FUZZ_THREADS];
	int nr;
	atomic_uint steps;	/* of all threads */
};

/* A state for next_random() of one thread; never 0. */
uint64_t random_new(uint64_t seed, unsigned int n);
uint64_t next_random(uint64_t *state);
/* One time in @n. */
bool rarely(uint64_t *r, unsigned int n);

#define PICK(r, ...) ({							\
	static const uint64_t of_[] = { __VA_ARGS__ };			\
									\
	of_[next_random(r) % (sizeof(of_) / sizeof(of_[0]))];		\
})

uint32_t fuzz_any_view(uint64_t *r);
/* Mostly where @arg is, else somewhere that is no good. */
void *fuzz_any_pointer(struct fuzz *fuzz, uint64_t *r, void *arg);
/* Mostly as it is, else with another bit. */
void fuzz_spoil(uint64_t *r, void *arg, size_t bytes);

struct fuzz_kind fuzz_kind_pick(uint64_t *r);
void fuzz_kind_note(const struct fuzz_kind *kind, unsigned int life,
		    uint64_t seed);

/* A VM of that kind, without memory and vCPUs; sets @vm and @has_views. */
void fuzz_vm_make(struct fuzz *fuzz, uint64_t *r);

/* Fails if HYPR's ioctl gave an errno that no document promises. */
void check_errno(const char *what, int ret);

/* What does not go with views, asked for: no view may follow, and none be there. */
void try_other_kind(struct fuzz *fuzz, uint64_t *r);

/* Keep a state or a board for a view, or read one. */
void fuzz_state(struct fuzz *fuzz, uint64_t *r);
void fuzz_keep_all(struct fuzz *fuzz);

/* What fuzz_reset() needs, after the VM's memory. */
void fuzz_reset_setup(struct fuzz *fuzz);
/* A moment, what was written, and a guest that asks. */
void fuzz_reset(struct fuzz *fuzz, uint64_t *r);
/* At the end, for struct fuzz_met. */
void fuzz_reset_count(struct fuzz *fuzz);

/* A thread that brings each page that somebody waits for, a little later. */
void late_start(struct fuzz *fuzz, uint64_t seed);
/* Take some pages away, so that the next access waits for them. */
void late_withhold(struct fuzz *fuzz, uint64_t *r);

#endif
