#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The machinery of `make bench`: everything runs once, with next to nothing,
and tells what it is to tell.  Never how fast anything is."""
import json
import os
import subprocess
import sys
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
from harness import (BUILDDIR, SANITIZER, SRCDIR, Skip,  # noqa: E402
                     check, equal, main)
sys.path.insert(0, os.path.join(SRCDIR, 'tests', 'bench'))
import cells as bench_cells  # noqa: E402
import plot  # noqa: E402
import report  # noqa: E402

PROGRAMS = ['load', 'backend', 'bench_event', 'fan.la', 'cleatd_later']
PEERS = ['libwebsockets', 'nginx', 'node ws', 'no TLS']


def run(*argv):
    env = {k: v for k, v in os.environ.items()
           if k not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL')}
    done = subprocess.run(argv, env=env, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=280)
    return done.returncode, done.stdout


def has_header(name):
    source = f'#include <{name}>\n'
    return subprocess.run([*os.environ.get('CC', 'cc').split(), '-E', '-'],
                          input=source, text=True, capture_output=True,
                          check=False, timeout=60).returncode == 0


def build(*programs):
    code, text = run('make', '-C', BUILDDIR,
                     *('tests/bench/' + p for p in programs))
    check(code == 0, text[-2000:])


def bench(scene):
    """What one tiny run leaves: its figures, its picture, its text."""
    if 'thread' in SANITIZER:
        raise Skip('nothing here has threads that others would not have')
    if not has_header('openssl/ssl.h'):
        raise Skip('openssl/ssl.h is not there (package libssl-dev)')
    build(*PROGRAMS)
    if has_header('libwebsockets.h'):
        build('peer_lws')
    out = scene.path('bench.json')
    # Sanitizers are for what is ours.
    peers = PEERS if SANITIZER == 'no' else PEERS[:1]
    code, text = run('/usr/bin/env', 'python3',
                     os.path.join(SRCDIR, 'tests/bench/run.py'), '--tiny',
                     '--builddir', BUILDDIR, '--out', out, '--peers',
                     ','.join(peers))
    check(code == 0, text[-3000:])
    with open(out) as f, open(scene.path('bench.svg')) as g:
        return json.load(f), g.read(), text


def test_every_cell(scene):
    """make bench measures every cell with each peer that is here"""
    result, picture, text = bench(scene)
    here = ['cleat'] + [p for p in PEERS if p in result['settings']]
    for line in text.splitlines():
        if line.startswith('# without'):
            print(line)
    cells = result['cells']
    equal(len(cells['notes']), len(bench_cells.CELLS), 'cells')
    for name, notes in cells['notes'].items():
        values = cells['us'].get(name, {})
        for peer in here:
            check(peer in values or peer in notes,
                  f'{name}: nothing of {peer}')
        check('cleat' in values, name)
    equal(cells['notes']['connect resumed']['cleat'], 'resumed')
    equal(cells['notes']['connect psk_ke']['cleat'], 'psk_ke')
    for n, values in result['fan']['us'].items():
        for peer in here:
            check(peer in values or peer in result['fan']['notes'],
                  f'fan-out {n}: {peer}')
        check('cleat' in values, 'fan-out of cleat')
    for of in result['idle'].values():
        # A ping or a timer may have opened one more for a moment.
        check(0.8 < of['cleat']['descriptors'] < 1.3, str(of['cleat']))
    for peer, runs in result['storm'].items():
        equal(runs[0]['back'], runs[0]['channels'], f'storm, {peer}')
        equal(runs[0]['lost'], runs[0]['channels'], f'storm, {peer}')
    equal(result['storm']['cleat'][0]['resumed'],
          result['storm']['cleat'][0]['channels'], 'resumed after a storm')
    equal(len(result['upgrade']['rounds']), 2, 'upgrades')
    check(result['churn']['ratio'] > 0, 'churn')
    check('scale' in result or '# no scaling' in text, 'scale')
    equal([r['lost'] for r in result['events'] if 'lost' in r], [0, 0],
          'events of two subscribers')
    xml.etree.ElementTree.fromstring(picture)
    check(picture.count('<polyline') >= 3, 'lines of the plot')


def test_report(scene):
    """ratios are those of the medians, and a target is met up to its value"""
    equal(report.ratio([1, 2, 9], [4, 4, 6]), (0.5, 0.25, 1.5))
    equal(report.verdict(0.5, (0.5, 0.4)),
          'must <= 0.5: met, goal <= 0.4: not met')
    equal(report.verdict(0.6, (0.5, None)), 'must <= 0.5: NOT MET')
    equal(report.verdict(0.6, None), '')


def test_plot(scene):
    """the plot says what was not measured, and takes what it is given"""
    text = plot.draw({})
    xml.etree.ElementTree.fromstring(text)
    equal(text.count('not measured'), 3)
    text = plot.draw({'idle': {
        '10': {'cleat': {'channels': 10, 'bytes': 900}},
        '1000': {'cleat': {'channels': 1000, 'bytes': 800},
                 'nginx': {'channels': 1000, 'bytes': -5}}}})
    xml.etree.ElementTree.fromstring(text)
    equal(text.count('<circle'), 2)
    equal(text.count('not measured'), 2)


if __name__ == '__main__':
    main()
