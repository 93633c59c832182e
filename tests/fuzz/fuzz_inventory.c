/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inventory documents of devices, as inventory_facts.c and json_find.c look
 * into them: those that are JSON are read, those that are not must do no
 * harm either.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_check.h"
#include "base/json_find.h"
#include "channel/telemetry.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct telemetry_facts f = { 0 };
	char *text = malloc(n + (n == 0));	/* ASan sees its end */
	struct json_span v;

	if (text == NULL)
		return 0;
	if (n > 0)
		memcpy(text, p, n);
	telemetry_read_inventory(text, n, &f);
	if (f.networks > TELEMETRY_NETWORKS)
		abort();
	/* What is found in good JSON is a good value. */
	if (json_check_object(text, n) == 0 &&
	    json_member((struct json_span){ text, n }, "mac", &v) &&
	    json_check_value(v.p, v.n) != 0)
		abort();
	free(text);
	return 0;
}
