#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The bash completions of cleat-agent and cleat-certmgr, asked in a bash, offer
every option of the program's table and no other."""
import os
import re
import shutil
import subprocess

SRC = os.environ['CLEAT_SRCDIR']
# The table, and which of its options are only offered after which word.
TABLES = (
    ('cleat-agent', 'agent', 'tools/agent/options.c',
     r'^\t\{ "([a-z-]+)", (?:required|no)_argument', '--', ' test',
     {'hello', 'json', 'timeout'}),
    ('cleat-certmgr', 'certmgr', 'tools/certmgr/args.c',
     r'^\t\{ "([a-z0-9-]+)", (?:LIST|TEXT|SECRET|SWITCH),', '-', ' ca init',
     {'cn', 'o', 'ou', 'days', 'out', 'out-pass-file', 'reason'}),
)
ASKED = (
    ('cleat-agent', 'cleat-agent te', 'test'),
    ('cleat-agent', 'cleat-agent test --he', '--hello'),
    ('cleat-agent', 'cleat-agent --proxy-auth d', 'digest'),
    ('cleat-certmgr', 'cleat-certmgr ca is', 'issue'),
    ('cleat-certmgr', 'cleat-certmgr -wait', '-wait-live'),
)
SCRIPT = '''
source "$1"
read -ra COMP_WORDS <<<"$2"
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
function=$(complete -p "${COMP_WORDS[0]}")
function=${function##*-F } function=${function%% *}
$function "${COMP_WORDS[0]}" "${COMP_WORDS[-1]}" \\
	"${COMP_WORDS[COMP_CWORD-1]}"
printf '%s\\n' "${COMPREPLY[@]}"
'''
done = 0


def ok(good, name, why=''):
    global done
    done += 1
    if not good:
        print('# ' + why)
    print(f'{"" if good else "not "}ok {done} - {name}')


def text_of(*path):
    with open(os.path.join(SRC, *path)) as f:
        return f.read()


def ask(folder, line):
    """What the completion makes of the line, and what went wrong."""
    path = os.path.join(SRC, 'tools', folder, 'completion', line.split()[0])
    said = subprocess.run(['bash', '-c', SCRIPT, 'bash', path, line],
                          capture_output=True, text=True, timeout=60)
    return said.stdout.split(), said.stderr


def offered(folder, line, dash):
    words, wrong = ask(folder, f'{line} {dash}')
    return {w[len(dash):] if w.startswith(dash) else w for w in words}, wrong


def main():
    if not shutil.which('bash'):
        print('1..0 # SKIP there is no bash')
        return
    folders = {}
    for program, folder, table, pattern, dash, word, later in TABLES:
        folders[program] = folder
        options = set(re.findall(pattern, text_of(table), re.M))
        first, wrong = offered(folder, program, dash)
        ok(len(options) > 20 and first == options - later,
           f'{program} completes its options',
           f'wrong: {first ^ (options - later)} {wrong}')
        more, wrong = offered(folder, program + word, dash)
        ok(later <= more <= options, f'{program}{word} completes its options',
           f'wrong: {(later - more) | (more - options)} {wrong}')
    for program, line, wanted in ASKED:
        words, wrong = ask(folders[program], line)
        ok(wanted in words, f'"{line}" becomes {wanted}', f'{words} {wrong}')
    print(f'1..{done}')


if __name__ == '__main__':
    main()
