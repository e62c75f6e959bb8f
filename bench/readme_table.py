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

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BEGIN, END = "<!-- speed:begin -->", "<!-- speed:end -->"
VARIANTS = ("bn_l1", "ln", "gn")
NAMES = {"bn_l1": "batch norm + L1", "ln": "layer norm", "gn": "group norm"}
MODES = {"nchw": "as written", "nhwc": "channels last", "graph": "CUDA graph",
         "compile": "compiled, CUDA graph", "jit": "jit"}


def rows_at(result, **wanted):
    wanted.setdefault("width", 1)
    return [row for row in result["steps"]
            if "ms" in row and all(row[key] == value for key, value in wanted.items())]


def contenders(result):
    """[(program, mode)] at batch 64 with all the result's threads, normlab first."""
    most = max((row["threads"] for row in result["steps"]), default=0)
    found = []
    for row in rows_at(result, batch=64, threads=most):
        pair = (row["program"], row["mode"])
        if pair not in found:
            found.append(pair)
    return most, sorted(found, key=lambda pair: pair[0] != "normlab")


def title(result, pair):
    program, mode = pair
    if program == "normlab":
        return "normlab"
    return f"{program} {result['versions'].get(program, '')}, {MODES.get(mode, mode)}"


def milliseconds(row):
    digits = 3 if row["ms"] < 1 else 1
    return f"{row['ms']:.{digits}f} ({row['ms_low']:.{digits}f}-{row['ms_high']:.{digits}f})"


def step_table(result):
    most, pairs = contenders(result)
    peers = pairs[1:]
    heads = ["batch 64"] + [title(result, pair) for pair in pairs]
    if peers:
        heads.append("faster than the best")
    lines = ["| " + " | ".join(heads) + " |", "| --- |" + " ---: |" * (len(heads) - 1)]
    for variant in VARIANTS:
        cells, times = [NAMES[variant]], {}
        for pair in pairs:
            found = rows_at(result, batch=64, threads=most, variant=variant, program=pair[0],
                            mode=pair[1])
            cells.append(milliseconds(found[0]) if found else "")
            if found:
                times[pair] = found[0]["ms"]
        if peers:
            best = min((times[pair] for pair in peers if pair in times), default=None)
            known = best and pairs[0] in times
            cells.append(f"{best / times[pairs[0]]:.1f} times" if known else "")
        lines.append("| " + " | ".join(cells) + " |")
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
            found = rows_at(result, program="normlab", variant=variant, batch=batch, threads=most)
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
        return ""
    return (f"The limit is the step's arithmetic at the speed of {machine['sgemm_library']}'s "
            f"matrix product here, {machine['sgemm_gflops']:.0f} GFLOP/s.")


def tables(result):
    slug = os.path.splitext(os.path.basename(result["path"]))[0]
    lines = [f"**{result['device']}** ({result['date']}, commit {result['commit']}): milliseconds "
             "a training step, median (fastest and slowest round).", "", *step_table(result), "",
             *more_table(result), "", limits(result)]
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
