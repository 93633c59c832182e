#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""doc/protocol.md, doc/protocol.schema.json and plugins/proto-endpoint speak of
the same methods, members and errors, and every example of the page is valid."""
import json
import os
import re
import sys

import csource

ROOT = sys.argv[1] if len(sys.argv) > 1 else os.environ['CLEAT_SRCDIR']
os.environ['CLEAT_SRCDIR'] = ROOT
sys.path.insert(0, os.path.join(ROOT, 'tests', 'lib'))
import protocol  # noqa: E402

HEADING = re.compile(r'^### `([a-z]+)` \((device|server)', re.M)


def page_methods(page):
    """{name: (side, text below its heading)}"""
    found = {}
    parts = re.split(r'^(?=#{2,4} )', page, flags=re.M)
    for part in parts:
        m = HEADING.match(part)
        if m:
            found[m.group(1)] = (m.group(2), part)
    return found


def table(text):
    """{member: (type, required)} of the first table below a heading."""
    rows = {}
    for line in text.split('| | |\n')[0].splitlines():
        m = re.match(r'\| `(\w+)` \| ([^|]*) \|', line)
        if m:
            rows[m.group(1)] = 'required' in m.group(2)
        elif rows and not line.startswith('|'):
            break
    return rows


def compare_methods(page, schema_of):
    bad = []
    for side in ('device', 'server'):
        there = {n for n, (s, _) in page.items() if s == side}
        for n in sorted(there ^ set(schema_of(side))):
            bad.append(f'{n}: not a method of the {side} in both')
    return bad


def compare_members(page, defs):
    bad = []
    for name, (side, text) in page.items():
        params = defs[name + '.params']
        known, required = params['properties'], params.get('required', [])
        rows = table(text)
        for member, must in rows.items():
            if member not in known:
                bad.append(f'{name}: {member} is not in the schema')
            elif side == 'device' and must != (member in required):
                bad.append(f'{name}: {member} is required in one only')
        for member in known:
            if f'`{member}`' not in text:
                bad.append(f'{name}: {member} is not on the page')
    return bad


def source_methods(texts):
    """What the plugin takes from a device, and asks one."""
    takes = set()
    asks = set()
    for text in texts:
        for body in re.findall(r'methods\[\] = \{(.*?)\n\};', text, re.S):
            takes |= set(re.findall(r'\{ "(\w+)", \w+ \}', body))
        for body in re.findall(r'rpc_(?:request|notification)\((.*?)json_pack',
                               text, re.S):
            asks |= set(re.findall(r'"(\w+)"', body))
    return takes, asks


def examples(page):
    """(side, message) of each line that is complete."""
    for block in re.findall(r'(?:^    .*\n)+', page, re.M):
        lines = re.sub(r'\n       +', ' ', block)
        for line in lines.splitlines():
            m = re.match(r'    ([→←]) (\{.*\})$', line)
            if m:
                yield ('device' if m.group(1) == '→' else 'server',
                       m.group(2))


def example_fault(side, text):
    # What is shortened for the eye.
    text = re.sub(r'"nonce":"[0-9a-f]+…"', '"nonce":"%s"' % ('0' * 64), text)
    text = re.sub(r'"token":"([^"]*)…"', r'"token":"\1' + 'x' * 16 + '"',
                  text)
    try:
        return protocol.message_fault(side, json.loads(text))
    except ValueError as e:
        return str(e)


def codes(page):
    return {int(c) for c in re.findall(r'^\| (-32\d{3}) \|', page, re.M)}


def prove(tap):
    page = page_methods('### `a` (device)\n| m | t | |\n|---|---|---|\n'
                        '| `x` | string, required | |\n| `y` | string | |\n'
                        '## Other\n### `b` (server, request)\n`z`\n')
    tap.proof(set(page) == {'a', 'b'} and table(page['a'][1]) ==
              {'x': True, 'y': False}, 'read a page')
    tap.proof(compare_methods(page, lambda s: {'device': ['a'],
                                               'server': []}[s]),
              'found a method that the schema lacks')
    defs = {'a.params': {'properties': {'x': 1, 'q': 1}},
            'b.params': {'properties': {'z': 1}}}
    tap.proof(len(compare_members(page, defs)) == 3,
              'found three wrong members')
    tap.proof(source_methods(['methods[] = {\n\t{ "p", p_call },\n};\n'
                              'rpc_request(id(x), "q",\n json_pack())']) ==
              ({'p'}, {'q'}), 'read a source')
    tap.proof(list(examples('x\n\n    → {"a":1,\n       "b":2}\n    ← {}\n')) ==
              [('device', '{"a":1, "b":2}'), ('server', '{}')],
              'read examples')


def validity(tap):
    if protocol.jsonschema is None:
        tap.ok(True, 'examples are valid # SKIP no python3-jsonschema')
        return
    protocol.jsonschema.Draft202012Validator.check_schema(protocol.schema())
    with open(os.path.join(ROOT, 'doc/protocol.md'), encoding='utf-8') as f:
        page = f.read()
    all_of = list(examples(page))
    bad = ['%s: %s' % (why, text[:80]) for side, text in all_of
           for why in [example_fault(side, text)] if why]
    wrong = [('server', '{"jsonrpc":"2.0","method":"challenge","params":{}}'),
             ('device', '{"jsonrpc":"2.0","id":1,"method":"hello",'
              '"params":{"endpoint":"a b","auth":{"method":"mtls"}}}'),
             ('device', '{"jsonrpc":"2.0","id":1,"method":"hello",'
              '"params":{"endpoint":"a","auth":{"method":"key"}}}'),
             ('server', '{"jsonrpc":"2.0","id":1,"error":{"code":-1,'
              '"message":"x"}}'),
             ('server', '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":'
              '-32603,"message":"x"}}'),
             ('device', '{"jsonrpc":"2.0","method":"drain","params":{}}')]
    bad += ['passed: ' + text for side, text in wrong
            if not example_fault(side, text)]
    tap.ok(len(all_of) > 8 and not bad, 'examples are valid', bad)


def main():
    tap = csource.Tap()
    prove(tap)
    tap.self_test()
    with open(os.path.join(ROOT, 'doc/protocol.md'), encoding='utf-8') as f:
        text = f.read()
    page, defs = page_methods(text), protocol.schema()['$defs']
    bad = compare_methods(page, protocol.methods)
    tap.ok(len(page) > 10 and not bad, 'page and schema have the same methods',
           bad)
    bad = compare_members(page, defs)
    tap.ok(not bad, 'page and schema have the same members', bad)
    tap.ok(codes(text) == set(defs['code']['enum']),
           'page and schema have the same errors',
           [str(codes(text) ^ set(defs['code']['enum']))])
    sources = [csource.read(os.path.join(ROOT, p))
               for p in csource.files(ROOT, 'plugins')
               if p.startswith('plugins/proto-endpoint/')]
    takes, asks = source_methods(sources)
    bad = [f'the plugin takes {n}' for n in
           takes ^ set(protocol.methods('device'))]
    bad += [f'the plugin asks {n}' for n in
            asks ^ set(protocol.methods('server'))]
    used = {int(c) for s in sources
            for c in re.findall(r'\((-32\d{3})\)', s)}
    bad += [f'the plugin answers {c}' for c in
            used - set(defs['code']['enum'])]
    tap.ok(len(takes) > 5 and used and not bad,
           'the plugin speaks what is in the schema', bad)
    validity(tap)
    tap.done()


if __name__ == '__main__':
    main()
