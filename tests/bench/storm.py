# SPDX-License-Identifier: Apache-2.0
"""All devices are back at once after kill -9.  The server is started again,
then all channels come at the same moment, with the tickets that they have; who
is refused comes again within 1 s (retry_min)."""
import time

import report
import rig

NAME = "storm"
HOLD = 300


def arguments(parser):
    parser.add_argument("--storm", type=int, default=15000,
                        help="devices that come back; 0: leave out")
    parser.add_argument("--storms", type=int, default=2)


def one(run, kind):
    count = min(run.args.storm, kind.most)
    server = kind(run, "idle").start()
    try:
        with rig.Held(run, server, "storm", count, ["--resume"],
                      HOLD) as held:
            server.kill()
            server.start()
            used, begin = server.cpu(), time.monotonic()
            held.tell()
            lost = held.answer()["lost"]
            back = held.answer()
            # What it still does afterwards belongs to it: writing, freeing.
            time.sleep(run.args.settle)
            used = server.cpu() - used
            return dict(back, channels=count, lost=lost, cpu_s=used,
                        us=used * 1e6 / count, peak=server.peak(),
                        wall=time.monotonic() - begin)
    finally:
        server.stop()


def measure(run, kinds):
    if run.args.storm <= 0:
        return None
    result = {}
    for _ in range(run.args.storms):
        for kind in kinds:
            if "--plain" in kind.load:
                continue
            try:
                r = one(run, kind)
            except RuntimeError as error:
                if kind.name == "cleat":
                    raise
                print(f"# no storm: {error}")
                continue
            if r["back"] < r["channels"] and kind.name == "cleat":
                raise RuntimeError(f"only {r['back']} of {r['channels']} "
                                   "devices came back")
            result.setdefault(kind.name, []).append(r)
    return result


def tell(result):
    print("\nAll back at once after kill -9, server CPU for each, us: median "
          "(smallest - largest)")
    report.compare({k: [r["us"] for r in v] for k, v in result.items()})
    for peer, runs in result.items():
        r = runs[-1]
        print(f"    # {peer}: {r['back']} of {r['channels']} back after "
              f"{report.spread([x['seconds'] for x in runs])} s, "
              f"{r['resumed']} resumed, {r['failures']} refused or lost, at "
              f"most {max(x['peak'] for x in runs) / 2**20:.0f} MiB")
