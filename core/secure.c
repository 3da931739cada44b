// SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later
/* Memory for secrets: see secure.h. */
#include "secure.h"

int init_security_context(struct security_context *context)
{
	int ret;

	memset(context, 0, sizeof(*context));
	context->key = (u8 *)plat_secret_alloc(PLAT_DIGEST_BYTES);
	if (!context->key)
		return -ENOMEM;
	ret = plat_random(context->key, PLAT_DIGEST_BYTES);
	if (!ret)
		ret = plat_lock_init(&context->lock);
	if (ret) {
		plat_secret_free(context->key);
		context->key = NULL;
	}
	return ret;
}

/* The block is in no list. */
static void destroy(struct secure_block *block)
{
	plat_secret_protect(block->memory, PLAT_SECRET_WRITE);
	/* Without random bytes plat_secret_free() still wipes. */
	(void)plat_random(block->memory, block->bytes);
	plat_secret_free(block->memory);
	plat_free(block);
}

void fini_security_context(struct security_context *context)
{
	if (!context || !context->key)
		return;
	while (context->blocks) {
		struct secure_block *block = context->blocks;

		context->blocks = block->next;
		destroy(block);
	}
	plat_lock_fini(&context->lock);
	plat_secret_free(context->key);
	memset(context, 0, sizeof(*context));
}

void *secure_alloc(struct security_context *context, size_t bytes)
{
	struct secure_block *block;

	if (!bytes)
		return NULL;
	block = (struct secure_block *)plat_alloc(sizeof(*block));
	if (!block)
		return NULL;
	block->bytes = bytes;
	block->access = PLAT_SECRET_WRITE;
	block->memory = plat_secret_alloc(bytes);
	if (!block->memory)
		goto free_block;
	if (plat_random(block->memory, bytes))
		goto free_memory;

	plat_lock_take(&context->lock);
	block->next = context->blocks;
	context->blocks = block;
	context->count++;
	plat_lock_drop(&context->lock);
	return block->memory;

free_memory:
	plat_secret_free(block->memory);
free_block:
	plat_free(block);
	return NULL;
}

/* The link to the block of @memory, or to the end; the lock is held. */
static struct secure_block **find(struct security_context *context, const void *memory)
{
	struct secure_block **link = &context->blocks;

	while (*link && (*link)->memory != memory)
		link = &(*link)->next;
	return link;
}

int secure_free(struct security_context *context, void *memory)
{
	struct secure_block **link, *block;

	if (!memory)
		return 0;
	plat_lock_take(&context->lock);
	link = find(context, memory);
	block = *link;
	if (block) {
		*link = block->next;
		context->count--;
	}
	plat_lock_drop(&context->lock);
	if (!block)
		return -EINVAL;
	destroy(block);
	return 0;
}

/* A copy of what is known of @memory. */
static int look_up(struct security_context *context, const void *memory,
		   struct secure_block *copy)
{
	struct secure_block *block;

	plat_lock_take(&context->lock);
	block = *find(context, memory);
	if (block)
		*copy = *block;
	plat_lock_drop(&context->lock);
	return block ? 0 : -EINVAL;
}

int secure_protect(struct security_context *context, void *memory,
		   enum plat_secret_access access)
{
	struct secure_block copy, *block;
	int ret = look_up(context, memory, &copy);

	if (!ret)
		ret = plat_secret_protect(memory, access);
	if (ret)
		return ret;
	plat_lock_take(&context->lock);
	block = *find(context, memory);
	if (block)
		block->access = access;
	plat_lock_drop(&context->lock);
	return 0;
}

static int digest(struct security_context *context, void *memory, struct secure_block *copy,
		  u8 *out)
{
	int ret = look_up(context, memory, copy);

	if (ret)
		return ret;
	if (copy->access == PLAT_SECRET_NONE)
		return -EACCES;
	return plat_digest(context->key, memory, copy->bytes, out);
}

int secure_seal(struct security_context *context, void *memory)
{
	struct secure_block copy, *block;
	u8 now[PLAT_DIGEST_BYTES];
	int ret = digest(context, memory, &copy, now);

	if (ret)
		return ret;
	plat_lock_take(&context->lock);
	block = *find(context, memory);
	if (block) {
		memcpy(block->digest, now, sizeof(now));
		block->sealed = true;
	}
	plat_lock_drop(&context->lock);
	return 0;
}

int secure_check(struct security_context *context, void *memory)
{
	struct secure_block copy;
	u8 now[PLAT_DIGEST_BYTES], differs = 0;
	int ret = digest(context, memory, &copy, now);

	if (ret)
		return ret;
	if (!copy.sealed)
		return -ENODATA;
	/* All bytes, so that the time does not depend on which one differs. */
	for (u32 n = 0; n < PLAT_DIGEST_BYTES; n++)
		differs |= now[n] ^ copy.digest[n];
	return differs ? -EBADMSG : 0;
}
