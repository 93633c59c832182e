/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens modules; the only user of dlfcn.h.  The order is: owner and mode of the
 * directory and the file (through the descriptors that are used afterwards, so
 * that nothing can be swapped in between), ELF header, dlopen() of that very
 * descriptor, then the exported constant as data.  Never calls anything in it.
 *
 * The descriptor stays open while the module is loaded: glibc finds a loaded
 * object by the name it was opened with, and "/proc/self/fd/N" with N used
 * again would give the earlier module.
 */
#include "plug/load.h"

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "plug/opts.h"
#include "plug/plug.h"

#define NAME_MAX_N 64
/* What the table of an ABI 1.0 plugin holds; what is behind reads as NULL. */
#define PROTO_OPS_1_0 offsetof(struct cleat_protocol_ops, completed)

static bool
name_ok(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= NAME_MAX_N && s[0] >= 'a' && s[0] <= 'z' &&
	    strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

const char *
plug_kind_name(enum cleat_kind kind)
{
	switch (kind) {
	case CLEAT_CERT_SOURCE:
		return "certificate-source";
	case CLEAT_PROTOCOL:
		return "protocol";
	case CLEAT_STATUS:
		return "status";
	}
	return "unknown";
}

/* ---- the file ------------------------------------------------------------ */

/* "dir/name.so" or the path as given; the name is what a module must call
 * itself. */
static int
split(const char *dir, const char *module, char *why, char **ret_dir,
    char **ret_name)
{
	const char *slash = strrchr(module, '/'), *base = module;
	char *d, *n;
	size_t len;

	if (slash != NULL) {
		if (module[0] != '/') {
			(void)snprintf(why, PLUG_WHY_SIZE, "module \"%s\": "
			    "neither a name nor an absolute path", module);
			return -EINVAL;
		}
		base = slash + 1;
	}
	n = mem_strdup(base);
	d = slash == NULL ? mem_strdup(dir) : mem_strdup(module);
	if (n == NULL || d == NULL) {
		mem_free(n);
		mem_free(d);
		return -ENOMEM;
	}
	len = strlen(n);
	if (slash != NULL) {
		d[slash == module ? 1 : slash - module] = '\0';
		if (len > 3 && strcmp(n + len - 3, ".so") == 0)
			n[len - 3] = '\0';
	}
	if (!name_ok(n)) {
		(void)snprintf(why, PLUG_WHY_SIZE, "module \"%s\": a name is "
		    "a-z, 0-9, '-' and '_', at most %d characters", module,
		    NAME_MAX_N);
		mem_free(n);
		mem_free(d);
		return -EINVAL;
	}
	*ret_dir = d;
	*ret_name = n;
	return 0;
}

static int
check_owner(const struct stat *st, const char *path, char *why)
{
	if (st->st_uid != 0 && st->st_uid != geteuid()) {
		(void)snprintf(why, PLUG_WHY_SIZE, "%s: belongs to user %lu, "
		    "neither to root nor to the daemon's user", path,
		    (unsigned long)st->st_uid);
		return -EACCES;
	}
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0) {
		(void)snprintf(why, PLUG_WHY_SIZE, "%s: is writable by others "
		    "than its owner (mode %04o)", path,
		    (unsigned)(st->st_mode & 07777));
		return -EACCES;
	}
	return 0;
}

static int
open_failed(const char *path, int err, char *why)
{
	(void)snprintf(why, PLUG_WHY_SIZE, "%s: %s", path,
	    err == ELOOP ? "is a symbolic link" : strerror(err));
	return err == ELOOP ? -EACCES : -err;
}

static int
open_checked(const char *dir, const char *path, const char *file, char *why,
    int *ret_fd)
{
	struct stat st;
	int dirfd, fd = -1, err;

	dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return open_failed(dir, errno, why);
	if (fstat(dirfd, &st) < 0) {
		err = open_failed(dir, errno, why);
		goto out;
	}
	err = check_owner(&st, dir, why);
	if (err < 0)
		goto out;
	fd = openat(dirfd, file,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0) {
		err = open_failed(path, errno, why);
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		(void)snprintf(why, PLUG_WHY_SIZE, "%s: is not a regular file",
		    path);
		err = -ENOEXEC;
		goto out;
	}
	err = check_owner(&st, path, why);
out:
	(void)close(dirfd);
	if (err < 0) {
		if (fd >= 0)
			(void)close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

/* Our own program's header says what this machine is. */
static int
read_header(int fd, ElfW(Ehdr) *ret)
{
	ssize_t n = pread(fd, ret, sizeof(*ret), 0);

	if (n < 0)
		return -errno;
	return (size_t)n == sizeof(*ret) &&
	    memcmp(ret->e_ident, ELFMAG, SELFMAG) == 0 ? 0 : -ENOEXEC;
}

static int
check_elf(int fd, const char *path, char *why)
{
	ElfW(Ehdr) own, h;
	int self, err;

	self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (self < 0)
		return open_failed("/proc/self/exe", errno, why);
	err = read_header(self, &own);
	(void)close(self);
	if (err < 0)
		return open_failed("/proc/self/exe", -err, why);
	err = read_header(fd, &h);
	if (err < 0) {
		(void)snprintf(why, PLUG_WHY_SIZE, "%s: %s", path,
		    err == -ENOEXEC ? "is not an ELF file" : strerror(-err));
		return err;
	}
	if (h.e_ident[EI_CLASS] != own.e_ident[EI_CLASS] ||
	    h.e_ident[EI_DATA] != own.e_ident[EI_DATA] ||
	    h.e_machine != own.e_machine) {
		(void)snprintf(why, PLUG_WHY_SIZE, "%s: was built for another "
		    "machine (ELF machine %u, here %u)", path,
		    (unsigned)h.e_machine, (unsigned)own.e_machine);
		return -ENOEXEC;
	}
	if (h.e_type != ET_DYN) {
		(void)snprintf(why, PLUG_WHY_SIZE,
		    "%s: is an ELF file, but not a shared object", path);
		return -ENOEXEC;
	}
	return 0;
}

/* ---- the descriptor ------------------------------------------------------ */

static int
bad(const char *name, char *why, int err, const char *what)
{
	(void)snprintf(why, PLUG_WHY_SIZE, "module %s: %s", name, what);
	return err;
}

/* Copies a table that begins with its size into one of ours. */
static int
copy_table(void *to, size_t cap, size_t least, const void *from)
{
	uint32_t size;

	memcpy(&size, from, sizeof(size));
	if (size < least)
		return -EPROTO;
	memset(to, 0, cap);
	memcpy(to, from, size < cap ? size : cap);
	return 0;
}

static int
check_life(const char *name, char *why, const struct cleat_life *l)
{
	if (l->open == NULL)
		return bad(name, why, -EINVAL, "life.open is missing");
	if (l->close == NULL)
		return bad(name, why, -EINVAL, "life.close is missing");
	if ((l->prepare == NULL) != (l->commit == NULL) ||
	    (l->prepare == NULL) != (l->discard == NULL))
		return bad(name, why, -EINVAL, "life.prepare, life.commit and "
		    "life.discard go together, but one is missing");
	return 0;
}

static int
check_proto(const char *name, char *why, const struct cleat_protocol_ops *o)
{
	if (o->open == NULL)
		return bad(name, why, -EINVAL, "ops.open is missing");
	if (o->message == NULL)
		return bad(name, why, -EINVAL, "ops.message is missing");
	if (o->closed == NULL)
		return bad(name, why, -EINVAL, "ops.closed is missing");
	if (o->authenticated == NULL &&
	    (o->flags & CLEAT_PROTOCOL_ANONYMOUS) == 0)
		return bad(name, why, -EINVAL, "ops.authenticated is missing");
	if ((o->session_export == NULL) != (o->session_import == NULL) ||
	    (o->session_export == NULL) != (o->session_forget == NULL))
		return bad(name, why, -EINVAL, "ops.session_export, "
		    "ops.session_import and ops.session_forget go together, "
		    "but one is missing");
	return 0;
}

static int
check_ops(const char *name, char *why, const void *ops,
    struct plug_module *m)
{
	const char *small = "the size of its ops table is too small";

	switch (m->kind) {
	case CLEAT_CERT_SOURCE:
		if (copy_table(&m->ops.cert, sizeof(m->ops.cert),
		    sizeof(m->ops.cert), ops) < 0)
			return bad(name, why, -EPROTO, small);
		if (m->ops.cert.refresh == NULL)
			return bad(name, why, -EINVAL,
			    "ops.refresh is missing");
		return 0;
	case CLEAT_PROTOCOL:
		if (copy_table(&m->ops.proto, sizeof(m->ops.proto),
		    PROTO_OPS_1_0, ops) < 0)
			return bad(name, why, -EPROTO, small);
		return check_proto(name, why, &m->ops.proto);
	case CLEAT_STATUS:
		if (copy_table(&m->ops.status, sizeof(m->ops.status),
		    sizeof(m->ops.status), ops) < 0)
			return bad(name, why, -EPROTO, small);
		if (m->ops.status.event == NULL)
			return bad(name, why, -EINVAL, "ops.event is missing");
		return 0;
	}
	return -EINVAL;			/* the kind was checked before */
}

static int
check_head(const struct cleat_plugin *p, const char *name, char *why)
{
	char text[128];

	if (p->magic != CLEAT_ABI_MAGIC)
		return bad(name, why, -EPROTO,
		    "the magic number of cleat_plugin is wrong");
	if (p->abi_major != CLEAT_ABI_MAJOR) {
		(void)snprintf(text, sizeof(text), "was built for plugin ABI "
		    "%u.%u, this daemon has %u.%u", p->abi_major, p->abi_minor,
		    CLEAT_ABI_MAJOR, CLEAT_ABI_MINOR);
		return bad(name, why, -EPROTO, text);
	}
	if (p->abi_minor > CLEAT_ABI_MINOR) {
		(void)snprintf(text, sizeof(text), "needs plugin ABI %u.%u, "
		    "which is newer than this daemon's %u.%u", p->abi_major,
		    p->abi_minor, CLEAT_ABI_MAJOR, CLEAT_ABI_MINOR);
		return bad(name, why, -EPROTO, text);
	}
	if (p->size < sizeof(*p))
		return bad(name, why, -EPROTO,
		    "the size of cleat_plugin is too small");
	return 0;
}

/* `name` is the file's.  Fills the descriptor's half of *m. */
static int
check_descriptor(const struct cleat_plugin *p, const char *name,
    char *why, struct plug_module *m)
{
	char text[160];
	int err;

	err = check_head(p, name, why);
	if (err < 0)
		return err;
	if (p->kind < CLEAT_CERT_SOURCE || p->kind > CLEAT_STATUS) {
		(void)snprintf(text, sizeof(text), "is of kind %lu, which this "
		    "daemon does not know", (unsigned long)p->kind);
		return bad(name, why, -EINVAL, text);
	}
	if (p->name == NULL || p->version == NULL)
		return bad(name, why, -EINVAL, "has no name or no version");
	if (strcmp(p->name, name) != 0) {
		(void)snprintf(text, sizeof(text), "calls itself \"%.64s\": "
		    "name and file name must be the same", p->name);
		return bad(name, why, -EINVAL, text);
	}
	if (p->life == NULL)
		return bad(name, why, -EINVAL, "the life table is missing");
	if (copy_table(&m->life, sizeof(m->life), sizeof(m->life),
	    p->life) < 0)
		return bad(name, why, -EPROTO,
		    "the size of its life table is too small");
	err = check_life(name, why, &m->life);
	if (err < 0)
		return err;
	if (p->ops == NULL)
		return bad(name, why, -EINVAL, "the ops table is missing");
	m->kind = (enum cleat_kind)p->kind;
	err = check_ops(name, why, p->ops, m);
	if (err < 0)
		return err;
	err = plug_schema_check(p->opts, text, sizeof(text));
	if (err < 0)
		return bad(name, why, err, text);
	m->version = p->version;
	m->opts = p->opts;
	return 0;
}

/* ---- loading ------------------------------------------------------------- */

/* dlsym() also looks into the libraries a module needs: the symbol must be the
 * module's own, and a variable that has all bytes we are going to read. */
static int
find_descriptor(struct plug_module *m, char *why,
    const struct cleat_plugin **ret)
{
	const struct link_map *own;
	const ElfW(Sym) *sym;
	void *p, *map;
	Dl_info info;

	p = dlsym(m->handle, "cleat_plugin");
	if (p == NULL || dlinfo(m->handle, RTLD_DI_LINKMAP, &own) != 0 ||
	    dladdr1(p, &info, &map, RTLD_DL_LINKMAP) == 0 || map != own)
		return bad(m->name, why, -EINVAL,
		    "does not export the symbol cleat_plugin");
	if (dladdr1(p, &info, &map, RTLD_DL_SYMENT) == 0 || map == NULL)
		return bad(m->name, why, -EINVAL,
		    "does not export the symbol cleat_plugin");
	sym = map;
	if ((sym->st_info & 0xf) != STT_OBJECT)
		return bad(m->name, why, -EINVAL,
		    "its symbol cleat_plugin is not a constant");
	if (sym->st_size < offsetof(struct cleat_plugin, name))
		return bad(m->name, why, -EPROTO,
		    "the size of cleat_plugin is too small");
	*ret = p;
	/* A wrong magic or version is the better thing to say. */
	if (sym->st_size < sizeof(**ret)) {
		int err = check_head(*ret, m->name, why);

		return err < 0 ? err : bad(m->name, why, -EPROTO,
		    "the size of cleat_plugin is too small");
	}
	return 0;
}

static int
load_fd(struct plug_module *m, char *why)
{
	const struct cleat_plugin *p;
	char link[40];
	const char *text, *cut;
	int err;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", m->fd);
	m->handle = dlopen(link, RTLD_NOW | RTLD_LOCAL);
	if (m->handle == NULL) {
		text = dlerror();
		/* The descriptor's name in front tells nobody anything. */
		cut = text == NULL ? NULL : strstr(text, ": ");
		(void)snprintf(why, PLUG_WHY_SIZE, "%s: cannot be loaded: %s",
		    m->path, cut != NULL &&
		    strncmp(text, link, (size_t)(cut - text)) == 0 ? cut + 2 :
		    text != NULL ? text : "unknown");
		return -ELIBBAD;
	}
	err = find_descriptor(m, why, &p);
	if (err < 0)
		return err;
	return check_descriptor(p, m->name, why, m);
}

int
plug_load(const char *dir, const char *module, char *why,
    struct plug_module **ret)
{
	struct plug_module *m;
	char *in = NULL, file[NAME_MAX_N + 4];
	size_t n;
	int err = -ENOMEM;

	(void)snprintf(why, PLUG_WHY_SIZE, "module \"%s\": out of memory",
	    module);
	m = mem_calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->fd = -1;
	err = split(dir, module, why, &in, &m->name);
	if (err < 0)
		goto out;
	(void)snprintf(file, sizeof(file), "%s.so", m->name);
	n = strlen(in) + strlen(file) + 2;
	m->path = mem_alloc(n);
	if (m->path == NULL) {
		err = -ENOMEM;
		goto out;
	}
	(void)snprintf(m->path, n, "%s/%s", strcmp(in, "/") == 0 ? "" : in,
	    file);
	err = open_checked(in, m->path, file, why, &m->fd);
	if (err < 0)
		goto out;
	err = check_elf(m->fd, m->path, why);
	if (err < 0)
		goto out;
	err = load_fd(m, why);
out:
	mem_free(in);
	if (err < 0) {
		plug_unload(&m);
		return err;
	}
	*ret = m;
	return 0;
}

void
plug_unload(struct plug_module **p)
{
	struct plug_module *m = *p;

	if (m == NULL)
		return;
	*p = NULL;
	if (m->handle != NULL)
		(void)dlclose(m->handle);	/* nothing to do about it */
	if (m->fd >= 0)
		(void)close(m->fd);
	mem_free(m->name);
	mem_free(m->path);
	mem_free(m);
}
