// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* core/plat.h in the kernel. */
#include <crypto/blake2s.h>
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/printk.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/topology.h>
#include <linux/vmalloc.h>

#include "plat.h"
#include "plat_linux.h"

/* Where the direct map begins is known only at run time, since KASLR moves it. */
u64 plat_direct_map;

void plat_linux_init(void)
{
	plat_direct_map = PAGE_OFFSET;
}

/* ---- pages and small memory --------------------------------------------- */

void *plat_page_alloc(u32 count, int node)
{
	struct page *page;

	if (node < 0 || node >= nr_node_ids || !node_online(node))
		node = NUMA_NO_NODE;
	page = alloc_pages_node(node, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN,
				ilog2(count));
	return page ? page_address(page) : NULL;
}

void plat_page_free(void *page, u32 count)
{
	free_pages((unsigned long)page, ilog2(count));
}

void *plat_alloc(size_t bytes)
{
	return kvzalloc(bytes, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

void plat_free(void *memory)
{
	kvfree(memory);
}

/* ---- locks -------------------------------------------------------------- */

/* A debug kernel's spin lock does not fit into struct plat_lock: it holds a pointer. */
static spinlock_t *lock_of(struct plat_lock *lock)
{
	return (spinlock_t *)(uintptr_t)lock->opaque[0];
}

int plat_lock_init(struct plat_lock *lock)
{
	spinlock_t *spin = kmalloc(sizeof(*spin), GFP_KERNEL);

	if (!spin)
		return -ENOMEM;
	spin_lock_init(spin);
	lock->opaque[0] = (uintptr_t)spin;
	return 0;
}

void plat_lock_fini(struct plat_lock *lock)
{
	kfree(lock_of(lock));
	lock->opaque[0] = 0;
}

void plat_lock_take(struct plat_lock *lock)
{
	spin_lock(lock_of(lock));
}

void plat_lock_drop(struct plat_lock *lock)
{
	spin_unlock(lock_of(lock));
}

/* ---- CPUs and nodes ----------------------------------------------------- */

u32 plat_cpu_count(void)
{
	return nr_cpu_ids;
}

u32 plat_cpu(void)
{
	return raw_smp_processor_id();
}

u32 plat_node_count(void)
{
	return nr_node_ids;
}

u32 plat_node_of_cpu(u32 cpu)
{
	int node = cpu < nr_cpu_ids ? cpu_to_node(cpu) : NUMA_NO_NODE;

	return node == NUMA_NO_NODE ? 0 : node;
}

u32 plat_node_distance(u32 from, u32 to)
{
	return node_distance(from, to);
}

/* ---- random bytes and secrets ------------------------------------------- */

int plat_random(void *buffer, size_t bytes)
{
	if (wait_for_random_bytes())
		return -EIO;
	get_random_bytes(buffer, bytes);
	return 0;
}

int plat_digest(const u8 *key, const void *data, size_t bytes, u8 *out)
{
	BUILD_BUG_ON(PLAT_DIGEST_BYTES != BLAKE2S_HASH_SIZE);
	BUILD_BUG_ON(PLAT_DIGEST_BYTES != BLAKE2S_KEY_SIZE);
	blake2s(out, data, key, BLAKE2S_HASH_SIZE, bytes, BLAKE2S_KEY_SIZE);
	return 0;
}

struct secret {
	size_t bytes;
	u8 data[] __aligned(16);
};

static struct secret *secret_of(void *secret)
{
	return container_of(secret, struct secret, data[0]);
}

/* vmalloc() leaves an unmapped page behind each area, and is never swapped. */
void *plat_secret_alloc(size_t bytes)
{
	size_t room;
	struct secret *secret;

	if (check_add_overflow(bytes, sizeof(*secret), &room))
		return NULL;
	secret = vmalloc(room);
	if (!secret)
		return NULL;
	secret->bytes = bytes;
	return secret->data;
}

void plat_secret_free(void *memory)
{
	struct secret *secret;

	if (!memory)
		return;
	secret = secret_of(memory);
	memzero_explicit(secret->data, secret->bytes);
	vfree(secret);
}

/* The kernel exports no way to take access from a module's own pages. */
int plat_secret_protect(void *secret, enum plat_secret_access access)
{
	return access == PLAT_SECRET_WRITE ? 0 : -EOPNOTSUPP;
}

/* ---- the log ------------------------------------------------------------ */

void plat_log(const char *format, ...)
{
	struct va_format line = { .fmt = format };
	va_list args;

	va_start(args, format);
	line.va = &args;
	pr_info("hyprv: %pV\n", &line);
	va_end(args);
}
