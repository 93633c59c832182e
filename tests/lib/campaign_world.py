# SPDX-License-Identifier: Apache-2.0
"""The world of a campaign: the daemon, a subscriber that writes down all it
hears, and what is done to them in a round.  Every draw comes from one seed."""
import asyncio
import json
import os
import random
import re
import signal
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import spbus  # noqa: E402
from campaign_check import Judge  # noqa: E402
from campaign_fleet import Fleet  # noqa: E402
from campaign_login import Token  # noqa: E402
from campaign_operator import Operator  # noqa: E402
from campaign_wire import now  # noqa: E402
from faulty import Faulty  # noqa: E402
from harness import PATIENCE, SANITIZER, Failure, Skip  # noqa: E402
from netns import Netns  # noqa: E402

SLOW = 3 if 'thread' in SANITIZER else 1


class Listener(threading.Thread):
    """A subscriber that lives as long as the campaign; it writes down each
    event and the numbers that bus.alive tells."""

    def __init__(self, path, out):
        super().__init__(daemon=True)
        self.path, self.out = path, open(out, 'w', encoding='utf-8')
        self.over = False
        self.lock = threading.Lock()
        self.failure = None

    def write(self, value):
        with self.lock:
            self.out.write(json.dumps(value) + '\n')

    def flush(self):
        with self.lock:
            self.out.flush()

    def run(self):
        while not self.over:
            try:
                peer = spbus._Peer(self.path, spbus._SUB, spbus._PUB, 0.5)
            except (spbus.BusError, OSError):
                continue        # it is down just now
            with peer:
                try:
                    self.listen(peer)
                except (spbus.BusError, OSError):
                    pass
                except Exception as e:
                    self.failure = e
                    return

    def listen(self, peer):
        while not self.over:
            try:
                body = peer._receive(time.monotonic() + 0.2)
            except spbus.BusTimeout:
                continue
            topic, _, text = body.partition(b' ')
            value = json.loads(text)
            if topic == b'bus.alive':
                self.write({'epoch': value['epoch'], 'alive': value['seq']})
            else:
                self.write(value)


class World:
    def __init__(self, scene, opts):
        self.scene, self.opts = scene, opts
        self.random = random.Random(opts.seed)
        self.dead_s = 3.0 * SLOW
        self.recovery_s = 3.0 * SLOW
        self.bound_s = self.dead_s + self.recovery_s + 8.0 * SLOW
        self.lock = threading.Lock()        # guards world.jsonl, figures
        self.world = open(scene.path('world.jsonl'), 'w', encoding='utf-8')
        self.faulty = Faulty(scene)
        self.netns = None
        try:
            self.netns = Netns()
        except Skip as e:
            self.no_netns = str(e)
        self.daemon = self.make_daemon()
        self.fleet = None
        self.judge = Judge(scene.dir)
        self.listener = Listener(self.daemon.events,
                                 scene.path('events.jsonl'))
        self.figures = {}
        self.starting = self.down = False
        self.deaf = []
        self.operator = Operator(self.daemon, self.say, opts.seed)

    def say(self, what, **more):
        """Anybody's thread."""
        with self.lock:
            self.world.write(json.dumps({'t': round(now() * 1000),
                                         'what': what, **more}) + '\n')
            self.world.flush()
            self.figures[what] = self.figures.get(what, 0) + 1

    def make_daemon(self):
        conf = {
            'daemon': {'workers': '2', 'log_level': 'notice'},
            'listener.plain': {'address': '127.0.0.1:0', 'tls': 'no'},
            'presence': {'ping': f'{self.dead_s * 400:.0f}ms',
                         'suspect': f'{self.dead_s * 200:.0f}ms',
                         'dead': f'{self.dead_s * 1000:.0f}ms',
                         'retry_min': '100ms', 'retry_max': '1s',
                         'recovery': f'{self.recovery_s * 1000:.0f}ms'},
            'bus': {'alive': '500ms'},
            # All devices share an address; so does what they do wrong.
            'auth': {'failures_per_address': '1000000',
                     'enrol_rate': '1000000'},
            # The judge wants to see all of it.
            'store': {'telemetry_rows': '4294967295',
                      'telemetry_size': '1024GiB'},
            'limits': {'auth_timeout': '30s'}}
        if self.netns:
            # Not local: a token may not go there without TLS.
            conf['listener.cable'] = {'address': f'{self.netns.our}:0'}
        d = self.scene.daemon('d', conf, dict(self.faulty.env))
        return d

    # ---- the daemon

    def start(self):
        # Its certificate is not valid before this campaign began.
        self.starting = True
        self.faulty['wall_ms'] = 0
        try:
            self.launch()
        finally:
            self.starting = False

    def launch(self):
        # With a small ring events are lost, and that has to show.  A quarter
        # of it is stated again in 100 ms: the fleet within two seconds.
        small = max(64, 1 << (self.opts.devices // 5).bit_length())
        self.daemon.configure({'bus': {'ring': self.operator.random.choice(
            (small, 4 * small, 16384))}})
        self.daemon.start(env={'UBSAN_OPTIONS': 'print_stacktrace=1'})
        line = next(x for x in self.daemon.log if 'ready version=' in x)
        self.say('started', epoch=int(re.search(r'epoch=(\d+)',
                                                line).group(1)))

    def fix_ports(self):
        """The same after every start, as devices need it."""
        context = ssl.create_default_context(cafile=self.scene.pki.ca)
        for listener, where, netns, tls in (
                ('main', 'tls', None, context),
                ('plain', 'plain', None, None),
                ('cable', 'cable', self.netns, context)):
            if f'listener.{listener}' not in self.daemon.conf:
                continue
            host, port = self.daemon.address(listener)
            self.fleet.places[where] = (host, port, tls, netns)
            self.daemon.configure({f'listener.{listener}': {
                'address': f'{host}:{port}'}})

    async def off_loop(self, fn, *args):
        """Something that blocks; devices live on meanwhile."""
        return await asyncio.get_running_loop().run_in_executor(None, fn,
                                                                *args)

    async def kill(self):
        self.down = True
        self.say('killed')
        await self.off_loop(self.daemon.kill)
        self.daemon.check_clean()
        await asyncio.sleep(self.random.uniform(0, 0.3))
        await self.off_loop(self.start)
        self.down = False

    async def restart(self):
        self.down = True
        self.say('stopping')
        await self.off_loop(self.daemon.stop)
        await self.off_loop(self.start)
        self.down = False

    async def reload(self):
        while self.down:        # SIGHUP ends a program that begins to load
            await asyncio.sleep(0.05)
        self.say('reload')
        self.daemon.process.send_signal(signal.SIGHUP)
        await asyncio.sleep(0.05)

    # ---- the fleet

    def make_fleet(self):
        self.fleet = Fleet(self.scene.path('devices.jsonl'), self.random,
                           self.dead_s)
        n = self.opts.devices
        for i in range(n):
            where = 'plain'
            if i % 50 == 7:
                where = 'tls'
            elif self.netns and i % 20 == 3:
                where = 'cable'
            name = f'd-{i}'
            # One in 17 has to enrol, two thirds of them with a key.
            guest = i % 17 == 11 and i % 25 != 0
            d = self.fleet.add(name, None if guest else self.token(name),
                               where)
            d.keyed = guest and i % 3 != 0
        # Twins: another device with the identity of one of those.
        self.twins = {}
        for i in range(0, n, 25):
            name = f'd-{i}'
            twin = self.fleet.add(name, self.token(name), 'plain')
            # Both work off one disk: what one has recorded both know.
            base = self.fleet.devices[i]
            twin.commands, twin.unreported = base.commands, base.unreported
            self.twins[i] = twin
        self.daemon.write_tokens()

    def token(self, name):
        return Token(self.daemon.tokens.setdefault(
            name, f'secret-of-{name}-{self.opts.seed:016x}'))

    def some(self, low, high, fit=lambda d: True):
        """Some of those that are connected, between these shares of
        the fleet."""
        up = [d for d in self.fleet.devices[:self.opts.devices]
              if d.conn is not None and d.conn.up and fit(d)]
        n = int(self.opts.devices * self.random.uniform(low, high)) + 1
        return self.random.sample(up, min(n, len(up)))

    # ---- what a round may do

    async def resets(self):
        for d in self.some(0.01, 0.1):
            d.wanted = self.random.random() < 0.7
            d.lose_power()

    async def farewells(self):
        await asyncio.gather(*(d.leave('bye', {'reason': 'enough'})
                               for d in self.some(0.01, 0.05)))

    async def naps(self):
        until = round((time.time() + 3 * 86400) * 1000)
        await asyncio.gather(*(d.leave('sleep', {'until': until})
                               for d in self.some(0.01, 0.05)))

    async def takeovers(self):
        """A second connection while the first one lives, at any worker."""
        await asyncio.gather(*(d.connect() for d in self.some(0.02, 0.1)))

    async def twins_meet(self):
        """Two devices with one identity throw each other out; who is thrown out
        last gives in."""
        chosen = self.random.sample(sorted(self.twins),
                                    min(5, len(self.twins)))
        for i in chosen:
            for d in (self.fleet.devices[i], self.twins[i]):
                self.fleet.stay_away.discard(d.number)
                d.go()
        await asyncio.sleep(self.random.uniform(0.2, 1.0))
        for i in chosen:            # from now on somebody has to give in
            pair = [self.fleet.devices[i], self.twins[i]]
            loser = self.random.choice(pair)
            self.fleet.stay_away.add(loser.number)
            loser.wanted = False
            if loser.conn is not None:
                loser.conn.reset()

    async def cut(self):
        """The cable of some is out for a while; a part of them gives up."""
        if self.netns is None:
            return
        far = [d for d in self.fleet.devices if d.where == 'cable']
        long = self.random.random() < 0.5
        await self.off_loop(self.netns.silence)
        await asyncio.sleep(self.dead_s + 1 if long else
                            self.random.uniform(0.1, self.dead_s / 3))
        for d in far:
            if d.conn is not None and self.random.random() < 0.3:
                d.conn.reset('cut')
        await self.off_loop(self.netns.speak)

    async def slow_disk(self):
        self.faulty['sync_ms'] = self.random.choice((50, 300, 2000))
        await asyncio.sleep(self.random.uniform(0.3, 1.5))
        self.faulty['sync_ms'] = 0

    async def clock(self):
        """Wall time jumps, and jumps back."""
        if self.starting:
            return
        self.say('jump')
        self.faulty['wall_ms'] = self.random.choice(
            (-86400000, -3600000, -5000, 5000, 3600000, 86400000))
        await asyncio.sleep(self.random.uniform(0.2, 1.0))
        self.faulty['wall_ms'] = 0
        self.say('jumped')

    async def stalled_subscriber(self):
        """It subscribes to everything and never reads."""
        try:
            self.deaf.append(await self.off_loop(
                spbus.Sub, self.daemon.events, [''], 5))
        except spbus.BusError:
            pass                # the daemon is down just now

    async def kicks(self):
        await self.off_loop(self.operator.kick, [
            d.endpoint for d in self.some(0.001, 0.01)])

    async def drain(self):
        await self.off_loop(self.operator.drain,
                            self.random.randrange(500, 2500))

    async def revocations(self):
        """Of some that have enrolled."""
        inside = [d for d in self.fleet.devices if not d.listed and d.login]
        until = now() + 5
        for d in self.random.sample(inside, min(
                len(inside), self.random.choice((1, 5, 20)))):
            if now() < until:
                await self.off_loop(self.operator.revoke, d.endpoint)

    # ---- what goes on all the time

    async def measures(self):
        for d in self.some(0.05, 0.3):
            for _ in range(self.random.randrange(1, 4)):
                d.measure()
        for d in self.some(0, 0.02, lambda d: d.number % 3 == 1 and
                           d.number not in self.twins and
                           d.number < self.opts.devices):
            d.describe()

    async def orders(self):
        """What takes time only where one device has the identity: the other
        would not hear of its end."""
        verbs = 'x-do', 'x-fail'
        await self.off_loop(self.operator.order, [
            (d.endpoint, verbs if d.number in self.twins else
             (*verbs, 'x-slow', 'x-slow'))
            for d in self.random.sample(
                self.fleet.devices[:self.opts.devices],
                max(10, self.opts.devices // 100))
            if d.seq or d.conn is not None])
        await self.off_loop(self.operator.cancel)

    async def invitations(self):
        """Some that cannot get in get a one-time token; now and then three
        devices the same one."""
        out = [d for d in self.fleet.devices if not d.able()]
        for d in self.random.sample(out, min(3, len(out))):
            once = await self.off_loop(self.operator.invite, d.endpoint)
            if once is None:
                return
            two = self.random.sample(out, 2) if len(out) > 9 and \
                self.random.random() < 0.2 else ()
            for guest in (d, *two):
                if not guest.able():
                    guest.invite(once)
                    guest.go()

    ACTIONS = ('resets', 'farewells', 'naps', 'takeovers', 'twins_meet',
               'cut', 'slow_disk', 'clock', 'stalled_subscriber', 'reload',
               'kill', 'restart', 'kicks', 'drain', 'revocations')

    # ---- rounds

    async def background(self, end):
        """Telemetry and returning devices while the round lasts."""
        while not end.is_set():
            if self.opts.telemetry:
                await self.measures()
            await self.orders()
            await self.invitations()
            away = [d for d in self.fleet.devices[:self.opts.devices]
                    if not d.wanted and d.number not in self.fleet.stay_away]
            for d in self.random.sample(away, len(away) // 4):
                d.go()
            await asyncio.sleep(0.2)

    async def round(self, number):
        actions = self.random.sample(self.ACTIONS,
                                     self.random.randrange(2, 5))
        # One of the two ends of the daemon at a time.
        if 'kill' in actions and 'restart' in actions:
            actions.remove('restart')
        self.say('round', number=number, actions=actions)
        self.actions = actions
        for a in actions:
            self.figures[f'action {a}'] = \
                self.figures.get(f'action {a}', 0) + 1
        for d in self.fleet.devices[:self.opts.devices]:
            if not d.wanted and d.number not in self.fleet.stay_away and \
                    self.random.random() < 0.5:
                d.go()
        end = asyncio.Event()
        back = asyncio.ensure_future(self.background(end))
        parts = []
        for a in actions:
            parts.append(asyncio.ensure_future(getattr(self, a)()))
            await asyncio.sleep(self.random.uniform(0, 0.8))
        # Whatever a device waits for ends when its channel does.
        await asyncio.wait_for(asyncio.gather(*parts),
                               self.bound_s + 2 * PATIENCE)
        end.set()
        await back
        for s in self.deaf:
            s.close()
        self.deaf.clear()
        await self.rest(number)

    async def rest(self, number):
        """Waits until all is right, at most until the bound."""
        deadline = now() + self.bound_s + PATIENCE
        while not self.fleet.settled():
            if now() > deadline:
                raise Failure(f'round {number}: devices cannot connect: ' +
                              ', '.join(d.endpoint for d in
                                        self.fleet.devices if d.wanted and
                                        (d.conn is None or not d.conn.up)
                                        )[:500])
            await asyncio.sleep(0.05)
        deadline = now() + self.bound_s
        while True:
            wrong = await self.off_loop(self.look)
            if not wrong:
                return
            if self.judge.hard or now() > deadline:
                raise Failure(f'round {number}: after the bound of '
                              f'{self.bound_s:.0f} s:\n' +
                              '\n'.join(wrong[:30]))
            await asyncio.sleep(0.2)

    def look(self):
        if self.listener.failure:
            raise self.listener.failure
        with spbus.Req(self.daemon.snapshot, timeout=PATIENCE) as req:
            page = req.ask('endpoints', limit=1000)
            all_of = page['endpoints']
            while 'next' in page:
                page = req.ask('endpoints', limit=1000, after=page['next'])
                all_of += page['endpoints']
            # What changed between two pages is seen at the next look.
            snapshot = {'epoch': page['epoch'], 'seq': page['seq'],
                        'endpoints': all_of}
        with open(self.scene.path('snapshot.json'), 'w',
                  encoding='utf-8') as f:
            json.dump(snapshot, f)
        self.fleet.flush()
        self.listener.flush()
        return self.judge.judge(snapshot, os.path.join(self.daemon.state,
                                                       'cleat.db'))

    async def run(self, rounds, tell):
        self.make_fleet()
        watch = asyncio.ensure_future(self.fleet.watch())
        watch.add_done_callback(self.fleet.task_over)
        try:
            await self.rounds(rounds, tell)
        finally:                # no task that tries for ever
            for d in self.fleet.devices:
                d.wanted = False
            watch.cancel()
        await self.off_loop(self.daemon.stop)

    async def rounds(self, rounds, tell):
        # Ports are free to choose at the first start; then they stay.
        await self.off_loop(self.start)
        self.fix_ports()
        await self.restart()
        self.listener.start()
        for d in self.fleet.devices[:self.opts.devices]:
            d.go()
        await self.rest(0)
        for number in range(1, rounds + 1):
            begin = now()
            await self.round(number)
            tell(number, now() - begin, self.actions)

    def close(self):
        self.listener.over = True
        if self.netns:
            self.netns.close()
