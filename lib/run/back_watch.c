// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A guest's reset that went on in the view's spare leaves the view's memory to be put back, and
 * no thread of this process was there (back.c).  The kernel signals an eventfd, and a thread
 * that waits for it begins an operation, by which view and spare change places.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <unistd.h>

#include "base/error.h"
#include "base/thread.h"
#include "model/vm.h"
#include "run/back_watch.h"
#include "run/op.h"

static void *watch_thread(void *arg)
{
	struct hypr_vm *vm = arg;
	uint64_t times;

	while (read(vm->back.event, &times, sizeof(times)) == sizeof(times) &&
	       !__atomic_load_n(&vm->back.ends, __ATOMIC_SEQ_CST)) {
		if (!hypr_vm_op_begin_memory(vm))
			hypr_vm_op_end(vm);
	}
	return NULL;
}

/** hypr_back_watch() - if the kernel serves requests; op_lock held */
int hypr_back_watch(struct hypr_vm *vm)
{
	int ret;

	if (!vm->back.page || vm->back.watches)
		return 0;
	ret = hypr_thread_start(&vm->back.watch, watch_thread, vm);
	__atomic_store_n(&vm->back.watches, !ret, __ATOMIC_SEQ_CST);
	return ret ? hypr_fail_thread(ret, "the thread that waits for spares to be used") : 0;
}

/** hypr_back_watch_end() - after the VM has ended, without op_lock */
void hypr_back_watch_end(struct hypr_vm *vm)
{
	const uint64_t once = 1;

	__atomic_store_n(&vm->back.ends, true, __ATOMIC_SEQ_CST);
	if (!__atomic_exchange_n(&vm->back.watches, false, __ATOMIC_SEQ_CST))
		return;
	if (write(vm->back.event, &once, sizeof(once)) == sizeof(once))
		pthread_join(vm->back.watch, NULL);
}
