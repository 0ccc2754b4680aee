"""The same bytes for any number of threads and for two runs; other bytes for another seed."""

import tempfile
from pathlib import Path

from program import lenet_mnist, results, search, skip_unless_built

skip_unless_built(lenet_mnist)
variants = [[], ["--gates", "hard-concrete"], ["--structure", "units"], ["--target-sparsity", "0.8"],
            ["--rescale", "neuron", "--sigma-mode", "layer", "--init", "uniform"]]
with tempfile.TemporaryDirectory() as folder:
    for number, options in enumerate(variants):
        first = None
        for threads in (1, 2, 3, 7, 2):
            out = Path(folder, f"{number}-{threads}")
            search(out, "--threads", threads, *options)
            first = first or results(out)
            for name, content in results(out).items():
                assert content == first[name], f"{name} differs with {threads} threads and {options}"
    search(Path(folder, "seed"), "--seed", 2)
    other = results(Path(folder, "seed"))
    same = results(Path(folder, "0-1"))
    assert all(other[name] != same[name] for name in other), "another seed gave the same result"
