/* SPDX-License-Identifier: Apache-2.0 */
/* JSON to text. */
#include "json_text.h"

#include "base/mem.h"

/* json_dumps() of jansson 2.14 drops a key when memory is short while its text
 * grows; here the room is there before. */
char *
json_text(json_t *o)
{
	const size_t how = JSON_COMPACT | JSON_ENCODE_ANY;
	size_t n = o == NULL ? 0 : json_dumpb(o, NULL, 0, how);
	char *text = n == 0 ? NULL : mem_alloc(n + 1);

	if (text != NULL && json_dumpb(o, text, n, how) == n) {
		text[n] = '\0';
	} else {
		mem_free(text);
		text = NULL;
	}
	json_decref(o);
	return text;
}
