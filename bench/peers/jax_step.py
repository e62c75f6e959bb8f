#!/usr/bin/env python3
"""Times training steps of the same network in JAX: the steps of a round are one jit.

    jax_step.py [--device cpu|cuda] [--mode MODE] [--threads N] [--batch N] [--width N] [--rounds N]
                [--steps N] [--turns] [--losses N --init DIR] [--data DIR] VARIANT...

VARIANT: bn_l1 | ln | gn | bn | none. Writes the lines that bench_step writes. As XLA likes it:
images (N, H, W, C), filters (H, W, I, O), the steps a lax.scan whose carry is donated, the data set
on the device, a batch gathered there. MODE: jit (XLA's convolutions; on the CPU a step is a jit of
its own, since convolutions inside a scan are slow there), unfold (convolutions as products of
matrices). JAX is charged for no rotation. Products are in float32, not TF32. --turns: see
files.turns.

--losses N takes N steps from the weights in DIR/VARIANT.safetensors, without dropout, in file
order, and writes the losses: they must be normlab's.
"""
import functools
import os
import resource
import sys
import time

BEGAN = time.perf_counter()
if "--threads" in sys.argv[:-1]:  # XLA makes as many as it may use cores, when it is loaded
    CORES = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, CORES[:int(sys.argv[sys.argv.index("--threads") + 1])])

import jax  # noqa: E402  (behind the clock: loading it is part of starting up)
from jax import lax, numpy as jnp  # noqa: E402
import numpy  # noqa: E402

import files  # noqa: E402
from files import DROP, EPS, L1, LAYERS, MOMENTUM, RATE  # noqa: E402


# ---- network --------------------------------------------------------------------------------

def initial(width, path):
    """[{w, b, gamma, beta}] and [{mean, var}], from a file or from the generator."""
    rng = numpy.random.default_rng(1)
    weights = files.read_safetensors(path)[1] if path else None
    params, running, channels = [], [], 1
    for i, (out, kernel, _, norm, _) in enumerate(LAYERS, 1):
        out = out * width if norm else out
        if weights:
            w, b = weights[f"conv{i}.weight"], weights[f"conv{i}.bias"]
        else:
            bound = (channels * kernel * kernel) ** -0.5
            w = rng.uniform(-bound, bound, (out, channels, kernel, kernel)).astype(numpy.float32)
            b = rng.uniform(-bound, bound, out).astype(numpy.float32)
        layer = {"w": jnp.asarray(w.transpose(2, 3, 1, 0)), "b": jnp.asarray(b)}
        if norm:
            layer.update(gamma=jnp.ones(out), beta=jnp.zeros(out))
            running.append({"mean": jnp.zeros(out), "var": jnp.ones(out)})
        params.append(layer)
        channels = out
    return params, running


def normalise(variant, x, layer, running):
    """(y, new running values)."""
    n, h, w, c = x.shape
    if variant == "none":
        return x, running
    if variant in ("bn", "bn_l1"):
        mean, var, count = x.mean((0, 1, 2)), x.var((0, 1, 2)), n * h * w
        running = {"mean": 0.9 * running["mean"] + 0.1 * mean,
                   "var": 0.9 * running["var"] + 0.1 * var * count / (count - 1)}
        y = (x - mean) * lax.rsqrt(var + EPS)
    else:
        groups = 1 if variant == "ln" else c // 4
        cells = x.reshape(n, h, w, groups, c // groups)
        mean = cells.mean((1, 2, 4), keepdims=True)
        var = cells.var((1, 2, 4), keepdims=True)
        y = ((cells - mean) * lax.rsqrt(var + EPS)).reshape(x.shape)
    return y * layer["gamma"] + layer["beta"], running


def convolution(mode, x, w, pad):
    if mode == "jit":
        return lax.conv_general_dilated(x, w, (1, 1), [(pad, pad)] * 2,
                                        dimension_numbers=("NHWC", "HWIO", "NHWC"))
    high, wide, _, out = w.shape
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows, columns = x.shape[1] - high + 1, x.shape[2] - wide + 1
    cells = jnp.concatenate([x[:, i:i + rows, j:j + columns] for i in range(high)
                             for j in range(wide)], axis=-1)
    return cells @ w.reshape(-1, out)


def logits(mode, variant, drop, params, running, images, key):
    x, fresh = images[..., None], []
    for layer, (_, _, pad, norm, pool) in zip(params, LAYERS):
        x = convolution(mode, x, layer["w"], pad) + layer["b"]
        if norm:
            x, values = normalise(variant, x, layer, running[len(fresh)])
            fresh.append(values)
            x = jax.nn.relu(x)
        if pool:
            n, h, w, c = x.shape
            x = x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))
            if drop:
                key, part = jax.random.split(key)
                x = jnp.where(jax.random.bernoulli(part, 1 - DROP, x.shape), x / (1 - DROP), 0)
    return x.mean((1, 2)), fresh


# ---- training -------------------------------------------------------------------------------

def make_round(variant, args, drop, steps):
    """A function of (carry, data) that takes so many steps: (carry, losses)."""
    mode, batch = args.mode, args.batch

    def loss(params, running, images, labels, key):
        scores, fresh = logits(mode, variant, drop, params, running, images, key)
        plain = -jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], 1).mean()
        total = plain
        if variant == "bn_l1":
            total += L1 * sum(jnp.abs(p).sum() for p in jax.tree_util.tree_leaves(params))
        return total, (plain, fresh)

    def step(data, carry, _):
        params, velocity, running, place, key = carry
        images, labels, order = data
        index = lax.dynamic_slice(order, (place,), (batch,))
        key, part = jax.random.split(key)
        gradient, (plain, running) = jax.grad(loss, has_aux=True)(
            params, running, images[index], labels[index], part)
        velocity = jax.tree_util.tree_map(lambda v, g: MOMENTUM * v + g, velocity, gradient)
        params = jax.tree_util.tree_map(lambda p, v: p - RATE * v, params, velocity)
        place = (place + batch) % (len(order) // batch * batch)
        return (params, velocity, running, place, key), plain

    @functools.partial(jax.jit, donate_argnums=0)
    def scan(carry, data):
        return lax.scan(functools.partial(step, data), carry, None, length=steps)

    @functools.partial(jax.jit, donate_argnums=0)
    def one(carry, data):
        return step(data, carry, None)

    def loop(carry, data):
        values = []
        for _ in range(steps):
            carry, value = one(carry, data)
            values.append(value)
        return carry, values

    return loop if mode == "jit" and args.device == "cpu" else scan


def begin(variant, args):
    path = os.path.join(args.init, variant + ".safetensors") if args.init else None
    params, running = initial(args.width, path)
    velocity = jax.tree_util.tree_map(jnp.zeros_like, params)
    return params, velocity, running, jnp.int32(0), jax.random.PRNGKey(1)


# ---- measuring ------------------------------------------------------------------------------

def line(variant, args, what):
    device = jax.devices()[0]
    return {"what": what, "program": "JAX", "version": jax.__version__, "mode": args.mode,
            "variant": variant, "device": device.device_kind, "batch": args.batch,
            "threads": len(os.sched_getaffinity(0)) if device.platform == "cpu" else 0,
            "width": args.width}


def memory():
    used = jax.devices()[0].memory_stats() or {}
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return used.get("peak_bytes_in_use", host)


class Timed:
    """A variant, ready to be timed. round() is its line."""

    def __init__(self, variant, args, data):
        self.args, self.data, self.line = args, data, line(variant, args, "step")
        self.carry = begin(variant, args)
        self.take = make_round(variant, args, True, args.steps)
        if variant == args.variant[0]:
            one = make_round(variant, args, True, 1)
            self.carry, _ = jax.block_until_ready(one(self.carry, data))
            self.line["start_s"] = time.perf_counter() - BEGAN
        self.steps()

    def steps(self):
        """Milliseconds a step."""
        start = time.perf_counter()
        self.carry, _ = jax.block_until_ready(self.take(self.carry, self.data))
        return 1e3 * (time.perf_counter() - start) / self.args.steps

    def round(self):
        self.line["ms"] = [self.steps() for _ in range(self.args.rounds)]
        self.line["memory_bytes"] = memory()
        return self.line


def losses(variant, args, data):
    _, values = make_round(variant, args, False, args.losses)(begin(variant, args), data)
    return {**line(variant, args, "losses"), "losses": [float(value) for value in values]}


def main():
    args = files.parser(__doc__, ("jit", "unfold")).parse_args()
    jax.config.update("jax_platforms", args.device)
    jax.config.update("jax_default_matmul_precision", "highest")
    images, labels = files.read_inputs(args.data, "train")
    order = numpy.arange(len(images)) if args.losses \
        else numpy.random.default_rng(1).permutation(len(images))
    data = tuple(jnp.asarray(part) for part in (images, labels.astype("int32"),
                                                order.astype("int32")))
    files.run(args, losses, Timed, data)


if __name__ == "__main__":
    main()
