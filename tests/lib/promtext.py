# SPDX-License-Identifier: Apache-2.0
"""Prometheus' text format 0.0.4, read as strictly as its documentation and the
parser of Prometheus have it, with the naming rules that `promtool check
metrics` looks at.  For machines without promtool, whose Debian package starts a
server.  Standard library only."""
import re

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*'
VALUE = r'(?:[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|NaN|[-+]Inf)'
STRING = r'"(?:[^"\\\n]|\\["\\n])*"'
LABELS = rf'{LABEL}={STRING}(?:,{LABEL}={STRING})*'
SAMPLE = re.compile(rf'({NAME})(?:\{{({LABELS})\}})? ({VALUE})\Z')
PAIR = re.compile(rf'({LABEL})=({STRING})')
HELP = re.compile(rf'# HELP ({NAME}) ((?:[^\\]|\\[\\n])+)\Z')
TYPE = re.compile(rf'# TYPE ({NAME}) (counter|gauge)\Z')
# Units that have a base unit to be told in.
UNITS = re.compile(r'_(milliseconds|ms|microseconds|us|minutes|hours|days|'
                   r'kilobytes|kib|kb|mb|bits|percent)(_|\Z)')


class Bad(Exception):
    """The text breaks the format; says where."""


def unescape(text):
    return re.sub(r'\\(.)', lambda m: '\n' if m.group(1) == 'n'
                  else m.group(1), text[1:-1])


def judge_name(name, kind):
    if kind == 'counter' and not name.endswith('_total'):
        raise Bad(f'{name}: a counter ends in _total')
    if kind == 'gauge' and name.endswith(('_total', '_count', '_sum',
                                          '_bucket')):
        raise Bad(f'{name}: a gauge must not end so')
    if re.search(r'[A-Z:]', name) or '__' in name:
        raise Bad(f'{name}: lower case with single underscores')
    if UNITS.search(name):
        raise Bad(f'{name}: base units only')


def parse(text):
    """{name: {labels: value}}, labels a sorted tuple of pairs; Bad."""
    if text and not text.endswith('\n'):
        raise Bad('the last line has no end')
    found, kinds, helps, now = {}, {}, set(), None
    for number, line in enumerate(text.split('\n')[:-1], 1):
        at = f'line {number}: {line}'
        if line.startswith('# HELP '):
            m = HELP.match(line)
            if not m or m.group(1) in helps or m.group(1) in found:
                raise Bad(at)
            helps.add(m.group(1))
            now = m.group(1)
        elif line.startswith('# TYPE '):
            m = TYPE.match(line)
            if not m or m.group(1) in kinds or m.group(1) != now or \
                    m.group(1) in found:
                raise Bad(at)
            kinds[m.group(1)] = m.group(2)
            judge_name(m.group(1), m.group(2))
        else:
            m = SAMPLE.match(line)
            if not m or m.group(1) != now or now not in kinds:
                raise Bad(at)
            pairs = [(k, unescape(v)) for k, v in
                     PAIR.findall(m.group(2) or '')]
            labels = tuple(sorted(pairs))
            if len(set(k for k, _ in pairs)) != len(pairs) or \
                    labels in found.setdefault(now, {}):
                raise Bad(f'{at}: twice')
            value = float(m.group(3))
            if kinds[now] == 'counter' and not value >= 0:
                raise Bad(f'{at}: a counter below 0')
            found[now][labels] = value
    for name in kinds:
        if name not in found:
            raise Bad(f'{name}: no value')
    return found


GOOD = ('# HELP a_total What \\\\ is\\n.\n# TYPE a_total counter\n'
        'a_total{x="1",y="\\"\\\\\\n"} 1e+06\na_total 3\n'
        '# HELP b Help.\n# TYPE b gauge\nb NaN\n')
BAD = {
    'no line end': GOOD[:-1],
    'a type without help': '# TYPE a_total counter\na_total 1\n',
    'a value without type': '# HELP a Help.\na 1\n',
    'help twice': GOOD + '# HELP b Help.\n# TYPE b gauge\nb{c="1"} 1\n',
    'a name in two places': GOOD + 'a_total{x="2"} 1\n',
    'a series twice': GOOD + 'b 2\n',
    'a label twice': GOOD + 'b{c="1",c="2"} 2\n',
    'a bad escape': GOOD + 'b{c="\\x"} 2\n',
    'a quote inside': GOOD + 'b{c="""} 2\n',
    'a bad label': GOOD + 'b{1="c"} 2\n',
    'no value': GOOD + 'b{c="1"}\n',
    'a value that is none': GOOD + 'b{c="1"} nan\n',
    'a counter without _total': '# HELP a H.\n# TYPE a counter\na 1\n',
    'a gauge with _total': '# HELP a_total H.\n# TYPE a_total gauge\n'
                           'a_total 1\n',
    'a counter below 0': '# HELP a_total H.\n# TYPE a_total counter\n'
                         'a_total -1\n',
    'milliseconds': '# HELP a_ms H.\n# TYPE a_ms gauge\na_ms 1\n',
    'an unknown type': '# HELP a H.\n# TYPE a thing\na 1\n',
    'an empty help': '# HELP a \n# TYPE a gauge\na 1\n',
}


def prove():
    """Finds what is planted; names what it did not find."""
    missed = []
    try:
        parse(GOOD)
    except Bad as e:
        missed.append(f'refused what is good: {e}')
    for name, text in BAD.items():
        try:
            parse(text)
            missed.append(name)
        except Bad:
            pass
    return missed
