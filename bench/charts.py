#!/usr/bin/env python3
"""Charts of a result, drawn by gnuplot: speed-<device> and scaling-<device>, each as SVG and PNG.

    charts.py [--out DIR] RESULT...

speed: milliseconds a step at batch 64 beside the peers' modes that took all turns, and where
normlab's time goes. scaling: time against batch, width and threads. White background, so that they
read in light and dark pages.
"""
import argparse
import os
import subprocess
import sys

from contender import name_of
from readme_table import VARIANTS, contenders, load, rows_at

# ours first; dark enough for white paper, told apart without colour vision
COLOURS = ("#0b6e4f", "#e07a1f", "#3d6fb4", "#8e5aa8", "#777777", "#c23b5a", "#2b8fa3")
LABELS = {"bn_l1": "batch norm + L1", "ln": "layer norm", "gn": "group norm"}
KINDS = (("first two layers, norm and ReLU between", ("first two layers", "moments",
                                                      "norm: statistics from moments",
                                                      "filter gradient from moments")),
         ("other convolutions", ("convolution", "data gradient", "filter gradient")),
         ("norms, ReLU", ("norm:", "ReLU")), ("max pool, dropout", ("max pool", "dropout")),
         ("input, update, rest", ("",)))
SIZES = {"svg": "set terminal svg size {0},{1} font 'Helvetica,13' background '#ffffff'",
         "png": "set terminal pngcairo size {2},{3} font 'Sans,10.5' fontscale 2 linewidth 2 "
                "background '#ffffff'"}
COMMON = """set border 3 lc '#666666'
set grid ytics lc '#dddddd' lt 1
set tics nomirror out textcolor '#333333'
set title font ',13'
"""


class Script:
    """Commands and data blocks."""

    def __init__(self):
        self.blocks, self.commands, self.count = [], [COMMON], 0

    def data(self, rows):
        self.count += 1
        name = f"$d{self.count}"
        text = "\n".join(" ".join(str(value) for value in row) for row in rows)
        self.blocks.append(f"{name} << EOD\n{text}\nEOD\n")
        return name

    def add(self, text):
        self.commands.append(text)

    def draw(self, path, width, height, columns):
        for kind, terminal in SIZES.items():
            text = "\n".join([terminal.format(width, height, 2 * width, 2 * height),
                              f"set output '{path}.{kind}'", *self.blocks,
                              f"set multiplot layout 1,{columns}", *self.commands,
                              "unset multiplot"])
            subprocess.run(["gnuplot", "-"], input=text, text=True, check=True)


def quoted(text):
    return '"' + text + '"'


def label(ms, digits):
    """So many digits, and all before the point."""
    return f"{ms:.{max(0, digits - len(str(int(ms))))}f}"


# ---- speed ----------------------------------------------------------------------------------

def bars(script, result):
    most, pairs = contenders(result)
    turns = {pair: max(row["rounds"] for row in rows_at(result, batch=64, threads=most)
                       if (row["program"], row["mode"]) == pair) for pair in pairs}
    pairs = [pair for pair in pairs if turns[pair] == max(turns.values())]
    plots, width = [], 0.84 / len(pairs)
    highest, digits = 0, 3 if len(pairs) < 5 else 2  # as many as there is room for
    for i, pair in enumerate(pairs):
        rows = []
        for at, variant in enumerate(VARIANTS):
            found = rows_at(result, batch=64, threads=most, variant=variant, program=pair[0],
                            mode=pair[1])
            if found:
                row = found[0]
                place = at + (i - (len(pairs) - 1) / 2) * width
                rows.append((place, row["ms"], row["ms_low"], row["ms_high"],
                             label(row["ms"], digits)))
                highest = max(highest, row["ms_high"])
        name = script.data(rows)
        plots.append((f"{name} using 1:2:({0.9 * width}) with boxes fs solid 1 noborder "
                      f"lc rgb '{COLOURS[i % len(COLOURS)]}' title {quoted(name_of(*pair))}",
                      f"{name} using 1:3:(0):($4-$3) with vectors nohead lc rgb '#333333' notitle",
                      f"{name} using 1:4:5 with labels offset 0,0.7 font ',11' notitle"))
    plots = [part for layer in zip(*plots) for part in layer]  # labels above all boxes
    tics = ", ".join(f"{quoted(LABELS[v])} {i}" for i, v in enumerate(VARIANTS))
    script.add(f"set title 'Training step, batch 64: milliseconds'\n"
               f"set xtics ({tics}) scale 0\nset xrange [-0.6:2.6]\n"
               f"set yrange [0:{(1.1 + 0.1 * len(pairs)) * highest}]\n"
               "set key top left Left reverse samplen 1.5\n"
               f"plot {', '.join(plots)}")


def kind_of(operation):
    return next(i for i, (_, starts) in enumerate(KINDS)
                if any(operation.startswith(start) for start in starts))


def profile(script, result):
    """Stacked bars: milliseconds of one thread."""
    names, highest, sums = {"bn_l1": 0, "ln": 1, "gn": 2}, 0, []
    for found in result["profiles"]:
        parts = [0.0] * len(KINDS)
        for row in found["rows"]:
            parts[kind_of(row["op"])] += row["us"] / 1e3
        parts[-1] += max(0, found["us"] / 1e3 - sum(parts))
        sums.append((names[found["variant"]], parts))
        highest = max(highest, sum(parts))
    plots = []
    for i in reversed(range(len(KINDS))):
        rows = [(at, sum(parts[:i + 1]), sum(parts[:i]) + parts[i] / 2,
                 quoted(f"{100 * parts[i] / sum(parts):.0f} %"), int(parts[i] > highest / 18))
                for at, parts in sums]
        name = script.data(rows)
        plots.append(f"{name} using 1:2:(0.5) with boxes fs solid 1 noborder "
                     f"lc rgb '{COLOURS[i]}' title {quoted(KINDS[i][0])}")
        plots.append(f"{name} using 1:($5 > 0 ? $3 : NaN):4 with labels tc rgb '#ffffff' "
                     "font ',11' notitle")
    # boxes first from the highest to the lowest, labels above all
    plots = plots[::2] + plots[1::2]
    tics = ", ".join(f"{quoted(LABELS[v])} {i}" for i, v in enumerate(VARIANTS))
    script.add(f"set title 'normlab on one thread: milliseconds'\n"
               f"set xtics ({tics}) scale 0\nset xrange [-0.6:2.6]\n"
               f"set yrange [0:{1.45 * highest}]\nset key top left Left reverse samplen 1.5\n"
               f"plot {', '.join(plots)}")


# ---- scaling --------------------------------------------------------------------------------

def legend(script, panels):
    """One for all panels, below them."""
    texts = [(LABELS[v], COLOURS[i]) for i, v in enumerate(VARIANTS)]
    for i, (text, colour) in enumerate(texts):
        script.add(f"set label {quoted(text)} at screen {0.5 + 0.5 * (i - 1) / panels}, "
                   f"screen 0.115 center tc rgb '{colour}' font ',13'")
    script.add("set label 'solid: normlab        dashed: the fastest peer' "
               "at screen 0.5, screen 0.05 center font ',12'\nunset key\nset bmargin 7.5")


def curves(script, result, title, xlabel, pick, divide):
    """One panel: lines of normlab's variants and, dashed, of the fastest peer. pick(row) is x or
    None; divide(row) what the time is divided by."""
    plots, ticks, times = [], set(), []
    for i, variant in enumerate(VARIANTS):
        for ours, style in ((True, "dt 1 lw 2"), (False, "dt 2 lw 1.5")):
            points = {}
            for row in result["steps"]:
                if (row["program"] == "normlab") == ours and row["variant"] == variant \
                        and "ms" in row:
                    x = pick(row)
                    if x is not None:
                        points[x] = min(points.get(x, 1e99), row["ms"] / divide(row))
            if len(points) < 2:
                continue
            ticks.update(points)
            times += points.values()
            name = script.data(sorted(points.items()))
            plots.append(f"{name} using 1:2 with linespoints pt 7 ps 0.5 {style} "
                         f"lc rgb '{COLOURS[i]}'")
    if not times:
        return False
    tics = ", ".join(f"{quoted(str(x))} {x}" for x in sorted(ticks))
    levels = ", ".join(str(digit * 10.0 ** power) for power in range(-4, 6) for digit in (1, 2, 5))
    script.add(f"set title {quoted(title)}\nset xlabel {quoted(xlabel)}\nset logscale xy\n"
               f"set ytics ({levels})\nset format y '%g'\n"
               f"set xtics ({tics})\nset autoscale x\nset xrange [{0.8 * min(ticks)}:"
               f"{1.25 * max(ticks)}]\nset yrange [{min(times) / 1.5}:{max(times) * 1.5}]\n"
               f"plot {', '.join(plots)}")
    return True


def scaling(script, result):
    most, _ = contenders(result)
    panels = [
        ("Microseconds an image", "batch", lambda r: r["batch"] if r["width"] == 1
         and r["threads"] == most else None, lambda r: r["batch"] / 1e3),
        ("Milliseconds a step, batch 64", "channels, times the network's",
         lambda r: r["width"] if r["batch"] == 64 and r["threads"] == most else None,
         lambda r: 1),
        ("Milliseconds a step, batch 64", "threads", lambda r: r["threads"]
         if r["batch"] == 64 and r["width"] == 1 and r["threads"] else None, lambda r: 1)]
    legend(script, len(panels))
    return sum(curves(script, result, *panel) for panel in panels)


# ---- all ------------------------------------------------------------------------------------

def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--out", default="docs")
    parser.add_argument("results", nargs="+")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    for path in args.results:
        result = load(path)
        slug = os.path.splitext(os.path.basename(path))[0]
        if contenders(result)[1]:
            speed = Script()
            bars(speed, result)
            if result["profiles"]:
                profile(speed, result)
            columns = 2 if result["profiles"] else 1
            speed.draw(os.path.join(args.out, "speed-" + slug), 560 * columns, 420, columns)
        lines = Script()
        panels = scaling(lines, result)
        if panels:
            lines.draw(os.path.join(args.out, "scaling-" + slug), 330 * panels, 380, panels)
    return 0


if __name__ == "__main__":
    sys.exit(main())
