// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tiny guest: 64-bit, flat, interrupts on.  It says again and again in
 * which view it is, carries out the test's commands, and answers vector 0xF0
 * as the control page asks for.  All of it stands in one section that is
 * copied into the guest's memory, so it may call nothing outside of it, and is
 * compiled without SSE, red zone, jump tables and stack protector.
 */
#include "guest.h"
#include "guest_cpu.h"

#include <stdbool.h>
#include <linux/kvm_hypr.h>

#define CONTROL ((volatile struct hypr_control_page *)HYPR_CONTROL_GPA)

static inline volatile struct guest_cpu *guest_cpu(uint64_t index)
{
	return (volatile struct guest_cpu *)
		(GUEST_SHARED_GPA + GUEST_CPU(index));
}

static inline volatile uint64_t *word(uint64_t address)
{
	return (volatile uint64_t *)address;
}

static inline volatile uint32_t *word32(uint64_t address)
{
	return (volatile uint32_t *)address;
}

GUEST static void halt_until_woken(volatile struct guest_cpu *me)
{
	for (;;) {
		/* STI takes effect after HLT: no wake-up gets lost between. */
		asm volatile("cli" ::: "memory");
		if (!me->halt)
			break;
		asm volatile("sti; hlt" ::: "memory");
	}
	asm volatile("sti" ::: "memory");
}

GUEST static void fill(uint64_t start, uint64_t end, uint64_t seed)
{
	uint64_t gpa;

	for (gpa = start; gpa < end; gpa += 4096)
		*word(guest_pattern_at(gpa)) = guest_pattern(gpa, seed);
}

GUEST static void verify(volatile struct guest_cpu *me, uint64_t start,
			 uint64_t end, uint64_t seed)
{
	uint64_t gpa, bad = 0, first = 0;

	for (gpa = start; gpa < end; gpa += 4096) {
		if (*word(guest_pattern_at(gpa)) == guest_pattern(gpa, seed))
			continue;
		if (!bad++)
			first = gpa;
	}
	me->result[0] = bad;
	me->result[1] = first;
}

static void tell_view(volatile struct guest_cpu *me);

/*
 * A guest that means harm: states of all vCPUs, often ones that mean something,
 * and now and then any other word of the page.
 */
GUEST static void scribble(volatile struct guest_cpu *me)
{
	uint64_t x = me->arg[0] | 1;

	while (me->halt) {
		x ^= x >> 12;
		x ^= x << 25;
		x ^= x >> 27;
		if (x & 7)
			CONTROL->vcpu[(x >> 8) % 4].state =
				x & 8 ? (x >> 16) & 3 : (uint32_t)(x >> 16);
		else
			*word(HYPR_CONTROL_GPA + ((x >> 8) & 0xff8)) = x;
		tell_view(me);
	}
}

/* The host that lets it out again and again has set @halt. */
GUEST static void go_out(volatile struct guest_cpu *me)
{
	do {
		asm volatile("outb %b0, %w1" : : "a"(0),
			     "d"((uint16_t)me->arg[0]));
	} while (me->halt);
}

/* The shortest loop that tells in which view the vCPU is. */
GUEST static void show_view(volatile struct guest_cpu *me)
{
	while (me->halt) {
		me->view = *word(GUEST_ID_GPA);
		me->beats++;
	}
}

static inline uint64_t tsc(void)
{
	uint32_t lo, hi;

	asm volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

/* CPUID always exits, and KVM answers it in the kernel. */
GUEST static void time_cpuid(volatile struct guest_cpu *me)
{
	uint64_t n = me->arg[0], start = tsc();
	uint32_t a, b, c, d;

	for (; n; n--) {
		a = 0;
		c = 0;
		asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	}
	me->result[0] = tsc() - start;
}

GUEST static uint64_t read_cli(uint64_t address)
{
	uint64_t value;

	asm volatile("cli; movq (%1), %0; sti" : "=r"(value) : "r"(address)
		     : "memory");
	return value;
}

/* One instruction each that reads from a device and writes to memory. */
GUEST static void movs(uint64_t from, uint64_t to)
{
	asm volatile("movsq" : "+S"(from), "+D"(to) : : "memory");
}

GUEST static void ins(uint64_t port, uint64_t to)
{
	asm volatile("insl" : "+D"(to) : "d"((uint16_t)port) : "memory");
}

static inline void invlpg(uint64_t address)
{
	asm volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static inline void reload_cr3(void)
{
	uint64_t cr3;

	asm volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3) : : "memory");
}

GUEST static uint64_t churn_round(volatile struct guest_cpu *me, uint64_t round)
{
	uint64_t table = me->arg[1] + (round & 1) * 0x1000, va = me->arg[3], i, wrong = 0;

	for (i = 0; i < CHURN_FRAMES; i++)
		word(table)[i] = (me->arg[1] + 0x2000 + (i + round) % CHURN_FRAMES * 0x1000) | 3;
	*word(me->arg[2]) = table | 3;
	reload_cr3();
	for (i = 0; i < CHURN_FRAMES; i++)
		wrong += *word(va + i * 0x1000) != (i + round) % CHURN_FRAMES + 1;
	i = word(table)[0] & ~0xfffull;
	word(table)[0] = (word(table)[1] & ~0xfffull) | 3;
	word(table)[1] = i | 3;
	invlpg(va);
	invlpg(va + 0x1000);
	wrong += *word(va) != (1 + round) % CHURN_FRAMES + 1;
	wrong += *word(va + 0x1000) != round % CHURN_FRAMES + 1;
	return wrong;
}

GUEST static void churn(volatile struct guest_cpu *me)
{
	uint64_t rounds = me->arg[0], start = tsc(), round, wrong = 0;

	for (round = 0; round < rounds; round++)
		wrong += churn_round(me, round);
	me->result[0] = wrong;
	me->result[1] = tsc() - start;
}

GUEST static void request(volatile struct guest_cpu *me)
{
	while (me->halt) {
		me->beats++;
		if (!me->arg[3])
			continue;
		me->arg[3]--;
		if (me->arg[2]) {
			me->result[2] += *word(me->arg[2]) == ~0ull;
			*word(me->arg[2]) = ~0ull;
		}
		me->result[0]++;
		asm volatile("outl %0, %w1" : : "a"((uint32_t)me->arg[1]),
			     "d"((uint16_t)me->arg[0]) : "memory");
		me->result[1]++;
	}
}

GUEST static void remap(uint64_t entry, uint64_t value, uint64_t address)
{
	*word(entry) = value;
	invlpg(address);
}

GUEST static void run_command(volatile struct guest_cpu *me, uint64_t index)
{
	uint32_t cmd = me->cmd;

	if (cmd == GUEST_READ)
		me->result[0] = *word(me->arg[0]);
	else if (cmd == GUEST_WRITE)
		*word(me->arg[0]) = me->arg[1];
	else if (cmd == GUEST_FILL)
		fill(me->arg[0], me->arg[1], me->arg[2]);
	else if (cmd == GUEST_VERIFY)
		verify(me, me->arg[0], me->arg[1], me->arg[2]);
	else if (cmd == GUEST_HALT)
		halt_until_woken(me);
	else if (cmd == GUEST_OUT)
		go_out(me);
	else if (cmd == GUEST_ONLINE)
		CONTROL->vcpu[index].state = HYPR_VCPU_RUNNING;
	else if (cmd == GUEST_SET_CR8)
		write_cr8(me->arg[0]);
	else if (cmd == GUEST_NESTED && me->arg[0])
		guest_nested_svm(me);
	else if (cmd == GUEST_NESTED)
		guest_nested(me);
	else if (cmd == GUEST_SCRIBBLE)
		scribble(me);
	else if (cmd == GUEST_READ32)
		me->result[0] = *word32(me->arg[0]);
	else if (cmd == GUEST_WRITE32)
		*word32(me->arg[0]) = me->arg[1];
	else if (cmd == GUEST_RDMSR)
		me->result[0] = rdmsr(me->arg[0]);
	else if (cmd == GUEST_WRMSR)
		wrmsr(me->arg[0], me->arg[1]);
	else if (cmd == GUEST_SHOW)
		show_view(me);
	else if (cmd == GUEST_CPUID)
		time_cpuid(me);
	else if (cmd == GUEST_READ_CLI)
		me->result[0] = read_cli(me->arg[0]);
	else if (cmd == GUEST_MOVS)
		movs(me->arg[0], me->arg[1]);
	else if (cmd == GUEST_INS)
		ins(me->arg[0], me->arg[1]);
	else if (cmd == GUEST_REMAP)
		remap(me->arg[0], me->arg[1], me->arg[2]);
	else if (cmd == GUEST_CHURN)
		churn(me);
	else if (cmd == GUEST_REQUEST)
		request(me);
}

GUEST static void tell_view(volatile struct guest_cpu *me)
{
	uint64_t ask = me->ask;
	uint64_t view = *word(GUEST_ID_GPA);
	uint64_t count = me->log_count;

	if (!count || me->view != view) {
		if (count < GUEST_LOG_MAX)
			me->log[count] = view;
		me->log_count = count + 1;
	}
	me->view = view;
	me->view2 = *word(GUEST_ID2_GPA);
	me->answer = ask;
	me->beats++;
}

/* The first function of the guest: RDI is the vCPU's index. */
GUEST void guest_entry(uint64_t index)
{
	volatile struct guest_cpu *me = guest_cpu(index);

	if (me->xapic)
		*word32(GUEST_APIC_VA + 0xf0) = 0x100 | 0xff;
	else if (!me->no_apic)
		wrmsr(X2APIC_SVR, 0x100 | 0xff);
	asm volatile("sti");
	for (;;) {
		tell_view(me);
		if (me->cmd_seq != me->done_seq) {
			run_command(me, index);
			me->done_seq = me->cmd_seq;
		}
	}
}

/*
 * Parked: interrupts on, but none let through, since a vCPU that is entered
 * with interrupts off would get the emulator into trouble, and it spins on
 * the control page alone.
 */
GUEST static void park(volatile struct hypr_control_vcpu *vcpu)
{
	uint64_t cr8 = read_cr8();
	uint32_t requested = HYPR_VCPU_PAUSE_REQUESTED;

	/* A request that was withdrawn meanwhile is none. */
	if (!__atomic_compare_exchange_n(&vcpu->state, &requested,
					 HYPR_VCPU_PAUSED, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return;
	write_cr8(15);
	asm volatile("sti" ::: "memory");
	while (vcpu->state == HYPR_VCPU_PAUSED)
		asm volatile("pause" ::: "memory");
	asm volatile("cli" ::: "memory");
	vcpu->pauses++;
	vcpu->generation = CONTROL->generation;
	write_cr8(cr8);
}

__attribute__((used))
GUEST static void pause_handler(void)
{
	uint64_t index = rdmsr(X2APIC_ID);
	volatile struct guest_cpu *me = guest_cpu(index);

	if (!(CONTROL->features & HYPR_CONTROL_NO_EOI))
		wrmsr(X2APIC_EOI, 0);
	me->pause_irqs++;
	if (!me->ignore_pause)
		park(&CONTROL->vcpu[index]);
}

/* The host has set bit 0 when taking it back is all that an EOI needs. */
GUEST static bool pv_eoi(uint64_t gpa)
{
	bool granted = false;

	if (gpa)
		asm volatile("lock btrl $0, %0" : "+m"(*word32(gpa)),
			     "=@ccc"(granted) : : "memory");
	return granted;
}

__attribute__((used))
GUEST static void wake_handler(void)
{
	uint64_t stack = (uintptr_t)__builtin_frame_address(0);
	/* Asking the APIC would be a VM-exit: with it the grant is gone. */
	volatile struct guest_cpu *me =
		guest_cpu((stack - GUEST_SHARED_GPA - GUEST_STACK(0)) >> 12);

	if (pv_eoi(me->pv_eoi_gpa))
		me->pv_eois++;
	else
		wrmsr(X2APIC_EOI, 0);
	me->wakes++;
}

/*
 * #PF, with the first word of the area that KVM was told of at 1: the page will
 * come.  Any other is a fault that nobody expected.
 */
__attribute__((used))
GUEST static bool page_fault_handler(void)
{
	uint64_t stack = (uintptr_t)__builtin_frame_address(0);
	volatile struct guest_cpu *me =
		guest_cpu((stack - GUEST_SHARED_GPA - GUEST_STACK(0)) >> 12);

	if (!me->apf_gpa || *word32(me->apf_gpa) != 1)
		return false;
	*word32(me->apf_gpa) = 0;
	me->apf_missing++;
	asm volatile("sti" ::: "memory");
	show_view(me);
	asm volatile("cli" ::: "memory");
	return true;
}

/* Nine pushes on a frame that starts aligned: 5 + 9 words keep it so. */
#define IRQ_STUB(name, handler)						\
	asm(".pushsection guest_text, \"ax\"\n"				\
	    ".globl " #name "\n" #name ":\n"				\
	    "push %rax\n push %rcx\n push %rdx\n push %rsi\n"		\
	    "push %rdi\n push %r8\n push %r9\n push %r10\n push %r11\n"	\
	    "cld\n call " #handler "\n"					\
	    "pop %r11\n pop %r10\n pop %r9\n pop %r8\n pop %rdi\n"	\
	    "pop %rsi\n pop %rdx\n pop %rcx\n pop %rax\n iretq\n"	\
	    ".popsection\n")

IRQ_STUB(guest_irq_pause, pause_handler);
IRQ_STUB(guest_irq_wake, wake_handler);

/* With an error code on the stack: 6 + 9 words, and one to align. */
asm(".pushsection guest_text, \"ax\"\n"
    ".globl guest_page_fault\nguest_page_fault:\n"
    "push %rax\n push %rcx\n push %rdx\n push %rsi\n"
    "push %rdi\n push %r8\n push %r9\n push %r10\n push %r11\n"
    "sub $8, %rsp\n cld\n call page_fault_handler\n add $8, %rsp\n"
    "test %al, %al\n"
    "pop %r11\n pop %r10\n pop %r9\n pop %r8\n pop %rdi\n"
    "pop %rsi\n pop %rdx\n pop %rcx\n pop %rax\n"
    "lea 8(%rsp), %rsp\n"
    "jz guest_fault\n iretq\n"
    ".popsection\n");

/* The host ends the test, and shows RIP and CR2. */
asm(".pushsection guest_text, \"ax\"\n"
    ".globl guest_fault\nguest_fault:\n"
    "mov (%rsp), %rbx\n mov 8(%rsp), %rcx\n"
    "out %al, $0x99\n 1: pause\n jmp 1b\n"
    ".popsection\n");
