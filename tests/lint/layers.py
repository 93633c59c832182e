#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include what.  Every include line is resolved to a file of the tree
or taken for a header of somebody else's; the tables below say which folder
may have it.  Before the tree is judged, one violation of each kind is planted
in a tree of its own and has to be found."""
import fnmatch
import os
import re
import sys
import tempfile

import csource

ORDER = ('base conf wire cert tls event store net endpoint channel plug '
         'control daemon').split()

# Header pattern -> the files that may include it.  The first match counts.
VENDOR = [
    ('gnutls/*', ['core/cert/*', 'core/tls/*', 'client/*',
                  'plugins/*', 'tools/certmgr/*']),
    ('microhttpd.h', ['core/net/*', 'core/control/*',
                      'plugins/status-prometheus/*']),
    ('nng/*', ['core/event/*']),
    ('sqlite3*.h', ['core/store/*']),
    ('iniparser*', ['core/conf/*']),
    ('dictionary.h', ['core/conf/*']),
    ('zlib.h', ['core/wire/deflate.[ch]']),
    ('zconf.h', []),
    ('dlfcn.h', ['core/plug/*']),
    ('jansson*.h', ['core/event/*', 'core/control/*', 'client/*', 'plugins/*',
                    'tools/*']),
    ('ares*.h', ['client/*']),
    ('curl/*', ['plugins/*', 'tools/*']),
    ('nats*', ['plugins/*']),
    # Refused for the whole product, see doc/decisions.
    ('openssl/*', ['plugins/*']),
    ('libwebsockets*', []),
    ('wslay/*', []),
    ('glib*', []),
    ('gio/*', []),
    ('uv.h', []),
    ('event2/*', []),
    ('ev.h', []),
    ('cjson/*', []),
]

INCLUDE = re.compile(r'^[ \t]*(?:#|%:|\?\?=)[ \t]*'
                     r'(include|include_next|import|embed)\b[ \t]*(.*)$', re.M)
# These have a copy of their own of core/cert, with what it needs.
CERT_USERS = ('plugins/cert-file/', 'tools/certmgr/', 'client/own.c',
              'client/policy.c', 'client/probe_cert.c', 'tools/agent/test.c',
              'tools/ctl/doctor.c')

TOPS = ['core', 'include', 'plugins', 'client', 'tools']


def peer_files(root):
    """The peer policy: what core/tls/Makefile.inc puts into libcleattlspeer."""
    path = os.path.join(root, 'core/tls/Makefile.inc')
    if not os.path.exists(path):
        return set()
    lines = csource.read(path).replace('\\\n', ' ').splitlines()
    found = set()
    for line in lines:
        m = re.match(r'libcleattlspeer_la_SOURCES\s*\+?=(.*)', line)
        if m:
            found.update(m.group(1).split())
    return found


def resolve(root, path, name, quoted):
    """The file of the tree that the compiler would take, or None."""
    where = ['core', 'include', '.']
    if quoted:
        where.insert(0, os.path.dirname(path))
    for d in where:
        full = os.path.normpath(os.path.join(root, d, name))
        if os.path.isfile(full):
            return os.path.relpath(os.path.realpath(full),
                                   os.path.realpath(root))
    return None


def vendor(path, name):
    for pattern, allowed in VENDOR:
        if fnmatch.fnmatchcase(name, pattern):
            if any(fnmatch.fnmatchcase(path, a) for a in allowed):
                return None
            return 'vendor header <%s> does not belong here' % name
    return None


def core_folder(path):
    parts = path.split('/')
    return parts[1] if parts[0] == 'core' and len(parts) > 2 else None


def shared_with_client(path, peers):
    return core_folder(path) in ('base', 'wire') or path in peers


def shared_with_cert_users(path, target):
    return (path.startswith(CERT_USERS) and
            core_folder(target) in ('base', 'cert'))


def allowed(path, target, peers):
    """None, or why the file path may not include the file target."""
    top, ttop = path.split('/')[0], target.split('/')[0]
    if target.startswith('../'):
        return 'outside of the tree'
    if ttop == 'include':
        return None if target.startswith('include/cleat/') else 'not public'
    if shared_with_cert_users(path, target):
        return None
    if top == 'plugins':
        same = path.split('/')[:2] == target.split('/')[:2]
        return None if same else 'a plugin uses only <cleat/*.h>'
    if ttop == 'plugins':
        return 'nothing includes a plugin'
    if top == 'include':
        return 'a public header uses only public ones'
    if top == 'core':
        if ttop != 'core':
            return 'core includes only core and <cleat/*.h>'
        mine, its = core_folder(path), core_folder(target)
        if its not in ORDER or mine not in ORDER:
            return 'unknown folder'
        if mine == 'cert' and its not in ('base', 'cert'):
            return 'cert uses only base and itself'
        if ORDER.index(its) > ORDER.index(mine):
            return '%s is to the right of %s' % (its, mine)
        if path in peers and its != 'cert' and \
                not shared_with_client(target, peers):
            return 'the peer policy uses only base, wire, cert and itself'
        return None
    if ttop == 'core':
        if shared_with_client(target, peers):
            return None
        return 'only base, wire and the peer policy of tls are shared'
    if ttop == top or (top == 'tools' and ttop == 'client'):
        return None
    return '%s does not use %s' % (top, ttop)


def check_line(root, path, word, rest, peers):
    if word != 'include':
        return '#%s is not used here' % word
    m = re.match(r'"([^"]+)"|<([^>]+)>', rest)
    if not m:
        return 'include of a macro cannot be judged'
    quoted = m.group(1) is not None
    name = m.group(1) or m.group(2)
    if name == 'config.h':
        return ('config.h is not for plugins and public headers'
                if path.startswith(('plugins/', 'include/')) else None)
    if os.path.isabs(name):
        return 'absolute path'
    target = resolve(root, path, name, quoted)
    if target is not None:
        return allowed(path, target, peers)
    if quoted:
        return '"%s" is no file of this tree' % name
    if '..' in name.split('/'):
        return 'a system header needs no ..'
    if path.startswith('include/') and any(
            fnmatch.fnmatchcase(name, p) for p, _ in VENDOR):
        return 'vendor header <%s> in a public header' % name
    return vendor(path, name)


def check(root):
    bad = []
    core = os.path.join(root, 'core')
    for n in sorted(os.listdir(core)) if os.path.isdir(core) else []:
        if n not in ORDER:
            bad.append('core/%s: unknown folder' % n)
    peers = peer_files(root)
    for path in csource.files(root, *TOPS):
        text = csource.strip(csource.read(os.path.join(root, path)))
        text = text.replace('\\\n', '  ')
        for m in INCLUDE.finditer(text):
            why = check_line(root, path, m.group(1), m.group(2).strip(),
                             peers)
            if why:
                line = text.count('\n', 0, m.start()) + 1
                bad.append('%s:%d: %s: %s' % (path, line,
                                              m.group(0).strip(), why))
    return bad


# Planted trees: a file, its text, and whether that is a violation.
GOOD_TREE = {
    'core/base/mem.h': '',
    'core/wire/frame.h': '',
    'core/tls/peer.h': '#include "base/mem.h"\n',
    'core/tls/hand.h': '',
    'core/tls/Makefile.inc':
        'libcleattlspeer_la_SOURCES += core/tls/peer.c \\\n'
        '\tcore/tls/peer.h\n',
    'core/cert/file.h': '',
    'core/net/net.h': '',
    'client/client.h': '#include "tls/peer.h"\n',
    'include/cleat/abi.h': '#include <stdint.h>\n',
    'plugins/proto-x/x.h': '',
    'tools/util.h': '',
}
CASES = [
    (False, 'folders to the left', 'core/net/a.c',
     '#include "config.h"\n#include "net/net.h"\n#include <cleat/abi.h>\n'
     '#include "tls/hand.h"\n#include "../base/mem.h"\n'),
    (False, 'a comment', 'core/base/a.c', '/*\n#include "net/net.h"\n*/\n'),
    (False, 'a plugin of public headers', 'plugins/proto-x/a.c',
     '#include "x.h"\n#include <cleat/abi.h>\n#include <gnutls/gnutls.h>\n'),
    (False, 'a tool of the client', 'tools/a.c',
     '#include "util.h"\n#include "../client/client.h"\n'
     '#include "base/mem.h"\n#include <jansson.h>\n'),
    (False, 'a plugin and a tool with a copy of cert',
     'plugins/cert-file/a.c',
     '#include "cert/file.h"\n#include "base/mem.h"\n'),
    (True, 'cert that uses wire', 'core/cert/a.c',
     '#include "wire/frame.h"\n'),
    (True, 'another plugin that uses cert', 'plugins/proto-x/a.c',
     '#include "cert/file.h"\n'),
    (True, 'another tool that uses cert', 'tools/a.c',
     '#include "cert/file.h"\n'),
    (True, 'a folder to the right', 'core/wire/a.c', '#include "net/net.h"\n'),
    (True, 'the right by a relative path', 'core/wire/a.c',
     '#include "../net/net.h"\n'),
    (True, 'the right by a path through a third folder', 'core/wire/a.c',
     '#include "../base/../net/net.h"\n'),
    (True, 'the right in angle brackets', 'core/wire/a.c',
     '#include <net/net.h>\n'),
    (True, 'the right from the top', 'core/wire/a.c',
     '#include "core/net/net.h"\n'),
    (True, 'the right after spaces and a broken line', 'core/wire/a.c',
     ' #  include \\\n "net/net.h"\n'),
    (True, 'the right after a comment on the line', 'core/wire/a.c',
     '/* x */ #include /* y */ "net/net.h"\n'),
    (True, 'an unknown folder', 'core/misc/a.c', ''),
    (True, 'a file beside the folders', 'core/a.c', ''),
    (True, 'a header that is not there', 'core/base/a.c',
     '#include "base/none.h"\n'),
    (True, 'a header named by a macro', 'core/base/a.c',
     '#include HEADER\n'),
    (True, 'include_next', 'core/base/a.c', '#include_next <stdio.h>\n'),
    (True, 'an absolute path', 'core/base/a.c',
     '#include "/usr/include/zlib.h"\n'),
    (True, 'core that includes a plugin', 'core/daemon/a.c',
     '#include "../../plugins/proto-x/x.h"\n'),
    (True, 'core that includes the client', 'core/daemon/a.c',
     '#include "client/client.h"\n'),
    (True, 'a plugin that includes core', 'plugins/proto-x/a.c',
     '#include "base/mem.h"\n'),
    (True, 'a plugin that includes core by path', 'plugins/proto-x/a.c',
     '#include "../../core/base/mem.h"\n'),
    (True, 'a plugin that includes another one', 'plugins/proto-y/a.c',
     '#include "../proto-x/x.h"\n'),
    (True, 'a plugin that needs config.h', 'plugins/proto-x/a.c',
     '#include "config.h"\n'),
    (True, 'a public header that includes core', 'include/cleat/a.h',
     '#include "base/mem.h"\n'),
    (True, 'a public header with a vendor type', 'include/cleat/a.h',
     '#include <gnutls/gnutls.h>\n'),
    (True, 'a client beyond the peer policy', 'client/a.c',
     '#include "tls/hand.h"\n'),
    (True, 'a client that uses net', 'client/a.c', '#include "net/net.h"\n'),
    (True, 'a client that includes a tool', 'client/a.c',
     '#include "../tools/util.h"\n'),
    (True, 'a tool that uses net', 'tools/a.c', '#include "net/net.h"\n'),
    (True, 'a peer policy that uses the rest of tls', 'core/tls/peer.c',
     '#include "tls/hand.h"\n'),
    (True, 'GnuTLS outside of tls', 'core/net/a.c',
     '#include <gnutls/crypto.h>\n'),
    (True, 'libmicrohttpd outside of net', 'core/channel/a.c',
     '#include <microhttpd.h>\n'),
    (True, 'nng outside of event', 'core/daemon/a.c',
     '#include <nng/protocol/pubsub0/pub.h>\n'),
    (True, 'SQLite outside of store', 'core/event/a.c',
     '#include <sqlite3.h>\n'),
    (True, 'iniparser outside of conf', 'core/daemon/a.c',
     '#include <iniparser/iniparser.h>\n'),
    (True, 'iniparser in its other place', 'core/daemon/a.c',
     '#include <iniparser.h>\n'),
    (True, 'zlib outside of deflate.c', 'core/wire/frame.c',
     '#include <zlib.h>\n'),
    (True, 'dlfcn outside of plug', 'core/daemon/a.c', '#include <dlfcn.h>\n'),
    (True, 'jansson in the hot path', 'core/channel/a.c',
     '#include <jansson.h>\n'),
    (True, 'OpenSSL in the daemon', 'core/tls/a.c',
     '#include <openssl/ssl.h>\n'),
]


def plant(tree):
    bad = None
    with tempfile.TemporaryDirectory() as root:
        for path, text in tree.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, 'w', encoding='utf-8') as f:
                f.write(text)
        bad = check(root)
    return bad


def main():
    tap = csource.Tap()
    bad = plant(GOOD_TREE)
    tap.proof(not bad, 'the planted tree is clean', bad)
    for violation, name, path, text in CASES:
        tree = dict(GOOD_TREE)
        tree[path] = text
        bad = plant(tree)
        if violation:
            tap.proof(len(bad) == 1, 'found %s' % name,
                   bad if len(bad) != 1 else ())
        else:
            tap.proof(not bad, 'allowed %s' % name, bad)
    tap.self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ['CLEAT_SRCDIR']
    bad = check(root)
    tap.ok(not bad, 'layers and vendor headers of the tree', bad)
    tap.done()


if __name__ == '__main__':
    main()
