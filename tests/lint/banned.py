#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Functions that are not called: those that cannot be used safely, and in
the parts that tests starve of memory those that allocate past base/mem.h."""
import os
import re
import sys

import csource

UNSAFE = ('strcpy stpcpy strcat sprintf vsprintf gets scanf atoi atol atoll '
          'atof system popen alloca strtok tmpnam tempnam mktemp '
          'gethostbyname asctime ctime').split()
ALLOC = ('malloc calloc realloc reallocarray strdup strndup asprintf '
         'vasprintf').split()


def call(names):
    # A member of that name (`ops->system(`) is somebody's own function.
    return re.compile(r'(?<![\w.>])(%s)\s*\(' % '|'.join(names))


def check(path, text):
    bad = []
    rules = [(call(UNSAFE), 'is not used here')]
    if path.startswith(('core/', 'client/')) and path != 'core/base/mem.c':
        rules.append((call(ALLOC), 'allocates past base/mem.h'))
    text = csource.strip(text, strings=True)
    for pattern, why in rules:
        for m in pattern.finditer(text):
            bad.append('%s:%d: %s() %s' % (path,
                       text.count('\n', 0, m.start()) + 1, m.group(1), why))
    return bad


def main():
    tap = csource.Tap()
    for name in UNSAFE:
        for text in ('x = %s(a);' % name, '\t%s (a);' % name):
            tap.proof(len(check('tools/x.c', text)) == 1,
                   'found %s()' % name)
    for name in ALLOC:
        tap.proof(len(check('core/net/x.c', 'p = %s(n);' % name)) == 1,
               'found %s() in core' % name)
    for text in ('/* strcpy(a, b) */', '"strcpy(a)"', 'o->system(a);',
                 'o.gets(a);', 'snprintf(a);', 'my_atoi(a);',
                 'strtok_r(a);', 'p = mem_alloc(n);', "'\"'; f(); // gets("):
        tap.proof(not check('core/net/x.c', text),
               'allowed %s' % text.replace('#', ''))
    tap.proof(not check('core/base/mem.c', 'malloc(n)'),
           'allowed malloc() in base/mem.c')
    tap.self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ['CLEAT_SRCDIR']
    bad = []
    for path in csource.files(root, 'core', 'include', 'plugins', 'client',
                              'tools', 'tests'):
        bad += check(path, csource.read(os.path.join(root, path)))
    tap.ok(not bad, 'no banned function in the tree', bad)
    tap.done()


if __name__ == '__main__':
    main()
