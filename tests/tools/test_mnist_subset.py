"""The embedded subset is well formed, small, and (where the full MNIST is at hand) what its README says."""

import gzip
import os
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

source = Path(os.environ["TOMBOLA_SOURCE_ROOT"])
subset = source / "examples/data/mnist-subset"
FILES = {
    "train-images-idx3-ubyte.gz": (0x803, 7500, 784, 16),
    "train-labels-idx1-ubyte.gz": (0x801, 7500, 1, 8),
    "t10k-images-idx3-ubyte.gz": (0x803, 1250, 784, 16),
    "t10k-labels-idx1-ubyte.gz": (0x801, 1250, 1, 8),
}

readme = (subset / "README.md").read_text()
for name, (magic, count, record, header) in FILES.items():
    packed = (subset / name).read_bytes()
    content = gzip.decompress(packed)
    assert struct.unpack_from(">II", content) == (magic, count), name
    assert len(content) == header + count * record, name
    assert f"| {name} | {count:,} | {len(packed):,} |" in readme, name
assert sum(path.stat().st_size for path in subset.iterdir()) <= 1_500_000

data = Path(os.environ.get("TOMBOLA_DATA", "/nonexistent")) / "mnist"
if data.is_dir():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, source / "tools/make-mnist-subset", "--data", data, "--to", folder], check=True)
        for name in FILES:
            again, here = Path(folder, name).read_bytes(), (subset / name).read_bytes()
            assert gzip.decompress(again) == gzip.decompress(here), name
