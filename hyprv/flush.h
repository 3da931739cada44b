/* SPDX-License-Identifier: GPL-2.0-only */
/* Why a CPU executes INVVPID or INVEPT; debugfs.c has the names. */
#ifndef HYPRV_FLUSH_H
#define HYPRV_FLUSH_H

enum flush_reason {
	FLUSH_TAKEN, FLUSH_GUEST, FLUSH_OPEN, FLUSH_STATE, FLUSH_MOVED, FLUSH_VIEW, FLUSH_VPID,
	FLUSH_REASONS,
};

#endif /* HYPRV_FLUSH_H */
