// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's side of HYPR: find the control page at boot, park this CPU when
 * the host asks for it, and put right what a swap of the memory upset.
 *
 * The host may exchange the whole memory of this machine ("swap its view")
 * while all CPUs are parked.  Each view has a kernel of its own, of the same
 * boot, that was parked when the view was left.  So everything here is about
 * two questions: what may a parked CPU still touch (registers, this code and
 * the control page, which stand at the same place in every view), and how does
 * a released CPU notice that it sleeps no longer where it fell asleep (the
 * generation, kept once in the shared page and once in this view's memory).
 *
 * Nothing is done, and nothing said, where there is no control page.
 */
#define pr_fmt(fmt) "VMM control: " fmt

#include <linux/clocksource.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/init.h>
#include <linux/memblock.h>
#include <linux/nmi.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/timex.h>
#include <linux/workqueue.h>

#include <asm/apic.h>
#include <asm/desc.h>
#include <asm/early_ioremap.h>
#include <asm/fixmap.h>
#include <asm/idtentry.h>
#include <asm/irq_vectors.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include <asm/vmm_control.h>
#include <asm/x86_init.h>

#include <uapi/linux/kvm_hypr.h>

/* The vector is known in assembly too, so it cannot come from the ABI header. */
static_assert(VMM_CONTROL_VECTOR == HYPR_CONTROL_VECTOR);
static_assert(HYPR_CONTROL_SIZE == PAGE_SIZE);

/*
 * Vector 0xF0 is POSTED_INTR_NESTED_VECTOR on a kernel with KVM: both would
 * install a handler, and a nested posted interrupt would park a CPU.
 */
static_assert(!IS_ENABLED(CONFIG_KVM));

/* TPR class 15: every maskable interrupt that goes through the APIC waits. */
#define VMM_CONTROL_CR8_ALL	15UL

static struct hypr_control_page *vmm_control __ro_after_init;

/* In this view's memory: the place that this CPU, or any, acted on. */
static DEFINE_PER_CPU(u64, vmm_control_seen);
static DEFINE_RAW_SPINLOCK(vmm_control_lock);
static u64 vmm_control_reseeded;	/* under vmm_control_lock */

/*
 * One word for where this machine is in its possible pasts and futures.  The
 * generation alone may come again: memory from a file may have seen the same
 * count on another host.  @jump is random and never comes again; a host that
 * does not fill it leaves the count.
 */
static u64 vmm_control_place(void)
{
	return READ_ONCE(vmm_control->generation) ^
	       READ_ONCE(vmm_control->jump[1]);
}

/* This CPU's entry in the page; NULL for one that the page has no room for. */
static struct hypr_control_vcpu *vmm_control_vcpu(unsigned int cpu)
{
	u32 apicid = cpu_physical_id(cpu);

	if (apicid >= HYPR_CONTROL_MAX_VCPUS)
		return NULL;
	return &vmm_control->vcpu[apicid];
}

/*
 * Park: publish PAUSED and spin until the host writes another state.  Return
 * at once when the request was withdrawn meanwhile.  Called with interrupts
 * off.
 *
 * From the cmpxchg to the end of the loop nothing is used but registers, this
 * code, and the page at its fixmap address.  The page table is swapper_pg_dir,
 * so that the loop does not hang on a process' table that another view lacks.
 *
 * Interrupts are held back by CR8 and the loop runs with IF=1: there are hosts
 * (emulated ones) that deliver no interrupt of their own while a guest runs
 * that was entered with IF=0, and such a host could not take the CPU out of
 * this loop.  No maskable interrupt gets through class 15; those that arrive
 * stay pending in the APIC, which belongs to the view.  An NMI does get through
 * and finds a working kernel: LOADED_MM_SWITCHING tells it to keep off user
 * memory.
 *
 * The old CR3 is written back without CR3_NOFLUSH (a read never returns that
 * bit), so the entries of its PCID are flushed.  That is more than is needed
 * when nothing was swapped, and makes no assumption when something was.
 */
static noinstr void vmm_control_park(u32 *state)
{
	struct mm_struct *mm = this_cpu_read(cpu_tlbstate.loaded_mm);
	unsigned long cr3 = __native_read_cr3();
	u32 expected = HYPR_VCPU_PAUSE_REQUESTED;
	unsigned long cr8;

	this_cpu_write(cpu_tlbstate.loaded_mm, LOADED_MM_SWITCHING);
	asm volatile("mov	%%cr8, %[cr8]\n\t"
		     "mov	%[kernel_cr3], %%cr3\n\t"
		     "mov	%[cr8_all], %%cr8\n\t"
		     "sti\n\t"
		     "lock cmpxchgl %[paused], (%[state])\n\t"
		     "jne	2f\n"
		     "1:\n\t"
		     "pause\n\t"
		     "cmpl	%[paused], (%[state])\n\t"
		     "je	1b\n"
		     "2:\n\t"
		     "cli\n\t"
		     "mov	%[cr8], %%cr8\n\t"
		     "mov	%[cr3], %%cr3\n\t"
		     : [cr8] "=&r" (cr8), "+a" (expected)
		     : [kernel_cr3] "r" (__sme_pa(swapper_pg_dir)),
		       [cr8_all] "r" (VMM_CONTROL_CR8_ALL),
		       [paused] "r" (HYPR_VCPU_PAUSED),
		       [state] "r" (state), [cr3] "r" (cr3)
		     : "memory", "cc");
	this_cpu_write(cpu_tlbstate.loaded_mm, mm);
}

/*
 * Tell the random pool, and who else wants to know, that this machine may be one of
 * several that share its past.  In a workqueue, since add_vmfork_randomness() calls a
 * blocking notifier chain.
 */
static void vmm_control_reseed(struct work_struct *work)
{
	u64 id[] = {
		READ_ONCE(vmm_control->generation),
		READ_ONCE(vmm_control->jump[0]),
		READ_ONCE(vmm_control->jump[1]),
		READ_ONCE(vmm_control->boot_id[0]),
		READ_ONCE(vmm_control->boot_id[1]),
		random_get_entropy(),
	};

	add_vmfork_randomness(id, sizeof(id));
}

static DECLARE_DELAYED_WORK(vmm_control_reseed_work, vmm_control_reseed);

/*
 * No CPU goes on with random numbers that another copy of this memory gets, too: the first
 * changes the pool's key, while the others wait for it.  That is quick; a whole reseeding
 * is not, and follows when the guest has gone on, unless somebody waits for the news.
 *
 * What makes two copies differ is @jump.  A host that does not fill it leaves the time
 * stamp, and RDSEED or RDRAND, which only the reseeding mixes in.
 */
static void vmm_control_diverge(u64 place)
{
	u64 id[] = { READ_ONCE(vmm_control->jump[0]), READ_ONCE(vmm_control->jump[1]) };
	bool is_filled = id[0] | id[1];
	unsigned long delay;

	raw_spin_lock(&vmm_control_lock);
	if (vmm_control_reseeded != place) {
		vmm_control_reseeded = place;
		if (!is_filled) {
			id[0] = place;
			id[1] = random_get_entropy();
		}
		delay = random_memory_copied(id) || !is_filled ? 0 : HZ / 10;
		queue_delayed_work(system_highpri_wq, &vmm_control_reseed_work, delay);
	}
	raw_spin_unlock(&vmm_control_lock);
}

/*
 * The memory was swapped, or put back, since this CPU last looked.
 *
 * A host that does not move timers with the memory may have left the timer programmed for
 * a moment that is past, or on an APIC timer that was lost with the other view: raise its
 * interrupt.  The handler runs what is due and programs the next event, whatever mode it
 * is in, and merges with an interrupt that is pending already.
 *
 * The watchdogs would take the time in another view for a hang: pacify them.
 */
static void vmm_control_swapped(u64 place)
{
	if (!(READ_ONCE(vmm_control->features) & HYPR_CONTROL_MOVES_TIMERS))
		__apic_send_IPI_self(LOCAL_TIMER_VECTOR);

	touch_softlockup_watchdog_sync();
	clocksource_touch_watchdog();
	rcu_cpu_stall_reset();
	reset_hung_task_detector();

	vmm_control_diverge(place);
}

/*
 * The host asks this CPU to park, or, without a request in the page, to look at
 * the place: so it can tell a CPU that was swapped without having parked.
 *
 * The EOI is a VM-exit: it comes when the host waits no more.  Another host, to which this
 * moment was brought, may have it otherwise: what counts is how the interrupt was raised.
 */
DEFINE_IDTENTRY_SYSVEC(sysvec_vmm_control)
{
	struct hypr_control_vcpu *vcpu = vmm_control_vcpu(smp_processor_id());
	bool eoi = !(READ_ONCE(vmm_control->features) & HYPR_CONTROL_NO_EOI);
	u64 place;

	if (!vcpu) {
		if (eoi)
			apic_eoi();
		return;
	}

	if (READ_ONCE(vcpu->state) == HYPR_VCPU_PAUSE_REQUESTED) {
		vmm_control_park(&vcpu->state);
		WRITE_ONCE(vcpu->pauses, READ_ONCE(vcpu->pauses) + 1);
	}
	if (eoi)
		apic_eoi();

	place = vmm_control_place();
	if (place != this_cpu_read(vmm_control_seen)) {
		this_cpu_write(vmm_control_seen, place);
		vmm_control_swapped(place);
	}
	WRITE_ONCE(vcpu->generation, READ_ONCE(vmm_control->generation));
}

/* This CPU is up and answers vector 0xF0. */
static int vmm_control_cpu_online(unsigned int cpu)
{
	struct hypr_control_vcpu *vcpu = vmm_control_vcpu(cpu);

	if (!vcpu)
		return 0;

	this_cpu_write(vmm_control_seen, vmm_control_place());
	WRITE_ONCE(vcpu->generation, READ_ONCE(vmm_control->generation));
	cmpxchg(&vcpu->state, HYPR_VCPU_OFFLINE, HYPR_VCPU_RUNNING);
	return 0;
}

/*
 * This CPU goes down and must not be waited for.  A request that came first is
 * served first: its interrupt is on the way, and interrupts are on here.
 */
static int vmm_control_cpu_offline(unsigned int cpu)
{
	struct hypr_control_vcpu *vcpu = vmm_control_vcpu(cpu);

	if (!vcpu)
		return 0;

	while (cmpxchg(&vcpu->state, HYPR_VCPU_RUNNING, HYPR_VCPU_OFFLINE) ==
	       HYPR_VCPU_PAUSE_REQUESTED)
		cpu_relax();
	return 0;
}

static int vmm_control_fill_boot_id(struct notifier_block *nb,
				    unsigned long action, void *data)
{
	u64 boot_id[2];

	get_random_bytes(boot_id, sizeof(boot_id));
	WRITE_ONCE(vmm_control->boot_id[0], boot_id[0]);
	WRITE_ONCE(vmm_control->boot_id[1], boot_id[1]);
	return NOTIFY_DONE;
}

static struct notifier_block vmm_control_boot_id_nb = {
	.notifier_call = vmm_control_fill_boot_id,
};

/* Before secondary CPUs come up, so that each of them passes by. */
static int __init vmm_control_init(void)
{
	int ret;

	if (!vmm_control)
		return 0;

	vmm_control_reseeded = vmm_control_place();
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "x86/vmm_control:online",
				vmm_control_cpu_online,
				vmm_control_cpu_offline);
	if (ret < 0) {
		pr_err("no CPU hotplug state, pauses will not be answered (%d)\n",
		       ret);
		return ret;
	}
	return execute_with_initialized_rng(&vmm_control_boot_id_nb);
}
early_initcall(vmm_control_init);

/* KVM's local APIC needs no interrupt remapping for x2APIC mode. */
static bool __init vmm_control_has_x2apic(void)
{
	return true;
}

/*
 * Look for the page, keep it out of memblock's hands, and map it where every
 * view of this boot has it.  The vector goes in here as well: the IDT is closed
 * to newcomers by the time that initcalls run.
 */
void __init vmm_control_early_init(void)
{
	struct hypr_control_page *page;
	u32 version, nr_vcpus;
	u64 magic;

	page = early_memremap(HYPR_CONTROL_GPA, HYPR_CONTROL_SIZE);
	if (!page)
		return;
	magic = READ_ONCE(page->magic);
	version = READ_ONCE(page->version);
	nr_vcpus = READ_ONCE(page->nr_vcpus);
	early_memunmap(page, HYPR_CONTROL_SIZE);

	if (magic != HYPR_CONTROL_MAGIC)
		return;
	if (version != HYPR_CONTROL_VERSION) {
		pr_info("page at 0x%08llx has version %u, not %u: left alone\n",
			HYPR_CONTROL_GPA, version, HYPR_CONTROL_VERSION);
		return;
	}

	memblock_reserve(HYPR_CONTROL_GPA, HYPR_CONTROL_SIZE);
	set_fixmap(FIX_VMM_CONTROL, HYPR_CONTROL_GPA);
	vmm_control = (void *)fix_to_virt(FIX_VMM_CONTROL);
	sysvec_install(VMM_CONTROL_VECTOR, sysvec_vmm_control);
	x86_init.hyper.x2apic_available = vmm_control_has_x2apic;

	pr_info("page at 0x%08llx, version %u, %u vCPUs\n",
		HYPR_CONTROL_GPA, version, nr_vcpus);
}
