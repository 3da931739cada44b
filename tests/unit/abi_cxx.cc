// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ABI as a C++ compiler lays it out; see abi_test.c.
 */
#include "abi_layout.h"

const struct abi_entry abi_in_cxx[] = { ABI_ENTRIES };
const size_t abi_in_cxx_nr = sizeof(abi_in_cxx) / sizeof(abi_in_cxx[0]);
