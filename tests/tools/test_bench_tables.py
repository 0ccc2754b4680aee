"""The tables of tools/bench say what the programs measured: medians of rounds, shares, and medians of ratios that lie within one round."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

root = Path(os.environ["TOMBOLA_SOURCE_ROOT"])

# A program in Google Benchmark's manner: its n-th run prints the n-th line of its answers.
PROGRAM = """#!/usr/bin/env python3
import pathlib, sys
here = pathlib.Path(sys.argv[0])
calls = pathlib.Path(f"{here}.calls")
before = calls.read_text() if calls.exists() else ""
calls.write_text(before + "x")
with open(here.parent / "order", "a") as order:
    order.write(here.name + " ")
answer = pathlib.Path(f"{here}.answers").read_text().splitlines()[len(before)]
sys.exit(answer) if answer.startswith("no: ") else print(answer)
"""


def program(folder, name, names, runs):
    """`runs`: of each run the entry of each name, or a refusal."""
    def answer(entries):
        return entries if isinstance(entries, str) else json.dumps(
            {"benchmarks": [{"run_name": of, **entry} for of, entry in zip(names, entries)]})
    write(folder, name, map(answer, runs))


def write(folder, name, lines):
    Path(folder, name).write_text(PROGRAM)
    Path(folder, name).chmod(0o755)
    Path(folder, f"{name}.answers").write_text("\n".join(lines) + "\n")


def tables(folder, only, rounds, torch=""):
    out = Path(folder, "tables.md")
    out.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, root / "tools/lib/bench_tables.py", "--programs", folder, "--only", only, "--rounds", str(rounds),
                           "--torch", torch, "--torch-script", os.devnull, "--out", out], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done, out.read_text() if out.exists() else ""


def expect(text, *lines):
    for line in lines:
        assert line in text, (line, text)


with tempfile.TemporaryDirectory() as folder:
    # The ratios of the rounds over oneDNN are .9, 1.5 and 2 on one thread; the medians of the speeds, 100 and 80, would give 1.25.
    program(folder, "gemm", [f"gemm/{library}/128x300x784/NN/{threads}/real_time" for threads in (1, 2) for library in ("tombola", "onednn", "eigen")],
            [[{"flops": own, "share": own / 1e11, "peak": 1e11, "sustained": own / 1.25e11}, {"flops": other}, {"flops": 5e10},
              {"flops": 1.6e11, "share": 0.8, "peak": 2e11, "sustained": 0.95, "handover": away}, {"flops": 1e11}, {"flops": 8e10}]
             for own, other, away in ((9e10, 1e11, 3.4e-8), (1.2e11, 8e10, 1.8e-7), (1e11, 5e10, 3.3e-8))])
    program(folder, "conv", [f"conv/{library}/{layer}/forward/1" for library in ("tombola", "onednn") for layer in ("a", "b")] + ["conv/tombola/c/forward/1"],
            3 * [[{"flops": 4e10, "share": 0.4}, {"flops": 9e10, "share": 0.9}, {"flops": 1e10}, {"flops": 9e10}, {"flops": 5e10, "share": 0.5}]])
    program(folder, "gates", ["gates/update/33554432/2"],
            [[{"per_gate": time, "share": 0.4 / time, "triad": 7e10}] for time in (0.5, 0.4, 0.3)])
    program(folder, "attention", [f"attention/{library}/65/forward/2" for library in ("tombola", "unfused")],
            3 * [[{"flops": 3e10, "share": 0.6}, {"flops": 2e10}]])
    program(folder, "elementwise", ["elementwise/relu/1024/1"], 3 * [[{"real_time": 0.5, "bytes": 2e10, "share": 0.7}]])
    program(folder, "tape", ["tape/empty_loop/2"], 3 * [[{"per_op": 6e-7}]])
    done, text = tables(folder, "conv,gates,gemm,attention,elementwise,tape", 3)
    assert done.returncode == 0, done
    expect(text, "Medians of 3 rounds", "Multiply-adds: 100 GFLOP/s on 1 thread, 200 GFLOP/s on 2 threads", "Two threads' peak is 2.00 times one thread's",
           "multiply-adds alone reach 80% of it on 1 thread, 95% of it on 2 threads",
           "from one of two threads to the other in 34 ns, beside a tenth of the rows in 180 or more.",
           "| m x n x k | form | threads | GFLOP/s | share of peak | of kept up | x onednn | x eigen |", "| 128 x 300 x 784 | NN | 1 | 100 | 100% | 125% | 1.50 | 2.00 |",
           "| 128 x 300 x 784 | NN | 2 | 160 | 80% | 84% | 1.60 | 2.00 |", "| b | forward | 1 | 90 | 90% | 1.00 |", "| c | forward | 1 | 50 | 50% | – |",
           "Geometric mean over oneDNN: 2.00 (forward on 1: 2.00).", "| update | 33,554,432 | 2 | 0.40 | 1.00 |", "70 GB/s on 2 threads",
           "| 65 | forward | 2 | 30 | 60% | 1.50 | – |", "| relu | 1,024 | 1 | 0.50 | 20 | 0.70 |", "| the same, two threads | 600 |")
    assert text.index("## Gates") < text.index("## Products") < text.index("## Convolutions"), text

NAMES = [f"step/vit-{kind}/{threads}/iterations:1/manual_time" for kind in ("gated", "dense") for threads in (1, 2)]


def ours(*milliseconds):
    return [{"real_time": 1e3 * time, "floor": time / 100, "peak": 1e11} for time in milliseconds]


def theirs(gated, whole, as_it_comes):
    """Two runs: of all steps, and of PyTorch as it comes."""
    steps = {"vit-gated": {"1": 2 * gated, "2": gated}, "vit-whole-gated": {"1": whole, "2": 2 * whole}}
    answer = {"version": "2.14", "capability": "AVX2", "product": 1.5e11}
    return [json.dumps({**answer, "steps": steps}), json.dumps({**answer, "steps": {"vit-gated": {"1": as_it_comes, "2": 3 * as_it_comes}}})]


with tempfile.TemporaryDirectory() as folder:
    # Our best: 200, 300, 250 (gated) over 160, 200, 250 (dense); PyTorch's 300, 330, 400 and 400, 300, 500.
    program(folder, "step", NAMES, [ours(400, 200, 320, 160), ours(300, 310, 400, 200), ours(500, 250, 500, 250)])
    write(folder, "torch", [*theirs(300, 400, 800), *theirs(330, 300, 600), *theirs(400, 500, 2000)])
    done, text = tables(folder, "step", 3, f"{folder}/torch")
    assert done.returncode == 0, done
    expect(text, "| Tombola, vit-gated | 1 | 400.0 | 4.00 |", "| Tombola, vit-gated | 2 | 250.0 | 2.50 |", "| PyTorch 2.14, vit-gated | 2 | 330.0 | – |",
           "the median of 3 rounds", "Gated over dense: vit 1.25 (1.00 to 1.50).", "vit-gated 1.50 (1.10 to 1.60), vit-whole-gated 2.00 (1.00 to 2.00)",
           "150 GFLOP/s", "| PyTorch 2.14 as it comes, vit-gated | 2 | 2400.0 | – |", "not told to keep memory: vit-gated 4.00 (2.00 to 8.00).")
    assert Path(folder, "order").read_text() == "step torch torch torch torch step step torch torch ", "who goes first takes turns"

with tempfile.TemporaryDirectory() as folder:
    program(folder, "step", NAMES, 2 * [ours(400, 200, 320, 160)])
    write(folder, "torch", [*theirs(300, 400, 800), "no: its host was slow"])
    done, text = tables(folder, "step", 2, f"{folder}/torch")
    assert done.returncode == 0 and "no: its host was slow" in done.stderr and "bench: round 2 does not count" in done.stderr, done
    expect(text, "the median of 1 round,", "vit-gated 1.50 (1.50 to 1.50)")

with tempfile.TemporaryDirectory() as folder:
    program(folder, "step", NAMES, [ours(400, 200, 320, 160)])
    write(folder, "torch", ["no: no vector instructions"])
    done, text = tables(folder, "step", 2, f"{folder}/torch")
    assert done.returncode == 1 and not text and done.stderr.splitlines()[-1].endswith("gave no PyTorch to compare with"), done
    program(folder, "step", NAMES, ["no: broken"])
    Path(folder, "step.calls").unlink()
    done, text = tables(folder, "step", 2)
    assert done.returncode == 1 and not text and "expected status 0, got 1" in done.stderr, done
