/* SPDX-License-Identifier: Apache-2.0 */
/* Making, keeping and using the device's key. */
#include "key.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hex.h"
#include "base/mem.h"
#include "tls/ed25519.h"

#define HEX_N (2 * ED25519_KEY)

struct client_key {
	uint8_t seed[ED25519_KEY];
	char public[HEX_N + 1];
};

static int
read_key(const char *path, struct client_key *k)
{
	struct stat st;
	uint8_t *text;
	size_t n, end;
	int r;

	if (stat(path, &st) != 0)
		return -errno;
	if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return -EPERM;
	r = file_read(path, HEX_N + 2, &text, &n);
	if (r != 0)
		return r == -EFBIG ? -EINVAL : r;
	end = strcspn((char *)text, "\r\n");
	text[end] = '\0';
	r = end != HEX_N ? -EINVAL : hex_read((char *)text, k->seed,
	    sizeof(k->seed));
	mem_free_wiped(text, n);
	return r;
}

static int
make_key(const char *path, struct client_key *k)
{
	uint8_t public[ED25519_KEY];
	char text[HEX_N + 2];
	int r = ed25519_generate(k->seed, public);

	if (r != 0)
		return r;
	hex_write(k->seed, sizeof(k->seed), text);
	text[HEX_N] = '\n';
	r = file_write_atomic(path, text, HEX_N + 1, 0600);
	mem_wipe(text, sizeof(text));
	return r;
}

int
client_key_open(const char *path, struct client_key **ret, bool *ret_made)
{
	struct client_key *k = mem_calloc(1, sizeof(*k));
	uint8_t public[ED25519_KEY];
	bool made = false;
	int r;

	if (k == NULL)
		return -ENOMEM;
	r = read_key(path, k);
	if (r == -ENOENT) {
		made = true;
		r = make_key(path, k);
	}
	if (r == 0)
		r = ed25519_public(k->seed, public);
	if (r != 0) {
		client_key_free(&k);
		return r;
	}
	hex_write(public, sizeof(public), k->public);
	*ret = k;
	*ret_made = made;
	return 0;
}

void
client_key_free(struct client_key **pk)
{
	if (*pk == NULL)
		return;
	mem_free_wiped(*pk, sizeof(**pk));
	*pk = NULL;
}

const char *
client_key_public(const struct client_key *k)
{
	return k->public;
}

int
client_key_hello(const struct client_key *k, const uint8_t nonce[32],
    const uint8_t *exporter, const char *endpoint, char *to)
{
	uint8_t text[ED25519_HELLO_MAX], signature[ED25519_SIGNATURE];
	size_t n = ed25519_hello(nonce, exporter, endpoint, text);
	int r;

	if (n == 0)
		return -EINVAL;
	r = ed25519_sign(k->seed, text, n, signature);
	if (r == 0)
		hex_write(signature, sizeof(signature), to);
	return r;
}
