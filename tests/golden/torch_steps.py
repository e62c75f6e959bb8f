#!/usr/bin/python3
"""The first training steps (20, or N) in PyTorch, compared with normlab's.

    torch_steps.py [--steps N] DATA PROGRAM CONFIG...

For each config, runs `PROGRAM train` on cpu64 and on cpu with no rotation, no dropout and no
shuffling, loads its init.safetensors into the same network in PyTorch and takes the same steps in
float64. Losses and penalties on cpu64 must agree within 1e-6 (relative); on cpu the first within
1e-5 and all within 3e-2. The exit code is 1 where they do not. Also a module: steps.
"""
import json
import os
import subprocess
import sys
import tempfile

import torch

import torch_net

STEPS = 20
PLAIN = ["data.rotate=0", "model.dropout=0", "data.shuffle=false"]


def steps(net, config, images, labels, count):
    """(loss, penalty) of each of the first count steps; images (n, 1, 28, 28) in file order, again
    and again; the last batch of each pass holds what is left."""
    train, batch = config["train"], config["data"]["batch"]
    optimiser = torch.optim.SGD(net.parameters(), lr=train["lr"], momentum=train["momentum"],
                                weight_decay=train["weight_decay"], nesterov=train["nesterov"])
    net.train()
    records, first = [], 0
    for _ in range(count):
        logits = net(images[first:first + batch])
        loss = torch.nn.functional.cross_entropy(logits, labels[first:first + batch])
        penalty = torch.zeros((), dtype=loss.dtype)
        if train["l1"]:
            penalty = train["l1"] * sum(p.abs().sum() for p in net.parameters())
        optimiser.zero_grad()
        (loss + penalty).backward()
        optimiser.step()
        records.append((loss.item(), penalty.item()))
        first = first + batch if first + batch < len(images) else 0
    return records


def normlab(program, data, config, device, out, count):
    """Runs the program; (records, path of the initial weights)."""
    command = [program, "train", config, "--data", data, "--device", device, "--epochs", "1",
               "--out", out, "--log-every", "1", "--limit-batches", str(count), "--seeds", "1",
               "--no-report", "--quiet"]
    for assignment in PLAIN:
        command += ["--set", assignment]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    unit = os.path.join(out, os.path.basename(config)[:-len(".yaml")], "seed-1")
    with open(os.path.join(unit, "metrics.jsonl"), encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    records = [(r["loss"], r["penalty"]) for r in records if r["event"] == "step"]
    return records, os.path.join(unit, "init.safetensors")


def worst(ours, theirs):
    """The largest relative difference of losses and penalties."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} step records, must be {len(theirs)}")
    return max(abs(a - b) / max(abs(b), 1e-300) for x, y in zip(ours, theirs) for a, b in zip(x, y))


def compare(data, program, config, folder, count):
    """True where all agree; prints one line."""
    double, init = normlab(program, data, config, "cpu64", os.path.join(folder, "cpu64"), count)
    single, _ = normlab(program, data, config, "cpu", os.path.join(folder, "cpu"), count)
    resolved, tensors = torch_net.read_checkpoint(init)
    net = torch_net.Net(resolved).double()
    net.load({name: value.astype("float64") for name, value in tensors.items()})
    images, labels = torch_net.read_idx(data, "train")
    used = count * resolved["data"]["batch"]
    x = torch.from_numpy(torch_net.pixel_table(resolved)[images[:used]]).double().unsqueeze(1)
    want = steps(net, resolved, x, torch.from_numpy(labels[:used].astype("int64")), count)
    far64, first, far = worst(double, want), worst(single[:1], want[:1]), worst(single, want)
    good = far64 <= 1e-6 and first <= 1e-5 and far <= 3e-2
    print(f"{os.path.basename(config):12} cpu64 {far64:.2e}   cpu: first {first:.2e}, "
          f"all {far:.2e}   {'equal' if good else 'DIFFERENT'}", flush=True)
    return good


def main():
    arguments, count = sys.argv[1:], STEPS
    if arguments[:1] == ["--steps"]:
        count, arguments = int(arguments[1]), arguments[2:]
    if len(arguments) < 3:
        sys.exit(__doc__)
    data, program, *configs = arguments
    results = []
    for config in configs:
        with tempfile.TemporaryDirectory() as folder:
            results.append(compare(data, program, config, folder, count))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
