#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 against the real daemon: every case of ws_cases.py, in plain text
and over TLS.  Arguments: numbers of cases or sections to play only."""
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', 'lib'))
import harness      # noqa: E402
import ws_cases     # noqa: E402
import ws_play      # noqa: E402


OCTETS_MAX = 4096               # of what is sent octet by octet
FLOODS = ((64, 100000), (1024, 10000), (65536, 300), (1 << 20, 20))
IDLE_SECONDS = 11               # above all limits for who says nothing


def wanted(case):
    return len(sys.argv) == 1 or any(
        case.number == w or case.number.startswith(w + '.')
        for w in sys.argv[1:])


def runs(daemon, listener, cases):
    for case in cases:
        if wanted(case):
            yield (f'{case.number} ({case.title})',
                   lambda case=case: ws_play.play(daemon, listener, case))


def octet_by_octet(cases):
    """The same cases with every octet in a write, and a TLS record, of its own:
    what comes of them must be the same."""
    for case in cases:
        sends = [s for s in case.steps if isinstance(s, ws_cases.Send)]
        if sum(len(s.data) for s in sends) <= OCTETS_MAX:
            yield ws_cases.Case(case.number, case.title, [
                ws_cases.Send(s.data, 1) if isinstance(s, ws_cases.Send)
                else s for s in case.steps])


def idle(daemon):
    """Nobody has to say who they are here, nor to say anything."""
    ws = ws_play.Player(daemon, 'main')
    until = time.monotonic() + IDLE_SECONDS
    while time.monotonic() < until:
        ws.sock.settimeout(max(0.01, until - time.monotonic()))
        try:
            kind, payload, _ = ws.next()
        except TimeoutError:
            break
        harness.equal(kind, ws_cases.PING, 'something else than a ping')
        ws.write(ws_cases.frame(ws_cases.PONG, payload))
    ws.sock.settimeout(ws_play.CASE_SECONDS)
    ws.send('still there')
    harness.equal(ws.next()[:2], (ws_cases.TEXT, b'still there'), 'the echo')
    ws.goodbye()


def main():
    scene = harness.Scene()
    daemon = ws_play.echo_daemon(scene)
    small = [s for s in ws_cases.SECTIONS if s[0] not in ('9', '10')]
    report = ws_play.Report(
        2 * (len(ws_cases.SECTIONS) + len(small) + 1) + 2, daemon)
    for listener, how in (('plain', 'in plain text'), ('main', 'over TLS')):
        for number, title, make in ws_cases.SECTIONS:
            report.section(f'{number}.* {title} {how}',
                           runs(daemon, listener, make()))
        for number, title, make in small:
            report.section(
                f'{number}.* {title} {how}, octet by octet',
                runs(daemon, listener, octet_by_octet(make())))
        report.section(f'sending before reading {how}', [
            (f'{n} of {size}', lambda size=size, n=n: ws_play.flood(
                daemon, listener, size, n))
            for size, n in FLOODS])
    report.section(f'idle for {IDLE_SECONDS} s',
                   [('idle', lambda: idle(daemon))])
    report.last(scene)


main()
