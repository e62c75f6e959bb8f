#!/usr/bin/env python3
"""Times PyTorch's norms with a ReLU behind them, at the shapes that bench_norm timed.

    torch_norm.py [--device cpu|cuda] [--threads N] [--repeats N] LINES_OF_BENCH_NORM

Writes the lines that bench_norm writes, for the same cases, warm (and cold on CUDA, where a fill of
256 MB comes between). On CUDA batch norm is timed twice: cuDNN's, and PyTorch's own ("native"). The
backward pass is that of norm and ReLU together, as autograd calls it.
"""
import argparse
import json
import os
import statistics
import time

import torch
from torch.nn import functional as F


def norm(case, x, gamma, beta):
    channels = case["shape"][1]
    if case["norm"] == "batch":
        y = F.batch_norm(x, torch.zeros(channels, device=x.device),
                         torch.ones(channels, device=x.device), gamma, beta, training=True)
    else:
        y = F.group_norm(x, case["groups"], gamma, beta)
    y = F.relu(y)
    return F.max_pool2d(y, case["pool"]) if case["pool"] > 1 else y


def seconds(device, work, repeats, cold):
    """The median time of a call. CUDA's clock is the device's own, around one call."""
    times, waste = [], torch.empty(64 << 20, device=device) if cold else None
    for i in range(repeats + 2):
        if cold:
            waste.fill_(i)
        if device == "cuda":
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            end.synchronize()
            times.append(1e-3 * begin.elapsed_time(end))
        else:
            start = time.perf_counter()
            work()
            times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def measure(case, mode, args):
    x = torch.randn(case["shape"], device=args.device, requires_grad=True)
    gamma, beta = (torch.rand(case["shape"][1], device=args.device, requires_grad=True)
                   for _ in range(2))

    def forward():
        with torch.no_grad():
            norm(case, x, gamma, beta)

    y = norm(case, x, gamma, beta)
    dy = torch.randn_like(y)

    def backward():
        torch.autograd.grad(y, (x, gamma, beta), dy, retain_graph=True)

    work = forward if case["direction"] == "forward" else backward
    time_ = seconds(args.device, work, args.repeats, case["cold"])
    keys = ("norm", "shape", "groups", "pool", "direction", "cold", "threads")
    print(json.dumps({"what": "norm", "program": "PyTorch", "version": torch.__version__,
                      "mode": mode, "us": 1e6 * time_, **{key: case[key] for key in keys}}),
          flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("lines")
    args = parser.parse_args()
    with open(args.lines, encoding="utf-8") as file:
        cases = [json.loads(text) for text in file]
    torch.set_num_threads(args.threads)
    for case in cases:
        if case["what"] != "norm" or (args.device == "cpu" and case["cold"]):
            continue
        modes = ["native"]
        if args.device == "cuda" and case["norm"] == "batch":
            modes.insert(0, "cudnn")
        for mode in modes:
            with torch.backends.cudnn.flags(enabled=mode == "cudnn"):
                measure(case, mode, args)


if __name__ == "__main__":
    main()
