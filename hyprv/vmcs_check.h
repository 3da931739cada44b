/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The checks that a CPU makes at VM entry, once more in C: which field of a VMCS is
 * wrong, and by which rule.  Written from SDM volume 3C, chapter "VM Entries", and not
 * from the code that fills a VMCS.  Compiles in the kernel and in user space.
 */
#ifndef HYPRV_VMCS_CHECK_H
#define HYPRV_VMCS_CHECK_H

#include "vmcs_field.h"
#include "vmx_caps.h"

/**
 * struct vmcs_fault - what is wrong
 * @field: the field, VMCS_NO_FIELD if nothing was found
 * @name: its name
 * @rule: the rule that it breaks, in words
 */
struct vmcs_fault {
	enum vmcs_field field;
	const char *name;
	const char *rule;
};

/**
 * vmcs_check() - look for a field that VM entry refuses
 * @can: the CPU's capabilities
 * @read: returns a field's value
 * @context: handed to @read
 *
 * The checks come in the order of the SDM: controls, host state, guest state.
 *
 * Return: the first fault; .field is VMCS_NO_FIELD if the VMCS is good.
 */
struct vmcs_fault vmcs_check(const struct vmx_capabilities *can,
			     u64 (*read)(void *context, enum vmcs_field field),
			     void *context);

/** vmcs_field_name() - the name of @field; "no field" if it is unknown */
const char *vmcs_field_name(enum vmcs_field field);

#endif /* HYPRV_VMCS_CHECK_H */
