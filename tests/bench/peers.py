# SPDX-License-Identifier: Apache-2.0
"""The servers that `make bench` compares, each started with its best settings.

Owns their processes and files, which all live in one temporary directory.
Everything listens on 127.0.0.1 and runs on core 0; the plain backend behind
nginx, which is not counted, runs on core 1 beside the load generator.
"""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SERVER_CORE = 0
CLIENT_CORE = 1
FILES_MAX = 20000


def cores():
    """The cores for server and client, and all; a machine may have only one."""
    have = sorted(os.sched_getaffinity(0))
    return have[0], have[-1], set(have)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def spawn(argv, core, log, **more):
    """core: one, or a set of them."""
    def pin():
        os.sched_setaffinity(0, core if isinstance(core, set) else {core})
    return subprocess.Popen(argv, stdout=log, stderr=log,
                            stdin=subprocess.DEVNULL, preexec_fn=pin, **more)


class Server:
    """One running server.  `pids` are the processes whose CPU is counted.
    role: what it is for: "echo", "idle", "fan", or "psk_ke" where that is not
    the same as "echo"."""

    name = ""
    load = []           # arguments of the load generator
    fan_load = None     # for fan-out; None: it cannot
    idle_load = []      # more, for idle channels
    roles = ("echo", "idle", "fan")     # of which it has settings
    most = FILES_MAX - 1000             # channels

    def __init__(self, run, role="echo"):
        self.run = run
        self.role = role
        # One of its own for each: nothing is known from before.
        self.dir = pathlib.Path(tempfile.mkdtemp(
            prefix=f"{self.name}-{role}-".replace(" ", "-"), dir=run.dir))
        self.port = free_port()
        self.children = []
        self.pids = []
        self.log = open(self.dir / "log", "ab")

    @classmethod
    def missing(cls, run):
        """What it needs and is not there; None: nothing."""
        del run
        return None

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

    def cpu(self):
        """Seconds on the CPU clocks (clock_getcpuclockid of the C library)."""
        return sum(time.clock_gettime(~p << 3 | 2) for p in self.pids)

    def kill(self):
        """SIGKILL, for all at once; start() starts it again on its port."""
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        for c in self.children:
            c.kill()
        for c in self.children:
            c.wait()
        # nginx's workers are nobody's children now; their port has to be free.
        end = time.monotonic() + 20
        while any(alive(p) for p in self.pids) and time.monotonic() < end:
            time.sleep(0.01)
        self.children, self.pids = [], []

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

    def status(self, *names):
        """Fields of /proc/PID/status in bytes, over the counted processes."""
        total = 0
        for pid in self.pids:
            with open(f"/proc/{pid}/status") as f:
                total += sum(int(line.split()[1]) * 1024 for line in f
                             if line.split(":")[0] in names)
        return total

    def memory(self):
        return self.status("RssAnon", "RssShmem")

    def peak(self):
        """The most that it ever had, less the mapped files it has now."""
        return self.status("VmHWM") - self.status("RssFile")

    def descriptors(self):
        return sum(len(os.listdir(f"/proc/{p}/fd")) for p in self.pids)


class Cleat(Server):
    name = "cleat"
    roles = Server.roles + ("psk_ke",)
    load = ["--path", "/echo"]
    fan_load = ["--path", "/fan"]

    def __init__(self, run, role="echo", workers=1, cores=None):
        super().__init__(run, role)
        self.workers = workers
        self.cores = cores or run.server_core
        self.idle_load = ["--path", "/v1/channel", "--subprotocol",
                          "cleat.v1.jsonrpc", "--devices", run.devices]

    def settings(self):
        return ("cleatd, workers = 1, 1 session ticket, ping every 20 s, "
                "events published (nobody subscribed), log level info into a "
                "file; fan-out by a plugin (tests/bench/fan.c); built with: "
                + self.run.cflags)

    def configure(self):
        state, runtime = self.dir / "state", self.dir / "run"
        state.mkdir(mode=0o700, exist_ok=True)
        runtime.mkdir(mode=0o700, exist_ok=True)
        conf = self.dir / "cleat.conf"
        psk_ke = "[tls]\npsk_ke = yes\n" if self.role == "psk_ke" else ""
        fan = "[plugin.fan]\nmodule = fan\n" if self.role == "fan" else ""
        conf.write_text(f"""\
[daemon]
workers = {self.workers}
state_dir = {state}
runtime_dir = {runtime}
plugin_dir = {self.run.plugins}
[limits]
connections_per_address = 0
{psk_ke}[listener.main]
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
{fan}[auth]
token_file = {self.run.tokens}
""")
        return conf

    def launch(self):
        self.children = [spawn(
            [self.run.cleatd, "--config", str(self.configure())], self.cores,
            self.log)]


class Lws(Server):
    name = "libwebsockets"
    # Each connection owns a receive buffer of this size.
    RX = 32768
    IDLE_RX = 512
    fan_load = ["--path", "/fan"]

    @classmethod
    def missing(cls, run):
        return None if os.path.exists(run.peer_lws) else \
            "tests/bench/peer_lws (package libwebsockets-dev)"

    def settings(self):
        return ("own echo (tests/bench/peer_lws.c), poll loop (its libuv loop "
                "was slower), 1 session ticket, SSL_MODE_RELEASE_BUFFERS, "
                "SSL_OP_ALLOW_NO_DHE_KEX, ticket keys from a file, no "
                "extensions, as many writes in a turn as the socket takes, "
                f"receive buffer {self.RX} B (idle, storm, fan-out: "
                f"{self.IDLE_RX} B), fan-out from one shared buffer")

    def launch(self):
        self.children = [spawn(
            [self.run.peer_lws, str(self.port), self.run.cert, self.run.key,
             self.run.ticket_keys,
             str(self.RX if self.role == "echo" else self.IDLE_RX), "poll",
             "fan" if self.role == "fan" else "echo"],
            self.run.server_core, self.log)]


class Nginx(Server):
    name = "nginx"
    most = 6000         # two descriptors each

    @classmethod
    def missing(cls, run):
        return None if shutil.which("nginx") else "nginx (package nginx-light)"

    def settings(self):
        return ("1 worker, TLS in front of a plain C echo "
                "(tests/bench/backend.c, not counted), access_log off, "
                "proxy_buffer_size 16k, ssl_buffer_size 16k, AllowNoDHEKEX, "
                "ssl_session_ticket_key")

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
    ssl_session_ticket_key {self.run.ticket_keys};
    ssl_conf_command Options AllowNoDHEKEX;
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
        end = time.monotonic() + 20
        while not self.pids and time.monotonic() < end:
            with open(f"/proc/{master.pid}/task/{master.pid}/children") as f:
                self.pids = [int(p) for p in f.read().split()]
            time.sleep(0.01)


class Node(Server):
    name = "node ws"
    fan_load = ["--path", "/fan"]

    @classmethod
    def missing(cls, run):
        if shutil.which("node") is None:
            return "node (package nodejs)"
        return None if os.path.exists("/usr/share/nodejs/ws") else \
            "ws (package node-ws)"

    def settings(self):
        return ("node-ws of Debian, perMessageDeflate and clientTracking off, "
                "skipUTF8Validation, SSL_OP_ALLOW_NO_DHE_KEX, ticketKeys "
                "(tests/bench/peer_node.js)")

    def launch(self):
        self.children = [spawn(
            ["node", self.run.peer_node, str(self.port), self.run.cert,
             self.run.key, self.run.ticket_keys], self.run.server_core,
            self.log)]


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
