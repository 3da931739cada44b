// SPDX-License-Identifier: GPL-2.0-only
/* A VM on the KVM that is played; see played_vm.h. */

#include "hypr/hypr.h"
#include "played_vm.h"

#include "fake_kernel.h"

void (*played_on_pread)(const uint8_t *buf);

ssize_t __real_pread(int fd, void *buf, size_t bytes, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t bytes, off_t offset);

ssize_t __wrap_pread(int fd, void *buf, size_t bytes, off_t offset)
{
	void (*on_pread)(const uint8_t *buf) = __atomic_load_n(&played_on_pread, __ATOMIC_SEQ_CST);

	if (on_pread)
		on_pread(buf);
	return __real_pread(fd, buf, bytes, offset);
}

void played_start(struct played *p, unsigned int flags)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;

	fake_kvm_reset();
	fake_kvm.flags = flags;
	c.name = "vm1";
	c.kernel = p->kernel;
	c.engine = flags & FAKE_NO_HYPR ? HYPR_ENGINE_STOCK : NULL;
	c.vcpus = FAKE_VCPUS;
	c.pause_timeout_ms = 200;
	assert_int_equal(hypr_vm_create(&c, &p->vm), 0);
	assert_int_equal(hypr_vm_start(p->vm), 0);
	assert_true(fake_kvm_runs());
}

void played_end(struct played *p)
{
	hypr_vm_destroy(p->vm);
	p->vm = NULL;
	assert_int_equal(fake_kvm.slots, 0);
}

int played_resurrect(struct played *p, const char *path, unsigned int flags)
{
	struct hypr_vm_config c = HYPR_VM_CONFIG_INIT;
	int ret;

	played_end(p);
	fake_kvm_reset();
	fake_kvm.flags = flags;
	c.name = "vm2";
	c.vmo = path;
	c.pause_timeout_ms = 200;
	ret = hypr_vm_create(&c, &p->vm);
	if (ret)
		return ret;
	assert_int_equal(hypr_vm_start(p->vm), 0);
	assert_true(fake_kvm_runs());
	return 0;
}

void played_save(struct played *p, const char *path)
{
	struct hypr_save_params params = {
		.size = sizeof(params), .flags = HYPR_SAVE_REPLACE, .path = path,
	};

	assert_int_equal(hypr_view_save(p->vm, NULL, &params, NULL), 0);
}

int played_setup(void **ctx)
{
	struct played *p = calloc(1, sizeof(*p));

	strcpy(p->dir, "/tmp/hypr-played-XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->file, sizeof(p->file), "%s/a.vmo", p->dir);
	snprintf(p->other, sizeof(p->other), "%s/b.vmo", p->dir);
	snprintf(p->kernel, sizeof(p->kernel), "%s/kernel", p->dir);
	fake_kernel_write(p->kernel);
	played_start(p, 0);
	*ctx = p;
	return 0;
}

int played_teardown(void **ctx)
{
	struct played *p = *ctx;

	/* Threads of the library may be at work. */
	__atomic_store_n(&fake_kvm.fail_at, 0, __ATOMIC_SEQ_CST);
	fake_kvm.on_log_read = NULL;
	__atomic_store_n(&played_on_pread, NULL, __ATOMIC_SEQ_CST);
	played_end(p);
	unlink(p->file);
	unlink(p->other);
	unlink(p->kernel);
	assert_int_equal(rmdir(p->dir), 0);
	free(p);
	return 0;
}
