"""A target sparsity is reached within half a point."""

import tempfile
from pathlib import Path

from program import lenet_mnist, search, skip_unless_built, summary

skip_unless_built(lenet_mnist)
with tempfile.TemporaryDirectory() as folder:
    for target in (0.5, 0.9, 0.98):
        out = Path(folder, str(target))
        search(out, "--hidden", "300,100", "--epochs", 12, "--target-sparsity", target)
        reached = summary(out)["gates"]["sparsity"]
        assert abs(reached - target) <= 0.005, f"asked for {target}, got {reached}"
