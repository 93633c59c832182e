# SPDX-License-Identifier: Apache-2.0
"""What the lint tests share: reading C without its comments, and TAP."""
import os
import re
import sys

_TOKENS = re.compile(
    r'//(?:\\\n|[^\n])*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
    re.S)


def strip(text, strings=False):
    """text without comments (and strings), with the same line numbers."""
    def blank(m):
        t = m.group(0)
        if t[0] == '/' or (strings and t[0] in '"\''):
            return ' ' + '\n' * t.count('\n')
        return t
    return _TOKENS.sub(blank, text)


def read(path):
    with open(path, encoding='utf-8', errors='replace') as f:
        return f.read()


def files(root, *tops):
    """Every C file below the given folders, relative to root, sorted."""
    for top in tops:
        for where, dirs, names in os.walk(os.path.join(root, top)):
            dirs.sort()
            for n in sorted(names):
                if n.endswith(('.c', '.h')):
                    yield os.path.relpath(os.path.join(where, n), root)


class Tap:
    def __init__(self):
        self.n = 0
        self.proofs, self.broken = 0, []

    def proof(self, good, name, notes=()):
        """One step of a self-test; self_test() sums them up."""
        self.proofs += 1
        if not good:
            self.broken += ['%s:' % name] + list(notes)

    def self_test(self):
        self.ok(self.proofs > 0 and not self.broken,
                'self-test: %d planted cases are judged right' % self.proofs,
                self.broken)

    def ok(self, good, name, notes=()):
        self.n += 1
        for line in notes:
            print('#', line)
        print('ok' if good else 'not ok', self.n, '-', name)

    def done(self):
        print('1..%d' % self.n)
        sys.exit(0)
