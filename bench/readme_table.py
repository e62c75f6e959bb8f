#!/usr/bin/env python3
"""The README's speed tables, made from bench/results/*.json.

    readme_table.py [--readme FILE] [--results DIR]     rewrites the text between the markers
    readme_table.py --check [...]                       exits 1 where README and results differ
    readme_table.py --print RESULT...                   prints the tables

The markers are <!-- speed:begin --> and <!-- speed:end -->, each on a line of its own. A README
without them, or no results: exit 77 with --check, which a test counts as skipped.
"""
import argparse
import glob
import json
import os
import sys

from aggregate import QUIET
from contender import name_of

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"
VARIANTS = ("bn_l1", "ln", "gn")
NAMES = {"bn_l1": "batch norm + L1", "ln": "layer norm", "gn": "group norm"}

def rows_at(result, **wanted):
    wanted.setdefault("width", 1)
    return [row for row in result["steps"]
            if "ms" in row and all(row[key] == value for key, value in wanted.items())]


def contenders(result, threads=None):
    """(threads, [(program, mode)]) at batch 64, normlab first; with all the result's threads unless
    told otherwise."""
    if threads is None:
        threads = max((row["threads"] for row in result["steps"]), default=0)
    found = []
    for row in rows_at(result, batch=64, threads=threads):
        pair = (row["program"], row["mode"])
        if pair not in found:
            found.append(pair)
    return threads, sorted(found, key=lambda pair: pair[0] != "normlab")


def title(result, pair):
    program, mode = pair
    version = result["versions"].get(program) if program != "normlab" else None
    return name_of(f"{program} {version}" if version else program, mode)


def milliseconds(row):
    digits = 3 if row["ms"] < 1 else 1
    return f"{row['ms']:.{digits}f} ({row['ms_low']:.{digits}f}-{row['ms_high']:.{digits}f})"


def fastest_peer(rows):
    """Of rows of one network, batch and number of threads: the best mode of any peer, or None."""
    return min((row for row in rows if row["program"] != "normlab"), key=lambda row: row["ms"],
               default=None)


def step_table(result, threads):
    _, pairs = contenders(result, threads)
    heads = [f"{threads} thread{'s' if threads > 1 else ''}" if threads else "batch 64",
             *(NAMES[variant] for variant in VARIANTS), "turns"]
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    columns = [rows_at(result, batch=64, threads=threads, variant=variant) for variant in VARIANTS]
    best = [fastest_peer(rows) for rows in columns]
    for pair in pairs:
        cells, turns = [title(result, pair)], 0
        for rows, fastest in zip(columns, best):
            row = next((row for row in rows if (row["program"], row["mode"]) == pair), None)
            mark = "**" if row and row is fastest else ""
            cells.append(mark + milliseconds(row) + mark if row else "")
            turns = max(turns, row["rounds"] if row else 0)
        lines.append("| " + " | ".join([*cells, str(turns)]) + " |")
    if any(best):
        cells = ["fastest peer / normlab"]
        for rows, fastest in zip(columns, best):
            ours = next((row for row in rows if row["program"] == "normlab"
                         and row["mode"] == result["kind"]), None)
            cells.append(f"{fastest['ms'] / ours['ms']:.1f}" if fastest and ours else "")
        lines.append("| " + " | ".join([*cells, ""]) + " |")
    return lines


def more_table(result):
    """normlab at the other batches, evaluation and memory."""
    most, _ = contenders(result)
    batches = sorted({row["batch"] for row in rows_at(result, program="normlab", threads=most)})
    heads = [f"batch {batch}" for batch in batches]
    lines = ["| images a second | " + " | ".join(heads) + " | evaluation | per cent of the limit |",
             "| --- |" + " ---: |" * (len(heads) + 2)]
    for variant in VARIANTS:
        cells = [NAMES[variant]]
        at_64 = {}
        for batch in batches:
            found = rows_at(result, program="normlab", mode=result["kind"], variant=variant,
                            batch=batch, threads=most)
            cells.append(f"{found[0]['images_s']:,.0f}" if found else "")
            at_64 = found[0] if found and batch == 64 else at_64
        rate, floor = at_64.get("evaluation_images_s"), at_64.get("floor_percent")
        cells.append(f"{rate:,.0f}" if rate else "")
        cells.append(f"{floor:.0f}" if floor else "")
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def limits(result):
    if result["kind"] != "cpu":
        return "The limit is the least traffic of a step at the speed at which the device copies."
    most = max(machine["threads"] for machine in result["machine"])
    machine = next(m for m in result["machine"] if m["threads"] == most)
    if not machine["sgemm_gflops"]:
        return "The limit: none (no OpenBLAS whose matrix product could be timed)."
    return (f"The limit is the step's arithmetic at the speed of {machine['sgemm_library']}'s "
            f"matrix product here, {machine['sgemm_gflops']:.0f} GFLOP/s.")


def tables(result):
    slug = os.path.splitext(os.path.basename(result["path"]))[0]
    lines = [f"**{result['device']}** ({result['date']}, commit {result['commit']}): milliseconds "
             "a training step at batch 64, median (fastest and slowest turn); the fastest peer in "
             "bold."]
    for threads in sorted({row["threads"] for row in rows_at(result, batch=64)
                           if row["program"] != "normlab"}, reverse=True) \
            or [contenders(result)[0]]:
        lines += ["", *step_table(result, threads)]
    lines += ["", *more_table(result), "", limits(result)]
    if (result.get("busy_percent") or 0) > QUIET:
        lines.append(f"Other work took {result['busy_percent']:.0f} % of the machine meanwhile.")
    for missing in result["missing"]:
        lines.append(f"Not measured: {missing['program']} ({missing['why']}).")
    for kind, text in (("speed", "Training steps and where their time goes"),
                       ("scaling", "Time against batch, width and threads")):
        if os.path.exists(os.path.join(TOP, "docs", f"{kind}-{slug}.svg")):
            lines += ["", f"![{text}](docs/{kind}-{slug}.svg)"]
    return "\n".join(lines)


def load(path):
    with open(path, encoding="utf-8") as file:
        return {**json.load(file), "path": path}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--readme", default=os.path.join(TOP, "README.md"))
    parser.add_argument("--results", default=os.path.join(TOP, "bench", "results"))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--print", nargs="+", dest="shown")
    args = parser.parse_args()
    if args.shown:
        print("\n\n".join(tables(load(path)) for path in args.shown))
        return 0
    results = [load(path) for path in sorted(glob.glob(os.path.join(args.results, "*.json")))]
    results = [result for result in results if "steps" in result]
    text = ""
    if os.path.exists(args.readme):
        with open(args.readme, encoding="utf-8") as file:
            text = file.read()
    if BEGIN not in text or END not in text or not results:
        print(f"readme_table.py: {args.readme} has no markers, or {args.results} no results",
              file=sys.stderr)
        return 77 if args.check else 1
    before, rest = text.split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    wanted = "\n\n".join(tables(result) for result in results)
    wanted = f"{before}{BEGIN}\n{wanted}\n{END}{after}"
    if args.check:
        if wanted != text:
            print(f"readme_table.py: {args.readme} differs from {args.results}: run it",
                  file=sys.stderr)
        return 0 if wanted == text else 1
    with open(args.readme, "w", encoding="utf-8") as file:
        file.write(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
