# SPDX-License-Identifier: Apache-2.0
"""RssAnon after many connects and closes against after few."""
import time

import peers
import report

NAME = "churn"
FEW = 10000
RATIO = (1.05, 1.01)


def arguments(parser):
    parser.add_argument("--churn", type=int,
                        help="connects and closes; 0: leave out")


def measure(run, kinds):
    del kinds
    if run.args.churn <= 0:
        return None
    server = peers.Cleat(run).start()
    try:
        done, memory = [], []
        for total in (min(FEW, run.args.churn // 10), run.args.churn):
            at = done[-1] if done else 0
            r = run.measure(server, ["connect", "--conns", "32", "--ops",
                                     str(total - at), "--seconds", "7200"],
                            7300)
            done.append(at + r["ops"])
            time.sleep(run.args.settle)    # until what was left open is gone
            memory.append(server.memory())
        return {"connects": done, "bytes": memory,
                "ratio": memory[-1] / memory[0]}
    finally:
        server.stop()


def tell(result):
    few, many = result["connects"]
    print(f"\nRssAnon after {many} connects and closes to after {few}\n"
          f"    {result['bytes'][1]} B to {result['bytes'][0]} B: "
          f"{result['ratio']:.4f}   "
          + report.verdict(result["ratio"], RATIO if many >= 1000000 else None))
