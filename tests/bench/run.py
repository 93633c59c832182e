#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures cleat against its peers; `make bench` runs it.

doc/benchmarks.md says what is measured and how.  Servers are interleaved within
each repetition, so that whatever else the machine does hits all of them.  Ends
by itself: every wait has a limit.
"""
import argparse
import hashlib
import json
import os
import pathlib
import platform
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import peers

# name, arguments of the load generator, targets cleat : peer
ECHO = "echo {} B, {} channels, depth {}"
CELLS = [
    ("full WSS connect", ["connect", "--conns", "32"],
     {"libwebsockets": 0.8, "nginx": 0.8}),
    (ECHO.format(64, 100, 1),
     ["echo", "--conns", "100", "--size", "64", "--depth", "1"],
     {"libwebsockets": 0.5}),
    (ECHO.format(64, 100, 16),
     ["echo", "--conns", "100", "--size", "64", "--depth", "16"],
     {"libwebsockets": 0.10}),
    (ECHO.format(1024, 100, 1),
     ["echo", "--conns", "100", "--size", "1024", "--depth", "1"], {}),
    (ECHO.format(1024, 100, 16),
     ["echo", "--conns", "100", "--size", "1024", "--depth", "16"],
     {"libwebsockets": 0.15}),
    (ECHO.format(16384, 100, 1),
     ["echo", "--conns", "100", "--size", "16384", "--depth", "1"], {}),
]
IDLE = "idle channel, user memory"
IDLE_TARGET = {"libwebsockets": 1 / 15}
IDLE_BYTES = 1000
EVENT_NS = 500
CHURN = (10000, 100000)


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--builddir", default=".")
    p.add_argument("--full", action="store_true",
                   help="7 repetitions of 3 s, and connect-and-close cycles")
    p.add_argument("--repetitions", type=int)
    p.add_argument("--seconds", type=float, help="of a measured window")
    p.add_argument("--idle", type=int, default=15000,
                   help="idle channels in one process; 0: leave out")
    p.add_argument("--churn", action="store_true",
                   help="memory after many connects")
    p.add_argument("--cells", default="", help="only names that contain this")
    p.add_argument("--peers", default="libwebsockets,nginx,node ws,no TLS")
    p.add_argument("--cflags", default="?")
    p.add_argument("--no-event", action="store_true")
    p.add_argument("--out", default="bench.json")
    a = p.parse_args()
    a.repetitions = a.repetitions or (7 if a.full else 3)
    a.seconds = a.seconds or (3 if a.full else 1.5)
    a.churn = a.churn or a.full
    return a


class Run:
    """What all servers share: programs, credentials, tokens, cores."""

    def __init__(self, args, directory):
        build = pathlib.Path(args.builddir).resolve()
        here = pathlib.Path(__file__).resolve().parent
        self.args = args
        self.dir = directory
        self.idle_now = False
        self.cflags = args.cflags
        self.cleatd = str(build / "cleatd")
        self.plugins = str(next(build.glob("plugins-*")))
        self.load = str(build / "tests/bench/load")
        self.peer_lws = str(build / "tests/bench/peer_lws")
        self.backend = str(build / "tests/bench/backend")
        self.bench_event = str(build / "tests/bench/bench_event")
        self.peer_node = str(here / "peer_node.js")
        self.server_core, self.client_core = peers.cores()
        self.cert, self.key = directory + "/cert.pem", directory + "/key.pem"
        self.devices = directory + "/devices"
        self.tokens = directory + "/tokens"
        self.make_certificate()
        self.make_tokens()

    def make_certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.key,
             "-out", self.cert, "-days", "30", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-addext",
             "basicConstraints=critical,CA:FALSE"],
            check=True, stderr=subprocess.DEVNULL)
        os.chmod(self.key, 0o600)

    def make_tokens(self):
        with open(self.devices, "w") as plain, \
                open(self.tokens, "w") as hashed:
            os.chmod(self.tokens, 0o600)
            for i in range(self.args.idle):
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

    def measure(self, server, args):
        done = subprocess.run(self.load_argv(server, args), check=False,
                              capture_output=True, text=True, timeout=700,
                              preexec_fn=self.pin)
        if done.returncode != 0:
            raise RuntimeError(f"{server.name}: {done.stderr.strip()} "
                               f"(log: {server.tail()})")
        return json.loads(done.stdout)


def idle(run, kind):
    """Bytes and descriptors for each idle channel of a fresh server."""
    run.idle_now = True
    server = kind(run).start()
    try:
        count = min(run.args.idle, kind.idle_most)
        run.measure(server, ["connect", "--conns", "32", "--seconds", "1"])
        time.sleep(2)           # until what was left open is gone
        before, files = server.memory(), server.descriptors()
        argv = run.load_argv(server, ["idle", "--conns", str(count),
                                      "--hold", "300"] + server.idle_load)
        client = subprocess.Popen(argv, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, text=True,
                                  preexec_fn=run.pin)
        try:
            if "ready" not in client.stdout.readline():
                raise RuntimeError(f"{server.name}: not all channels opened "
                                   f"({server.tail()})")
            time.sleep(2)
            after, files_after = server.memory(), server.descriptors()
        finally:
            client.stdin.close()
            client.wait(30)
        return {"channels": count, "bytes": (after - before) / count,
                "descriptors": (files_after - files) / count}
    finally:
        run.idle_now = False
        server.stop()


def churn(run):
    """RssAnon after many connects and closes against after few."""
    server = peers.Cleat(run).start()
    try:
        done, memory = [], []
        for total in CHURN:
            at = done[-1] if done else 0
            r = run.measure(server, ["connect", "--conns", "32", "--ops",
                                     str(total - at), "--seconds", "600"])
            done.append(at + r["ops"])
            time.sleep(3)
            memory.append(server.memory())
        return {"connects": done, "bytes": memory,
                "ratio": memory[-1] / memory[0]}
    finally:
        server.stop()


def cells(run, kinds, wanted):
    values = {name: {k.name: [] for k in kinds} for name, _, _ in wanted}
    servers = []
    try:
        for kind in kinds:
            servers.append(kind(run).start())
        for rep in range(run.args.repetitions):
            for name, args, _ in wanted:
                for s in servers:
                    r = run.measure(s, args + ["--seconds",
                                               str(run.args.seconds)])
                    values[name][s.name].append(r["us"])
                    if r["failures"]:
                        print(f"# {s.name}: {r['failures']} failed connects "
                              f"({r['first_failure']})")
            print(f"# repetition {rep + 1} of {run.args.repetitions} done, "
                  f"load average {os.getloadavg()[0]:.1f}", flush=True)
    finally:
        for s in servers:
            s.stop()
    return values


def machine():
    cpu = re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo").read())
    versions = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version}, ", "libgnutls30",
         "libmicrohttpd12", "libssl3", "libwebsockets17", "nginx", "nodejs",
         "node-ws"], capture_output=True, text=True, check=False).stdout
    return {"cpu": cpu.group(1) if cpu else platform.machine(),
            "cores": os.cpu_count(), "kernel": platform.release(),
            "packages": versions.rstrip(", "),
            "load_average": os.getloadavg()}


def verdict(ratio, target):
    if target is None:
        return ""
    return f"<= {target:.3g} {'met' if ratio <= target else 'NOT MET'}"


def table(values, wanted):
    """CPU for each operation, and how much of a peer's cleat needs."""
    print("\nServer CPU for one operation, us: median (smallest - largest)")
    for name, _, targets in wanted:
        mine = values[name]["cleat"]
        print(f"\n  {name}")
        for peer, v in values[name].items():
            line = (f"    {peer:14} {statistics.median(v):9.2f} "
                    f"({min(v):.2f} - {max(v):.2f})")
            if peer != "cleat":
                ratio = statistics.median(mine) / statistics.median(v)
                each = [a / b for a, b in zip(mine, v)]
                line += (f"   cleat/it {ratio:.3f} "
                         f"({min(each):.3f} - {max(each):.3f})  "
                         f"{verdict(ratio, targets.get(peer))}")
            print(line)


def idle_table(result):
    print(f"\n{IDLE}, B (RssAnon + RssShmem)")
    mine = result["cleat"]["bytes"]
    # With few channels it is the tables' first pages that are measured.
    judged = result["cleat"]["channels"] >= 10000
    for peer, r in result.items():
        line = (f"    {peer:14} {r['bytes']:9.0f}   {r['channels']} channels, "
                f"{r['descriptors']:.2f} descriptors each")
        if peer == "cleat":
            line += f"   {verdict(mine, IDLE_BYTES if judged else None)}"
        else:
            target = IDLE_TARGET.get(peer) if judged else None
            line += (f"   cleat/it 1/{r['bytes'] / mine:.1f}  "
                     f"{verdict(mine / r['bytes'], target)}")
        print(line)


def event_cost(run):
    done = subprocess.run([run.bench_event], capture_output=True, text=True,
                          check=True, timeout=300)
    print(f"\nCost of an event to a worker (target <= {EVENT_NS} ns)")
    print("    " + done.stdout.strip().replace("\n", "\n    "))
    return done.stdout.splitlines()


def main():
    args = arguments()
    names = args.peers.split(",")
    kinds = [k for k in peers.ALL
             if k is peers.Cleat or k.name in names]
    wanted = [c for c in CELLS if args.cells in c[0]]
    directory = tempfile.mkdtemp(prefix="cleat-bench-")
    result = {"machine": machine(), "seconds": args.seconds,
              "repetitions": args.repetitions}
    try:
        run = Run(args, directory)
        print(f"machine: {json.dumps(result['machine'])}")
        result["settings"] = {}
        for k in kinds:
            result["settings"][k.name] = k(run).settings()
            print(f"{k.name}: {result['settings'][k.name]}")
        if wanted:
            result["us"] = cells(run, kinds, wanted)
            table(result["us"], wanted)
        if args.idle > 0:
            result["idle"] = {}
            for k in kinds:
                try:
                    result["idle"][k.name] = idle(run, k)
                except RuntimeError as error:
                    if k is peers.Cleat:
                        raise
                    print(f"# no idle cell: {error}")
            idle_table(result["idle"])
        if args.churn:
            result["churn"] = churn(run)
            print(f"\nRssAnon after connects and closes: {result['churn']}")
        if not args.no_event:
            result["event"] = event_cost(run)
        result["load_average_after"] = os.getloadavg()
        with open(args.out, "w") as f:
            json.dump(result, f, indent=1)
        print(f"\nwritten: {args.out}")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
