/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * HYPR views: tracepoints, in /sys/kernel/tracing/events/kvm_hypr.  The process that
 * made a VM names it, as in the names of KVM's debugfs folders.  No tracepoint fires
 * while a swap holds vCPUs at the barrier.
 */
#if !defined(__KVM_X86_VMX_EPT_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define __KVM_X86_VMX_EPT_TRACE_H

#include <linux/kvm_host.h>
#include <linux/tracepoint.h>

#include "vmx_ept_swap.h"

#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm_hypr

TRACE_DEFINE_ENUM(HYPR_EVICT_VM_BUDGET);
TRACE_DEFINE_ENUM(HYPR_EVICT_HOST_BUDGET);
TRACE_DEFINE_ENUM(HYPR_EVICT_SHRINKER);
TRACE_DEFINE_ENUM(TLB_WHY_EDIT);
TRACE_DEFINE_ENUM(TLB_WHY_LAST_ROOT_ONLY);
TRACE_DEFINE_ENUM(TLB_WHY_ASID);

/* KVM_PREPARE_EPT_SWAP ended. */
TRACE_EVENT(kvm_hypr_prepare,
	    TP_PROTO(struct kvm *kvm, const struct kvm_hypr_prepare *arg, int ret),
	    TP_ARGS(kvm, arg, ret),

	    TP_STRUCT__entry(__field(pid_t, vm)
			     __field(u32, view)
			     __field(u64, mapped)
			     __field(u64, skipped)
			     __field(u64, cycles)
			     __field(int, ret)),

	    TP_fast_assign(__entry->vm = kvm->userspace_pid;
			   __entry->view = arg->view;
			   __entry->mapped = arg->pages_mapped;
			   __entry->skipped = arg->pages_skipped;
			   __entry->cycles = arg->cycles;
			   __entry->ret = ret;),

	    TP_printk("vm %d view %u mapped %llu skipped %llu cycles %llu ret %d",
		      __entry->vm, __entry->view, __entry->mapped,
		      __entry->skipped, __entry->cycles, __entry->ret)
);

/* The vCPUs parked, or did not in time. */
TRACE_EVENT(kvm_hypr_pause,
	    TP_PROTO(struct kvm *kvm, const struct kvm_hypr_swap *swap, int ret),
	    TP_ARGS(kvm, swap, ret),

	    TP_STRUCT__entry(__field(pid_t, vm)
			     __field(u32, view)
			     __field(u64, cycles)
			     __field(int, ret)),

	    TP_fast_assign(__entry->vm = kvm->userspace_pid;
			   __entry->view = swap->view;
			   __entry->cycles = swap->pause_cycles;
			   __entry->ret = ret;),

	    TP_printk("vm %d for view %u cycles %llu ret %d", __entry->vm,
		      __entry->view, __entry->cycles, __entry->ret)
);

/* The vCPUs were held and let go, with the new view (ret 0) or the old one. */
TRACE_EVENT(kvm_hypr_commit,
	    TP_PROTO(struct kvm *kvm, const struct kvm_hypr_swap *swap, int ret),
	    TP_ARGS(kvm, swap, ret),

	    TP_STRUCT__entry(__field(pid_t, vm)
			     __field(u32, old_view)
			     __field(u32, view)
			     __field(u32, flags)
			     __field(u32, forced)
			     __field(u64, cycles)
			     __field(int, ret)),

	    TP_fast_assign(__entry->vm = kvm->userspace_pid;
			   __entry->old_view = swap->old_view;
			   __entry->view = swap->view;
			   __entry->flags = swap->flags;
			   __entry->forced = swap->forced;
			   __entry->cycles = swap->commit_cycles;
			   __entry->ret = ret;),

	    TP_printk("vm %d view %u -> %u flags %#x forced %u cycles %llu ret %d",
		      __entry->vm, __entry->old_view, __entry->view,
		      __entry->flags, __entry->forced, __entry->cycles,
		      __entry->ret)
);

/* A guest asked to be put back to its moment.  After an error user space is asked. */
TRACE_EVENT(kvm_hypr_back,
	    TP_PROTO(struct kvm_vcpu *vcpu, const struct kvm_hypr_swap *swap, int ret),
	    TP_ARGS(vcpu, swap, ret),

	    TP_STRUCT__entry(__field(pid_t, vm)
			     __field(int, vcpu)
			     __field(u32, view)
			     __field(u32, pages)
			     __field(u64, cycles)
			     __field(int, ret)),

	    TP_fast_assign(__entry->vm = vcpu->kvm->userspace_pid;
			   __entry->vcpu = vcpu->vcpu_id;
			   __entry->view = swap->view;
			   __entry->pages = swap->pages;
			   __entry->cycles = swap->commit_cycles;
			   __entry->ret = ret;),

	    TP_printk("vm %d vcpu %d view %u pages %u cycles %llu ret %d", __entry->vm,
		      __entry->vcpu, __entry->view, __entry->pages, __entry->cycles,
		      __entry->ret)
);

/* Parked vCPUs were released, requests that nobody answered withdrawn. */
TRACE_EVENT(kvm_hypr_resume,
	    TP_PROTO(struct kvm *kvm, u32 view),
	    TP_ARGS(kvm, view),

	    TP_STRUCT__entry(__field(pid_t, vm)
			     __field(u32, view)),

	    TP_fast_assign(__entry->vm = kvm->userspace_pid;
			   __entry->view = view;),

	    TP_printk("vm %d in view %u", __entry->vm, __entry->view)
);

/* KVM_HYPR_DISCARD_VIEW ended. */
TRACE_EVENT(kvm_hypr_discard,
	    TP_PROTO(struct kvm *kvm, u32 view, int ret),
	    TP_ARGS(kvm, view, ret),

	    TP_STRUCT__entry(__field(pid_t, vm)
			     __field(u32, view)
			     __field(int, ret)),

	    TP_fast_assign(__entry->vm = kvm->userspace_pid;
			   __entry->view = view;
			   __entry->ret = ret;),

	    TP_printk("vm %d view %u ret %d", __entry->vm, __entry->view,
		      __entry->ret)
);

/* The tables of a prepared view were given back by the host. */
TRACE_EVENT(kvm_hypr_evict,
	    TP_PROTO(struct kvm *kvm, u32 view, u64 tables, int reason),
	    TP_ARGS(kvm, view, tables, reason),

	    TP_STRUCT__entry(__field(pid_t, vm)
			     __field(u32, view)
			     __field(u64, tables)
			     __field(int, reason)),

	    TP_fast_assign(__entry->vm = kvm->userspace_pid;
			   __entry->view = view;
			   __entry->tables = tables;
			   __entry->reason = reason;),

	    TP_printk("vm %d view %u tables %llu reason %s", __entry->vm,
		      __entry->view, __entry->tables,
		      __print_symbolic(__entry->reason,
				       { HYPR_EVICT_VM_BUDGET, "vm-budget" },
				       { HYPR_EVICT_HOST_BUDGET, "host-budget" },
				       { HYPR_EVICT_SHRINKER, "shrinker" }))
);

/* A vCPU that takes a view drops its TLB entries before it enters the guest. */
TRACE_EVENT(kvm_hypr_flush,
	    TP_PROTO(struct kvm_vcpu *vcpu, u32 view, int reason),
	    TP_ARGS(vcpu, view, reason),

	    TP_STRUCT__entry(__field(pid_t, vm)
			     __field(int, vcpu)
			     __field(u32, view)
			     __field(int, reason)),

	    TP_fast_assign(__entry->vm = vcpu->kvm->userspace_pid;
			   __entry->vcpu = vcpu->vcpu_id;
			   __entry->view = view;
			   __entry->reason = reason;),

	    TP_printk("vm %d vcpu %d view %u reason %s", __entry->vm,
		      __entry->vcpu, __entry->view,
		      __print_symbolic(__entry->reason,
				       { TLB_WHY_EDIT, "edited" },
				       { TLB_WHY_LAST_ROOT_ONLY, "last-root-only" },
				       { TLB_WHY_ASID, "asid" }))
);

#endif /* __KVM_X86_VMX_EPT_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH vmx
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE ept_trace

/* This part must be outside protection */
#include <trace/define_trace.h>
