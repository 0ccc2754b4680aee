"""One gate-training step of LeNet-300-100, batch 128, in PyTorch: the peer of `step/lenet-gated`.

Read from standard input by any Python that has PyTorch, so that it may live in another root: python3 - < bench/torch_step.py
Prints JSON: the version, and the median milliseconds for each number of threads, dense and gated.
"""
import json
import os
import sys
import time

import torch
import torch.nn.functional as F

SIZES = [784, 300, 100, 10]
SIGMA = 0.5


class Network(torch.nn.Module):
    def __init__(self, gated):
        super().__init__()
        weights = [(torch.rand(o, i) * 2 - 1) * (6 / i) ** 0.5 for i, o in zip(SIZES, SIZES[1:])]
        self.weights = torch.nn.ParameterList([torch.nn.Parameter(w, requires_grad=not gated) for w in weights])
        self.mus = torch.nn.ParameterList([torch.nn.Parameter(torch.full_like(w, 0.5)) for w in weights]) if gated else []

    def forward(self, x):
        for layer, weight in enumerate(self.weights):
            if len(self.mus):
                mu = self.mus[layer]
                weight = weight * (mu + SIGMA * torch.randn_like(mu)).clamp(0, 1)
            x = F.linear(x, weight)
            x = F.relu(x) if layer + 1 < len(self.weights) else x
        return x


def median_step(gated, steps=300):
    torch.manual_seed(0)
    model, x, y = Network(gated), torch.randn(128, 784), torch.randint(0, 10, (128,))
    adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3, fused=True)
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        loss = F.cross_entropy(model(x), y)
        for mu in model.mus:  # the penalty of METHOD: the sum of P(z > 0)
            loss = loss + 1e-6 * (0.5 * (1 + torch.erf(mu / (SIGMA * 2 ** 0.5)))).sum()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        times.append(time.perf_counter() - start)
    return sorted(times[steps // 6:])[(steps - steps // 6) // 2] * 1e3


result = {"version": torch.__version__, "dense": {}, "gated": {}}
for threads in range(1, len(os.sched_getaffinity(0)) + 1):
    torch.set_num_threads(threads)
    for name in ("dense", "gated"):
        result[name][threads] = median_step(name == "gated")
json.dump(result, sys.stdout)
