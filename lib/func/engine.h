/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which device runs function VMs, and what it must be able to do. */
#ifndef LIB_FUNC_ENGINE_H
#define LIB_FUNC_ENGINE_H

/**
 * struct hypr_func_engine - a device that speaks KVM's API
 * @capability: that its VMs must have, or 0
 * @remedy: what to do when the device cannot be opened, in brackets after a space; or ""
 */
struct hypr_func_engine {
	const char *name;
	const char *device;
	unsigned long capability;
	const char *remedy;
};

/** hypr_func_engine_find() - by name, NULL for the default.  NULL when there is none. */
const struct hypr_func_engine *hypr_func_engine_find(const char *name);

#endif /* LIB_FUNC_ENGINE_H */
