/* SPDX-License-Identifier: Apache-2.0 */
/* Reads lists of pins. */
#include "tls/pins.h"

#include <errno.h>
#include <string.h>

#define SEPARATORS ", \t\r\n"
#define PREFIX "sha256/"
#define BASE64_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" \
	"0123456789+/"

static int
take(const char *p, size_t n, struct tls_pin *ret)
{
	const size_t skip = strlen(PREFIX);

	ret->ca = n > 3 && strncmp(p, "ca:", 3) == 0;
	if (ret->ca) {
		p += 3;
		n -= 3;
	}
	/* 43 characters of base64 and one '=': 32 bytes. */
	if (n != TLS_PIN_TEXT || strncmp(p, PREFIX, skip) != 0 ||
	    strspn(p + skip, BASE64_CHARS) != n - skip - 1 || p[n - 1] != '=')
		return -EINVAL;
	memcpy(ret->text, p, n);
	ret->text[n] = '\0';
	return 0;
}

int
pins_parse(const char *text, struct tls_pin *to)
{
	int n = 0;

	for (;;) {
		size_t len;

		text += strspn(text, SEPARATORS);
		if (*text == '\0')
			return n;
		len = strcspn(text, SEPARATORS);
		if (n == TLS_PINS_MAX || take(text, len, &to[n]) != 0)
			return -EINVAL;
		n++;
		text += len;
	}
}
