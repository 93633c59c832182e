# SPDX-License-Identifier: Apache-2.0
"""Fan-out: one message of 256 B in, one to every channel out.  CPU for each
channel; the next round begins when all have theirs."""
import report

NAME = "fan"
TARGETS = {"libwebsockets": (1.0, 0.7), "node ws": (1.0, 0.7)}
SIZE = 256


def arguments(parser):
    parser.add_argument("--fan", default="1000,5000,10000",
                        help="channels of the fan-out; 0: leave out")


def counts(args):
    return [int(n) for n in args.fan.split(",") if int(n) > 0]


def why_not(run, kind, most):
    if kind.fan_load is None:
        return "it has none of its own"
    if kind.name == "cleat" and not run.can_fan:
        return "tests/bench/fan.la is not built"
    if kind.most < most:
        return "too many descriptors"
    return None


def measure(run, kinds):
    sizes = counts(run.args)
    if not sizes:
        return None
    result = {"us": {n: {} for n in sizes}, "notes": {}}
    servers = []
    try:
        for kind in kinds:
            why = why_not(run, kind, max(sizes))
            if why is None:
                servers.append(kind(run, "fan").start())
            else:
                result["notes"][kind.name] = why
        for _ in range(run.args.repetitions):
            for n in sizes:
                for s in servers:
                    r = run.measure(s, s.fan_load + [
                        "fan", "--conns", str(n), "--size", str(SIZE),
                        "--seconds", str(run.args.seconds)])
                    result["us"][n].setdefault(s.name, []).append(r["us"])
    finally:
        for s in servers:
            s.stop()
    return result


def tell(result):
    print(f"\nFan-out of {SIZE} B, server CPU for each channel, us: median "
          "(smallest - largest)")
    for n, values in result["us"].items():
        print(f"\n  to {n} channels")
        report.compare(values, TARGETS if int(n) >= 10000 else {})
    for peer, why in result["notes"].items():
        print(f"    # not {peer}: {why}")
