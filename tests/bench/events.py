# SPDX-License-Identifier: Apache-2.0
"""What an event costs the worker that emits it, and what two
subscribers get."""
import re
import subprocess

import report

NAME = "events"
EMIT_NS = (500, 200)


def arguments(parser):
    parser.add_argument("--events", type=int, default=200000,
                        help="of each case; 0: leave out")


def measure(run, kinds):
    del kinds
    if run.args.events <= 0:
        return None
    done = subprocess.run([run.bench_event, str(run.args.events)],
                          capture_output=True, text=True, check=True,
                          timeout=300)
    lines = []
    for line in done.stdout.splitlines():
        lines.append({k: int(v) if v.isdigit() else v for k, v in
                      re.findall(r"(\w+)=(\S+)", line)})
    return lines


def tell(result):
    print("\nEvents: CPU of the emitting thread for one")
    for r in result:
        if "ns_per_emit" in r:
            print(f"    {r['producers']} emitting, listening: "
                  f"{r['listener']}: {r['ns_per_emit']} ns, {r['dropped']} "
                  f"dropped   {report.verdict(r['ns_per_emit'], EMIT_NS)}")
        else:
            print(f"    subscriber {r['subscriber']} at {r['rate']} a second: "
                  f"{r['lost']} of {r['sent']} lost")
