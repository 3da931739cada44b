/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * The only door of core/ to its platform: pages and their physical addresses,
 * small memory, locks, the current CPU, NUMA nodes, random bytes, memory for
 * secrets, the log.
 *
 * core/user/plat_user.c is this header in user space, core/linux/plat_linux.c in
 * the kernel.  The rest of core/ calls nothing else outside of itself but the
 * memory functions of <string.h>.
 */
#ifndef CORE_PLAT_H
#define CORE_PLAT_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Host-virtual address less HPA, of every page that plat_page_alloc() returns:
 * the kernel's direct map.  In user space an HPA is the address itself, and the
 * offset is 0.
 */
extern u64 plat_direct_map;

static inline void *plat_hpa_to_virt(hypr_hpa_t hpa)
{
	return (void *)(uintptr_t)(hpa.addr + plat_direct_map);
}

static inline hypr_hpa_t plat_virt_to_hpa(const void *virt)
{
	return hypr_hpa((u64)(uintptr_t)virt - plat_direct_map);
}

/* No node is preferred. */
#define PLAT_NODE_ANY	(-1)

/**
 * plat_page_alloc() - take pages
 * @count: pages of 4 KiB, a power of two, contiguous in HPA; aligned to their size
 * @node: NUMA node to take them from first, or PLAT_NODE_ANY
 *
 * Return: zeroed pages, NULL if there are none.  May sleep in the kernel.
 */
void *plat_page_alloc(u32 count, int node);

/** plat_page_free() - give back what plat_page_alloc(@count) returned; NULL is allowed */
void plat_page_free(void *page, u32 count);

/** plat_alloc() - zeroed memory of @bytes, aligned to 16 bytes; NULL if there is none */
void *plat_alloc(size_t bytes);

/** plat_free() - give back what plat_alloc() returned; NULL is allowed */
void plat_free(void *memory);

/* A lock that does not sleep: a spin lock in the kernel, a mutex in user space. */
struct plat_lock {
	u64 opaque[8];
};

int plat_lock_init(struct plat_lock *lock);
void plat_lock_fini(struct plat_lock *lock);
void plat_lock_take(struct plat_lock *lock);
void plat_lock_drop(struct plat_lock *lock);

/** plat_cpu_count() - CPUs that plat_cpu() can return */
u32 plat_cpu_count(void);

/** plat_cpu() - the CPU that the caller runs on, in [0, plat_cpu_count()); a hint */
u32 plat_cpu(void);

/** plat_node_count() - NUMA nodes of this machine, at least 1 */
u32 plat_node_count(void);

/** plat_node_of_cpu() - the node of @cpu, in [0, plat_node_count()) */
u32 plat_node_of_cpu(u32 cpu);

/** plat_node_distance() - from node @from to node @to; 10 is local, as in ACPI's SLIT */
u32 plat_node_distance(u32 from, u32 to);

/** plat_random() - fill @bytes with random bytes fit for keys; 0, or -EIO */
int plat_random(void *buffer, size_t bytes);

/* Bytes of a digest, and of its key. */
#define PLAT_DIGEST_BYTES	32

/**
 * plat_digest() - a digest that nobody can compute without the key
 * @key: PLAT_DIGEST_BYTES
 * @data: what is digested
 * @bytes: of @data
 * @out: PLAT_DIGEST_BYTES, filled
 *
 * Return: 0, or -EIO.
 */
int plat_digest(const u8 *key, const void *data, size_t bytes, u8 *out);

enum plat_secret_access {
	PLAT_SECRET_NONE,
	PLAT_SECRET_READ,
	PLAT_SECRET_WRITE,
};

/**
 * plat_secret_alloc() - memory for secrets
 *
 * In user space: between guard pages, locked into RAM, not in a core dump.
 *
 * Return: memory of @bytes, readable and writable, not zeroed; NULL if there is none.
 */
void *plat_secret_alloc(size_t bytes);

/** plat_secret_free() - wipe and give back; NULL is allowed */
void plat_secret_free(void *secret);

/** plat_secret_protect() - allow only @access to @secret; 0, or -EIO, or -EOPNOTSUPP */
int plat_secret_protect(void *secret, enum plat_secret_access access);

/** plat_log() - one line for a person; core/ logs nothing that a guest can repeat */
void plat_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

#ifdef __cplusplus
}
#endif

#endif /* CORE_PLAT_H */
