// SPDX-License-Identifier: GPL-2.0-only
/*
 * A picture that nobody trusts: a PNG file becomes pixels in a virtual machine of its own.
 *
 *	hypr call png.elf --in picture.png --out picture.pam
 *
 * The decoder is stb_image, as the package libstb-dev has it.  The output is a PAM file of
 * 8-bit RGBA; what is no good PNG ends the call, with the decoder's reason.
 */
#include <limits.h>
#include <hypr/guest.h>

/* The decoder asks for these of a C library; there is none. */
static inline int absolute(int value)
{
	return value < 0 ? -value : value;
}

#define abs absolute
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_NO_SIMD
#define STBI_NO_THREAD_LOCALS
#define STBI_ASSERT(right) ((right) ? (void)0 : hypr_abort("the decoder's own check: " #right))
#include <stb/stb_image.h>

#define CHANNELS	4

static void write_text(struct hypr_out *out, const char *text)
{
	hypr_out_write(out, text, strlen(text));
}

static void write_number(struct hypr_out *out, int number)
{
	char digits[12], *at = digits + sizeof(digits);

	*--at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	write_text(out, at);
}

int hypr_main(const void *in, size_t in_bytes, struct hypr_out *out)
{
	int width, height, channels;
	stbi_uc *pixels;

	if (in_bytes > INT_MAX)
		hypr_abort("too large");
	pixels = stbi_load_from_memory(in, (int)in_bytes, &width, &height, &channels, CHANNELS);
	if (!pixels) {
		const char *reason = stbi_failure_reason();

		/* Not each failure of the decoder has one. */
		hypr_abort(reason && *reason ? reason : "no good PNG");
	}
	write_text(out, "P7\nWIDTH ");
	write_number(out, width);
	write_text(out, "\nHEIGHT ");
	write_number(out, height);
	write_text(out, "\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n");
	hypr_out_write(out, pixels, (size_t)width * (size_t)height * CHANNELS);
	return 0;
}
