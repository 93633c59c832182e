/* SPDX-License-Identifier: Apache-2.0 */
/* Options: read once, checked as far as no file is needed for it. */
#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "choose.h"

static const char *const list_opts[LISTS] = {
	"chain", "key", "ocsp", "anchors"
};

const struct cleat_opt config_opts[] = {
	{ "chain", CLEAT_OPT_LIST, 0, NULL, 0, 0,
	    "files with the certificate and its intermediates, any format" },
	{ "key", CLEAT_OPT_LIST, 0, NULL, 0, 0,
	    "files with the private key, any format" },
	{ "directory", CLEAT_OPT_PATH, 0, NULL, 0, 0,
	    "look in all files of this directory instead" },
	{ "choose", CLEAT_OPT_STRING, 0, "newest", 0, 0,
	    "newest, a thumbprint (SHA-256, SHA-1), or subject=NAME" },
	{ "key_passphrase", CLEAT_OPT_STRING, CLEAT_OPT_SECRET, NULL, 0, 0,
	    "the password of encrypted files: a secret" },
	{ "ocsp", CLEAT_OPT_LIST, 0, NULL, 0, 0,
	    "DER files: OCSP responses to staple" },
	{ "anchors", CLEAT_OPT_LIST, 0, NULL, 0, 0,
	    "files with the authorities that the chain has to lead to" },
	{ "self_signed", CLEAT_OPT_BOOL, 0, "yes", 0, 0,
	    "without chain and directory, make a self-signed certificate" },
	{ "poll", CLEAT_OPT_DURATION, 0, "15s", 1000, 86400000,
	    "how often to look whether the files have changed" },
	{ .name = NULL }
};

void
config_fini(struct config *c)
{
	for (int i = 0; i < LISTS; i++) {
		for (size_t k = 0; c->path[i] != NULL && c->path[i][k] != NULL;
		    k++)
			free(c->path[i][k]);
		free(c->path[i]);
	}
	free(c->directory);
	free(c->choose);
	memset(c, 0, sizeof(*c));
}

static int
copy(const char *text, char **ret)
{
	if (text == NULL || text[0] == '\0')
		return 0;
	*ret = strdup(text);
	return *ret != NULL ? 0 : -ENOMEM;
}

static int
copy_list(struct cleat_self *self, const struct cleat_host *host,
    const struct cleat_opts *o, const char *name, char ***ret)
{
	const char *item;
	unsigned n = 0;
	int err;

	while ((item = host->opt_item(self, o, name, n)) != NULL)
		n++;
	*ret = calloc((size_t)n + 1, sizeof(**ret));
	if (*ret == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < n; i++) {
		item = host->opt_item(self, o, name, i);
		if (item[0] != '/') {
			host->log(self, CLEAT_LOG_ERROR, "%s: %s is not an "
			    "absolute path", name, item);
			return -EINVAL;
		}
		err = copy(item, &(*ret)[i]);
		if (err < 0)
			return err;
	}
	return 0;
}

/* NULL, or what does not fit together. */
static const char *
fault(struct config *c)
{
	bool chain = c->path[CHAIN][0] != NULL;
	bool any = chain || c->path[KEY][0] != NULL || c->directory != NULL;

	if (!any && !c->self_signed)
		return "chain or directory is needed, or self_signed = yes";
	c->self_signed = !any;
	if (any && !chain && c->directory == NULL)
		return "chain is needed with key";
	if (c->directory != NULL && (chain || c->path[KEY][0] != NULL))
		return "directory stands instead of chain and key";
	return choose_fault(c->choose);
}

int
config_read(struct cleat_self *self, const struct cleat_host *host,
    const struct cleat_opts *o, struct config *ret)
{
	struct config c = { .self_signed = false };
	const char *text;
	int err = 0;

	c.self_signed = host->opt_number(self, o, "self_signed") != 0;
	c.poll_ms = host->opt_number(self, o, "poll");
	for (int i = 0; err == 0 && i < LISTS; i++)
		err = copy_list(self, host, o, list_opts[i], &c.path[i]);
	if (err == 0)
		err = copy(host->opt_text(self, o, "directory"), &c.directory);
	if (err == 0)
		err = copy(host->opt_text(self, o, "choose"), &c.choose);
	if (err == 0 && (text = fault(&c)) != NULL) {
		host->log(self, CLEAT_LOG_ERROR, "%s", text);
		err = -EINVAL;
	}
	if (err < 0)
		config_fini(&c);
	else
		*ret = c;
	return err;
}
