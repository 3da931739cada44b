// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * malloc(): pieces of a power of two, a list of free ones for each size, and new ones
 * from the end of what was used.  Pieces are not joined: a call is short, and its end
 * frees all.
 */
#include "runtime.h"

#define SMALLEST	5	/* 32 bytes, the head included */
#define SIZES		48

/* Before each piece; as large as malloc()'s alignment. */
struct head {
	struct head *next;	/* while it is free */
	size_t size;		/* index: the piece has 1 << size bytes */
};

_Static_assert(sizeof(struct head) == 16, "alignment of malloc()");

static struct head *free_list[SIZES];
static unsigned char *top;
static size_t left;

void hypr_guest_heap(void *start, size_t bytes)
{
	top = start;
	left = bytes;
}

void *malloc(size_t bytes)
{
	struct head *head;
	size_t size;

	if (bytes > ((size_t)1 << (SIZES - 1)) - sizeof(*head))
		return NULL;
	bytes += sizeof(*head);
	for (size = SMALLEST; (size_t)1 << size < bytes; size++)
		;
	head = free_list[size];
	if (head) {
		free_list[size] = head->next;
		return head + 1;
	}
	if ((size_t)1 << size > left)
		return NULL;
	head = (struct head *)top;
	top += (size_t)1 << size;
	left -= (size_t)1 << size;
	head->size = size;
	return head + 1;
}

static struct head *head_of(void *piece, const void *back)
{
	struct head *head = (struct head *)piece - 1;

	if (head->size < SMALLEST || head->size >= SIZES)
		hypr_guest_abort("free() or realloc() of what malloc() did not return", back);
	return head;
}

void free(void *old)
{
	struct head *head;

	if (!old)
		return;
	head = head_of(old, CALLER);
	head->next = free_list[head->size];
	free_list[head->size] = head;
}

void *calloc(size_t nr, size_t bytes)
{
	void *piece;

	if (__builtin_mul_overflow(nr, bytes, &bytes))
		return NULL;
	piece = malloc(bytes);
	return piece ? memset(piece, 0, bytes) : NULL;
}

void *realloc(void *old, size_t bytes)
{
	size_t room;
	void *piece;

	if (!old)
		return malloc(bytes);
	room = ((size_t)1 << head_of(old, CALLER)->size) - sizeof(struct head);
	if (bytes <= room)
		return old;
	piece = malloc(bytes);
	if (!piece)
		return NULL;
	memcpy(piece, old, room);
	free(old);
	return piece;
}
