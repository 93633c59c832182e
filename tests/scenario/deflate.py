#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""RFC 7692 against the real daemon, in plain text and over TLS: the suite's
cases 12.* and 13.*, the negotiation, and the rules.  CLEAT_FULL=1 sends the
suite's 1000 messages in every case (10 GB, half an hour); else CASE_BYTES."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '..', 'lib'))
import harness      # noqa: E402
import ws_deflate   # noqa: E402
import ws_play      # noqa: E402
from harness import Failure, equal      # noqa: E402
from ws_cases import Case       # noqa: E402

FULL = 'CLEAT_FULL' in os.environ
CASE_BYTES = 384 << 10
LIMIT = 1 << 20                 # of a message, on the second daemon


def count_of(size):
    return 1000 if FULL else max(4, min(1000, CASE_BYTES // size))


def volleys(daemon, listener, number, offer, source):
    for i, (size, fragment) in enumerate(ws_deflate.SIZES, 1):
        yield (f'{number}.{i} ({size} octets, fragments of {fragment})',
               lambda size=size, fragment=fragment: ws_deflate.volley(
                   daemon, listener, offer, source, size, fragment,
                   count_of(size)))


def negotiations(daemon, listener):
    for offer, wanted in ws_deflate.NEGOTIATIONS:
        yield (repr(offer), lambda offer=offer, wanted=wanted:
               ws_deflate.negotiate(daemon, listener, offer, wanted))
    for offer in ws_deflate.MALFORMED:
        yield repr(offer), lambda offer=offer: refused(daemon, listener,
                                                       offer)


def refused(daemon, listener, offer):
    try:
        ws_deflate.DeflatePlayer(daemon, listener, offer)
    except Failure as e:
        equal('400' in str(e), True, f'the answer to {offer!r}: {e}')
    else:
        raise Failure(f'{offer!r} was accepted')


def plays(daemon, listener):
    class Opened(ws_deflate.DeflatePlayer):
        def __init__(self, daemon, listener):
            super().__init__(daemon, listener, ws_deflate.NAME)

    for title, steps in ws_deflate.rules(LIMIT):
        yield (title, lambda title=title, steps=steps: ws_play.play(
            daemon, listener, Case('', title, steps), Opened))


def main():
    sources = {name: ws_deflate.Source(*made)
               for name, made in ws_deflate.corpora().items()}
    scene = harness.Scene()
    daemon = ws_play.echo_daemon(scene)
    small = ws_play.echo_daemon(scene, 'small', max_message='1MiB')
    off = ws_play.echo_daemon(scene, 'off', compression='no')
    ways = (('plain', 'in plain text'), ('main', 'over TLS'))
    report = ws_play.Report(
        2 * (len(sources) + len(ws_deflate.OFFERS) + 2) + 2, daemon)
    for listener, how in ways:
        for i, (name, source) in enumerate(sources.items(), 1):
            report.section(f'12.{i}.* {name} {how}', volleys(
                daemon, listener, f'12.{i}', ws_deflate.NAME, source))
        for i, (offer, _) in enumerate(ws_deflate.OFFERS, 1):
            report.section(f'13.{i}.* {offer} {how}', volleys(
                daemon, listener, f'13.{i}', offer, sources['JSON']))
        report.section(f'offers and their answers {how}',
                       negotiations(daemon, listener))
        report.section(f'rules of compressed messages {how}',
                       plays(small, listener))
    report.section('no compression where it is switched off', [
        ('declined', lambda: ws_deflate.negotiate(
            off, 'main', ws_deflate.NAME, ws_deflate.DECLINED))])
    report.last(scene)


main()
