# SPDX-License-Identifier: Apache-2.0
"""The servers that `make bench` compares, each started with its best settings.

Owns their processes and files, which all live in one temporary directory.
Everything listens on 127.0.0.1 and runs on core 0; the plain backend behind
nginx, which is not counted, runs on core 1 beside the load generator.
"""
import os
import pathlib
import signal
import socket
import subprocess
import time

SERVER_CORE = 0
CLIENT_CORE = 1
FILES_MAX = 20000


def cores():
    """The cores for server and client; one machine may have only one."""
    have = sorted(os.sched_getaffinity(0))
    return have[0], have[-1]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def spawn(argv, core, log, **more):
    def pin():
        os.sched_setaffinity(0, {core})
    return subprocess.Popen(argv, stdout=log, stderr=log,
                            stdin=subprocess.DEVNULL, preexec_fn=pin, **more)


class Server:
    """One running server.  `pids` are the processes whose CPU is counted."""

    name = ""
    load = []           # arguments of the load generator
    idle_load = []      # more, for idle channels
    idle_most = FILES_MAX - 1000

    def __init__(self, run):
        self.run = run
        self.dir = pathlib.Path(run.dir) / self.name
        self.dir.mkdir(exist_ok=True)
        self.port = free_port()
        self.children = []
        self.pids = []
        self.log = open(self.dir / "log", "ab")

    def settings(self):
        raise NotImplementedError

    def launch(self):
        raise NotImplementedError

    def start(self):
        try:
            self.launch()
            self.wait(self.port)
        except BaseException:
            self.stop()
            raise
        self.pids = self.pids or [self.children[0].pid]
        return self

    def wait(self, port):
        end = time.monotonic() + 20
        while True:
            if any(c.poll() is not None for c in self.children):
                raise RuntimeError(f"{self.name} ended, see {self.tail()}")
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port)) == 0:
                    return
            if time.monotonic() > end:
                raise RuntimeError(f"{self.name} does not listen: "
                                   f"{self.tail()}")
            time.sleep(0.05)

    def tail(self):
        text = (self.dir / "log").read_text(errors="replace")
        return "\n".join(text.splitlines()[-10:])

    def stop(self):
        for c in self.children:
            if c.poll() is None:
                c.send_signal(signal.SIGTERM)
        for c in self.children:
            try:
                c.wait(10)
            except subprocess.TimeoutExpired:
                c.kill()
                c.wait()
        self.log.close()

    def memory(self):
        """RssAnon + RssShmem in bytes, over the counted processes."""
        total = 0
        for pid in self.pids:
            for line in open(f"/proc/{pid}/status"):
                if line.startswith(("RssAnon:", "RssShmem:")):
                    total += int(line.split()[1]) * 1024
        return total

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{p}/fd")) for p in self.pids)


class Cleat(Server):
    name = "cleat"
    load = ["--path", "/echo"]

    def __init__(self, run):
        super().__init__(run)
        self.idle_load = ["--path", "/v1/channel", "--subprotocol",
                          "cleat.v1.jsonrpc", "--devices", run.devices]

    def settings(self):
        return ("cleatd, workers = 1, 1 session ticket, ping every 20 s, "
                "events published (nobody subscribed), log level info into a "
                "file; built with: " + self.run.cflags)

    def launch(self):
        state, runtime = self.dir / "state", self.dir / "run"
        state.mkdir(mode=0o700, exist_ok=True)
        runtime.mkdir(mode=0o700, exist_ok=True)
        conf = self.dir / "cleat.conf"
        conf.write_text(f"""\
[daemon]
workers = 1
state_dir = {state}
runtime_dir = {runtime}
plugin_dir = {self.run.plugins}
[limits]
connections_per_address = 0
[listener.main]
address = 127.0.0.1:{self.port}
[slot.main]
source = cert
default = yes
[plugin.cert]
module = cert-file
chain = {self.run.cert}
key = {self.run.key}
[plugin.endpoint]
module = proto-endpoint
[plugin.echo]
module = proto-echo
max_message = 1MiB
[auth]
token_file = {self.run.tokens}
""")
        self.children = [spawn([self.run.cleatd, "--config", str(conf)],
                               self.run.server_core, self.log)]


class Lws(Server):
    name = "libwebsockets"
    # Each connection owns a receive buffer of this size.
    RX = 32768
    IDLE_RX = 512

    def settings(self):
        return ("own echo (tests/bench/peer_lws.c), poll loop (its libuv loop "
                "was slower), 1 session ticket, SSL_MODE_RELEASE_BUFFERS, no "
                "extensions, as many writes in a turn as the socket takes, "
                f"receive buffer {self.RX} B (idle cell: {self.IDLE_RX} B)")

    def launch(self):
        self.children = [spawn(
            [self.run.peer_lws, str(self.port), self.run.cert, self.run.key,
             str(self.IDLE_RX if self.run.idle_now else self.RX), "poll"],
            self.run.server_core, self.log)]


class Nginx(Server):
    name = "nginx"
    idle_most = 6000    # two descriptors each

    def settings(self):
        return ("1 worker, TLS in front of a plain C echo "
                "(tests/bench/backend.c, not counted), access_log off, "
                "proxy_buffer_size 16k, ssl_buffer_size 16k")

    def launch(self):
        back = free_port()
        conf = self.dir / "nginx.conf"
        root = "user root;" if os.geteuid() == 0 else ""
        temp = "".join(f"  {kind}_temp_path {self.dir}/{kind};\n" for kind in
                       ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf.write_text(f"""\
{root}
daemon off;
worker_processes 1;
pid {self.dir}/pid;
error_log {self.dir}/error.log;
events {{ worker_connections {FILES_MAX - 100}; }}
http {{
  access_log off;
{temp}
  server {{
    listen 127.0.0.1:{self.port} ssl backlog=4096;
    ssl_certificate {self.run.cert};
    ssl_certificate_key {self.run.key};
    ssl_protocols TLSv1.3;
    ssl_buffer_size 16k;
    location / {{
      proxy_pass http://127.0.0.1:{back};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection "Upgrade";
      proxy_read_timeout 1h;
      proxy_buffer_size 16k;
      proxy_buffers 4 16k;
    }}
  }}
}}
""")
        backend = spawn([self.run.backend, str(back)], self.run.client_core,
                        self.log)
        self.children = [backend]
        self.wait(back)
        master = spawn(["nginx", "-c", str(conf), "-p", str(self.dir),
                        "-e", str(self.dir / "error.log")],
                       self.run.server_core, self.log)
        self.children = [master, backend]
        self.wait(self.port)
        kids = open(f"/proc/{master.pid}/task/{master.pid}/children")
        self.pids = [int(p) for p in kids.read().split()]


class Node(Server):
    name = "node ws"

    def settings(self):
        return ("node-ws of Debian, perMessageDeflate and clientTracking off, "
                "skipUTF8Validation (tests/bench/peer_node.js)")

    def launch(self):
        self.children = [spawn(
            ["node", self.run.peer_node, str(self.port), self.run.cert,
             self.run.key], self.run.server_core, self.log)]


class Plain(Server):
    """No peer but a bound: what the kernel takes for one recv and one send a
    message, and a WebSocket echo without TLS hardly adds to."""

    name = "no TLS"
    load = ["--plain"]

    def settings(self):
        return ("the plain C echo (tests/bench/backend.c) alone: recv and send "
                "with no TLS, no limits, no protocol")

    def launch(self):
        self.children = [spawn([self.run.backend, str(self.port)],
                               self.run.server_core, self.log)]


ALL = [Cleat, Lws, Nginx, Node, Plain]
