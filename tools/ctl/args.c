/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of a command for a device, from the command line to JSON. */
#include "args.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"

/* The value that the text is in JSON; NULL: it is not JSON. */
static json_t *
exact(const char *s)
{
	return json_loads(s, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
}

/* A text that reads as number, true, false or null is that; objects, arrays and
 * quoted strings have to be asked for by := . */
static json_t *
guess(const char *s)
{
	json_t *v = exact(s);

	if (v != NULL && (json_is_number(v) || json_is_boolean(v) ||
	    json_is_null(v)) && strspn(s, " \t\r\n") == 0)
		return v;
	json_decref(v);
	return json_string(s);
}

static int
add_word(json_t *o, const char *word, char *why)
{
	const char *equals = strchr(word, '=');
	size_t n = equals == NULL ? 0 : (size_t)(equals - word);
	bool json = n > 0 && word[n - 1] == ':';
	json_t *v;
	char *key;
	int r;

	if (json)
		n--;
	if (n == 0) {
		(void)snprintf(why, ARGS_WHY_SIZE,
		    "\"%.100s\": KEY=VALUE or KEY:=JSON is expected", word);
		return -EINVAL;
	}
	v = json ? exact(equals + 1) : guess(equals + 1);
	if (v == NULL) {
		(void)snprintf(why, ARGS_WHY_SIZE, "\"%.100s\": the value is "
		    "not %s", word, json ? "JSON" : "UTF-8");
		return -EINVAL;
	}
	key = mem_dup(word, n + 1);
	if (key == NULL) {
		json_decref(v);
		return -ENOMEM;
	}
	key[n] = '\0';
	r = 0;
	if (json_object_get(o, key) != NULL) {
		(void)snprintf(why, ARGS_WHY_SIZE, "\"%.100s\" is given twice",
		    key);
		r = -EINVAL;
		json_decref(v);
	} else if (json_object_set_new(o, key, v) != 0) {
		(void)snprintf(why, ARGS_WHY_SIZE, "\"%.100s\": the key is "
		    "not UTF-8", word);
		r = -EINVAL;
	}
	mem_free(key);
	return r;
}

int
args_json(const char *object, char *const *words, size_t n,
    char why[ARGS_WHY_SIZE], struct json_t **ret)
{
	json_error_t error;
	json_t *o;
	int r = 0;

	if (object == NULL) {
		o = json_object();
		if (o == NULL)
			return -ENOMEM;
	} else {
		o = json_loads(object, JSON_REJECT_DUPLICATES, &error);
		if (!json_is_object(o)) {
			(void)snprintf(why, ARGS_WHY_SIZE, "--args: %.150s",
			    o == NULL ? error.text : "an object is expected");
			json_decref(o);
			return -EINVAL;
		}
	}
	for (size_t i = 0; i < n && r == 0; i++)
		r = add_word(o, words[i], why);
	if (r == 0)
		*ret = o;
	else
		json_decref(o);
	return r;
}
