# SPDX-License-Identifier: Apache-2.0
"""The daemon of the fault campaign: the phases of its life during which a call is
made to fail, and the judge that looks after each (doc/faults.md)."""
import json
import os
import re
import signal
import ssl
import subprocess
import time

from control import Control, Problem
from fault_kinds import FILE, NET
from faulty import CALLS, Faulty
from generations import Generations
from harness import (Closed, Device, Failure, Follower, PATIENCE,
                     WebSocket, check, connect, equal, wait_until)
import harness
import spbus

# What these do without memory is not ours to test: GMP ends the process by its
# documentation, libtasn1 4.19 and GnuTLS 3.7 write through null pointers or leak,
# nng 1.5.2 waits for itself or writes through them, and so does iniparser 4.1.
SPARE = ('libgmp:libtasn1:libgnutls:libnng:libiniparser:libasan:libubsan:'
         'libstdc++:libc.so:ld-linux')
# What may be thrown at whoever talks to a daemon in trouble.
TROUBLE = (Closed, OSError, AssertionError, Problem, spbus.BusError,
           EOFError, ValueError, KeyError, subprocess.TimeoutExpired)
ENDPOINT = 'dev'
VISIT = ('endpoint.online', 'endpoint.disconnected')


class Impatience:
    """Nobody waits long for a daemon that may have lost what was asked."""

    def __enter__(self):
        self.was, harness.PATIENCE = harness.PATIENCE, 5

    def __exit__(self, *_):
        harness.PATIENCE = self.was


class World:
    def __init__(self, scene, spare=SPARE):
        Follower.adopt()
        self.scene = scene
        self.faulty = Faulty(scene, spare)
        self.made = Generations(scene.path('certs'))
        for key in ('ec', 'ec', 'rsa'):
            self.made.make(key)
        self.made.put(0)
        self.generation = 0
        self.d = scene.daemon('d', env=self.faulty.env, conf={
            'listener.plain': {'address': '127.0.0.1:0', 'tls': 'no'},
            'limits': {'handshake_timeout': '2s', 'http_timeout': '2s',
                       'auth_timeout': '2s', 'connections_per_address': '0'},
            'auth': {'failures_per_address': '1000000'},
            'tls': {'watch': '1s'},
            'presence': {'recovery': '30s', 'clone_replacements': '0'},
            'bus': {'canary': '200ms', 'alive': '300ms'},
            'plugin.figures': {'module': 'status-prometheus',
                               'address': '127.0.0.1:0'},
            'plugin.journal': {'module': 'status-journal'},
            'plugin.cert': {'chain': self.made.chain, 'key': self.made.key}})
        self.d.token('witness')
        self.d.token(ENDPOINT)
        self.witness = self.bus = None
        self.stored = 0                 # telemetry that was acknowledged
        self.commands = 0
        self.open = set()               # commands that were taken
        self.floor = None               # descriptors and threads of a quiet daemon
        self.files = None
        self.epoch = 0
        self.asked = 0                  # a signal that somebody sent
        self.told_before = []           # logs of daemons that have ended

    # ---- the daemon

    def context(self, version=None):
        context = ssl.create_default_context(cafile=self.made.root)
        if version:
            context.minimum_version = context.maximum_version = version
        return context

    def launch(self):
        """True: it is ready; False: it has ended by itself, saying why."""
        self.told_before += self.d.log
        self.d.launch()
        return wait_until('ready or ended', self._started, 60) == 'ready'

    def _started(self):
        if any('ready version=' in line for line in self.d.log):
            return 'ready'
        if self.d.process.poll() is None:
            return None
        self.ended()
        return 'ended'

    def ended(self):
        """By itself: in a way that a service manager sees, and people can read."""
        log = self.d.log
        code = self.d.wait()
        self.d.process = None
        self.floor = None
        self.d.check_clean()
        # Stopped; or killed before it could say that it takes signals itself.
        if self.asked and code in (0, -self.asked):
            return
        equal(code, 1, 'exit status; its last lines:\n' + '\n'.join(log[-20:]))
        check(any(re.search(r'\berror\b', line) for line in log[-30:]),
              'it ended without a word:\n' + '\n'.join(log[-20:]))

    def up(self):
        """Runs, and has what the judge compares with."""
        if not self.d.alive() or self.floor is None:
            self.judge()

    def down(self):
        """As a service manager does."""
        if self.d.alive():
            self.leave()
            self.d.stop()
        self.floor = None

    def leave(self):
        for x in (self.witness, self.bus):
            try:
                if x is not None:
                    (x.sock if x is self.witness else x).close()
            except OSError:
                pass
        self.witness = self.bus = None

    # ---- phases: what is done while a call fails

    def device(self, name=ENDPOINT, **kw):
        return Device(self.d, name, context=self.context(kw.pop(
            'version', None)), **kw)

    def phase_connect(self):
        version = (None, ssl.TLSVersion.TLSv1_2)[self.commands % 2]
        device = self.device(version=version)
        device.call('state', {'power': 'on'})
        device.call('event', {'type': 'x', 'data': {'y': 'z' * 2000}})
        device.close()
        ws = WebSocket(self.context().wrap_socket(
            connect(self.d.address()), server_hostname='localhost'),
            'localhost', '/echo')
        ws.send('x' * 5000)
        equal(ws.recv(), 'x' * 5000, 'echo')
        ws.close()

    def phase_work(self):
        """Telemetry, inventory and a command, given and done."""
        device = self.device()
        try:
            self.telemetry(device)
            device.call('inventory', {'patch': {'disk': {
                'free': self.commands}}})
            self.give()
            self.obey(device, 1)
        finally:
            device.sock.close()

    def phase_control(self):
        control = Control(self.d, timeout=harness.PATIENCE)
        control.get('/v1/status')
        list(control.pages('/v1/endpoints', 'endpoints'))
        made = control.post('/v1/enrolment-tokens', {})
        control.delete('/v1/enrolment-tokens/%d' % made['number'])
        control.patch('/v1/endpoints/' + ENDPOINT,
                      {'name': f'n{self.commands}'})
        stream = control.events()
        stream.close()
        control.close()
        with self.d.request() as ask:
            ask.endpoints()
        self.d.bus().close()

    def phase_reload(self):
        said = len(self.d.log)
        self.d.process.send_signal(signal.SIGHUP)
        wait_until('its outcome', lambda: [
            x for x in self.d.log[said:] if re.search(
                r'configuration (not )?reloaded', x)])

    def phase_swap(self):
        self.generation = (self.generation + 1) % self.made.made
        said = len(self.d.log)
        self.made.put(self.generation)
        wait_until('a look at it', lambda: [
            x for x in self.d.log[said:] if 'certificate' in x], 4)

    def phase_upgrade(self):
        said = len(self.d.log)
        try:
            control = Control(self.d, timeout=harness.PATIENCE)
            control.post('/v1/upgrade', {})
        finally:
            control.close()
            # Whoever asked may not have heard the answer.
            try:
                wait_until('a beginning', lambda: any(
                    'the next process was started' in x
                    for x in self.d.log[said:]), 0.5)
            except Failure:
                pass
            else:
                self.follow(said)

    def follow(self, said):
        """Whoever is the daemon now."""
        def settled():
            lines = self.d.log[said:]
            for line in lines:
                m = re.search(r'\bupgraded pid=(\d+)', line)
                if m:
                    return int(m.group(1))
                if re.search(r'no upgrade: ', line):
                    return 'no'
            return 'ended' if self.d.process.poll() is not None else None
        outcome = wait_until('the end of the upgrade', settled, PATIENCE)
        former = self.d.process
        if self.asked and outcome == 'ended':
            self._last_of_both(former)
            return
        if outcome == 'no' or (outcome == 'ended' and former.poll() != 0):
            # In the second case the next one was killed, too; judged as an end.
            return
        if outcome == 'ended':
            with open(os.path.join(self.d.state, 'lock')) as f:
                outcome = int(f.read())
        self.d._adopt(outcome)
        equal(former.wait(PATIENCE), 0, 'exit status of the former:\n' +
              '\n'.join(self.d.log[-20:]))
        self.floor = None
        self.bus.close()
        self.bus = None                 # what it missed is another's test

    def _last_of_both(self, former):
        """After a signal: whoever took over may have ended by it, or not."""
        code = former.wait(PATIENCE)
        with open(os.path.join(self.d.state, 'lock')) as f:
            pid = int(f.read())
        if code == 0 and pid != former.pid and os.path.exists(f'/proc/{pid}'):
            self.d._adopt(pid)

    def phase_stop(self):
        self.leave()
        self.d.process.send_signal(signal.SIGTERM)
        code = self.d.wait(60)          # channels have eight seconds
        log = self.d.log
        self.d.process = self.floor = None
        self.d.check_clean()
        check(code == 0 or (code == 1 and any(' error ' in x for x in log)),
              f'exit status {code}:\n' + '\n'.join(log[-20:]))

    def phase_start(self):
        self.launch()

    PHASES = ('connect', 'work', 'control', 'reload', 'swap', 'upgrade',
              'stop', 'start')

    # ---- what a device and an operator do

    def telemetry(self, device):
        seq = max(self.stored, device.hello_result['telemetry_seq']) + 1
        self.stored = device.call('telemetry', {
            'seq': seq, 'data': [{'n': seq}]})['stored']

    def give(self):
        self.commands += 1
        name = f'c-{os.getpid()}-{self.commands}'
        control = Control(self.d, timeout=harness.PATIENCE)
        control.post('/v1/commands', {
            'id': name, 'endpoint': ENDPOINT, 'verb': 'message',
            'args': {'text': 'x'}, 'deadline_ms': 3600000})
        control.close()
        self.open.add(name)

    @staticmethod
    def obey(device, n=0):
        """Does commands: at least n, and what comes until then."""
        done = 0
        waiting = [m for m in device.notifications
                   if m.get('method') == 'command']
        while done < n or waiting:
            m = waiting.pop(0) if waiting else json.loads(device.recv())
            if m.get('method') != 'command':
                continue
            device.send_json({'jsonrpc': '2.0', 'id': m['id'], 'result': {}})
            before = len(device.notifications)
            device.call('outcome', {'command_id': m['params']['command_id'],
                                    'outcome': 'ok', 'result': {}})
            waiting += [x for x in device.notifications[before:]
                        if x.get('method') == 'command']
            done += 1

    # ---- the judge

    def judge(self):
        """All that must hold whatever failed; the daemon is up afterwards."""
        if not self.d.alive():
            if self.d.process is not None:
                self.ended()
            check(self.launch(), 'it does not start again:\n' +
                  '\n'.join(self.d.log[-20:]))
            self.floor = None
        self.d.check_clean()
        self.judge_witness()
        self.judge_service()
        self.judge_presence()
        self.judge_resources()

    def fresh_bus(self):
        if self.bus is not None:
            self.bus.close()
        self.bus = self.d.bus()

    def judge_witness(self):
        """Its channel lives, or it is known to be gone; then it comes again."""
        try:
            if self.witness is not None:
                equal(self.witness.call('state', {'power': 'on'}), {})
                return
        except TROUBLE:
            self.witness.sock.close()
        self.witness = self.device('witness')

    def judge_service(self):
        """A device comes, is served and goes, and the bus says so, or it shows
        that something is missing."""
        if self.bus is None:
            self.fresh_bus()
        former, n = self.bus, len(self.bus.history)
        channel = self.visit()
        if not self.told(channel, 5):
            self.bus = None
            self.fresh_bus()
            check(self.told(self.visit(), PATIENCE), 'a device came and went, '
                  'and the bus did not say so')
            self.judge_gap(former, n, channel)
        ws = WebSocket(connect(self.d.address('plain')), 'localhost', '/echo')
        ws.send('still here')
        equal(ws.recv(), 'still here', 'echo')
        ws.close()

    @staticmethod
    def judge_gap(bus, n, channel):
        """Numbers that follow each other, and yet an event between is not there."""
        try:
            while True:
                bus.recv(0.2)
        except (spbus.BusError, OSError):
            bus.close()
        seen = bus.history[max(0, n - 1):]
        numbers = [(e['epoch'], e['seq']) for e in seen]
        whole = all(b == (a[0], a[1] + 1) for a, b in
                    zip(numbers, numbers[1:]))
        missing = not all(bus.find(event, ENDPOINT, channel=channel)
                          for event in VISIT)
        # Without one before and one behind it nobody could know.
        check(n == 0 or len(seen) < 2 or not whole or not missing,
              f'an event of channel {channel} is missing and no number is: '
              f'{seen}')

    def visit(self):
        """The channel's number."""
        device = self.device()
        known = device.hello_result
        check(known['epoch'] >= self.epoch, 'an epoch twice')
        self.epoch = known['epoch']
        check(known['telemetry_seq'] >= self.stored,
              f'telemetry {self.stored} was acknowledged and is lost: {known}')
        self.telemetry(device)
        self.obey(device)
        self.settle_commands(device)
        device.close()
        return known['channel']

    def told(self, channel, timeout):
        try:
            for event in VISIT:
                self.bus.expect(event, ENDPOINT, timeout, channel=channel)
            return True
        except (spbus.BusError, OSError):
            return False

    def settle_commands(self, device):
        """What an operator was told is taken reaches the device."""
        deadline = time.monotonic() + PATIENCE
        while self.open:
            control = Control(self.d, timeout=harness.PATIENCE)
            for name in sorted(self.open):
                if control.get('/v1/commands/' + name)['final']:
                    self.open.discard(name)
            control.close()
            if not self.open:
                return
            check(time.monotonic() < deadline, f'{self.open} never came')
            device.sock.settimeout(0.2)
            try:
                device.notifications.append(json.loads(device.recv()))
            except TimeoutError:
                pass
            device.sock.settimeout(PATIENCE)
            self.obey(device)
            device.notifications.clear()

    def judge_presence(self):
        """Who has a channel is online, who has none is not: in the view that
        subscribers ask, and in the table that operators ask."""
        want = {'witness': 'online', ENDPOINT: 'disconnected'}

        def said():
            control = Control(self.d, timeout=harness.PATIENCE)
            table = {n: control.get('/v1/endpoints/' + n)['state']
                     for n in want}
            control.close()
            with self.d.request() as ask:
                view = {e['endpoint']: e['state'] for e in ask.endpoints()
                        if e['endpoint'] in want}
            self.last = f'table {table}, view {view}, wanted {want}'
            return table == want and view == want
        try:
            wait_until('truth', said)
        except Failure:
            raise Failure('a lie: ' + self.last)

    def resources(self):
        base = f'/proc/{self.d.process.pid}'
        fds = []
        for n in os.listdir(base + '/fd'):
            try:
                to = os.readlink(f'{base}/fd/{n}')
            except OSError:
                continue
            fds.append(re.sub(r'\d+', 'N', to))
        return len(fds), len(os.listdir(base + '/task')), sorted(fds)

    def judge_resources(self):
        files = sorted(os.listdir(self.d.state) + os.listdir(self.d.runtime))
        with self.d.request() as ask:
            again = ask.ask('summary')['bus']['relistened']
        if self.floor is None:
            self.floor, self.files = self.resources(), self.files or files
            self.relistened = again
            return

        # Each time nng 1.5.2 keeps two descriptors (core/event/socket.c), or those
        # of a peer that is just gone.
        spare = 4 * (again - self.relistened)

        def back():
            now = self.resources()
            return now[0] <= self.floor[0] + spare and now[1] <= self.floor[1]
        try:
            wait_until('quiet', back, 10)
        except Failure:
            now = self.resources()
            more = list(now[2])
            for x in self.floor[2]:
                if x in more:
                    more.remove(x)
            raise Failure(f'descriptors {self.floor[0]} to {now[0]}, threads '
                          f'{self.floor[1]} to {now[1]}; new: {more}')
        new = [f for f in files if f not in self.files]
        check(not new, f'files are left behind: {new}')

    # ---- one point

    def calls_in(self, phase, kinds, error='ENOMEM'):
        """How many of each call a phase makes when all is well."""
        self.prepare(phase)
        for call in CALLS:
            self.faulty.watch(call, error, kinds)
        before = {call: self.faulty.count(call) for call in CALLS}
        getattr(self, 'phase_' + phase)()
        counted = {call: self.faulty.count(call) - before[call]
                   for call in CALLS}
        for call in CALLS:
            self.faulty.forget(call)
        return counted

    def totals(self, phase):
        return {kinds: self.calls_in(phase, kinds) for kinds in
                (0, FILE, NET)}

    def prepare(self, phase):
        if phase == 'start':
            self.down()
        else:
            self.up()

    def point(self, phase, fault, n, how_many):
        """Returns how many calls failed."""
        self.prepare(phase)
        if fault.call == 'wall':
            return self.clock_point(phase, fault.error)
        self.asked = getattr(signal, fault.error) if \
            fault.family == 'signals' else 0
        self.faulty.watch(fault.call, fault.error, fault.kinds)
        self.faulty.fail(n, how_many, fault.call)
        try:
            self.during(phase)
        finally:
            failed = self.faulty.forget(fault.call)
        if failed and fault.error == 'SIGTERM':
            self.all_ended()
        if failed:
            self.judge()
        self.asked = 0
        return failed

    def all_ended(self):
        """Both, if there were two."""
        wait_until('the end', lambda: self.d.process is None or
                   self.d.process.poll() is not None)
        try:
            with open(os.path.join(self.d.state, 'lock')) as f:
                other = Follower(int(f.read()))
            other.wait(PATIENCE)
        except (OSError, ValueError):
            pass                        # it was the only one

    def during(self, phase):
        try:
            with Impatience():
                getattr(self, 'phase_' + phase)()
        except TROUBLE as e:
            # Those that the phase itself judges.
            if re.search('exit status|without a word|the daemon broke|'
                         'daemon does not end|ready or ended|'
                         'the end of the upgrade', str(e)):
                raise

    def clock_point(self, phase, ms):
        self.faulty['wall_ms'] = ms
        try:
            self.during(phase)
            self.judge()
        finally:
            self.faulty['wall_ms'] = 0
        self.judge()
        return 1

