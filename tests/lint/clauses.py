#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every row of doc/record-layer.md that names code and a test names some that
there are, and no row is open."""
import os
import re
import sys

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.environ['CLEAT_SRCDIR']
HEAD = '| clause | what it asks | where | test |'


def read(*path):
    try:
        with open(os.path.join(ROOT, *path), encoding='utf-8') as f:
            return f.read()
    except FileNotFoundError:
        return ''


def rows(page):
    inside = False
    for line in page.splitlines():
        if line == HEAD:
            inside = True
        elif not line.startswith('|'):
            inside = False
        elif inside and not line.startswith('|---'):
            yield [c.strip() for c in line.strip('|').split('|')]


def named(cell):
    return re.findall(r'`([a-z0-9_]+\.(?:c|h|py)):([a-z0-9_]+)`', cell)


def in_code(file, name):
    return re.search(rf'^(?:[a-z].*\b)?{name}\(', read('core', 'tls', file),
                     re.M)


def in_test(file, name):
    folder = 'scenario' if file.endswith('.py') else 'unit'
    return re.search(rf'\b{name}\b', read('tests', folder, file))


def main():
    table = list(rows(read('doc', 'record-layer.md')))
    bad = []
    for row in table:
        if len(row) != 4:
            bad.append(f'not four cells: {row}')
            continue
        code, test = named(row[2]), named(row[3])
        if not code and row[2] != 'GnuTLS' or not test:
            bad.append(f'open: {row}')
        bad += [f'no {n} in core/tls/{f}' for f, n in code
                if not in_code(f, n)]
        bad += [f'no test {n} in {f}' for f, n in test if not in_test(f, n)]
    print('1..1')
    for line in bad:
        print('#', line)
    ok = 'ok' if len(table) > 50 and not bad else 'not ok'
    print(f'{ok} 1 - all {len(table)} clauses of the record layer have their '
          'code and a test')
    return ok != 'ok'


if __name__ == '__main__':
    sys.exit(main())
