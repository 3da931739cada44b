// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ABI as a C++ compiler lays it out; see abi_test.c.
 */
#include "abi_layout.h"

const struct abi_value abi_values_cxx[] = { ABI_VALUES };
const size_t abi_values_cxx_nr = sizeof(abi_values_cxx) / sizeof(abi_values_cxx[0]);

size_t abi_places_fill_cxx(struct abi_place *places)
{
	return abi_places_fill(places);
}
