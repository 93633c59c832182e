#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""doc/architecture.md names only what exists.

name() is a function that is defined somewhere, or an op: a pointer of that name
in a table.  `name()` (`file.c`) is defined in that file.  `host->name` is in the
host table.  `folder/file.c` and `folder/` exist, from the top, core/ or doc/.
"""
import os
import re
import sys

import csource

PAGE = 'doc/architecture.md'
TOPS = ('core', 'client', 'tools', 'plugins', 'include')
CALL = re.compile(r'\b(\w+)\(\)')
PAIR = re.compile(r'`(\w+)\(\)`\s+\(`([\w/.-]+\.c)`')
PATH = re.compile(r'`([\w.-]+(?:/[\w.*-]+)*/?)`')
HOST = re.compile(r'`host->(\w+)`')


class Tree:
    """texts: path -> C without comments.  exists: whether a path is there."""

    def __init__(self, texts, exists):
        self.exists = exists
        self.defined, self.ops = {}, set()
        for path, text in texts.items():
            for name in re.findall(r'^(\w+)\([^;]*?\)\s*\{', text, re.M):
                self.defined.setdefault(name, set()).add(path)
            self.ops.update(re.findall(r'\(\*(\w+)\)\(', text))
        self.host = set(re.findall(r'\(\*(\w+)\)\(',
                                   texts.get('include/cleat/host.h', '')))

    def find(self, path):
        for p in (path, 'core/' + path, 'doc/' + path):
            if self.exists(p):
                return p
        return None


def faults(page, tree):
    found = []
    for m in CALL.finditer(page):
        if m.group(1) not in tree.defined and m.group(1) not in tree.ops:
            found.append('%s() is defined nowhere' % m.group(1))
    for m in PAIR.finditer(page):
        name, path = m.group(1), tree.find(m.group(2))
        if path is not None and path not in tree.defined.get(name, ()):
            found.append('%s() is not in %s' % (name, path))
    for m in HOST.finditer(page):
        if m.group(1) not in tree.host:
            found.append('host->%s is not in the host table' % m.group(1))
    for m in PATH.finditer(page):
        p = m.group(1)
        if ('/' in p or re.search(r'\.(c|h|py|md|scd)$', p)) and \
                tree.find(p.rstrip('/')) is None:
            found.append('%s is not there' % p)
    return found


def self_test(tap):
    tree = Tree({'core/a/x.c': 'int\nf(int a,\n    int b)\n{\n}\nint g(void);\n',
                 'core/a/t.h': 'struct t { int (*op)(void); };\n',
                 'include/cleat/host.h': 'struct h { int (*put)(int); };\n'},
                ('core/a/x.c', 'core/a', 'doc/y.md').__contains__)
    for page, good in (
            ('`f()` (`a/x.c`) and `op()`', True),
            ('`f()`\n(`core/a/x.c`, `a/`, `doc/y.md`)', True),
            ('`host->put`', True), ('`a` and `b.d`', True),
            ('`g()`', False), ('`h()`', False), ('`host->get`', False),
            ('`op()` (`a/x.c`)', False), ('`a/z.c`', False),
            ('`z.c`', False), ('`b/`', False)):
        tap.proof((faults(page, tree) == []) == good, page)
    tap.self_test()


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ['CLEAT_SRCDIR']
    tap = csource.Tap()
    self_test(tap)
    texts = {p: csource.strip(csource.read(os.path.join(root, p)),
                              strings=True)
             for p in csource.files(root, *TOPS)}
    bad = faults(csource.read(os.path.join(root, PAGE)),
                 Tree(texts, lambda p: os.path.exists(os.path.join(root, p))))
    tap.ok(not bad, '%s names only what exists' % PAGE, bad)
    tap.done()


if __name__ == '__main__':
    main()
