// SPDX-License-Identifier: GPL-2.0-only
/*
 * A multiboot kernel without an operating system: serial port, exit port, APIC timer, a
 * second CPU and IPIs.  Its command line says what it does, one word:
 *
 *   test      (default) all tests; exits with 0, or with the number of the one that failed
 *   exit=N    exits with N
 *   count     counts seconds of its timer on the console, for ever; halted in between
 *   wild      jumps to where no memory is
 *   reset     resets the machine
 *   xapic     as test, by the APIC's page in place of the x2APIC's MSRs
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERIAL		0x3f8
#define EXIT		0xf4
#define EAX_MULTIBOOT	0x2badb002
#define HAS_CMDLINE	(1u << 2)
#define HAS_MODULES	(1u << 3)
#define HAS_MAP		(1u << 6)

#define APIC_PAGE	0xfee00000ul
#define APIC_ID		0x20
#define APIC_SVR	0xf0
#define APIC_ICR	0x300
#define APIC_ICR_HIGH	0x310
#define APIC_LVT_TIMER	0x320
#define APIC_INITIAL	0x380
#define APIC_CURRENT	0x390
#define APIC_DIVIDE	0x3e0
#define APIC_BASE_MSR	0x1b
#define PERIODIC	(1u << 17)
#define TIMER_VECTOR	0x40
#define IPI_VECTOR	0x41
#define WORK_VECTOR	0x42
#define TICK_NS		1000000u	/* the timer counts nanoseconds */
#define STARTUP_PAGE	0x8000ul

struct multiboot_info {
	uint32_t flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	uint32_t syms[4], mmap_length, mmap_addr;
};

struct map_entry {
	uint32_t size;
	uint64_t base, bytes;
	uint32_t type;
} __attribute__((packed));

struct gate {
	uint16_t low, selector;
	uint8_t ist, type;
	uint16_t middle;
	uint32_t high, reserved;
};

extern const char other_start[], other_end[];
void on_timer(void);
void on_ipi(void);
void on_work(void);
void on_exception(void);
void main_first(uint32_t eax, const struct multiboot_info *info);
void main_other(uint32_t id);

/* What arrived: at the first CPU, and with @work_count at the other. */
volatile uint32_t timer_ticks, ipi_count, work_count;
uint32_t use_x2apic = 1;
static volatile uint32_t other_is_up, other_id;
static struct gate idt[256] __attribute__((aligned(16)));

/* ---- machine -------------------------------------------------------------- */

static void out8(uint16_t port, uint8_t value)
{
	asm volatile("outb %0, %1" : : "a"(value), "d"(port));
}

static _Noreturn void exit_with(uint32_t value)
{
	for (;;)
		asm volatile("outl %0, %1; hlt" : : "a"(value), "d"((uint16_t)EXIT));
}

static uint64_t rdmsr(uint32_t index)
{
	uint32_t low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
	return (uint64_t)high << 32 | low;
}

static void wrmsr(uint32_t index, uint64_t value)
{
	asm volatile("wrmsr" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
		     : "memory");
}

static uint32_t apic_read(uint32_t offset)
{
	uint32_t value;

	if (use_x2apic)
		return (uint32_t)rdmsr(0x800 + offset / 16);
	asm volatile("movl (%1), %0" : "=r"(value) : "r"(APIC_PAGE + offset) : "memory");
	return value;
}

static void apic_write(uint32_t offset, uint32_t value)
{
	if (use_x2apic)
		wrmsr(0x800 + offset / 16, value);
	else
		asm volatile("movl %0, (%1)" : : "r"(value), "r"(APIC_PAGE + offset) : "memory");
}

static void ipi(uint32_t id, uint32_t command)
{
	if (use_x2apic) {
		wrmsr(0x830, (uint64_t)id << 32 | command);
	} else {
		apic_write(APIC_ICR_HIGH, id << 24);
		apic_write(APIC_ICR, command);
	}
}

static void apic_on(void)
{
	if (use_x2apic)
		wrmsr(APIC_BASE_MSR, rdmsr(APIC_BASE_MSR) | 3u << 10);
	apic_write(APIC_SVR, 0x1ff);
}

static void gate_set(unsigned int vector, void (*handler)(void))
{
	uint64_t to = (uintptr_t)handler;

	idt[vector] = (struct gate){
		.low = (uint16_t)to, .selector = 8, .type = 0x8e,
		.middle = (uint16_t)(to >> 16), .high = (uint32_t)(to >> 32),
	};
}

static void idt_load(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) pointer = { sizeof(idt) - 1, (uintptr_t)idt };

	asm volatile("lidt %0" : : "m"(pointer));
}

/* Until it is so: by HLT, so that only interrupts go on. */
#define SLEEP_UNTIL(condition) do {					\
	asm volatile("cli");						\
	while (!(condition))						\
		asm volatile("sti; hlt; cli" ::: "memory");		\
	asm volatile("sti");						\
} while (0)

/* ---- console -------------------------------------------------------------- */

static void say(const char *text)
{
	for (; *text; text++)
		out8(SERIAL, (uint8_t)*text);
}

static void say_number(uint64_t value)
{
	char digits[21];
	int at = 20;

	digits[at] = '\0';
	do
		digits[--at] = (char)('0' + value % 10);
	while (value /= 10);
	say(digits + at);
}

/* ---- tests ---------------------------------------------------------------- */

static const struct multiboot_info *boot;

static bool map_has_memory(void)
{
	uint64_t at = boot->mmap_addr, end = at + boot->mmap_length, bytes = 0;

	while (at < end) {
		const struct map_entry *entry = (const void *)at;

		if (entry->type == 1)
			bytes += entry->bytes;
		at += entry->size + sizeof(entry->size);
	}
	say("# memory: ");
	say_number(bytes >> 10);
	say(" KiB\n");
	return (boot->flags & HAS_MAP) && bytes > 15u << 20;
}

/* Module 0 begins with the word "module", if there is one. */
static bool module_is_there(void)
{
	static const char word[] = "module";
	const uint32_t *module = (const void *)(uintptr_t)boot->mods_addr;
	const char *text;
	size_t i;

	if (!(boot->flags & HAS_MODULES) || !boot->mods_count)
		return true;
	text = (const void *)(uintptr_t)module[0];
	for (i = 0; i < sizeof(word) - 1; i++)
		if (text[i] != word[i])
			return false;
	return module[1] > module[0] && !(module[0] & 0xfff);
}

static bool timer_is_one_shot(void)
{
	uint32_t before = timer_ticks;

	apic_write(APIC_LVT_TIMER, TIMER_VECTOR);
	apic_write(APIC_INITIAL, TICK_NS);
	SLEEP_UNTIL(timer_ticks != before);
	return timer_ticks == before + 1 && !apic_read(APIC_CURRENT);
}

static bool timer_is_periodic(void)
{
	uint32_t before = timer_ticks;

	apic_write(APIC_LVT_TIMER, PERIODIC | TIMER_VECTOR);
	apic_write(APIC_INITIAL, TICK_NS);
	SLEEP_UNTIL(timer_ticks >= before + 5);
	apic_write(APIC_INITIAL, 0);
	return true;
}

static bool self_ipi_arrives(void)
{
	uint32_t before = ipi_count;

	ipi(apic_read(APIC_ID) >> (use_x2apic ? 0 : 24), IPI_VECTOR);
	SLEEP_UNTIL(ipi_count != before);
	return true;
}

/* CPUID leaf 1: there are more IDs than one. */
static bool has_other(void)
{
	uint32_t eax = 1, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return (ebx >> 16 & 0xff) > 1;
}

static bool other_starts(void)
{
	size_t i;

	if (!has_other())
		return true;
	for (i = 0; i < (size_t)(other_end - other_start); i++)
		((volatile char *)STARTUP_PAGE)[i] = other_start[i];
	ipi(1, 0x4500);
	ipi(1, 0x4600 | STARTUP_PAGE >> 12);
	while (!other_is_up)
		asm volatile("pause");
	say("# CPU 1 is up\n");
	return other_id == 1;
}

/* There, and back from its halt, 10 times. */
static bool ipis_go_around(void)
{
	uint32_t i, before = ipi_count;

	for (i = 0; has_other() && i < 10; i++) {
		ipi(1, WORK_VECTOR);
		SLEEP_UNTIL(ipi_count == before + i + 1);
	}
	return true;
}

static const struct {
	const char *name;
	bool (*run)(void);
} tests[] = {
	{ "the memory map", map_has_memory },
	{ "the module", module_is_there },
	{ "the timer, one-shot", timer_is_one_shot },
	{ "the timer, periodic", timer_is_periodic },
	{ "an IPI to itself", self_ipi_arrives },
	{ "another CPU starts", other_starts },
	{ "IPIs to another CPU and back", ipis_go_around },
};

static _Noreturn void run_tests(void)
{
	const uint32_t nr = sizeof(tests) / sizeof(tests[0]);
	uint32_t i;

	for (i = 0; i < nr; i++) {
		bool good = tests[i].run();

		say(good ? "ok " : "not ok ");
		say_number(i + 1);
		say(" - ");
		say(tests[i].name);
		say("\n");
		if (!good)
			exit_with(i + 1);
	}
	say("all tests passed\n");
	exit_with(0);
}

static _Noreturn void count(void)
{
	uint64_t seconds = 0;

	apic_write(APIC_LVT_TIMER, PERIODIC | TIMER_VECTOR);
	apic_write(APIC_INITIAL, 10 * TICK_NS);
	for (;;) {
		uint32_t before = timer_ticks;

		SLEEP_UNTIL(timer_ticks != before);
		say("tick ");
		say_number(++seconds);
		say("\n");
	}
}

/* ---- entries -------------------------------------------------------------- */

/* Does the command line begin with @word?  Then what follows it, else NULL. */
static const char *after(const char *line, const char *word)
{
	while (*word)
		if (*line++ != *word++)
			return NULL;
	return line;
}

static uint32_t number(const char *text)
{
	uint32_t value = 0;

	while (*text >= '0' && *text <= '9')
		value = value * 10 + (uint32_t)(*text++ - '0');
	return value;
}

/* Wakes by an IPI, and sends one back. */
void main_other(uint32_t id)
{
	uint32_t seen = work_count;

	idt_load();
	apic_on();
	other_id = id;
	asm volatile("cli");
	other_is_up = 1;
	for (;;) {
		while (work_count == seen)
			asm volatile("sti; hlt; cli" ::: "memory");
		seen = work_count;
		ipi(0, IPI_VECTOR);
	}
}

void main_first(uint32_t eax, const struct multiboot_info *info)
{
	const char *line = "";
	unsigned int i;

	boot = info;
	if (eax != EAX_MULTIBOOT)
		exit_with(0x7e);
	if (info->flags & HAS_CMDLINE)
		line = (const void *)(uintptr_t)info->cmdline;
	say("hypr multiboot test: ");
	say(line);
	say("\n");
	for (i = 0; i < 32; i++)
		gate_set(i, on_exception);
	gate_set(TIMER_VECTOR, on_timer);
	gate_set(IPI_VECTOR, on_ipi);
	gate_set(WORK_VECTOR, on_work);
	idt_load();
	if (after(line, "exit="))
		exit_with(number(after(line, "exit=")));
	if (after(line, "wild"))
		((void (*)(void))0xf0000000ul)();
	if (after(line, "reset"))
		out8(0x64, 0xfe);
	use_x2apic = !after(line, "xapic");
	apic_on();
	apic_write(APIC_DIVIDE, 0xb);
	asm volatile("sti");
	if (after(line, "count"))
		count();
	run_tests();
}
