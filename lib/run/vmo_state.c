// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The state of vCPUs and devices as sections of a VMO, and back.  What comes from
 * a file is checked field by field (state_check.c) before anything is made of it.
 */
#include <stdlib.h>

#include "hypr/vmo.h"
#include "base/error.h"
#include "base/time.h"
#include "model/state.h"
#include "model/vcpu.h"
#include "model/vm.h"
#include "pc/console.h"
#include "pc/msr.h"
#include "run/board.h"
#include "run/machine.h"
#include "run/state_check.h"
#include "run/timers.h"
#include "run/vmo_state.h"

#define NS_PER_S	1000000000ull
#define MSRS_MAX	4096	/* of a vCPU in a file; no CPU has as many to save */

/* ---- writing ------------------------------------------------------------- */

static int add(struct hypr_vmo_writer *writer, uint32_t type, uint32_t index, const void *data,
	       size_t bytes)
{
	return hypr_vmo_writer_section(writer, type, index, HYPR_VMO_STATE_VERSION, 0, data,
				       bytes);
}

static int write_vcpu(struct hypr_vm *vm, const struct hypr_state *state, unsigned int index,
		      struct hypr_vmo_writer *writer)
{
	const struct hypr_vcpu_state *from = &state->vcpu[index];
	size_t bytes = sizeof(struct hypr_vmo_vcpu) +
		       (vm->nr_msrs + 1) * sizeof(struct hypr_vmo_msr) + vm->xsave_bytes;
	struct hypr_vmo_vcpu *to = calloc(1, bytes);
	struct hypr_vmo_msr *msr = (struct hypr_vmo_msr *)(to + 1);
	unsigned int i;
	int ret;

	if (!to)
		return hypr_fail(-ENOMEM, "no memory for the state of a vCPU");
	to->regs = from->regs;
	to->sregs = from->sregs;
	to->guest_tsc = state->host_tsc + from->tsc_offset;
	to->tsc_deadline = from->tsc_deadline;
	to->mp_state = from->mp_state.mp_state;
	to->control = from->control;
	to->parked = from->parked;
	to->nr_msrs = vm->nr_msrs + 1;
	to->xsave_bytes = (uint32_t)vm->xsave_bytes;
	to->xcrs = from->xcrs;
	to->events = from->events;
	to->debugregs = from->debugregs;
	to->lapic = from->lapic;
	for (i = 0; i < vm->nr_msrs; i++) {
		msr[i].index = from->msrs->entries[i].index;
		msr[i].value = from->msrs->entries[i].data;
	}
	/* Last, and no MSR that is set: what the guest's CPU has. */
	msr[i].index = HYPR_MSR_MCG_CAP;
	msr[i].value = vm->mce_banks;
	memcpy(msr + to->nr_msrs, from->xsave, vm->xsave_bytes);
	ret = add(writer, HYPR_VMO_VCPU, index, to, bytes);
	free(to);
	return ret;
}

static int write_devices(const struct hypr_state *state, struct hypr_vmo_writer *writer)
{
	const struct hypr_console_state *con = &state->console;
	struct hypr_vmo_console console = {
		.dll = con->dll, .dlm = con->dlm, .ier = con->ier, .fcr = con->fcr,
		.lcr = con->lcr, .mcr = con->mcr, .scr = con->scr,
		.thre_pending = con->thre_pending,
		.rx_head = con->rx_head, .rx_tail = con->rx_tail,
	};
	struct hypr_vmo_rtc rtc = { .index = state->rtc.index };
	struct hypr_vmo_pit pit = { .pit = state->pit };
	struct hypr_vmo_chips chips;
	int ret;

	_Static_assert(sizeof(console.rx) == sizeof(con->rx), "the same ring");
	_Static_assert(sizeof(rtc.cmos) == sizeof(state->rtc.cmos), "the same registers");
	memcpy(console.rx, con->rx, sizeof(console.rx));
	memcpy(rtc.cmos, state->rtc.cmos, sizeof(rtc.cmos));
	memcpy(chips.chip, state->chip, sizeof(chips.chip));
	ret = add(writer, HYPR_VMO_CHIPS, 0, &chips, sizeof(chips));
	if (!ret)
		ret = add(writer, HYPR_VMO_PIT, 0, &pit, sizeof(pit));
	if (!ret)
		ret = add(writer, HYPR_VMO_CONSOLE, 0, &console, sizeof(console));
	if (!ret)
		ret = add(writer, HYPR_VMO_RTC, 0, &rtc, sizeof(rtc));
	return ret;
}

/** hypr_vmo_state_write() - add all of a VM that is not memory to a file */
int hypr_vmo_state_write(struct hypr_vm *vm, const struct hypr_state *state,
			 struct hypr_vmo_writer *writer)
{
	struct hypr_vmo_clock clock = {
		.tsc_khz = vm->tsc_khz,
		.stopped_ns = state->stopped_ns,
		.boot_id = { state->boot_id[0], state->boot_id[1] },
		.generation = vm->control->generation,
	};
	unsigned int i;
	int ret;

	ret = add(writer, HYPR_VMO_CPU, 0, vm->cpuid->entries,
		  vm->cpuid->nent * sizeof(vm->cpuid->entries[0]));
	if (!ret)
		ret = add(writer, HYPR_VMO_CLOCK, 0, &clock, sizeof(clock));
	for (i = 0; !ret && i < vm->nr_vcpus; i++)
		ret = write_vcpu(vm, state, i, writer);
	if (!ret)
		ret = write_devices(state, writer);
	return ret;
}

/* ---- reading ------------------------------------------------------------- */

/*
 * A section of this version, of at least (@exact: exactly) @least bytes, whose fields
 * hold what their consumers can hold.
 */
static int get(struct hypr_vmo *vmo, const char *path, uint32_t type, uint32_t index,
	       size_t least, bool exact, const void **data, size_t *bytes)
{
	uint32_t version;
	int ret;

	ret = hypr_vmo_section(vmo, type, index, data, bytes, &version);
	if (ret == -ENOENT)
		return hypr_fail(-EBADMSG, "%s: section %s %u is not there: it is no state of a VM",
				 path, hypr_vmo_section_name(type), index);
	if (ret)
		return ret;
	if (version != HYPR_VMO_STATE_VERSION)
		return hypr_fail(-EOPNOTSUPP, "%s: section %s %u has version %u, not %u", path,
				 hypr_vmo_section_name(type), index, version,
				 HYPR_VMO_STATE_VERSION);
	if (*bytes < least || (exact && *bytes != least))
		return hypr_fail(-EBADMSG, "%s: section %s %u has %zu bytes", path,
				 hypr_vmo_section_name(type), index, *bytes);
	return hypr_state_check(path, type, index, *data, *bytes);
}

/**
 * hypr_vmo_check_plain() - a file to run, or an archive of one?
 * Return: 0; -ENOEXEC it, or one that it is layered on, is packed.
 */
int hypr_vmo_check_plain(struct hypr_vmo *vmo, const char *path)
{
	char parent[sizeof(((struct hypr_vmo_info *)0)->parent_name)];
	struct hypr_vmo_info info;

	for (; vmo; vmo = hypr_vmo_parent(vmo)) {
		hypr_vmo_info(vmo, &info);
		if (info.packed)
			return hypr_fail(-ENOEXEC, "%s: packed, for keeping: hypr vmo unpack makes a file of it that can run",
					 path);
		memcpy(parent, info.parent_name, sizeof(parent));
		path = parent;
	}
	return 0;
}

/** hypr_vmo_cpu_read() - the CPUID that the guest saw; it belongs to @vmo */
int hypr_vmo_cpu_read(struct hypr_vmo *vmo, const char *path,
		      const struct kvm_cpuid_entry2 **entry, size_t *nr)
{
	const void *data;
	size_t bytes;
	int ret;

	ret = get(vmo, path, HYPR_VMO_CPU, 0, sizeof(**entry), false, &data, &bytes);
	if (ret)
		return ret;
	if (bytes % sizeof(**entry))
		return hypr_fail(-EBADMSG, "%s: section CPU 0 has %zu bytes", path, bytes);
	*entry = data;
	*nr = bytes / sizeof(**entry);
	return 0;
}

/** hypr_vmo_clock_read() - the guest's clock; it belongs to @vmo */
int hypr_vmo_clock_read(struct hypr_vmo *vmo, const char *path,
			const struct hypr_vmo_clock **clock)
{
	const void *data;
	size_t bytes;
	int ret;

	ret = get(vmo, path, HYPR_VMO_CLOCK, 0, sizeof(**clock), true, &data, &bytes);
	if (!ret)
		*clock = data;
	return ret;
}

/**
 * hypr_vmo_mce_banks_read() - how many machine check banks the guest's CPU has
 *
 * Files of the time when hypr did not save them are of guests that had KVM's number.
 */
int hypr_vmo_mce_banks_read(struct hypr_vmo *vmo, const char *path, unsigned int *banks)
{
	const struct hypr_vmo_vcpu *vcpu;
	const struct hypr_vmo_msr *msr;
	const void *data;
	size_t bytes;
	uint32_t i;
	int ret;

	*banks = HYPR_MCE_BANKS_KVM;
	ret = get(vmo, path, HYPR_VMO_VCPU, 0, sizeof(*vcpu), false, &data, &bytes);
	if (ret)
		return ret;
	vcpu = data;
	msr = (const struct hypr_vmo_msr *)(vcpu + 1);
	for (i = 0; i < vcpu->nr_msrs; i++) {
		if (msr[i].index != HYPR_MSR_MCG_CAP)
			continue;
		if (!msr[i].value || msr[i].value > HYPR_MCE_BANKS_KVM)
			return hypr_fail(-EOPNOTSUPP, "%s: its guest has a CPU with MCG_CAP 0x%llx",
					 path, (unsigned long long)msr[i].value);
		*banks = (unsigned int)msr[i].value;
		break;
	}
	return 0;
}

static int read_msr(struct hypr_vm *vm, const char *path, const struct hypr_vmo_msr *msr,
		    struct kvm_msrs *msrs)
{
	int place = hypr_msr_place(vm, msr->index);

	/* Judged for the whole file, see check_banks(). */
	if (msr->index == HYPR_MSR_MCG_CAP)
		return 0;
	if (place < 0)
		return hypr_fail(-EOPNOTSUPP,
				 "%s: its guest uses MSR 0x%x, which this host does not keep",
				 path, msr->index);
	/* The mark is set below: the file has had it before. */
	if (msrs->entries[place].reserved)
		return hypr_fail(-EBADMSG, "%s: MSR 0x%x is there twice", path, msr->index);
	msrs->entries[place].reserved = 1;
	msrs->entries[place].data = msr->value;
	return hypr_msr_check(vm, path, (unsigned int)place, msr->value);
}

/* Those that the file lacks are as in a CPU that was just switched on. */
static int read_msrs(struct hypr_vm *vm, const char *path, const struct hypr_vmo_msr *msr,
		     uint32_t nr, struct kvm_msrs *msrs)
{
	unsigned int i;
	int ret = 0;

	if (nr > MSRS_MAX)
		return hypr_fail(-EBADMSG, "%s: a CPU with %u MSRs", path, nr);
	msrs->nmsrs = vm->nr_msrs;
	for (i = 0; i < vm->nr_msrs; i++) {
		msrs->entries[i] = (struct kvm_msr_entry){
			.index = vm->msr_index[i], .data = vm->msr_reset[i],
		};
	}
	for (i = 0; i < nr && !ret; i++)
		ret = read_msr(vm, path, &msr[i], msrs);
	for (i = 0; i < vm->nr_msrs; i++)
		msrs->entries[i].reserved = 0;
	return ret;
}

/* A view's guest has the CPU of the VM. */
static int check_banks(struct hypr_vm *vm, struct hypr_vmo *vmo, const char *path)
{
	unsigned int banks;
	int ret;

	ret = hypr_vmo_mce_banks_read(vmo, path, &banks);
	if (ret || banks == vm->mce_banks)
		return ret;
	return hypr_fail(-EOPNOTSUPP,
			 "%s: its guest has a CPU with %u machine check banks, that of the VM has %u",
			 path, banks, vm->mce_banks);
}

static int read_vcpu(struct hypr_vm *vm, struct hypr_vmo *vmo, const char *path,
		     unsigned int index, uint64_t passed, struct hypr_state *state)
{
	struct hypr_vcpu_state *to = &state->vcpu[index];
	const struct hypr_vmo_vcpu *from;
	const struct hypr_vmo_msr *msr;
	const void *data;
	size_t bytes;
	int ret;

	ret = get(vmo, path, HYPR_VMO_VCPU, index, sizeof(*from), false, &data, &bytes);
	if (ret)
		return ret;
	from = data;
	msr = (const struct hypr_vmo_msr *)(from + 1);
	if (from->xsave_bytes > vm->xsave_bytes)
		return hypr_fail(-EOPNOTSUPP,
				 "%s: its guest has %u bytes of XSAVE state, this host takes %zu",
				 path, from->xsave_bytes, vm->xsave_bytes);
	to->regs = from->regs;
	to->sregs = from->sregs;
	to->xcrs = from->xcrs;
	to->lapic = from->lapic;
	to->events = from->events;
	to->debugregs = from->debugregs;
	to->mp_state.mp_state = from->mp_state;
	to->tsc_offset = from->guest_tsc + passed;
	to->tsc_deadline = from->tsc_deadline;
	to->control = from->control;
	to->parked = from->parked != 0;
	memset(to->xsave, 0, vm->xsave_bytes);
	memcpy(to->xsave, msr + from->nr_msrs, from->xsave_bytes);
	return read_msrs(vm, path, msr, from->nr_msrs, to->msrs);
}

static int read_devices(struct hypr_vmo *vmo, const char *path, struct hypr_state *state)
{
	struct hypr_console_state *con = &state->console;
	const struct hypr_vmo_console *console;
	const void *chips, *pit, *data, *rtc;
	size_t bytes;
	int ret;

	ret = get(vmo, path, HYPR_VMO_CHIPS, 0, sizeof(struct hypr_vmo_chips), true, &chips,
		  &bytes);
	if (!ret)
		ret = get(vmo, path, HYPR_VMO_PIT, 0, sizeof(struct hypr_vmo_pit), true, &pit,
			  &bytes);
	if (!ret)
		ret = get(vmo, path, HYPR_VMO_CONSOLE, 0, sizeof(*console), true, &data, &bytes);
	if (!ret)
		ret = get(vmo, path, HYPR_VMO_RTC, 0, sizeof(struct hypr_vmo_rtc), true, &rtc,
			  &bytes);
	if (ret)
		return ret;
	console = data;
	memcpy(state->chip, ((const struct hypr_vmo_chips *)chips)->chip, sizeof(state->chip));
	state->pit = ((const struct hypr_vmo_pit *)pit)->pit;
	*con = (struct hypr_console_state){
		.dll = console->dll, .dlm = console->dlm, .ier = console->ier,
		.fcr = console->fcr, .lcr = console->lcr, .mcr = console->mcr,
		.scr = console->scr, .thre_pending = console->thre_pending,
		.rx_head = console->rx_head, .rx_tail = console->rx_tail,
	};
	memcpy(con->rx, console->rx, sizeof(con->rx));
	state->rtc.index = ((const struct hypr_vmo_rtc *)rtc)->index;
	memcpy(state->rtc.cmos, ((const struct hypr_vmo_rtc *)rtc)->cmos,
	       sizeof(state->rtc.cmos));
	return 0;
}

/* From the stop to now, for a guest whose clock ran on; never back. */
static uint64_t ns_passed(const struct hypr_vmo_clock *clock)
{
	uint64_t now = hypr_unix_ns();

	return now > clock->stopped_ns ? now - clock->stopped_ns : 0;
}

/* Cycles of the guest, whatever the host's TSC does. */
static uint64_t cycles_of(const struct hypr_vmo_clock *clock, uint64_t ns)
{
	return ns / NS_PER_S * clock->tsc_khz * 1000 +
	       ns % NS_PER_S * clock->tsc_khz / 1000000;
}

/**
 * hypr_vmo_state_read() - all of a VM that is not memory, from a file
 * @flags: HYPR_LOAD_TIME_CONTINUE
 * @state: out
 *
 * Return: 0; -EBADMSG, -EOPNOTSUPP; as for hypr_vmo_section().
 */
int hypr_vmo_state_read(struct hypr_vm *vm, struct hypr_vmo *vmo, const char *path,
			unsigned int flags, struct hypr_state *state)
{
	const struct hypr_vmo_clock *clock;
	uint64_t passed_ns, passed;
	unsigned int i;
	int ret;

	state->valid = false;
	ret = hypr_vmo_clock_read(vmo, path, &clock);
	if (ret)
		return ret;
	if (vm->tsc_khz && clock->tsc_khz &&
	    !hypr_machine_tsc_is_near(clock->tsc_khz, vm->tsc_khz))
		return hypr_fail(-EOPNOTSUPP,
				 "%s: its guest's TSC runs at %llu kHz, that of the VM at %llu",
				 path, (unsigned long long)clock->tsc_khz,
				 (unsigned long long)vm->tsc_khz);
	ret = check_banks(vm, vmo, path);
	if (ret)
		return ret;
	passed_ns = flags & HYPR_LOAD_TIME_CONTINUE ? ns_passed(clock) : 0;
	passed = cycles_of(clock, passed_ns);
	/* No host's: the guest's own count is all of it. */
	state->host_tsc = 0;
	state->stopped_ns = clock->stopped_ns;
	memcpy(state->boot_id, clock->boot_id, sizeof(state->boot_id));
	for (i = 0; !ret && i < vm->nr_vcpus; i++) {
		ret = read_vcpu(vm, vmo, path, i, passed, state);
		if (!ret)
			hypr_lapic_advance(&state->vcpu[i].lapic, passed_ns);
	}
	if (!ret)
		ret = read_devices(vmo, path, state);
	if (!ret && vm->apics_only && hypr_board_needs_chips(state))
		ret = hypr_fail(-EOPNOTSUPP,
				"%s: its guest has a PIC, an I/O APIC and a PIT, which this engine does not have",
				path);
	state->valid = !ret;
	return ret;
}
