# SPDX-License-Identifier: Apache-2.0
"""The tools of the fault campaign (doc/faults.md): one call fails while a tool
runs, and it either does all and says what it always says, or it fails, says so,
and leaves nothing half done."""
import json
import os
import re
import shutil
import subprocess

from agents import Agent
from control import Control
from fault_kinds import FILE, NET
from faulty import CALLS
from harness import (BUILDDIR, Failure, LOCAL_SANS, PATIENCE, check, equal,
                     wait_until)

DEVICE = 'dev-1'


def shape(text):
    """How the lines begin, without what differs from run to run."""
    return {re.sub(r'[0-9a-f]{8,}|\d+', '#', line.split()[0])[:12]
            for line in text.splitlines() if line.strip()}


class Tool:
    """A program with arguments.  before() prepares each run; after(status) looks
    at what it left behind."""

    def __init__(self, rig, name, *args, statuses=(0,)):
        self.rig, self.name, self.args = rig, name, args
        self.statuses = statuses
        self.shape = None

    def before(self):
        pass

    def after(self, status):
        pass

    def run(self, env=None, stdout=subprocess.PIPE):
        clean = {k: v for k, v in os.environ.items()
                 if not k.lower().endswith('_proxy')}
        try:
            p = subprocess.run(
                [os.path.join(BUILDDIR, self.args[0]), *self.args[1:]],
                env=dict(clean, TZ='UTC', **(env or {})),
                stdin=subprocess.DEVNULL, stdout=stdout,
                stderr=subprocess.PIPE, text=True, errors='replace',
                timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failure('it does not end')
        said = (p.stdout or '') + p.stderr
        check(p.returncode >= 0 and 'Sanitizer' not in p.stderr and
              'runtime error' not in p.stderr, f'it broke, {p.returncode}:\n'
              + said)
        return p

    def learn(self):
        """How many calls there are, and what is said when all is well."""
        counted = {}
        for kinds in (0, FILE, NET):
            self.before()
            for call in CALLS:
                self.rig.faulty.watch(call, kinds=kinds)
            begin = {c: self.rig.faulty.count(c) for c in CALLS}
            p = self.run(self.rig.faulty.env)
            counted[kinds] = {c: self.rig.faulty.count(c) - begin[c]
                              for c in CALLS}
            for call in CALLS:
                self.rig.faulty.forget(call)
            check(p.returncode in self.statuses, f'{self.name}: '
                  f'{p.returncode}: {p.stdout}{p.stderr}')
            self.shape = shape(p.stdout)
        return counted

    def point(self, fault, n, how_many):
        if self.shape is None:
            self.learn()
        self.before()
        self.rig.faulty.watch(fault.call, fault.error, fault.kinds)
        self.rig.faulty.fail(n, how_many, fault.call)
        try:
            p = self.run(self.rig.faulty.env)
        finally:
            failed = self.rig.faulty.forget(fault.call)
        if not failed:
            return 0
        if p.returncode in self.statuses:
            check(self.is_whole(p), f'status {p.returncode}, and not all is '
                  f'said: {p.stdout}{p.stderr}')
        else:
            check((p.stderr + p.stdout).strip() != '',
                  f'status {p.returncode} without a word')
        self.after(p.returncode)
        return failed

    def is_whole(self, p):
        return self.shape <= shape(p.stdout) and \
            (p.stdout == '' or p.stdout.endswith('\n'))

    def full(self):
        """Its output cannot be written."""
        if self.shape is None:
            self.learn()
        self.before()
        if not self.shape:
            return
        with open('/dev/full', 'w') as f:
            p = self.run(stdout=f)
        check(p.returncode != 0, 'status 0 with an output that nobody has')


class Diagnosis(Tool):
    """Says line by line what is wrong: lines may say more than usual."""

    def is_whole(self, p):
        return p.stdout.strip() != ''


class Token(Tool):
    """Says something that is another each time."""

    def is_whole(self, p):
        return len(p.stdout) > 8 and p.stdout.count('\n') == 1


class Manager(Tool):
    """cleat-certmgr in a directory like any other at first."""

    def __init__(self, rig, name, *args, **kw):
        super().__init__(rig, name, 'cleat-certmgr', '--directory', rig.tls,
                         *args, **kw)

    def before(self):
        shutil.rmtree(self.rig.tls, ignore_errors=True)
        shutil.copytree(self.rig.template, self.rig.tls, symlinks=True)
        if self.name == 'ca-init':
            for name in os.listdir(self.rig.tls):
                if name.startswith('ca.'):
                    os.unlink(os.path.join(self.rig.tls, name))

    def after(self, status):
        """What is installed is whole, and it can be done again."""
        def manager(*args):
            return Tool(self.rig, '', 'cleat-certmgr', '--directory',
                        self.rig.tls, *args).run()
        p = manager('--check')
        equal(p.returncode, 0, f'after {status} --check says: {p.stdout}'
              f'{p.stderr}')
        shown = json.loads(manager('--show', '--json').stdout)
        check(shown['ok'], str(shown))
        if status not in self.statuses:
            p = self.run()
            check(p.returncode in (*self.statuses, 3) or
                  'is revoked already' in p.stderr, 'it cannot be done '
                  f'again: {p.returncode}: {p.stdout}{p.stderr}')


class Rig:
    def __init__(self, scene, faulty):
        self.scene, self.faulty = scene, faulty
        self.tls, self.template = scene.path('tls'), scene.path('template')
        self.d = scene.daemon('server', conf={
            'presence': {'retry_min': '20ms', 'retry_max': '100ms'},
            'limits': {'connections_per_address': '0'},
            'auth': {'failures_per_address': '1000000'}})
        self.d.token(DEVICE)
        self.d.start()
        control = Control(self.d)
        for name in ('other', DEVICE):
            control.post('/v1/endpoints', {'id': name})
        control.close()
        self.token = scene.path('real-token')
        with open(self.token, 'w') as f:
            f.write(self.d.token(DEVICE) + '\n')
        self.agents = 0
        self._material()

    def _material(self):
        one = self.scene.pki.issue('one', sans=LOCAL_SANS)
        self.two = self.scene.pki.issue('two', sans=LOCAL_SANS, key='rsa')
        self.tls, where = self.template, self.tls
        for args in (('-cert', one[0], '-key', one[1]),
                     ('-cert', self.two[0], '-key', self.two[1]),
                     ('ca', 'init', '--cn', 'Fault CA'),
                     ('ca', 'issue', 'client', 'first', '--out',
                      self.scene.path('first'))):
            p = Tool(self, '', 'cleat-certmgr', '--directory', self.tls,
                     *args).run()
            equal(p.returncode, 0, f'{args}: {p.stdout}{p.stderr}')
        self.tls = where

    def tools(self):
        control = os.path.join(self.d.runtime, 'control.sock')

        def ctl(name, *args, kind=Tool, **kw):
            return kind(self, name, 'cleatctl', '--socket', control, *args,
                        **kw)
        yield ctl('status', 'status')
        yield ctl('cert', 'cert')
        yield ctl('endpoints', 'endpoints')
        yield ctl('endpoints-json', 'endpoints', '--json')
        yield ctl('endpoint-show', 'endpoint', 'show', 'other')
        yield ctl('rename', 'endpoint', 'rename', 'other', 'a name')
        yield ctl('enrol-token', 'enrol', 'token', kind=Token)
        yield ctl('telemetry', 'telemetry', 'read')
        yield ctl('command-send', 'command', 'send', 'other', 'message',
                  '--no-wait', 'text=x', kind=Token)
        yield ctl('command-list', 'command', 'list')
        yield ctl('reload', 'reload')
        yield ctl('doctor', 'doctor', kind=Diagnosis, statuses=(0, 1))
        for name, *args in (
                ('install', '-cert', self.two[0], '-key', self.two[1]),
                ('self', '-self'), ('rollback', '--rollback'),
                ('show', '-show'), ('show-json', '-show', '--json'),
                ('check', '--check'),
                ('ca-init', 'ca', 'init', '--cn', 'Other CA'),
                ('ca-issue', 'ca', 'issue', 'server', 'host.example.org',
                 '--out', self.scene.path('tls', 'out')),
                ('ca-revoke', 'ca', 'revoke',
                 self.scene.path('first.pem')),
                ('ca-crl', 'ca', 'crl')):
            yield Manager(self, name, *args)
        target = 'localhost:%d' % self.d.address()[1]
        yield Diagnosis(self, 'agent-test', 'cleat-agent', 'test', target,
                        '--timeout', '5', '--json', '--ca',
                        self.scene.pki.ca, '--hello', '-e', DEVICE,
                        '--token-file', self.token)
        yield Diagnosis(self, 'check-config', 'cleatd', '-c',
                        self.d.conf_path, '--check-config')


class AgentLife:
    """cleat-agent from its start to the outcome of a command."""
    name = 'agent'

    def __init__(self, rig):
        self.rig = rig
        self.env = dict(rig.faulty.env)

    def _start(self):
        """An agent with a state of its own."""
        r = self.rig
        shutil.rmtree(r.scene.path('agent'), ignore_errors=True)
        return Agent(r.scene, r.d.url(), '--token-file', r.token, '--ca',
                     r.scene.pki.ca, token=False, env=self.env)

    def _work(self, patience):
        """A command is done; its outcome."""
        r = self.rig
        r.agents += 1
        name = f'a-{r.agents}'
        control = Control(r.d)
        try:
            control.post('/v1/commands', {
                'endpoint': DEVICE, 'id': name, 'verb': 'message',
                'args': {'text': 'x'}, 'deadline_ms': 600000})
            return wait_until('the outcome', lambda: control.get(
                '/v1/commands/' + name)['final'], patience)
        finally:
            control.close()

    def learn(self):
        counted = {}
        for kinds in (0, FILE, NET):
            for call in CALLS:
                self.rig.faulty.watch(call, kinds=kinds)
            begin = {c: self.rig.faulty.count(c) for c in CALLS}
            a = self._start()
            self._work(PATIENCE)
            a.stop()
            counted[kinds] = {c: self.rig.faulty.count(c) - begin[c]
                              for c in CALLS}
            for call in CALLS:
                self.rig.faulty.forget(call)
            self._over(a)
        return counted

    def point(self, fault, n, how_many):
        r = self.rig
        r.faulty.watch(fault.call, fault.error, fault.kinds)
        r.faulty.fail(n, how_many, fault.call)
        failed, a = 0, self._start()
        try:
            try:
                self._work(3)
            except Failure:
                pass                    # it may suffer, or have ended
            failed = r.faulty.stop(fault.call)
            if a.process.poll() is None:
                self._work(PATIENCE)    # and goes on
                if not failed:
                    r.faulty.fail(1, how_many, fault.call)
                a.stop()
            else:
                check(a.process.returncode > 0, 'exit status '
                      f'{a.process.returncode}:\n' + '\n'.join(a.log[-20:]))
                a.reader.join(PATIENCE)
                check(a.log, 'it ended without a word')
        finally:
            failed += r.faulty.forget(fault.call)
            if a.process.poll() is None:
                a.kill()
            self._over(a)
        return failed

    def _over(self, a):
        a.reader.join(PATIENCE)
        a.process.stderr.close()
        self.rig.scene.actors.remove(a.process)
        for line in a.log:
            check('Sanitizer' not in line and 'runtime error' not in line,
                  'it broke:\n' + '\n'.join(a.log[-60:]))

    def full(self):
        pass
