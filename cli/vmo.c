// SPDX-License-Identifier: GPL-2.0-only
/* What the commands of hypr vmo share. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "hypr/vmo.h"

int cli_vmo_code(int err)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
	case -EISDIR:
	case -ENXIO:
	case -ENOEXEC:
	case -EOPNOTSUPP:
	case -EBADMSG:
	case -ESTALE:
	case -ELOOP:
	case -ENOKEY:
	case -EKEYREJECTED:
		return EXIT_FILE;
	default:
		return cli_code(err);
	}
}

int cli_vmo_fail(const struct cli_args *args, const char *verb, int err)
{
	/* No guest is there that could park. */
	return cli_fail(args, err == -EAGAIN ? EXIT_FAILED : cli_vmo_code(err), verb, "%s",
			hypr_error());
}

int cli_vmo_open(const struct cli_args *args, const char *verb, const char *path,
		 struct hypr_vmo **vmop)
{
	int ret = hypr_vmo_open(path, vmop);

	return ret ? cli_fail(args, cli_vmo_trouble(cli_vmo_code(ret)), verb, "%s",
			      hypr_error()) : EXIT_OK;
}

int cli_paging(const struct cli_args *args, const char *verb, const char *cr3, const char *vcpu,
	       struct hypr_paging *paging)
{
	*paging = (struct hypr_paging){ .size = sizeof(*paging) };
	if (vcpu && cli_parse_uint(vcpu, HYPR_VMO_VCPUS_MAX - 1, &paging->vcpu))
		return cli_fail(args, EXIT_USAGE, verb, "'%.40s' is no number of a vCPU", vcpu);
	if (!cr3)
		return EXIT_OK;
	paging->flags = HYPR_PAGING_CR3;
	if (cli_parse_address(cr3, &paging->cr3))
		return cli_fail(args, EXIT_USAGE, verb, "'%.40s' is no CR3 (0x and hexadecimal digits)",
				cr3);
	return EXIT_OK;
}

bool cli_is_file(const char *name)
{
	size_t len = strlen(name);

	return strchr(name, '/') || (len > 4 && !strcmp(name + len - 4, ".vmo")) ||
	       !access(name, F_OK);
}

int cli_vmo_trouble(int code)
{
	return code == EXIT_FAILED ? EXIT_FILE : code;
}

const char *cli_hex(char *text, const uint8_t *bytes)
{
	int i;

	for (i = 0; i < 32; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	return text;
}

const char *cli_size(char *text, uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
	double size = (double)bytes;
	int unit = 0;

	while (size >= 1024 && unit < 4) {
		size /= 1024;
		unit++;
	}
	snprintf(text, CLI_SIZE_MAX, "%.*f %s", size >= 10 || !unit ? 0 : 1, size, units[unit]);
	return text;
}
