#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A whole device in one file: a lamp that blinks, written from doc/protocol.md and what was seen on the wire.

    apt install python3-websockets python3-cryptography
    device.py -s wss://cleat.example.org -e lamp-3 --state lamp-3 --enrol-token-file once

What has to outlive a restart is in lamp-3/key and lamp-3/device.db. SIGTERM makes it say goodbye.
"""
import argparse, asyncio, contextlib, json, os, random, signal, sqlite3, ssl, time, urllib.parse
import websockets
from cryptography.hazmat.primitives import serialization as form
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

UNKNOWN_METHOD, INVALID, WAITS_FOR_APPROVAL, NO_SUCH_COMMAND = -32601, -32602, -32006, -32007
WHO_WE_ARE, LATER = (4001, 4003, 4004, 4005), (1013, 4008)  # codes that channels are closed with


class Refused(Exception):
    def __init__(self, code, message, data=None):
        super().__init__(f"{message} ({code})")
        self.code, self.data = code, data


def load_key(path):
    """The device's key: made at the first start, and never let out."""
    if not os.path.exists(path):
        pem = Ed25519PrivateKey.generate().private_bytes(
            form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        with open(os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.rename(path + ".new", path)
    with open(path, "rb") as file:
        return form.load_pem_private_key(file.read(), None)


class Memory:
    """What must not be forgotten. It is on the disk when a function returns."""

    def __init__(self, path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.executescript("""PRAGMA synchronous = EXTRA;
            CREATE TABLE IF NOT EXISTS fact(name TEXT PRIMARY KEY, value TEXT);
            CREATE TABLE IF NOT EXISTS report(seq INTEGER PRIMARY KEY AUTOINCREMENT, data TEXT);
            CREATE TABLE IF NOT EXISTS command(n INTEGER PRIMARY KEY, id TEXT UNIQUE, verb TEXT, args TEXT,
                                               until REAL, begun INTEGER DEFAULT 0, outcome TEXT);""")
        for (command,) in self.rows("SELECT id FROM command WHERE begun AND outcome IS NULL"):
            self.finish(command, "interrupted", message="the device was restarted")

    def rows(self, sql, *values):
        return self.db.execute(sql, values).fetchall()

    def get(self, name, default):
        found = self.rows("SELECT value FROM fact WHERE name = ?", name)
        return json.loads(found[0][0]) if found else default

    def put(self, name, value):
        self.rows("INSERT OR REPLACE INTO fact VALUES (?, ?)", name, json.dumps(value))

    def finish(self, command, outcome, **more):
        self.rows("UPDATE command SET outcome = ? WHERE id = ?",
                  json.dumps({"command_id": command, "outcome": outcome, **more}), command)


class Device:
    def __init__(self, options):
        os.makedirs(options.state, 0o700, exist_ok=True)
        self.options, self.memory = options, Memory(os.path.join(options.state, "device.db"))
        self.key = load_key(os.path.join(options.state, "key"))
        self.tls = ssl.create_default_context(cafile=options.ca)
        self.verbs = {"message": self.message, "set-server": self.set_server, "x-blink": self.blink}
        self.work, self.outcomes, self.reports = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.online, self.running = False, (None, None)

    def say(self, *words):
        print(*words, flush=True)

    # JSON-RPC. What the server asks for is answered in the order it came, and without waiting for anything.

    async def send(self, **message):
        await self.socket.send(json.dumps({"jsonrpc": "2.0", **message}))

    async def call(self, method, **params):
        self.last_id += 1
        answer = self.waiting[self.last_id] = asyncio.get_running_loop().create_future()
        await self.send(id=self.last_id, method=method, params=params)
        return await answer

    async def read(self):
        async for text in self.socket:
            message = json.loads(text)
            if "method" in message:
                try:
                    answer = {"result": self.serve(message["method"], message.get("params", {}))}
                except Refused as refused:
                    answer = {"error": {"code": refused.code, "message": str(refused)}}
                if "id" in message:
                    await self.send(id=message["id"], **answer)
            elif (answer := self.waiting.pop(message["id"], None)) and not answer.done():
                if "error" in message:
                    error = message["error"]
                    answer.set_exception(Refused(error["code"], error["message"], error.get("data")))
                else:
                    answer.set_result(message["result"])

    def serve(self, method, params):
        command = params.get("command_id")
        if method == "challenge":
            self.nonce.set_result(bytes.fromhex(params["nonce"]))
        elif method == "command":
            if params["verb"] not in self.verbs:
                raise Refused(UNKNOWN_METHOD, "no such verb")
            self.memory.rows("INSERT OR IGNORE INTO command(id, verb, args, until) VALUES (?, ?, ?, ?)", command,
                             params["verb"], json.dumps(params["args"]), time.time() + params["deadline_ms"] / 1000)
            self.say("again" if params["again"] else "command", command, params["verb"])
            self.work.set()
        elif method == "cancel":
            found = self.memory.rows("SELECT begun, outcome FROM command WHERE id = ?", command)
            if not found:
                raise Refused(NO_SUCH_COMMAND, "no such command")
            if self.running[0] == command:
                self.running[1].cancel()
            elif found[0] == (0, None):
                self.memory.finish(command, "cancelled")
                self.outcomes.set()
        elif method == "drain":
            if params["servers"]:
                self.memory.put("servers", params["servers"])
            if not self.drain.done():
                self.drain.set_result(params["window_ms"] / 1000)
        else:
            raise Refused(UNKNOWN_METHOD, "no such method")
        return {}

    # What it can do: one command after the other, whether there is a channel or not.

    async def message(self, command, args):
        self.say("message", args["text"])

    async def set_server(self, command, args):
        self.memory.put("servers", args["servers"])

    async def blink(self, command, args):
        times, told = args.get("times", 3), 0
        for n in range(1, times + 1):
            self.say("blink", command, n)
            if self.online and time.monotonic() - told >= 1:
                told = time.monotonic()
                with contextlib.suppress(websockets.ConnectionClosed):
                    await self.send(method="progress", params={"command_id": command, "percent": 100 * n // times})
            await asyncio.sleep(args.get("every_ms", 200) / 1000)
        return {"blinked": times}

    async def obey(self):
        while True:
            self.work.clear()
            for command, verb, args, until in self.memory.rows(
                    "SELECT id, verb, args, until FROM command WHERE NOT begun AND outcome IS NULL ORDER BY n LIMIT 1"):
                self.work.set()
                if time.time() > until:
                    self.memory.finish(command, "cancelled", message="too late")
                else:
                    self.memory.rows("UPDATE command SET begun = 1 WHERE id = ?", command)
                    task = asyncio.create_task(self.verbs[verb](command, json.loads(args)))
                    self.running = (command, task)
                    await asyncio.wait([task])
                    self.running = (None, None)
                    if task.cancelled():
                        self.memory.finish(command, "cancelled")
                    elif task.exception():
                        self.memory.finish(command, "error", message=repr(task.exception()))
                    else:
                        self.memory.finish(command, "ok", result=task.result())
                self.say("done", command)
                self.outcomes.set()
            await self.work.wait()

    async def measure(self):
        while True:
            self.memory.rows("INSERT INTO report(data) VALUES (?)", json.dumps([{"load": os.getloadavg()[0]}]))
            self.reports.set()
            await asyncio.sleep(self.options.interval)

    # What it does while there is a channel.

    async def tell(self, news, sql, method, done):
        """Sends what the query finds, one after the other, until the server has answered each."""
        while True:
            news.clear()
            for key, params in self.memory.rows(sql):
                try:
                    done(key, await self.call(method, **json.loads(params)))
                except Refused as refused:
                    if refused.code == UNKNOWN_METHOD:
                        return
                    if refused.code not in (INVALID, NO_SUCH_COMMAND):  # not just now
                        await asyncio.sleep(random.uniform(2, 6))
                        news.set()
                        break
                    self.say("dropped", method, key, refused)
                    done(key, {"final": "refused", "stored": key})
            await news.wait()

    def outcome_is_known(self, command, result):
        self.memory.rows("DELETE FROM command WHERE id = ?", command)
        self.say("final", command, result["final"])

    def report_is_stored(self, seq, result):
        self.memory.rows("DELETE FROM report WHERE seq <= ?", result["stored"])
        self.reports.set()

    async def ping(self, every, dead):
        while True:
            await asyncio.sleep(every)
            await asyncio.wait_for(await self.socket.ping(), dead - every)

    async def goodbye(self):
        await asyncio.wait([self.stop, self.drain], return_when=asyncio.FIRST_COMPLETED)
        if self.drain.done():
            await asyncio.wait([self.stop], timeout=random.uniform(0, self.drain.result()))
        await self.call("bye", reason="stop" if self.stop.done() else "drain")

    async def hello(self):
        public = self.key.public_key().public_bytes(form.Encoding.Raw, form.PublicFormat.Raw)
        # Python's TLS has no exporter: a byte 0, and the channel is wss, not wss-safe.
        signed = b"cleat hello v1\0" + await self.nonce + b"\0" + self.options.endpoint.encode()
        auth = {"method": "key" if self.memory.get("enrolled", False) else "enrol", "public_key": public.hex(),
                "signature": self.key.sign(signed).hex(), "binding": "none"}
        if auth["method"] == "enrol" and self.options.enrol_token_file:
            with open(self.options.enrol_token_file) as file:
                auth["token"] = file.read().strip()
        with open("/proc/sys/kernel/random/boot_id") as file:
            result = await self.call("hello", endpoint=self.options.endpoint, auth=auth, boot_id=file.read().strip(),
                                     agent={"name": "example-device", "version": "1"})
        self.memory.put("enrolled", True)
        self.memory.put("retry", result["retry"])
        if result["servers"]:
            self.memory.put("servers", result["servers"])
        return result

    async def live(self):
        result = await self.hello()
        # Numbers that the server has, and we do not know of, are not used again.
        self.memory.rows("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'report'", result["telemetry_seq"])
        self.online = True
        self.say("online", result["channel"], result["security"])
        async with asyncio.TaskGroup() as group:  # one that fails ends them all
            for task in (self.goodbye(), self.ping(result["ping_ms"] / 1000, result["dead_ms"] / 1000),
                         self.call("inventory", patch={"model": "lamp", "kernel": os.uname().release}),
                         self.tell(self.outcomes, "SELECT id, outcome FROM command WHERE outcome NOT NULL ORDER BY n",
                                   "outcome", self.outcome_is_known),
                         self.tell(self.reports, "SELECT seq, json_object('seq', seq, 'data', json(data)) FROM report "
                                   "ORDER BY seq LIMIT 100", "telemetry", self.report_is_stored)):
                group.create_task(task)

    async def connect(self, url):
        """One channel from its beginning to its end: the code it was closed with, and what went wrong."""
        loop = asyncio.get_running_loop()
        self.nonce, self.drain, self.last_id, self.waiting = loop.create_future(), loop.create_future(), 0, {}
        parts = urllib.parse.urlsplit(url)
        url = parts._replace(path="/v1/channel" if parts.path in ("", "/") else parts.path).geturl()
        async with websockets.connect(url, ssl=self.tls, subprotocols=["cleat.v1.jsonrpc"], ping_interval=None,
                                      close_timeout=3) as self.socket:
            tasks = [asyncio.create_task(self.live()), asyncio.create_task(self.read())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(tasks[1:], timeout=3)  # when it refuses, the server says with its code what to do
            self.online = False
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        whys = [task.exception() for task in tasks if not task.cancelled() and task.exception()]
        return self.socket.close_code, whys[0] if whys else None

    async def run(self):
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        self.stop = asyncio.create_task(stopping.wait())
        background = asyncio.gather(self.obey(), self.measure())
        attempt, code, why = 0, None, None
        while True:
            retry = self.memory.get("retry", {"min_ms": 1000, "max_ms": 120000})
            shortest, longest = retry["min_ms"] / 1000, retry["max_ms"] / 1000
            wait = random.uniform(0, min(longest, shortest * 2 ** min(attempt, 30)))
            if isinstance(why, Refused) and why.code == WAITS_FOR_APPROVAL:
                self.say("an operator has to approve", why.data["fingerprint"])
                wait += 30
            elif code in WHO_WE_ARE:
                wait = longest
            elif code in LATER:
                wait += shortest
            await asyncio.wait([self.stop, background], timeout=wait, return_when=asyncio.FIRST_COMPLETED)
            if self.stop.done() or background.done():
                break
            servers = self.memory.get("servers", []) + [self.options.server]
            began, code, why = time.monotonic(), None, None
            try:
                code, why = await self.connect(servers[attempt % len(servers)])
            except (OSError, ValueError, asyncio.TimeoutError, websockets.WebSocketException) as error:
                why = error
            self.say("closed", code, repr(why))
            attempt = 0 if time.monotonic() - began > longest else attempt + 1
        background.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await background


async def main():
    parser = argparse.ArgumentParser(description="A lamp that blinks: an example of a device for cleat.")
    parser.add_argument("-s", "--server", required=True, metavar="URL", help="wss://HOST[:PORT]")
    parser.add_argument("-e", "--endpoint", required=True, metavar="ID")
    parser.add_argument("--ca", metavar="FILE", help="who vouches for the server; else the system's authorities")
    parser.add_argument("--state", required=True, metavar="FOLDER", help="for what has to outlive a restart")
    parser.add_argument("--enrol-token-file", metavar="FILE", help="a one-time token, for the first time")
    parser.add_argument("--interval", type=float, default=10, metavar="SECONDS", help="between two reports")
    await Device(parser.parse_args()).run()

asyncio.run(main())
