#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The bash completions of cleat-agent and cleat-certmgr offer every option of the
program's table, and a bash completes with them."""
import os
import re
import shutil
import subprocess

SRC = os.environ['CLEAT_SRCDIR']
TABLES = (
    ('cleat-agent', 'agent', 'tools/agent/options.c',
     r'^\t\{ "([a-z-]+)", (?:required|no)_argument'),
    ('cleat-certmgr', 'certmgr', 'tools/certmgr/args.c',
     r'^\t\{ "([a-z0-9-]+)", (?:LIST|TEXT|SECRET|SWITCH),'),
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


def main():
    files = {}
    for program, folder, table, pattern in TABLES:
        path = os.path.join('tools', folder, 'completion', program)
        files[program] = os.path.join(SRC, path)
        options = re.findall(pattern, text_of(table), re.M)
        words = set(re.findall(r'[a-z0-9-]+', text_of(path)))
        words |= {w.lstrip('-') for w in words}
        missing = [o for o in options if o not in words]
        ok(len(options) > 20 and not missing,
           f'{program} completes every option', f'missing: {missing}')
    for program, line, wanted in ASKED:
        if not shutil.which('bash'):
            ok(True, f'"{line}" # SKIP there is no bash')
            continue
        said = subprocess.run(
            ['bash', '-c', SCRIPT, 'bash', files[program], line],
            capture_output=True, text=True, timeout=60)
        ok(wanted in said.stdout.split(), f'"{line}" becomes {wanted}',
           said.stdout + said.stderr)
    print(f'1..{done}')


if __name__ == '__main__':
    main()
