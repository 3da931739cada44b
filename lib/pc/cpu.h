/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the CPU of a guest has, and whether another CPU has all of it. */
#ifndef LIB_PC_CPU_H
#define LIB_PC_CPU_H

#include <linux/kvm.h>
#include <stddef.h>

/**
 * hypr_cpu_check() - can a guest that saw one CPU go on on another?
 * @guest, @nr_guest: CPUID as the guest saw it
 * @host, @nr_host: CPUID that it would be given here
 * @what: whose guest it is, for the message
 *
 * Vendor, every leaf, by the table in cpu.c, and the widths of addresses.
 * Return: 0; -EOPNOTSUPP with what is lacking, by name.
 */
int hypr_cpu_check(const struct kvm_cpuid_entry2 *guest, size_t nr_guest,
		   const struct kvm_cpuid_entry2 *host, size_t nr_host, const char *what);

#endif /* LIB_PC_CPU_H */
