// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Function VMs.  Read this file first: a function's life is hypr_func_open(), and a call
 * is hypr_func_call().  The monitor (monitor.S) is the other half of both.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "hypr/abi/func.h"
#include "hypr/func.h"
#include "hypr/hypr.h"
#include "base/error.h"
#include "base/page.h"
#include "base/time.h"
#include "func/elf.h"
#include "func/image.h"
#include "func/outcome.h"
#include "func/pool.h"

struct hypr_func {
	struct hypr_func_host host;
	struct hypr_func_layout layout;
	struct hypr_func_pool pool;
	bool has_pool;
	uint8_t *file;
	size_t file_bytes;
	uint32_t timeout_ms;
};

/* ---- a run of the machine ------------------------------------------------ */

static struct hypr_func_info *info_of(struct hypr_func *func, uint8_t *mem)
{
	return (struct hypr_func_info *)(mem + func->layout.info);
}

/*
 * Return: 0 or what the function did wrong, with @report; -ETIMEDOUT and -EIO: there is no
 * report, and the machine is lost.
 */
static int run(struct hypr_func *func, struct hypr_func_machine *machine, uint32_t timeout_ms,
	       struct hypr_func_report *report, struct hypr_call_result *result)
{
	const struct hypr_func_outcome of = {
		.layout = &func->layout,
		.file = func->file,
		.file_bytes = func->file_bytes,
		.mem = machine->mem,
	};
	int ret;

	hypr_func_pool_start(&func->pool, machine, timeout_ms);
	ret = hypr_func_machine_run(machine, &machine->expired);
	hypr_func_pool_done(&func->pool, machine);
	if (ret == -EINTR)
		return hypr_func_outcome_late(&of, hypr_func_machine_rip(machine), timeout_ms,
					      result);
	if (ret) {
		result->cause = HYPR_CALL_MACHINE;
		return ret;
	}
	hypr_func_machine_report(machine, report);
	return hypr_func_outcome(&of, report, result);
}

static bool is_lost(const struct hypr_call_result *result)
{
	return result->cause == HYPR_CALL_TIMEOUT || result->cause == HYPR_CALL_MACHINE;
}

/* ---- calls --------------------------------------------------------------- */

static int check_params(const struct hypr_func *func, const struct hypr_call_params *params)
{
	if (params->size != sizeof(*params) || params->flags || params->reserved)
		return hypr_fail(-EINVAL, "a call with unknown flags or of another version");
	if ((params->in_bytes && !params->in) || (params->out_room && !params->out))
		return hypr_fail(-EINVAL, "a call without a buffer for input or output");
	if (params->timeout_ms > HYPR_FUNC_TIMEOUT_MAX_MS)
		return hypr_fail(-EINVAL, "a time limit of %u ms; %u are possible",
				 params->timeout_ms, HYPR_FUNC_TIMEOUT_MAX_MS);
	if (params->in_bytes > func->layout.in.bytes)
		return hypr_fail(-EMSGSIZE, "%zu bytes of input; the function was loaded for %llu",
				 params->in_bytes, (unsigned long long)func->layout.in.bytes);
	return 0;
}

static void put_input(struct hypr_func *func, struct hypr_func_machine *machine,
		      const struct hypr_call_params *params)
{
	if (params->in_bytes)
		memcpy(machine->mem + func->layout.in.start, params->in, params->in_bytes);
	info_of(func, machine->mem)->in_bytes = params->in_bytes;
}

static int take_output(struct hypr_func *func, const struct hypr_func_machine *machine,
		       const struct hypr_call_params *params, struct hypr_call_result *result)
{
	if (result->out_bytes > params->out_room) {
		result->cause = HYPR_CALL_OUTPUT;
		return hypr_fail(-ENOBUFS, "%llu bytes of output; the caller has room for %zu",
				 (unsigned long long)result->out_bytes, params->out_room);
	}
	if (result->out_bytes)
		memcpy(params->out, machine->mem + func->layout.out.start, result->out_bytes);
	return 0;
}

/* The input is what only libhypr writes; the next one may be shorter. */
static bool reset(struct hypr_func *func, struct hypr_func_machine *machine,
		  const struct hypr_call_params *params, const struct hypr_func_report *report,
		  struct hypr_call_result *result)
{
	uint64_t start = hypr_tsc();
	int64_t pages;

	pages = hypr_func_machine_reset(machine, &func->host, report->nr_dirty);
	memset(machine->mem + func->layout.in.start, 0, params->in_bytes);
	result->pages_reset = pages < 0 ? 0 : (uint64_t)pages;
	result->reset_cycles = hypr_tsc() - start;
	return pages >= 0;
}

static int call(struct hypr_func *func, struct hypr_func_machine *machine,
		const struct hypr_call_params *params, struct hypr_call_result *result)
{
	uint32_t timeout_ms = params->timeout_ms ? params->timeout_ms : func->timeout_ms;
	struct hypr_func_report report;
	bool whole = false;
	uint64_t start;
	int ret;

	put_input(func, machine, params);
	start = hypr_tsc();
	ret = run(func, machine, timeout_ms, &report, result);
	result->run_cycles = hypr_tsc() - start;
	if (!ret)
		ret = take_output(func, machine, params, result);
	if (!is_lost(result))
		whole = reset(func, machine, params, &report, result);
	hypr_func_pool_put(&func->pool, machine, whole);
	return ret;
}

int hypr_func_call(struct hypr_func *func, const struct hypr_call_params *params,
		   struct hypr_call_result *result)
{
	struct hypr_func_machine *machine;
	struct hypr_call_result unseen;
	uint64_t start = hypr_tsc();
	int ret;

	if (!result)
		result = &unseen;
	*result = (struct hypr_call_result){ .cause = HYPR_CALL_OK };
	ret = check_params(func, params);
	if (!ret)
		ret = hypr_func_pool_get(&func->pool, &machine);
	if (!ret)
		ret = call(func, machine, params, result);
	result->total_cycles = hypr_tsc() - start;
	return ret;
}

/* ---- loading ------------------------------------------------------------- */

static int check_config(const struct hypr_func_config *config)
{
	if (config->size != sizeof(*config) || config->flags || config->reserved)
		return hypr_fail(-EINVAL, "a function with unknown flags or of another version");
	if (!config->path)
		return hypr_fail(-EINVAL, "no function file given");
	if (!hypr_func_engine_find(config->engine))
		return hypr_fail(-EINVAL, "no engine '%.20s'; there are %s, %s and %s",
				 config->engine, HYPR_ENGINE_STOCK, HYPR_ENGINE_EPT_SWAP,
				 HYPR_ENGINE_HYPRV);
	if (config->vms > HYPR_FUNC_VMS_MAX)
		return hypr_fail(-EINVAL, "%u VMs; 1 to %d are possible", config->vms,
				 HYPR_FUNC_VMS_MAX);
	if (!config->timeout_ms || config->timeout_ms > HYPR_FUNC_TIMEOUT_MAX_MS)
		return hypr_fail(-EINVAL, "a time limit of %u ms; 1 to %u are possible",
				 config->timeout_ms, HYPR_FUNC_TIMEOUT_MAX_MS);
	return 0;
}

static unsigned int vms_of(const struct hypr_func_config *config)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (config->vms)
		return config->vms;
	return cpus < 1 ? 1 : cpus > HYPR_FUNC_VMS_MAX ? HYPR_FUNC_VMS_MAX : (unsigned int)cpus;
}

/* Memory as it is before the init, in a file that all machines map. */
static int make_moment(struct hypr_func *func, const struct hypr_func_elf *elf)
{
	struct hypr_func_host *host = &func->host;
	void *mem;

	host->mem_bytes = func->layout.mem_bytes;
	host->moment_fd = memfd_create("hypr-func", MFD_CLOEXEC);
	if (host->moment_fd < 0 || ftruncate(host->moment_fd, (off_t)host->mem_bytes) < 0)
		return hypr_fail_sys(-errno, "memory of a function");
	mem = mmap(NULL, host->mem_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, host->moment_fd, 0);
	if (mem == MAP_FAILED)
		return hypr_fail_sys(-errno, "memory of a function");
	host->moment = mem;
	hypr_func_image_build(host->moment, elf, &func->layout);
	return 0;
}

/* What the init wrote becomes the moment's; from here on nobody writes to it. */
static int freeze(struct hypr_func *func, struct hypr_func_machine *machine, uint64_t nr_dirty)
{
	int ret = hypr_func_machine_keep(machine, &func->host, nr_dirty);

	if (ret)
		return ret;
	info_of(func, func->host.moment)->phase = HYPR_FUNC_CALL;
	info_of(func, machine->mem)->phase = HYPR_FUNC_CALL;
	if (mprotect(func->host.moment, func->host.mem_bytes, PROT_READ) < 0)
		return hypr_fail_sys(-errno, "memory of a function");
	return 0;
}

static int run_init(struct hypr_func *func, const char *path)
{
	struct hypr_call_result result = { .cause = HYPR_CALL_OK };
	struct hypr_func_machine *machine;
	struct hypr_func_report report;
	int ret;

	ret = hypr_func_pool_get(&func->pool, &machine);
	if (ret)
		return ret;
	ret = run(func, machine, func->timeout_ms, &report, &result);
	if (ret)
		ret = hypr_fail(ret, "%s: its init: %s", path, hypr_error());
	else if ((uint32_t)report.rax != HYPR_FUNC_READY || report.rdi != HYPR_FUNC_ABI)
		ret = hypr_fail(-ENOEXEC, "%s: it was built for another version of function VMs",
				path);
	else
		ret = freeze(func, machine, report.nr_dirty);
	hypr_func_pool_put(&func->pool, machine, !ret);
	return ret;
}

static int load(struct hypr_func *func, const struct hypr_func_config *config)
{
	struct hypr_func_elf elf;
	int ret;

	ret = hypr_func_elf_read(config->path, &func->file, &func->file_bytes);
	if (!ret)
		ret = hypr_func_elf_parse(func->file, func->file_bytes, config->path, &elf);
	if (!ret)
		ret = hypr_func_layout_plan(&elf, config->in_max, config->heap_bytes,
					    config->stack_bytes, config->out_max, &func->layout);
	if (!ret)
		ret = hypr_func_host_open(&func->host);
	if (!ret)
		ret = make_moment(func, &elf);
	if (!ret)
		ret = hypr_func_pool_init(&func->pool, &func->host, vms_of(config));
	func->has_pool = !ret;
	return ret ? ret : run_init(func, config->path);
}

int hypr_func_open(const struct hypr_func_config *config, struct hypr_func **funcp)
{
	struct hypr_func *func;
	int ret;

	ret = check_config(config);
	if (ret)
		return ret;
	func = calloc(1, sizeof(*func));
	if (!func)
		return hypr_fail(-ENOMEM, "no memory for a function");
	func->host.engine = hypr_func_engine_find(config->engine);
	func->host.kvm_fd = -1;
	func->host.moment_fd = -1;
	func->timeout_ms = config->timeout_ms;
	ret = load(func, config);
	if (ret)
		hypr_func_close(func);
	else
		*funcp = func;
	return ret;
}

void hypr_func_close(struct hypr_func *func)
{
	if (!func)
		return;
	if (func->has_pool)
		hypr_func_pool_fini(&func->pool);
	if (func->host.moment)
		munmap(func->host.moment, func->host.mem_bytes);
	if (func->host.moment_fd >= 0)
		close(func->host.moment_fd);
	hypr_func_host_close(&func->host);
	free(func->file);
	free(func);
}

const char *hypr_func_engine_name(const struct hypr_func *func)
{
	return func->host.engine->name;
}
