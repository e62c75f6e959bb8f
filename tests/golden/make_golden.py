#!/usr/bin/python3
"""Writes ops.txt beside this file: inputs and results of each operation, computed by PyTorch in
float64. Run once (Debian's python3-torch 1.13.1); the result is committed. Inputs are rounded to
float32 first."""
import pathlib

import torch
import torch.nn.functional as F

torch.manual_seed(20240229)
out = open(pathlib.Path(__file__).parent / "ops.txt", "w")


def random(*shape, mean=0.0, sigma=1.0):
    x = (mean + sigma * torch.randn(*shape, dtype=torch.float64)).float().double()
    return x.requires_grad_()


def write(name, tensor):
    values = tensor.detach().reshape(-1).tolist()
    print(name, len(values), *(f"{v:.17g}" for v in values), file=out)


def gradients(prefix, y, inputs, names):
    """A random dy, and what it gives for each input."""
    dy = random(*y.shape, mean=0.2)
    write(f"{prefix}.y", y)
    write(f"{prefix}.dy", dy)
    for name, x, dx in zip(names, inputs, torch.autograd.grad(y, inputs, dy)):
        write(f"{prefix}.{name}", x)
        write(f"{prefix}.d{name}", dx)


def conv():
    x, w, bias = random(2, 3, 5, 7, mean=0.5), random(4, 3, 3, 3), random(4)
    gradients("conv", F.conv2d(x, w, bias, padding=1), [x, w, bias], ["x", "w", "bias"])


def norms():
    for label, mean, sigma in [("near", -2.3, 1.0), ("far", 1000.0, 1.0), ("small", 0.1, 0.003)]:
        x, gamma, beta = random(3, 4, 2, 3, mean=mean, sigma=sigma), random(4, mean=1.0), random(4)
        names = ["x", "gamma", "beta"]
        running_mean, running_var = random(4).detach(), random(4).detach().abs()
        write(f"norm_batch.{label}.before_mean", running_mean)
        write(f"norm_batch.{label}.before_var", running_var)
        y = F.batch_norm(x, running_mean, running_var, gamma, beta, True, 0.1, 1e-5)
        gradients(f"norm_batch.{label}", y, [x, gamma, beta], names)
        write(f"norm_batch.{label}.running_mean", running_mean)
        write(f"norm_batch.{label}.running_var", running_var)
        y = F.batch_norm(x, running_mean, running_var, gamma, beta, False, 0.1, 1e-5)
        write(f"norm_batch.{label}.eval", y)
        for groups in [1, 2, 4]:
            y = F.group_norm(x, groups, gamma, beta, 1e-5)
            gradients(f"norm_group{groups}.{label}", y, [x, gamma, beta], names)


def pool_max():
    x = random(2, 3, 5, 7)
    gradients("pool_max", F.max_pool2d(x, 2), [x], ["x"])


def softmax_loss():
    x = random(5, 10, sigma=3.0)
    y = F.cross_entropy(x, torch.tensor([3, 0, 9, 5, 5]))
    write("softmax_loss.x", x)
    write("softmax_loss.y", y)
    write("softmax_loss.dx", torch.autograd.grad(y, x)[0])


def sgd():
    w, dw = random(20), random(3, 20)
    write("sgd.w", w)
    write("sgd.dw", dw)
    for nesterov in [False, True]:
        v = w.detach().clone().requires_grad_()
        step = torch.optim.SGD([v], lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=nesterov)
        for g in dw:
            v.grad = g.detach().clone()
            step.step()
        write("sgd.nesterov" if nesterov else "sgd.plain", v)


conv()
norms()
pool_max()
softmax_loss()
sgd()
out.close()
