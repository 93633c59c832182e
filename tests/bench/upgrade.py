# SPDX-License-Identifier: Apache-2.0
"""Upgrades in a row, in turns to a daemon with a higher minor version and back,
while numbered messages go both ways on channels of TLS 1.3 and 1.2, devices
obey commands and visitors connect.  cleat alone: no peer can do that.

tests/scenario/upgrade_load.py does the same with fewer channels."""
import json
import os
import pathlib
import resource
import secrets
import subprocess
import sys
import threading
import time

import report

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

NAME = "upgrade"
LATE_MS = 50            # the goal
BAD = ("lost", "doubled", "reordered", "wrong", "closed", "refused")
EACH = 3                # commands for a device, before each upgrade
COMMANDED = 50          # devices that get any
LEFT = 8                # descriptors that somebody may hold just now
MEMORY_BYTES = 1 << 20  # and a tenth: the heap is not twice the same


def arguments(parser):
    parser.add_argument("--upgrade", type=int,
                        help="channels; 0: leave out (3,000; full: 12,000)")
    parser.add_argument("--upgrades", type=int, help="in a row (6; full: 20)")
    parser.add_argument("--upgrade-to", metavar="BINARY",
                        help="in turns with cleatd itself (the same with a "
                        "higher minor version)")
    parser.add_argument("--upgrade-rate", type=int, default=4000,
                        help="messages a second over all channels")
    parser.add_argument("--upgrade-quiet", type=float, default=2,
                        help="seconds before each, to compare with")


def later(builddir):
    return os.path.join(builddir, "tests/bench/cleatd_later")


def said_version(binary):
    return subprocess.run([binary, "--version"], check=True, text=True,
                          capture_output=True).stdout.split()[1]


class Cpu(threading.Thread):
    """Seconds on a process' CPU clock, looked at until it is gone."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.clock = ~pid << 3 | 2
        self.begin = self.last = time.clock_gettime(self.clock)
        self.over = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.over.wait(0.02):
                self.last = time.clock_gettime(self.clock)
        except OSError:
            pass

    def used(self):
        self.over.set()
        self.join()
        return self.last - self.begin


class Outcomes(threading.Thread):
    """What the bus says of commands, over all upgrades."""

    def __init__(self, bus, errors):
        super().__init__(daemon=True)
        self.bus, self.errors = bus, errors
        self.over = threading.Event()
        self.start()

    def run(self):
        while not self.over.is_set():
            try:
                self.bus.recv(0.2)
            except self.errors:
                pass

    def done(self):
        """{id: outcomes}"""
        found = {}
        for event in list(self.bus.history):
            if event.topic.split("/")[0] == "command.done":
                detail = event["detail"]
                if isinstance(detail, str):
                    detail = json.loads(detail)
                found.setdefault(detail["id"], []).append(detail["outcome"])
        return found

    def end(self):
        self.over.set()
        self.join()
        self.bus._peer.close()


class Load:
    """tests/bench/load in its mode `upgrade`."""

    def __init__(self, program, port, more):
        self.process = subprocess.Popen(
            [program, "upgrade", "--port", str(port), "--path", "/echo",
             "--hold", "3600", *more], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator ended")
        return json.loads(line)

    def mark(self):
        self.process.stdin.write("mark\n")
        self.process.stdin.flush()
        return self.answer()

    def end(self):
        self.process.stdin.write("end\n")
        self.process.stdin.flush()
        return self.answer()

    def stop(self):
        self.process.stdin.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def fields(pid, *names):
    """The sum of fields of /proc/PID/status."""
    with open(f"/proc/{pid}/status") as f:
        return sum(int(line.split()[1]) for line in f
                   if line.split(":")[0] in names)


def daemons():
    """Processes that are ours, zombies too, and run a cleatd."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                name, rest = f.read().rsplit(")", 1)
        except OSError:
            continue
        if int(rest.split()[1]) == os.getpid() and "(cleatd" in name:
            found.append(int(pid))
    return found


class Trial:
    """A daemon, its load, and upgrades in a row."""

    def __init__(self, scene, channels, tls12, agents, rate, visits, quiet):
        import harness          # needs to know the build tree first
        from control import Control
        self.h, self.control_of = harness, Control
        self.agents, self.quiet = agents, quiet
        self.channels, self.load = channels, None
        need = channels + agents + 1000
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < need:
            raise harness.Skip(f"{need} descriptors are needed, not {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        harness.Follower.adopt()
        self.d = scene.daemon(conf={
            "daemon": {"log_level": "notice"},
            "presence": {"recovery": "1s"},
            "limits": {"connections_per_address": "0"}})
        self.names = [f"agent-{i:03d}" for i in range(agents)]
        self.d.tokens.update({n: secrets.token_hex(16) for n in self.names})
        self.d.write_tokens()
        devices = scene.path("devices")
        with open(devices, "w") as f:
            for name in self.names:
                f.write(f"{name} {self.d.tokens[name]}\n")
        self.of_load = [
            "--ca", scene.pki.ca, "--conns", str(channels), "--tls12",
            str(tls12), "--agents", str(agents), "--devices", devices,
            "--rate", str(rate), "--visits", str(visits), "--delay", "0.5"]

    def start(self):
        self.d.start()
        self.given = 0
        self.outcomes = Outcomes(self.d.bus(), self.h.spbus.BusError)
        self.load = Load(
            os.path.join(self.h.BUILDDIR, "tests/bench/load"),
            self.d.address()[1], self.of_load)
        self.load.answer()
        time.sleep(self.quiet)  # what is needed once is not charged to it
        self.load.mark()
        time.sleep(self.quiet)
        self.before = self.state()

    def state(self):
        pid = self.d.process.pid
        return {"memory": fields(pid, "RssAnon", "RssShmem") * 1024,
                "room": fields(pid, "FDSize"), "files": self.d.open_files(),
                "version": self.status()["version"]}

    def status(self):
        control = self.control_of(self.d)
        try:
            return control.get("/v1/status")
        finally:
            control.close()

    def command_all(self):
        control = self.control_of(self.d)
        for n in range(self.given, self.given + EACH):
            for name in self.names[:COMMANDED]:
                control.post("/v1/commands", {
                    "id": f"{name}.{n}", "endpoint": name,
                    "verb": "message", "args": {"text": "x"},
                    "deadline_ms": 3600000})
        control.close()
        self.given += EACH

    def order(self, binary):
        """Again if it is only not the time for it (a slow machine)."""
        def done():
            code, said = self.d.upgrade("--binary", binary)
            self.h.check(code == 0 or " wait" in said,
                         f"an upgrade was refused: {said}")
            return code == 0
        self.h.wait_until("it upgrades", done)

    def upgrade(self, binary):
        """One, with the quiet time before it; its figures."""
        d = self.d
        cpu, begin = Cpu(d.process.pid), time.monotonic()
        time.sleep(self.quiet)
        rate = cpu.used() / (time.monotonic() - begin)
        still = self.load.mark()
        self.command_all()
        self.load.mark()        # that was the store's time
        cpu, begin = Cpu(d.process.pid), time.monotonic()
        self.order(binary)
        took = time.monotonic() - begin
        mine = time.clock_gettime(~d.process.pid << 3 | 2)
        former = cpu.used()
        time.sleep(self.quiet / 2)
        moved = self.load.mark()
        # What the messages cost would have been spent anyway.
        used = former + mine - rate * took
        result = {"still": still, "moved": moved, "took": took,
                  "former": former, "next": mine, "cpu": used,
                  "each": used / (self.channels + self.agents),
                  **self.state()}
        print(f"# {result['version']}: took {took:.2f} s; echoes within "
              f"{moved['worst_ms']:.1f} ms (at {moved['worst_at']:.2f} s, "
              f"{moved['late']} of "
              f"{moved['echoed']} later than {LATE_MS}), without it "
              f"{still['worst_ms']:.1f} ({still['late']}); connects within "
              f"{moved['slowest_connect_ms']:.0f} ms; CPU {former:.2f} and "
              f"{mine:.2f} s, {result['each'] * 1e6:.0f} us a channel; "
              f"{result['memory'] >> 10} KiB, {result['files']} descriptors; "
              f"load average {os.getloadavg()[0]:.1f}", flush=True)
        return result

    def ended_well(self):
        """Commands that the store holds with the outcome that they had."""
        control = self.control_of(self.d)
        try:
            return sum(c["final"] and c["state"] == "ok" for c in
                       control.pages("/v1/commands", "commands", limit=1000))
        finally:
            control.close()

    def finish(self):
        """What became of everything."""
        whole = self.load.end()
        there = self.channels + self.agents
        self.h.wait_until("the last visitors have left", lambda:
                          self.status()["channels"]["open"] == there)
        done = self.outcomes.done()
        self.outcomes.end()
        status = self.status()
        return {"whole": whole,
                "commands": self.given * min(self.agents, COMMANDED),
                "ended_well": self.ended_well(),
                "ended_twice": sum(len(v) != 1 for v in done.values()),
                "open": status["channels"]["open"],
                "counters": self.d.counters(), "after": self.state(),
                "processes": daemons()}

    def stop(self):
        if self.load is not None:
            self.load.stop()


def run(scene, upgrades, binary=None, **sizes):
    """All of it; judge() says what was wrong."""
    trial = Trial(scene, **sizes)
    try:
        trial.start()
        builds = [binary or later(trial.h.BUILDDIR),
                  os.path.join(trial.h.BUILDDIR, "cleatd")]
        rounds = [trial.upgrade(builds[n % 2]) for n in range(upgrades)]
        versions = [said_version(b) for b in builds]
        result = {**sizes, "before": trial.before, "rounds": rounds,
                  "versions": versions, "plain": trial.h.SANITIZER == "no"
                  and not trial.h.VALGRIND, **trial.finish()}
        result["alone"] = result["processes"] == [trial.d.process.pid]
    finally:
        trial.stop()
    trial.d.stop()
    return result


def judge(r):
    """What must not be, as lines."""
    wrong = [f"{r['whole'][name]} {name} ({r['whole']['first_failure']})"
             for name in BAD if r["whole"][name] != 0]
    there = r["channels"] + r["agents"]
    if r["open"] != there:
        wrong.append(f"{r['open']} of {there} channels are open")
    if not r["commands"] == r["ended_well"] == r["whole"]["ended"] == \
            r["whole"]["given"] or r["ended_twice"] != 0:
        wrong.append(f"of {r['commands']} commands {r['whole']['given']} came,"
                     f" {r['whole']['ended']} were answered, "
                     f"{r['ended_well']} have their outcome, "
                     f"{r['ended_twice']} ended twice")
    seen = [x["version"] for x in r["rounds"]]
    if seen != [r["versions"][n % 2] for n in range(len(seen))]:
        wrong.append(f"versions: {seen}")
    if r["after"]["files"] - r["before"]["files"] > LEFT:
        wrong.append(f"{r['after']['files']} descriptors, before "
                     f"{r['before']['files']}")
    # Made at once: each time that it grows, a batch has to wait.
    if r["after"]["room"] < there * 9 // 8 + 256:
        wrong.append(f"room for {r['after']['room']} descriptors")
    # Sanitizers keep what is freed.
    if r["plain"] and r["after"]["memory"] > r["before"]["memory"] * 1.1 + \
            MEMORY_BYTES:
        wrong.append(f"{r['after']['memory']} bytes, before "
                     f"{r['before']['memory']}")
    if not r["alone"]:
        wrong.append(f"processes that are left: {r['processes']}")
    return wrong


def measure(run_, kinds):
    del kinds
    args = run_.args
    channels = args.upgrade
    if channels is None:
        channels = 12000 if args.full else 3000
    if channels <= 0:
        return None
    upgrades = args.upgrades or (20 if args.full else 6)
    os.environ["CLEAT_BUILDDIR"] = os.path.dirname(run_.cleatd)
    os.environ["CLEAT_SRCDIR"] = str(
        pathlib.Path(__file__).resolve().parents[2])
    import harness              # knows where the build tree is now
    scene = harness.Scene()
    try:
        result = run(scene, upgrades, args.upgrade_to, channels=channels,
                     tls12=channels // 6, agents=channels // 6,
                     rate=args.upgrade_rate, visits=20,
                     quiet=args.upgrade_quiet)
        scene.close()
    except (harness.Failure, harness.Skip) as why:
        scene.dump()
        raise RuntimeError(str(why)) from why
    finally:
        scene.remove()
    wrong = judge(result)
    if wrong:
        raise RuntimeError("; ".join(wrong))
    return result


def tell(result):
    rounds, whole = result["rounds"], result["whole"]

    def of(window, name):
        return report.spread([r[window][name] for r in rounds], ".1f")
    print(f"\n{len(rounds)} upgrades of {result['channels']} channels "
          f"({result['tls12']} of TLS 1.2) and {result['agents']} devices, in "
          f"turns to {' and '.join(result['versions'])}")
    print(f"    latest echo       {of('moved', 'worst_ms')} ms, without an "
          f"upgrade {of('still', 'worst_ms')} ms")
    print(f"    later than {LATE_MS} ms  "
          f"{sum(r['moved']['late'] for r in rounds)} of "
          f"{sum(r['moved']['echoed'] for r in rounds)} echoes, without "
          f"{sum(r['still']['late'] for r in rounds)} of "
          f"{sum(r['still']['echoed'] for r in rounds)}")
    print(f"    slowest connect   {of('moved', 'slowest_connect_ms')} ms, "
          f"without {of('still', 'slowest_connect_ms')} ms")
    print("    CPU               former "
          f"{report.spread([r['former'] for r in rounds])} s, next "
          f"{report.spread([r['next'] for r in rounds])} s; less the "
          "messages' "
          f"{report.spread([r['each'] * 1e6 for r in rounds], '.1f')} us for "
          "a channel")
    print(f"    took              "
          f"{report.spread([r['took'] for r in rounds])} s")
    print(f"    memory            {result['before']['memory'] >> 10} KiB "
          f"before, {result['after']['memory'] >> 10} KiB after; descriptors "
          f"{result['before']['files']}, {result['after']['files']}")
    print(f"    {whole['echoed']} of {whole['sent']} echoes, "
          f"{whole['connects']} connects, {result['ended_well']} of "
          f"{result['commands']} commands ended, each once; "
          + ", ".join(f"{whole[name]} {name}" for name in BAD))
