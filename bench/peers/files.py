"""What Python shares with normlab: the data set, safetensors files, the network that is compared;
and what the peers share with each other: options, turns and lines. tests/golden uses it too."""
import argparse
import functools
import gzip
import hashlib
import json
import os
import struct
import sys

import numpy

STEMS = {"train": "train", "test": "t10k"}
DTYPES = {"F32": "<f4", "F64": "<f8", "U32": "<u4", "U8": "u1"}
MEAN, STD = 0.1307, 0.3081
L1, EPS, RATE, MOMENTUM, DROP = 0.001, 1e-5, 0.01, 0.9, 0.05
NORMS = {"bn_l1": "batch", "bn": "batch", "ln": "layer", "gn": "group", "none": "none"}
#         output channels, kernel, pad, norm and ReLU, max pool and dropout behind
LAYERS = ((96, 5, 2, True, False), (16, 1, 0, True, True), (16, 3, 0, True, False),
          (8, 1, 0, True, True), (16, 3, 0, True, False), (10, 3, 0, False, False))


# ---- files ----------------------------------------------------------------------------------


def read_idx(folder, split):
    """(images (n, 28, 28), labels (n)) as bytes; raw files before .gz."""
    def content(name):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                return file.read()
        with gzip.open(path + ".gz") as file:
            return file.read()
    images = content(STEMS[split] + "-images-idx3-ubyte")
    labels = content(STEMS[split] + "-labels-idx1-ubyte")
    count = struct.unpack(">4I", images[:16])[1]
    return (numpy.frombuffer(images[16:], numpy.uint8).reshape(count, 28, 28),
            numpy.frombuffer(labels[8:], numpy.uint8))


def pixel_table(mean, std):
    """The 256 input values: computed in double, rounded to float once."""
    return ((numpy.arange(256) / 255.0 - mean) / std).astype(numpy.float32)


def read_inputs(folder, split, count=None):
    """(inputs (n, 28, 28) as float32, labels (n) as int64) of the first `count` images."""
    images, labels = read_idx(folder, split)
    return pixel_table(MEAN, STD)[images[:count]], labels[:count].astype(numpy.int64)


def read_safetensors(path):
    """(metadata, {name: array}) of a file; its hash and the tensors' places are checked."""
    with open(path, "rb") as file:
        content = file.read()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    data = content[8 + length:]
    metadata = header.pop("__metadata__", {})
    digest = hashlib.sha256()
    if "format" in metadata:
        for key in sorted(metadata.keys() - {"sha256"}):
            digest.update(f"{key}\0{metadata[key]}\0".encode())
    digest.update(data)
    if digest.hexdigest() != metadata.get("sha256"):
        raise ValueError(f"{path}: sha256 does not match")
    tensors, used = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        if begin != used:
            raise ValueError(f"{path}: {name} begins at {begin}, must be {used}")
        used = end
        array = numpy.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        tensors[name] = array.reshape(entry["shape"])
    if used != len(data):
        raise ValueError(f"{path}: bytes behind the last tensor")
    return metadata, tensors


def default_folder():
    """Where normlab looks for the data."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("NORMLAB_DATA") or os.path.join(cache, "normlab", "mnist")


# ---- the network, options, turns ------------------------------------------------------------

def model(variant, width, dropout):
    """The model of a variant as a config says it, with so many times the channels."""
    layers = []
    for out, kernel, pad, norm, pool in LAYERS:
        layers.append({"conv": out * width if norm else out, "kernel": kernel, "pad": pad,
                       "norm": norm, "relu": norm})
        if pool:
            layers.append({"pool": "max", "size": 2, "dropout": True})
    return {"norm": NORMS[variant], "group_size": 4, "eps": EPS, "dropout": dropout,
            "layers": [*layers, {"pool": "average"}]}


def parser(description, modes, **more):
    """The options of a peer; more: numbers with their defaults."""
    options = argparse.ArgumentParser(description=description.split("\n", maxsplit=1)[0])
    options.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options.add_argument("--mode", choices=modes, default=modes[0])
    options.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)),
                         help="of the CPU; default: as many as cores")
    numbers = {"batch": 64, "width": 1, "rounds": 5, "steps": 20, "losses": 0, **more}
    for name, value in numbers.items():
        options.add_argument("--" + name, type=int, default=value)
    options.add_argument("--turns", action="store_true")
    options.add_argument("--init")
    options.add_argument("--data", default=default_folder())
    options.add_argument("variant", nargs="+", choices=NORMS)
    return options


def run(args, losses, timed, data):
    """Writes each variant's losses, or its times: both are made of (variant, args, data)."""
    if args.losses:
        for variant in args.variant:
            print(json.dumps(losses(variant, args, data)), flush=True)
    else:
        turns(args.turns, [functools.partial(timed, variant, args, data)
                           for variant in args.variant])


def turns(many, makers):
    """Writes one line for each maker, whose object has round(). With many, all are made first and
    an empty line says so; then each line of standard input asks for a turn, whose lines another
    empty one ends."""
    if not many:
        for make in makers:
            print(json.dumps(make().round()), flush=True)
        return
    made = [make() for make in makers]
    print(flush=True)
    for _ in sys.stdin:
        for one in made:
            print(json.dumps(one.round()))
        print(flush=True)
