// SPDX-License-Identifier: GPL-2.0-only
/*
 * The serial line, as the Linux driver sees it: probe, interrupt-driven
 * transmitter (THRE), receiver, a ring that fills, a state that is moved.
 */
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <termios.h>

#include "lib/pc/console.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct fixture {
	struct hypr_console con;
	int level;
	int edges;
};

static void set_irq(void *arg, int level)
{
	struct fixture *f = arg;

	f->level = level;
	f->edges += level;
}

static int setup(void **ctx)
{
	struct fixture *f = calloc(1, sizeof(*f));

	hypr_console_init(&f->con, set_irq, f);
	*ctx = f;
	return 0;
}

static int teardown(void **ctx)
{
	free(*ctx);
	return 0;
}

static uint8_t in(struct fixture *f, unsigned int reg)
{
	return hypr_console_read(&f->con, reg);
}

static void out(struct fixture *f, unsigned int reg, uint8_t value)
{
	hypr_console_write(&f->con, reg, value);
}

static void test_console_is_found_by_probe(void **ctx)
{
	struct fixture *f = *ctx;

	out(f, SCR, 0xa5);
	assert_int_equal(in(f, SCR), 0xa5);
	out(f, IER, 0xff);
	assert_int_equal(in(f, IER), 0x0f);
	out(f, IER, 0);
	out(f, MCR, 0x1a);	/* loop, OUT2, RTS */
	assert_int_equal(in(f, MSR) & 0xf0, 0x90);
	out(f, MCR, 0);
	out(f, IIR, 1);
	assert_int_equal(in(f, IIR) >> 6, 3);	/* a 16550A */
	out(f, LCR, 0x83);
	out(f, DATA, 12);
	out(f, IER, 1);
	assert_int_equal(in(f, DATA), 12);
	assert_int_equal(in(f, IER), 1);
	out(f, LCR, 3);
	assert_int_equal(in(f, IER), 0);
}

static void test_console_thre_interrupt_when_allowed(void **ctx)
{
	struct fixture *f = *ctx;

	assert_int_equal(in(f, IIR) & 0xf, 1);
	out(f, IER, 2);
	assert_int_equal(f->level, 1);
	assert_int_equal(in(f, IIR) & 0xf, 2);
	/* Reading it took it back. */
	assert_int_equal(f->level, 0);
	assert_int_equal(in(f, IIR) & 0xf, 1);
	/* The driver's test for a broken UART: off and on raises it again. */
	out(f, IER, 0);
	out(f, IER, 2);
	assert_int_equal(in(f, IIR) & 0xf, 2);
}

static void test_console_thre_interrupt_after_each_byte(void **ctx)
{
	struct fixture *f = *ctx;
	int i;

	out(f, IER, 2);
	in(f, IIR);
	for (i = 0; i < 5; i++) {
		f->edges = 0;
		out(f, DATA, 'x');
		assert_int_equal(f->edges, 1);
		assert_int_equal(in(f, IIR) & 0xf, 2);
		assert_true(in(f, LSR) & 0x20);
	}
}

static void test_console_receives(void **ctx)
{
	struct fixture *f = *ctx;

	out(f, IER, 1);
	assert_int_equal(hypr_console_receive(&f->con, (const uint8_t *)"ab", 2), 2);
	assert_int_equal(f->level, 1);
	assert_int_equal(in(f, IIR) & 0xf, 4);
	assert_true(in(f, LSR) & 1);
	assert_int_equal(in(f, DATA), 'a');
	assert_int_equal(f->level, 1);
	assert_int_equal(in(f, DATA), 'b');
	assert_int_equal(f->level, 0);
	assert_false(in(f, LSR) & 1);
	assert_int_equal(in(f, DATA), 0);
}

static void test_console_data_goes_before_thre(void **ctx)
{
	struct fixture *f = *ctx;

	out(f, IER, 3);
	hypr_console_receive(&f->con, (const uint8_t *)"a", 1);
	assert_int_equal(in(f, IIR) & 0xf, 4);
	in(f, DATA);
	assert_int_equal(in(f, IIR) & 0xf, 2);
}

static void test_console_receiver_has_an_end(void **ctx)
{
	uint8_t many[200] = { 0 };
	struct fixture *f = *ctx;

	assert_int_equal(hypr_console_receive(&f->con, many, sizeof(many)),
			 HYPR_CONSOLE_RX_BYTES);
	out(f, IIR, 3);		/* clear it */
	assert_false(in(f, LSR) & 1);
}

static void test_console_transmitter_fills_up(void **ctx)
{
	struct fixture *f = *ctx;
	uint32_t i;

	for (i = 0; i < HYPR_CONSOLE_TX_BYTES; i++) {
		assert_true(in(f, LSR) & 0x20);
		out(f, DATA, (uint8_t)i);
	}
	/* Full: not empty, no interrupt, and a byte more is lost, nothing else. */
	assert_false(in(f, LSR) & 0x20);
	out(f, IER, 2);
	assert_int_equal(f->level, 0);
	out(f, DATA, 'x');
}

static void test_console_state_is_moved(void **ctx)
{
	struct hypr_console_state state;
	struct fixture *f = *ctx;

	out(f, IER, 1);
	hypr_console_receive(&f->con, (const uint8_t *)"a", 1);
	hypr_console_save(&f->con, &state);
	in(f, DATA);
	out(f, IER, 0);
	assert_int_equal(f->level, 0);
	hypr_console_set(&f->con, &state);
	assert_int_equal(f->level, 1);
	assert_int_equal(in(f, DATA), 'a');
}

static void fill_up(struct fixture *f)
{
	while (in(f, LSR) & 0x20)
		out(f, DATA, 'x');
}

/* Nobody reads the output, and the guest waits for room when the state is saved. */
static void test_console_stalled_output_goes_on(void **ctx)
{
	struct hypr_console_state state;
	struct fixture *f = *ctx;

	out(f, IER, 2);
	in(f, IIR);
	fill_up(f);
	assert_int_equal(in(f, IIR) & 0xf, 1);
	hypr_console_save(&f->con, &state);

	/* A new console: its ring is empty, and that is news to the guest. */
	hypr_console_init(&f->con, set_irq, f);
	f->level = 0;
	hypr_console_set(&f->con, &state);
	assert_int_equal(f->level, 1);
	assert_int_equal(in(f, IIR) & 0xf, 2);
	assert_int_equal(f->level, 0);
	/* A guest that waits for nothing hears nothing. */
	out(f, IER, 0);
	hypr_console_save(&f->con, &state);
	hypr_console_set(&f->con, &state);
	assert_int_equal(f->level, 0);
}

static uint8_t in_when_there(struct fixture *f)
{
	int i;

	for (i = 0; i < 2000 && !(in(f, LSR) & 1); i++)
		usleep(1000);
	return in(f, DATA);
}

/* Input that comes before a swap, in it, or just after: the thread sleeps on none of it. */
static void test_console_input_around_a_freeze(void **ctx)
{
	struct hypr_console_state state;
	struct fixture *f = *ctx;
	uint8_t letter;
	int fds[2];
	int i;

	assert_int_equal(pipe(fds), 0);
	hypr_console_save(&f->con, &state);
	assert_int_equal(hypr_console_start(&f->con, fds[0], -1), 0);
	for (i = 0; i < 300; i++) {
		letter = (uint8_t)i;
		hypr_console_freeze(&f->con);
		if (i % 3 == 0)
			assert_int_equal(write(fds[1], &letter, 1), 1);
		if (i % 2)
			usleep(1000);
		hypr_console_set(&f->con, &state);
		if (i % 3 == 1)
			assert_int_equal(write(fds[1], &letter, 1), 1);
		hypr_console_thaw(&f->con);
		if (i % 3 == 2)
			assert_int_equal(write(fds[1], &letter, 1), 1);
		assert_int_equal(in_when_there(f), letter);
	}
	hypr_console_stop(&f->con);
	close(fds[0]);
	close(fds[1]);
}

/* The line was full in the view that is left, and is empty in the other. */
static void test_console_exchange_makes_room(void **ctx)
{
	struct hypr_console_state state;
	uint8_t letters[HYPR_CONSOLE_RX_BYTES + 1];
	struct fixture *f = *ctx;
	int fds[2], i;

	memset(letters, 'a', sizeof(letters));
	letters[HYPR_CONSOLE_RX_BYTES] = 'z';
	assert_int_equal(pipe(fds), 0);
	hypr_console_save(&f->con, &state);
	assert_int_equal(hypr_console_start(&f->con, fds[0], -1), 0);
	assert_int_equal(write(fds[1], letters, sizeof(letters)), sizeof(letters));
	for (i = 0; i < 2000; i++) {
		struct hypr_console_state now;

		hypr_console_save(&f->con, &now);
		if (now.rx_tail - now.rx_head == HYPR_CONSOLE_RX_BYTES)
			break;
		usleep(1000);
	}
	hypr_console_freeze(&f->con);
	hypr_console_set(&f->con, &state);
	hypr_console_thaw(&f->con);
	assert_int_equal(in_when_there(f), 'z');
	hypr_console_stop(&f->con);
	close(fds[0]);
	close(fds[1]);
}

/* A state that is taken up where the ring is full: not before there is room. */
static void test_console_room_comes_after_a_load(void **ctx)
{
	struct hypr_console_state state;
	struct fixture *f = *ctx;
	int fds[2], i;

	out(f, IER, 2);
	hypr_console_save(&f->con, &state);
	assert_int_equal(state.thre_pending, 1);
	fill_up(f);
	hypr_console_set(&f->con, &state);
	assert_int_equal(f->level, 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(hypr_console_start(&f->con, -1, fds[1]), 0);
	for (i = 0; i < 2000 && !__atomic_load_n(&f->level, __ATOMIC_SEQ_CST); i++)
		usleep(1000);
	assert_int_equal(in(f, IIR) & 0xf, 2);
	close(fds[0]);
	hypr_console_stop(&f->con);
	close(fds[1]);
}

/* Output that goes nowhere makes room, too. */
static void test_console_discarding_tells_the_guest(void **ctx)
{
	struct fixture *f = *ctx;
	int i;

	out(f, IER, 2);
	in(f, IIR);
	fill_up(f);
	assert_int_equal(f->level, 0);
	assert_int_equal(hypr_console_start(&f->con, -1, -1), 0);
	for (i = 0; i < 2000 && !__atomic_load_n(&f->level, __ATOMIC_SEQ_CST); i++)
		usleep(1000);
	assert_int_equal(f->level, 1);
	hypr_console_stop(&f->con);
}

/* Whoever made the state: registers keep what they can keep, the ring its bounds. */
static void test_console_takes_no_wild_state(void **ctx)
{
	static const uint32_t tails[] = { 65, 0x80000000, 0xffffffff };
	struct hypr_console_state state;
	struct fixture *f = *ctx;
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(tails); i++) {
		memset(&state, 0xff, sizeof(state));
		state.rx_head = 0;
		state.rx_tail = tails[i];
		hypr_console_set(&f->con, &state);
		out(f, LCR, 3);
		assert_int_equal(in(f, IER), 0x0f);
		assert_int_equal(in(f, MCR), 0x1f);
		assert_int_equal(in(f, LSR) & 1, 0);
		out(f, MCR, 0);
		for (n = 0; n < HYPR_CONSOLE_RX_BYTES; n++)
			assert_int_equal(hypr_console_receive(&f->con, (const uint8_t *)"a", 1), 1);
		assert_int_equal(hypr_console_receive(&f->con, (const uint8_t *)"a", 1), 0);
		hypr_console_save(&f->con, &state);
		assert_in_range(state.thre_pending, 0, 1);
	}
}

static void test_console_thread_moves_bytes(void **ctx)
{
	struct fixture *f = *ctx;
	int to_guest[2], from_guest[2], i;
	char buf[6] = "";

	assert_int_equal(pipe(to_guest), 0);
	assert_int_equal(pipe(from_guest), 0);
	assert_int_equal(hypr_console_start(&f->con, to_guest[0], from_guest[1]), 0);
	assert_int_equal(write(to_guest[1], "q", 1), 1);
	for (i = 0; i < 2000 && !(in(f, LSR) & 1); i++)
		usleep(1000);
	assert_int_equal(in(f, DATA), 'q');
	for (i = 0; i < 5; i++)
		out(f, DATA, (uint8_t)"hello"[i]);
	/* Stopping writes out what is left. */
	hypr_console_stop(&f->con);
	assert_int_equal(read(from_guest[0], buf, 5), 5);
	assert_string_equal(buf, "hello");
	for (i = 0; i < 2; i++) {
		close(to_guest[i]);
		close(from_guest[i]);
	}
}

static void test_console_stops_without_a_reader(void **ctx)
{
	struct fixture *f = *ctx;
	int fds[2], i;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
	assert_int_equal(hypr_console_start(&f->con, -1, fds[1]), 0);
	for (i = 0; i < 20000; i++)
		out(f, DATA, 'x');
	/* Must come back, though nobody reads; a write under way needs a nudge. */
	close(fds[0]);
	hypr_console_stop(&f->con);
	close(fds[1]);
}

/* It is there, and does not read; a write under way blocks. */
static void test_console_stops_with_a_reader_that_does_not_read(void **ctx)
{
	struct fixture *f = *ctx;
	int fds[2], i;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETPIPE_SZ, 4096), 4096);
	assert_int_equal(hypr_console_start(&f->con, -1, fds[1]), 0);
	for (i = 0; i < 20000; i++)
		out(f, DATA, 'x');
	usleep(100000);
	alarm(20);
	hypr_console_stop(&f->con);
	alarm(0);
	close(fds[0]);
	close(fds[1]);
}

/* A terminal that was stopped with Ctrl-S is ready, and takes nothing. */
static void test_console_stops_with_a_stopped_terminal(void **ctx)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY), slave, i;
	struct fixture *f = *ctx;

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	assert_int_equal(hypr_console_start(&f->con, -1, slave), 0);
	assert_int_equal(tcflow(slave, TCOOFF), 0);
	for (i = 0; i < 30000; i++)
		out(f, DATA, 'x');
	usleep(100000);
	alarm(20);
	hypr_console_stop(&f->con);
	alarm(0);
	tcflow(slave, TCOON);
	close(slave);
	close(master);
}

/* Input goes on while output is stalled. */
static void test_console_receives_while_output_is_stalled(void **ctx)
{
	struct fixture *f = *ctx;
	int to[2], from[2], i;

	assert_int_equal(pipe(to), 0);
	assert_int_equal(pipe(from), 0);
	assert_int_equal(hypr_console_start(&f->con, to[0], from[1]), 0);
	for (i = 0; i < 300000 && (in(f, LSR) & 0x20); i++)
		out(f, DATA, 'x');
	usleep(100000);
	assert_int_equal(write(to[1], "q", 1), 1);
	for (i = 0; i < 5000 && !(in(f, LSR) & 1); i++)
		usleep(1000);
	assert_int_equal(in(f, DATA), 'q');
	alarm(20);
	hypr_console_stop(&f->con);
	alarm(0);
	for (i = 0; i < 2; i++) {
		close(to[i]);
		close(from[i]);
	}
}

/* What there was no room for is lost, what comes later is not. */
static void test_console_outlives_a_full_disk(void **ctx)
{
	struct fixture *f = *ctx;
	char path[] = "/tmp/hypr-console-XXXXXX", buf[16] = "";
	struct rlimit old, full;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	full = old;
	full.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
	assert_int_equal(hypr_console_start(&f->con, -1, fd), 0);
	out(f, DATA, 'x');
	usleep(200000);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	out(f, DATA, 'y');
	hypr_console_stop(&f->con);
	assert_int_equal(pread(fd, buf, sizeof(buf), 0), 1);
	assert_string_equal(buf, "y");
	close(fd);
}

static void test_console_without_fds_discards(void **ctx)
{
	struct fixture *f = *ctx;

	assert_int_equal(hypr_console_start(&f->con, -1, -1), 0);
	out(f, DATA, 'x');
	hypr_console_stop(&f->con);
}

#define T(name)	cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_console_is_found_by_probe),
		T(test_console_thre_interrupt_when_allowed),
		T(test_console_thre_interrupt_after_each_byte),
		T(test_console_receives),
		T(test_console_data_goes_before_thre),
		T(test_console_receiver_has_an_end),
		T(test_console_transmitter_fills_up),
		T(test_console_state_is_moved),
		T(test_console_stalled_output_goes_on),
		T(test_console_room_comes_after_a_load),
		T(test_console_discarding_tells_the_guest),
		T(test_console_takes_no_wild_state),
		T(test_console_thread_moves_bytes),
		T(test_console_stops_without_a_reader),
		T(test_console_stops_with_a_reader_that_does_not_read),
		T(test_console_stops_with_a_stopped_terminal),
		T(test_console_input_around_a_freeze),
		T(test_console_exchange_makes_room),
		T(test_console_receives_while_output_is_stalled),
		T(test_console_outlives_a_full_disk),
		T(test_console_without_fds_discards),
	};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("console", tests, NULL, NULL) ? 1 : 0;
}
