// SPDX-License-Identifier: LGPL-2.1-or-later
/* Why a function came back: by itself, or by which exception, and where. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "hypr/abi/func.h"
#include "base/error.h"
#include "base/page.h"
#include "base/text.h"
#include "func/elf.h"
#include "func/line.h"
#include "func/outcome.h"

enum { DIVIDE = 0, OPCODE = 6, NO_FPU = 7, STACK_SEGMENT = 12, PROTECTION = 13, PAGE = 14 };

#define PAGE_WRITE	2	/* in the error code of a page fault */
#define PAGE_FETCH	16
#define CPL		3	/* in CS */

/* So far below the stack's end is an overflow, and not any bad address. */
#define OVERFLOW_BYTES	0x10000ull

const char *hypr_call_cause_name(int cause)
{
	static const char *const names[] = {
		[HYPR_CALL_OK] = "ok",
		[HYPR_CALL_ABORT] = "abort",
		[HYPR_CALL_TIMEOUT] = "timeout",
		[HYPR_CALL_OUTPUT] = "output",
		[HYPR_CALL_POINTER] = "pointer",
		[HYPR_CALL_STACK] = "stack",
		[HYPR_CALL_DIVIDE] = "divide",
		[HYPR_CALL_PRIVILEGED] = "privileged",
		[HYPR_CALL_INSTRUCTION] = "instruction",
		[HYPR_CALL_EXCEPTION] = "exception",
		[HYPR_CALL_MACHINE] = "machine",
	};

	return cause >= 0 && cause <= HYPR_CALL_MACHINE ? names[cause] : "?";
}

/* ---- where it was -------------------------------------------------------- */

#define PLACE_MAX	176

/* Fill @result, and @text with "at 0x200045 (decode+0x12, png.c:88)", as far as it is known. */
static void place(const struct hypr_func_outcome *of, uint64_t rip, struct hypr_call_result *result,
		  char text[PLACE_MAX])
{
	bool symbol, line;
	char known[80] = "";

	result->rip = rip;
	symbol = !hypr_func_elf_symbol(of->file, of->file_bytes, rip, result->symbol,
				       sizeof(result->symbol));
	line = !hypr_func_line(of->file, of->file_bytes, rip, result->source,
			       sizeof(result->source), &result->line);
	if (line)
		snprintf(known, sizeof(known), "%s%s:%u", symbol ? ", " : "", result->source,
			 result->line);
	snprintf(text, PLACE_MAX, "at 0x%llx%s%s%s%s", (unsigned long long)rip,
		 symbol || line ? " (" : "", result->symbol, known, symbol || line ? ")" : "");
}

/* ---- exceptions ---------------------------------------------------------- */

static bool is_overflow(const struct hypr_func_layout *layout, uint64_t address)
{
	return address < layout->stack.start && layout->stack.start - address <= OVERFLOW_BYTES;
}

static int cause_of(const struct hypr_func_layout *layout, const struct hypr_func_report *report)
{
	switch (report->vector) {
	case DIVIDE:
		return HYPR_CALL_DIVIDE;
	case OPCODE:
	case NO_FPU:
		return HYPR_CALL_INSTRUCTION;
	case STACK_SEGMENT:
	case PROTECTION:
		return HYPR_CALL_PRIVILEGED;
	case PAGE:
		return is_overflow(layout, report->cr2) ? HYPR_CALL_STACK : HYPR_CALL_POINTER;
	default:
		return HYPR_CALL_EXCEPTION;
	}
}

static int fault(const struct hypr_func_outcome *of, const struct hypr_func_report *report,
		 struct hypr_call_result *result)
{
	const char *how = report->error & PAGE_FETCH ? "execution" :
			  report->error & PAGE_WRITE ? "write" : "read";
	unsigned long long rip = report->rip, address = report->cr2;
	char at[PLACE_MAX];

	if (report->vector >= FUNC_EXCEPTIONS || (report->cs & CPL) != CPL) {
		result->cause = HYPR_CALL_MACHINE;
		return hypr_fail(-EIO, "exception %llu in the monitor at 0x%llx",
				 (unsigned long long)report->vector, rip);
	}
	result->cause = cause_of(of->layout, report);
	result->vector = (uint32_t)report->vector;
	result->error_code = (uint32_t)report->error;
	place(of, rip, result, at);
	if (report->vector == PAGE)
		result->address = address;
	switch (result->cause) {
	case HYPR_CALL_DIVIDE:
		return hypr_fail(-EFAULT, "a division by zero or out of range, %s", at);
	case HYPR_CALL_INSTRUCTION:
		return hypr_fail(-EFAULT, "an instruction that a function VM has not, %s", at);
	case HYPR_CALL_PRIVILEGED:
		return hypr_fail(-EFAULT,
				 "a privileged instruction or an address that is not canonical, %s",
				 at);
	case HYPR_CALL_STACK:
		return hypr_fail(-EFAULT, "the stack of %llu KiB overflowed, %s",
				 (unsigned long long)of->layout->stack.bytes >> 10, at);
	case HYPR_CALL_POINTER:
		return hypr_fail(-EFAULT, "a bad %s of address 0x%llx, %s", how, address, at);
	default:
		return hypr_fail(-EFAULT, "exception %u, error code 0x%x, %s", result->vector,
				 result->error_code, at);
	}
}

/* ---- what functions say -------------------------------------------------- */

/* With ", " before it; "" if the function does not say where it was. */
static void said_place(const struct hypr_func_outcome *of, uint64_t rip,
		       struct hypr_call_result *result, char text[PLACE_MAX + 2])
{
	strcpy(text, rip ? ", " : "");
	if (rip)
		place(of, rip, result, text + 2);
}

static int too_much(const struct hypr_func_outcome *of, uint64_t bytes, uint64_t rip,
		    struct hypr_call_result *result)
{
	char at[PLACE_MAX + 2];

	said_place(of, rip, result, at);
	result->cause = HYPR_CALL_OUTPUT;
	result->out_bytes = bytes;
	return hypr_fail(-ENOBUFS, "%llu bytes of output, more than there is room for%s",
			 (unsigned long long)bytes, at);
}

static int aborted(const struct hypr_func_outcome *of, uint64_t bytes, uint64_t rip,
		   struct hypr_call_result *result)
{
	const char *from = (const char *)of->mem + of->layout->out.start;
	char at[PLACE_MAX + 2];

	hypr_text_printable(result->reason, sizeof(result->reason), from,
			    bytes < of->layout->out.bytes ? bytes : of->layout->out.bytes);
	result->cause = HYPR_CALL_ABORT;
	said_place(of, rip, result, at);
	return hypr_fail(-ECANCELED, "the function aborted: %s%s", result->reason, at);
}

/** hypr_func_outcome_late() - as hypr_func_outcome(), of a function that was ended at @rip */
int hypr_func_outcome_late(const struct hypr_func_outcome *of, uint64_t rip, uint32_t timeout_ms,
			   struct hypr_call_result *result)
{
	char at[PLACE_MAX + 2];

	result->cause = HYPR_CALL_TIMEOUT;
	/* The monitor has no lines. */
	said_place(of, rip < FUNC_USER ? 0 : rip, result, at);
	return hypr_fail(-ETIMEDOUT, "it was not done in %u ms%s", timeout_ms, at);
}

/**
 * hypr_func_outcome() - fill @result as the report says
 * Return: 0 for HYPR_FUNC_READY and HYPR_FUNC_DONE; else what hypr_func_call() returns.
 */
int hypr_func_outcome(const struct hypr_func_outcome *of, const struct hypr_func_report *report,
		      struct hypr_call_result *result)
{
	if (report->vector != FUNC_TRAP || (report->cs & CPL) != CPL)
		return fault(of, report, result);
	switch ((uint32_t)report->rax) {
	case HYPR_FUNC_READY:
		return 0;
	case HYPR_FUNC_DONE:
		if (report->rdi > of->layout->out.bytes)
			return too_much(of, report->rdi, 0, result);
		result->out_bytes = report->rdi;
		result->value = (int32_t)report->rsi;
		return 0;
	case HYPR_FUNC_ABORT:
		return aborted(of, report->rdi, report->rsi, result);
	case HYPR_FUNC_FULL:
		return too_much(of, report->rdi, report->rsi, result);
	default:
		return fault(of, report, result);
	}
}
