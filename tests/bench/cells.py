# SPDX-License-Identifier: Apache-2.0
"""CPU for one operation: connects and echoes.  All servers run at once, and
take turns in each cell."""
import os

import report

NAME = "cells"

BOTH = ("libwebsockets", "nginx")
CONNECT = ["connect", "--conns", "32"]


def echo(size, channels, depth, targets=None):
    return (f"echo {size} B, {channels} channels, depth {depth}",
            ["echo", "--conns", str(channels), "--size", str(size), "--depth",
             str(depth)], "echo", {"libwebsockets": targets} if targets else {})


# name, arguments of the load generator, role of the servers, targets: what
# cleat : peer must be, and should be
CELLS = [
    ("connect full", CONNECT, "echo", {p: (0.70, 0.62) for p in BOTH}),
    ("connect resumed", CONNECT + ["--resume"], "echo",
     {"libwebsockets": (0.65, 0.58)}),
    ("connect psk_ke", CONNECT + ["--psk-ke"], "psk_ke",
     {"libwebsockets": (0.45, 0.37)}),
    echo(64, 100, 1, (0.45, 0.40)),
    echo(64, 100, 16, (0.08, 0.06)),
    echo(1024, 100, 1),
    echo(1024, 100, 16, (0.12, 0.10)),
    echo(16384, 100, 1, (0.35, 0.28)),
    echo(16384, 100, 16),
    echo(64, 1000, 1),
    echo(64, 1000, 16),
    echo(1024, 1000, 1),
    echo(1024, 1000, 16),
    echo(16384, 1000, 1),
    echo(16384, 1000, 16),
]


def arguments(parser):
    parser.add_argument("--cells", action="append",
                        help="only names that contain this (repeatable)")


def wanted(args):
    return [c for c in CELLS
            if args.cells is None or any(x in c[0] for x in args.cells)]


def fewer(args):
    """With a tenth of the connections."""
    at = args.index("--conns") + 1
    return args[:at] + [str(int(args[at]) // 10)] + args[at + 1:]


class Servers:
    """One of each kind; of those with roles, one for each role."""

    def __init__(self, run, kinds, roles):
        self.run = run
        self.up = {}
        try:
            for kind in kinds:
                self.up[kind, "echo"] = kind(run).start()
                for role in roles - {"echo"}:
                    if role in kind.roles:
                        self.up[kind, role] = kind(run, role).start()
        except BaseException:
            self.stop()
            raise

    def of(self, kind, role):
        return self.up.get((kind, role)) or self.up[kind, "echo"]

    def stop(self):
        for s in self.up.values():
            s.stop()


def resumes(args):
    return "--resume" in args or "--psk-ke" in args


def how_resumed(args, r):
    """What is said of a connect beside its cost; None: not what was wanted."""
    if not resumes(args):
        return ""
    if r["resumed"] < 0.98 * r["ops"]:
        return None
    if "--psk-ke" not in args:
        return "resumed"
    return "psk_ke" if r["psk_ke"] >= 0.98 * r["ops"] else \
        "resumed, but with psk_dhe_ke"


def one(run, result, cell, kind, server):
    name, args, _, _ = cell
    if run.args.tiny:
        args = fewer(args)
    notes = result["notes"].setdefault(name, {})
    if notes.get(kind.name, "").startswith("cannot"):
        return
    if resumes(args) and "--plain" in kind.load:
        notes[kind.name] = "cannot: it has no TLS"
        return
    try:
        r = run.measure(server, args + ["--seconds", str(run.args.seconds)])
    except RuntimeError as error:
        if kind.name == "cleat":
            raise
        notes[kind.name] = f"cannot: {str(error).splitlines()[0][:200]}"
        return
    how = how_resumed(args, r)
    if how is None:
        notes[kind.name] = (f"cannot: {r['resumed']} of {r['ops']} were "
                            "resumed")
        return
    if how:
        notes[kind.name] = how
    result["us"].setdefault(name, {}).setdefault(kind.name, []).append(r["us"])


def measure(run, kinds):
    cells = wanted(run.args)
    if not cells:
        return None
    result = {"us": {}, "notes": {}}
    servers = Servers(run, kinds, {role for _, _, role, _ in cells})
    try:
        for rep in range(run.args.repetitions):
            for cell in cells:
                for kind in kinds:
                    one(run, result, cell, kind, servers.of(kind, cell[2]))
            print(f"# repetition {rep + 1} of {run.args.repetitions} done, "
                  f"load average {os.getloadavg()[0]:.1f}", flush=True)
    finally:
        servers.stop()
    return result


def tell(result):
    print("\nServer CPU for one operation, us: median (smallest - largest)")
    for name, _, _, targets in CELLS:
        if name not in result["notes"]:
            continue
        print(f"\n  {name}")
        report.compare(result["us"].get(name, {}), targets)
        for peer, text in result["notes"][name].items():
            print(f"    # {peer}: {text}")
