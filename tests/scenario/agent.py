#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cleat-agent against a server that does what a test says: enrolment, commands
across kill -9, telemetry, several servers, drain, proxies; and its pins against
the real daemon."""
import base64
import hashlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.environ['CLEAT_SRCDIR'], 'tests/lib'))
import harness  # noqa: E402
from control import Control  # noqa: E402
from agents import (NONCE, Agent, Proxy, Server, command, feed,  # noqa: E402
                    need_mounts, outcome, script, spki)
from harness import BUILDDIR, check, equal, wait_until  # noqa: E402


# ---- identity ---------------------------------------------------------------

def verify(scene, params):
    """The signature, as openssl sees it."""
    auth = params['auth']
    der = bytes.fromhex('302a300506032b6570032100' + auth['public_key'])
    text = (b'cleat hello v1\0' + bytes.fromhex(NONCE) + b'\0' +
            params['endpoint'].encode())
    equal(auth['binding'], 'none', 'binding without TLS')
    for name, data in (('k.der', der), ('text', text),
                       ('sig', bytes.fromhex(auth['signature']))):
        with open(scene.path(name), 'wb') as f:
            f.write(data)
    good = subprocess.run(
        ['openssl', 'pkeyutl', '-verify', '-pubin', '-keyform', 'DER',
         '-inkey', scene.path('k.der'), '-rawin', '-in', scene.path('text'),
         '-sigfile', scene.path('sig')], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    equal(good.returncode, 0, good.stdout)


def test_enrol(scene):
    """a key is made once, 0600; enrolment waits for approval, then it is key"""
    server = Server()
    a = Agent(scene, server.url, '--enrol', '--approval-ms', '50',
              token=False)
    keys = set()
    for _ in range(2):
        peer = server.accept()
        m = peer.expect('hello')
        equal(m['params']['auth']['method'], 'enrol', 'method')
        check('token' not in m['params']['auth'], 'there is no token')
        verify(scene, m['params'])
        keys.add(m['params']['auth']['public_key'])
        peer.error(m, -32006, fingerprint='ab' * 32)
        peer.end(1013)
        a.says('waiting for approval fingerprint=abab')
    peer = server.accept()
    keys.add(peer.hello()['auth']['public_key'])
    a.says('enrolled as dev-1')
    a.says('online')
    a.kill()
    mode = stat.S_IMODE(os.stat(scene.path('agent', 'identity')).st_mode)
    equal(mode, 0o600, 'mode of the key')
    a.start()
    again = server.accept().hello()
    equal(again['auth']['method'], 'key', 'method after enrolment')
    keys.add(again['auth']['public_key'])
    equal(len(keys), 1, 'keys')
    verify(scene, again)
    a.stop()


def test_enrol_token(scene):
    """a one-time token goes with the enrolment, and no further"""
    with open(scene.path('once'), 'w') as f:
        f.write('one-time-token-1\n')
    server = Server()
    a = Agent(scene, server.url, '--enrol-token-file', scene.path('once'),
              token=False)
    peer = server.accept()
    equal(peer.hello()['auth']['token'], 'one-time-token-1', 'token')
    a.says('online')
    peer.end(1001)
    os.unlink(scene.path('once'))
    check('token' not in server.accept().hello()['auth'], 'token again')
    a.kill()
    a.start()
    check('token' not in server.accept().hello()['auth'], 'token once more')
    a.stop()


def test_forgotten(scene):
    """a key that the server has forgotten is enrolled again, others are not"""
    server = Server()
    a = Agent(scene, server.url, '--enrol', '--approval-ms', '50',
              token=False)
    peer = server.accept()
    keys = {peer.hello()['auth']['public_key']}
    a.says('online')
    peer.end(4004)
    for wanted, code, close in (('key', -32009, 4008), ('key', -32001, 4001),
                                ('enrol', -32001, 4001),
                                ('enrol', -32006, 1013)):
        peer = server.accept()
        m = peer.expect('hello')
        equal(m['params']['auth']['method'], wanted, 'method')
        keys.add(m['params']['auth']['public_key'])
        peer.error(m, code)
        peer.end(close)
    peer = server.accept()
    equal(peer.hello()['auth']['method'], 'enrol', 'method')
    a.says('does not take the key .* enrol')
    a.says('enrolled as dev-1')
    a.says('online')
    peer.end(1001)
    equal(server.accept().hello()['auth']['method'], 'key', 'method')
    equal(len(keys), 1, 'keys')
    a.stop()
    equal(sum('does not take the key' in line for line in a.log), 1,
          'times said')
    a = Agent(scene, server.url, token=False)
    for _ in range(3):              # nobody told it to enrol
        peer = server.accept()
        m = peer.expect('hello')
        equal(m['params']['auth']['method'], 'key', 'method')
        peer.error(m, -32001)
        peer.end(4001)
    a.stop()


# ---- options ----------------------------------------------------------------

def refused(status, *args):
    """What the agent says of arguments that it cannot begin with."""
    done = subprocess.run([os.path.join(BUILDDIR, 'cleat-agent'), *args],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60)
    equal(done.returncode, status, f'{args}: {done.stderr}')
    return done.stderr


def test_wrong_arguments(scene):
    """2, which no service manager tries again, is for the command line alone"""
    good = scene.path('good')
    with open(good, 'w') as f:
        f.write('retry-min-ms = 20\n')
    for args in (('--none',), ('--server',), ('word',), ('--hello',),
                 ('-c', good, '--none')):
        refused(2, *args)
    equal(refused(1, '-c', scene.path('none')),
          f'cleat-agent: {scene.path("none")}: No such file or directory\n')
    for option, value, why in (
            ('retry-min-ms', '0', 'a number from 1 to 4294967295 is expected'),
            ('telemetry-max', '1k',
             'a number from 1 to 4294967295 is expected'),
            ('timeout', '3601', 'a number from 1 to 3600 is expected'),
            ('log-level', 'loud',
             'error, warning, notice, info or debug is expected'),
            ('command', 'x-do', 'VERB=/PATH is expected'),
            ('command', 'x-do=do', 'a path that begins with / is expected')):
        equal(refused(1, '--' + option, value),
              f'cleat-agent: --{option}: {why}\n')


def test_wrong_file(scene):
    """one line says where in the file what is wrong, and why"""
    path = scene.path('agent.conf')
    for line, why in (
            ('retry-min-ms = 0',
             'retry-min-ms: a number from 1 to 4294967295 is expected'),
            ('log-level = loud', 'log-level: error, warning, notice, info or '
             'debug is expected'),
            ('enrol = perhaps', 'enrol: yes or no is expected'),
            ('validate = 1', 'validate: yes or no is expected'),
            ('command.x-do = do',
             'command.x-do: a path that begins with / is expected'),
            ('command. = /do',
             'command.: a verb of 1 to 64 characters is expected'),
            ('command = x-do', 'command: VERB=/PATH is expected'),
            ('plain:secret = x', 'there is no such option'),
            ('enrol', 'OPTION = VALUE is expected')):
        with open(path, 'w') as f:
            f.write(f'# a device\nendpoint = dev-1\n{line}\nwake = yes\n')
        equal(refused(1, '-c', path), f'cleat-agent: {path}:3: {why}\n')
    with open(path, 'w') as f:
        f.write(f'command.x-long = /{"x" * 5000}\n' +
                'command.x-do = /do\n' * 64)
    equal(refused(1, '-c', path), f'cleat-agent: {path}:65: command.x-do: '
          'there are too many commands\n')


# ---- commands ---------------------------------------------------------------

def test_command(scene):
    """an executable gets its arguments, a clean environment, and is reported"""
    path = script(scene, 'x', 'read line\necho "progress 40 half" >&3\n'
                  'printf \'{"in":%s,"id":"%s","more":"%s"}\' "$line" '
                  '"$CLEAT_COMMAND_ID" "$SECRET"\n')
    bad = script(scene, 'bad', 'echo no; exit 3\n')
    server = Server()
    a = Agent(scene, server.url, '--command', 'x-do=' + path, '--command',
              'x-bad=' + bad, env={'SECRET': 'no'})
    peer = server.accept()
    peer.hello()
    equal(command(peer, 'c1', 'x-none')['error']['code'], -32601, 'unknown')
    equal(command(peer, 'c2', 'x-do', {'a': [1]})['result'], {}, 'taken')
    p = peer.expect('progress')['params']
    equal(p, {'command_id': 'c2', 'percent': 40, 'text': 'half'}, 'progress')
    equal(outcome(peer), {'command_id': 'c2', 'outcome': 'ok', 'result': {
        'in': {'a': [1]}, 'id': 'c2', 'more': ''}}, 'outcome')
    command(peer, 'c3', 'x-bad')
    got = outcome(peer, answer=False)
    equal((got['outcome'], got['message'], got['result']),
          ('error', 'exit status 3', {'text': 'no\n'}), 'outcome')
    # Not answered: told again on the next channel; nothing is done twice.
    peer.end(1001)
    peer = server.accept()
    peer.hello()
    equal(outcome(peer), got, 'the same outcome')
    equal(command(peer, 'c3', 'x-bad', again=True)['result'], {}, 'again')
    equal(peer.call('cancel', {'command_id': 'c3'})['result'], {}, 'cancel')
    a.stop()
    equal(sum('id=c3 verb' in line for line in a.log), 1, 'times taken')


def kept(*lines):
    """A journal of commands with these lines (FNV-1a of each in front)."""
    out = b''
    for line in lines:
        h = 2166136261
        for b in line.encode():
            h = ((h ^ b) * 16777619) & 0xffffffff
        out += b'%08x %s\n' % (h, line.encode())
    return out


def test_output(scene):
    """whatever an executable writes, its outcome can be told, and the next"""
    outputs = {'nul': r"printf 'a\000b\n'",
               'escaped': "cat <<'E'\n\"a\\u0000b\"\nE",
               'latin': r"printf 'gr\374n'",
               'deep': f"echo '{'[' * 31 + ']' * 31}'",
               'less': f"echo '{'[' * 30 + ']' * 30}'",
               'long': r"head -c 32767 /dev/zero | tr '\000' x; printf 'ü'"}
    results = {'nul': {'text': 'a?b\n'}, 'latin': {'text': 'gr?n'},
               'escaped': {'text': '"a\\u0000b"\n'},
               'deep': {'text': '[' * 31 + ']' * 31 + '\n'},
               'less': json.loads('[' * 30 + ']' * 30),
               'long': {'text': 'x' * 32767, 'truncated': True}}
    verbs = [w for name, text in outputs.items() for w in (
        '--command', f'x-{name}=' + script(scene, name, text + '\n'))]
    server = Server()
    a = Agent(scene, server.url, *verbs)
    peer = server.accept()
    peer.hello()
    for name, result in results.items():
        command(peer, name, 'x-' + name)
        equal(outcome(peer), {'command_id': name, 'outcome': 'ok',
                              'result': result}, name)
    a.stop()


def test_deep_inventory(scene):
    """an inventory that the server could not even answer is not sent"""
    with open(scene.path('inventory'), 'w') as f:
        f.write('{"a":' + '[' * 30 + ']' * 30 + '}')
    server = Server()
    a = Agent(scene, server.url, '--inventory', scene.path('inventory'))
    peer = server.accept()
    peer.hello()
    a.says('the inventory could not be sent: Invalid')
    with open(scene.path('inventory'), 'w') as f:
        f.write('{"a":' + '[' * 29 + ']' * 29 + '}')
    peer.end(1001)
    peer = server.accept()
    peer.hello()
    peer.expect('inventory')
    a.stop()


def test_unreadable_outcome(scene):
    """what the journal cannot give back is told as an error, and holds
    up none"""
    os.mkdir(scene.path('agent'), 0o700)
    with open(scene.path('agent', 'commands.journal'), 'wb') as f:
        f.write(kept('R n1',
                     r'O n1 {"outcome":"ok","result":{"text":"a\u0000"}}',
                     'R n2', 'O n2 {"outcome":"ok"}'))
    server = Server()
    a = Agent(scene, server.url)
    peer = server.accept()
    peer.hello()
    equal([outcome(peer) for _ in range(2)], [
        {'command_id': 'n1', 'outcome': 'error',
         'message': 'what came of it cannot be read back'},
        {'command_id': 'n2', 'outcome': 'ok'}], 'outcomes')
    a.stop()


def test_interrupted(scene):
    """kill -9 in the middle: interrupted, and not done again"""
    runs = scene.path('runs')
    path = script(scene, 'slow', f'echo $$ >>{runs}\nexec sleep 1000\n')
    server = Server()
    a = Agent(scene, server.url, '--command', 'x-slow=' + path)
    peer = server.accept()
    peer.hello()
    command(peer, 'c1', 'x-slow')
    command(peer, 'c2', 'x-slow')
    wait_until('it runs', lambda: os.path.exists(runs) and
               os.path.getsize(runs))
    a.kill()
    with open(runs) as f:
        pids = f.read().split()
    os.kill(int(pids[0]), signal.SIGKILL)   # nobody's child any more
    a.start()
    peer = server.accept()
    peer.hello()
    got = [outcome(peer), outcome(peer)]
    equal([(o['command_id'], o['outcome']) for o in got],
          [('c1', 'interrupted'), ('c2', 'interrupted')], 'outcomes')
    equal(command(peer, 'c1', 'x-slow', again=True)['result'], {}, 'again')
    a.stop()
    with open(runs) as f:
        equal(len(f.read().split()), 1, 'runs')


def test_cancel(scene):
    """cancel ends the whole process group; a waiting command never begins"""
    pid = scene.path('pid')
    path = script(scene, 'slow', f'sleep 1000 & echo $! >{pid}.n\n'
                  f'mv {pid}.n {pid}\nwait\n')
    server = Server()
    a = Agent(scene, server.url, '--command', 'x-slow=' + path)
    peer = server.accept()
    peer.hello()
    command(peer, 'c1', 'x-slow')
    command(peer, 'c2', 'x-slow')
    wait_until('it runs', lambda: os.path.exists(pid))
    with open(pid) as f:
        grandchild = int(f.read())
    peer.send_json({'jsonrpc': '2.0', 'id': 'a', 'method': 'cancel',
                    'params': {'command_id': 'c2'}})
    equal(outcome(peer), {'command_id': 'c2', 'outcome': 'cancelled'}, 'c2')
    peer.send_json({'jsonrpc': '2.0', 'id': 'b', 'method': 'cancel',
                    'params': {'command_id': 'c1'}})
    equal(outcome(peer), {'command_id': 'c1', 'outcome': 'cancelled'}, 'c1')

    def gone():
        try:
            with open(f'/proc/{grandchild}/stat') as f:
                return f.read().rsplit(')', 1)[1].split()[0] == 'Z'
        except FileNotFoundError:
            return True
    wait_until('the grandchild is gone', gone)
    a.stop()


def test_deadline(scene):
    """what does not end before its deadline is ended"""
    path = script(scene, 'slow', 'exec sleep 1000\n')
    server = Server()
    a = Agent(scene, server.url, '--command', 'x-slow=' + path)
    peer = server.accept()
    peer.hello()
    command(peer, 'c1', 'x-slow', deadline=100)
    got = outcome(peer)
    equal(got['outcome'], 'error', 'outcome')
    check('deadline' in got['message'], got['message'])
    a.stop()


def test_too_late(scene):
    """what is over is not begun, and told as cancelled"""
    runs = scene.path('runs')
    path = script(scene, 'do', f'echo "$CLEAT_COMMAND_ID" >>{runs}\n'
                  'sleep 0.5\n')
    server = Server()
    a = Agent(scene, server.url, '--command', 'x-do=' + path)
    peer = server.accept()
    peer.hello()
    for name, left in (('none', 0), ('less', -5)):
        equal(command(peer, name, 'x-do', deadline=left)['result'], {}, name)
        equal(outcome(peer), {'command_id': name, 'outcome': 'cancelled',
                              'message': 'the deadline has passed'}, name)
    equal(command(peer, 'odd', 'x-do', deadline='1')['error']['code'], -32602)
    command(peer, 'first', 'x-do')
    command(peer, 'waits', 'x-do', deadline=100)
    got = [outcome(peer), outcome(peer)]
    equal([(o['command_id'], o['outcome']) for o in got],
          [('first', 'ok'), ('waits', 'cancelled')], 'outcomes')
    a.stop()
    with open(runs) as f:
        equal(f.read().split(), ['first'], 'runs')


def test_no_room(scene):
    """more commands than it has room for are asked to come later"""
    path = script(scene, 'slow', 'exec sleep 1000\n')
    server = Server()
    a = Agent(scene, server.url, '--command', 'x-slow=' + path,
              '--log-level', 'warning')
    peer = server.accept()
    peer.hello()
    for n in range(1024):
        equal(command(peer, f'c{n}', 'x-slow')['result'], {}, f'c{n}')
    equal(command(peer, 'more', 'x-slow')['error']['code'], -32002, 'more')
    peer.send_json({'jsonrpc': '2.0', 'id': 'a', 'method': 'cancel',
                    'params': {'command_id': 'c5'}})
    equal(outcome(peer), {'command_id': 'c5', 'outcome': 'cancelled'}, 'c5')
    equal(command(peer, 'more', 'x-slow')['result'], {}, 'with room')
    a.stop()


def test_power(scene):
    """reboot: the outcome is told first, then the state, then it is done"""
    done = scene.path('done')
    path = script(scene, 'reboot', f'touch {done}\n')
    server = Server()
    a = Agent(scene, server.url, '--command', 'reboot=' + path)
    peer = server.accept()
    peer.hello()
    command(peer, 'c1', 'reboot')
    m = peer.expect('outcome')
    check(not os.path.exists(done), 'not before the outcome is durable')
    peer.result(m, {'final': 'ok'})
    m = peer.expect('state')
    equal(m['params'], {'power': 'rebooting'}, 'state')
    wait_until('done', lambda: os.path.exists(done))
    a.stop()


def test_power_fails(scene):
    """a reboot that fails is taken back: the device is on, and says why"""
    bad = script(scene, 'bad', 'exit 3\n')
    server = Server()
    a = Agent(scene, server.url, '--command', 'reboot=' + bad, '--command',
              'power-off=' + scene.path('none'))
    peer = server.accept()
    peer.hello()
    for name, verb, power, why in (
            ('c1', 'reboot', 'rebooting', 'exit status 3'),
            ('c2', 'power-off', 'shutting-down', 'cannot be started')):
        command(peer, name, verb)
        equal(outcome(peer), {'command_id': name, 'outcome': 'ok'}, name)
        for wanted in (power, 'on'):
            m = peer.expect('state')
            equal(m['params'], {'power': wanted}, 'state')
            peer.result(m, {})
        a.says(f'id={name}: {verb} failed: .*{why}')
    a.stop()


def test_wake(scene):
    """a neighbour is woken by a MAC in each form that the server takes"""
    ear = socket.socket(type=socket.SOCK_DGRAM)
    ear.settimeout(harness.PATIENCE)
    try:
        ear.bind(('127.0.0.109', 9))
    except PermissionError as e:
        raise harness.Skip('only root may listen on port 9') from e
    server = Server()
    a = Agent(scene, server.url, '--wake')
    peer = server.accept()
    peer.hello()
    mac = bytes.fromhex('02005e10aabb')
    for n, text in enumerate(('02:00:5e:10:aa:bb', '02-00-5E-10-AA-BB',
                              '02005e10aabb')):
        command(peer, f'c{n}', 'wake', {'mac': text,
                                        'address': '127.0.0.109'})
        equal(outcome(peer)['outcome'], 'ok', text)
        equal(ear.recv(200), b'\xff' * 6 + mac * 16, text)
    command(peer, 'bad', 'wake', {'mac': '02:00:5e:10:aa'})
    equal(outcome(peer)['outcome'], 'error', 'no MAC')
    a.stop()


# ---- telemetry --------------------------------------------------------------

def test_telemetry(scene):
    """telemetry outlives kill -9, keeps its numbers, and ends when stored"""
    server = Server()
    a = Agent(scene, server.url, '--telemetry', scene.path('fifo'))
    peer = server.accept()          # not answered: offline
    feed(scene, '{"t":1}', '[1,2]', 'nonsense')
    a.says('is not a JSON array or object')
    a.kill()
    a.start()
    server.accept()
    a.kill()
    a.start()
    peer = server.accept()
    peer.hello(telemetry_seq=40)
    one, two = peer.expect('telemetry'), peer.expect('telemetry')
    equal((one['params'], two['params']), (
        {'seq': 41, 'data': [{'t': 1}]}, {'seq': 42, 'data': [1, 2]}), 'data')
    peer.result(one, {'stored': 41})
    feed(scene, '{"t":3}')
    equal(peer.expect('telemetry')['params']['seq'], 43, 'next')
    peer.end(1001)
    peer = server.accept()
    peer.hello(telemetry_seq=42)
    last = peer.expect('telemetry')
    equal(last['params'], {'seq': 43, 'data': [{'t': 3}]}, 'what is left')
    peer.result(last, {'stored': 43})
    a.stop()


def test_telemetry_refused(scene):
    """what the server refuses for good is dropped, told once, not repeated"""
    server = Server()
    a = Agent(scene, server.url, '--telemetry', scene.path('fifo'))
    peer = server.accept()
    peer.hello()
    feed(scene, '{"t":1}', '{"t":2}', '{"t":3}')
    one, two, three = [peer.expect('telemetry') for _ in range(3)]
    peer.error(two, -32602)             # before the first is durable
    peer.result(one, {'stored': 1})
    peer.result(three, {'stored': 3})
    a.says('telemetry seq=2 is dropped.*-32602.*refused=1')
    feed(scene, '{"t":4}')
    four = peer.expect('telemetry')
    equal(four['params']['seq'], 4, 'only what is new')
    peer.error(four, -32602)            # and nothing behind it
    a.says('telemetry seq=4 is dropped.*refused=2')
    a.kill()
    a.start()
    peer = server.accept()
    peer.hello(telemetry_seq=3)
    feed(scene, '{"t":5}')
    five = peer.expect('telemetry')
    equal(five['params']['data'], [{'t': 5}], 'not the refused one')
    peer.result(five, {'stored': five['params']['seq']})
    feed(scene, '[' * 31 + ']' * 31, '["\\u0000"]')
    a.says('a line of telemetry is not')
    a.says('a line of telemetry is not')
    a.stop()
    equal(sum('is dropped' in line for line in a.log), 2, 'lines')


def test_telemetry_later(scene):
    """what is refused for now comes again first, with the same number"""
    server = Server()
    a = Agent(scene, server.url, '--telemetry', scene.path('fifo'))
    peer = server.accept()
    peer.hello()
    feed(scene, '{"t":1}', '{"t":2}', '{"t":3}')
    one, two, three = [peer.expect('telemetry') for _ in range(3)]
    peer.result(one, {'stored': 1})
    peer.error(two, -32002)
    peer.error(three, -32002)
    two, three = peer.expect('telemetry'), peer.expect('telemetry')
    equal([two['params'], three['params']],
          [{'seq': 2, 'data': [{'t': 2}]}, {'seq': 3, 'data': [{'t': 3}]}],
          'what comes again')
    peer.result(two, {'stored': 2})
    peer.error(three, -32002)
    peer.end(1001)
    peer = server.accept()
    peer.hello(telemetry_seq=2)
    last = peer.expect('telemetry')
    equal(last['params'], {'seq': 3, 'data': [{'t': 3}]}, 'the third')
    peer.result(last, {'stored': 3})
    check(not any('is dropped' in line for line in a.log), 'dropped')
    a.stop()


def test_telemetry_unknown(scene):
    """a server that knows no telemetry is not asked again, nothing
    is dropped"""
    server = Server()
    a = Agent(scene, server.url, '--telemetry', scene.path('fifo'))
    peer = server.accept()
    peer.hello()
    feed(scene, '{"t":1}')
    peer.error(peer.expect('telemetry'), -32601)
    a.says('telemetry seq=1 is not taken now: -32601')
    feed(scene, '{"t":2}', 'nonsense')
    a.says('is not a JSON array')       # and what came before is taken
    peer.send_json({'jsonrpc': '2.0', 'id': 'x', 'method': 'cancel',
                    'params': {'command_id': 'none'}})
    equal(peer.get().get('id'), 'x', 'the next that it says')
    peer.end(1001)
    peer = server.accept()
    peer.hello()
    equal([peer.expect('telemetry')['params']['data'] for _ in range(2)],
          [[{'t': 1}], [{'t': 2}]], 'on the next channel')
    a.kill()


# ---- servers and proxies ----------------------------------------------------

def test_failover(scene):
    """the next server when the first is away; what hello names is kept"""
    first, second = Server(), Server()
    first.sock.close()
    a = Agent(scene, first.url + ',' + second.url)
    third = Server()
    peer = second.accept()
    peer.hello(servers=[third.url])
    a.says('online')
    peer.end(1001)
    peer = third.accept()
    peer.hello()
    a.says('online')
    a.kill()
    a.start()
    peer = third.accept()
    peer.hello()
    a.says('online')
    peer.notify('drain', {'window_ms': 50, 'servers': [second.url],
                          'why': 'moved'})
    bye = peer.expect('bye')
    equal(bye['params'], {'reason': 'drain'}, 'bye')
    peer.sock.close()
    peer = second.accept()
    peer.hello()
    a.says('online')
    a.kill()
    a.start()                       # the latest list is kept, too
    second.accept().hello()
    a.says('online')
    a.stop()


HOSTS = ('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c',
         'mount --bind "$0" /etc/hosts || exit\nexec "$@"')


def test_second_address(scene):
    """an address that swallows everything: the server's next one is tried"""
    server = Server()
    hole = socket.socket()
    hole.bind(('127.0.0.2', server.port))
    hole.listen(0)
    full = []                           # its queue, so that it answers nobody
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(('127.0.0.2', server.port))
        full.append(s)
    hosts = scene.path('hosts')
    with open(hosts, 'w') as f:
        f.write('127.0.0.2 twohost\n127.0.0.1 twohost\n')
    a = Agent(scene, f'ws://twohost:{server.port}')
    a.kill()
    a.args = [*HOSTS, hosts, *a.args]
    a.start()
    try:
        peer = server.accept()
    except TimeoutError:
        need_mounts(a.log)
        raise
    peer.hello()
    a.says('online')
    a.stop()


def test_kept_plain(scene):
    """a kept list without TLS is dropped by who was given wss://, aloud"""
    server = Server()
    os.mkdir(scene.path('agent'), 0o700)
    with open(scene.path('agent', 'servers'), 'w') as f:
        f.write(server.url)
    other = Server()
    a = Agent(scene, f'wss://127.0.0.1:{other.port}')
    a.says('servers is dropped')
    sock, _ = other.sock.accept()
    equal(sock.recv(1), b'\x16', 'TLS')
    check(not os.path.exists(scene.path('agent', 'servers')), 'it is there')
    a.stop()


def test_close_codes(scene):
    """when it comes again is what the server's hint and close code say"""
    server = Server()
    a = Agent(scene, server.url)
    hint = {'min_ms': 200, 'max_ms': 600}

    def wait_after(code):
        peer = server.accept()
        peer.hello(retry=hint)
        a.says('online')
        peer.end(code)
        line = a.says(f'closed by the server: {code}')
        return float(re.search(r'next attempt in ([0-9.]+) s', line).group(1))
    for code in (1012, 1013, 4008):     # somewhere within the hint
        for _ in range(3):
            before = time.monotonic()
            wait = wait_after(code)
            check(0.2 <= wait <= 0.6, f'{code}: {wait}')
            a.says('connecting')
            spent = time.monotonic() - before
            check(spent >= wait, f'{code}: {spent} of {wait}')
    for code in (1001, 1011, 4006):     # full jitter, from 0 on
        check(wait_after(code) <= 0.6, str(code))
    for code in (4001, 4004, 4005):     # nothing will have changed soon
        check(0.6 <= wait_after(code) <= 0.75, str(code))
    wait = wait_after(4003)             # or two devices would fight for ever
    check(60 <= wait <= 61, f'4003: {wait}')
    a.kill()


def test_proxy(scene):
    """HTTP CONNECT with basic and digest; secrets are not in the log"""
    for how in ('basic', 'digest'):
        server, proxy = Server(), Proxy(how)
        a = Agent(scene, server.url, '--log-level', 'debug', env={
            'https_proxy': f'http://me:s%22cret@127.0.0.1:{proxy.port}'})
        server.accept().hello()
        a.says('online')
        check('Authorization' not in proxy.heads[0], 'credentials unasked')
        check(all('Authorization' in head for head in proxy.heads[1:]) and
              len(proxy.heads) > 1, 'what it was asked for is kept')
        a.stop()
        check(not any('cret' in line for line in a.log), 'secret in the log')


def test_proxy_errors(scene):
    """what the proxy says is told apart from what the server says"""
    server = Server()
    basic, closed = Proxy('basic'), Proxy('closed')
    for proxy, args, text in (
            (basic, (), 'proxy 127.0.0.1 wants authentication: no user'),
            (basic, ('--proxy-user', 'me'), 'refuses user and password'),
            (basic, ('--proxy-user', 'me', '--proxy-auth', 'digest'),
             'not known or not allowed'),
            (closed, (), 'proxy 127.0.0.1 answered 503 Gone fishing')):
        a = Agent(scene, server.url, '--proxy',
                  f'http://127.0.0.1:{proxy.port}', *args)
        a.says(text)
        a.stop()
    a = Agent(scene, server.url, env={
        'https_proxy': f'http://127.0.0.1:{closed.port}',
        'no_proxy': 'example.org,127.0.0.1'})
    server.accept().hello()
    a.says('online')
    a.stop()


# ---- the real daemon --------------------------------------------------------

def test_pins(scene):
    """pins: server's key, authority, backup; a mismatch says what it saw"""
    d = scene.daemon().start()
    token = scene.path('real-token')
    with open(token, 'w') as f:
        f.write(d.token('dev-1') + '\n')
    check(d.reload(), 'reload')
    crt, _ = scene.server_cert()
    mine, ca = spki(crt), spki(scene.pki.ca)
    other = 'sha256/' + base64.b64encode(b'x' * 32).decode()
    trust = ('--ca', scene.pki.ca)
    for args, text in (
            ((*trust, '--pins', f'{other} {mine}'), 'online'),
            ((*trust, '--pins', f'{other},ca:{ca}'), 'online'),
            (('--no-verify-chain', '--pins', f'{mine} {other}'), 'online'),
            (('--no-verify-chain', '--pins', f'ca:{mine} {other}'),
             re.escape(f'seen {mine}, expected ca:{mine} or {other}')),
            ((*trust, '--pins', f'{other} ca:{mine}'),
             re.escape(f'seen {mine}, expected {other} or ca:{mine}')),
            ((*trust, '--pins', other), 'no backup pin'),
            (('--no-verify-chain',), 'WEAKENED.*anybody'),
            (('--no-verify-chain', '--no-verify-host'), 'WEAKENED.*name'),
            (('--allow-self-signed',), 'unknown issuer')):
        a = Agent(scene, d.url(), '--token-file', token, *args, token=False)
        a.says(text)
        a.stop()


def test_self_signed(scene):
    """a certificate signed by itself passes by its switch alone,
    name checked"""
    d = scene.daemon(conf={'listener.two': {
        'address': '127.0.0.2:0'}, 'plugin.cert': {
        'chain': None, 'key': None, 'self_signed': 'yes',
        'self_signed_names': None}}).start()
    token = scene.path('real-token')
    with open(token, 'w') as f:
        f.write(d.token('dev-1') + '\n')
    check(d.reload(), 'reload')
    for url, args, text in (
            (d.url(), ('--allow-self-signed',), 'online'),
            (d.url(), ('--ca', scene.pki.ca), 'unknown issuer'),
            ('wss://127.0.0.2:%d' % d.address('two')[1],
             ('--allow-self-signed',), 'for another name')):
        a = Agent(scene, url, '--token-file', token, *args, token=False)
        a.says(text)
        a.stop()


def test_enrol_for_real(scene):
    """enrolled with the real daemon, the key makes the channel wss-safe"""
    d = scene.daemon(conf={'auth': {'enrol': 'open'}}).start()
    args = ('--enrol', '--ca', scene.pki.ca)
    a = Agent(scene, d.url(), *args, token=False)
    a.says('enrolled as dev-1')
    a.says('online: channel 1, security wss-safe')
    a.kill()
    a.start()
    a.says('online: channel 2, security wss-safe')
    a.stop()


def test_forgotten_for_real(scene):
    """forgotten by the real daemon it enrols again; revoked it stays out"""
    d = scene.daemon(conf={'auth': {'enrol': 'open'},
                           'presence': {'retry_min': '50ms',
                                        'retry_max': '200ms'}}).start()
    c = Control(d)
    a = Agent(scene, d.url(), '--enrol', '--ca', scene.pki.ca, token=False)
    a.says('online: channel 1, security wss-safe')
    before = c.get('/v1/endpoints/dev-1/credentials')['credentials'][0]
    c.delete('/v1/endpoints/dev-1')
    a.says('does not take the key .* enrol')
    a.says('enrolled as dev-1')
    a.says('online: .*security wss-safe')
    after = c.get('/v1/endpoints/dev-1/credentials')['credentials'][0]
    equal(after['fingerprint'], before['fingerprint'])
    check(after['number'] > before['number'], 'a number came twice')
    events = d.bus()
    c.delete(f'/v1/credentials/{after["number"]}')
    for _ in range(4):
        events.expect('auth.failed', 'dev-1')
    check(not events.find('endpoint.online', 'dev-1'), 'came back')
    a.stop()
    c.close()


if __name__ == '__main__':
    harness.main()
