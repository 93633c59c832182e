#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every counter that SIGUSR1 writes is told by cleatd(8)."""
import os
import re

SRC = os.environ['CLEAT_SRCDIR']


def text_of(*path):
    with open(os.path.join(SRC, *path)) as f:
        return f.read()


def written():
    """The names in the formats, without what tells one plugin from another."""
    formats = re.findall(r'log_notice\(((?:\s*"[^"]*")+)',
                         text_of('core', 'daemon', 'counters.c'))
    return {name for f in formats
            for name in re.findall(r'(\w+)=%', f)} - {
                'of', 'instance', 'module'}


def told():
    """The names that begin a paragraph of the section."""
    page = text_of('doc', 'cleatd.8.scd')
    section = page.split('# COUNTERS\n')[1].split('\n# ')[0]
    return {name.replace('\\_', '_')
            for line in re.findall(r'^_.*_$', section, re.M)
            for name in re.findall(r'_((?:\w|\\_)+?)_(?:,|$)', line)}


missing = sorted(written() - told())
extra = sorted(told() - written())
print('1..2')
for n, (what, names) in enumerate((('not in cleatd(8)', missing),
                                   ('not in counters.c', extra)), 1):
    for name in names:
        print(f'# {name}: {what}')
    print(f'{"not " if names else ""}ok {n} - no counter is {what}')
