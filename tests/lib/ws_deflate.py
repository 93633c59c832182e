# SPDX-License-Identifier: Apache-2.0
"""permessage-deflate as data and as a client (RFC 7692): offers and what must
be answered, messages of every size and kind, and ways to break the rules."""
import random
import re
import string
import zlib

from harness import check, equal
from ws_cases import (BINARY, CLOSE, PING, PONG, TEXT, Fails, Send, Want,
                      close, fragments, frame, is_utf8, pieces)
from ws_play import Player

TAIL = b'\x00\x00\xff\xff'
NAME = 'permessage-deflate'

# ---- messages: (size, fragment size or 0) as the suite has them -------------

SIZES = [(n, 0) for n in (16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536,
                          131072)]
SIZES += [(n, 256) for n in (8192, 16384, 32768, 65536, 131072)]
SIZES += [(131072, n) for n in (1024, 4096, 32768)]

JSON_ROW = '{"id":%d,"name":"%s","on":true,"value":%.6f,"tags":["a","b"]}'
HTML_ROW = '<tr class="row"><td>%d</td><td><a href="/x">%s</a>%.2f</td></tr>'


def words(rng, n, letters=string.ascii_lowercase):
    made = [''.join(rng.choices(letters, k=rng.randint(2, 9)))
            for _ in range(400)]
    return ' '.join(rng.choices(made, k=n // 4))


def rows_of(rng, n, row):
    """At least n characters of rows that differ in a number and a text."""
    text = words(rng, 8000)
    made = []
    for i in range(n // 50):
        at = rng.randrange(len(text) - 20)
        made.append(row % (i, text[at:at + 20], rng.random() * 1000))
    return ',\n'.join(made)


def picture(rng, n):
    """Smooth with noise, as a photograph is."""
    at, out = 128, bytearray()
    for _ in range(n):
        at = max(0, min(255, at + rng.randint(-3, 3)))
        out.append(at)
    return bytes(out)


def corpora():
    """name: (kind, octets); the same at every run."""
    rng = random.Random(7692)
    n = 300000
    return {
        'text': (TEXT, words(rng, n).encode()),
        'picture': (BINARY, picture(rng, n)),
        'octets that do not compress': (BINARY, rng.randbytes(n)),
        'JSON': (TEXT, rows_of(rng, n, JSON_ROW).encode()),
        'HTML with many alphabets':
            (TEXT, (rows_of(rng, n // 2, HTML_ROW) +
                    words(rng, n // 2, 'абвгдежз日本語ßœ€\U0001f600')
                    ).encode()),
    }


def cut_text(data, at, n):
    """n octets of UTF-8, filled up where a character was cut."""
    part = data[at:at + n].decode('utf-8', 'ignore').encode()
    return part + b'.' * (n - len(part))


class Source:
    """Messages of one size out of a corpus, framed once and sent often."""

    def __init__(self, kind, data):
        self.kind, self.data = kind, data
        self.made = {}

    def messages(self, size, fragment):
        key = size, fragment
        if key not in self.made:
            ways = max(2, min(4, len(self.data) // size))
            step = (len(self.data) - size) // ways
            self.made[key] = [self.make(i * step, size, fragment)
                              for i in range(ways)]
        return self.made[key]

    def make(self, at, size, fragment):
        plain = cut_text(self.data, at, size) if self.kind == TEXT else \
            self.data[at:at + size]
        return b''.join(compressed(self.kind, plain, fragment)), plain


def squeeze(data, bits=15, level=6):
    z = zlib.compressobj(level, zlib.DEFLATED, -bits)
    return (z.compress(data) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]


def compressed(kind, plain, fragment=0, bits=15):
    """The frames of a compressed message."""
    body = squeeze(plain, bits)
    frames = fragments(kind, pieces(body, fragment) if fragment else [body])
    frames[0] = bytes([frames[0][0] | 0x40]) + frames[0][1:]
    return frames


# ---- the client -------------------------------------------------------------

def parameters(answer):
    """{'name': 'value' or None} of one accepted offer."""
    name, *rest = [p.strip() for p in answer.split(';')]
    equal(name, NAME, 'the extension')
    found = {}
    for p in rest:
        key, _, value = p.partition('=')
        check(key not in found, f'{key} twice')
        found[key] = value or None
    return found


class DeflatePlayer(Player):
    def __init__(self, daemon, listener, offer, **kw):
        headers = [f'Sec-WebSocket-Extensions: {o}'
                   for o in ([offer] if isinstance(offer, str) else offer)]
        super().__init__(daemon, listener, headers=headers, **kw)
        answer = self.headers.get('sec-websocket-extensions')
        self.agreed = None if answer is None else parameters(answer)
        bits = (self.agreed or {}).get('server_max_window_bits') or 15
        self.bits = int(bits)
        self.squeezed = 0

    def next(self):
        """As Player's, expanded; every message must stand for itself."""
        kind, data, rsv = super().next()
        if rsv == 0:
            return kind, data, rsv
        equal(rsv, 4, 'reserved bits')
        check(self.agreed is not None, 'compressed without an agreement')
        self.squeezed += 1
        z = zlib.decompressobj(-self.bits)
        whole = z.decompress(data + TAIL)
        equal(z.unconsumed_tail, b'', 'behind the message')
        return kind, whole, rsv


def volley(daemon, listener, offer, source, size, fragment, count):
    """`count` messages and their echoes, some of them under way at once."""
    player = DeflatePlayer(daemon, listener, offer, seconds=30)
    try:
        check(player.agreed is not None, 'the offer was declined')
        check('client_no_context_takeover' in player.agreed,
              'the client may keep its context')
        ways = source.messages(size, fragment)
        at_once = max(1, 65536 // size)
        for first in range(0, count, at_once):
            batch = [ways[i % len(ways)]
                     for i in range(first, min(count, first + at_once))]
            player.write(b''.join(f for f, _ in batch))
            for _, plain in batch:
                kind, data, _ = player.next()
                check(kind == source.kind and data == plain,
                      'not what was sent')
        shrinks = len(squeeze(ways[0][1], player.bits)) < size * 0.9
        check(player.squeezed > 0 or not shrinks or size < 256,
              'nothing came compressed')
        player.goodbye()
    finally:
        player.sock.close()


# ---- offers -----------------------------------------------------------------

# The suite's seven, and what has to be in the answer.
OFFERS = [
    (NAME, {}),
    (f'{NAME}; server_no_context_takeover',
     {'server_no_context_takeover': None}),
    (f'{NAME}; server_max_window_bits=9', {'server_max_window_bits': '9'}),
    (f'{NAME}; server_max_window_bits=15', {'server_max_window_bits': '15'}),
    (f'{NAME}; server_no_context_takeover; server_max_window_bits=9',
     {'server_no_context_takeover': None, 'server_max_window_bits': '9'}),
    (f'{NAME}; server_no_context_takeover; server_max_window_bits=15',
     {'server_no_context_takeover': None, 'server_max_window_bits': '15'}),
    (f'{NAME}; server_no_context_takeover; server_max_window_bits=9, '
     f'{NAME}; server_no_context_takeover, {NAME}',
     {'server_no_context_takeover': None, 'server_max_window_bits': '9'}),
]

D = NAME
DECLINED = None
# Offers, and the parameters that must be in the answer; what an offer does not
# allow must not be in it (RFC 7692 7.1).
NEGOTIATIONS = OFFERS + [
    (f'{D}; client_max_window_bits', {}),
    (f'{D}; client_max_window_bits=10', {}),
    (f'{D}; client_no_context_takeover', {'client_no_context_takeover': None}),
    (f'{D}; client_max_window_bits; server_max_window_bits=10',
     {'server_max_window_bits': '10'}),
    (f'{D}; server_max_window_bits="12"', {'server_max_window_bits': '12'}),
    (f'{D} ; server_max_window_bits = 12', {'server_max_window_bits': '12'}),
    (f'{D.upper()}', {}),
    (f'x-webkit-deflate-frame, {D}', {}),
    (f'x-unknown; a=b; c="d", {D}; server_max_window_bits=11',
     {'server_max_window_bits': '11'}),
    ([f'{D}; server_max_window_bits=8', f'{D}; server_max_window_bits=13'],
     {'server_max_window_bits': '13'}),
    (f'{D}; x-unknown, {D}', {}),
    (f'{D}; server_max_window_bits=8', DECLINED),
    (f'{D}; server_max_window_bits=7', DECLINED),
    (f'{D}; server_max_window_bits=16', DECLINED),
    (f'{D}; server_max_window_bits=09', DECLINED),
    (f'{D}; server_max_window_bits=+9', DECLINED),
    (f'{D}; server_max_window_bits', DECLINED),
    (f'{D}; client_max_window_bits=7', DECLINED),
    (f'{D}; client_max_window_bits=16', DECLINED),
    (f'{D}; server_no_context_takeover=1', DECLINED),
    (f'{D}; client_no_context_takeover=1', DECLINED),
    (f'{D}; server_max_window_bits=9; server_max_window_bits=9', DECLINED),
    (f'{D}; x-unknown', DECLINED),
    (f'{D}; x-unknown=1, {D}; y', DECLINED),
    ('permessage-bzip2', DECLINED),
    ('x-webkit-deflate-frame', DECLINED),
]

# Not a list of extensions at all: the request is refused.
MALFORMED = [f'{D};', f'{D}; =1', f'{D}; server_max_window_bits=',
             f'{D}; server_max_window_bits="12', f'{D} x', f'{D}; a="b c"',
             f'@{D}']


def negotiate(daemon, listener, offer, wanted):
    player = DeflatePlayer(daemon, listener, offer)
    try:
        if wanted is None:
            equal(player.agreed, None, 'an offer that cannot be served')
        else:
            check(player.agreed is not None, 'the offer was declined')
            for key, value in wanted.items():
                check(key in player.agreed, f'{key} is not in the answer')
                equal(player.agreed[key], value, key)
            allowed = ('server_no_context_takeover',
                       'client_no_context_takeover', *wanted)
            text = offer if isinstance(offer, str) else ', '.join(offer)
            for key, value in player.agreed.items():
                check(key in allowed or re.search(key, text),
                      f'{key} was not offered')
        data = b'squeeze me, ' * 40
        player.write(frame(TEXT, data) if wanted is None else
                     b''.join(compressed(TEXT, data)))
        equal(player.next()[:2], (TEXT, data), 'the echo')
        player.goodbye()
    finally:
        player.sock.close()


# ---- rules ------------------------------------------------------------------

def raw(kind, body, fin=True, rsv=4):
    return frame(kind, body, fin=fin, rsv=rsv)


def final_block(data):
    """Ends with a block that has BFINAL set (RFC 7692 7.2.3.4)."""
    z = zlib.compressobj(6, zlib.DEFLATED, -15)
    return z.compress(data) + z.flush() + b'\x00'


def two_blocks(data):
    z = zlib.compressobj(6, zlib.DEFLATED, -15)
    return (z.compress(data[:50]) + z.flush(zlib.Z_SYNC_FLUSH) +
            z.compress(data[50:]) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]


def rules(limit):
    """(title, steps) on a connection with compression."""
    hello = 'Grüß Gott, κόσμε! '.encode() * 20
    good = b''.join(compressed(TEXT, hello))
    want = Want(TEXT, hello)
    body = squeeze(hello)
    half = len(body) // 2
    surrogate = b'ok \xed\xa0\x80 ok' * 10
    assert not is_utf8(surrogate)
    first, *rest = compressed(TEXT, hello, 5)
    pinged = first + b''.join(frame(PING, b'%d' % i) + f
                              for i, f in enumerate(rest))
    pongs = [Want(PONG, b'%d' % i) for i in range(len(rest))]
    return [
        ('octet by octet', [Send(good, 1), want]),
        ('cut inside of a character',
         [Send(b''.join(compressed(TEXT, hello, 3))), want]),
        ('pings between the fragments', [Send(pinged), *pongs, want]),
        ('not compressed in between',
         [Send(good + frame(TEXT, b'bare') + good), want,
          Want(TEXT, b'bare'), want]),
        ('not compressed, in fragments',
         [Send(b''.join(fragments(TEXT, [hello[:40], hello[40:]]))), want]),
        ('an empty message', [Send(raw(TEXT, b'\x00')), Want(TEXT, b'')]),
        ('a message of no octets', [Send(raw(TEXT, b'')), Want(TEXT, b'')]),
        ('a last fragment of no octets',
         [Send(raw(TEXT, body, fin=False) + frame(0)), want]),
        ('fragments of no octets in front',
         [Send(raw(TEXT, b'', fin=False) + frame(0, b'', fin=False) +
               frame(0, body)), want]),
        ('stored blocks', [Send(raw(TEXT, squeeze(hello, level=0))), want]),
        ('two blocks', [Send(raw(TEXT, two_blocks(hello))), want]),
        ('a final block', [Send(raw(TEXT, final_block(hello))), want]),
        ('RSV1 on a continuation',
         [Send(raw(TEXT, body[:half], fin=False) + raw(0, body[half:])),
          Fails(1002)]),
        ('RSV1 on a continuation of a bare message',
         [Send(good + frame(TEXT, hello, fin=False) + raw(0, b'x')), want,
          Fails(1002)]),
        ('RSV1 on a ping', [Send(good + raw(PING, b'')), want, Fails(1002)]),
        ('RSV1 on a close', [Send(raw(CLOSE, close())), Fails(1002)]),
        ('RSV2', [Send(raw(TEXT, body, rsv=2)), Fails(1002)]),
        ('RSV1+3', [Send(raw(TEXT, body, rsv=5)), Fails(1002)]),
        ('not deflate at all',
         [Send(good + raw(BINARY, b'\xff' * 20)), want, Fails(1002)]),
        ('a distance beyond the start of the message',
         [Send(good + raw(TEXT, carried_over(hello))), want, Fails(1002)]),
        ('text that is not UTF-8',
         [Send(good + raw(TEXT, squeeze(surrogate))), want, Fails(1007)]),
        ('text that is cut',
         [Send(raw(TEXT, squeeze(hello + b'\xc3'))), Fails(1007)]),
        ('the biggest message',
         [Send(raw(BINARY, squeeze(bytes(limit)))),
          Want(BINARY, bytes(limit))]),
        ('one octet above the limit',
         [Send(good + raw(BINARY, squeeze(bytes(limit + 1)))), want,
          Fails(1009)]),
        ('far above the limit',
         [Send(raw(BINARY, squeeze(bytes(limit * 20)))), Fails(1009)]),
    ]


def carried_over(data):
    """Needs the message before it, which has been forgotten as agreed."""
    z = zlib.compressobj(6, zlib.DEFLATED, -15)
    z.compress(data)
    z.flush(zlib.Z_SYNC_FLUSH)
    return (z.compress(data) + z.flush(zlib.Z_SYNC_FLUSH))[:-4]
