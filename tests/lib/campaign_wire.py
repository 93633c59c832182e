# SPDX-License-Identifier: Apache-2.0
"""One connection of a simulated device: WebSocket (RFC 6455) for asyncio, as
small as it gets.  What the messages mean is campaign_fleet.py's.  Standard
library only."""
import asyncio
import base64
import json
import os
import socket
import struct
import time

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
        self.enrolling = None       # by which one-time token, for which key
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
