// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Signatures of VMO files, and the files with their keys.  A secret key, also as the text
 * of its file, is only ever in memory of core/secure.h: locked, not in core dumps,
 * overwritten when the work is done or has failed.
 */
#include <fcntl.h>
#include <sodium.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/secure.h"
#include "vmo/vmo.h"

#define SECRET_WORD	"hypr-ed25519-secret "
#define PUBLIC_WORD	"hypr-ed25519-public "
#define HEX_BYTES	(2 * HYPR_VMO_KEY_BYTES)
/* The text of a key's file, and one byte more to see that it ends. */
#define TEXT_BYTES	(sizeof(SECRET_WORD) + HEX_BYTES + 2)

struct secrets {
	uint8_t seed[crypto_sign_SEEDBYTES];
	uint8_t key[crypto_sign_SECRETKEYBYTES];
	char text[TEXT_BYTES];
	char hex[HEX_BYTES + 1];
};

/* Undone by fini_security_context(). */
static int secrets_create(struct security_context *context, struct secrets **secrets)
{
	int ret = init_security_context(context);

	if (ret)
		return hypr_fail(ret, "no memory for a secret key");
	*secrets = secure_alloc(context, sizeof(**secrets));
	if (!*secrets) {
		fini_security_context(context);
		return hypr_fail(-ENOMEM, "no memory for a secret key");
	}
	return 0;
}

/* ---- keys ------------------------------------------------------------------ */

/* Neither key is ever there in part, and none that is there is replaced. */
static int write_key(const char *path, bool secret, const char *word, const uint8_t *key,
		     struct secrets *secrets)
{
	struct hypr_vmo_temp temp;
	int ret, len;

	sodium_bin2hex(secrets->hex, sizeof(secrets->hex), key, HYPR_VMO_KEY_BYTES);
	len = snprintf(secrets->text, sizeof(secrets->text), "%s%s\n", word, secrets->hex);
	ret = secret ? hypr_vmo_temp_create(&temp, path, 0, NULL) :
		       hypr_vmo_temp_create_shared(&temp, path, 0, NULL);
	if (ret)
		return ret;
	ret = hypr_vmo_write(temp.fd, 0, secrets->text, (uint64_t)len);
	if (ret)
		hypr_fail_sys(ret, "%.80s: writing", path);
	else
		ret = hypr_vmo_temp_commit(&temp);
	hypr_vmo_temp_destroy(&temp);
	return ret;
}

/* @text has TEXT_BYTES. */
static int read_key(const char *path, const char *word, bool secret, char *text, uint8_t *key)
{
	size_t len = strlen(word), got;
	struct stat st;
	ssize_t n;
	int fd, ret = 0;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return hypr_fail_sys(-errno, "%.80s", path);
	n = pread(fd, text, TEXT_BYTES - 1, 0);
	if (n < 0 || fstat(fd, &st) < 0) {
		ret = hypr_fail_sys(-errno, "%.80s", path);
		goto close_fd;
	}
	text[n] = '\0';
	if (secret && (st.st_mode & 077))
		ret = hypr_fail(-EACCES, "%.80s: others can read it; chmod 600, and think of a new key",
				path);
	else if (strncmp(text, word, len) ||
		 sodium_hex2bin(key, HYPR_VMO_KEY_BYTES, text + len, strcspn(text + len, "\n"),
				NULL, &got, NULL) || got != HYPR_VMO_KEY_BYTES)
		ret = hypr_fail(-EINVAL, "%.80s: no %s key", path, secret ? "secret" : "public");
close_fd:
	close(fd);
	return ret;
}

int hypr_vmo_public_key(const char *path, uint8_t public_key[HYPR_VMO_KEY_BYTES])
{
	char text[TEXT_BYTES];

	return read_key(path, PUBLIC_WORD, false, text, public_key);
}

int hypr_vmo_keygen(const char *path, uint8_t public_key[HYPR_VMO_KEY_BYTES])
{
	struct security_context context;
	struct secrets *secrets;
	char *public_path;
	int ret;

	if (sodium_init() < 0)
		return hypr_fail(-EIO, "libsodium does not start");
	if (asprintf(&public_path, "%s.pub", path) < 0)
		return hypr_fail(-ENOMEM, "no memory for a key");
	ret = secrets_create(&context, &secrets);
	if (ret)
		goto free_path;
	randombytes_buf(secrets->seed, sizeof(secrets->seed));
	crypto_sign_seed_keypair(public_key, secrets->key, secrets->seed);
	ret = write_key(public_path, false, PUBLIC_WORD, public_key, secrets);
	if (ret)
		goto fini_context;
	ret = write_key(path, true, SECRET_WORD, secrets->seed, secrets);
	if (ret)
		unlink(public_path);
fini_context:
	fini_security_context(&context);
free_path:
	free(public_path);
	return ret;
}

/* ---- signing --------------------------------------------------------------- */

static int sign_root(const struct hypr_vmo *vmo, const char *key,
		     struct hypr_vmo_signature *signature)
{
	struct hypr_vmo_sign_message message;
	struct security_context context;
	struct secrets *secrets;
	int ret;

	ret = secrets_create(&context, &secrets);
	if (ret)
		return ret;
	ret = read_key(key, SECRET_WORD, true, secrets->text, secrets->seed);
	if (ret)
		goto fini_context;
	hypr_vmo_sign_message(&message, &vmo->header);
	memset(signature, 0, sizeof(*signature));
	signature->algorithm = HYPR_VMO_SIGNED_ED25519;
	crypto_sign_seed_keypair(signature->public_key, secrets->key, secrets->seed);
	crypto_sign_detached(signature->signature, NULL, (const uint8_t *)&message,
			     sizeof(message), secrets->key);
fini_context:
	fini_security_context(&context);
	return ret;
}

static int write_signature(const struct hypr_vmo *vmo, const struct hypr_vmo_signature *signature)
{
	const char *name = vmo->file.name;
	struct stat st;
	int fd, ret;

	fd = open(vmo->path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return hypr_fail_sys(-errno, "%s", name);
	if (fstat(fd, &st) < 0 || st.st_dev != vmo->file.dev || st.st_ino != vmo->file.ino) {
		ret = hypr_fail(-ESTALE, "%s: it was replaced while it was signed", name);
		goto close_fd;
	}
	ret = hypr_vmo_write(fd, offsetof(struct hypr_vmo_header, signature), signature,
			     sizeof(*signature));
	if (!ret && fsync(fd) < 0)
		ret = -errno;
	if (ret)
		hypr_fail_sys(ret, "%s: writing the signature", name);
close_fd:
	close(fd);
	return ret;
}

/* A signature is a promise: of this file nothing is signed that was not looked at. */
static int verify_layer(struct hypr_vmo *vmo)
{
	struct hypr_vmo_verify_result result;
	struct hypr_vmo *parent = vmo->parent;
	uint32_t algorithm = vmo->header.signature.algorithm;
	int ret;

	/* One that is to be replaced need not fit. */
	vmo->header.signature.algorithm = HYPR_VMO_SIGNED_NOT;
	vmo->parent = NULL;
	ret = hypr_vmo_verify(vmo, &result);
	vmo->parent = parent;
	vmo->header.signature.algorithm = algorithm;
	return ret;
}

int hypr_vmo_sign(const char *path, const char *key)
{
	struct hypr_vmo_signature signature;
	struct hypr_vmo *vmo;
	int ret;

	if (sodium_init() < 0)
		return hypr_fail(-EIO, "libsodium does not start");
	ret = hypr_vmo_open(path, &vmo);
	if (ret)
		return ret;
	if (vmo->file.chunk)
		ret = hypr_fail(-EOPNOTSUPP, "%s: packed; it can be signed after hypr vmo unpack",
				vmo->file.name);
	if (!ret)
		ret = verify_layer(vmo);
	if (!ret)
		ret = sign_root(vmo, key, &signature);
	if (!ret)
		ret = write_signature(vmo, &signature);
	hypr_vmo_close(vmo);
	return ret;
}
