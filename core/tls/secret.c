/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encrypted form, before base64: 1 byte version (1), 4 bytes that name the key,
 * 12 bytes nonce, ciphertext, 16 bytes tag.  A nonce is random: a key is used a
 * few times in its life.
 */
#include "tls/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gnutls/crypto.h>

#include "base/file.h"
#include "base/mem.h"
#include "tls/digest.h"
#include "tls/snapshot.h"
#include "tls/vendor.h"

#define VERSION 1
#define ID_SIZE 4
#define NONCE_SIZE 12
#define TAG_SIZE 16
#define HEAD_SIZE (1 + ID_SIZE + NONCE_SIZE)
#define ENCRYPTED_MAX (HEAD_SIZE + SECRET_MAX + TAG_SIZE)
#define PATH_LEN 4096
#define FILE_LIMIT 65536		/* the first line of it counts */

static const char prefix_file[] = "file:";
static const char prefix_credential[] = "credential:";
static const char prefix_encrypted[] = "encrypted:";
static const char prefix_plain[] = "plain:";
static const char label[] = "cleat secret 1";

/* What follows the prefix, or NULL. */
static const char *
after(const char *text, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

bool
secret_is_elsewhere(const char *text)
{
	return after(text, prefix_file) != NULL ||
	    after(text, prefix_credential) != NULL ||
	    after(text, prefix_encrypted) != NULL;
}

/* ---- the key of the host ------------------------------------------------ */

static int
check_key(const char *path, const struct stat *st, size_t n, char *why)
{
	if (geteuid() != 0 && st->st_uid != geteuid() && st->st_uid != 0)
		return tls_why(why, -EPERM, "key file %.150s belongs to "
		    "somebody else", path);
	if ((st->st_mode & 077) != 0)
		return tls_why(why, -EPERM, "key file %.150s may be read by "
		    "others: chmod 600", path);
	if (n != SECRET_KEY_SIZE)
		return tls_why(why, -EINVAL, "key file %.150s does not have "
		    "%d bytes", path, SECRET_KEY_SIZE);
	return 0;
}

/* -ENOENT without a word. */
static int
read_key(const char *path, char *why, uint8_t key[SECRET_KEY_SIZE])
{
	struct stat st;
	uint8_t *p = NULL;
	size_t n = 0;
	int r;

	if (stat(path, &st) != 0)
		r = -errno;
	else
		r = file_read(path, SECRET_KEY_SIZE + 1, &p, &n);
	if (r == -ENOENT)
		return r;
	if (r < 0 && r != -EFBIG)
		return tls_why(why, r, "key file %.150s: %s", path,
		    strerror(-r));
	r = check_key(path, &st, n, why);
	if (r == 0)
		memcpy(key, p, SECRET_KEY_SIZE);
	mem_free_wiped(p, n);
	return r;
}

/* The directory's owner runs the daemon; root may be the one who encrypts. */
static int
own_as_directory(int fd, const char *path)
{
	char dir[PATH_LEN];
	const char *slash = strrchr(path, '/');
	struct stat st;

	if (geteuid() != 0)
		return 0;
	(void)snprintf(dir, sizeof(dir), "%.*s",
	    slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path),
	    slash == NULL ? "." : path);
	if (stat(dir, &st) != 0 || fchown(fd, st.st_uid, st.st_gid) != 0)
		return -errno;
	return 0;
}

static int
fill(int fd, const char *path, const uint8_t key[SECRET_KEY_SIZE])
{
	int r = own_as_directory(fd, path);

	if (r < 0)
		return r;
	if (write(fd, key, SECRET_KEY_SIZE) != SECRET_KEY_SIZE)
		return errno == 0 ? -EIO : -errno;
	return fsync(fd) != 0 ? -errno : 0;
}

/* Whole or not at all, and never over another one: what that encrypted would be
 * lost.  -EEXIST: somebody else was faster. */
static int
make_key(const char *path, uint8_t key[SECRET_KEY_SIZE])
{
	char temporary[PATH_LEN];
	int fd, r;

	if (snprintf(temporary, sizeof(temporary), "%s.%ld", path,
	    (long)getpid()) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	r = digest_random(key, SECRET_KEY_SIZE);
	if (r < 0)
		return r;
	fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fill(fd, path, key);
	if (r == 0 && link(temporary, path) != 0)
		r = -errno;
	(void)unlink(temporary);
	(void)close(fd);
	return r;
}

static int
load_key(const char *path, bool make, char *why, uint8_t key[SECRET_KEY_SIZE])
{
	int r;

	if (path == NULL || *path == '\0')
		return tls_why(why, -EINVAL, "there is no key file for "
		    "encrypted secrets");
	r = read_key(path, why, key);
	if (r == -ENOENT && make) {
		r = make_key(path, key);
		if (r == -EEXIST)
			r = read_key(path, why, key);
		else if (r < 0)
			r = tls_why(why, r, "key file %.150s cannot be made: "
			    "%s", path, strerror(-r));
	}
	if (r == -ENOENT && !make)
		r = tls_why(why, r, "key file %.150s is not there: it was made "
		    "where the secret was encrypted", path);
	return r;
}

static int
key_id(const uint8_t key[SECRET_KEY_SIZE], uint8_t id[ID_SIZE])
{
	uint8_t text[sizeof(label) + SECRET_KEY_SIZE], sum[32];
	int r;

	memcpy(text, label, sizeof(label));
	memcpy(text + sizeof(label), key, SECRET_KEY_SIZE);
	r = digest_sha256(text, sizeof(text), sum);
	memcpy(id, sum, ID_SIZE);
	mem_wipe(text, sizeof(text));
	return r < 0 ? -EIO : 0;
}

/* ---- encryption --------------------------------------------------------- */

static int
cipher(const uint8_t key[SECRET_KEY_SIZE], gnutls_aead_cipher_hd_t *ret)
{
	gnutls_datum_t k = tls_datum(key, SECRET_KEY_SIZE);

	return gnutls_aead_cipher_init(ret, GNUTLS_CIPHER_AES_256_GCM, &k) < 0 ?
	    -ENOMEM : 0;
}

/* The head is filled in; out has room. */
static int
seal(const uint8_t key[SECRET_KEY_SIZE], const void *p, size_t n,
    uint8_t *out, size_t *ret_n)
{
	gnutls_aead_cipher_hd_t hd;
	size_t out_n = n + TAG_SIZE;
	int r = cipher(key, &hd);

	if (r < 0)
		return r;
	r = gnutls_aead_cipher_encrypt(hd, out + 1 + ID_SIZE, NONCE_SIZE,
	    label, sizeof(label), TAG_SIZE, p, n, out + HEAD_SIZE, &out_n);
	gnutls_aead_cipher_deinit(hd);
	*ret_n = HEAD_SIZE + out_n;
	return r < 0 ? -ENOMEM : 0;
}

static int
unseal(const uint8_t key[SECRET_KEY_SIZE], const uint8_t *p, size_t n,
    char *to)
{
	gnutls_aead_cipher_hd_t hd;
	size_t to_n = n - HEAD_SIZE - TAG_SIZE;
	int r = cipher(key, &hd);

	if (r < 0)
		return r;
	r = gnutls_aead_cipher_decrypt(hd, p + 1 + ID_SIZE, NONCE_SIZE, label,
	    sizeof(label), TAG_SIZE, p + HEAD_SIZE, n - HEAD_SIZE, to, &to_n);
	gnutls_aead_cipher_deinit(hd);
	return r < 0 ? -EBADMSG : 0;
}

static int
text_of(const uint8_t *p, size_t n, char **ret)
{
	size_t before = strlen(prefix_encrypted);
	char *text = mem_alloc(before + 4 * ((n + 2) / 3) + 1);

	if (text == NULL)
		return -ENOMEM;
	memcpy(text, prefix_encrypted, before);
	digest_base64(p, n, text + before);
	*ret = text;
	return 0;
}

int
secret_encrypt(const void *p, size_t n, const char *key_file, char *why,
    char **ret)
{
	uint8_t key[SECRET_KEY_SIZE], area[ENCRYPTED_MAX] = { VERSION };
	size_t area_n = 0;
	int r;

	if (n == 0 || n > SECRET_MAX || memchr(p, '\0', n) != NULL)
		return tls_why(why, -EINVAL, n == 0 ? "the secret is empty" :
		    n > SECRET_MAX ? "the secret is longer than 4096 bytes" :
		    "there is a NUL in the secret");
	r = load_key(key_file, true, why, key);
	if (r < 0)
		return r;
	r = key_id(key, area + 1);
	if (r == 0)
		r = digest_random(area + 1 + ID_SIZE, NONCE_SIZE);
	if (r == 0)
		r = seal(key, p, n, area, &area_n);
	mem_wipe(key, sizeof(key));
	if (r == 0)
		r = text_of(area, area_n, ret);
	if (r < 0)
		(void)tls_why(why, r, "the secret cannot be encrypted: %s",
		    strerror(-r));
	return r;
}

static int
decrypt(const uint8_t *p, size_t n, const char *key_file, char *why,
    char **ret)
{
	uint8_t key[SECRET_KEY_SIZE], id[ID_SIZE];
	char *text;
	int r;

	if (n <= HEAD_SIZE + TAG_SIZE || n > ENCRYPTED_MAX || p[0] != VERSION)
		return tls_why(why, -EINVAL,
		    "not what cleatctl secret encrypt makes");
	text = mem_calloc(1, n);
	if (text == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	r = load_key(key_file, false, why, key);
	if (r == 0)
		r = key_id(key, id);
	if (r == 0 && memcmp(id, p + 1, ID_SIZE) != 0)
		r = tls_why(why, -EBADMSG, "encrypted with another key than "
		    "%.150s, perhaps on another host", key_file);
	else if (r == 0 && (r = unseal(key, p, n, text)) < 0)
		(void)tls_why(why, r, "the encrypted secret is damaged");
	mem_wipe(key, sizeof(key));
	if (r < 0)
		mem_free_wiped(text, n);
	else
		*ret = text;
	return r;
}

static int
open_encrypted(const char *text, const char *key_file, char *why, char **ret)
{
	gnutls_datum_t in = tls_datum(text, strlen(text)), out = { NULL, 0 };
	int r;

	if (in.size == 0 || in.size > 2 * ENCRYPTED_MAX ||
	    gnutls_base64_decode2(&in, &out) < 0)
		return tls_why(why, -EINVAL,
		    "not what cleatctl secret encrypt makes");
	r = decrypt(out.data, out.size, key_file, why, ret);
	gnutls_free(out.data);
	return r;
}

/* ---- files -------------------------------------------------------------- */

static int
take_text(const char *path, const uint8_t *p, size_t n, char *why, char **ret)
{
	const char *line = NULL;
	char *text;
	int r = file_line(p, n, &line, &n);

	if (r < 0 || n == 0 || n > SECRET_MAX)
		return tls_why(why, -EINVAL, "%.180s: %s", path, r < 0 ?
		    "there is a NUL in its first line: save it as UTF-8" :
		    n == 0 ? "its first line is empty" :
		    "longer than 4096 bytes");
	text = mem_alloc(n + 1);
	if (text == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	memcpy(text, line, n);
	text[n] = '\0';
	*ret = text;
	return 0;
}

static int
open_file(const char *path, bool is_private, char *why, char **ret)
{
	struct stat st;
	uint8_t *p = NULL;
	size_t n = 0;
	int r;

	if (path[0] != '/')
		return tls_why(why, -EINVAL, "file: an absolute path is "
		    "expected");
	if (stat(path, &st) != 0)
		r = -errno;
	else if (is_private && (st.st_mode & 07) != 0)
		return tls_why(why, -EPERM, "%.180s: everybody may read or "
		    "write it: chmod 600", path);
	else
		r = file_read(path, FILE_LIMIT, &p, &n);
	if (r < 0)
		return tls_why(why, r, "%.180s: %s", path, r == -EFBIG ?
		    "longer than 64 KiB" : r == -ENOTSUP ?
		    "not a regular file" : strerror(-r));
	r = take_text(path, p, n, why, ret);
	mem_free_wiped(p, n);
	return r;
}

static bool
is_credential_name(const char *name)
{
	return *name != '\0' && *name != '.' && strchr(name, '/') == NULL;
}

int
secret_credential(const char *name, char *why, char *path, size_t cap)
{
	const char *dir = getenv("CREDENTIALS_DIRECTORY");
	int n;

	if (!is_credential_name(name))
		return tls_why(why, -EINVAL, "credential: a name is expected");
	if (dir == NULL || dir[0] != '/')
		return tls_why(why, -ENOENT, "credential:%.60s: there is no "
		    "$CREDENTIALS_DIRECTORY; LoadCredential= of the service "
		    "makes it", name);
	n = snprintf(path, cap, "%s/%s", dir, name);
	if (n < 0 || (size_t)n >= cap)
		return tls_why(why, -ENAMETOOLONG, "credential: its path is "
		    "too long");
	return 0;
}

static int
open_credential(const char *name, char *why, char **ret)
{
	char path[PATH_LEN];
	int r = secret_credential(name, why, path, sizeof(path));

	return r != 0 ? r : open_file(path, false, why, ret);
}

int
secret_open(const char *text, const char *key_file, char *why, char **ret)
{
	const char *rest;
	char *copy;

	if ((rest = after(text, prefix_file)) != NULL)
		return open_file(rest, true, why, ret);
	if ((rest = after(text, prefix_credential)) != NULL)
		return open_credential(rest, why, ret);
	if ((rest = after(text, prefix_encrypted)) != NULL)
		return open_encrypted(rest, key_file, why, ret);
	rest = after(text, prefix_plain);
	copy = mem_strdup(rest == NULL ? text : rest);
	if (copy == NULL)
		return tls_why(why, -ENOMEM, "out of memory");
	*ret = copy;
	return 0;
}

int
secret_check(const char *text, const char *key_file, char *why, char **ret)
{
	const char *name = after(text, prefix_credential);

	if (name == NULL || getenv("CREDENTIALS_DIRECTORY") != NULL ||
	    !is_credential_name(name))
		return secret_open(text, key_file, why, ret);
	*ret = mem_strdup(text);
	return *ret == NULL ? tls_why(why, -ENOMEM, "out of memory") : 0;
}
