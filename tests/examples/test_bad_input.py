"""Every bad input gives one clear line and a status that is not zero, and loses nothing that was there before."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "ticket"))
from independent_reader import crc64
from program import build, idx, lenet_mnist, run, search, skip_unless_built, subset, tombola, write_data

gate_tables = build / "examples/gate_tables"
skip_unless_built(lenet_mnist, gate_tables, tombola)


def refused(result, *parts):
    assert result.returncode not in (0, 134, 139) and result.returncode > 0, result
    assert len(result.stderr.strip().splitlines()) <= 3, f"more than a clear line: {result.stderr}"
    for part in parts:
        assert part in result.stderr + result.stdout, f"expected {part!r} in {result.stderr!r}"


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    out = folder / "out"
    # --- options
    refused(run(lenet_mnist, "--no-such-option", expect=None), "--no-such-option")
    for option, value in [("--epochs", 0), ("--epochs", "many"), ("--mode", "magic"), ("--hidden", "30,0"), ("--threads", 0), ("--sigma", -1),
                          ("--target-sparsity", 1.5), ("--activation", "step"), ("--batch", 0), ("--init", "ones"), ("--lambda", "nan"),
                          ("--replicates", 0), ("--penalty", "l2"), ("--rescale", "maybe")]:
        refused(search(out, option, value, expect=None), option)
    for option, first, second in [("--hidden", "30,10", "20"), ("--epochs", 1, 1), ("--lambda", 1, 2), ("--activation", "relu", "tanh"),
                                  ("--seed", 1, 2), ("--weights", "a", "b"), ("--out", folder / "a", folder / "b")]:
        refused(search(out, option, first, option, second, expect=None), option)
    refused(search(out, "--hidden", 30, 10, expect=None), "10")
    for options, line in (
        (("--low", 2), "fc1.weight: expected gate bounds with low < high, got [2, 1.25]"),
        (("--start", 2), "fc1.weight: expected a start within the bounds [-1, 1.25], got 2"),
        (("--gates", "hard-concrete", "--sigma", 0.5), "--sigma: expected --gates gaussian, whose noise it is the width of, got hard-concrete"),
        (("--gates", "hard-concrete", "--sigma-end", 0.2), "--sigma-end: expected --gates gaussian with --sigma-mode fixed, got hard-concrete and fixed"),
        (("--sigma-mode", "layer", "--sigma-end", 0.2), "--sigma-end: expected --gates gaussian with --sigma-mode fixed, got gaussian and layer"),
        (("--gates", "hard-concrete", "--sigma-mode", "layer"), "--sigma-mode: expected fixed, or --gates gaussian, whose noise is learned, got layer and hard-concrete"),
        (("--sigma-penalty",), "--sigma-penalty: expected a --sigma-mode in which sigma is learned, got fixed"),
        (("--no-bounds", "--low", 0), "--no-bounds: expected no --low and no --high beside it"),
        *((("--penalty", penalty, "--target-sparsity", 0.9), "--target-sparsity: expected --penalty sparse, of which a larger lambda closes more gates, got " + penalty)
          for penalty in ("none", "undecided", "variance", "entropy")),
        (("--mode", "dense", "--target-sparsity", 0.9), "--target-sparsity: expected a --mode with gates to close, got dense"),
        (("--ramp", 0.5, "--target-sparsity", 0.9), "--ramp: expected none beside --target-sparsity, whose controller chooses lambda"),
        (("--mode", "frozen-trained"), "--weights: expected the weights.bin of another run for --mode frozen-trained, got nothing"),
        (("--mode", "joint", "--weights", "none.bin"), "--weights: expected --mode frozen-trained, whose weights it names, got joint"),
        (("--mode", "frozen-trained", "--weights", "none.bin"), "none.bin: cannot open for reading: No such file or directory"),
        (("--mode", "dense", "--structure", "units"), "--structure: expected weights for --mode dense, which has no gates, got units"),
        (("--cost-in-weights",), "--cost-in-weights: expected gates on the neurons of a fully connected network (--structure units), got weights of lenet")):
        result = search(out, *options, expect=1)
        assert result.stderr == f"lenet_mnist: {line}\n", (options, result.stderr)
    result = run(gate_tables, "--data", subset, "--out", out, "--target-sparsity", 0.9, expect=1)
    assert result.stderr == "gate_tables: --target-sparsity: expected none, since the rows of these tables differ in lambda\n", result.stderr

    # --- data
    refused(search(out, data=folder / "nowhere", expect=None), "nowhere")
    data = write_data(folder / "data")
    search(out, data=data, *["--validation", 50])
    refused(search(out, "--validation", 300, data=data, expect=None), "--validation")
    images, labels = data / "train-images-idx3-ubyte", data / "train-labels-idx1-ubyte"
    good = images.read_bytes(), labels.read_bytes()
    for broken in (b"", good[0][:10], good[0][:-1], good[0] + b"x", b"\x1f\x8b" + good[0], idx([], 2**32 - 1, 2**32 - 1, 2**32 - 1)):
        images.write_bytes(broken)
        refused(search(out, "--validation", 50, data=data, expect=None), "train-images")
    images.write_bytes(good[0])
    for broken in (good[1][:-1], idx([0] * 299, 299)):
        labels.write_bytes(broken)
        refused(search(out, "--validation", 50, data=data, expect=None), "train-labels")
    labels.write_bytes(good[1])
    test_labels = data / "t10k-labels-idx1-ubyte"
    test_labels.write_bytes(idx([9] * 50, 50))  # a class that training does not have
    refused(search(out, "--validation", 50, data=data, expect=None), "t10k-labels")

    # --- an output folder that cannot be written: a file in its place, and (not as root) no permission
    (folder / "file").write_text("kept")
    refused(search(folder / "file", expect=None), "file")
    refused(search(folder / "file/sub", expect=None), "file")
    assert (folder / "file").read_text() == "kept"
    if os.geteuid() != 0:
        (folder / "locked").mkdir(mode=0o500)
        refused(search(folder / "locked", expect=None), "locked")

    # --- a disk that is full: files may not grow beyond 20 kB, which shows at once, or 100 kB, less than a checkpoint
    before = {path: path.read_bytes() for path in sorted(out.iterdir())}
    for limit, where in ((20, ".write-test"), (100, "checkpoint.bin")):
        limited = ["bash", "-c", f'trap "" XFSZ; ulimit -f {limit}; exec "$@"', "bash", lenet_mnist, "--data", subset, "--hidden", "40,20",
                   "--validation", 500, "--epochs", 1, "--quiet", "--out", out]
        refused(run(*limited, expect=None), where, "cannot write")
        assert {path: path.read_bytes() for path in sorted(out.iterdir())} == before, "a full disk changed files"

    # --- results that do not reach their reader
    write_data(data)
    ticket = out / "ticket.tombola"
    for command in ([tombola, "inspect", ticket], [tombola, "inspect", "--json", ticket], [tombola, "verify", ticket],
                    [tombola, "eval", ticket, "--data", data],
                    [lenet_mnist, "--data", data, "--validation", 50, "--hidden", 4, "--epochs", 1, "--quiet", "--out", folder / "unread"]):
        refused(run("bash", "-c", '"$@" > /dev/full', "bash", *command, expect=None), "standard output")

    # --- a loss that is no longer finite: the step, the layer, and the last good ticket stay
    refused(search(folder / "nan", "--scale", 1e18, "--rescale", "none", "--hidden", "40,20,20", expect=None), "step 0", "fc", "finite")

    # --- tickets
    run(tombola, "verify", ticket)
    good_ticket = ticket.read_bytes()
    bad = folder / "bad.tombola"
    for broken in (b"", good_ticket[:-1], good_ticket + b"\0", good_ticket[:100] + bytes([good_ticket[100] ^ 1]) + good_ticket[101:], b"PK\3\4" * 50):
        bad.write_bytes(broken)
        for command in ("verify", "inspect", "eval"):
            refused(run(tombola, command, bad, expect=None), "bad.tombola")
    refused(run(tombola, "verify", folder / "none.tombola", expect=None), "none.tombola")
    refused(run(tombola, "eval", ticket, "--data", subset, expect=None), "expected images of")  # 28 x 28 images, a ticket for 4 x 4
    more = write_data(folder / "more", classes=4)
    assert run(tombola, "eval", ticket, "--data", more, expect=1).stderr == f"tombola: {more}: expected at most 3 classes, got 4\n"
    # An intact file whose weights are not those that the mask was found for.
    layer = json.loads(run(tombola, "inspect", "--json", ticket).stdout)["layers"][0]
    known = int(layer["weights_hash"], 16).to_bytes(8, "little")
    at = good_ticket.index(known)
    altered = good_ticket[:at] + bytes([known[0] ^ 1]) + good_ticket[at + 1:-8]
    bad.write_bytes(altered + crc64(altered).to_bytes(8, "little"))
    run(tombola, "inspect", bad)
    line = f"expected seed 1 to give the weights of {layer['name']} that the mask was found for, got others"
    assert run(tombola, "verify", bad, expect=1).stderr == f"tombola: {bad}: {line}\n"
    refused(run(tombola, expect=None), "subcommand")
    refused(run(tombola, "eval", ticket, "--data", folder / "nowhere", expect=None), "nowhere")
