// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The serial line of a VM: an 8250 with FIFO, complete enough for the Linux
 * driver's probe and its interrupt-driven transmitter.  Sending never blocks a
 * vCPU: bytes go into a ring that a thread (console_thread.c) writes out, and the transmitter
 * says "not empty" (THRE clear) while the ring is full.
 */
#include <string.h>
#include <unistd.h>

#include "pc/console.h"

/* Registers, by offset; DLL and DLM take the place of 0 and 1 under DLAB. */
#define REG_DATA	0
#define REG_IER		1
#define REG_IIR		2	/* FCR when written */
#define REG_LCR		3
#define REG_MCR		4
#define REG_LSR		5
#define REG_MSR		6
#define REG_SCR		7

#define IER_RDI		0x01
#define IER_THRI	0x02

#define IIR_NO_INT	0x01
#define IIR_THRI	0x02
#define IIR_RDI		0x04
#define IIR_FIFO	0xc0

#define FCR_ENABLE	0x01
#define FCR_CLEAR_RX	0x02

#define LCR_DLAB	0x80

#define MCR_DTR		0x01
#define MCR_RTS		0x02
#define MCR_OUT1	0x04
#define MCR_OUT2	0x08
#define MCR_LOOP	0x10

#define LSR_DR		0x01
#define LSR_THRE	0x20
#define LSR_TEMT	0x40

#define MSR_CTS		0x10
#define MSR_DSR		0x20
#define MSR_RI		0x40
#define MSR_DCD		0x80

static bool tx_has_room(const struct hypr_console *con)
{
	return hypr_console_tx_used(con) < HYPR_CONSOLE_TX_BYTES;
}

/* The interrupt that IIR shows: received data goes before an empty transmitter. */
static uint8_t pending_iir(const struct hypr_console *con)
{
	if ((con->s.ier & IER_RDI) && hypr_console_rx_used(con))
		return IIR_RDI;
	if ((con->s.ier & IER_THRI) && con->s.thre_pending)
		return IIR_THRI;
	return IIR_NO_INT;
}

static void set_line(struct hypr_console *con, int level)
{
	con->irq_level = level;
	if (con->set_irq)
		con->set_irq(con->arg, level);
}

static void update_irq(struct hypr_console *con)
{
	int level = pending_iir(con) != IIR_NO_INT;

	if (level != con->irq_level)
		set_line(con, level);
}

void hypr_console_wake(struct hypr_console *con)
{
	uint64_t one = 1;

	/* A full counter wakes just as well. */
	if (con->wake_fd >= 0 && write(con->wake_fd, &one, sizeof(one)) < 0)
		return;
}

void hypr_console_init(struct hypr_console *con,
		       void (*set_irq)(void *arg, int level), void *arg)
{
	memset(con, 0, sizeof(*con));
	pthread_mutex_init(&con->lock, NULL);
	con->set_irq = set_irq;
	con->arg = arg;
	con->in_fd = -1;
	con->out_fd = -1;
	con->wake_fd = -1;
	con->s.dll = 1;		/* 115200 baud */
	con->s.lcr = 0x03;	/* 8n1 */
}

static uint32_t receive_locked(struct hypr_console *con, const uint8_t *buf, uint32_t len)
{
	uint32_t done = 0;

	while (done < len && hypr_console_rx_used(con) < HYPR_CONSOLE_RX_BYTES)
		con->s.rx[con->s.rx_tail++ % HYPR_CONSOLE_RX_BYTES] = buf[done++];
	update_irq(con);
	return done;
}

uint32_t hypr_console_receive(struct hypr_console *con, const uint8_t *buf, uint32_t len)
{
	uint32_t done;

	pthread_mutex_lock(&con->lock);
	done = con->frozen ? 0 : receive_locked(con, buf, len);
	pthread_mutex_unlock(&con->lock);
	return done;
}

void hypr_console_freeze(struct hypr_console *con)
{
	pthread_mutex_lock(&con->lock);
	con->frozen = true;
	pthread_mutex_unlock(&con->lock);
}

void hypr_console_thaw(struct hypr_console *con)
{
	bool wake;

	pthread_mutex_lock(&con->lock);
	con->frozen = false;
	wake = con->look_again;
	con->look_again = false;
	if (con->room_came) {
		con->room_came = false;
		con->s.thre_pending = 1;
		update_irq(con);
	}
	pthread_mutex_unlock(&con->lock);
	/* A system call, which few swaps need. */
	if (wake)
		hypr_console_wake(con);
}

/* Linux's words; the first letter is in them once, so that a miss begins anew. */
static void watch_panic(struct hypr_panic_watch *watch, uint8_t value)
{
	static const char panic[] = "Kernel panic - not syncing: ";
	size_t len = strlen(watch->words);

	if (watch->panicked) {
		watch->whole |= value < ' ' || len == sizeof(watch->words) - 1;
		if (!watch->whole)
			watch->words[len] = value < 0x7f ? (char)value : '?';
		return;
	}
	watch->matched = value == panic[watch->matched] ? watch->matched + 1 : value == panic[0];
	watch->panicked = watch->matched == strlen(panic);
}

bool hypr_console_panic(struct hypr_console *con, char *words)
{
	bool panicked;

	pthread_mutex_lock(&con->lock);
	panicked = con->panic.panicked;
	memcpy(words, con->panic.words, sizeof(con->panic.words));
	pthread_mutex_unlock(&con->lock);
	return panicked;
}

static void write_data(struct hypr_console *con, uint8_t value)
{
	if (con->s.mcr & MCR_LOOP) {
		receive_locked(con, &value, 1);
	} else if (tx_has_room(con)) {
		con->tx[con->tx_tail++ % HYPR_CONSOLE_TX_BYTES] = value;
		watch_panic(&con->panic, value);
		hypr_console_wake(con);
	}
	/* Sent at once: the transmitter is empty again while the ring has room. */
	con->s.thre_pending = tx_has_room(con);
}

static void write_ier(struct hypr_console *con, uint8_t value)
{
	/* Allowing the THRE interrupt of an empty transmitter raises it. */
	if (!(con->s.ier & IER_THRI) && (value & IER_THRI) && tx_has_room(con))
		con->s.thre_pending = 1;
	con->s.ier = value & HYPR_CONSOLE_IER_BITS;
}

static void write_fcr(struct hypr_console *con, uint8_t value)
{
	if (value & FCR_CLEAR_RX)
		con->s.rx_head = con->s.rx_tail;
	con->s.fcr = value & HYPR_CONSOLE_FCR_BITS;
}

void hypr_console_write(struct hypr_console *con, unsigned int reg, uint8_t value)
{
	bool dlab;

	pthread_mutex_lock(&con->lock);
	dlab = con->s.lcr & LCR_DLAB;
	switch (reg) {
	case REG_DATA:
		if (dlab)
			con->s.dll = value;
		else
			write_data(con, value);
		break;
	case REG_IER:
		if (dlab)
			con->s.dlm = value;
		else
			write_ier(con, value);
		break;
	case REG_IIR:
		write_fcr(con, value);
		break;
	case REG_LCR:
		con->s.lcr = value;
		break;
	case REG_MCR:
		con->s.mcr = value & HYPR_CONSOLE_MCR_BITS;
		break;
	case REG_SCR:
		con->s.scr = value;
		break;
	}
	update_irq(con);
	pthread_mutex_unlock(&con->lock);
}

static uint8_t read_data(struct hypr_console *con)
{
	uint8_t value = 0;

	if (hypr_console_rx_used(con)) {
		value = con->s.rx[con->s.rx_head++ % HYPR_CONSOLE_RX_BYTES];
		/* There is room again: let the thread look at its fd. */
		hypr_console_wake(con);
	}
	return value;
}

static uint8_t read_iir(struct hypr_console *con)
{
	uint8_t iir = pending_iir(con);

	if (iir == IIR_THRI)
		con->s.thre_pending = 0;
	return iir | (con->s.fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_lsr(const struct hypr_console *con)
{
	return (hypr_console_rx_used(con) ? LSR_DR : 0) |
	       (tx_has_room(con) ? LSR_THRE | LSR_TEMT : 0);
}

static uint8_t read_msr(const struct hypr_console *con)
{
	uint8_t mcr = con->s.mcr;

	if (!(mcr & MCR_LOOP))
		return MSR_DCD | MSR_DSR | MSR_CTS;
	return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
	       (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

uint8_t hypr_console_read(struct hypr_console *con, unsigned int reg)
{
	uint8_t value = 0xff;
	bool dlab;

	pthread_mutex_lock(&con->lock);
	dlab = con->s.lcr & LCR_DLAB;
	switch (reg) {
	case REG_DATA:
		value = dlab ? con->s.dll : read_data(con);
		break;
	case REG_IER:
		value = dlab ? con->s.dlm : con->s.ier;
		break;
	case REG_IIR:
		value = read_iir(con);
		break;
	case REG_LCR:
		value = con->s.lcr;
		break;
	case REG_MCR:
		value = con->s.mcr;
		break;
	case REG_LSR:
		value = read_lsr(con);
		break;
	case REG_MSR:
		value = read_msr(con);
		break;
	case REG_SCR:
		value = con->s.scr;
		break;
	}
	update_irq(con);
	pthread_mutex_unlock(&con->lock);
	return value;
}

void hypr_console_save(struct hypr_console *con, struct hypr_console_state *state)
{
	pthread_mutex_lock(&con->lock);
	*state = con->s;
	pthread_mutex_unlock(&con->lock);
}

void hypr_console_lower(struct hypr_console *con)
{
	pthread_mutex_lock(&con->lock);
	set_line(con, 0);
	pthread_mutex_unlock(&con->lock);
}

void hypr_console_set(struct hypr_console *con, const struct hypr_console_state *state)
{
	bool frozen;

	pthread_mutex_lock(&con->lock);
	frozen = con->frozen;
	con->look_again |= hypr_console_rx_used(con) == HYPR_CONSOLE_RX_BYTES;
	con->s = *state;
	con->s.ier &= HYPR_CONSOLE_IER_BITS;
	con->s.fcr &= HYPR_CONSOLE_FCR_BITS;
	con->s.mcr &= HYPR_CONSOLE_MCR_BITS;
	/* Indices wrap by themselves; more bytes than fit are none that arrived. */
	if (hypr_console_rx_used(con) > HYPR_CONSOLE_RX_BYTES)
		con->s.rx_head = con->s.rx_tail;
	/*
	 * The ring of sent bytes is no part of a state.  A guest that was left while
	 * the ring was full waits for an interrupt, and the ring that it finds has
	 * room: nothing else would raise it.  One too many does no harm.
	 */
	con->s.thre_pending = tx_has_room(con) &&
			      (con->s.thre_pending || (con->s.ier & IER_THRI));
	con->room_came = false;
	if (con->irq_level)
		set_line(con, 0);
	memset(&con->panic, 0, sizeof(con->panic));
	update_irq(con);
	pthread_mutex_unlock(&con->lock);
	/* How much room there is may have changed.  If it is frozen, the end of that wakes. */
	if (!frozen)
		hypr_console_wake(con);
}

/* Bytes have left the ring: a guest that found it full may go on. */
void hypr_console_sent_locked(struct hypr_console *con, uint32_t bytes)
{
	bool room_came = !tx_has_room(con) && bytes;

	con->tx_head += bytes;
	if (con->frozen) {
		con->room_came |= room_came;
		return;
	}
	con->s.thre_pending |= room_came;
	update_irq(con);
}
