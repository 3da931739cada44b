/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Memory for secrets: what an allocation held before is not readable after it, what
 * runs over its end hits a guard page, and a change that nobody announced is noticed.
 *
 * Memory is filled with random bytes when it is taken and when it is given back.  The
 * platform keeps it out of core dumps and out of swap as far as it can (plat.h).  A
 * block can be sealed: secure_check() then compares it with a digest under a key that
 * only the context knows.
 */
#ifndef CORE_SECURE_H
#define CORE_SECURE_H

#include "plat.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct secure_block - one allocation
 * @next: of the same context
 * @memory: the secret
 * @bytes: its size
 * @access: what secure_protect() allowed last
 * @sealed: @digest is valid
 * @digest: of the bytes when they were sealed
 */
struct secure_block {
	struct secure_block *next;
	void *memory;
	size_t bytes;
	enum plat_secret_access access;
	bool sealed;
	u8 digest[PLAT_DIGEST_BYTES];
};

/**
 * struct security_context - allocations that end together, and the key of their seals
 * @lock: guards the list and what its blocks say; nothing slow happens under it
 * @key: PLAT_DIGEST_BYTES of secret memory
 * @blocks: all allocations
 * @count: their number
 */
struct security_context {
	struct plat_lock lock;
	u8 *key;
	struct secure_block *blocks;
	u32 count;
};

/**
 * init_security_context() - an empty context with a new key
 * @context: the caller's; undone by fini_security_context()
 *
 * Return: 0; -ENOMEM; -EIO without random bytes; what plat_lock_init() returns.
 */
int init_security_context(struct security_context *context);

/**
 * fini_security_context() - wipe and give back all that is left, and the key
 * @context: no thread uses it; NULL, or one whose init failed, is allowed
 */
void fini_security_context(struct security_context *context);

/**
 * secure_alloc() - take memory for a secret
 * @context: the context
 * @bytes: at least 1
 *
 * The random bytes are drawn before the context's lock is taken.
 *
 * Return: memory of @bytes, readable and writable, filled with random bytes; NULL if
 * there is none, @bytes is 0, or no random bytes can be had.
 */
void *secure_alloc(struct security_context *context, size_t bytes);

/**
 * secure_free() - overwrite with random bytes, wipe, and give back
 * @context: the context
 * @memory: what secure_alloc() returned, with whatever access; NULL is allowed
 *
 * Return: 0; -EINVAL if @memory is not of @context, also after it was given back.
 */
int secure_free(struct security_context *context, void *memory);

/**
 * secure_protect() - allow no more than @access from now on
 * @context: the context
 * @memory: what secure_alloc() returned
 * @access: any other use than this ends the program, or the kernel's thread
 *
 * Return: 0; -EINVAL if @memory is not of @context; what plat_secret_protect() returns.
 */
int secure_protect(struct security_context *context, void *memory,
		   enum plat_secret_access access);

/**
 * secure_seal() - note what the bytes are now
 * @context: the context
 * @memory: what secure_alloc() returned; nobody writes to it concurrently
 *
 * Return: 0; -EINVAL if @memory is not of @context; -EACCES if it cannot be read; what
 * plat_digest() returns.
 */
int secure_seal(struct security_context *context, void *memory);

/**
 * secure_check() - are the bytes those that were sealed?
 * @context: the context
 * @memory: what secure_alloc() returned; nobody writes to it concurrently
 *
 * Return: 0; -EBADMSG if they differ; -ENODATA if nothing was sealed; else as
 * secure_seal().
 */
int secure_check(struct security_context *context, void *memory);

#ifdef __cplusplus
}
#endif

#endif /* CORE_SECURE_H */
