// SPDX-License-Identifier: GPL-2.0-only
/* <hypr/abi/vmo.h> as a C++ compiler lays it out: this file compiles, or not. */
#include <hypr/abi/vmo.h>

#define VMO_SIZE(type, bytes)	static_assert(sizeof(type) == (bytes), #type);
#define VMO_VALUE(name, value)	static_assert((name) == (value), #name);
#define VMO_AT(type, field, at, bytes)						\
	static_assert(offsetof(type, field) == (at), #type "." #field);		\
	static_assert(sizeof(type::field) == (bytes), #type "." #field);

#include "vmo_layout.h"
