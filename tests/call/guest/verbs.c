// SPDX-License-Identifier: GPL-2.0-only
/*
 * A function for the tests: the first word of its input says what it does, mostly what
 * a function must not do.
 */
#include <stdint.h>
#include <hypr/guest.h>

/*
 * A word that no memory has unless a call planted it: it is made of two halves that the
 * compiler cannot join.
 */
#define KEY	0x5bd1e9955bd1e995ull
#define MASK	0x0123456789abcdefull

#define AREA	1024		/* words planted at each place */
#define DEEP	(8 << 10)	/* bytes of stack that are looked at */
#define WIDE	(8 << 10)	/* bytes of the heap and of the output */
#define TAIL	(32 << 10)	/* bytes of the window of the input */

static uint64_t data[AREA] = { 1, 2, 3 };
static uint64_t bss[AREA];
static uint64_t at_init[4];
static unsigned int inits;

/* ---- state --------------------------------------------------------------- */

static uint64_t hidden(uint64_t value)
{
	asm volatile("" : "+r" (value));
	return value;
}

static size_t count(const uint64_t *from, size_t words)
{
	uint64_t mask = hidden(MASK), key = hidden(KEY);
	size_t i, found = 0;

	for (i = 0; i < words; i++)
		found += (from[i] ^ mask) == key;
	return found;
}

static void plant(volatile uint64_t *to, size_t words)
{
	uint64_t mask = hidden(MASK), key = hidden(KEY);
	size_t i;

	for (i = 0; i < words; i++)
		to[i] = mask ^ key;
}

__attribute__((noinline)) static size_t stack(int planting)
{
	uint64_t deep[DEEP / 8];

	asm volatile("" : : "r" (deep) : "memory");
	if (planting)
		plant(deep, DEEP / 8);
	return count(deep, DEEP / 8);
}

/* What an earlier call planted; then this call plants its own, everywhere. */
static int state(struct hypr_out *out)
{
	uint64_t *heap = malloc(WIDE);
	uint64_t *output = hypr_out_reserve(out, WIDE);
	size_t found;

	if (!heap || at_init[0] != 42 || inits != 1 || data[0] != 1 || data[2] != 3)
		return -1;
	found = count(data, AREA) + count(bss, AREA) + count(heap, WIDE / 8) +
		count(output, WIDE / 8) + stack(0);
	if (found)
		return 1;
	plant(data, AREA);
	plant(bss, AREA);
	plant(heap, WIDE / 8);
	plant(output, WIDE / 8);
	at_init[0] = 0;
	inits = 7;
	/* Planting works, else nothing was tested. */
	if (!count(data, AREA) || !count(bss, AREA) || !count(heap, WIDE / 8) ||
	    !count(output, WIDE / 8) || !stack(1))
		return -2;
	return 0;
}

/* Bytes of an earlier, longer input behind this one. */
static int tail(const unsigned char *in, size_t in_bytes)
{
	size_t i;

	for (i = in_bytes; i < TAIL; i++) {
		if (in[i])
			return 1;
	}
	return 0;
}

/* ---- running wild -------------------------------------------------------- */

__attribute__((noinline)) static int overflow(volatile char *above)
{
	volatile char here[512];

	here[0] = above ? above[0] : 1;
	if (here[0] == 2)
		return 0;
	return overflow(here) + here[0];
}

static void jump(uint64_t to)
{
	((void (*)(void))hidden(to))();
}

static void touch(uint64_t at)
{
	*(volatile uint64_t *)hidden(at) = 1;
}

static void look(uint64_t at)
{
	(void)*(volatile uint64_t *)hidden(at);
}

static void divide(void)
{
	volatile int zero = 0, large = 100;

	large = large / zero;
}

static void loop(void)
{
	for (;;)
		asm volatile("");
}

static void eat(void)
{
	size_t pieces = 0;

	while (malloc(65536 - 16))
		pieces++;
	hypr_abort(pieces > 200 && pieces <= 256 && !malloc(SIZE_MAX) && !calloc(SIZE_MAX, 2) ?
		   "the heap is used up" : "the heap has another size");
}

/* realloc() keeps what there was; free() makes room for the next. */
static void grow(void)
{
	char *piece = malloc(10), *other;
	size_t i, bytes = 10;

	memset(piece, 'x', 10);
	for (i = 0; i < 12; i++) {
		bytes *= 2;
		piece = realloc(piece, bytes);
		if (!piece || piece[9] != 'x')
			hypr_abort("realloc() lost something");
	}
	free(piece);
	other = malloc(bytes);
	hypr_abort(other == piece ? "the heap works" : "free() gave nothing back");
}

#define RUN(name, what)	do {				\
	if (!strcmp(verb, name)) {			\
		what;					\
		return 99;				\
	}						\
} while (0)

static int run_wild(const char *verb)
{
	RUN("null", look(0));
	RUN("write-null", touch(8));
	RUN("write-code", touch((uint64_t)run_wild & ~7ull));
	RUN("run-data", jump((uint64_t)data));
	RUN("read-monitor", look(0x6000));
	RUN("write-monitor", touch(0x4000));
	RUN("write-tables", touch(0xd000));
	RUN("run-monitor", jump(0x8000));
	RUN("beyond", look(0x40000000));
	RUN("stack", overflow(NULL));
	RUN("divide", divide());
	RUN("cli", asm volatile("cli"));
	RUN("hlt", asm volatile("hlt"));
	RUN("cr3", asm volatile("mov %%cr3, %%rax" : : : "rax"));
	RUN("wrmsr", asm volatile("wrmsr" : : "a" (0), "c" (0x10), "d" (0)));
	RUN("out", asm volatile("outb %%al, $0xf4" : : "a" (0)));
	RUN("int80", asm volatile("int $0x80"));
	RUN("noncanonical", look(0x8000000000000000));
	RUN("ud2", asm volatile("ud2"));
	RUN("avx", asm volatile(".byte 0xc5, 0xfc, 0x58, 0xc0"));
	RUN("int3", asm volatile("int3" : : "a" (0)));
	RUN("loop", loop());
	RUN("abort", hypr_abort("as it was told\n"));
	RUN("free", free(data));
	RUN("eat", eat());
	RUN("grow", grow());
	return -1;
}

/* ---- the function -------------------------------------------------------- */

__attribute__((constructor)) static void construct(void)
{
	at_init[0] = 42;
}

void hypr_init(void)
{
	inits++;
}

static size_t number(const char *text)
{
	size_t value = 0;

	while (*text >= '0' && *text <= '9')
		value = 10 * value + (size_t)(*text++ - '0');
	return value;
}

int hypr_main(const void *in, size_t in_bytes, struct hypr_out *out)
{
	char verb[32] = { 0 };

	memcpy(verb, in, in_bytes < 31 ? in_bytes : 31);
	if (!in_bytes || !strcmp(verb, "empty"))
		return 0;
	if (!strncmp(verb, "state", 5))
		return state(out);
	if (!strncmp(verb, "tail", 4))
		return tail(in, in_bytes);
	if (!strncmp(verb, "big ", 4)) {
		memset(hypr_out_reserve(out, number(verb + 4)), 'b', number(verb + 4));
		return 0;
	}
	if (!strncmp(verb, "value ", 6))
		return (int)number(verb + 6);
	return run_wild(verb);
}
