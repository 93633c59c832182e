/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal digits, in and out. */
#include "base/hex.h"

#include <errno.h>
#include <string.h>

int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

void
hex_write(const void *p, size_t n, char *to)
{
	static const char digit[] = "0123456789abcdef";
	const uint8_t *s = p;

	for (size_t i = 0; i < n; i++) {
		*to++ = digit[s[i] >> 4];
		*to++ = digit[s[i] & 15];
	}
	*to = '\0';
}

int
hex_read(const char *text, uint8_t *to, size_t n)
{
	int high, low;

	if (strnlen(text, 2 * n + 1) != 2 * n)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		high = hex_value(text[2 * i]);
		low = hex_value(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return -EINVAL;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

size_t
hex_read_print(const char *text, uint8_t *to, size_t max)
{
	size_t digits = 0;

	for (; *text != '\0'; text++) {
		int v = hex_value(*text);

		if (strchr(": \t\r\n", *text) != NULL)
			continue;
		if (v < 0 || digits == 2 * max)
			return 0;
		to[digits / 2] = (uint8_t)(digits % 2 == 0 ? v << 4 :
		    to[digits / 2] | v);
		digits++;
	}
	return digits % 2 == 0 ? digits / 2 : 0;
}
