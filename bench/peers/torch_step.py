#!/usr/bin/env python3
"""Times training steps of the same network in PyTorch on the CPU.

    torch_step.py [--threads N] [--batch N] [--rounds N] [--steps N] [--layout nchw|nhwc] VARIANT...

VARIANT: bn_l1 | ln | gn | bn | none. Prints what bench_step prints: name, batch, then milliseconds a
step of each round. The batch is made before the clock starts: PyTorch is charged for no augmentation
and no loading, only for forward, backward and update. L1 is added to the loss over one flat vector of
all parameters, which is faster than summing tensor by tensor.
"""
import argparse
import os
import time

import torch
from torch import nn
from torch.nn import functional as F


def norm_layer(variant, channels):
    if variant in ("bn_l1", "bn"):
        return [nn.BatchNorm2d(channels)]
    if variant == "ln":
        return [nn.GroupNorm(1, channels)]
    if variant == "gn":
        return [nn.GroupNorm(channels // 4, channels)]
    return []


def network(variant):
    def block(c_in, c_out, kernel, pad=0):
        conv = nn.Conv2d(c_in, c_out, kernel, padding=pad)
        return [conv, *norm_layer(variant, c_out), nn.ReLU(inplace=True)]

    return nn.Sequential(
        *block(1, 96, 5, 2), *block(96, 16, 1), nn.MaxPool2d(2), nn.Dropout(0.05),
        *block(16, 16, 3), *block(16, 8, 1), nn.MaxPool2d(2), nn.Dropout(0.05),
        *block(8, 16, 3), nn.Conv2d(16, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def time_variant(variant, args):
    torch.manual_seed(1)
    layout = torch.channels_last if args.layout == "nhwc" else torch.contiguous_format
    net = network(variant).to(memory_format=layout)
    images = torch.randn(args.batch, 1, 28, 28).to(memory_format=layout)
    labels = torch.randint(0, 10, (args.batch,))
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)

    def step():
        optimiser.zero_grad(set_to_none=True)
        loss = F.cross_entropy(net(images), labels)
        if variant == "bn_l1":
            flat = torch.cat([p.reshape(-1) for p in net.parameters()])
            loss = loss + 0.001 * flat.abs().sum()
        loss.backward()
        optimiser.step()
        return loss

    for _ in range(args.steps):
        step()
    rounds = []
    for _ in range(args.rounds):
        start = time.perf_counter()
        for _ in range(args.steps):
            step()
        rounds.append(1e3 * (time.perf_counter() - start) / args.steps)
    print(variant, args.batch, *(f"{ms:.3f}" for ms in rounds), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--layout", choices=("nchw", "nhwc"), default="nchw")
    parser.add_argument("variant", nargs="+", choices=("bn_l1", "ln", "gn", "bn", "none"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for variant in args.variant:
        time_variant(variant, args)


if __name__ == "__main__":
    main()
