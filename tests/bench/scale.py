# SPDX-License-Identifier: Apache-2.0
"""From one worker to two, on the same cores.

The server has all cores but the load generator's, if these are two or more, and
then the rates can be compared.  On two cores it has both and shares one of
them with the load generator: rates say nothing, and the worker on the other
core does more.  What is left to see there is whether an operation costs more
CPU when two workers share the work (locks, caches): if not, a second worker on
a core of its own does as much as the first."""
import os
import statistics

import peers
import report

NAME = "scale"
CELLS = [
    ("connect full", ["connect", "--conns", "32"]),
    ("echo 64 B, 100 channels, depth 1",
     ["echo", "--conns", "100", "--size", "64", "--depth", "1"]),
    ("echo 1024 B, 100 channels, depth 16",
     ["echo", "--conns", "100", "--size", "1024", "--depth", "16"]),
]


def arguments(parser):
    parser.add_argument("--no-scale", action="store_true")


def threads(pid):
    """CPU of each thread, ns."""
    result = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat") as f:
            result[task] = int(f.read().split()[0])
    return result


def measure(run, kinds):
    del kinds
    if run.args.no_scale:
        return None
    if len(run.all_cores) < 2:
        print("# no scaling: one core")
        return None
    cores = run.all_cores - {run.client_core}
    apart = len(cores) >= 2
    result = {"us": {}, "rate": {}, "share": {}, "apart": apart}
    servers = []
    try:
        for workers in (1, 2):
            servers.append(peers.Cleat(run, "echo", workers,
                                       cores if apart else
                                       run.all_cores).start())
        for _ in range(run.args.repetitions):
            for name, args in CELLS:
                for s in servers:
                    before = threads(s.pids[0])
                    r = run.measure(s, args + ["--seconds",
                                               str(run.args.seconds)])
                    used = [t - before.get(task, 0) for task, t in
                            threads(s.pids[0]).items()]
                    result["us"].setdefault(name, {}).setdefault(
                        s.workers, []).append(r["us"])
                    result["rate"].setdefault(name, {}).setdefault(
                        s.workers, []).append(r["ops"] / r["seconds"])
                    if s.workers == 2:
                        result["share"].setdefault(name, []).append(
                            report.part(max(used), sum(used)))
    finally:
        for s in servers:
            s.stop()
    return result


def tell(result):
    print("\nFrom one worker to two: CPU for one operation, us"
          + ("" if result["apart"] else
             "; the load generator shares a core, so no rates"))
    for name, of in result["us"].items():
        one, two = list(of.values())
        share = statistics.median(result["share"][name])
        more, low, high = report.ratio(two, one)
        print(f"\n  {name}\n    one {report.spread(one)}, two "
              f"{report.spread(two)}   two/one {more:.3f} ({low:.3f} - "
              f"{high:.3f}); the busier worker did {share * 100:.0f} %")
        if result["apart"]:
            slow, fast = list(result["rate"][name].values())
            more, low, high = report.ratio(fast, slow)
            print(f"    rate two/one {more:.2f} ({low:.2f} - {high:.2f}), "
                  "unless the load generator's one thread is the limit")
