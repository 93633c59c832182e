# SPDX-License-Identifier: Apache-2.0
"""Thousands of devices in one asyncio loop, written from doc/protocol.md.  Each
writes down what it did and what it was told, and nothing that it guesses: that
log is one side of what campaign_check.py compares.  Standard library only."""
import asyncio
import json
import socket

from campaign_login import Key, Token
from campaign_wire import Conn, now

CONNECTING = 128                # attempts under way at a time
PATIENCE = 20.0                 # for one attempt


class Device:
    """`wanted`: it connects again by itself.  Without a `login` it needs an
    `invitation`, a one-time token, and enrols: with a key of its own if it is
    `keyed`, else with the token that the daemon makes."""

    def __init__(self, fleet, number, endpoint, login, where):
        self.fleet, self.number = fleet, number
        self.endpoint, self.login, self.where = endpoint, login, where
        self.listed = login is not None     # in the operator's token file
        self.invitation = self.key = None
        self.keyed = False
        self.wanted = False
        self.conn = None
        self.task = None
        self.gone = asyncio.Event()     # its channel ended
        self.counter = 0
        # What a real device would keep on its disk.
        self.seq = 0
        self.unsent = {}            # seq: data, not known to be stored
        self.commands = {}          # id: outcome, or None: begun
        self.unreported = set()
        self.running = {}           # id: timer of one that takes its time
        self.patch = None           # of the inventory, not known to be stored

    def log(self, what, **more):
        self.fleet.log(self, what, more)

    # ---- connecting

    def invite(self, once):
        """An operator lets it enrol."""
        self.invitation = once
        self.key = Key(self.fleet.random.randbytes(32)) if self.keyed \
            else None

    def able(self):
        return self.login is not None or self.invitation is not None

    def turned_away(self):
        """Its credential has to change: nothing to do without an operator."""
        self.login = self.invitation = self.key = None
        self.wanted = False

    def go(self):
        if not self.able():
            return
        self.wanted = True
        if self.task is None or self.task.done():
            self.task = asyncio.ensure_future(self.run())
            self.task.add_done_callback(self.fleet.task_over)

    async def run(self):
        n = 0
        while self.wanted:
            if self.conn is None or self.conn.over or not self.conn.up:
                if await self.connect():
                    n = 0
                else:
                    n += 1
                    await asyncio.sleep(self.fleet.random.uniform(
                        0, min(1.0, 0.1 * 2 ** n)))
            else:
                self.gone.clear()
                await self.gone.wait()
                await asyncio.sleep(self.fleet.random.uniform(0, 0.2))

    async def connect(self):
        """A new connection beside the old one, which the server ends."""
        async with self.fleet.gate:
            number = self.fleet.next_conn()
            conn = Conn(self, number)
            self.log('try', conn=number)
            try:
                await asyncio.wait_for(
                    self.fleet.dial(self.where, lambda: conn), PATIENCE)
                await asyncio.wait_for(asyncio.shield(conn.ready), PATIENCE)
            except (OSError, asyncio.TimeoutError):
                pass
            if not conn.up and conn.transport is not None:
                conn.reset('silence')
            return conn.up

    def ended(self, conn):
        if conn.up:
            self.log('down', conn=conn.number, how=conn.how, code=conn.code)
        else:
            self.log('failed', conn=conn.number, code=conn.code)
        self.gone.set()
        if self.conn is conn:
            self.conn = None
        for f in conn.calls.values():
            if not f.done():
                f.set_result(None)
        conn.calls.clear()
        if conn.code == 4003 and conn.up:
            self.fleet.superseded(self)
        elif conn.code == 4005:
            self.turned_away()

    # ---- messages

    def message(self, conn, m):
        if m.get('method') == 'challenge' and not self.able():
            conn.reset()
        elif m.get('method') == 'challenge':
            conn.say({'jsonrpc': '2.0', 'id': 0, 'method': 'hello',
                      'params': {'endpoint': self.endpoint, 'auth':
                                 self.auth(conn, m['params']['nonce'])}})
        elif m.get('method') == 'command':
            self.command(conn, m)
        elif m.get('method') == 'cancel':
            self.cancel(conn, m)
        elif m.get('method') == 'drain':
            asyncio.ensure_future(self.move(conn, m['params'])
                                  ).add_done_callback(self.fleet.task_over)
        elif 'method' in m:
            if 'id' in m:
                conn.say({'jsonrpc': '2.0', 'id': m['id'],
                          'error': {'code': -32601, 'message': 'unknown'}})
        elif m.get('id') == 0:
            if 'result' in m:
                self.accepted(conn, m['result'])
            else:
                self.refused_hello(conn, m['error'])
        else:
            f = conn.calls.pop(m.get('id'), None)
            if f is not None and not f.done():
                f.set_result(m)

    def auth(self, conn, nonce):
        login = self.login or self.key
        if not self.listed:
            once = None if self.login else Token(self.invitation).value
            self.log('hello', conn=conn.number, once=once,
                     cred=login.value if login else None)
        auth = login.auth(nonce, self.endpoint) if login else {}
        if self.login is None:
            conn.enrolling = once, login
            auth.update(method='enrol', token=self.invitation)
        return auth

    def refused_hello(self, conn, error):
        self.log('refused', conn=conn.number, code=error['code'])
        if error['code'] == -32001:
            self.turned_away()
        if not conn.ready.done():
            conn.ready.set_result(False)

    def enrolled(self, conn, given):
        once, key = conn.enrolling
        self.login = Token(given['token']) if 'token' in given else key
        self.log('enrolled', conn=conn.number, cred=self.login.value,
                 once=once)
        self.invitation = None

    def accepted(self, conn, r):
        conn.up = True
        self.conn = conn
        if conn.enrolling:
            self.enrolled(conn, r.get('enrolled', {}))
        self.log('up', conn=conn.number, channel=r['channel'],
                 epoch=r['epoch'], security=r['security'])
        if not conn.ready.done():
            conn.ready.set_result(True)
        self.pump(conn)
        for cid in sorted(self.unreported):
            self.report(cid)
        self.send_patch()

    def call(self, method, params):
        """A future: the answer, or None when the channel ended first."""
        f = asyncio.get_running_loop().create_future()
        if self.conn is None or self.conn.over:
            f.set_result(None)
            return f
        self.counter += 1
        self.conn.calls[self.counter] = f
        self.conn.say({'jsonrpc': '2.0', 'id': self.counter,
                       'method': method, 'params': params})
        return f

    # ---- what a device does

    async def leave(self, method, params):
        """bye or sleep, and off."""
        self.wanted = False
        conn = self.conn
        if conn is None or conn.over:
            return
        self.log('asks', conn=conn.number, method=method)
        answer = await self.call(method, params)
        if answer is not None and 'result' in answer:
            self.log(method, conn=conn.number, **params)
            conn.how = method
        if not conn.over:
            conn.reset(conn.how if conn.how != 'lost' else 'reset')

    def lose_power(self):
        """What it was doing is interrupted; it reports that when it is back."""
        for cid in list(self.running):
            self.done(cid, 'interrupted')
        self.conn.reset()

    async def move(self, conn, drain):
        """Asked to connect again, at a random time within the window."""
        r = self.fleet.random
        if r.random() < 0.1:
            return              # it has not read that chapter
        await asyncio.sleep(r.uniform(0, drain['window_ms'] / 1000))
        if conn is self.conn and not conn.over and self.wanted:
            await self.leave('bye', {'reason': 'drain'})
            if self.number not in self.fleet.stay_away:
                self.go()

    def describe(self):
        """One patch of its inventory at a time, sent until it is stored."""
        r = self.fleet.random
        if self.patch is not None:
            return
        self.patch = {
            f'k{r.randrange(6)}': r.choice((
                None, r.randrange(1000), 'Größe "1"',
                {f's{r.randrange(3)}': r.choice((None, [1, 2], 'x'))}))
            for _ in range(3)}
        self.log('patch', patch=self.patch)
        self.send_patch()

    def send_patch(self, patch=None):
        patch = patch or self.patch
        if patch is None or patch is not self.patch or self.conn is None:
            return
        f = self.call('inventory', {'patch': patch})
        f.add_done_callback(lambda f: self.described(patch, f.result()))

    def described(self, patch, answer):
        if answer is None or patch is not self.patch:
            return              # sent again on the next channel
        if 'result' not in answer:
            asyncio.get_running_loop().call_later(0.3, self.send_patch, patch)
            return
        self.patch = None
        self.log('described', revision=answer['result']['revision'])

    def measure(self):
        """Telemetry: written down, then sent until it is stored."""
        self.seq += 1
        data = [{'n': self.seq, 'x': self.fleet.random.randrange(1 << 30)}]
        self.unsent[self.seq] = data
        self.log('sent', seq=self.seq, data=data)
        if self.conn is not None:
            self.pump(self.conn)

    def pump(self, conn):
        """In the order of seq, at most 16 without an answer."""
        for seq in sorted(s for s in self.unsent if s > conn.sent):
            if conn.flying == 16 or conn.refused or conn is not self.conn:
                return
            conn.sent = seq
            conn.flying += 1
            f = self.call('telemetry', {'seq': seq,
                                        'data': self.unsent[seq]})
            f.add_done_callback(lambda f: self.stored(conn, f.result()))

    def stored(self, conn, answer):
        conn.flying -= 1
        if answer is None:
            return              # sent again on the next channel
        if 'result' not in answer:
            self.refused(conn)
            return
        if conn.refused and conn.flying == 0:
            self.refused(conn)
        n = answer['result']['stored']
        self.log('stored', n=n)
        for seq in [s for s in self.unsent if s <= n]:
            del self.unsent[seq]
        self.pump(conn)

    def refused(self, conn):
        """Not just now: all from there on again, after a moment, when nothing
        of it is under way any more."""
        if not conn.refused:
            self.fleet.refusals += 1
        conn.refused = True
        if conn.flying == 0:
            asyncio.get_running_loop().call_later(0.3, self.resume, conn)

    def resume(self, conn):
        conn.refused = False
        conn.sent = 0
        self.pump(conn)

    def command(self, conn, m):
        p = m['params']
        cid = p['command_id']
        known = cid in self.commands
        if not known:
            self.commands[cid] = None       # recorded, then answered
            self.log('recorded', cid=cid)
        conn.say({'jsonrpc': '2.0', 'id': m['id'], 'result': {}})
        if not known:
            self.log('ran', cid=cid)
            if p['verb'] == 'x-slow':
                self.running[cid] = asyncio.get_running_loop().call_later(
                    self.fleet.random.uniform(0.1, 2), self.done, cid, 'ok')
            else:
                self.done(cid, 'error' if p['verb'] == 'x-fail' else 'ok')
        elif self.commands[cid] is not None:
            self.unreported.add(cid)
            self.report(cid)

    def cancel(self, conn, m):
        cid = m['params']['command_id']
        if cid not in self.commands:
            conn.say({'jsonrpc': '2.0', 'id': m['id'], 'error': {
                'code': -32007, 'message': 'never heard of it'}})
            return
        conn.say({'jsonrpc': '2.0', 'id': m['id'], 'result': {}})
        if cid in self.running:
            self.done(cid, 'cancelled')
        elif self.commands[cid] is not None:
            self.unreported.add(cid)
            self.report(cid)

    def done(self, cid, outcome):
        timer = self.running.pop(cid, None)
        if timer is not None:
            timer.cancel()
        self.commands[cid] = outcome
        self.log('done', cid=cid, outcome=outcome)
        self.unreported.add(cid)
        self.report(cid)

    def report(self, cid):
        f = self.call('outcome', {'command_id': cid,
                                  'outcome': self.commands[cid],
                                  'result': {'by': self.number}})
        f.add_done_callback(lambda f: self.reported(cid, f.result()))

    def reported(self, cid, answer):
        if answer is None:
            return
        if 'result' in answer:
            self.log('final', cid=cid, final=answer['result']['final'],
                     mine=self.commands[cid])
            self.unreported.discard(cid)
        elif answer['error']['code'] == -32007:
            self.unreported.discard(cid)
        else:
            asyncio.get_running_loop().call_later(0.3, self.report, cid)


class Fleet:
    def __init__(self, path, random, dead_s):
        self.random, self.dead_s = random, dead_s
        self.devices = []
        self.conns = self.refusals = 0
        self.gate = asyncio.Semaphore(CONNECTING)
        self.file = open(path, 'w', encoding='utf-8')
        self.places = {}            # name: (host, port, ssl, netns)
        self.failure = None         # of a task that nobody waits for
        self.stay_away = set()      # of two twins, those that give in

    def log(self, device, what, more):
        self.file.write(json.dumps({
            't': round(now() * 1000), 'dev': device.number,
            'id': device.endpoint, 'what': what, **more}) + '\n')

    def flush(self):
        self.file.flush()

    def next_conn(self):
        self.conns += 1
        return self.conns

    def add(self, endpoint, login, where):
        d = Device(self, len(self.devices), endpoint, login, where)
        self.devices.append(d)
        return d

    async def dial(self, where, factory):
        host, port, context, netns = self.places[where]
        loop = asyncio.get_running_loop()
        if netns is not None:
            with netns.inside():
                sock = socket.socket()
        else:
            sock = socket.socket()
        try:
            sock.setblocking(False)
            await loop.sock_connect(sock, (host, port))
            return await loop.create_connection(
                factory, sock=sock, ssl=context,
                server_hostname='localhost' if context else None)
        except BaseException:
            sock.close()
            raise

    def task_over(self, task):
        if not task.cancelled() and task.exception() is not None:
            self.failure = task.exception()

    async def watch(self):
        """Ends what has been silent for too long, as a device has to."""
        while True:
            await asyncio.sleep(0.5)
            for d in self.devices:
                if d.conn is not None and \
                        now() - d.conn.heard > self.dead_s:
                    d.conn.reset('silence')

    def superseded(self, device):
        """Somebody else is this endpoint now: doc/protocol.md wants a wait."""
        if device.number in self.stay_away:
            device.wanted = False

    def settled(self):
        """Everybody who wants to be connected is, and nobody waits."""
        if self.failure is not None:
            raise self.failure
        for d in self.devices:
            if d.wanted and (d.conn is None or not d.conn.up or d.conn.over):
                return False
            if d.conn is not None and d.conn.calls:
                return False
        return True
