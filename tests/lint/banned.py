#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is not in the C of the tree: functions that cannot be used safely, in the
parts that tests starve of memory those that allocate past base/mem.h, and
lines over 80 columns, with tabs of 8."""
import os
import re
import sys

import csource

UNSAFE = ('strcpy stpcpy strcat sprintf vsprintf gets scanf atoi atol atoll '
          'atof system popen alloca strtok tmpnam tempnam mktemp '
          'gethostbyname asctime ctime').split()
WIDTH = 80
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


def wide(path, text):
    for n, line in enumerate(text.split('\n'), 1):
        columns = len(line.expandtabs(8))
        if columns > WIDTH:
            yield '%s:%d: %d columns' % (path, n, columns)


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
    for text, good in (('x' * 80, True), ('x' * 81, False),
                       ('\t' * 9 + 'x' * 8, True),
                       ('a\n' + '\t' * 9 + 'x' * 9, False),
                       ('\u2026' * 80, True)):
        tap.proof((not list(wide('x.c', text))) == good,
                  '%d columns' % len(text.expandtabs(8)))
    tap.self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ['CLEAT_SRCDIR']
    bad, too_wide = [], []
    for path in csource.files(root, 'core', 'include', 'plugins', 'client',
                              'tools', 'tests'):
        text = csource.read(os.path.join(root, path))
        bad += check(path, text)
        too_wide += wide(path, text)
    tap.ok(not bad, 'no banned function in the tree', bad)
    tap.ok(not too_wide, 'no line has more than 80 columns', too_wide)
    tap.done()


if __name__ == '__main__':
    main()
