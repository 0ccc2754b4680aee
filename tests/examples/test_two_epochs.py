"""The main job for two epochs on the full MNIST, where $TOMBOLA_DATA has it."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

build = Path(os.environ["TOMBOLA_BUILD_ROOT"])
data = Path(os.environ.get("TOMBOLA_DATA", "/nonexistent")) / "mnist"
program = build / "examples/lenet_mnist"
if not data.is_dir() or not program.exists():
    print(f"skipped: needs {data} and {program}")
    sys.exit(77)

with tempfile.TemporaryDirectory() as folder:
    subprocess.run([program, "--data", data, "--epochs", "2", "--out", folder], check=True, stdin=subprocess.DEVNULL)
    summary = json.loads(Path(folder, "summary.json").read_text())
    accuracy = summary["accuracy"]["test"]["binary"]
    assert accuracy >= 0.9, accuracy
    verify = [build / "tools/tombola", "verify", Path(folder, "ticket.tombola")]
    subprocess.run(verify, check=True, stdin=subprocess.DEVNULL)
