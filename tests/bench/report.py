# SPDX-License-Identifier: Apache-2.0
"""How figures are told: medians with their spread, ratios cleat : peer, and
whether what was promised is met."""
import statistics


def middle(values):
    return statistics.median(values)


def spread(values, form=".2f"):
    """Median (smallest - largest)."""
    return (f"{middle(values):{form}} ({min(values):{form}} - "
            f"{max(values):{form}})")


def part(a, b):
    """A window of milliseconds may end with no CPU seen: then there is none."""
    return a / b if b > 0 else float("nan")


def ratio(mine, other):
    """Of the medians; with the smallest and largest within one repetition."""
    each = [part(a, b) for a, b in zip(mine, other)]
    return part(middle(mine), middle(other)), min(each), max(each)


def verdict(value, target):
    """target: None, or (what must be, what is the goal); at most."""
    if target is None:
        return ""
    must, goal = target
    text = f"must <= {must:.4g}: {'met' if value <= must else 'NOT MET'}"
    if goal is not None:
        text += f", goal <= {goal:.4g}: {'met' if value <= goal else 'not met'}"
    return text


def compare(values, targets=None):
    """Lines of one cell: {server name: [value of each repetition]}."""
    targets = targets or {}
    mine = values.get("cleat")
    for name, v in values.items():
        if not v:
            continue
        line = f"    {name:14} {spread(v)}"
        if name != "cleat" and mine:
            all_in_all, low, high = ratio(mine, v)
            line += (f"   cleat/it {all_in_all:.3f} ({low:.3f} - {high:.3f})  "
                     f"{verdict(all_in_all, targets.get(name))}")
        print(line.rstrip())
