#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 against the real daemon: every case of ws_cases.py, in plain text
and over TLS.  Arguments: numbers of cases or sections to play only."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', 'lib'))
import harness      # noqa: E402
import ws_cases     # noqa: E402
import ws_play      # noqa: E402


def wanted(case):
    return len(sys.argv) == 1 or any(
        case.number == w or case.number.startswith(w + '.')
        for w in sys.argv[1:])


def runs(daemon, listener, cases):
    for case in cases:
        if wanted(case):
            yield (f'{case.number} ({case.title})',
                   lambda case=case: ws_play.play(daemon, listener, case))


def main():
    scene = harness.Scene()
    daemon = ws_play.echo_daemon(scene)
    report = ws_play.Report(2 * len(ws_cases.SECTIONS) + 1, daemon)
    for listener, how in (('plain', 'in plain text'), ('main', 'over TLS')):
        for number, title, make in ws_cases.SECTIONS:
            report.section(f'{number}.* {title} {how}',
                           runs(daemon, listener, make()))
    report.last(scene)


main()
