#!/usr/bin/python3
"""The same network in PyTorch: read from a checkpoint alone, and compared with normlab.

    torch_net.py PROGRAM DATA CHECKPOINT... [--device D]

runs `PROGRAM eval CHECKPOINT --data DATA` for each, evaluates the same weights in PyTorch on the
same test images and demands the same accuracy and logits within 1e-4. The exit code is 1 where they
differ.
Also a module of the other golden scripts. Needs python3-torch and python3-numpy (Debian 12); the
files are read and the network is made as for the benchmark's peers (bench/peers).
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "bench" / "peers"))

from files import read_idx, read_safetensors  # noqa: E402
import files  # noqa: E402
from network import Net  # noqa: E402

TOLERANCE = 1e-4


# ---- files ----------------------------------------------------------------------------------

def read_checkpoint(path):
    """(config, {name: array}) of a checkpoint."""
    metadata, tensors = read_safetensors(path)
    return json.loads(metadata["config"]), tensors


def pixel_table(config):
    return files.pixel_table(config["data"]["mean"], config["data"]["std"])


# ---- evaluation -----------------------------------------------------------------------------

def load_net(path):
    """(config, network in evaluation mode) of a checkpoint."""
    config, tensors = read_checkpoint(path)
    return config, Net(config).load(tensors).eval()


def evaluate(net, table, images):
    """Logits (n, 10) of images in bytes, as doubles."""
    logits = []
    dtype = next(net.parameters()).dtype
    with torch.no_grad():
        for first in range(0, len(images), 250):
            x = torch.from_numpy(table[images[first:first + 250]]).to(dtype).unsqueeze(1)
            logits.append(net(x).double())
    return torch.cat(logits).numpy()


# ---- comparison -----------------------------------------------------------------------------

def normlab_eval(args, checkpoint):
    """What the program says: its JSON object, and its logits."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "logits.safetensors")
        command = [args.program, "eval", checkpoint, "--data", args.data, "--device", args.device,
                   "--json", "--logits", path]
        result = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        return json.loads(result.stdout), read_safetensors(path)[1]["logits"]


def compare(args, checkpoint):
    """Prints both sides; True where they agree."""
    ours, logits = normlab_eval(args, checkpoint)
    config, net = load_net(checkpoint)
    images, labels = read_idx(args.data, "test")
    theirs = evaluate(net, pixel_table(config), images)
    loss = torch.nn.functional.cross_entropy(torch.from_numpy(theirs),
                                             torch.from_numpy(labels.astype(numpy.int64))).item()
    accuracy = 100.0 * float((theirs.argmax(1) == labels).mean())
    worst = float(numpy.abs(theirs - logits).max())
    print(checkpoint)
    print(f"  normlab  accuracy {ours['accuracy']:.4f} %  loss {ours['loss']:.8f}")
    print(f"  PyTorch  accuracy {accuracy:.4f} %  loss {loss:.8f}")
    print(f"  largest difference of the {logits.size} logits: {worst:.3g}")
    same = abs(ours["accuracy"] - accuracy) < 1e-6 and worst <= TOLERANCE
    print("  equal" if same else "  DIFFERENT")
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program")
    parser.add_argument("data")
    parser.add_argument("checkpoints", nargs="+")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    results = [compare(args, checkpoint) for checkpoint in args.checkpoints]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
