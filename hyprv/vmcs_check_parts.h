/* SPDX-License-Identifier: GPL-2.0-only */
/* What the two files of the VM-entry checker share. */
#ifndef HYPRV_VMCS_CHECK_PARTS_H
#define HYPRV_VMCS_CHECK_PARTS_H

#include "vmcs_check.h"

/**
 * struct check - a check under way
 * @can, @read, @context: vmcs_check()'s
 * @entry: VM-entry controls
 * @cpu2: secondary controls, 0 if they are not in use
 * @fault: the first fault
 */
struct check {
	const struct vmx_capabilities *can;
	u64 (*read)(void *context, enum vmcs_field field);
	void *context;
	u32 entry;
	u32 cpu2;
	struct vmcs_fault fault;
};

static inline u64 get(struct check *c, enum vmcs_field field)
{
	return c->read(c->context, field);
}

/* Note it if @wrong, and if it is the first. */
static inline void refuse(struct check *c, enum vmcs_field field, bool wrong, const char *rule)
{
	if (wrong && c->fault.field == VMCS_NO_FIELD)
		c->fault = (struct vmcs_fault) { field, vmcs_field_name(field), rule };
}

bool check_canonical(struct check *c, u64 address);
bool check_pat(u64 pat);
void vmcs_check_guest(struct check *c);

#endif /* HYPRV_VMCS_CHECK_PARTS_H */
