/* SPDX-License-Identifier: Apache-2.0 */
/* The one rule for ids, of the server and of those that are told before it. */
#include "base/id.h"

#include <string.h>

#define WORD "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" \
	"0123456789._-"

static bool
made_of(const char *s, const char *characters, size_t max)
{
	size_t n = strspn(s, characters);

	return n <= max && s[n] == '\0';
}

bool
id_valid(const char *id)
{
	return *id != '\0' && made_of(id, WORD ":@", ID_MAX);
}

bool
id_word_valid(const char *word)
{
	return *word != '\0' && made_of(word, WORD, ID_WORD_MAX);
}

bool
id_group_valid(const char *group)
{
	return made_of(group, WORD ":@", ID_GROUP_MAX);
}
