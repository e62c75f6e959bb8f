#!/usr/bin/env python3
"""The README's tables of the study: of docs/results.json and docs/study/main, and of
docs/study/small_batch.

    study_table.py             rewrites the text between the markers
    study_table.py --check     exits 1 where README and study differ

The markers are <!-- study:begin --> and <!-- study:end -->, and the same of small_batch, each on a
line of its own.
"""
import json
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
README = os.path.join(TOP, "README.md")
STUDY = os.path.join(TOP, "docs", "study")
NAMES = {"bn_l1": "batch norm + L1", "ln": "layer norm", "gn": "group norm", "bn": "batch norm"}
PUBLISHED = {"bn_l1": "99.23, 99.25", "ln": "99.34, 99.17", "gn": "99.17, 99.32", "bn": "99.40"}


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def results(findings):
    """{variant: {column: cell}} of the report's table of results."""
    lines = findings.split("\n## Results\n", 1)[1].strip().split("\n")
    heads, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")]
                       for line in lines[:lines.index("")]]
    return {row[0].replace("\\", ""): dict(zip(heads, row)) for row in rows}


def told(pair):
    """A difference with its interval, and what it came to."""
    points, digits = (" points", 3) if pair["metric"] == "accuracy" else ("", 4)
    text = (f"{pair['difference']:+.{digits}f}{points} ({pair['low']:+.{digits}f} to "
            f"{pair['high']:+.{digits}f})")
    if pair["verdict"] == "equal":
        return f"{text}, **equal** to within {pair['margin']:g}{points}"
    if pair["verdict"] == "open":
        return text + (f", open ({pair['seeds_needed']:,} seeds would settle such a difference)"
                       if pair.get("seeds_needed") else ", open")
    return f"{text}, **{NAMES[pair[pair['verdict']]]}** is better"


def study():
    found = json.loads(read(TOP, "docs", "results.json"))
    rows = results(read(STUDY, "main", "findings.md"))
    lines = ["| variant | seeds | test % | 95 % interval | best and worst seed | test loss | "
             "published runs |", "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for name, full in NAMES.items():
        row = rows[name]
        best, worst = (row[key].split(" ")[0] for key in ("best (seed)", "worst (seed)"))
        lines.append(f"| {full} | {row['seeds']} | {row['test %']} | {row['95 % interval']} | "
                     f"{best}, {worst} | {row['test loss']} | {PUBLISHED[name]} |")
    lines += ["", f"Trained at commit {read(STUDY, 'commit').strip()}; last weights, evaluation "
              "mode; intervals: Student's over seeds. Pair by pair, the first minus the second, by "
              "paired seeds (95 % interval; verdicts at 5 % over all of them):", ""]
    pairs = {}
    for pair in found["pairs"]:
        pairs.setdefault((pair["a"], pair["b"]), {})[pair["metric"]] = pair
    for (a, b), by in pairs.items():
        lines.append(f"- {NAMES[a]} against {NAMES[b]}: accuracy {told(by['accuracy'])}; loss "
                     f"{told(by['loss'])}.")
    return "\n".join(lines)


def small_batch():
    rows = results(read(STUDY, "small_batch", "findings.md"))
    batches = sorted({int(name[len("batch"):].split("_")[0]) for name in rows})
    (seeds,) = {row["seeds"] for row in rows.values()}
    lines = [f"| test error in %, mean of {seeds} seeds | " +
             " | ".join(f"batch {batch}" for batch in batches) + " |",
             "| --- |" + " ---: |" * len(batches)]
    for norm in ("bn", "ln", "gn"):
        errors = (100 - float(rows[f"batch{batch}_{norm}"]["test %"]) for batch in batches)
        lines.append(f"| {NAMES[norm]} | " + " | ".join(f"{error:.2f}" for error in errors) + " |")
    return "\n".join(lines)


def between(text, name, section):
    """The text with the section in place of what stands between the markers of that name."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    before, rest = text.split(begin, 1)
    return f"{before}{begin}\n{section}\n{end}{rest.split(end, 1)[1]}"


def main():
    text = read(README)
    wanted = between(between(text, "study", study()), "small_batch", small_batch())
    if wanted == text:
        return 0
    if "--check" in sys.argv[1:]:
        print("study_table.py: README.md differs from docs/study: run it", file=sys.stderr)
        return 1
    with open(README, "w", encoding="utf-8") as file:
        file.write(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main())
