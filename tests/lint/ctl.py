#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cleatctl(1) has every command of the table in tools/ctl/commands.c, in its
order, with its arguments, its options and an example, and no others; the
scripts for shells name no commands, because the table is asked."""
import os
import re
import sys

import csource

# Of all commands: the page has them once.
EVERYWHERE = {'O_SOCKET', 'O_HELP', 'O_VERSION', 'O_COMPLETE'}


def strings(text):
    """Strings that stand side by side are one."""
    one = r'"(?:\\.|[^"\\])*"'
    return re.sub(one + r'(?:\s+' + one + ')+', lambda m: '"%s"' % ''.join(
        t[1:-1] for t in re.findall(one, m.group(0))), text)


def options(text):
    return dict(re.findall(r'\[(O_\w+)\] = \{ "([^"]*)"', strings(text)))


def commands(text):
    """[(name, arguments, names of options)]"""
    text = strings(csource.strip(text))
    known = options(text)
    table = re.search(r'ctl_commands\[\] = \{(.*?)\n\};', text, re.S).group(1)
    found = []
    for name, args, rest in re.findall(
            r'\{\s*"([^"]*)",\s*"([^"]*)",\s*"[^"]*",(.*?)\}\s*\},', table,
            re.S):
        found.append((name, args, [known[o] for o in
                                   re.findall(r'\bO_\w+', rest)
                                   if o != 'O_NONE']))
    return found


def page_commands(page):
    """[(heading, text)] of the part COMMANDS."""
    part = re.search(r'^# COMMANDS$(.*?)^# ', page, re.S | re.M)
    parts = re.split(r'^## (.*)$', part.group(1) if part else '', flags=re.M)
    return list(zip(parts[1::2], parts[2::2]))


def compare(table, page):
    bad = []
    described = page_commands(page)
    wanted = [(name + ' ' + args).strip() for name, args, _ in table]
    headings = [h for h, _ in described]
    bad += ['the page lacks "%s"' % w for w in wanted if w not in headings]
    bad += ['there is no "%s"' % h for h in headings if h not in wanted]
    if not bad and headings != wanted:
        bad.append('the page has another order')
    text_of = dict(described)
    for (name, _, opts), heading in zip(table, wanted):
        text = text_of.get(heading, '')
        named = re.findall(r'^\*--.*$', text, re.M)
        there = set(re.findall(r'\*--([\w-]+)\*', '\n'.join(named)))
        bad += ['%s: --%s is missing' % (name, o) for o in opts
                if o not in there]
        bad += ['%s: there is no --%s' % (name, o) for o in there
                if o not in opts]
        blocks = re.findall(r'^```\n(.*?)^```', text, re.S | re.M)
        if not re.search(r'^cleatctl %s\b' % re.escape(name),
                         ''.join(blocks), re.M):
            bad.append('%s: there is no example' % name)
    return bad


def own_words(table, script):
    """Commands that a script names by itself."""
    script = re.sub(r'^#.*$', '', script, flags=re.M)
    words = {w for name, _, _ in table for w in name.split() if len(w) > 4}
    words -= {'words'}
    return sorted(w for w in words if re.search(r'\b%s\b' % w, script))


TABLE = '''
const struct option_info ctl_options[O_COUNT] = {
	[O_JSON] = { "json", NULL, "a "
	    "b", K_NONE },
};
const struct command ctl_commands[] = {
	{ "thing show", "THING", "x", 1, 1, { K_A }, f, { O_JSON } },
	{ "other", "", "it "
	    "is", 0, 0, { K_NONE }, g, { O_NONE } },
	{ .name = NULL }
};
'''
PAGE = '''# COMMANDS

## thing show THING

*--json*
	x

```
cleatctl thing show a
```

## other

```
cleatctl other
```

# MORE
'''


def prove(tap):
    table = commands(TABLE)
    tap.proof(table == [('thing show', 'THING', ['json']), ('other', '', [])],
              'read the table', [str(table)])
    tap.proof(not compare(table, PAGE), 'a page that is right',
              compare(table, PAGE))
    for what, old, new in (
            ('a command that is missing', '## other\n', '## another\n'),
            ('other arguments', 'show THING\n', 'show\n'),
            ('an option that is missing', '*--json*', 'json'),
            ('an option that is not there', '*--json*', '*--json*, *--yes*'),
            ('an example that is missing', 'cleatctl other', 'other')):
        tap.proof(compare(table, PAGE.replace(old, new, 1)), 'found ' + what)
    tap.proof(own_words(table, 'compadd other') == ['other'],
              'found a script that names a command')


def main():
    tap = csource.Tap()
    prove(tap)
    tap.self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.environ['CLEAT_SRCDIR']

    def text(path):
        return csource.read(os.path.join(root, path))
    table = commands(text('tools/ctl/commands.c'))
    known = options(text('tools/ctl/commands.c'))
    bad = compare(table, text('doc/cleatctl.1.scd'))
    tap.ok(len(table) > 20 and not bad, 'cleatctl(1) and the table agree',
           bad)
    bad = ['--%s' % known[o] for o in sorted(EVERYWHERE)
           if '--%s*' % known[o] not in text('doc/cleatctl.1.scd')]
    tap.ok(not bad, 'cleatctl(1) has the options of all commands', bad)
    bad = ['%s names %s' % (s, w) for s in ('cleatctl', '_cleatctl')
           for w in own_words(table, text('tools/ctl/completion/' + s))]
    tap.ok(not bad, 'the scripts for shells name no commands', bad)
    tap.done()


if __name__ == '__main__':
    main()
