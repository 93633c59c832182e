#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the tests of a tree with --enable-coverage reached, by folder: lines and
branches, from gcovr's summary on standard input.  With a folder as argument its
files."""
import json
import os
import sys

PARTS = ('core', 'plugins', 'client', 'tools')


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else None
    rows = {}
    for f in json.load(sys.stdin)['files']:
        folder, name = os.path.split(f['filename'])
        if folder.split('/')[0] not in PARTS or name.endswith('.h'):
            continue
        if only is not None and folder != only:
            continue
        row = rows.setdefault(folder if only is None else name, [0] * 4)
        for i, key in enumerate(('line_covered', 'line_total',
                                 'branch_covered', 'branch_total')):
            row[i] += f[key]
    if not rows:
        sys.exit('nothing was counted')
    rows = dict(sorted(rows.items()))
    rows['all'] = [sum(r[i] for r in rows.values()) for i in range(4)]
    print(f'| {"folder" if only is None else "file"} | lines | of | '
          'branches | of |\n|---|---|---|---|---|')
    for name, (lines, of_lines, branches, of_branches) in rows.items():
        print(f'| {name} | {100 * lines / max(1, of_lines):.1f} % | {of_lines}'
              f' | {100 * branches / max(1, of_branches):.1f} % | '
              f'{of_branches} |')


main()
