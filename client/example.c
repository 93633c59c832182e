/* SPDX-License-Identifier: Apache-2.0 */
/* A device in 60 lines: cc example.c $(pkg-config --cflags
 * --libs cleat-client) */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <cleat-client.h>

static struct cleat_client *client;

static void
on_state(void *ctx, enum cleat_client_state state, const char *why)
{
	(void)ctx;
	printf("%d %s\n", (int)state, why);
	if (state == CLEAT_CLIENT_ONLINE)
		cleat_client_inventory(client, "{\"model\":\"lamp\"}", NULL,
		    NULL);
}

static int
on_request(void *ctx, const char *method, const char *params)
{
	(void)ctx;
	printf("%s %s\n", method, params);
	/* A lamp obeys nobody, and so has nothing to cancel. */
	return strcmp(method, "cancel") == 0 ? -ENOENT : -ENOSYS;
}

static void
on_log(void *ctx, enum cleat_client_level level, const char *text)
{
	(void)ctx;
	printf("<%d>%s\n", (int)level, text);
}

int
main(int argc, char **argv)
{
	char why[CLEAT_CLIENT_WHY_SIZE];
	struct cleat_client_opts opts = {
		.size = sizeof(opts), .endpoint = "lamp-1", .enrol = true,
		.identity_file = "lamp.key", .agent = "lamp 1.0",
		.state = on_state, .request = on_request, .log = on_log
	};

	opts.server = argc > 1 ? argv[1] : "wss://localhost";
	if (cleat_client_new(&opts, why, &client) != 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	for (;;) {
		struct pollfd p = { cleat_client_fd(client),
		    cleat_client_poll_events(client), 0 };

		poll(&p, p.fd >= 0, cleat_client_timeout_ms(client));
		cleat_client_process(client);
	}
}
