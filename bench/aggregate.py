#!/usr/bin/env python3
"""Makes one result of the records of compare.sh.

    aggregate.py --losses RECORDS
    aggregate.py --device cpu|cuda --threads N --commit C [--out DIR] RECORDS

The first form compares each peer's losses with normlab's (the first within 1e-5, the first five
within 1e-3, all 20 within 3e-2, relative) and exits 1 where they differ; a loss that is missing or
not finite differs. The second writes DIR/<device>.json and prints its path. Times are medians over
the turns, with the fastest and the slowest one.
"""
import argparse
import datetime
import itertools
import json
import math
import os
import re
import statistics
import subprocess
import sys

BOUNDS = ((1, 1e-5), (5, 1e-3), (None, 3e-2))  # so many first losses, relative difference
QUIET = 5  # per cent of the cores that may be busy with other work
STEP_BYTES = 4.6e6  # an image's least traffic with norms in two passes, stage by stage


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(text) for text in file if text.strip()]


def of(records, what):
    return [record for record in records if record["what"] == what]


# ---- losses ---------------------------------------------------------------------------------

def relative(ours, theirs):
    """The difference; infinite where there is none to tell, so that it is never within a bound."""
    if ours is None or theirs is None or not math.isfinite(ours) or not math.isfinite(theirs):
        return math.inf
    return abs(ours - theirs) / abs(ours) if ours else math.inf


def compare_losses(records):
    """[{program, mode, variant, threads, first, five, all, good}]"""
    records = of(records, "losses")
    ours = {r["variant"]: r["losses"] for r in records if r["program"] == "normlab"}
    rows = []
    for record in records:
        if record["program"] == "normlab":
            continue
        far = [relative(*pair) for pair in
               itertools.zip_longest(ours.get(record["variant"], []), record["losses"])]
        most = [max(far[:count], default=math.inf) for count, _ in BOUNDS]
        rows.append({"program": record["program"], "mode": record["mode"],
                     "variant": record["variant"], "threads": record["threads"],
                     "first": most[0], "five": most[1], "all": most[2],
                     "good": all(d <= bound for d, (_, bound) in zip(most, BOUNDS))})
    return rows


def told(row):
    """A row of compare_losses in words."""
    return (f"first loss differs by {row['first']:.1e}, the first five by {row['five']:.1e}, "
            f"all by {row['all']:.1e}")


def report_losses(rows):
    for row in rows:
        print("{program} {mode} {variant}, threads {threads}: ".format(**row) + told(row)
              + ("" if row["good"] else ": NOT THE SAME NETWORK"), file=sys.stderr)
    return 0 if all(row["good"] for row in rows) else 1


# ---- steps ----------------------------------------------------------------------------------

def step_rows(records, floors):
    """One row for each program, mode, variant, batch, threads and width. floors: milliseconds of
    (threads, batch, flops of an image), or None."""
    keys = ("program", "mode", "variant", "batch", "threads", "width")
    groups = {}
    for record in of(records, "step"):
        groups.setdefault(tuple(record[key] for key in keys), []).append(record)
    flops = {(r["variant"], r["width"]): r["flops_image"] for r in of(records, "step")
             if "flops_image" in r}
    rows = []
    for key, group in groups.items():
        row = dict(zip(keys, key))
        for name in ("version", "start_s"):
            values = [record[name] for record in group if name in record]
            if values:
                row[name] = values[0] if name == "version" else statistics.median(values)
        rates = [rate for record in group for rate in record.get("evaluation_images_s", [])]
        if rates:
            row["evaluation_images_s"] = statistics.median(rates)
        row["memory_bytes"] = max(record["memory_bytes"] for record in group)
        times = [ms for record in group for ms in record["ms"]]
        if times:
            row.update(ms=statistics.median(times), ms_low=min(times), ms_high=max(times),
                       rounds=len(times))
            row["images_s"] = 1e3 * row["batch"] / row["ms"]
            floor = floors(row["threads"], row["batch"], flops.get((row["variant"], row["width"])))
            if floor:
                row["floor_percent"] = 100 * floor / row["ms"]
        rows.append(row)
    return rows


def machines(records):
    """One row for each number of threads: the best that was reached, since these are limits."""
    rows = {}
    for record in of(records, "machine"):
        row = {key: value for key, value in record.items() if key != "what"}
        best = rows.setdefault(row["threads"], row)
        if (row["sgemm_gflops"] or 0) > (best["sgemm_gflops"] or 0):
            best.update(sgemm_gflops=row["sgemm_gflops"], sgemm_library=row["sgemm_library"])
        if row.get("copy_gb_s", 0) > best.get("copy_gb_s", 0):
            best["copy_gb_s"] = row["copy_gb_s"]
    return list(rows.values())


def cpu_floors(records):
    peaks = {row["threads"]: row["sgemm_gflops"] for row in machines(records)
             if row["sgemm_gflops"]}
    return lambda threads, batch, flops: \
        batch * flops / peaks[threads] / 1e6 if flops and threads in peaks else None


def cuda_floors(records):
    copy = [r["copy_gb_s"] for r in of(records, "norm") if "copy_gb_s" in r]
    return lambda _, batch, flops: batch * STEP_BYTES / copy[0] / 1e6 if flops and copy else None


# ---- norms ----------------------------------------------------------------------------------

def norm_rows(records):
    rows = []
    for record in of(records, "norm"):
        row = {key: value for key, value in record.items() if key not in ("what", "copy_gb_s")}
        rows.append(row)
    return rows


# ---- device ---------------------------------------------------------------------------------

def said_by(*command):
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def clocks(device):
    if device == "cuda":
        text = said_by("nvidia-smi", "--format=csv,noheader",
                       "--query-gpu=clocks.sm,clocks.max.sm,clocks.mem,power.limit")
        names = ("sm", "sm_max", "memory", "power_limit")
        return dict(zip(names, (text or "").split(", ")))
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        mhz = re.findall(r"cpu MHz\s*: ([\d.]+)", file.read())
    return {"mhz": [float(value) for value in mhz]}


def versions(records, device):
    found = {"system": " ".join(os.uname()[i] for i in (0, 2, 4))}
    found.update({r["program"]: r["version"] for r in records if "version" in r})
    if device == "cuda":
        found["driver"] = said_by("nvidia-smi", "--format=csv,noheader",
                                  "--query-gpu=driver_version")
    return found


def device_name(records, device, threads):
    if device == "cuda":
        names = [r["device"] for r in of(records, "step") if r["program"] == "normlab"]
        return names[0].split(",")[0]
    plural = "s" if threads > 1 else ""
    return f"{of(records, 'machine')[0]['processor']}, {threads} thread{plural}"


def result(args):
    records = read(args.records)
    floors = (cuda_floors if args.device == "cuda" else cpu_floors)(records)
    return {
        "device": device_name(records, args.device, args.threads),
        "kind": args.device,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "commit": args.commit,
        "versions": versions(records, args.device),
        "clocks": clocks(args.device),
        "busy_percent": max((r["percent"] for r in of(records, "busy")), default=None),
        "machine": machines(records),
        "missing": [dict(pair) for pair in sorted({(("program", r["program"]), ("why", r["why"]))
                                                   for r in of(records, "missing")})],
        "losses": compare_losses(records),
        "steps": step_rows(records, floors),
        "norms": norm_rows(records),
        "profiles": [{k: v for k, v in r.items() if k != "what"} for r in of(records, "profile")],
    }


def rounded(value):
    """Six digits are more than a measurement has; JSON has none for what is not finite."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


def lines(value):
    """JSON with one row of a list a line, so that differences can be read."""
    parts = []
    for key, part in value.items():
        if isinstance(part, list) and part:
            text = "[\n  " + ",\n  ".join(json.dumps(row) for row in part) + "\n ]"
        else:
            text = json.dumps(part)
        parts.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--losses", action="store_true")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--out", default="bench/results")
    parser.add_argument("records")
    args = parser.parse_args()
    if args.losses:
        return report_losses(compare_losses(read(args.records)))
    made = rounded(result(args))
    os.makedirs(args.out, exist_ok=True)
    slug = re.sub("[^a-z0-9]+", "-", made["device"].lower()).strip("-")
    path = os.path.join(args.out, slug + ".json")
    with open(path, "w", encoding="utf-8") as file:
        file.write(lines(made))
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
