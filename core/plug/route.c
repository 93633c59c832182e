/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which protocol an upgrade request is for.  Reads only what belongs to the
 * calling worker: the paths of an instance change on each worker's own thread.
 */
#include <string.h>

#include "plug/inst.h"
#include "plug/plug_priv.h"

static bool
has(const char *const *list, const char *word)
{
	for (; list != NULL && *list != NULL; list++) {
		if (strcmp(*list, word) == 0)
			return true;
	}
	return false;
}

static const struct channel_protocol *
proto_of(const struct plug_inst *in, unsigned worker)
{
	if (in->state != PLUG_UP || in->module->kind != CLEAT_PROTOCOL ||
	    worker >= in->selfs_n)
		return NULL;
	return &in->self[worker].proto;
}

/* Several instances may answer to one subprotocol: the path decides, then the
 * listener, then the order of the configuration. */
static struct plug_inst *
by_subprotocol(struct plugs *p, unsigned worker, const char *word,
    const char *path, const char *preferred)
{
	struct plug_inst *first = NULL, *named = NULL;

	for (struct plug_inst *in = p->first; in != NULL; in = in->next) {
		const struct channel_protocol *proto = proto_of(in, worker);

		if (proto == NULL || !has(proto->subprotocols, word))
			continue;
		if (has(proto->paths, path))
			return in;
		if (preferred != NULL && strcmp(in->name, preferred) == 0)
			named = in;
		if (first == NULL)
			first = in;
	}
	return named != NULL ? named : first;
}

static struct plug_inst *
by_path(struct plugs *p, unsigned worker, const char *path)
{
	for (struct plug_inst *in = p->first; in != NULL; in = in->next) {
		const struct channel_protocol *proto = proto_of(in, worker);

		if (proto != NULL && has(proto->paths, path))
			return in;
	}
	return NULL;
}

struct channel_protocol *
plugs_route(struct plugs *p, unsigned worker,
    const char *const *subprotocols, const char *path,
    const char *default_instance, const char **ret_subprotocol)
{
	struct plug_inst *in;

	*ret_subprotocol = NULL;
	for (; subprotocols != NULL && *subprotocols != NULL; subprotocols++) {
		in = by_subprotocol(p, worker, *subprotocols, path,
		    default_instance);
		if (in != NULL) {
			*ret_subprotocol = *subprotocols;
			return &in->self[worker].proto;
		}
	}
	in = by_path(p, worker, path);
	if (in == NULL && default_instance != NULL)
		in = plugs_find(p, default_instance);
	if (in == NULL || proto_of(in, worker) == NULL)
		return NULL;
	return &in->self[worker].proto;
}

struct channel_protocol *
plugs_protocol(struct plugs *p, unsigned worker, const char *instance)
{
	struct plug_inst *in = plugs_find(p, instance);

	if (in == NULL || proto_of(in, worker) == NULL)
		return NULL;
	return &in->self[worker].proto;
}
