#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures cleat against its peers; `make bench` runs it.

doc/benchmarks.md says what is measured and how.  Each story is a module of its
own: arguments(parser) adds its options, measure(run, kinds) returns what goes
into bench.json under its NAME (None: left out), tell(result) prints it.  One
that fails is told, and the others go on.  Ends by itself: every wait has a
limit.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import cells
import churn
import events
import fan
import idle
import peers
import plot
import rig
import scale
import storm
import upgrade

STORIES = [cells, fan, idle, storm, upgrade, churn, scale, events]
TINY = {"repetitions": 1, "seconds": 0.05, "warm_up": 0.02, "settle": 0.05,
        "fan": "5,10", "idle": "20", "idle_seconds": 0.1, "storm": 30,
        "storms": 1, "upgrade": 60, "upgrades": 2, "upgrade_rate": 500,
        "upgrade_quiet": 1.2, "churn": 200, "events": 1000}


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--builddir", default=".")
    p.add_argument("--full", action="store_true",
                   help="7 repetitions of 3 s, 1,000,000 connects and closes, "
                   "20 upgrades of 12,000 channels")
    p.add_argument("--repetitions", type=int)
    p.add_argument("--seconds", type=float, help="of a measured window")
    p.add_argument("--peers", default="libwebsockets,nginx,node ws,no TLS")
    p.add_argument("--only", default=",".join(s.NAME for s in STORIES),
                   help="stories, of %(default)s")
    p.add_argument("--cflags", default="?")
    p.add_argument("--out", default="bench.json",
                   help="figures; the plot is beside it (.svg)")
    p.add_argument("--tiny", action="store_true",
                   help="next to nothing of everything: whether it works; "
                   "its figures mean nothing")
    p.add_argument("--warm-up", type=float,
                   help="seconds before a window (0.5)")
    p.add_argument("--settle", type=float, default=2,
                   help="seconds until memory is looked at")
    for story in STORIES:
        story.arguments(p)
    if "--tiny" in sys.argv:
        p.set_defaults(**TINY)
    a = p.parse_args()
    a.repetitions = a.repetitions or (7 if a.full else 3)
    a.seconds = a.seconds or (3 if a.full else 1.5)
    if a.churn is None:
        a.churn = 1000000 if a.full else 0
    return a


def kinds_here(run, names):
    """The servers that are wanted and installed, cleat first."""
    kinds = []
    for kind in peers.ALL:
        if kind is not peers.Cleat and kind.name not in names:
            continue
        missing = kind.missing(run)
        if missing is None:
            kinds.append(kind)
        else:
            print(f"# without {kind.name}: there is no {missing}")
    return kinds


def settings(run, kinds):
    result = {}
    for kind in kinds:
        server = kind(run)
        result[kind.name] = server.settings()
        server.stop()
        print(f"{kind.name}: {result[kind.name]}")
    return result


def write(result, path):
    """The figures and, beside them, the plot."""
    text = json.dumps(result, indent=1)
    picture = pathlib.Path(path).with_suffix(".svg")
    pathlib.Path(path).write_text(text + "\n")
    picture.write_text(plot.draw(json.loads(text)))
    return picture


def main():
    args = arguments()
    directory = tempfile.mkdtemp(prefix="cleat-bench-")
    begin = time.monotonic()
    result = {"machine": rig.machine(), "seconds": args.seconds,
              "repetitions": args.repetitions, "failed": {}}
    try:
        run = rig.Run(args, directory, max(idle.counts(args) + [args.storm]))
        print(f"machine: {json.dumps(result['machine'])}")
        kinds = kinds_here(run, args.peers.split(","))
        result["settings"] = settings(run, kinds)
        for story in STORIES:
            if story.NAME not in args.only.split(","):
                continue
            try:
                got = story.measure(run, kinds)
            except (RuntimeError, OSError, subprocess.SubprocessError) as why:
                print(f"\nFAILED: {story.NAME}: {why}", flush=True)
                result["failed"][story.NAME] = str(why)
                continue
            if got is not None:
                result[story.NAME] = got
                story.tell(got)
                sys.stdout.flush()
        result["load_average_after"] = os.getloadavg()
        result["took_s"] = time.monotonic() - begin
        print(f"\nwritten: {args.out}, {write(result, args.out)}; it took "
              f"{result['took_s']:.0f} s")
        return 1 if result["failed"] else 0
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
