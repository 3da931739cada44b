// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Recording which pages of a view are touched.  The kernel likes to map the
 * neighbours of a file's page with it.  It does not where writes are tracked by a
 * userfaultfd, so a view that is recorded has one, of the kind that reports nothing
 * to anybody.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "model/view.h"
#include "model/vm.h"
#include "view/record.h"

/* From <linux/userfaultfd.h>; the headers of Debian 12 are older. */
#define FEATURE_WP_ASYNC	(1ull << 15)

static int track(int fd, const struct hypr_view *view)
{
	struct uffdio_api api = { .api = UFFD_API, .features = FEATURE_WP_ASYNC };
	struct uffdio_register range = {
		.range = { .start = (uintptr_t)view->mem.host, .len = view->mem.bytes },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	if (ioctl(fd, UFFDIO_API, &api) < 0 || ioctl(fd, UFFDIO_REGISTER, &range) < 0)
		return -errno;
	return 0;
}

/** hypr_record_start() - of a view that nobody has touched yet */
int hypr_record_start(struct hypr_view *view)
{
	int fd, ret;

	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	ret = fd < 0 ? -errno : track(fd, view);
	if (ret) {
		if (fd >= 0)
			close(fd);
		return hypr_fail(-EOPNOTSUPP, "view '%s': recording which pages are touched needs userfaultfd with WP_ASYNC (Linux 6.7, CONFIG_PTE_MARKER_UFFD_WP): %s",
				 view->name, strerrorname_np(-ret));
	}
	/* A huge page would stand for pages that were not touched. */
	madvise(view->mem.host, view->mem.bytes, MADV_NOHUGEPAGE);
	view->record = (struct hypr_record){ .on = true, .fd = fd };
	return 0;
}

/** hypr_record_stop() - before the view's memory is unmapped */
void hypr_record_stop(struct hypr_view *view)
{
	if (view->record.on)
		close(view->record.fd);
	view->record.on = false;
}

/** hypr_record_spoil() - hypr itself reads all of the view: @why, as "was verified" */
void hypr_record_spoil(struct hypr_view *view, const char *why)
{
	view->record.spoilt = why;
}
