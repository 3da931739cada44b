/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads of this library, which leave signals to the program's own. */
#ifndef LIB_BASE_THREAD_H
#define LIB_BASE_THREAD_H

#include <pthread.h>

int hypr_thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif /* LIB_BASE_THREAD_H */
