# SPDX-License-Identifier: Apache-2.0
"""What a strict WebSocket server must do with what a client sends, as data.

The numbers are those of the Autobahn test suite, the field's judge; nothing is
taken from it but the rule that each number stands for (RFC 6455, RFC 7692).
A case is a list of steps; websocket.py plays them against an echo server:

    send(frame, ...)  writes bytes, in chops if the case says so
    Want(kind, data)  the next thing that must come: TEXT, BINARY or PONG
    Fails(code)       the server must now send Close with that code and end
    Closes(payload)   the server must now answer a close so, and end

A case without an end of its own is closed by the client with 1000.
"""
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
MASK = b'\x5a\xc3\x17\x8e'
MIB = 1 << 20


class Send:
    def __init__(self, data, chop=None):
        self.data, self.chop = data, chop


class Want:
    def __init__(self, kind, data):
        self.kind, self.data = kind, data


class Fails:
    def __init__(self, code):
        self.code = code


class Closes:
    def __init__(self, payload):
        self.payload = payload


class Case:
    """The steps may be a function that makes them, where they are big."""

    def __init__(self, number, title, steps):
        self.number, self.title = number, title
        self._steps = steps

    @property
    def steps(self):
        return self._steps() if callable(self._steps) else self._steps


def masked(data):
    n = len(data)
    stretched = (MASK * (n // 4 + 1))[:n]
    return (int.from_bytes(data, 'big') ^
            int.from_bytes(stretched, 'big')).to_bytes(n, 'big')


def frame(opcode, data=b'', fin=True, rsv=0, mask=True):
    n = len(data)
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += struct.pack('>BH', bit | 126, n)
    else:
        head += struct.pack('>BQ', bit | 127, n)
    return head + (MASK + masked(data) if mask else data)


def fragments(opcode, parts):
    """The frames of one message, a frame for each part."""
    last = len(parts) - 1
    return [frame(opcode if i == 0 else 0, p, fin=i == last)
            for i, p in enumerate(parts)]


def pieces(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)] or [b'']


def message(kind, data, chop=None):
    """Sent in one frame, and echoed."""
    return [Send(frame(kind, data), chop), Want(kind, data)]


def close(code=1000, reason=b''):
    return struct.pack('>H', code) + reason


def table(prefix, titles_and_steps):
    return [Case(f'{prefix}.{i}', title, steps)
            for i, (title, steps) in enumerate(titles_and_steps, 1)]


def three_ways(frames, end):
    """At once, frame by frame, octet by octet."""
    return [('at once', [Send(b''.join(frames)), *end]),
            ('frame by frame', [*map(Send, frames), *end]),
            ('octet by octet', [Send(b''.join(frames), 1), *end])]


# ---- 1 to 5: frames ---------------------------------------------------------

def framing():
    cases = []
    for sub, kind, octet in ((1, TEXT, b'*'), (2, BINARY, b'\xfe')):
        rows = [(f'{n} octets', message(kind, octet * n))
                for n in (0, 125, 126, 127, 128, 65535, 65536)]
        rows.append(('65536 octets in chops of 997',
                     message(kind, octet * 65536, 997)))
        cases += table(f'1.{sub}', rows)
    return cases


def pings():
    ten = [b'payload-%d' % i for i in range(10)]
    all_ten = b''.join(frame(PING, p) for p in ten)
    pongs = [Want(PONG, p) for p in ten]
    full = b'\xfe' * 125

    def ping(data, chop=None):
        return [Send(frame(PING, data), chop), Want(PONG, data)]

    return table('2', [
        ('empty ping', ping(b'')),
        ('ping with text', ping(b'Hello, world!')),
        ('ping with octets', ping(bytes.fromhex('00fffefdfcfb00ff'))),
        ('ping of 125', ping(full)),
        ('ping of 126', [Send(frame(PING, full + b'\xfe')), Fails(1002)]),
        ('ping of 125, octet by octet', ping(full, 1)),
        ('unasked empty pong', [Send(frame(PONG))]),
        ('unasked pong', [Send(frame(PONG, b'unsolicited'))]),
        ('unasked pong, then a ping',
         [Send(frame(PONG, b'unsolicited')), *ping(b'asked')]),
        ('ten pings', [Send(all_ten), *pongs]),
        ('ten pings, octet by octet', [Send(all_ten, 1), *pongs]),
    ])


def reserved_bits():
    good = frame(TEXT, b'good')
    want = Want(TEXT, b'good')
    ping = frame(PING)

    def bad(rsv, kind=TEXT):
        return frame(kind, b'bad' if kind != CLOSE else close(), rsv=rsv)

    return table('3', [
        ('RSV3', [Send(bad(1)), Fails(1002)]),
        ('RSV2 behind a good message',
         [Send(good + bad(2) + ping), want, Fails(1002)]),
        ('RSV2+3, frame by frame',
         [Send(good), Send(bad(3)), Send(ping), want, Fails(1002)]),
        ('RSV1, octet by octet',
         [Send(good + bad(4) + ping, 1), want, Fails(1002)]),
        ('RSV1+3 on binary', [Send(bad(5, BINARY)), Fails(1002)]),
        ('RSV1+2 on a ping', [Send(bad(6, PING)), Fails(1002)]),
        ('all three on a close', [Send(bad(7, CLOSE)), Fails(1002)]),
    ])


def reserved_opcodes():
    cases = []
    good = frame(TEXT, b'good')
    want = Want(TEXT, b'good')
    ping = frame(PING)
    for sub, first in ((1, 3), (2, 11)):
        op = range(first, first + 5)
        cases += table(f'4.{sub}', [
            (f'opcode {op[0]}', [Send(frame(op[0])), Fails(1002)]),
            (f'opcode {op[1]} with payload',
             [Send(frame(op[1], b'reserved')), Fails(1002)]),
            (f'opcode {op[2]} behind a good message',
             [Send(good + frame(op[2]) + ping), want, Fails(1002)]),
            (f'opcode {op[3]} with payload, frame by frame',
             [Send(good), Send(frame(op[3], b'reserved')), Send(ping), want,
              Fails(1002)]),
            (f'opcode {op[4]} with payload, octet by octet',
             [Send(good + frame(op[4], b'reserved') + ping, 1), want,
              Fails(1002)]),
        ])
    return cases


def fragmentation():
    one, two = b'fragment1', b'fragment2'
    pair = fragments(TEXT, [one, two])
    whole = Want(TEXT, one + two)
    ping, pong = frame(PING, b'between'), Want(PONG, b'between')
    text = frame(TEXT, b'good')

    rows = [('a ping in two fragments',
             [Send(frame(PING, one, fin=False) + frame(0, two)),
              Fails(1002)]),
            ('a pong in two fragments',
             [Send(frame(PONG, one, fin=False) + frame(0, two)),
              Fails(1002)])]
    rows += three_ways(pair, [whole])
    rows += three_ways([pair[0], ping, pair[1]], [pong, whole])
    for fin in (True, False):
        rows += three_ways([frame(0, b'nothing to go on', fin=fin), text],
                           [Fails(1002)])
    rows.append(('a message, then a continuation of nothing',
                 [Send(b''.join(pair) + frame(0, b'x', fin=False) + text),
                  whole, Fails(1002)]))
    for fin in (False, True):
        again = frame(0, b'nothing', fin=fin) + b''.join(pair)
        rows.append((f'continuation of nothing, FIN {fin}, twice',
                     [Send(again * 2), Fails(1002)]))
    rows.append(('a new message inside of one',
                 [Send(frame(TEXT, one, fin=False) + frame(TEXT, two)),
                  Fails(1002)]))
    five = fragments(TEXT, [b'fragment%d' % i for i in range(1, 6)])
    early = [*five[:2], frame(PING, b'p1')]
    late = [*five[2:4], frame(PING, b'p2'), five[4]]
    end = [Want(PONG, b'p2'),
           Want(TEXT, b''.join(b'fragment%d' % i for i in range(1, 6)))]
    rows.append(('five fragments, two pings',
                 [Send(b''.join(early)), Want(PONG, b'p1'),
                  Send(b''.join(late)), *end]))
    rows.append(('five fragments, two pings, frame by frame',
                 [*map(Send, early), Want(PONG, b'p1'), *map(Send, late),
                  *end]))
    return table('5', rows)


# ---- 6: UTF-8 ---------------------------------------------------------------

KOSME = 'κόσμε'.encode()
CUT = bytes.fromhex('f4908080')         # above U+10FFFF
EDITED = b'edited'

# number: sequences of octets; what is UTF-8 python knows as well as anybody
SEQUENCES = {
    '6.5': [f'hello{c}world'.encode() for c in '$¢€\U00024b62'] + [KOSME],
    '6.6': [KOSME[:n] for n in range(1, 12)],
    '6.7': ['00', 'c280', 'e0a080', 'f0908080'],
    '6.8': ['f888808080', 'fc8480808080'],
    '6.9': ['7f', 'dfbf', 'efbfbf', 'f48fbfbf'],
    '6.10': ['f7bfbfbf', 'fbbfbfbfbf', 'fdbfbfbfbfbf'],
    '6.11': ['ed9fbf', 'ee8080', 'efbfbd', 'f48fbfbf', 'f4908080'],
    '6.12': ['80', 'bf', '80bf', '80bf80', '80bf80bf', '80bf80bf80',
             '80bf80bf80bf', bytes(range(0x80, 0xc0))],
    '6.13': [b' '.join(bytes([b]) for b in range(lo, hi)) + b' '
             for lo, hi in ((0xc0, 0xe0), (0xe0, 0xf0), (0xf0, 0xf8),
                            (0xf8, 0xfc), (0xfc, 0xfe))],
    '6.14': ['c0', 'e080', 'f08080', 'f8808080', 'fc80808080', 'df', 'efbf',
             'f7bfbf', 'fbbfbfbf', 'fdbfbfbfbf'],
    '6.15': ['c0e080f08080f8808080fc80808080dfefbff7bfbffbbfbfbffdbfbfbfbf'],
    '6.16': ['fe', 'ff', 'fefeffff'],
    '6.17': ['c0af', 'e080af', 'f08080af', 'f8808080af', 'fc80808080af'],
    '6.18': ['c1bf', 'e09fbf', 'f08fbfbf', 'f887bfbfbf', 'fc83bfbfbfbf'],
    '6.19': ['c080', 'e08080', 'f0808080', 'f880808080', 'fc8080808080'],
    '6.20': ['eda080', 'edadbf', 'edae80', 'edafbf', 'edb080', 'edbe80',
             'edbfbf'],
    '6.21': [a + b for a in ('eda080', 'edadbf', 'edae80', 'edafbf')
             for b in ('edb080', 'edbfbf')],
    '6.22': [chr(plane << 16 | low).encode() for plane in range(17)
             for low in (0xfffe, 0xffff)],
    '6.23': [chr(c).encode() for c in range(0xfff9, 0x10000)],
}


def is_utf8(data):
    try:
        data.decode('utf-8')
        return True
    except UnicodeDecodeError:
        return False


def utf8():
    hello = 'Hello-µ@ßöäüàá-UTF-8!!'.encode()
    cases = []

    def text(parts):
        return [Send(b''.join(fragments(TEXT, parts))),
                Want(TEXT, b''.join(parts))]

    cases += table('6.1', [
        ('empty', text([b''])),
        ('three empty fragments', text([b''] * 3)),
        ('only the middle fragment has text',
         text([b'', b'middle frame payload', b''])),
    ])
    cases += table('6.2', [
        ('in one frame', text([hello])),
        ('cut between characters', text([hello[:13], hello[13:]])),
        ('a fragment for each octet', text(pieces(hello, 1))),
        ('characters cut into octets', text(pieces(KOSME, 1))),
    ])
    bad = KOSME + b'\xed\xa0\x80' + EDITED
    cases += table('6.3', [
        ('a surrogate', [Send(frame(TEXT, bad)), Fails(1007)]),
        ('a surrogate, a fragment for each octet',
         [Send(b''.join(fragments(TEXT, pieces(bad, 1)))), Fails(1007)]),
    ])
    cases += fail_fast()
    for prefix, rows in SEQUENCES.items():
        rows = [bytes.fromhex(r) if isinstance(r, str) else r for r in rows]
        cases += table(prefix, [
            (repr(r)[:60], [Send(frame(TEXT, r)),
                            Want(TEXT, r) if is_utf8(r) else Fails(1007)])
            for r in rows])
    return cases


def fail_fast():
    """Failed at the octet that cannot be text any more, not at the end."""
    def in_frames(parts):
        frames = fragments(TEXT, parts)
        return [Send(frames[0]), Send(frames[1]), Fails(1007)]

    def in_chops(parts):
        whole = frame(TEXT, b''.join(parts))
        head = len(whole) - sum(map(len, parts))
        first = head + len(parts[0])
        return [Send(whole[:first]),
                Send(whole[first:first + len(parts[1])]), Fails(1007)]

    whole_character = [KOSME, CUT, EDITED]
    second_octet = [KOSME + CUT[:1], CUT[1:2], CUT[2:] + EDITED]
    return table('6.4', [
        ('at the second frame', in_frames(whole_character)),
        ('at the first impossible octet', in_frames(second_octet)),
        ('inside of a frame', in_chops(whole_character)),
        ('inside of a frame, at the octet', in_chops(second_octet)),
    ])


# ---- 7: closing -------------------------------------------------------------

GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000,
              3999, 4000, 4999)
BAD_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)


def closing():
    bye = frame(CLOSE, close())
    text = frame(TEXT, b'Hello World!')
    echoed = Want(TEXT, b'Hello World!')
    end = Closes(close())
    big = b'BAsd7&jh23' * 26214
    cases = table('7.1', [
        ('a message, then close', [Send(text + bye), echoed, end]),
        ('close twice', [Send(bye + bye), end]),
        ('a ping behind the close', [Send(bye + frame(PING)), end]),
        ('a text behind the close', [Send(bye + text), end]),
        ('close inside of a message',
         [Send(frame(TEXT, b'1', fin=False) + bye + frame(0, b'2')), end]),
        ('a big message, a close, a ping',
         [Send(frame(TEXT, big) + bye + frame(PING)), Want(TEXT, big), end]),
    ])
    cases += table('7.3', [
        ('empty', [Send(frame(CLOSE)), Closes(b'')]),
        ('one octet', [Send(frame(CLOSE, b'a')), Fails(1002)]),
        ('a code', [Send(bye), end]),
        ('a code and a reason',
         [Send(frame(CLOSE, close(1000, b'Hello World!'))), end]),
        ('the longest reason',
         [Send(frame(CLOSE, close(1000, b'*' * 123))), end]),
        ('a reason too long',
         [Send(frame(CLOSE, close(1000, b'*' * 124))), Fails(1002)]),
    ])
    cases += table('7.5', [
        ('a reason that is not text',
         [Send(frame(CLOSE, close(1000, KOSME + b'\xed\xa0\x80' + EDITED))),
          Fails(1007)])])
    cases += table('7.7', [
        (str(code), [Send(frame(CLOSE, close(code))), Closes(close(code))])
        for code in GOOD_CODES])
    cases += table('7.9', [
        (str(code), [Send(frame(CLOSE, close(code))), Fails(1002)])
        for code in BAD_CODES])
    cases += table('7.13', [
        (str(code), [Send(frame(CLOSE, close(code))), Fails(1002)])
        for code in (5000, 65535)])
    return cases


# ---- 9, 10: size and speed --------------------------------------------------

def in_fragments(kind, data, size):
    return [Send(b''.join(fragments(kind, pieces(data, size)))),
            Want(kind, data)]


def sizes():
    cases = []
    for kind, octet, subs in ((TEXT, b'*', (1, 3, 5, 7)),
                              (BINARY, b'\xfe', (2, 4, 6, 8))):
        def whole(n, chop=None, times=1, kind=kind, octet=octet):
            return lambda: message(kind, octet * n, chop) * times

        def cut(n, kind=kind, octet=octet):
            return lambda: in_fragments(kind, octet * (4 * MIB), n)

        cases += table(f'9.{subs[0]}', [
            (f'{n} KiB', whole(n << 10))
            for n in (64, 256, 1024, 4096, 8192, 16384)])
        cases += table(f'9.{subs[1]}', [
            (f'4 MiB in fragments of {n}', cut(n))
            for n in (64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10,
                      256 << 10, 1 << 20, 4 << 20)])
        cases += table(f'9.{subs[2]}', [
            (f'1 MiB in chops of {n}', whole(MIB, n))
            for n in (64, 128, 256, 512, 1024, 2048)])
        cases += table(f'9.{subs[3]}', [
            (f'1000 messages of {n}', whole(n, times=1000))
            for n in (0, 16, 64, 256, 1024, 4096)])
    return cases


def mixed():
    data = b'*' * 65536
    return table('10.1', [
        ('64 KiB in fragments of 1300',
         [Send(b''.join(fragments(TEXT, pieces(data, 1300)))),
          Want(TEXT, data)])])


# ---- beyond the numbers -----------------------------------------------------

def beyond():
    """Rules that the suite does not look at."""
    text = frame(TEXT, b'good')
    want = Want(TEXT, b'good')
    long_form = b'\x81\xfe\x00\x04' + MASK + masked(b'good')
    longer_form = b'\x81\xff' + struct.pack('>Q', 4) + MASK + masked(b'good')
    negative = b'\x82\xff' + struct.pack('>Q', 1 << 63) + MASK
    return table('own', [
        ('a frame that is not masked',
         [Send(text + frame(TEXT, b'bare', mask=False)), want, Fails(1002)]),
        ('a length in more octets than needed: 16 bits',
         [Send(long_form), Fails(1002)]),
        ('a length in more octets than needed: 64 bits',
         [Send(longer_form), Fails(1002)]),
        ('a length of more than 63 bits', [Send(negative), Fails(1002)]),
        ('a length above the limit',
         [Send(b'\x82\xff' + struct.pack('>Q', 1 << 40) + MASK),
          Fails(1009)]),
        ('a length above the limit, in fragments',
         [Send(frame(BINARY, b'x', fin=False) + b'\x00\xff' +
               struct.pack('>Q', 1 << 40) + MASK), Fails(1009)]),
        ('a long control frame is refused by its header',
         [Send(b'\x89\xfe\x00\x80'), Fails(1002)]),
        ('a control frame without FIN is refused by its header',
         [Send(b'\x09'), Fails(1002)]),
        ('a hundred messages at once',
         [Send(text * 100)] + [want] * 100),
        ('a hundred messages, octet by octet',
         [Send(text * 100, 1)] + [want] * 100),
        ('good messages before text that is cut',
         [Send(text * 3 + frame(TEXT, b'\xc3')), want, want, want,
          Fails(1007)]),
        ('closes 1012, 1013 and 1014 are known',
         [Send(frame(CLOSE, close(1012))), Closes(close(1012))]),
    ])


SECTIONS = [
    ('1', 'framing', framing), ('2', 'pings', pings),
    ('3', 'reserved bits', reserved_bits),
    ('4', 'reserved opcodes', reserved_opcodes),
    ('5', 'fragmentation', fragmentation), ('6', 'UTF-8', utf8),
    ('7', 'closing', closing), ('9', 'size and speed', sizes),
    ('10', 'fragments of odd sizes', mixed),
    ('own', 'rules beyond the suite', beyond),
]
