#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""cleat-agent and the real daemon, given orders through the control socket:
whoever is killed, no command is done twice, each has one outcome, and telemetry
arrives once; a full disk, drain, two servers, proxies, pins and weakenings."""
import os
import random
import re
import sys
import time

sys.path.insert(0, os.path.join(os.environ.get('CLEAT_SRCDIR', '.'),
                                'tests', 'lib'))
import harness  # noqa: E402
from agents import (Agent, Proxy, feed, need_mounts,  # noqa: E402
                    script, spki)
from control import Control  # noqa: E402
from harness import check, equal, wait_until  # noqa: E402


def start(scene, name='d', like=None, **conf):
    """A daemon that has the same port whenever it is started; it knows whom
    `like` knows."""
    d = scene.daemon(name, conf={'presence': {
        'retry_min': '20ms', 'retry_max': '100ms'}, **conf})
    d.tokens = dict(like.tokens) if like else {}
    d.token('dev-1')
    d.write_tokens()
    d.start()
    d.configure({'listener.main': {
        'address': '127.0.0.1:%d' % d.address('main')[1]}})
    return d


def agent(scene, d, *args, url=None, **kw):
    token = scene.path('real-token')
    with open(token, 'w') as f:
        f.write(d.token('dev-1') + '\n')
    return Agent(scene, url or d.url(), '--token-file', token, '--ca',
                 scene.pki.ca, *args, token=False, **kw)


def give(d, command, verb='x-do', args=None, deadline=600000):
    return Control(d).post('/v1/commands', {
        'endpoint': 'dev-1', 'id': command, 'verb': verb,
        'args': args or {}, 'deadline_ms': deadline})


def commands(d):
    return {c['id']: c for c in Control(d).pages('/v1/commands', 'commands')}


def outcome(d, command):
    """Waits for it."""
    def final():
        c = Control(d).get('/v1/commands/' + command)
        return c if c['final'] else None
    return wait_until('the outcome of ' + command, final)


def state(d):
    """Of the device; None: never seen."""
    for e in Control(d).pages('/v1/endpoints', 'endpoints'):
        if e['id'] == 'dev-1':
            return e['state']
    return None


def kill_some(rng, d, a):
    """The agent, the daemon or both, in this order or the other."""
    first = a if rng.random() < 0.5 else d
    second = d if first is a else a
    both = rng.random() < 0.3
    first.kill()
    if both:
        second.kill()
        second.start()
    first.start()


# ---- commands ---------------------------------------------------------------

def test_kill_while_commands_flow(scene):
    """kill -9 of both sides at random: none twice, each with one outcome"""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    runs = scene.path('runs')
    path = script(scene, 'do', 'read -r line\n'
                  f'echo "begin $CLEAT_COMMAND_ID" >>{runs}\nsleep 0.02\n'
                  f'echo "end $CLEAT_COMMAND_ID" >>{runs}\n'
                  'printf %s "$line"\n')
    d = start(scene)
    a = agent(scene, d, '--command', 'x-do=' + path)
    a.says('online')
    seen = {}

    def look():
        now = commands(d)
        for c in now.values():
            if c['final']:
                equal(c['state'], seen.setdefault(c['id'], c['state']),
                      f'{c["id"]} (seed {seed})')
        return now
    for turn in range(10):
        for n in range(4):
            give(d, f'c{turn}-{n}', args={'n': n})
        time.sleep(rng.random() * 0.3)      # the random moment
        look()
        kill_some(rng, d, a)
    wait_until('all outcomes', lambda: all(
        c['final'] for c in look().values()))
    with open(runs) as f:
        lines = f.read().splitlines()
    now = look()
    equal(len(now), 40, 'commands')
    for c in now.values():
        begun = lines.count('begin ' + c['id'])
        ended = lines.count('end ' + c['id'])
        what = f'{c["id"]} {c["state"]} {begun} {ended} (seed {seed})'
        check(begun <= 1, what + ': twice')
        if c['state'] == 'ok':
            equal((begun, ended), (1, 1), what)
            equal(c['result'], c['args'], what)
        else:
            equal(c['state'], 'interrupted', what)
    check('ok' in seen.values(), f'none was done (seed {seed})')
    a.says('online')                    # also after its last start
    a.stop()


def test_many(scene):
    """a hundred commands for a device that is offline: all are done,
    in order"""
    runs = scene.path('runs')
    path = script(scene, 'do', f'echo $CLEAT_COMMAND_ID >>{runs}\n')
    d = start(scene, commands={'queue': '200'})
    names = [f'c{n}' for n in range(150)]
    c = Control(d)
    c.post('/v1/endpoints', {'id': 'dev-1'})
    for name in names:
        give(d, name)
    a = agent(scene, d, '--command', 'x-do=' + path)
    a.says('online')
    wait_until('all outcomes', lambda: all(
        c['final'] for c in commands(d).values()))
    equal({c['state'] for c in commands(d).values()}, {'ok'}, 'outcomes')
    with open(runs) as f:
        equal(f.read().split(), names, 'runs')
    a.stop()


def test_cancel_what_never_came(scene):
    """cancelled before the device had it: that is the outcome, with
    any device"""
    d = start(scene)
    Control(d).post('/v1/endpoints', {'id': 'dev-1'})
    for name, drop in (('c1', False), ('c2', True)):
        give(d, name)
        d.kill()                        # it may have been sent
        d.start()
        equal(Control(d).post(f'/v1/commands/{name}/cancel')['state'],
              'queued', name)
        a = agent(scene, d, '--command', 'x-do=/bin/true')
        if drop:                        # one without a place for its record
            a.kill()
            at = a.args.index('--state-dir')
            del a.args[at:at + 2]
            a.start()
        equal(outcome(d, name)['state'], 'cancelled', name)
        a.stop()


def test_no_shell(scene):
    """arguments reach the executable as JSON, and no shell ever"""
    path = script(scene, 'do', 'printf \'{"argc":%d,"in":\' $#; cat; '
                  'printf "}"\n')
    trap = scene.path('trap')
    args = {'text': f'$(touch {trap}); `touch {trap}` | touch {trap}\n'
            f"' \" \\ é", f'; touch {trap}': [None, True, 1.5]}
    d = start(scene)
    a = agent(scene, d, '--command', 'x-do=' + path)
    a.says('online')
    give(d, 'c1', args=args)
    c = outcome(d, 'c1')
    equal((c['state'], c['result']), ('ok', {'argc': 0, 'in': args}), str(c))
    check(not os.path.exists(trap), 'a shell has seen it')
    a.stop()


def test_none_by_default(scene):
    """without executables, and without a place for its record, it
    does nothing"""
    d = start(scene)
    a = agent(scene, d)
    a.says('online')
    for n, (verb, args) in enumerate({
            'message': {'text': 'x'}, 'reboot': {}, 'power-off': {},
            'update': {'url': 'https://x.example/', 'sha256': 'ab' * 32,
                       'version': '1'},
            'get-log': {}, 'x-do': {}}.items()):
        give(d, f'c{n}', verb, args)
        c = outcome(d, f'c{n}')
        equal(c['state'], 'error', verb)
        check('-32601' in c['message'], f'{verb}: {c["message"]}')
    a.stop()
    at = a.args.index('--state-dir')
    a.args[at:at + 2] = ['--command', 'x-do=/bin/true']
    a.start()
    give(d, 'homeless')
    c = outcome(d, 'homeless')
    equal(c['state'], 'error', 'without a state dir')
    check('-32601' in c['message'], c['message'])
    a.stop()


# ---- telemetry --------------------------------------------------------------

def entries(d):
    c, after, all_of = Control(d), 0, []
    while True:
        page = c.get('/v1/telemetry', after=after)
        all_of += page['telemetry']
        check(not page['missed'], 'entries were cut off')
        if not page['telemetry']:
            return all_of
        after = page['next']


def kept(scene, numbers):
    """Waits until the agent has them on its disk."""
    path = scene.path('agent', 'telemetry.queue')

    def there():
        with open(path) as f:
            text = f.read()
        return all(f'{{"n":{n}}}' in text for n in numbers)
    wait_until('it is on disk', there)


def arrived(d, n, why=''):
    """All of 0 to n - 1 have come, once, in this order, with rising numbers."""
    wait_until('all telemetry', lambda: len(entries(d)) >= n)
    got = entries(d)
    equal([e['data'] for e in got], [[{'n': i}] for i in range(n)], why)
    seqs = [e['seq'] for e in got]
    check(all(x < y for x, y in zip(seqs, seqs[1:])), f'{seqs} {why}')


def test_offline_telemetry(scene):
    """stored while offline, delivered once, whoever is killed in between"""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    d = start(scene)
    a = agent(scene, d, '--telemetry', scene.path('fifo'))
    a.says('online')
    total = 0
    for _ in range(6):
        d.kill()
        more = range(total, total + rng.randrange(1, 60))
        feed(scene, *(f'{{"n":{n}}}' for n in more))
        kept(scene, more)
        total += len(more)
        if rng.random() < 0.5:
            a.kill()
            a.start()
        d.start()
        time.sleep(rng.random() * 0.2)      # the random moment
        kill_some(rng, d, a)
    arrived(d, total, f'seed {seed}')
    a.says('online')
    a.stop()


SMALL = ('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c',
         'mount -t tmpfs -o size=$0k,nr_inodes=64,mode=700 none "$1" || exit\n'
         'shift; exec "$@"')


def on_small_disk(kib, directory, args):
    """The command, with a file system of its own in that directory; others see
    it below /proc/PID/root."""
    os.makedirs(directory, exist_ok=True)
    return [*SMALL, str(kib), directory, *args]


def fill(path):
    with open(path, 'wb', buffering=0) as f:
        size = 4096
        while size:
            try:
                f.write(b'x' * size)
            except OSError:
                size //= 2


def test_disk_full(scene):
    """the agent's disk is full: said, nothing half done, well again after it"""
    path = script(scene, 'do', 'echo 1\n')
    d = start(scene)
    a = agent(scene, d, '--command', 'x-do=' + path, '--telemetry',
              scene.path('fifo'))
    a.says('online')
    a.stop()
    a.args = on_small_disk(256, scene.path('agent'), a.args)
    a.start()
    try:
        a.says('online')
    except harness.Failure:
        need_mounts(a.log)
        raise
    disk = f'/proc/{a.process.pid}/root' + scene.path('agent')
    fill(disk + '/filler')
    feed(scene, *('{"lost":"%s"}' % ('x' * 4096) for n in range(3)))
    a.says('telemetry is lost: No space left')
    for n in range(100):                # until no line has room any more
        give(d, f'f{n}')
        c = outcome(d, f'f{n}')
        if c['state'] != 'ok':
            break
    equal(c['state'], 'error', 'not recorded')
    a.says(f'command id=f{n} is not taken: No space left')
    equal(state(d), 'online', 'it stays connected')
    os.unlink(disk + '/filler')
    give(d, 'well')
    equal(outcome(d, 'well')['state'], 'ok', 'with room again')
    before = len(entries(d))
    feed(scene, '{"n":0}')
    wait_until('telemetry', lambda: len(entries(d)) > before)
    equal(entries(d)[-1]['data'], [{'n': 0}], 'data')
    a.stop()


def test_daemon_disk_full(scene):
    """the daemon's disk is full: telemetry waits at the agent, and
    arrives once"""
    d = scene.daemon(conf={'presence': {'retry_min': '20ms',
                                        'retry_max': '100ms'}})
    d.token('dev-1')
    command = d.command
    d.command = lambda *args: on_small_disk(2048, d.state, command(*args))
    try:
        d.start()
    except harness.Failure:
        need_mounts(d.log)
        raise
    disk = f'/proc/{d.process.pid}/root' + d.state
    a = agent(scene, d, '--telemetry', scene.path('fifo'))
    a.says('online')
    feed(scene, '{"n":0}')
    wait_until('it works', lambda: len(entries(d)) == 1)
    fill(disk + '/filler')
    size = 50
    text = 'x' * 3000
    feed(scene, *('{"n":%d,"t":"%s"}' % (n, text) for n in range(1, size)))
    a.says('is not taken now: -32002')
    os.unlink(disk + '/filler')
    wait_until('all of it', lambda: len(entries(d)) >= size)
    feed(scene, '{"n":%d}' % size)
    wait_until('and one more', lambda: len(entries(d)) > size)
    equal([e['data'][0]['n'] for e in entries(d)], list(range(size + 1)),
          'in the order it was measured')
    check(not any('is dropped' in line or 'is lost' in line
                  for line in a.log), 'something was given up')
    a.stop()


# ---- where to and when ------------------------------------------------------

def test_drain(scene):
    """a drain by the operator: a goodbye, and another server until told else"""
    d = start(scene)
    other = start(scene, 'other', like=d)
    a = agent(scene, d)
    a.says('online')
    equal(Control(d).post('/v1/drain', {
        'window_ms': 50, 'servers': [other.url()], 'why': 'moved'}),
        {'channels': 1}, 'drain')
    wait_until('it is there', lambda: state(other) == 'online')
    equal(state(d), 'offline', 'it went on purpose')
    other.kill()
    wait_until('it came back', lambda: state(d) == 'online')
    a.stop()


def test_failover(scene):
    """two servers: whichever is killed, the other one has it"""
    d = start(scene)
    other = start(scene, 'other', like=d)
    a = agent(scene, d, url=d.url() + ',' + other.url())
    a.says('online')
    d.kill()
    wait_until('it is at the other', lambda: state(other) == 'online')
    d.start()
    other.kill()
    wait_until('it is at the first', lambda: state(d) == 'online')
    a.stop()


def test_proxies(scene):
    """through proxies without, with basic and with digest credentials"""
    d = start(scene)
    for how, name in (('open', 'https_proxy'), ('basic', 'HTTPS_PROXY'),
                      ('digest', 'all_proxy'), ('basic', 'ALL_PROXY')):
        proxy = Proxy(how)
        user = '' if how == 'open' else 'me:s%22cret@'
        a = agent(scene, d, env={
            name: f'http://{user}127.0.0.1:{proxy.port}'})
        a.says('online: channel .* security wss')
        check(proxy.heads, 'past the proxy')
        equal(any('Authorization' in h for h in proxy.heads), how != 'open',
              how)
        a.stop()
        check(not any('cret' in line for line in a.log), 'secret in the log')
    proxy = Proxy('open')
    for name in ('no_proxy', 'NO_PROXY'):
        a = agent(scene, d, env={
            'https_proxy': f'http://127.0.0.1:{proxy.port}',
            name: 'x.example, localhost'})
        a.says('online')
        a.stop()
        equal(proxy.heads, [], name)


# ---- what the server has to prove -------------------------------------------

def test_backup_pin(scene):
    """the server changes to its backup key: devices that have its pin
    come back"""
    d = start(scene)
    crt, key = scene.server_cert()
    spare, spare_key = scene.pki.issue('spare', sans=harness.LOCAL_SANS)
    a = agent(scene, d, '--pins', f'{spki(crt)} {spki(spare)}')
    a.says('online')
    with open(spare, 'rb') as f, open(spare_key, 'rb') as g:
        new, new_key = f.read(), g.read()
    d.kill()
    with open(crt, 'wb') as f, open(key, 'wb') as g:
        f.write(new)
        g.write(new_key)
    d.start()
    a.says('online')
    a.stop()
    # A valid certificate for the name, from the same authority, is not enough.
    wrong = 'sha256/' + 'A' * 43 + '='
    a = agent(scene, d, '--pins', f'{wrong} ca:{wrong}')
    a.says(re.escape(f'seen {spki(crt)}, expected {wrong}'))
    equal(sum('online' in line for line in a.log), 0, 'times online')
    a.stop()


def test_weakenings(scene):
    """each weakening is said by a warning of its own, at every start"""
    d = start(scene)
    texts = {'--no-verify-chain': 'may come from anybody',
             '--no-verify-host': 'name is not verified',
             '--allow-self-signed': 'signed by itself'}
    for switches in ((), ('--no-verify-chain',), ('--no-verify-host',),
                     ('--allow-self-signed',), tuple(texts)):
        a = agent(scene, d, *switches)
        for _ in range(2):
            a.says('online')
            said = [line for line in a.log if 'WEAKENED' in line]
            equal(len(said), len(switches), str(said))
            for s in switches:
                check(any(' warning ' in line and texts[s] in line
                          for line in said), f'{s}: {said}')
            a.kill()
            a.log.clear()
            a.start()
        a.says('online')
        a.stop()


if __name__ == '__main__':
    harness.main()
