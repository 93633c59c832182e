# SPDX-License-Identifier: Apache-2.0
"""Thousands of devices in one asyncio loop, written from doc/protocol.md.  Each
writes down what it did and what it was told, and nothing that it guesses: that
log is one side of what campaign_check.py compares.  Standard library only."""
import asyncio
import base64
import json
import os
import socket
import struct
import time

CONNECTING = 128                # attempts under way at a time
PATIENCE = 20.0                 # for one attempt
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def now():
    return time.monotonic()


def frame(opcode, payload):
    """The mask is all zero: legal, and nothing has to be computed."""
    n = len(payload)
    head = bytes([0x80 | opcode]) + (
        bytes([0x80 | n]) if n < 126 else
        bytes([0xfe]) + struct.pack('>H', n) if n < 65536 else
        bytes([0xff]) + struct.pack('>Q', n))
    return head + b'\0\0\0\0' + payload


class Conn(asyncio.Protocol):
    """One connection of a device."""

    def __init__(self, device, number):
        self.device, self.number = device, number
        self.buffer = bytearray()
        self.open, self.up, self.over = False, False, False
        self.transport = None
        self.how, self.code = 'lost', 0
        self.heard = now()
        self.sent, self.flying, self.refused = 0, 0, False  # telemetry
        self.calls = {}             # id: future of the answer
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            (f'GET /v1/channel HTTP/1.1\r\nHost: localhost\r\n'
             f'Upgrade: websocket\r\nConnection: Upgrade\r\n'
             f'Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n'
             f'Sec-WebSocket-Protocol: cleat.v1.jsonrpc\r\n\r\n').encode())

    def connection_lost(self, exc):
        self.over = True
        if not self.ready.done():
            self.ready.set_result(False)
        self.device.ended(self)

    def data_received(self, data):
        self.heard = now()
        self.buffer += data
        if not self.open:
            end = self.buffer.find(b'\r\n\r\n')
            if end < 0:
                return
            if not self.buffer.startswith(b'HTTP/1.1 101'):
                self.transport.abort()
                return
            del self.buffer[:end + 4]
            self.open = True
        while self.one():
            pass

    def one(self):
        b = self.buffer
        if len(b) < 2:
            return False
        n, at = b[1], 2
        if n == 126:
            if len(b) < 4:
                return False
            n, at = struct.unpack_from('>H', b, 2)[0], 4
        elif n == 127:
            if len(b) < 10:
                return False
            n, at = struct.unpack_from('>Q', b, 2)[0], 10
        if len(b) < at + n:
            return False
        opcode, payload = b[0] & 15, bytes(b[at:at + n])
        del b[:at + n]
        if opcode == PING:
            self.transport.write(frame(PONG, payload))
        elif opcode == CLOSE:
            if self.how == 'lost':
                self.how = 'closed'
            self.code = struct.unpack('>H', payload[:2])[0] \
                if len(payload) >= 2 else 1005
            self.transport.write(frame(CLOSE, payload[:2]))
            self.transport.close()
        elif opcode == TEXT:
            self.device.message(self, json.loads(payload))
        return True

    def say(self, value):
        if not self.over and self.transport is not None:
            self.transport.write(frame(TEXT, json.dumps(value).encode()))

    def reset(self, how='reset'):
        """The power is gone: no close, a reset."""
        if self.over:
            return
        self.how = how
        sock = self.transport.get_extra_info('socket')
        if sock is not None and how == 'reset':
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                            struct.pack('ii', 1, 0))
        self.transport.abort()


class Device:
    """`wanted`: it connects again by itself.  `obey`: what it does with a
    command's verb; the ids it has seen outlive everything but the fleet."""

    def __init__(self, fleet, number, endpoint, token, where):
        self.fleet, self.number = fleet, number
        self.endpoint, self.token, self.where = endpoint, token, where
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

    def log(self, what, **more):
        self.fleet.log(self, what, more)

    # ---- connecting

    def go(self):
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

    # ---- messages

    def message(self, conn, m):
        if m.get('method') == 'challenge':
            conn.say({'jsonrpc': '2.0', 'id': 0, 'method': 'hello',
                      'params': {'endpoint': self.endpoint,
                                 'auth': {'method': 'token',
                                          'token': self.token}}})
        elif m.get('method') == 'command':
            self.command(conn, m)
        elif m.get('method') == 'cancel':
            conn.say({'jsonrpc': '2.0', 'id': m['id'], 'result': {}})
        elif 'method' in m:
            if 'id' in m:
                conn.say({'jsonrpc': '2.0', 'id': m['id'],
                          'error': {'code': -32601, 'message': 'unknown'}})
        elif m.get('id') == 0:
            if 'result' in m:
                self.accepted(conn, m['result'])
            elif not conn.ready.done():
                conn.ready.set_result(False)
        else:
            f = conn.calls.pop(m.get('id'), None)
            if f is not None and not f.done():
                f.set_result(m)

    def accepted(self, conn, r):
        conn.up = True
        self.conn = conn
        self.log('up', conn=conn.number, channel=r['channel'],
                 epoch=r['epoch'], security=r['security'])
        if not conn.ready.done():
            conn.ready.set_result(True)
        self.pump(conn)
        for cid in sorted(self.unreported):
            self.report(cid)

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
            self.commands[cid] = 'ok' if p['verb'] != 'x-fail' else 'error'
            self.unreported.add(cid)
        elif self.commands[cid] is not None:
            self.unreported.add(cid)
        if self.commands[cid] is not None:
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

    def add(self, endpoint, token, where):
        d = Device(self, len(self.devices), endpoint, token, where)
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
