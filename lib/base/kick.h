/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The signal that brings a thread of the library back from a system call. */
#ifndef LIB_BASE_KICK_H
#define LIB_BASE_KICK_H

#include <signal.h>

#define HYPR_KICK_SIGNAL	SIGRTMIN

/** hypr_kick_install() - a handler that does nothing: the call returns EINTR */
void hypr_kick_install(void);

#endif /* LIB_BASE_KICK_H */
