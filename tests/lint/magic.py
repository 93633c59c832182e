#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A magic number tells structures apart, so no two may have the same one."""
import os
import re
import sys

import csource

DEFINE = re.compile(r'^[ \t]*#[ \t]*define[ \t]+(\w*MAGIC\w*)[ \t]+'
                    r'\(?(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]*\)?[ \t]*$', re.M)


def check(texts):
    seen, bad = {}, []
    for path, text in texts:
        for m in DEFINE.finditer(csource.strip(text)):
            value, here = int(m.group(2), 0), '%s in %s' % (m.group(1), path)
            if value in seen:
                bad.append('%#x: %s, %s' % (value, seen[value], here))
            seen.setdefault(value, here)
    return bad


def main():
    tap = csource.Tap()
    tap.proof(len(check([('a.h', '#define A_MAGIC 0x1Fu\n'),
                      ('b.c', '# define B_MAGIC (31U)\t/* x */\n')])) == 1,
           'found the same number in two spellings')
    tap.proof(not check([('a.h', '#define A_MAGIC 0x1F\n'),
                      ('b.c', '#define B_MAGIC 0x1E\n')]),
           'allowed two numbers')
    tap.self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ['CLEAT_SRCDIR']
    bad = check((p, csource.read(os.path.join(root, p))) for p in
                csource.files(root, 'core', 'include', 'plugins', 'client',
                              'tools'))
    tap.ok(not bad, 'magic numbers are unique', bad)
    tap.done()


if __name__ == '__main__':
    main()
