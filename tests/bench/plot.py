#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Draws bench.json: bytes and CPU against the number of channels.  One SVG with
three panels, both axes logarithmic; standard library only.

    plot.py bench.json bench.svg
"""
import json
import math
import re
import statistics
import sys
from xml.sax.saxutils import escape

COLOURS = {"cleat": "#c0392b", "libwebsockets": "#2471a3", "nginx": "#1e8449",
           "node ws": "#b7950b", "no TLS": "#7f8c8d"}
WIDTH, HEIGHT = 360, 330            # of a panel, with its margins
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 40, 44
ECHO = re.compile(r"echo 64 B, (\d+) channels, depth 1$")


def panels(result):
    """[(title, unit, {server name: [(channels, value)]})]"""
    idle = {}
    for of in result.get("idle", {}).values():
        for name, r in of.items():
            idle.setdefault(name, []).append((r["channels"], r["bytes"]))
    echo = {}
    for cell, of in result.get("cells", {}).get("us", {}).items():
        found = ECHO.match(cell)
        for name, values in of.items() if found else ():
            echo.setdefault(name, []).append(
                (int(found.group(1)), statistics.median(values)))
    fan = {}
    for n, of in result.get("fan", {}).get("us", {}).items():
        for name, values in of.items():
            fan.setdefault(name, []).append(
                (int(n), statistics.median(values)))
    return [("memory of an idle channel", "B", idle),
            ("CPU of an echo, 64 B", "us", echo),
            ("CPU of a fan-out, for each channel", "us", fan)]


def bounds(values):
    """Powers of ten would waste room: 1, 2 or 5 times one."""
    low, high = min(values), max(values)
    steps = [m * 10.0 ** e for e in range(-3, 9) for m in (1, 2, 5)]
    below = max([s for s in steps if s <= low], default=low)
    above = min([s for s in steps if s >= high], default=high)
    if below == above:
        below, above = below / 2, above * 2
    return below, above, [s for s in steps if below <= s <= above]


def short(number):
    return f"{number / 1000:g}k" if number >= 1000 else f"{number:g}"


class Panel:
    def __init__(self, title, unit, lines):
        points = [p for line in lines.values() for p in line if p[1] > 0]
        self.title, self.unit = title, unit
        self.lines = {k: sorted(set(p for p in v if p[1] > 0))
                      for k, v in lines.items()}
        self.empty = not points
        if points:
            self.x = bounds([p[0] for p in points])
            self.y = bounds([p[1] for p in points])

    def place(self, x, y):
        def part(v, b):
            return math.log(v / b[0]) / math.log(b[1] / b[0])
        return (LEFT + part(x, self.x) * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - part(y, self.y) * (HEIGHT - TOP - BOTTOM))

    def axes(self):
        for y in self.y[2]:
            at = self.place(self.x[0], y)[1]
            yield (f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" '
                   f'y1="{at:.1f}" y2="{at:.1f}"/>')
            yield (f'<text x="{LEFT - 5}" y="{at + 4:.1f}" '
                   f'text-anchor="end">{short(y)}</text>')
        for x in self.x[2]:
            at = self.place(x, self.y[0])[0]
            yield (f'<line class="g" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" '
                   f'y2="{HEIGHT - BOTTOM}"/>')
            yield (f'<text x="{at:.1f}" y="{HEIGHT - BOTTOM + 15}" '
                   f'text-anchor="middle">{short(x)}</text>')

    def draw(self):
        yield (f'<text class="t" x="{LEFT}" y="20">{escape(self.title)}, '
               f'{self.unit}</text>')
        if self.empty:
            yield f'<text x="{LEFT}" y="{HEIGHT / 2}">not measured</text>'
            return
        yield from self.axes()
        yield (f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" '
               'text-anchor="middle">channels</text>')
        for name, line in self.lines.items():
            colour = COLOURS.get(name, "#000")
            at = [self.place(*p) for p in line]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
            yield f'<polyline points="{path}" stroke="{colour}"/>'
            for (x, y), (n, v) in zip(at, line):
                yield (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" '
                       f'fill="{colour}"><title>{escape(name)}: {n} channels, '
                       f'{v:.4g} {self.unit}</title></circle>')


def draw(result):
    """The whole picture, as text."""
    all_panels = [Panel(*p) for p in panels(result)]
    names = [n for n in COLOURS
             if any(p.lines.get(n) for p in all_panels)]
    width = WIDTH * len(all_panels)
    out = ['<svg xmlns="http://www.w3.org/2000/svg" '
           f'viewBox="0 0 {width} {HEIGHT + 30}" width="{width}" '
           f'height="{HEIGHT + 30}" font-family="sans-serif" font-size="11">',
           '<style>.g{stroke:#ddd}.t{font-size:13px;font-weight:bold}'
           'polyline{fill:none;stroke-width:2}</style>',
           f'<rect width="{width}" height="{HEIGHT + 30}" fill="#fff"/>']
    for i, panel in enumerate(all_panels):
        out.append(f'<g transform="translate({i * WIDTH},0)">')
        out += panel.draw()
        out.append('</g>')
    for i, name in enumerate(names):
        x = LEFT + i * 130
        out.append(f'<rect x="{x}" y="{HEIGHT + 8}" width="12" height="12" '
                   f'fill="{COLOURS[name]}"/>')
        out.append(f'<text x="{x + 18}" y="{HEIGHT + 18}">{escape(name)}'
                   '</text>')
    out.append('</svg>\n')
    return "\n".join(out)


def main():
    with open(sys.argv[1]) as f:
        result = json.load(f)
    with open(sys.argv[2], "w") as f:
        f.write(draw(result))


if __name__ == "__main__":
    sys.exit(main())
