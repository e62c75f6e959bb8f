"""coverage.py TOP CSV: gcovr's table of files as one of folders, in Markdown. Exits 1, and says so at
the end, if less than FLOOR per cent of the lines of src/host or of src/kernels ran, or if
tests/uncovered.txt is not what it has to be: the files that are not measured, no others, each with
its reason."""

import collections
import csv
import pathlib
import sys

FLOOR = 90


def measured(table):
    """file: its lines of code, and how many of them ran"""
    with open(table, newline="", encoding="utf-8") as rows:
        counts = {row["filename"]: (int(row["line_total"]), int(row["line_covered"])) for row in csv.DictReader(rows)}
    return {file: count for file, count in sorted(counts.items()) if count[0] > 0}


def left_out(top):
    """file: why"""
    lines = (top / "tests/uncovered.txt").read_text(encoding="utf-8").splitlines()
    named = (line.partition(" ") for line in lines if line and not line.startswith("#"))
    return {file: reason.strip() for file, _, reason in named}


def list_faults(top, files, reasons):
    sources = {str(path.relative_to(top)) for glob in ("src/host/**/*.c", "src/kernels/*.cu") for path in top.glob(glob)}
    unseen = sources - set(files)
    for file in sorted(unseen - set(reasons)):
        yield f"{file} is not measured, and not in tests/uncovered.txt"
    for file in sorted(set(reasons) - unseen):
        yield f"{file} is measured, or gone: not for tests/uncovered.txt"
    for file in sorted(file for file, reason in reasons.items() if not reason):
        yield f"{file} has no reason in tests/uncovered.txt"


def row(name, counts):
    lines, ran = (sum(numbers) for numbers in zip(*counts))
    print(f"| {name} | {len(counts)} | {lines:,} | {ran:,} | {100 * ran / lines:.1f} |")
    return 100 * ran / lines


def main(top, table):
    files, reasons = measured(table), left_out(top)
    faults = list(list_faults(top, files, reasons))
    print("# What the tests run\n")
    print("Lines of code by folder, from unit tests, the program and the kernels in the executor, without a GPU.")
    print(f"`scripts/coverage.sh` makes this page; `scripts/test.sh --all` holds both sums to {FLOOR} % or more.\n")
    print("| folder | files | lines | run | % |\n| --- | ---: | ---: | ---: | ---: |")
    folders = collections.defaultdict(list)
    for file, count in files.items():
        folders[str(pathlib.PurePath(file).parent)].append(count)
    for name in sorted(folders):
        row(name, folders[name])
    for part in ("src/host", "src/kernels"):
        share = row(f"**all of {part}**", [c for f, c in files.items() if f.startswith(part + "/")])
        if not share >= FLOOR:
            faults.append(f"{part}: {share:.1f} % of the lines ran, {FLOOR} are wanted")
    print("\nNot measured, by name (`tests/uncovered.txt`):\n")
    for file, reason in reasons.items():
        print(f"- `{file}`: {reason}")
    for fault in faults:
        print(f"\nfailed: {fault}")
    return 1 if faults else 0


sys.exit(main(pathlib.Path(sys.argv[1]), sys.argv[2]))
