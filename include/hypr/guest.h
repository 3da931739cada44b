/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a function that runs in a VM of its own is written with.  `pkg-config
 * hypr-guest` has the compiler's and the linker's options; docs/call.md is the
 * guide, examples/call/ an example.
 *
 * A function has no operating system and no C library.  It has what is below: its
 * input, a window for output, a heap, and functions that compilers call on their own.
 * Each call begins with the memory as it was when hypr_init() had returned.
 */
#ifndef HYPR_GUEST_H
#define HYPR_GUEST_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hypr_out;

/**
 * hypr_main() - the function: the program defines it
 * @in, @in_bytes: the input, which cannot be written; @in is never NULL
 * @out: for hypr_out_write() and hypr_out_reserve()
 *
 * Return: any number; the caller gets it together with the output.
 */
int hypr_main(const void *in, size_t in_bytes, struct hypr_out *out);

/** hypr_init() - runs once, before all calls, after constructors.  It may be left out. */
void hypr_init(void);

/** hypr_out_write() - append to the output; too much of it ends the call */
void hypr_out_write(struct hypr_out *out, const void *data, size_t bytes);

/**
 * hypr_out_reserve() - append @bytes that the function writes itself
 * Return: where, never NULL; too much of it ends the call.
 */
void *hypr_out_reserve(struct hypr_out *out, size_t bytes);

/** hypr_out_room() - bytes that may still be appended */
size_t hypr_out_room(const struct hypr_out *out);

/** hypr_abort() - end the call as failed; the caller gets the reason */
#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void hypr_abort(const char *reason);

/*
 * As in the C library.  malloc() takes memory in powers of two and returns NULL when the
 * heap is used up; the end of a call frees all.
 */
void *malloc(size_t bytes);
void *calloc(size_t nr, size_t bytes);
void *realloc(void *old, size_t bytes);
void free(void *old);
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int byte, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
void *memchr(const void *from, int byte, size_t bytes);
size_t strlen(const char *text);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t bytes);
char *strchr(const char *text, int byte);
#ifdef __cplusplus
[[noreturn]]
#else
_Noreturn
#endif
void abort(void);

#ifdef __cplusplus
}
#endif

#endif /* HYPR_GUEST_H */
