"""What a peer shares with normlab: the data set, the first weights of a run, turns and lines."""
import gzip
import json
import os
import struct
import sys

import numpy

STEMS = {"train": "train", "test": "t10k"}
MEAN, STD = 0.1307, 0.3081


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


def read_inputs(folder, split, count=None):
    """(inputs (n, 28, 28) as float32, labels (n) as int64) of the first `count` images."""
    images, labels = read_idx(folder, split)
    table = ((numpy.arange(256) / 255.0 - MEAN) / STD).astype(numpy.float32)
    return table[images[:count]], labels[:count].astype(numpy.int64)


def read_weights(path):
    """{name: array} of a safetensors file of float32 tensors."""
    with open(path, "rb") as file:
        content = file.read()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    header.pop("__metadata__", None)
    data = content[8 + length:]
    return {name: numpy.frombuffer(data[slice(*entry["data_offsets"])], "<f4")
            .reshape(entry["shape"]) for name, entry in header.items()}


def default_folder():
    """Where normlab looks for the data."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("NORMLAB_DATA") or os.path.join(cache, "normlab", "mnist")


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
