# SPDX-License-Identifier: Apache-2.0
"""Channels that are only there: bytes, descriptors, CPU of keepalive.  A fresh
server for each number of channels."""
import time

import report
import rig

NAME = "idle"
RATIO = {"libwebsockets": (1 / 20, None)}
BYTES = (1000, 800)
JUDGED = 10000      # with fewer it is the tables' first pages that count


def arguments(parser):
    parser.add_argument("--idle", default="1000,5000,15000",
                        help="idle channels in one process; 0: leave out")
    parser.add_argument("--idle-seconds", type=float, default=21,
                        help="CPU of keepalive is counted for so long")


def counts(args):
    return [int(n) for n in args.idle.split(",") if int(n) > 0]


def one(run, kind, wanted):
    count = min(wanted, kind.most)
    server = kind(run, "idle").start()
    try:
        run.measure(server, ["connect", "--conns", "32", "--seconds",
                             str(min(1, run.args.seconds))])
        time.sleep(run.args.settle)           # until what was left open is gone
        before, files = server.memory(), server.descriptors()
        with rig.Held(run, server, "idle", count):
            time.sleep(run.args.settle)
            after, files_after = server.memory(), server.descriptors()
            begin, used = time.monotonic(), server.cpu()
            time.sleep(run.args.idle_seconds)
            used = (server.cpu() - used) / (time.monotonic() - begin)
        return {"channels": count, "bytes": (after - before) / count,
                "descriptors": (files_after - files) / count,
                "cpu_ms": used * 1e3}
    finally:
        server.stop()


def measure(run, kinds):
    sizes = counts(run.args)
    if not sizes:
        return None
    result = {}
    for n in sizes:
        result[n] = {}
        for kind in kinds:
            if "--plain" in kind.load:
                continue
            try:
                result[n][kind.name] = one(run, kind, n)
            except RuntimeError as error:
                if kind.name == "cleat":
                    raise
                print(f"# no idle cell: {error}")
    return result


def tell(result):
    print("\nIdle channels: B (RssAnon + RssShmem) of each; CPU of all, ms in "
          "a second\n(cleat pings each channel every 20 s, the others do not)")
    for n, of in result.items():
        print(f"\n  {n} channels")
        mine = of["cleat"]
        for peer, r in of.items():
            line = (f"    {peer:14} {r['bytes']:9.0f} B   {r['channels']} "
                    f"channels, {r['descriptors']:.2f} descriptors each, "
                    f"{r['cpu_ms']:.2f} ms/s")
            judged = r["channels"] >= JUDGED
            if peer == "cleat":
                line += "   " + report.verdict(r["bytes"],
                                               BYTES if judged else None)
            elif min(mine["bytes"], r["bytes"]) > 0:
                part = mine["bytes"] / r["bytes"]
                line += (f"   cleat/it 1/{1 / part:.1f}  "
                         + report.verdict(part, RATIO.get(peer)
                                          if judged else None))
            print(line.rstrip())
