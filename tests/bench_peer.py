#!/usr/bin/env python3
"""Stands for bench_step and for a peer in test_bench.sh: writes their lines without computing.

BENCH_PEER in the environment says how modes behave, as "MODE=HOW ...": nan (a loss becomes NaN),
five (the fifth is off by 2e-3), slow (ten times as slow), never (does not start), ends (in its
second turn), babbles (writes what is no JSON).
"""
import json
import os
import sys

args = sys.argv[1:]


def option(name, default=None):
    return args[args.index(name) + 1] if name in args else default


def line(variant, what, **more):
    print(json.dumps({"what": what, "program": PROGRAM, "version": "1.2", "mode": MODE,
                      "variant": variant, "threads": int(option("--threads")), "batch": 64,
                      "width": 1, "memory_bytes": 1, **more}))


def losses():
    values = [2 - i / 32 for i in range(20)]
    if HOW == "nan":
        values[11:] = [float("nan")] * 9
    if HOW == "five":
        values[4] *= 1.002
    return values


MODE = option("--mode", "cpu")
PROGRAM = "PyTorch" if "--mode" in args else "normlab"
HOW = dict(pair.split("=") for pair in os.environ["BENCH_PEER"].split()).get(MODE)
if HOW == "never":
    print("no such layer", file=sys.stderr)
    sys.exit(3)
for name in ("bn_l1", "ln", "gn"):
    if "--losses" in args:
        line(name, "losses", losses=losses())
    elif "--turns" not in args:
        line(name, "step", ms=[1.0])
if "--turns" in args:
    print(flush=True)
    for turn, _ in enumerate(sys.stdin):
        if HOW == "ends" and turn == 1:
            os._exit(4)
        if HOW == "babbles":
            print("warning: not a line")
        for name in ("bn_l1", "ln", "gn"):
            line(name, "step", ms=[100.0 if HOW == "slow" else 10.0])
        print(flush=True)
