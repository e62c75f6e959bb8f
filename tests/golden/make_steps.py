#!/usr/bin/python3
"""Writes steps.txt beside this file: 20 training steps of every variant in PyTorch's float64, on a
small synthetic set, from initial weights that this script draws itself. So every test run compares
with PyTorch without having it. Run once (Debian's python3-torch 1.13.1, python3-yaml).

The generator, the initial weights (include/normlab/rng.h) and the images (tests/support/idx_set.c)
are written here a second time, on purpose."""
import math
import pathlib

import numpy
import torch
import yaml

import torch_net
import torch_steps

HERE = pathlib.Path(__file__).parent
IMAGES, BATCH, STEPS, SEED = 28, 3, 20, 1
CASES = [("bn_l1", {}), ("ln", {}), ("gn", {}), ("bn", {}), ("none", {}), ("instance", {}),
         ("nesterov", {"nesterov": True, "weight_decay": 0.01, "l1": 0.0005}),
         ("rms", {}), ("mixed", {})]
FILES = {"instance": "gn", "rms": "gn", "mixed": "gn", "nesterov": "gn"}
MIXED = ["batch", "group", "rms", "layer", "instance"]  # of the normalised layers, in order
SEGMENTS = [0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f]
BARS = [(9, 5, 10, 2), (17, 5, 2, 9), (17, 14, 2, 9), (9, 21, 10, 2), (9, 14, 2, 9), (9, 5, 2, 9),
        (9, 13, 10, 2)]


def philox(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10: four words."""
    mask = 0xffffffff
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & mask, (p0 >> 32) ^ c3 ^ k1, p0 & mask
        k0, k1 = (k0 + 0x9E3779B9) & mask, (k1 + 0xBB67AE85) & mask
    return c0, c1, c2, c3


def draw(number):
    """A digit of a seven-segment display, shifted and noisy."""
    words = philox(number, 0, 0, 0, 28, 28)
    dx, dy, ink = words[0] % 5 - 2, words[1] % 5 - 2, 160 + words[2] % 96
    image = numpy.zeros((28, 28), numpy.uint8)
    for bar, (x, y, width, height) in enumerate(BARS):
        if SEGMENTS[number % 10] >> bar & 1:
            image[y + dy:y + dy + height, x + dx:x + dx + width] = ink
    for p in range(784):
        word = philox(number, p, 1, 0, 28, 28)[0]
        if word < 0x08000000:
            image[p // 28, p % 28] = word >> 20 & 0xff
    return image


def initial(count, fan_in, ordinal, is_bias):
    """Uniform in +-1/sqrt(fan_in), rounded to float once."""
    words = []
    for i in range(0, count, 4):
        words += philox(i // 4, ordinal, int(is_bias), 0, SEED, 1)
    values = [(2 * (r + 0.5) / 2.0**32 - 1) / math.sqrt(fan_in) for r in words[:count]]
    return torch.tensor(numpy.array(values).astype(numpy.float32).astype(numpy.float64))


def set_initial(net):
    ordinal = 0
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            ordinal += 1
            fan_in = module.weight[0].numel()
            module.weight.data = initial(module.weight.numel(), fan_in, ordinal,
                                         False).reshape(module.weight.shape)
            module.bias.data = initial(module.bias.numel(), fan_in, ordinal, True)


def main():
    numbers = torch.tensor(numpy.stack([draw(i) for i in range(IMAGES)]).astype(numpy.int64))
    labels = torch.arange(IMAGES) % 10
    with open(HERE / "steps.txt", "w", encoding="utf-8") as out:
        for name, train in CASES:
            path = HERE.parent.parent / "configs" / (FILES.get(name, name) + ".yaml")
            config = yaml.safe_load(path.read_text())
            config["model"]["eps"] = float(config["model"]["eps"])
            config["model"]["dropout"] = 0
            config["data"]["batch"] = BATCH
            config["train"].update(train)
            if name in ("instance", "rms"):
                config["model"]["norm"] = name
            if name == "mixed":
                normalised = [layer for layer in config["model"]["layers"] if layer.get("norm")]
                for layer, norm in zip(normalised, MIXED, strict=True):
                    layer["norm"] = norm
            net = torch_net.Net(config).double()
            set_initial(net)
            table = torch.from_numpy(torch_net.pixel_table(config)).double()
            x = table[numbers].unsqueeze(1)
            records = torch_steps.steps(net, config, x, labels, STEPS)
            loss = torch.nn.functional.cross_entropy(net.eval()(x), labels).item()
            for kind, values in [("loss", [r[0] for r in records]), ("eval", [loss]),
                                 ("penalty", [r[1] for r in records])]:
                print(f"{name}.{kind}", len(values), *(f"{v:.17g}" for v in values), file=out)


if __name__ == "__main__":
    main()
