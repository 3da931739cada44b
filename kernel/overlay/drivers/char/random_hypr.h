/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HYPR: the memory of this machine was exchanged or put back, and other machines may go
 * on from the same memory.  Part of random.c, whose pool and key these are.
 */
#include <asm/vmm_control.h>

/**
 * random_memory_copied() - from here on nobody gets bytes that another copy gets, too
 * @id: 128 bits that no other copy of this memory is given
 *
 * Takes effect for the first byte that is asked for after the return, from the kernel, by
 * system call or in the vDSO.  It is no reseeding: add_vmfork_randomness() follows.
 *
 * Context: any.
 * Return: true if somebody registered for news of it: add_vmfork_randomness() must not be
 * put off.
 */
bool random_memory_copied(const u64 id[2])
{
	u64 *key = (u64 *)base_crng.key;
	unsigned long flags, next_gen;

	/* What reseeds of all kinds begin with. */
	add_device_randomness(id, 2 * sizeof(*id));

	/*
	 * All keys in use come from this one.  The new generation has each CPU, each batch
	 * of integers and each vDSO state take another.
	 */
	spin_lock_irqsave(&base_crng.lock, flags);
	key[0] ^= id[0];
	key[1] ^= id[1];
	next_gen = base_crng.generation + 1;
	if (next_gen == ULONG_MAX)
		++next_gen;
	WRITE_ONCE(base_crng.generation, next_gen);
#ifdef CONFIG_VDSO_GETRANDOM
	/* As in crng_reseed(), where the cast and the one are explained. */
	smp_store_release((unsigned long *)&__arch_get_k_vdso_rng_data()->generation,
			  next_gen + 1);
#endif
	spin_unlock_irqrestore(&base_crng.lock, flags);

	return rcu_access_pointer(vmfork_chain.head);
}
