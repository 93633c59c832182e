#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Replaces the server's certificate over and over while channels carry traffic
and clients connect; `make swaps` runs it.

doc/benchmarks.md says what is measured and how.  Windows with and without swaps
take turns, so that whatever else the machine does hits both.  Fails when a
channel was closed, a message lost, a handshake not answered, or a
target missed.
"""
import argparse
import http.client
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import peers
import rig

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import spbus  # noqa: E402
from generations import Generations  # noqa: E402

CPU_RATIO = 1.2
MEMORY_BYTES = 1 << 20      # that may be left of all swaps together


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--builddir", default=".")
    p.add_argument("--swaps", type=int, default=100)
    p.add_argument("--channels", type=int, default=5000)
    p.add_argument("--rate", type=int, default=2500,
                   help="messages a second over all channels")
    p.add_argument("--seconds", type=float, default=10, help="of a window")
    p.add_argument("--warm-up", type=float, help=argparse.SUPPRESS)
    p.add_argument("--cflags", default="?")
    p.add_argument("--out", default="swaps.json")
    return p.parse_args()


class Run(rig.Run):
    """cleatd reads through a link that swaps replace."""

    def make_certificate(self):
        self.made = Generations(self.dir)
        for _ in range(self.args.swaps + 1):
            self.made.make()
        self.cert, self.key = self.made.chain, self.made.key
        self.live = 0
        self.made.put(0)

    def swap(self, bus):
        """Returns when every new handshake is answered with the next one."""
        self.live += 1
        self.made.put(self.live)
        while True:
            event = bus.recv(30)
            if event["event"] == "certificate.live":
                return
            raise RuntimeError(f"a swap was refused: {event}")


class Control(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=30)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)

    def status(self):
        self.request("GET", "/v1/status")
        return json.loads(self.getresponse().read())


class Traffic:
    """The channels that are open all the time, and their messages."""

    def __init__(self, run, server):
        argv = run.load_argv(server, [
            "steady", "--conns", str(run.args.channels), "--rate",
            str(run.args.rate), "--ca", run.made.root, "--hold", "7200"])
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True,
                                        preexec_fn=run.pin)
        if "ready" not in self.process.stdout.readline():
            raise RuntimeError(f"not all channels opened: {server.tail()}")

    def result(self):
        out, _ = self.process.communicate("", timeout=120)
        return json.loads(out.splitlines()[-1])

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def traffic_only(run, server):
    """CPU seconds in a second that the channels' messages cost."""
    begin, used = time.monotonic(), server.cpu()
    time.sleep(run.args.seconds / 2)
    return (server.cpu() - used) / (time.monotonic() - begin)


def connects(run, server, bus, swapping):
    """A window of handshakes; what the load generator tells, and swaps."""
    argv = run.load_argv(server, [
        "connect", "--conns", "32", "--ca", run.made.root, "--seconds",
        str(run.args.seconds)])
    swaps = 0
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True,
                          preexec_fn=run.pin) as load:
        try:
            time.sleep(1)       # it warms up
            end = time.monotonic() + run.args.seconds - 1
            while swapping and time.monotonic() < end and \
                    run.live < run.args.swaps:
                run.swap(bus)
                swaps += 1
            out, _ = load.communicate(timeout=600)
        finally:
            if load.poll() is None:
                load.kill()
    if load.returncode != 0:
        raise RuntimeError(f"handshakes failed (log: {server.tail()})")
    return dict(json.loads(out), swaps=swaps)


def one_round(run, server, bus, swapping_first):
    """us for each handshake without and with swaps."""
    rate = traffic_only(run, server)
    kinds = [True, False] if swapping_first else [False, True]
    result = {"traffic": rate}
    for swapping in kinds:
        r = connects(run, server, bus, swapping)
        r["us"] = (r["cpu_s"] - rate * r["seconds"]) * 1e6 / r["ops"]
        result["swapping" if swapping else "still"] = r
    a, b = result["still"], result["swapping"]
    result["memory"] = server.memory()
    print(f"# round: traffic alone {rate * 100:.1f} % of a core; a handshake "
          f"{a['us']:.1f} us without, {b['us']:.1f} us with {b['swaps']} "
          f"swaps ({b['ops']} handshakes, {b['certificates']} certificates); "
          f"{result['memory'] / 1024:.0f} KiB; load average "
          f"{os.getloadavg()[0]:.1f}", flush=True)
    return result


def measure(run, server, bus, result):
    traffic = Traffic(run, server)
    try:
        # What a server needs once is not charged to swaps.
        connects(run, server, bus, False)
        time.sleep(3)
        result["memory"] = [server.memory()]
        while run.live < run.args.swaps:
            result["rounds"].append(one_round(
                run, server, bus, len(result["rounds"]) % 2 == 1))
        time.sleep(3)           # until what was left open is gone
        result["memory"].append(server.memory())
        status = Control(f"{server.dir}/run/control.sock").status()
        result["open"] = status["channels"]["open"]
        result["before"] = status["certificates"][0]["channels_before"]
        result["traffic"] = traffic.result()
    finally:
        traffic.stop()


def judge(args, r):
    t, rounds = r["traffic"], r["rounds"]
    all_of = [x[k] for x in rounds for k in ("still", "swapping")]
    ratios = [x["swapping"]["us"] / x["still"]["us"] for x in rounds]
    ratio = statistics.median(x["swapping"]["us"] for x in rounds) / \
        statistics.median(x["still"]["us"] for x in rounds)
    left = r["memory"][1] - r["memory"][0]
    failed = sum(x["failures"] for x in all_of)
    missed = sum(max(0, x["swapping"]["swaps"] - x["swapping"]["certificates"])
                 for x in rounds)
    lines = [
        (t["closed"] == 0 and r["open"] == args.channels,
         f"{t['closed']} of {args.channels} channels were closed; "
         f"{r['open']} open at the end, {r['before']} of them began on a "
         "previous certificate"),
        (t["sent"] == t["echoed"] and t["wrong"] == 0,
         f"{t['sent'] - t['echoed']} of {t['sent']} messages were lost, "
         f"{t['wrong']} came out of order"),
        (failed == 0, f"{failed} of {sum(x['ops'] for x in all_of)} "
         "handshakes failed: each chain led to the root and fitted its key"),
        (missed == 0, f"{missed} of {args.swaps} certificates were never "
         "shown"),
        (left <= MEMORY_BYTES, f"{left / 1024:.0f} KiB more memory after "
         f"{args.swaps} swaps ({r['memory'][0] / 1024:.0f} before)"),
        (ratio <= CPU_RATIO, f"{ratio:.3f} of the CPU for a handshake "
         f"({min(ratios):.3f} - {max(ratios):.3f})"),
    ]
    print()
    for met, text in lines:
        print(f"  {'met    ' if met else 'NOT MET'}  {text}")
    r["ratio"] = ratio
    return all(met for met, _ in lines)


def main():
    args = arguments()
    directory = tempfile.mkdtemp(prefix="cleat-swaps-")
    result = {"machine": rig.machine(), "rounds": []}
    try:
        run = Run(args, directory)
        print(f"machine: {json.dumps(result['machine'])}", flush=True)
        server = peers.Cleat(run).start()
        try:
            bus = spbus.Sub(f"{server.dir}/run/events.ipc", ["certificate."],
                            timeout=30).wait_alive(30)
            measure(run, server, bus, result)
        finally:
            server.stop()
        good = judge(args, result)
        with open(args.out, "w") as f:
            json.dump(result, f, indent=1)
        print(f"\nwritten: {args.out}")
        return 0 if good else 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
