/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/* What the kernel's side of core/plat.h needs from the module that holds core/. */
#ifndef CORE_LINUX_PLAT_LINUX_H
#define CORE_LINUX_PLAT_LINUX_H

/** plat_linux_init() - before any other call into core/ */
void plat_linux_init(void);

#endif /* CORE_LINUX_PLAT_LINUX_H */
