// SPDX-License-Identifier: GPL-2.0-only
/*
 * The form of every argument: each unknown flag and each reserved word of each
 * struct is refused with -EINVAL, a bad pointer with -EFAULT, and the same
 * argument without the flaw is taken.
 */
#include "harness.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VIEW	KVM_HYPR_VIEW_FIRST

static struct vm *prepared_vm(void)
{
	struct vm *vm = vm_new();

	vm_views_add(vm, 1);
	vm_vcpu_add(vm);
	OK(try_prepare(vm, VIEW));
	return vm;
}

/* Each word of [from, to) in turn is the only thing wrong with the argument. */
static void check_words_refused(int fd, unsigned long request,
				const void *good, size_t bytes, size_t from,
				size_t to)
{
	uint8_t arg[256];
	size_t at;

	CHECK(bytes <= sizeof(arg));
	for (at = from; at < to; at += 4) {
		memcpy(arg, good, bytes);
		arg[at + tap_random() % 4] = 1 << tap_random() % 8;
		if (try_ioctl(fd, request, arg) != -EINVAL)
			FAIL("request %#lx takes a word at offset %zu",
			     request, at);
	}
	memcpy(arg, good, bytes);
	OK(try_ioctl(fd, request, arg));
}

/* Each bit of the flags that is not among @known. */
static void check_flags_refused(int fd, unsigned long request,
				const void *good, size_t bytes, size_t at,
				uint32_t known)
{
	uint8_t arg[256];
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		uint32_t flags = 1u << bit;

		if (flags & known)
			continue;
		memcpy(arg, good, bytes);
		memcpy(arg + at, &flags, sizeof(flags));
		if (try_ioctl(fd, request, arg) != -EINVAL)
			FAIL("request %#lx takes flag %#x", request, flags);
	}
}

#define CHECK_RESERVED(fd, request, good, field)			\
	check_words_refused(fd, request, &(good), sizeof(good),		\
			    offsetof(__typeof__(good), field),		\
			    offsetof(__typeof__(good), field) +		\
			    sizeof((good).field))
#define CHECK_FLAGS(fd, request, good, known)				\
	check_flags_refused(fd, request, &(good), sizeof(good),		\
			    offsetof(__typeof__(good), flags), known)

static void test_prepare(void)
{
	struct kvm_hypr_prepare arg = { .view = VIEW };
	struct vm *vm = prepared_vm();

	CHECK_FLAGS(vm->fd, KVM_PREPARE_EPT_SWAP, arg, KVM_HYPR_PREPARE_RANGE);
	CHECK_RESERVED(vm->fd, KVM_PREPARE_EPT_SWAP, arg, reserved);
	CHECK_RET(try_ioctl(vm->fd, KVM_PREPARE_EPT_SWAP, NULL), -EFAULT);
}

static void test_commit(void)
{
	struct kvm_hypr_swap arg = { .view = VIEW };
	struct vm *vm = prepared_vm();

	CHECK_FLAGS(vm->fd, KVM_COMMIT_EPT_SWAP, arg,
		    KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_FLUSH |
		    KVM_EPT_SWAP_EXPECT | KVM_EPT_SWAP_VCPUS);
	CHECK_RESERVED(vm->fd, KVM_COMMIT_EPT_SWAP, arg, pages);
	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, NULL), -EFAULT);
}

static void test_swap_all(void)
{
	struct kvm_hypr_swap arg = { .view = VIEW };
	struct vm *vm = prepared_vm();

	CHECK_FLAGS(vm->fd, KVM_EPT_SWAP_ALL, arg,
		    KVM_EPT_SWAP_FORCE | KVM_EPT_SWAP_FLUSH | KVM_EPT_SWAP_EXPECT |
		    (on_hyprv() ? 0 : KVM_EPT_SWAP_PAUSE | KVM_EPT_SWAP_RESUME |
				      KVM_EPT_SWAP_STATE));
	CHECK_RESERVED(vm->fd, KVM_EPT_SWAP_ALL, arg, pages);
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, NULL), -EFAULT);
}

static void test_discard(void)
{
	struct kvm_hypr_discard arg = { .view = VIEW };
	struct vm *vm = prepared_vm();

	CHECK_FLAGS(vm->fd, KVM_HYPR_DISCARD_VIEW, arg, 0);
	CHECK_RESERVED(vm->fd, KVM_HYPR_DISCARD_VIEW, arg, reserved);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_DISCARD_VIEW, NULL), -EFAULT);
}

static void test_control_page(void)
{
	struct kvm_hypr_control arg = { .gpa = HYPR_CONTROL_GPA };
	struct vm *vm;

	need_kvm("control page");
	vm = prepared_vm();
	arg.userspace_addr = (uintptr_t)vm->control;
	CHECK_FLAGS(vm->fd, KVM_HYPR_SET_CONTROL_PAGE, arg, 0);
	check_words_refused(vm->fd, KVM_HYPR_SET_CONTROL_PAGE, &arg, sizeof(arg),
			    offsetof(struct kvm_hypr_control, reserved0),
			    sizeof(arg));
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_CONTROL_PAGE, NULL), -EFAULT);
}

static void test_cache(void)
{
	struct kvm_hypr_cache arg = { .max_tables = 100 };
	struct vm *vm;

	need_kvm("budget of tables");
	vm = prepared_vm();
	CHECK_FLAGS(vm->fd, KVM_HYPR_SET_CACHE, arg, KVM_HYPR_CACHE_GET);
	CHECK_RESERVED(vm->fd, KVM_HYPR_SET_CACHE, arg, reserved);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_SET_CACHE, NULL), -EFAULT);
}

static void test_pin(void)
{
	struct kvm_hypr_pin arg = { .view = VIEW };
	struct vm *vm;

	need_kvm("budget of tables");
	vm = prepared_vm();
	CHECK_FLAGS(vm->fd, KVM_HYPR_PIN_VIEW, arg, KVM_HYPR_PIN_UNPIN);
	CHECK_RESERVED(vm->fd, KVM_HYPR_PIN_VIEW, arg, reserved);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_PIN_VIEW, NULL), -EFAULT);
}

static void test_boards(void)
{
	struct kvm_hypr_keep_board keep = { .view = VIEW };
	struct kvm_hypr_board board = { .view = VIEW };
	struct kvm_pit_config config = { 0 };
	struct vm *vm;

	need_kvm("PIT");
	vm = prepared_vm();
	OK(try_ioctl(vm->fd, KVM_CREATE_PIT2, &config));
	CHECK_FLAGS(vm->fd, KVM_HYPR_KEEP_BOARD, keep, KVM_HYPR_KEPT_MOMENT);
	CHECK_RESERVED(vm->fd, KVM_HYPR_KEEP_BOARD, keep, reserved);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_KEEP_BOARD, NULL), -EFAULT);
	CHECK_FLAGS(vm->fd, KVM_HYPR_GET_BOARD, board, KVM_HYPR_KEPT_MOMENT);
	CHECK_RESERVED(vm->fd, KVM_HYPR_GET_BOARD, board, reserved);
	CHECK_RET(try_ioctl(vm->fd, KVM_HYPR_GET_BOARD, NULL), -EFAULT);
}

static void test_set_eptp(void)
{
	struct kvm_hypr_eptp arg = { 0 };
	struct vm *vm = prepared_vm();
	int fd = vm->vcpu[0].fd;

	OK(try_ioctl(fd, KVM_GET_EPTP, &arg));
	arg.flags = 0;
	CHECK_FLAGS(fd, KVM_SET_EPTP, arg, 0);
	CHECK_RESERVED(fd, KVM_SET_EPTP, arg, reserved);
	CHECK_RET(try_ioctl(fd, KVM_SET_EPTP, NULL), -EFAULT);
	CHECK_RET(try_ioctl(fd, KVM_GET_EPTP, NULL), -EFAULT);
}

/* The fields of flags that are not set must be zero like reserved ones. */
static void test_fields_without_flag(void)
{
	struct kvm_hypr_prepare prepare = { .view = VIEW };
	struct kvm_hypr_swap swap = { .view = VIEW };
	struct vm *vm = prepared_vm();

	CHECK_RESERVED(vm->fd, KVM_PREPARE_EPT_SWAP, prepare, gpa);
	CHECK_RESERVED(vm->fd, KVM_PREPARE_EPT_SWAP, prepare, size);
	CHECK_RESERVED(vm->fd, KVM_COMMIT_EPT_SWAP, swap, vcpu_mask);
	CHECK_RESERVED(vm->fd, KVM_COMMIT_EPT_SWAP, swap, expected_view);
	CHECK_RESERVED(vm->fd, KVM_EPT_SWAP_ALL, swap, vcpu_mask);
	CHECK_RESERVED(vm->fd, KVM_EPT_SWAP_ALL, swap, expected_view);
}

static void test_timeout(void)
{
	struct kvm_hypr_swap arg = { .view = VIEW };
	struct vm *vm = prepared_vm();

	arg.timeout_ns = KVM_EPT_SWAP_TIMEOUT_MAX_NS + 1;
	CHECK_RET(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &arg), -EINVAL);
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &arg), -EINVAL);
	arg.timeout_ns = ~0ull;
	CHECK_RET(try_ioctl(vm->fd, KVM_EPT_SWAP_ALL, &arg), -EINVAL);
	arg.timeout_ns = KVM_EPT_SWAP_TIMEOUT_MAX_NS;
	OK(try_ioctl(vm->fd, KVM_COMMIT_EPT_SWAP, &arg));
}

static void test_on_wrong_fd(void)
{
	struct kvm_hypr_prepare prepare = { .view = VIEW };
	struct kvm_hypr_eptp eptp = { 0 };
	struct vm *vm = prepared_vm();

	CHECK(try_ioctl(vm->fd, KVM_GET_EPTP, &eptp) < 0);
	CHECK(try_ioctl(vm->vcpu[0].fd, KVM_PREPARE_EPT_SWAP, &prepare) < 0);
	CHECK(try_ioctl(vm->kvm, KVM_PREPARE_EPT_SWAP, &prepare) < 0);
}

static const struct test tests[] = {
	{ "KVM_PREPARE_EPT_SWAP: flags, reserved words, pointer", test_prepare },
	{ "KVM_COMMIT_EPT_SWAP: flags, reserved words, pointer", test_commit },
	{ "KVM_EPT_SWAP_ALL: flags, reserved words, pointer", test_swap_all },
	{ "KVM_HYPR_DISCARD_VIEW: flags, reserved words, pointer", test_discard },
	{ "KVM_HYPR_SET_CONTROL_PAGE: flags, reserved words, pointer",
	  test_control_page },
	{ "KVM_HYPR_SET_CACHE: flags, reserved words, pointer", test_cache },
	{ "KVM_HYPR_PIN_VIEW: flags, reserved words, pointer", test_pin },
	{ "KVM_HYPR_KEEP_BOARD, KVM_HYPR_GET_BOARD: the same", test_boards },
	{ "KVM_SET_EPTP: flags, reserved words, pointer", test_set_eptp },
	{ "EINVAL: a field whose flag is not set", test_fields_without_flag },
	{ "EINVAL: a timeout above the maximum", test_timeout },
	{ "an ioctl on the wrong kind of file descriptor", test_on_wrong_fd },
};

int main(int argc, char **argv)
{
	return TAP_RUN(tests, argc, argv);
}
