"""Every option of a search has an effect, the schedules are those of their help texts, and the tables of gate_tables those of its searches."""

import csv
import json
import math
import re
import tempfile
from pathlib import Path

from program import build, lenet_mnist, run, search, skip_unless_built, subset, summary, tombola, write_data

gate_tables, first_ticket = build / "examples/gate_tables", build / "examples/first_ticket"
skip_unless_built(lenet_mnist, gate_tables, first_ticket, tombola)

with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    data = write_data(folder / "data")
    common = ["--validation", 30, "--hidden", "12,9"]

    def history(*options):
        search(folder / "out", *common, *options, data=data)
        return list(csv.DictReader((folder / "out/history.csv").read_text().splitlines()))

    # Large steps, so that bounds are met; few images in a batch, so that there are many.
    usual = ["--epochs", 3, "--batch", 32, "--rate", 0.3]
    trained, layers, units = [*usual, "--mode", "dense"], [*usual, "--sigma-mode", "layer"], [*usual, "--structure", "units"]
    for before, options in ((usual, ("--smoothing 0.1", "--penalty undecided", "--penalty variance", "--penalty entropy", "--penalty none", "--low 0.4", "--high 0.7",
                                     "--no-bounds", "--sigma 0.3", "--sigma-end 0.1", "--sigma-mode layer", "--sigma-mode gate", "--sharpness-end 5", "--reach 0.5",
                                     "--start 0.8", "--gates hard-concrete", "--structure units", "--structure units+inputs", "--warmup 0.5", "--clip 0.01", "--lambda 5", "--ramp 0.5",
                                     "--target-sparsity 0.9", "--rescale none", "--rescale neuron", "--init uniform", "--scale 0.3", "--head-gain 0.5",
                                     "--activation tanh", "--shift 1", "--seed 2", "--mode joint", "--mode dense")),
                            (trained, ("--weight-rate 0.01", "--weight-decay 0.1")), (layers, ("--sigma-penalty",)), (units, ("--cost-in-weights",))):
        without = history(*before)
        assert history(*before) == without
        for option in options:
            assert history(*before, *option.split()) != without, f"{option} changes nothing"

    # Schedules, at the ends of four epochs: 270 images in batches of 90.
    epochs = ["--epochs", 4, "--batch", 90]
    rows = history(*epochs, "--rate", 0.1, "--warmup", 0.5)
    assert all(abs(float(row["rate"]) - rate) < 1e-9 for row, rate in zip(rows, (0.05, 0.1, 0.05, 0), strict=True)), rows
    rows = history(*epochs, "--rate", 0.1)
    assert all(abs(float(row["rate"]) - 0.05 * (1 + math.cos(math.pi * e / 4))) < 1e-9 for e, row in enumerate(rows, 1)), rows
    rows = history(*epochs, "--lambda", 3, "--ramp", 0.5)  # as the epoch's last step had it
    assert [int(row["steps"]) for row in rows] == [3, 6, 9, 12]
    assert all(abs(float(row["lambda_mean"]) - min(3, 3 * (3 * e - 1) / 6)) < 1e-6 for e, row in enumerate(rows, 1)), rows
    for options, width in ((["--sigma", 0.4], 0.4), (["--sigma", 0.4, "--sigma-end", 0.1], 0.1)):
        history(*epochs, *options)
        assert all(abs(layer["sigma"] - width) < 1e-6 for layer in summary(folder / "out")["layers"]), (options, summary(folder / "out")["layers"])

    # The tables of gates: a line for each search, with that search's figures.
    tables = folder / "tables"
    run(gate_tables, "--data", data, "--out", tables, *common, "--epochs", 1, "--lambda", 3, "--sigma-mode", "layer", "--quiet")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in (tables / "tables.md").read_text().splitlines() if re.match(r"\| .*\d", line)]
    names = [f"penalty-{penalty}-{size}" for penalty in ("sparse", "undecided", "variance", "entropy") for size in (1, 3, 9)]
    names += [f"activation-{activation}-{gates}" for gates in ("gaussian", "hard-concrete") for activation in ("relu", "leaky_relu", "prelu", "elu")]
    assert len(lines) == len(names) == 20, lines
    for line, name in zip(lines, names):
        s = summary(tables / name)
        accuracy, gates = s["accuracy"], s["gates"]
        control = accuracy["control"]
        expected = [f"{100 * gates['sparsity']:.2f}", f"{100 * accuracy['test']['binary']:.2f} ± 0.00", f"{100 * accuracy['test']['relaxed']:.2f}",
                    f"{100 * accuracy['test']['above_zero']:.2f}", f"{100 * gates['fractional']:.2f}",
                    *(f"{100 * control[which]:.1f}" for which in ("shuffled_mask", "reseeded_weights", "unmasked"))]
        assert line[1:] == expected, (name, line, expected)
        assert s["config"]["sigma_mode"] == ("fixed" if "hard-concrete" in name else "layer"), name
        assert name.split("-")[1] in line[0], (name, line)
    refused = run(gate_tables, "--data", data, "--out", tables, "--mode", "dense", expect=1).stderr
    assert refused == "gate_tables: --mode: expected a mode with gates, which the table is about, got dense\n", refused

    # The README's program.
    told = run(first_ticket, subset, cwd=folder).stdout.splitlines()
    correct = [int(re.fullmatch(rf"epoch {epoch}: (\d+) of 1250 test images", line).group(1)) for epoch, line in enumerate(told)]
    assert len(correct) == 5 and correct[-1] > 1000, told  # 80%
    assert "intact" in run(tombola, "verify", folder / "first.tombola").stdout
    assert len(json.loads(run(tombola, "inspect", "--json", folder / "first.tombola").stdout)["layers"]) == 3
    refused = run(tombola, "eval", folder / "first.tombola", "--data", subset, expect=1).stderr
    assert len(refused.splitlines()) == 1 and "first.tombola" in refused, refused
