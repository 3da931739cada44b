// SPDX-License-Identifier: GPL-2.0-only
/*
 * States as files, on a KVM that is played (fake_kvm.c): a VM goes on from a
 * file in the middle of its work, in a new VM and as a view of the same one; what
 * does not fit is refused with the file's name, and nothing is left behind.
 */
#include "hypr/abi/vmo_state.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "hypr/hypr.h"
#include "hypr/vmo.h"
#include "fake_kernel.h"
#include "fake_kvm.h"
#include "lib/base/time.h"
#include "lib/model/state.h"
#include "lib/model/vcpu.h"
#include "lib/model/view.h"
#include "lib/model/vm.h"
#include "lib/pc/console.h"
#include "lib/pc/rtc.h"
#include "lib/view/view.h"

#define TSC_KHZ	2400000ull

struct fixture {
	char dir[32];
	char file[64];
	char other[64];
	char kernel[64];
	struct hypr_vm *vm;
	struct hypr_vm *clone;
};

static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;

	fake_kvm_reset();
	strcpy(f->dir, "/tmp/hypr-resurrect-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->file, sizeof(f->file), "%s/a.vmo", f->dir);
	snprintf(f->other, sizeof(f->other), "%s/b.vmo", f->dir);
	snprintf(f->kernel, sizeof(f->kernel), "%s/kernel", f->dir);
	fake_kernel_write(f->kernel);
	c.name = "vm1";
	c.kernel = f->kernel;
	c.vcpus = FAKE_VCPUS;
	c.pause_timeout_ms = 200;
	assert_int_equal(hypr_vm_create(&c, &f->vm), 0);
	assert_int_equal(hypr_vm_start(f->vm), 0);
	assert_true(fake_kvm_runs());
	*ctx = f;
	return 0;
}

static unsigned int files(const struct fixture *f)
{
	DIR *dir = opendir(f->dir);
	unsigned int n = 0;
	struct dirent *entry;

	while ((entry = readdir(dir)))
		n += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
	closedir(dir);
	return n;
}

static int teardown(void **ctx)
{
	struct fixture *f = *ctx;

	fake_kvm.fail_at = 0;
	hypr_vm_destroy(f->clone);
	hypr_vm_destroy(f->vm);
	unlink(f->file);
	unlink(f->other);
	unlink(f->kernel);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return 0;
}

static struct hypr_save_params params(const char *path)
{
	return (struct hypr_save_params){
		.size = sizeof(struct hypr_save_params), .path = path,
	};
}

static void save(struct fixture *f, const char *path)
{
	struct hypr_save_params p = params(path);

	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), 0);
}

static int resurrect(struct fixture *f, const char *path, unsigned int flags)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;

	c.name = "vm2";
	c.vmo = path;
	c.load_flags = flags;
	return hypr_vm_create(&c, &f->clone);
}

/* One VM at a time is all that the played KVM has. */
static void end(struct fixture *f)
{
	hypr_vm_destroy(f->vm);
	f->vm = NULL;
	fake_kvm_reset();
}

static void test_goes_on_in_a_new_vm(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_save_params p = params(f->file);
	struct hypr_save_result r;
	uint64_t at, generation;

	f->vm->active->mem.host[0x300000] = 0x5a;
	f->vm->control->boot_id[0] = 77;
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	at = fake_kvm_count(0);
	generation = f->vm->control->generation;
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, &r), 0);
	assert_true(r.pages_stored >= 2);
	assert_int_equal(r.pages_stored + r.pages_zero, HYPR_MEM_MIN_BYTES / 4096);
	assert_true(r.file_bytes < HYPR_MEM_MIN_BYTES / 16);
	end(f);

	assert_int_equal(resurrect(f, f->file, 0), 0);
	assert_int_equal(f->clone->mem_bytes, HYPR_MEM_MIN_BYTES);
	assert_int_equal(f->clone->nr_vcpus, FAKE_VCPUS);
	assert_int_equal(f->clone->active->mem.host[0x300000], 0x5a);
	assert_int_equal(f->clone->control->boot_id[0], 77);
	assert_int_equal(fake_kvm.prepared, 1);
	assert_int_equal(hypr_vm_start(f->clone), 0);
	assert_true(f->clone->control->generation != generation);
	assert_true(fake_kvm_runs());
	assert_true(fake_kvm_count(0) > at);
	assert_true(fake_kvm_count(0) < at + 60000);
}

/* It waits already when the VM begins, and the file has a line of its own. */
static void test_piped_input_is_not_lost(void **ctx)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;
	struct fixture *f = *ctx;
	char text[8] = "";
	int fds[2], i, n;

	save(f, f->file);
	end(f);
	for (i = 0; i < 5; i++) {
		fake_kvm_reset();
		memset(text, 0, sizeof(text));
		assert_int_equal(pipe(fds), 0);
		assert_int_equal(write(fds[1], "hello", 5), 5);
		c.name = "vm2";
		c.vmo = f->file;
		c.console_in = fds[0];
		assert_int_equal(hypr_vm_create(&c, &f->clone), 0);
		assert_int_equal(hypr_vm_start(f->clone), 0);
		for (n = 0; n < 5000 && strlen(text) < 5; n++) {
			if (hypr_console_read(&f->clone->console, 5) & 1)
				text[strlen(text)] =
					(char)hypr_console_read(&f->clone->console, 0);
			else
				usleep(1000);
		}
		assert_string_equal(text, "hello");
		hypr_vm_destroy(f->clone);
		f->clone = NULL;
		close(fds[0]);
		close(fds[1]);
	}
}

/* The words by which a guest knows that it has jumped. */
static void look(const struct hypr_vm *vm, uint64_t word[3])
{
	word[0] = vm->control->jump[0];
	word[1] = vm->control->jump[1];
	word[2] = vm->control->generation;
}

static void assert_all_differ(const uint64_t one[3], const uint64_t other[3])
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		assert_true(one[i] != other[i]);
}

static void test_clones_have_generations_of_their_own(void **ctx)
{
	struct fixture *f = *ctx;
	uint64_t word[4][3];
	unsigned int i, n;

	save(f, f->file);
	end(f);
	/* Resurrected, and after a reset: no two of them go on with the same words. */
	for (i = 0; i < 4; i += 2) {
		assert_int_equal(resurrect(f, f->file, 0), 0);
		assert_int_equal(hypr_vm_start(f->clone), 0);
		look(f->clone, word[i]);
		assert_int_equal(hypr_view_reset(f->clone, "boot", NULL), 0);
		look(f->clone, word[i + 1]);
		hypr_vm_destroy(f->clone);
		f->clone = NULL;
		fake_kvm_reset();
	}
	for (i = 0; i < 4; i++) {
		for (n = 0; n < i; n++)
			assert_all_differ(word[i], word[n]);
	}
}

/*
 * A guest finds the count that it had seen in another VM, or in this one: it has to
 * notice all the same.
 */
static void test_a_view_from_a_file_sees_a_jump(void **ctx)
{
	struct fixture *f = *ctx;
	uint64_t seen[3], now[3];

	f->vm->control->generation = 1;
	f->vm->control->jump[0] = 7;
	f->vm->control->jump[1] = 7;
	look(f->vm, seen);
	save(f, f->file);
	/* What stops and goes on where it was has not jumped. */
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	look(f->vm, now);
	assert_memory_equal(now, seen, sizeof(seen));
	assert_int_equal(hypr_view_load(f->vm, "A", f->file, 0, NULL), 0);
	assert_int_equal(fake_kvm.generation, 0);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	look(f->vm, now);
	assert_all_differ(now, seen);
	look(f->vm, seen);
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, NULL), 0);
	look(f->vm, now);
	assert_all_differ(now, seen);
}

/* What a guest writes stays its own; the file and a reset have the old. */
static void test_reset_goes_back_to_the_file(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_verify_result v;

	f->vm->active->mem.host[0x300000] = 0x5a;
	save(f, f->file);
	end(f);
	assert_int_equal(resurrect(f, f->file, 0), 0);
	assert_int_equal(hypr_vm_start(f->clone), 0);
	assert_true(fake_kvm_runs());
	f->clone->active->mem.host[0x300000] = 1;
	f->clone->active->mem.host[0x400000] = 1;
	assert_int_equal(hypr_view_verify(f->clone, "boot", &v), 0);
	assert_int_equal(v.pages_mismatched, 2);
	assert_int_equal(hypr_view_reset(f->clone, "boot", NULL), 0);
	assert_int_equal(f->clone->active->mem.host[0x300000], 0x5a);
	assert_int_equal(f->clone->active->mem.host[0x400000], 0);
	assert_int_equal(hypr_view_verify(f->clone, "boot", &v), 0);
	assert_int_equal(v.pages_mismatched, 0);
	assert_true(fake_kvm_runs());
}

static void test_prefault_none(void **ctx)
{
	struct fixture *f = *ctx;

	save(f, f->file);
	end(f);
	assert_int_equal(resurrect(f, f->file, HYPR_LOAD_PREFAULT_NONE), 0);
	assert_int_equal(fake_kvm.prepared, 0);
	assert_int_equal(hypr_vm_start(f->clone), 0);
	assert_true(fake_kvm_runs());
}

static void test_a_view_of_the_same_vm(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_snapshot_result r;
	struct hypr_view_info info[4];
	struct hypr_vm_info vm;
	uint64_t at;

	f->vm->active->mem.host[0x300000] = 0x5a;
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	at = fake_kvm_count(1);
	save(f, f->file);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	f->vm->active->mem.host[0x300000] = 1;
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_load(f->vm, "old", f->file, 0, &r), 0);
	assert_int_equal(r.view, 2);
	assert_true(r.pages_stored >= 2 && r.pages_stored < 100);
	assert_int_equal(hypr_view_swap(f->vm, "old", 0, NULL), 0);
	assert_true(fake_kvm_runs());
	hypr_vm_info(f->vm, &vm);
	assert_string_equal(vm.active_view, "old");
	assert_true(fake_kvm_count(1) > at);
	assert_int_equal(f->vm->active->mem.host[0x300000], 0x5a);
	assert_int_equal(hypr_view_list(f->vm, info, 4), 2);
	assert_int_equal(info[1].has_moment, 1);
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, NULL), 0);
	assert_int_equal(f->vm->active->mem.host[0x300000], 1);
	assert_int_equal(hypr_view_remove(f->vm, "old"), 0);
}

static void test_the_moment_of_a_view(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_save_params p = params(f->file);
	struct hypr_save_result r;
	struct hypr_vmo *vmo;
	uint8_t byte;

	f->vm->active->mem.host[0x300000] = 0x5a;
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	f->vm->active->mem.host[0x300000] = 1;
	assert_int_equal(hypr_view_save(f->vm, "A", &p, &r), 0);
	assert_int_equal(r.pause, HYPR_PAUSE_NONE);
	assert_int_equal(r.copy_cycles, 0);
	assert_int_equal(hypr_vmo_open(f->file, &vmo), 0);
	assert_int_equal(hypr_vmo_read(vmo, 0x300000, &byte, 1), 0);
	assert_int_equal(byte, 0x5a);
	hypr_vmo_close(vmo);

	assert_int_equal(hypr_view_save(f->vm, "boot", &p, NULL), -EINVAL);
	assert_non_null(strstr(hypr_error(), "no moment"));
	assert_int_equal(hypr_view_save(f->vm, "nope", &p, NULL), -ENOENT);
}

/* ---- a running VM against a file ------------------------------------------- */

static void test_compare(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_verify_result r;

	f->vm->active->mem.host[0x300000] = 0x5a;
	save(f, f->file);
	assert_int_equal(hypr_view_compare(f->vm, NULL, f->file, &r), 0);
	assert_int_equal(r.pages_compared, HYPR_MEM_MIN_BYTES / 4096 - 1);
	assert_int_equal(r.pages_mismatched, 0);
	assert_string_equal(r.name, "boot");
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	f->vm->active->mem.host[0x300000] = 1;
	f->vm->active->mem.host[0x301000] = 1;
	f->vm->active->mem.host[0x800000] = 1;
	assert_int_equal(hypr_view_compare(f->vm, "boot", f->file, &r), 0);
	assert_int_equal(r.pages_mismatched, 3);
	assert_int_equal(r.nr_ranges, 2);
	assert_int_equal(r.range[0].start, 0x300000);
	assert_int_equal(r.range[0].end, 0x302000);
	assert_int_equal(r.range[1].start, 0x800000);
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_view_compare(f->vm, "A", f->file, &r), 0);
	assert_int_equal(r.pages_mismatched, 0);
	assert_int_equal(r.view, 2);
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	assert_int_equal(hypr_view_compare(f->vm, NULL, f->file, &r), 0);
	assert_int_equal(r.pages_mismatched, 3);
	assert_int_equal(hypr_vm_resume(f->vm), 0);
}

static void test_compare_with_layers_and_packed(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_save_params p = params(f->other);
	struct hypr_verify_result r;
	struct hypr_vmo *vmo;

	save(f, f->file);
	f->vm->active->mem.host[0x400000] = 7;
	p.parent = f->file;
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), 0);
	assert_int_equal(hypr_view_compare(f->vm, NULL, f->other, &r), 0);
	assert_int_equal(r.pages_mismatched, 0);
	assert_int_equal(hypr_view_compare(f->vm, NULL, f->file, &r), 0);
	assert_int_equal(r.pages_mismatched, 1);
	assert_int_equal(hypr_vmo_open(f->file, &vmo), 0);
	unlink(f->other);
	assert_int_equal(hypr_vmo_pack(vmo, f->other, 0, 1, NULL), 0);
	hypr_vmo_close(vmo);
	assert_int_equal(hypr_view_compare(f->vm, NULL, f->other, &r), 0);
	assert_int_equal(r.pages_mismatched, 1);
	assert_true(fake_kvm_runs());
}

static void test_compare_refuses(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_vmo_params p = {
		.size = sizeof(p), .mem_bytes = 2 * HYPR_MEM_MIN_BYTES,
	};
	struct hypr_verify_result r;
	struct hypr_vmo_writer *writer;

	assert_int_equal(hypr_view_compare(f->vm, NULL, f->file, &r), -ENOENT);
	assert_non_null(strstr(hypr_error(), f->file));
	assert_int_equal(hypr_view_compare(f->vm, NULL, f->kernel, &r), -ENOEXEC);
	assert_int_equal(hypr_view_compare(f->vm, "A", f->file, &r), -ENOENT);
	assert_non_null(strstr(hypr_error(), "no view 'A'"));
	assert_int_equal(hypr_vmo_writer_create(f->file, &p, &writer), 0);
	assert_int_equal(hypr_vmo_writer_commit(writer, NULL), 0);
	hypr_vmo_writer_destroy(writer);
	assert_int_equal(hypr_view_compare(f->vm, NULL, f->file, &r), -EINVAL);
	assert_non_null(strstr(hypr_error(), "32 MiB, where the VM has 16"));
	assert_true(fake_kvm_runs());
	assert_int_equal(hypr_vm_stop(f->vm), 0);
	assert_int_equal(hypr_view_compare(f->vm, NULL, f->file, &r), -ESHUTDOWN);
}

static void test_parent(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_save_params p = params(f->other);
	struct hypr_save_result r;

	f->vm->active->mem.host[0x300000] = 0x5a;
	save(f, f->file);
	f->vm->active->mem.host[0x400000] = 7;
	p.parent = f->file;
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, &r), 0);
	assert_int_equal(r.pages_stored, 1);
	assert_in_range(r.pages_parent, 2, 100);
	end(f);
	assert_int_equal(resurrect(f, f->other, 0), 0);
	assert_int_equal(f->clone->active->mem.host[0x300000], 0x5a);
	assert_int_equal(f->clone->active->mem.host[0x400000], 7);
}

/* An archive: it says what to do, and runs after that. */
static void test_packed(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_save_params p = params(f->file);
	struct hypr_save_result r;
	struct hypr_vmo *vmo;

	f->vm->active->mem.host[0x300000] = 0x5a;
	p.flags = HYPR_SAVE_COMPRESS;
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, &r), 0);
	assert_true(r.file_bytes < r.pages_stored * 4096);
	assert_int_equal(hypr_view_load(f->vm, "A", f->file, 0, NULL), -ENOEXEC);
	assert_non_null(strstr(hypr_error(), "hypr vmo unpack"));
	end(f);
	assert_int_equal(resurrect(f, f->file, 0), -ENOEXEC);
	assert_non_null(strstr(hypr_error(), "a.vmo: packed"));
	assert_non_null(strstr(hypr_error(), "hypr vmo unpack"));
	assert_int_equal(fake_kvm.slots, 0);
	assert_int_equal(hypr_vmo_open(f->file, &vmo), 0);
	assert_int_equal(hypr_vmo_unpack(vmo, f->other, 0, NULL), 0);
	hypr_vmo_close(vmo);
	assert_int_equal(resurrect(f, f->other, 0), 0);
	assert_int_equal(f->clone->active->mem.host[0x300000], 0x5a);
	assert_int_equal(hypr_vm_start(f->clone), 0);
	assert_true(fake_kvm_runs());
}

/* One that is layered on an archive names that one. */
static void test_packed_parent(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_save_params p = params(f->file);

	p.flags = HYPR_SAVE_COMPRESS;
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), 0);
	p = params(f->other);
	p.parent = f->file;
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), 0);
	end(f);
	assert_int_equal(resurrect(f, f->other, 0), -ENOEXEC);
	assert_non_null(strstr(hypr_error(), "a.vmo: packed"));
}

/* ---- the clock ----------------------------------------------------------- */

static uint64_t guest_tsc(const struct hypr_state *state)
{
	return state->vcpu[0].tsc_offset + state->host_tsc;
}

static void test_time(void **ctx)
{
	struct fixture *f = *ctx;
	uint64_t frozen, saved;

	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	f->vm->active->state->stopped_ns -= 10 * 1000000000ull;
	saved = guest_tsc(f->vm->active->state);
	save(f, f->file);
	end(f);
	assert_int_equal(resurrect(f, f->file, 0), 0);
	frozen = guest_tsc(f->clone->active->state);
	assert_true(frozen == saved);
	hypr_vm_destroy(f->clone);
	fake_kvm_reset();
	assert_int_equal(resurrect(f, f->file, HYPR_LOAD_TIME_CONTINUE), 0);
	assert_in_range(guest_tsc(f->clone->active->state) - saved, 10 * TSC_KHZ * 1000,
			70 * TSC_KHZ * 1000);
}

/* A host whose clock is behind that of the file: the guest's never goes back. */
static void test_time_never_goes_back(void **ctx)
{
	struct fixture *f = *ctx;
	uint64_t saved;

	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	f->vm->active->state->stopped_ns += 1000 * 1000000000ull;
	saved = guest_tsc(f->vm->active->state);
	save(f, f->file);
	end(f);
	assert_int_equal(resurrect(f, f->file, HYPR_LOAD_TIME_CONTINUE), 0);
	assert_true(guest_tsc(f->clone->active->state) == saved);
}

static void rewrite(struct fixture *f, bool (*edit)(struct hypr_vmo_section *s, uint8_t *data));

/* ---- MSRs that KVM does not name --------------------------------------------- */

static const uint32_t unnamed[] = { 0x200, 0x201, 0x20f, 0x250, 0x259, 0x26f, 0x2ff, 0x400 };

static void set_unnamed(uint64_t value)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(unnamed); i++)
		fake_kvm.vcpu[1].msr[unnamed[i]] = value + unnamed[i];
}

static void assert_unnamed(uint64_t value)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(unnamed); i++)
		assert_int_equal(fake_kvm.vcpu[1].msr[unnamed[i]], value + unnamed[i]);
}

/* MTRRs and machine check banks go with the guest: into a file, and with its view. */
static void test_mtrrs_and_banks(void **ctx)
{
	struct fixture *f = *ctx;

	assert_int_equal(fake_kvm.vcpu[1].mce_banks, 1);
	assert_true(fake_kvm.vcpu[1].pv_enforced);
	assert_true(fake_kvm.counters_off);
	set_unnamed(0x1000);
	assert_int_equal(hypr_view_snapshot(f->vm, "A", NULL), 0);
	set_unnamed(0x2000);
	assert_int_equal(hypr_view_swap(f->vm, "A", 0, NULL), 0);
	assert_unnamed(0x1000);
	assert_int_equal(hypr_view_swap(f->vm, "boot", 0, NULL), 0);
	assert_unnamed(0x2000);
	save(f, f->file);
	end(f);
	assert_int_equal(resurrect(f, f->file, 0), 0);
	assert_int_equal(hypr_vm_start(f->clone), 0);
	assert_unnamed(0x2000);
	assert_int_equal(fake_kvm.vcpu[0].mce_banks, 1);
}

/* As hypr wrote it before: the first MSR alone, which was one that KVM names. */
static bool named_alone(struct hypr_vmo_section *section, uint8_t *data)
{
	struct hypr_vmo_vcpu *vcpu = (struct hypr_vmo_vcpu *)data;
	uint8_t *msr = data + sizeof(*vcpu);
	size_t gone;

	if (section->type != HYPR_VMO_VCPU)
		return true;
	gone = (vcpu->nr_msrs - 1) * sizeof(struct hypr_vmo_msr);
	memmove(msr + sizeof(struct hypr_vmo_msr), msr + sizeof(struct hypr_vmo_msr) + gone,
		vcpu->xsave_bytes);
	section->bytes -= gone;
	vcpu->nr_msrs = 1;
	return true;
}

/* Its guest saw the banks that KVM gives, and goes on with MSRs as after power-on. */
static void test_a_file_from_before(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;

	set_unnamed(0x1000);
	rewrite(f, named_alone);
	assert_int_equal(resurrect(f, f->file, 0), 0);
	assert_int_equal(f->clone->mce_banks, 32);
	assert_int_equal(f->clone->nr_msrs, 2 + 16 + 1 + 2 + 8 + 1 + 32 * 4);
	assert_int_equal(hypr_vm_start(f->clone), 0);
	assert_true(fake_kvm_runs());
	assert_int_equal(fake_kvm.vcpu[1].msr[0x2ff], 0);
	assert_int_equal(fake_kvm.vcpu[1].mce_banks, 0);
	/* Saved again it says how many there are. */
	unlink(f->other);
	f->vm = f->clone;
	save(f, f->other);
	end(f);
	f->clone = NULL;
	assert_int_equal(resurrect(f, f->other, 0), 0);
	assert_int_equal(f->clone->mce_banks, 32);
	hypr_vm_destroy(f->clone);
	f->clone = NULL;
	/* A VM of today has another CPU. */
	fake_kvm_reset();
	c.name = "vm1";
	c.kernel = f->kernel;
	c.vcpus = FAKE_VCPUS;
	assert_int_equal(hypr_vm_create(&c, &f->vm), 0);
	assert_int_equal(hypr_vm_start(f->vm), 0);
	assert_int_equal(hypr_view_load(f->vm, "A", f->file, 0, NULL), -EOPNOTSUPP);
	assert_non_null(strstr(hypr_error(), "32 machine check banks, that of the VM has 1"));
}

/* ---- interrupts that are on their way -------------------------------------- */

static bool console_is_raised(void)
{
	return fake_kvm_is_raised(&fake_kvm.vcpu[0].lapic, FAKE_LINE_VECTOR);
}

/* A line that rises when the state is loaded is an edge that the LAPIC keeps. */
static void test_a_line_outlives_the_load(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_state *state;

	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	state = f->vm->active->state;
	state->console.ier = 1;
	state->console.rx_tail = state->console.rx_head + 1;
	save(f, f->file);
	end(f);
	assert_int_equal(resurrect(f, f->file, 0), 0);
	assert_int_equal(hypr_vm_start(f->clone), 0);
	assert_true(console_is_raised());
	assert_int_equal(fake_kvm.irr, 1u << HYPR_CONSOLE_IRQ);
}

/* One that a chip took for high falls, or the next edge would be none. */
static void test_a_line_that_is_low_falls(void **ctx)
{
	struct fixture *f = *ctx;

	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	f->vm->active->state->chip[2].chip.ioapic.irr = 1u << HYPR_CONSOLE_IRQ;
	save(f, f->file);
	end(f);
	assert_int_equal(resurrect(f, f->file, 0), 0);
	assert_int_equal(hypr_vm_start(f->clone), 0);
	assert_int_equal(fake_kvm.irr, 0);
}

static struct hypr_console *typed_at;
static unsigned int typed;

static void type(void)
{
	typed += hypr_console_receive(typed_at, (const uint8_t *)"k", 1);
}

/* A key that is hit while the state is saved: in all of it or in none. */
static void test_nothing_arrives_during_a_save(void **ctx)
{
	struct fixture *f = *ctx;
	const struct hypr_state *state;

	hypr_console_write(&f->vm->console, 1, 1);
	typed_at = &f->vm->console;
	typed = 0;
	fake_kvm.on_save = type;
	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	fake_kvm.on_save = NULL;
	state = f->vm->active->state;
	assert_int_equal(typed, 0);
	assert_int_equal(state->console.rx_tail - state->console.rx_head, 0);
	type();
	assert_int_equal(typed, 0);
	assert_false(console_is_raised());
	assert_int_equal(hypr_vm_resume(f->vm), 0);
	type();
	assert_int_equal(typed, 1);
	assert_true(console_is_raised());
}

/* What was typed before the state was loaded is for the guest that is loaded. */
static void test_input_that_waits(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;
	char text[200];
	int fds[2], i;

	save(f, f->file);
	end(f);
	memset(text, 'q', sizeof(text));
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], text, sizeof(text)), sizeof(text));
	c.name = "vm2";
	c.vmo = f->file;
	c.console_in = fds[0];
	assert_int_equal(hypr_vm_create(&c, &f->clone), 0);
	assert_int_equal(hypr_vm_start(f->clone), 0);
	for (i = 0; i < (int)sizeof(text); i++) {
		uint64_t deadline = hypr_now_ns() + 5000000000ull;

		while (!(hypr_console_read(&f->clone->console, 5) & 1) &&
		       hypr_now_ns() < deadline)
			usleep(1000);
		assert_int_equal(hypr_console_read(&f->clone->console, 0), 'q');
	}
	hypr_vm_destroy(f->clone);
	f->clone = NULL;
	close(fds[0]);
	close(fds[1]);
}

/* A busy host: no vCPU goes a step before its state is loaded. */
static void test_slow_threads_wait_for_their_state(void **ctx)
{
	struct fixture *f = *ctx;

	save(f, f->file);
	end(f);
	assert_int_equal(resurrect(f, f->file, 0), 0);
	fake_kvm.flags = FAKE_SLOW_START;
	assert_int_equal(hypr_vm_start(f->clone), 0);
	assert_true(fake_kvm_runs());
	assert_false(fake_kvm.ran_unloaded);
}

/* ---- what is refused ----------------------------------------------------- */

static void refused(struct fixture *f, int err, const char *words)
{
	assert_int_equal(resurrect(f, f->file, 0), err);
	assert_null(f->clone);
	if (!strstr(hypr_error(), words))
		fail_msg("'%s' is not in: %s", words, hypr_error());
	assert_non_null(strstr(hypr_error(), f->file));
	assert_int_equal(fake_kvm.slots, 0);
}

static void test_no_file(void **ctx)
{
	struct fixture *f = *ctx;

	end(f);
	refused(f, -ENOENT, "No such file");
	fake_kernel_write(f->file);
	refused(f, -ENOEXEC, "");
}

/* A copy with one section changed by @edit, or left out when it returns false. */
static void rewrite(struct fixture *f, bool (*edit)(struct hypr_vmo_section *s, uint8_t *data))
{
	const struct hypr_vmo_section *table;
	struct hypr_vmo_params p = {
		.size = sizeof(p), .flags = HYPR_VMO_REPLACE, .nr_vcpus = FAKE_VCPUS,
		.mem_bytes = HYPR_MEM_MIN_BYTES,
	};
	struct hypr_vmo_writer *writer;
	struct hypr_vmo *vmo;
	unsigned int i, n;

	save(f, f->other);
	assert_int_equal(hypr_vmo_open(f->other, &vmo), 0);
	assert_int_equal(hypr_vmo_writer_create(f->file, &p, &writer), 0);
	n = hypr_vmo_sections(vmo, &table);
	for (i = 0; i < n; i++) {
		struct hypr_vmo_section section = table[i];
		const void *data;
		uint8_t *copy;
		size_t bytes;

		if (section.type < HYPR_VMO_VCPU)
			continue;
		assert_int_equal(hypr_vmo_section(vmo, section.type, section.index, &data,
						  &bytes, NULL), 0);
		copy = malloc(bytes);
		memcpy(copy, data, bytes);
		section.bytes = bytes;
		if (edit(&section, copy))
			assert_int_equal(hypr_vmo_writer_section(writer, section.type,
								 section.index,
								 section.version, 0, copy,
								 section.bytes), 0);
		free(copy);
	}
	assert_int_equal(hypr_vmo_writer_commit(writer, NULL), 0);
	hypr_vmo_writer_destroy(writer);
	hypr_vmo_close(vmo);
	end(f);
}

static uint32_t left_out;

static bool leave_out(struct hypr_vmo_section *section, uint8_t *data)
{
	(void)data;
	return section->type != left_out || section->index;
}

static void test_sections_that_are_missing(void **ctx)
{
	struct fixture *f = *ctx;
	static const uint32_t types[] = {
		HYPR_VMO_CHIPS, HYPR_VMO_PIT, HYPR_VMO_CONSOLE, HYPR_VMO_RTC, HYPR_VMO_VCPU,
		HYPR_VMO_CLOCK, HYPR_VMO_CPU,
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;

		left_out = types[i];
		rewrite(f, leave_out);
		refused(f, -EBADMSG, hypr_vmo_section_name(types[i]));
		unlink(f->other);
		c.name = "vm1";
		c.kernel = f->kernel;
		c.vcpus = FAKE_VCPUS;
		assert_int_equal(hypr_vm_create(&c, &f->vm), 0);
		assert_int_equal(hypr_vm_start(f->vm), 0);
		assert_true(fake_kvm_runs());
	}
}

static bool newer_pit(struct hypr_vmo_section *section, uint8_t *data)
{
	(void)data;
	if (section->type == HYPR_VMO_PIT)
		section->version = 2;
	return true;
}

static void test_newer_section(void **ctx)
{
	rewrite(*ctx, newer_pit);
	refused(*ctx, -EOPNOTSUPP, "PIT 0 has version 2");
}

static bool short_vcpu(struct hypr_vmo_section *section, uint8_t *data)
{
	(void)data;
	if (section->type == HYPR_VMO_VCPU && section->index == 1)
		section->bytes -= 8;
	return true;
}

static void test_short_section(void **ctx)
{
	rewrite(*ctx, short_vcpu);
	refused(*ctx, -EBADMSG, "VCPU 1 has");
}

static bool wild_vcpu(struct hypr_vmo_section *section, uint8_t *data)
{
	if (section->type == HYPR_VMO_VCPU)
		((struct hypr_vmo_vcpu *)data)->nr_msrs = 0xffffffff;
	return true;
}

static void test_wild_count(void **ctx)
{
	rewrite(*ctx, wild_vcpu);
	refused(*ctx, -EBADMSG, "VCPU 0 has");
}

static bool wrong_control(struct hypr_vmo_section *section, uint8_t *data)
{
	if (section->type == HYPR_VMO_VCPU)
		((struct hypr_vmo_vcpu *)data)->control = 99;
	return true;
}

static void test_wrong_control_word(void **ctx)
{
	rewrite(*ctx, wrong_control);
	refused(*ctx, -EBADMSG, "VCPU 0: control is 0x63");
}

/* Bytes that were put in and not taken out: tail goes ahead of head, around 2^32 too. */
static void test_unread_input(void **ctx)
{
	static const uint32_t heads[] = { 0, 60, 0xfffffffe };
	struct fixture *f = *ctx;
	struct hypr_console_state *con;
	unsigned int i, n;

	assert_int_equal(hypr_vm_pause(f->vm, NULL), 0);
	con = &f->vm->active->state->console;
	for (i = 0; i < ARRAY_SIZE(heads); i++) {
		struct hypr_save_params p = params(i ? f->other : f->file);

		con->rx_head = heads[i];
		con->rx_tail = heads[i];
		for (n = 0; n < (i ? 5 : HYPR_CONSOLE_RX_BYTES); n++)
			con->rx[con->rx_tail++ % HYPR_CONSOLE_RX_BYTES] = (uint8_t)('a' + n % 5);
		p.flags = HYPR_SAVE_REPLACE;
		assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), 0);
		if (hypr_view_load(f->vm, "A", p.path, 0, NULL))
			fail_msg("head %u: %s", heads[i], hypr_error());
		assert_memory_equal(&hypr_view_find(f->vm, "A")->state->console, con, sizeof(*con));
		assert_int_equal(hypr_view_remove(f->vm, "A"), 0);
	}
	end(f);
	assert_int_equal(resurrect(f, f->other, 0), 0);
	assert_int_equal(hypr_vm_start(f->clone), 0);
	for (n = 0; n < 5; n++)
		assert_int_equal(hypr_console_read(&f->clone->console, 0), 'a' + n);
	assert_int_equal(hypr_console_read(&f->clone->console, 5) & 1, 0);
}

static int ring_step;

/* The hostile file: an index behind the end of the registers. */
static bool wild_rtc(struct hypr_vmo_section *section, uint8_t *data)
{
	if (section->type == HYPR_VMO_RTC)
		((struct hypr_vmo_rtc *)data)->index = 255;
	return true;
}

static void test_wild_rtc(void **ctx)
{
	rewrite(*ctx, wild_rtc);
	refused(*ctx, -EBADMSG, "RTC 0: index is 0xff");
}

/* A chip in another's place would be loaded into that. */
static bool wild_chip(struct hypr_vmo_section *section, uint8_t *data)
{
	if (section->type == HYPR_VMO_CHIPS)
		((struct hypr_vmo_chips *)data)->chip[0].chip_id = KVM_IRQCHIP_IOAPIC;
	return true;
}

static void test_wild_chip(void **ctx)
{
	rewrite(*ctx, wild_chip);
	refused(*ctx, -EBADMSG, "CHIPS 0: chip[0].chip_id is 0x2");
}

static bool wild_ring(struct hypr_vmo_section *section, uint8_t *data)
{
	struct hypr_vmo_console *con = (struct hypr_vmo_console *)data;

	if (section->type == HYPR_VMO_CONSOLE)
		con->rx_tail = con->rx_head + (uint32_t)ring_step;
	return true;
}

static void test_wild_ring(void **ctx)
{
	ring_step = 65;
	rewrite(*ctx, wild_ring);
	refused(*ctx, -EBADMSG, "CONSOLE");
}

/* More was taken out than was put in. */
static void test_wild_ring_back(void **ctx)
{
	ring_step = -1;
	rewrite(*ctx, wild_ring);
	refused(*ctx, -EBADMSG, "CONSOLE");
}

static bool other_msr(struct hypr_vmo_section *section, uint8_t *data)
{
	if (section->type == HYPR_VMO_VCPU)
		((struct hypr_vmo_msr *)(data + sizeof(struct hypr_vmo_vcpu)))->index ^= 1;
	return true;
}

static void test_other_msr(void **ctx)
{
	rewrite(*ctx, other_msr);
	refused(*ctx, -EOPNOTSUPP, "MSR 0xc0000083");
}

static bool promises(struct hypr_vmo_section *section, uint8_t *data)
{
	struct hypr_vmo_msr *msr = (struct hypr_vmo_msr *)(data + sizeof(struct hypr_vmo_vcpu));

	if (section->type == HYPR_VMO_VCPU) {
		assert_int_equal(msr[1].index, 0x10a);
		msr[1].value = 0x80029;
	}
	return true;
}

/* "Not affected by", on a host that is; a host that has it, and is told to take care. */
static void test_an_msr_that_promises(void **ctx)
{
	struct fixture *f = *ctx;

	rewrite(f, promises);
	fake_kvm.arch_capabilities = 0x21;
	refused(f, -EOPNOTSUPP, "IA32_ARCH_CAPABILITIES[3], which this host lacks");
	fake_kvm.arch_capabilities = 0x3f;
	assert_int_equal(resurrect(f, f->file, 0), 0);
}

static bool msr_twice(struct hypr_vmo_section *section, uint8_t *data)
{
	struct hypr_vmo_msr *msr = (struct hypr_vmo_msr *)(data + sizeof(struct hypr_vmo_vcpu));

	if (section->type == HYPR_VMO_VCPU)
		msr[1].index = msr[0].index;
	return true;
}

static void test_msr_twice(void **ctx)
{
	rewrite(*ctx, msr_twice);
	refused(*ctx, -EBADMSG, "MSR 0xc0000082 is there twice");
}

static bool wild_banks(struct hypr_vmo_section *section, uint8_t *data)
{
	struct hypr_vmo_vcpu *vcpu = (struct hypr_vmo_vcpu *)data;
	struct hypr_vmo_msr *msr = (struct hypr_vmo_msr *)(vcpu + 1);

	if (section->type == HYPR_VMO_VCPU)
		msr[vcpu->nr_msrs - 1].value = 33;
	return true;
}

static void test_wild_banks(void **ctx)
{
	rewrite(*ctx, wild_banks);
	refused(*ctx, -EOPNOTSUPP, "MCG_CAP 0x21");
}

static bool other_vendor(struct hypr_vmo_section *section, uint8_t *data)
{
	struct kvm_cpuid_entry2 *entry = (struct kvm_cpuid_entry2 *)data;

	if (section->type == HYPR_VMO_CPU) {
		memcpy(&entry[0].ebx, "Auth", 4);
		memcpy(&entry[0].edx, "enti", 4);
		memcpy(&entry[0].ecx, "cAMD", 4);
	}
	return true;
}

static void test_other_vendor(void **ctx)
{
	rewrite(*ctx, other_vendor);
	refused(*ctx, -EOPNOTSUPP, "AuthenticAMD");
}

static void test_of_another_size(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;

	save(f, f->file);
	end(f);
	c.name = "vm3";
	c.kernel = f->kernel;
	c.vcpus = 1;
	assert_int_equal(hypr_vm_create(&c, &f->vm), 0);
	assert_int_equal(hypr_vm_start(f->vm), 0);
	assert_int_equal(hypr_view_load(f->vm, "A", f->file, 0, NULL), -EOPNOTSUPP);
	assert_non_null(strstr(hypr_error(), "2 vCPUs and 16 MiB, where the VM has 1"));
	assert_int_equal(hypr_view_list(f->vm, NULL, 0), 1);
}

static void test_wrong_arguments(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;
	struct hypr_save_params p = params(f->file);

	p.flags = 64;
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), -EINVAL);
	p.flags = 0;
	p.path = NULL;
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), -EINVAL);
	save(f, f->file);
	p.path = f->file;
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), -EEXIST);
	p.flags = HYPR_SAVE_REPLACE;
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), 0);
	assert_int_equal(hypr_view_load(f->vm, "A", f->file, 64, NULL), -EINVAL);
	assert_int_equal(hypr_view_load(f->vm, "A", f->file, HYPR_LOAD_PREFAULT_NONE |
					HYPR_LOAD_PREFAULT_USED, NULL), -EINVAL);
	assert_int_equal(hypr_view_load(f->vm, "boot", f->file, 0, NULL), -EEXIST);
	assert_int_equal(files(f), 2);
	end(f);
	c.name = "vm2";
	c.vmo = f->file;
	c.kernel = f->kernel;
	assert_int_equal(hypr_vm_create(&c, &f->clone), -EINVAL);
	c.kernel = NULL;
	c.load_flags = 64;
	assert_int_equal(hypr_vm_create(&c, &f->clone), -EINVAL);
	c.vmo = NULL;
	c.kernel = f->kernel;
	c.load_flags = HYPR_LOAD_PREFAULT_NONE;
	assert_int_equal(hypr_vm_create(&c, &f->clone), -EINVAL);
	/* A caller that was built when there were no VMOs. */
	c.load_flags = 64;
	c.vmo = "garbage";
	c.size = offsetof(struct hypr_vm_config, vmo);
	assert_int_equal(hypr_vm_create(&c, &f->clone), 0);
}

/* Whichever ioctl fails: an error or a VM that runs, and nothing is left. */
static void test_each_ioctl_fails(void **ctx)
{
	struct fixture *f = *ctx;
	unsigned int n, failed = 0;

	save(f, f->file);
	end(f);
	for (n = 1; n < 500; n++) {
		int ret;

		fake_kvm_reset();
		fake_kvm.fail_at = n;
		ret = resurrect(f, f->file, 0);
		if (!ret)
			ret = hypr_vm_start(f->clone);
		failed += ret != 0;
		if (!ret)
			assert_true(fake_kvm_runs());
		ret = fake_kvm.ioctls < n;
		fake_kvm.fail_at = 0;
		hypr_vm_destroy(f->clone);
		f->clone = NULL;
		assert_int_equal(fake_kvm.slots, 0);
		if (ret)
			break;
	}
	assert_true(n < 500);
	assert_true(failed > 20);
}

static void test_full_disk(void **ctx)
{
	struct fixture *f = *ctx;
	struct hypr_save_params p = params("/dev/full/x.vmo");

	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), -ENOTDIR);
	assert_true(fake_kvm_runs());
	p.path = "/nowhere/at/all.vmo";
	assert_int_equal(hypr_view_save(f->vm, NULL, &p, NULL), -ENOENT);
	assert_non_null(strstr(hypr_error(), "/nowhere"));
	assert_true(fake_kvm_runs());
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(goes_on_in_a_new_vm),
		T(piped_input_is_not_lost),
		T(clones_have_generations_of_their_own),
		T(a_view_from_a_file_sees_a_jump),
		T(reset_goes_back_to_the_file),
		T(prefault_none),
		T(a_view_of_the_same_vm),
		T(the_moment_of_a_view),
		T(compare),
		T(compare_with_layers_and_packed),
		T(compare_refuses),
		T(parent),
		T(packed),
		T(packed_parent),
		T(time),
		T(time_never_goes_back),
		T(mtrrs_and_banks),
		T(a_file_from_before),
		T(a_line_outlives_the_load),
		T(a_line_that_is_low_falls),
		T(nothing_arrives_during_a_save),
		T(input_that_waits),
		T(slow_threads_wait_for_their_state),
		T(no_file),
		T(sections_that_are_missing),
		T(newer_section),
		T(short_section),
		T(wild_count),
		T(wrong_control_word),
		T(unread_input),
		T(wild_rtc),
		T(wild_chip),
		T(wild_ring),
		T(wild_ring_back),
		T(other_msr),
		T(an_msr_that_promises),
		T(msr_twice),
		T(wild_banks),
		T(other_vendor),
		T(of_another_size),
		T(wrong_arguments),
		T(each_ioctl_fails),
		T(full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
