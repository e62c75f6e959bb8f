#!/usr/bin/python3
"""The same network in PyTorch: read from a checkpoint alone, and compared with normlab.

    torch_net.py PROGRAM DATA CHECKPOINT... [--device D]

runs `PROGRAM eval CHECKPOINT --data DATA` for each, evaluates the same weights in PyTorch on the
same test images and demands the same accuracy and logits within 1e-4. The exit code is 1 where they
differ.
Also a module: read_safetensors, read_idx, pixel_table and Net serve the other golden scripts. Needs
python3-torch and python3-numpy (Debian 12); safetensors files are parsed here, by their format.
"""
import argparse
import gzip
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile

import numpy
import torch

TOLERANCE = 1e-4
DTYPES = {"F32": "<f4", "F64": "<f8", "U32": "<u4", "U8": "u1"}
FILES = {"train": "train", "test": "t10k"}


# ---- files ----------------------------------------------------------------------------------

def read_safetensors(path):
    """(metadata, {name: array}) of a file; its hash and the tensors' places are checked."""
    with open(path, "rb") as file:
        content = file.read()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    data = content[8 + length:]
    metadata = header.pop("__metadata__", {})
    if hashlib.sha256(data).hexdigest() != metadata.get("sha256"):
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


def read_checkpoint(path):
    """(config, {name: array}) of a checkpoint."""
    metadata, tensors = read_safetensors(path)
    return json.loads(metadata["config"]), tensors


def read_idx(folder, split):
    """(images (n, 28, 28), labels (n)) as bytes; raw files before .gz."""
    def content(name):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                return file.read()
        with gzip.open(path + ".gz") as file:
            return file.read()
    images = content(FILES[split] + "-images-idx3-ubyte")
    labels = content(FILES[split] + "-labels-idx1-ubyte")
    count = struct.unpack(">4I", images[:16])[1]
    return (numpy.frombuffer(images[16:], numpy.uint8).reshape(count, 28, 28),
            numpy.frombuffer(labels[8:], numpy.uint8))


def pixel_table(config):
    """The 256 input values: computed in double, rounded to float once."""
    data = config["data"]
    return ((numpy.arange(256) / 255.0 - data["mean"]) / data["std"]).astype(numpy.float32)


# ---- network --------------------------------------------------------------------------------

class RmsNorm(torch.nn.Module):
    """Over (C, H, W), weight and bias per channel: x rsqrt(mean(x^2) + eps) w + b."""

    def __init__(self, channels, eps):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(channels))
        self.bias = torch.nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x):
        scale = torch.rsqrt(x.square().mean(dim=(1, 2, 3), keepdim=True) + self.eps)
        return x * scale * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


class Net(torch.nn.Module):
    """The network of a config (the JSON object of a checkpoint's metadata)."""

    def __init__(self, config):
        super().__init__()
        self.steps = []  # what forward does, in order: modules and functions
        model, channels, convs = config["model"], 1, 0
        for layer in model["layers"]:
            if "conv" in layer:
                convs += 1
                conv = torch.nn.Conv2d(channels, layer["conv"], layer["kernel"],
                                       padding=layer.get("pad", 0))
                channels = layer["conv"]
                self._add(f"conv{convs}", conv)
                norm = layer.get("norm")  # true: the model's; a name: its own
                norm = model["norm"] if norm is True else norm or "none"
                if norm != "none":
                    self._add(f"norm{convs}", self._norm(config, norm, channels))
                if layer.get("relu"):
                    self.steps.append(torch.relu)
            elif layer["pool"] == "max":
                self._add(f"pool{len(self.steps)}", torch.nn.MaxPool2d(layer["size"]))
                if layer.get("dropout"):
                    self._add(f"drop{len(self.steps)}", torch.nn.Dropout(model["dropout"]))
            else:
                self.steps.append(lambda x: x.mean(dim=(2, 3)))

    def _add(self, name, module):
        self.add_module(name, module)
        self.steps.append(module)

    @staticmethod
    def _norm(config, norm, channels):
        """Layer norm over (C, H, W) with weights per channel is group norm with one group."""
        model = config["model"]
        if norm == "rms":
            return RmsNorm(channels, model["eps"])
        if norm == "batch":
            return torch.nn.BatchNorm2d(channels, eps=model["eps"],
                                        momentum=config["train"]["norm_momentum"])
        groups = {"layer": 1, "instance": channels, "group": channels // model["group_size"]}
        return torch.nn.GroupNorm(groups[norm], channels, eps=model["eps"])

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x

    def load(self, tensors):
        """Takes the weights and running values of a checkpoint: all of them, and no other."""
        own = {name: value for name, value in self.state_dict().items()
               if not name.endswith("num_batches_tracked")}
        if set(own) != set(tensors):
            raise ValueError(f"tensors differ: {sorted(set(own) ^ set(tensors))}")
        for name, value in own.items():
            if tuple(value.shape) != tensors[name].shape:
                raise ValueError(f"{name}: {tensors[name].shape}, must be {tuple(value.shape)}")
            value.copy_(torch.from_numpy(tensors[name].copy()))
        return self


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
