// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What compilers call on their own, and a little more.  The string instructions keep
 * the compiler from making a call of memcpy() out of memcpy().
 */
#include "runtime.h"

void *memcpy(void *to, const void *from, size_t bytes)
{
	void *at = to;

	asm volatile("rep movsb" : "+D" (at), "+S" (from), "+c" (bytes) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	unsigned char *at = (unsigned char *)to + bytes - 1;
	const unsigned char *last = (const unsigned char *)from + bytes - 1;

	if ((uintptr_t)to - (uintptr_t)from >= bytes)
		return memcpy(to, from, bytes);
	asm volatile("std; rep movsb; cld" : "+D" (at), "+S" (last), "+c" (bytes) : : "memory");
	return to;
}

void *memset(void *to, int byte, size_t bytes)
{
	void *at = to;

	asm volatile("rep stosb" : "+D" (at), "+c" (bytes) : "a" (byte) : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const unsigned char *x = a, *y = b;
	size_t i;

	for (i = 0; i < bytes; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
	}
	return 0;
}

void *memchr(const void *from, int byte, size_t bytes)
{
	const unsigned char *x = from;
	size_t i;

	for (i = 0; i < bytes; i++) {
		if (x[i] == (unsigned char)byte)
			return (void *)(x + i);
	}
	return NULL;
}

size_t strlen(const char *text)
{
	const char *end = text;

	while (*end) {
		/* Else this loop is a call of strlen(). */
		asm volatile("");
		end++;
	}
	return (size_t)(end - text);
}

int strncmp(const char *a, const char *b, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes; i++) {
		if (a[i] != b[i] || !a[i])
			return (unsigned char)a[i] - (unsigned char)b[i];
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, (size_t)-1);
}

char *strchr(const char *text, int byte)
{
	for (;; text++) {
		if (*text == (char)byte)
			return (char *)text;
		if (!*text)
			return NULL;
	}
}
