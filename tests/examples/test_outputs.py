"""What a search leaves behind: the documented summary, history, figures, a ticket that a fresh process evaluates to the same accuracy."""

import csv
import json
import os
import re
import statistics
import tempfile
import xml.dom.minidom
from pathlib import Path

from program import build, lenet_mnist, run, search, skip_unless_built, subset, summary, tombola, write_data

sweep = build / "examples/base_size_sweep"
skip_unless_built(lenet_mnist, tombola, sweep)


def share(value):
    return isinstance(value, (int, float)) and 0 <= value <= 1


with tempfile.TemporaryDirectory() as folder:
    out = Path(folder, "run")
    search(out, "--hidden", "100,30", "--epochs", "6")
    s = summary(out)
    for key in ("config", "data", "seed", "threads", "isa", "mode", "strong_ticket", "steps", "seconds", "gates", "layers", "accuracy", "ticket"):
        assert key in s, key
    assert s["strong_ticket"] is True and s["mode"] == "frozen-random" and s["seconds"]["search"] > 0
    gates = s["gates"]
    assert gates["total"] == 784 * 100 + 100 * 30 + 30 * 10
    assert gates["kept"] == sum(layer["kept"] for layer in s["layers"])
    assert abs(gates["sparsity"] - (1 - gates["kept"] / gates["total"])) < 1e-12
    assert gates["effective_sparsity"] >= gates["sparsity"] and share(gates["fractional"])
    for split in ("validation", "test"):
        assert set(s["accuracy"][split]) == {"relaxed", "above_zero", "binary"}
        assert all(share(value) for value in s["accuracy"][split].values())
    assert s["accuracy"]["test"]["binary"] > 0.85, s["accuracy"]  # 7,000 images, 6 epochs: about 0.93
    control = s["accuracy"]["control"]
    assert control["shuffled_mask"] < 0.4 and control["reseeded_weights"] < 0.4, control
    ticket = out / "ticket.tombola"
    assert s["ticket"]["bytes"] == ticket.stat().st_size <= 1.05 * s["ticket"]["entropy_bytes"] + 512
    assert abs(s["ticket"]["bits_per_weight"] - 8 * s["ticket"]["bytes"] / gates["total"]) < 1e-9

    rows = list(csv.DictReader((out / "history.csv").open()))
    assert len(rows) == 6 and int(rows[-1]["steps"]) == s["steps"]
    assert abs(float(rows[-1]["sparsity"]) - gates["sparsity"]) < 1e-5
    assert abs(float(rows[-1]["validation_binary"]) - s["accuracy"]["validation"]["binary"]) < 1e-5
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    for name in ("search.svg", "layers.svg", "gates.svg"):
        assert xml.dom.minidom.parse(str(out / name)).documentElement.tagName == "svg"

    evaluated = json.loads(run(tombola, "eval", ticket, "--data", subset, "--threads", 1).stdout)
    assert evaluated["accuracy"] == s["accuracy"]["test"]["binary"], (evaluated, s["accuracy"])
    inspected = json.loads(run(tombola, "inspect", "--json", ticket).stdout)
    assert inspected["kept"] == gates["kept"] and inspected["seed"] == 1
    assert "seed 1" in run(tombola, "inspect", ticket).stdout
    assert "intact" in run(tombola, "verify", ticket).stdout

    # Every option that changes the function of a network is in its ticket.
    data = write_data(Path(folder, "data"))
    for number, options in enumerate([["--activation", "gelu", "--rescale", "neuron", "--init", "kaiming_normal"], ["--rescale", "none", "--scale", 0.5, "--head-gain", 0.3],
                                      ["--structure", "units", "--lambda", 0.1], ["--structure", "units+inputs", "--lambda", 0.1, "--activation", "elu"],
                                      ["--gates", "hard-concrete", "--init", "glorot_uniform", "--activation", "sigmoid"]]):
        one = Path(folder, f"variant-{number}")
        search(one, "--validation", 30, "--epochs", 4, "--hidden", "12,9", *options, data=data)
        evaluated = json.loads(run(tombola, "eval", one / "ticket.tombola", "--data", data).stdout)
        assert evaluated["accuracy"] == summary(one)["accuracy"]["test"]["binary"], options

    # For hard-concrete gates start and bounds have other defaults, and what is given holds even if it is a Gaussian gate's default.
    for number, (options, expected) in enumerate([([], (0, -5, 5)), (["--start", 0.5], (0.5, -5, 5)), (["--high", 1.25], (0, -5, 1.25))]):
        one = Path(folder, f"hard-concrete-{number}")
        search(one, "--validation", 30, "--gates", "hard-concrete", *options, data=data)
        config = summary(one)["config"]
        assert (config["start"], config["low"], config["high"]) == expected, (options, config)

    # The summary has the widths that were learned, not the one that they started from.
    for mode in ("layer", "gate"):
        one = Path(folder, f"sigma-{mode}")
        search(one, "--validation", 30, "--epochs", 20, "--batch", 32, "--sigma", 0.4, "--sigma-mode", mode, data=data)
        for layer in summary(one)["layers"]:
            assert 0.1 <= layer["sigma"] <= 1 and abs(layer["sigma"] - 0.4) > 1e-5, (mode, layer)

    # What another search concluded in the same folder does not stand beside the new summary.
    again = Path(folder, "again")
    left = lambda: {path.name for path in again.iterdir()}
    search(again, "--validation", 30, data=data)
    assert {"ticket.tombola", "summary.json", "search.svg", "layers.svg", "gates.svg"} <= left(), left()
    search(again, "--validation", 30, "--mode", "dense", data=data)
    assert left() == {"checkpoint.bin", "history.csv", "summary.json", "search.svg", "weights.bin"}, left()
    search(again, "--validation", 30, "--replicates", 2, data=data)
    assert not {path for path in left() if path.endswith(".svg")}, left()

    # Base sizes are shares of the weights between these images and these classes.
    sizes = Path(folder, "sizes")
    run(sweep, "--data", data, "--out", sizes, "--hidden", "40,20", "--epochs", 1, "--validation", 30, "--quiet")
    shares = [(float(share), [16, *map(int, widths.split("-")), 3])
              for share, widths in re.findall(r"^\| ([\d.]+)% \(([\d-]+)\)", (sizes / "sweep.md").read_text(), re.M)]
    weights = lambda layers: sum(a * b for a, b in zip(layers, layers[1:]))
    assert len(shares) == 8 and all(abs(share - 100 * weights(layers) / weights([16, 40, 20, 3])) < 0.051 for share, layers in shares), shares

    # Replicates: a folder a seed, mean and spread beside them.
    several = Path(folder, "several")
    search(several, "--replicates", 3, "--seed", 5, "--validation", 30, data=data)
    whole, ones = summary(several), [summary(several / f"seed-{seed}") for seed in (5, 6, 7)]
    assert whole["seeds"] == [5, 6, 7]
    for path in ("accuracy/test/binary", "accuracy/control/unmasked", "gates/sparsity", "ticket/bytes", "seconds/search"):
        of_all, of_each = whole, ones
        for key in path.split("/"):
            of_all, of_each = of_all[key], [one[key] for one in of_each]
        assert abs(of_all["mean"] - statistics.mean(of_each)) < 1e-12 * max(of_each) and abs(of_all["deviation"] - statistics.stdev(of_each)) < 1e-12 * max(of_each), path

    # Without --data: a cache folder with nothing in it is none, but a folder that $TOMBOLA_DATA names is not passed over.
    cache = Path(folder, "cache/tombola/mnist")
    cache.mkdir(parents=True)
    small = [lenet_mnist, "--hidden", 4, "--epochs", 1, "--validation", 500, "--quiet", "--out", Path(folder, "found")]
    nowhere = {**{name: value for name, value in os.environ.items() if name != "TOMBOLA_DATA"}, "XDG_CACHE_HOME": str(cache.parents[1])}
    run(*small, env=nowhere)
    assert summary(Path(folder, "found"))["data"]["subset"] is True
    refused = run(*small, env={**nowhere, "TOMBOLA_DATA": str(cache.parent)}, expect=1).stderr
    assert str(cache) in refused and "found none of" in refused, refused
