#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cleat.conf(5) names every key of the configuration and every option of the
plugins in its own section, with type, range, default and whether a change needs
a restart; etc/cleat.conf has every option of a plugin with its default, as a
comment where the plugin is only proposed."""
import os
import re
import sys

import csource

UNITS = {'DURATION': (('d', 86400000), ('h', 3600000), ('m', 60000),
                      ('s', 1000), ('ms', 1)),
         'SIZE': (('GiB', 1 << 30), ('MiB', 1 << 20), ('KiB', 1 << 10),
                  ('', 1))}
WORDS = {'BOOL': 'yes or no', 'UINT': 'number', 'DURATION': 'duration',
         'SIZE': 'size', 'STRING': 'text', 'PATH': 'path',
         'ADDRESS': 'address', 'RANGE': 'address ranges', 'NAME': 'name',
         'HOST': 'host names', 'IPC': 'ipc URL', 'LIST': 'texts'}


def number_text(value, kind):
    for unit, factor in UNITS.get(kind, (('', 1),)):
        if value % factor == 0 and value:
            return '%d%s' % (value // factor, unit)
    return '0'


def signature(key):
    """What the page says of a key, in one line."""
    kind, words = key['type'], key.get('words')
    what = WORDS.get(kind, '')
    if key.get('list'):
        what = 'list of ' + {'STRING': 'texts',
                              'NAME': 'names'}.get(kind, what)
    if kind == 'ENUM':
        what = 'one of ' + ', '.join(words.split('|'))
    elif words:
        what += ' or ' + words
    if key.get('max'):
        what += ', %s to %s' % (number_text(key['min'], kind),
                                number_text(key['max'], kind))
    if key.get('required'):
        what += '; required'
    elif key['value']:
        what += '; default ' + key['value']
    else:
        what += '; default empty'
    if key.get('restart'):
        what += '; restart'
    return '*%s* (%s)' % (key['name'], what)


def split_args(text):
    """At the commas outside of quotes."""
    args, now, quoted = [], '', False
    for c in text:
        if c == '"':
            quoted = not quoted
        if c == ',' and not quoted:
            args.append(now.strip())
            now = ''
        else:
            now += c
    return args + [now.strip()]


def literal(text, defines):
    if text == 'NULL':
        return None
    if text in defines:
        return defines[text]
    return ''.join(re.findall(r'"([^"]*)"', text))


NAMES = {'KIB': 1 << 10, 'MIB': 1 << 20, 'GIB': 1 << 30, 'SEC': 1000,
         'HOUR': 3600000, 'DAY': 86400000}


def value_of(text, names=NAMES):
    result = 1
    for part in text.split('*'):
        part = part.strip()
        result *= names[part] if part in names else int(part)
    return result


def schema(text, header=''):
    """The keys of core/conf/schema.c, with what conf.h defines."""
    names = NAMES | {name: int(value) for name, value in re.findall(
        r'^#define (\w+) (\d+)\b', header, re.M)}
    keys = []
    for m in re.finditer(r'KEY\(((?:"[^"]*"|[^")])*)\)', text):
        args = split_args(m.group(1))
        if not args[0].startswith('"'):
            continue            # the macro's definition
        key = {'section': literal(args[0], {}), 'name': literal(args[1], {}),
               'type': args[2].replace('CONF_', ''),
               'value': literal(args[3], {})}
        for field in args[4:]:
            name, _, value = field.partition('=')
            name, value = name.strip(' .'), value.strip()
            if name in ('min', 'max'):
                key[name] = value_of(value, names)
            elif name == 'words':
                key[name] = literal(value, {})
            elif name == 'flags':
                key['list'] = 'CONF_LIST' in value
                key['required'] = 'CONF_REQUIRED' in value
                key['restart'] = 'CONF_RESTART' in value
        key.setdefault('min', 0)
        keys.append(key)
    return keys


def options(text):
    """The options that a plugin's source declares."""
    defines = dict(re.findall(r'^#define (\w+) "([^"]*)"', text, re.M))
    table = re.search(r'struct cleat_opt \w+\[\] = \{(.*?)\n\};', text, re.S)
    keys = []
    for body in re.findall(r'\{\s*((?:"[^"]*"|[^"{}])*?)\s*\}',
                           table.group(1) if table else ''):
        if body.startswith('.'):
            continue
        args = split_args(body)
        kind = args[1].replace('CLEAT_OPT_', '')
        keys.append({'name': literal(args[0], defines), 'type': kind,
                     'list': kind == 'LIST',
                     'required': 'REQUIRED' in args[2],
                     'restart': 'RESTART' in args[2],
                     'value': literal(args[3], defines),
                     'min': value_of(args[4]), 'max': value_of(args[5])})
    return keys


def sections(page):
    """The lines below each "## heading"."""
    found, now = {}, None
    for line in page.splitlines():
        if line.startswith('#'):
            now = line.lstrip('# ').replace('\\', '')
        found.setdefault(now, set()).add(line.replace('\\', ''))
    return found


def missing(keys, heading, page):
    """Signatures that are not in the part of the page they belong to."""
    there = sections(page).get(heading, set())
    return ['%s: %s' % (heading, signature(k)) for k in keys
            if signature(k) not in there]


def heading_of(section):
    return '[%s]' % section.replace('*', 'NAME')


def example_has(key, example):
    line = '%s = %s' % (key['name'], key['value'] or '')
    return line.rstrip() in [s.rstrip().lstrip('#')
                             for s in example.splitlines()]


def prove(tap):
    one = schema('KEY("a", "b", CONF_DURATION, "5s", .min = TWO * SEC,\n'
                 '    .max = HOUR, .flags = CONF_RESTART, .help = "x, (y)"),',
                 '#define TWO 2\n')
    tap.proof(len(one) == 1 and signature(one[0]) ==
              '*b* (duration, 2s to 1h; default 5s; restart)',
              'read a key with range and restart')
    tap.proof(missing(one, '[a]', '## [a]\n*b* (duration; default 5s)\n'),
              'found a key with another range')
    tap.proof(missing(one, '[a]', '## [c]\n' + signature(one[0]) + '\n'),
              'found a key in another section')
    opt = options('#define J "/x"\nstatic const struct cleat_opt opts[] = {\n'
                  '\t{ "s", CLEAT_OPT_PATH, CLEAT_OPT_RESTART, J, 0, 0,\n'
                  '\t    "help" },\n\t{ .name = NULL }\n};\n')
    tap.proof([signature(o) for o in opt] ==
              ['*s* (path; default /x; restart)'], 'read an option')


def main():
    tap = csource.Tap()
    prove(tap)
    tap.self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ['CLEAT_SRCDIR']
    page = csource.read(os.path.join(root, 'doc/cleat.conf.5.scd'))
    example = csource.read(os.path.join(root, 'etc/cleat.conf'))
    bad, seen = [], 0
    for key in schema(csource.read(os.path.join(root, 'core/conf/schema.c')),
                      csource.read(os.path.join(root, 'core/conf/conf.h'))):
        bad += missing([key], heading_of(key['section']), page)
        seen += 1
    tap.ok(seen > 40 and not bad, 'the page has every key', bad)
    bad, absent = [], []
    for path in csource.files(root, 'plugins'):
        if not path.endswith('.c') or path.startswith('plugins/example/'):
            continue
        keys = options(csource.read(os.path.join(root, path)))
        module = os.path.basename(os.path.dirname(path))
        bad += missing(keys, 'Module ' + module, page)
        absent += ['%s: %s' % (module, k['name']) for k in keys
                   if not example_has(k, example)]
    tap.ok(not bad, 'the page has every option of a plugin', bad)
    tap.ok(not absent, 'etc/cleat.conf has every option of a plugin', absent)
    tap.done()


if __name__ == '__main__':
    main()
