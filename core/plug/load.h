/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One module: a shared object that has passed every check of <cleat/abi.h>.
 * Nothing in it was called (but constructors of the file, which run at
 * dlopen(); that is why owner and mode are looked at before).
 */
#ifndef CT_PLUG_LOAD_H
#define CT_PLUG_LOAD_H

#include <stddef.h>

#include <cleat/abi.h>
#include <cleat/cert_source.h>
#include <cleat/protocol.h>
#include <cleat/status.h>

struct plug_module {
	char *name;			/* of the file, without ".so" */
	char *path;			/* for the log */
	void *handle;
	int fd;				/* open as long as it is loaded */
	enum cleat_kind kind;
	const char *version;
	const struct cleat_opt *opts;	/* schema, NULL or ends with
					 * name NULL */
	/* Our copies: what an older plugin does not have is zero here. */
	struct cleat_life life;
	union {
		struct cleat_cert_source_ops cert;
		struct cleat_protocol_ops proto;
		struct cleat_status_ops status;
	} ops;
};

/*
 * `module` is the name of a file in `dir`, without ".so", or an absolute path
 * when it contains a '/'.  Blocking.  One line in why[PLUG_WHY_SIZE] that names
 * the file: -EINVAL name or content of the module, -ENOENT, -EACCES owner,
 * mode, directory or a symbolic link, -ENOEXEC not a shared object for
 * this machine, -ELIBBAD a library or symbol is missing, -EPROTO another
 * ABI, -ENOMEM.
 */
int plug_load(const char *dir, const char *module, char *why,
    struct plug_module **ret);
/* When no instance of it is left. */
void plug_unload(struct plug_module **);

/* "certificate-source", "protocol", "status". */
const char *plug_kind_name(enum cleat_kind);

#endif
