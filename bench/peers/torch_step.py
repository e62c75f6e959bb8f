#!/usr/bin/env python3
"""Times training steps of the same network in PyTorch.

    torch_step.py [--device cpu|cuda] [--mode MODE] [--threads N] [--batch N] [--width N]
                  [--rounds N] [--steps N] [--evaluate N] [--turns] [--losses N --init DIR]
                  [--data DIR] VARIANT...

VARIANT: bn_l1 | ln | gn | bn | none. MODE: nchw (as written, one operation after the other), nhwc
(channels last); on the CPU also compiled and compiled-nhwc (torch.compile); on CUDA also graph (the
whole step in one CUDA graph) and compile (torch.compile, autotuned, the whole step in one CUDA
graph). Writes the lines that bench_step writes. --turns: see files.turns.

PyTorch is charged for less than normlab is: no rotation; on the CPU the batches are made before the
clock starts, on CUDA a batch is gathered from inputs that lie on the device as floats. L1 is added
to the loss over one flat vector of all parameters, which is faster than tensor by tensor. TF32 is
off, as it is in normlab unless a config asks for it.

--losses N takes N steps from the weights in DIR/VARIANT.safetensors, without dropout, in file
order, and writes the losses: they must be normlab's.
"""
import itertools
import os
import platform
import resource
import time

BEGAN = time.perf_counter()

import torch  # noqa: E402  (behind the clock: loading it is part of starting up)
from torch.nn import functional as F  # noqa: E402

import files  # noqa: E402
from network import Net  # noqa: E402

MODES = {"cpu": ("nchw", "nhwc", "compiled", "compiled-nhwc"),
         "cuda": ("nchw", "nhwc", "graph", "compile")}


def layout(args):
    return torch.channels_last if args.mode.endswith("nhwc") else torch.contiguous_format


# ---- training -------------------------------------------------------------------------------

class Batches:
    """The inputs, in batches: made beforehand on the CPU, gathered on the device on CUDA."""

    def __init__(self, args, images, labels, shuffled):
        self.batch = args.batch
        full = len(images) // args.batch
        order = torch.randperm(len(images)) if shuffled else torch.arange(len(images))
        if args.device == "cuda":
            self.images = images.unsqueeze(1).cuda().contiguous(memory_format=layout(args))
            self.labels, self.order = labels.cuda(), order.cuda()
            self.place = torch.arange(args.batch).cuda()
            self.limit = full * args.batch
            self.made = None
        else:
            made = []
            for i in range(full):
                index = order[i * args.batch:(i + 1) * args.batch]
                made.append((images[index].unsqueeze(1).contiguous(memory_format=layout(args)),
                             labels[index]))
            self.made = itertools.cycle(made)

    def next(self):
        if self.made:
            return next(self.made)
        index = self.order[self.place]
        self.place.add_(self.batch).remainder_(self.limit)
        return self.images[index], self.labels[index]

    def rewind(self):
        self.place.copy_(torch.arange(self.batch))


class Trainer:
    """step() takes one training step and returns its loss, without L1, as a tensor."""

    def __init__(self, variant, args, batches, dropout):
        self.l1 = files.L1 if variant == "bn_l1" else 0
        self.net = Net({"model": files.model(variant, args.width, dropout),
                        "train": {"norm_momentum": 0.1}})
        if args.init:
            path = os.path.join(args.init, variant + ".safetensors")
            self.net.load(files.read_safetensors(path)[1])
        self.net = self.net.to(args.device).to(memory_format=layout(args))
        self.batches = batches
        self.optimiser = self._sgd()
        self.forward = self.loss
        self.step = self.plain_step
        if args.mode.startswith("compile"):
            mode = "max-autotune-no-cudagraphs" if args.device == "cuda" else None
            self.forward = torch.compile(self.loss, mode=mode, dynamic=False)
        if args.mode in ("compile", "graph"):
            self._record()

    def _sgd(self):
        parameters = list(self.net.parameters())
        try:
            return torch.optim.SGD(parameters, lr=files.RATE, momentum=files.MOMENTUM, fused=True)
        except (TypeError, RuntimeError):  # a version without
            return torch.optim.SGD(parameters, lr=files.RATE, momentum=files.MOMENTUM, foreach=True)

    def loss(self, images, labels):
        loss = F.cross_entropy(self.net(images), labels)
        if not self.l1:
            return loss, loss
        flat = torch.cat([p.reshape(-1) for p in self.net.parameters()])
        return loss, loss + self.l1 * flat.abs().sum()

    def plain_step(self):
        self.optimiser.zero_grad(set_to_none=True)
        loss, total = self.forward(*self.batches.next())
        total.backward()
        self.optimiser.step()
        return loss.detach()

    def _record(self):
        """The whole step, batch and update included, in one graph; then back to the beginning."""
        before = {name: value.clone() for name, value in self.net.state_dict().items()}
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                self.plain_step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        self.optimiser.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            recorded = self.plain_step()
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                value.copy_(before[name])
            for state in self.optimiser.state.values():
                state["momentum_buffer"].zero_()
        self.batches.rewind()

        def replay():
            graph.replay()
            return recorded

        self.step = replay


# ---- measuring ------------------------------------------------------------------------------

def wait(args):
    if args.device == "cuda":
        torch.cuda.synchronize()


def line(variant, args, what):
    device = torch.cuda.get_device_name() if args.device == "cuda" else platform.machine()
    return {"what": what, "program": "PyTorch", "version": torch.__version__, "mode": args.mode,
            "variant": variant, "device": device, "batch": args.batch,
            "threads": args.threads if args.device == "cpu" else 0, "width": args.width}


def evaluation(net, args):
    """Images a second of the passes over the test set."""
    images, _ = files.read_inputs(args.data, "test")
    images = torch.from_numpy(images).unsqueeze(1).to(args.device).contiguous(memory_format=layout(args))
    net.eval()
    rates = []
    with torch.inference_mode():
        for part in images[:1000].split(500):
            net(part)
        for _ in range(args.evaluate):
            wait(args)
            start = time.perf_counter()
            for part in images.split(500):
                net(part).argmax(1)
            wait(args)
            rates.append(len(images) / (time.perf_counter() - start))
    return rates


def memory(args):
    if args.device == "cuda":
        return torch.cuda.max_memory_reserved()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Timed:
    """A variant, ready to be timed. round() is its line."""

    def __init__(self, variant, args, data):
        self.args = args
        self.trainer = Trainer(variant, args, Batches(args, *data, True), files.DROP)
        self.line = line(variant, args, "step")
        self.trainer.step()
        wait(args)
        if variant == args.variant[0]:
            self.line["start_s"] = time.perf_counter() - BEGAN
        self.steps(min(args.steps, 20 if args.device == "cuda" else 3))

    def steps(self, count):
        """Milliseconds a step."""
        start = time.perf_counter()
        for _ in range(count):
            self.trainer.step()
        wait(self.args)
        return 1e3 * (time.perf_counter() - start) / count

    def round(self):
        if self.args.turns:  # the others had the caches
            self.steps(2)
        self.line["ms"] = [self.steps(self.args.steps) for _ in range(self.args.rounds)]
        if self.args.evaluate:
            self.line["evaluation_images_s"] = evaluation(self.trainer.net, self.args)
        self.line["memory_bytes"] = memory(self.args)
        return self.line


def losses(variant, args, data):
    trainer = Trainer(variant, args, Batches(args, *data, False), 0)
    return {**line(variant, args, "losses"),
            "losses": [trainer.step().item() for _ in range(args.losses)]}


def arguments():
    parser = files.parser(__doc__, MODES["cpu"] + MODES["cuda"][2:], evaluate=0)
    args = parser.parse_args()
    if args.mode not in MODES[args.device]:
        parser.error(f"--mode {args.mode}: not with --device {args.device}")
    return args


def main():
    args = arguments()
    torch.manual_seed(1)
    torch.set_num_threads(args.threads)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    steps = args.losses or args.steps
    count = None if args.device == "cuda" else steps * args.batch
    data = [torch.from_numpy(part) for part in files.read_inputs(args.data, "train", count)]
    files.run(args, losses, Timed, data)


if __name__ == "__main__":
    main()
