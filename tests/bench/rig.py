# SPDX-License-Identifier: Apache-2.0
"""What all measurements share: programs, credentials, devices, cores, and the
load generator.  A server that a story starts is in peers.py."""
import hashlib
import json
import os
import pathlib
import platform
import re
import secrets
import shutil
import subprocess

import peers


class Run:
    """One run, in a directory of its own.  devices: how many have a token."""

    def __init__(self, args, directory, devices=0):
        build = pathlib.Path(args.builddir).resolve()
        here = pathlib.Path(__file__).resolve().parent
        self.args = args
        self.dir = directory
        self.cflags = args.cflags
        self.cleatd = str(build / "cleatd")
        self.plugins = directory + "/plugins"
        self.load = str(build / "tests/bench/load")
        self.peer_lws = str(build / "tests/bench/peer_lws")
        self.backend = str(build / "tests/bench/backend")
        self.bench_event = str(build / "tests/bench/bench_event")
        self.peer_node = str(here / "peer_node.js")
        self.server_core, self.client_core, self.all_cores = peers.cores()
        self.cert, self.key = directory + "/cert.pem", directory + "/key.pem"
        self.devices = directory + "/devices"
        self.tokens = directory + "/tokens"
        self.ticket_keys = directory + "/ticket-keys"
        self.collect_plugins(build)
        self.make_certificate()
        self.make_tokens(devices)
        with open(self.ticket_keys, "wb") as f:
            f.write(os.urandom(80))

    def collect_plugins(self, build):
        """The daemon's own, and the one that only measuring needs."""
        os.mkdir(self.plugins, 0o755)
        for module in next(build.glob("plugins-*")).glob("*.so"):
            shutil.copy(module, self.plugins)
        fan = build / "tests/bench/.libs/fan.so"
        self.can_fan = fan.exists()
        if self.can_fan:
            shutil.copy(fan, self.plugins)

    def make_certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
             "-out", self.cert, "-days", "30", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-addext",
             "basicConstraints=critical,CA:FALSE"],
            check=True, stderr=subprocess.DEVNULL)
        os.chmod(self.key, 0o600)

    def make_tokens(self, devices):
        with open(self.devices, "w") as plain, \
                open(self.tokens, "w") as hashed:
            os.chmod(self.tokens, 0o600)
            for i in range(devices):
                token = secrets.token_hex(16)
                digest = hashlib.sha256(token.encode()).hexdigest()
                plain.write(f"device-{i:05d} {token}\n")
                hashed.write(f"device-{i:05d} {digest}\n")

    def load_argv(self, server, args):
        argv = [self.load, "--port", str(server.port)]
        for pid in server.pids:
            argv += ["--pid", str(pid)]
        return argv + server.load + args

    def pin(self):
        os.sched_setaffinity(0, {self.client_core})

    def measure(self, server, args, timeout=700):
        """What the load generator says of one window."""
        if self.args.warm_up is not None:
            args = args + ["--warm-up", str(self.args.warm_up)]
        done = subprocess.run(self.load_argv(server, args), check=False,
                              capture_output=True, text=True, timeout=timeout,
                              preexec_fn=self.pin)
        if done.returncode != 0:
            raise RuntimeError(f"{server.name}: {done.stderr.strip()} "
                               f"(log: {server.tail()})")
        result = json.loads(done.stdout)
        if result["failures"]:
            print(f"# {server.name}: {result['failures']} failed connects "
                  f"({result['first_failure']})")
        return result


class Held:
    """Channels that the load generator holds open until the with ends."""

    def __init__(self, run, server, mode, count, args=(), hold=900):
        argv = run.load_argv(server, [mode, "--conns", str(count), "--hold",
                                      str(hold)] + server.idle_load +
                             list(args))
        self.client = subprocess.Popen(argv, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, text=True,
                                       preexec_fn=run.pin)
        self.server = server
        try:
            self.answer()
        except BaseException:
            self.close()
            raise

    def answer(self):
        """Its next line."""
        line = self.client.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.server.name}: not all channels opened "
                               f"({self.server.tail()})")
        return json.loads(line)

    def tell(self):
        self.client.stdin.write("go\n")
        self.client.stdin.flush()

    def close(self):
        try:
            self.client.stdin.close()
            self.client.wait(30)
        finally:
            if self.client.poll() is None:
                self.client.kill()
                self.client.wait()
            self.client.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def machine():
    with open("/proc/cpuinfo") as f:
        cpu = re.search(r"model name\s*:\s*(.*)", f.read())
    versions = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version}, ", "libgnutls30",
         "libmicrohttpd12", "libssl3", "libwebsockets17", "nginx", "nodejs",
         "node-ws"], capture_output=True, text=True, check=False).stdout
    return {"cpu": cpu.group(1) if cpu else platform.machine(),
            "cores": os.cpu_count(), "kernel": platform.release(),
            "packages": versions.rstrip(", "),
            "load_average": os.getloadavg()}
