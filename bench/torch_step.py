"""Gate-training and dense steps in PyTorch: the peers of `step/*-gated` and `step/*-dense`.

Read from standard input by any Python that has PyTorch, so that it may live in another root: python3 - [PEAK [NETWORK...]] < bench/torch_step.py
Prints JSON: the version, what its kernels and its products are capable of, and the median milliseconds of each network ("lenet-gated"), for each
number of threads. A PyTorch is no peer, and refused, whose kernels use no vector instructions (in a chroot it needs /proc), whose products reach less
than a third of PEAK operations a second (it needs a fast BLAS, in Debian libopenblas0-openmp), or whose tensors are new memory from the system each time,
which in a virtual machine can cost more than what is computed in it (it needs the environment that tools/bench gives it: MALLOC_MMAP_MAX_ and so on).
With networks named, those alone are measured, and whatever new tensors cost: PyTorch as it comes.
"""
import functools
import json
import os
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

SIGMA = 0.5


class Weight(nn.Module):
    """A frozen weight under Gaussian gates, or a trained one."""

    def __init__(self, shape, fan_in, gated):
        super().__init__()
        self.w = nn.Parameter((torch.rand(*shape) * 2 - 1) * (6 / fan_in) ** 0.5, requires_grad=not gated)
        self.mu = nn.Parameter(torch.full(shape, 0.5)) if gated else None

    def weight(self):
        return self.w if self.mu is None else self.w * (self.mu + SIGMA * torch.randn_like(self.mu)).clamp(0, 1)


class Linear(Weight):
    def __init__(self, inputs, outputs, gated):
        super().__init__((outputs, inputs), inputs, gated)

    def forward(self, x):
        return F.linear(x, self.weight())


class Conv(Weight):
    def __init__(self, inputs, outputs, kernel, stride, gated):
        super().__init__((outputs, inputs, kernel, kernel), inputs * kernel * kernel, gated)
        self.stride, self.padding = stride, kernel // 2

    def forward(self, x):
        return F.conv2d(x, self.weight(), stride=self.stride, padding=self.padding)


def norm(channels):
    return nn.BatchNorm2d(channels, affine=False)


class Bottleneck(nn.Module):
    def __init__(self, inputs, width, stride, gated):
        super().__init__()
        outputs = 4 * width
        self.body = nn.Sequential(
            Conv(inputs, width, 1, 1, gated), norm(width), nn.ReLU(), Conv(width, width, 3, stride, gated), norm(width), nn.ReLU(),
            Conv(width, outputs, 1, 1, gated), norm(outputs))
        change = stride != 1 or inputs != outputs
        self.skip = nn.Sequential(Conv(inputs, outputs, 1, stride, gated), norm(outputs)) if change else nn.Identity()

    def forward(self, x):
        return F.relu(self.body(x) + self.skip(x))


def lenet(gated, activation=nn.ReLU):
    return nn.Sequential(Linear(784, 300, gated), activation(), Linear(300, 100, gated), activation(), Linear(100, 10, gated)), (784,)


def conv6(gated):
    layers, inputs = [], 3
    for outputs in (64, 128, 256):
        layers += [Conv(inputs, outputs, 3, 1, gated), nn.ReLU(), Conv(outputs, outputs, 3, 1, gated), nn.ReLU(), nn.MaxPool2d(2)]
        inputs = outputs
    layers += [nn.Flatten(), Linear(4096, 256, gated), nn.ReLU(), Linear(256, 256, gated), nn.ReLU(), Linear(256, 10, gated)]
    return nn.Sequential(*layers), (3, 32, 32)


def resnet50(gated):
    layers, inputs = [Conv(3, 64, 7, 2, gated), norm(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            layers.append(Bottleneck(inputs, 64 << stage, 2 if stage > 0 and block == 0 else 1, gated))
            inputs = 256 << stage
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), Linear(2048, 10, gated)]
    return nn.Sequential(*layers), (3, 32, 32)


def attention_in_steps(q, k, v):
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v


class Block(nn.Module):
    """With `first` it computes the first token's output alone, as our last block does."""

    def __init__(self, columns, heads, gated, attention, first):
        super().__init__()
        self.heads, self.attention, self.first = heads, attention, first
        self.ln_1, self.ln_2 = (nn.LayerNorm(columns, elementwise_affine=False) for _ in range(2))
        self.qkv, self.out = Linear(columns, 3 * columns, gated), Linear(columns, columns, gated)
        self.mlp = nn.Sequential(Linear(columns, 4 * columns, gated), nn.GELU(), Linear(4 * columns, columns, gated))

    def forward(self, x):
        n, length, columns = x.shape
        q, k, v = self.qkv(self.ln_1(x)).view(n, length, 3, self.heads, columns // self.heads).permute(2, 0, 3, 1, 4)
        if self.first:
            q, x = q[:, :, :1], x[:, :1]
        x = x + self.out(self.attention(q, k, v).transpose(1, 2).reshape(n, -1, columns))
        return x + self.mlp(self.ln_2(x))


class Vit(nn.Module):
    def __init__(self, columns, depth, heads, patch, gated, attention, first):
        super().__init__()
        self.patch = patch
        self.proj = Linear(3 * patch * patch, columns, gated)
        self.register_buffer("position", torch.randn(1, (32 // patch) ** 2 + 1, columns))
        self.register_buffer("token", torch.randn(1, 1, columns))
        self.blocks = nn.Sequential(*(Block(columns, heads, gated, attention, first and block == depth - 1) for block in range(depth)))
        self.ln, self.head = nn.LayerNorm(columns, elementwise_affine=False), Linear(columns, 10, gated)

    def forward(self, x):
        patches = F.unfold(x, self.patch, stride=self.patch).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), self.proj(patches)], 1) + self.position
        return self.head(self.ln(self.blocks(x))[:, 0])


def vit(gated, attention=F.scaled_dot_product_attention, first=True):
    return Vit(384, 6, 6, 4, gated, attention, first), (3, 32, 32)


def median_step(build, batch, gated, steps, channels_last=False):
    torch.manual_seed(0)
    model, shape = build(gated)
    x, y = torch.randn(batch, *shape), torch.randint(0, 10, (batch,))
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    mus = [module.mu for module in model.modules() if getattr(module, "mu", None) is not None]
    adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3, fused=True)
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        loss = F.cross_entropy(model(x), y)
        for mu in mus:  # the penalty: the sum of P(z > 0)
            loss = loss + 1e-6 * (0.5 * (1 + torch.erf(mu / (SIGMA * 2 ** 0.5)))).sum()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        times.append(time.perf_counter() - start)
    return sorted(times[steps // 6:])[(steps - steps // 6) // 2] * 1e3


def shortest(run):
    """Seconds of the fastest of ten."""
    times = []
    for _ in range(10):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def product_speed():
    """Operations a second of 1024 x 1024 x 1024 on all processors, the fastest of ten."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))  # its default may be fewer
    a = torch.ones(1024, 1024)
    return 2 * 1024 ** 3 / shortest(lambda: a @ a)


def cost_of_memory():
    """How many times as long a new tensor of 64 MB takes to be written as one that is there."""
    kept = torch.ones(1 << 24)
    return shortest(lambda: torch.empty(1 << 24).fill_(1)) / shortest(lambda: kept.fill_(1))


# Of each network the ways to run it: the figure is the best one's. "vit" leaves out of its last block what its class token does not need, as ours
# does; "vit-whole" computes all of it, as models are usually written.
networks = {"lenet": (128, 300, [(lenet, False)]), "lenet-prelu": (128, 300, [(functools.partial(lenet, activation=nn.PReLU), False)]),
            "conv6": (128, 8, [(conv6, False), (conv6, True)]),
            "resnet50": (128, 8, [(resnet50, False), (resnet50, True)]),
            "vit": (64, 6, [(vit, False), (functools.partial(vit, attention=attention_in_steps), False)]),
            "vit-whole": (64, 6, [(functools.partial(vit, first=False), False),
                                  (functools.partial(vit, attention=attention_in_steps, first=False), False)])}
result = {"version": torch.__version__, "capability": torch.backends.cpu.get_cpu_capability(), "product": product_speed(), "steps": {}}
if result["capability"] == "DEFAULT":
    sys.exit("torch_step.py: expected kernels with vector instructions, got none: has PyTorch's root /proc?")
if len(sys.argv) > 1 and result["product"] < float(sys.argv[1]) / 3:
    sys.exit(f"torch_step.py: expected a product of 1024 x 1024 x 1024 at a third of {float(sys.argv[1]) / 1e9:.0f} GFLOP/s or more, got "
             f"{result['product'] / 1e9:.0f}: has PyTorch a fast BLAS? (OpenBLAS may need OPENBLAS_CORETYPE=SkylakeX on a processor that it does not know)")
chosen = sys.argv[2:]
if not chosen and (cost := cost_of_memory()) > 2:
    sys.exit(f"torch_step.py: expected new tensors to cost what others do, got {cost:.1f} times as much: does its malloc give memory back?")
for name in chosen or networks:
    batch, steps, ways = networks[name]
    for kind in ("gated", "dense"):
        found = result["steps"][f"{name}-{kind}"] = {}
        for threads in range(1, len(os.sched_getaffinity(0)) + 1):
            torch.set_num_threads(threads)
            found[threads] = min(median_step(build, batch, kind == "gated", steps, channels_last) for build, channels_last in ways)
json.dump(result, sys.stdout)
