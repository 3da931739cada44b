/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ABI as the compiler lays it out, for abi_test.c: included by a C and by a
 * C++ file, each of which fills tables of its own.
 */
#ifndef TESTS_UNIT_ABI_LAYOUT_H
#define TESTS_UNIT_ABI_LAYOUT_H

#include <stddef.h>
#include <linux/kvm_hypr.h>

/* A field of a struct, or the struct as a whole, for which @field is NULL. */
struct abi_place {
	const char *type;
	const char *field;
	size_t offset;
	size_t size;
	size_t want;		/* offset or size, as the ABI's table has it */
};

struct abi_value {
	const char *name;
	unsigned long value;
};

#define ABI_PLACES_MAX	192

static inline void abi_place_add(struct abi_place *places, size_t *nr, const char *type,
				 const char *field, size_t offset, size_t size, size_t want)
{
	struct abi_place *place = &places[*nr];

	/* The caller looks whether there was room. */
	if ((*nr)++ >= ABI_PLACES_MAX)
		return;
	place->type = type;
	place->field = field;
	place->offset = offset;
	place->size = size;
	place->want = want;
}

/* Return: how many places there are. */
static inline size_t abi_places_fill(struct abi_place *places)
{
	size_t nr = 0;

#define HYPR_ABI_AT(type, field, want)						\
	abi_place_add(places, &nr, #type, #field, offsetof(struct type, field),	\
		      sizeof(((struct type *)0)->field), want)
#define HYPR_ABI_SIZE(type, want)						\
	abi_place_add(places, &nr, #type, NULL, 0, sizeof(struct type), want)
#include <linux/kvm_hypr_layout.h>
	return nr;
}

#define ABI_VALUE(name)		{ #name, (unsigned long)(name) }

#define ABI_VALUES							\
	ABI_VALUE(KVM_CAP_HYPR_EPT_SWAP), ABI_VALUE(KVM_GET_EPTP),	\
	ABI_VALUE(KVM_SET_EPTP), ABI_VALUE(KVM_PREPARE_EPT_SWAP),	\
	ABI_VALUE(KVM_COMMIT_EPT_SWAP), ABI_VALUE(KVM_EPT_SWAP_ALL),	\
	ABI_VALUE(KVM_HYPR_DISCARD_VIEW),				\
	ABI_VALUE(KVM_HYPR_SET_CONTROL_PAGE),				\
	ABI_VALUE(KVM_HYPR_GET_STATS),					\
	ABI_VALUE(KVM_HYPR_SET_CACHE), ABI_VALUE(KVM_HYPR_PIN_VIEW),	\
	ABI_VALUE(KVM_HYPR_CACHE_GET), ABI_VALUE(KVM_HYPR_PIN_UNPIN),	\
	ABI_VALUE(KVM_HYPR_PREPARE_RANGE),				\
	ABI_VALUE(KVM_EPT_SWAP_EXPECT), ABI_VALUE(KVM_EPT_SWAP_VCPUS),	\
	ABI_VALUE(KVM_HYPR_MARK_EDITED),				\
	ABI_VALUE(KVM_EPT_SWAP_PAUSE), ABI_VALUE(KVM_EPT_SWAP_RESUME),	\
	ABI_VALUE(KVM_EPT_SWAP_FORCE), ABI_VALUE(KVM_EPT_SWAP_FLUSH),	\
	ABI_VALUE(HYPR_CONTROL_GPA), ABI_VALUE(HYPR_CONTROL_SIZE),	\
	ABI_VALUE(HYPR_CONTROL_MAGIC), ABI_VALUE(HYPR_CONTROL_VECTOR),	\
	ABI_VALUE(HYPR_CONTROL_MAX_VCPUS),				\
	ABI_VALUE(HYPR_VCPU_OFFLINE), ABI_VALUE(HYPR_VCPU_RUNNING),	\
	ABI_VALUE(HYPR_VCPU_PAUSE_REQUESTED), ABI_VALUE(HYPR_VCPU_PAUSED)

#ifdef __cplusplus
extern "C" {
#endif

extern const struct abi_value abi_values_cxx[];
extern const size_t abi_values_cxx_nr;
size_t abi_places_fill_cxx(struct abi_place *places);

#ifdef __cplusplus
}
#endif

#endif
