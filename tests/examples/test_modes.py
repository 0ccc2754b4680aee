"""Every mode learns, and only frozen random weights make a ticket."""

import tempfile
from pathlib import Path

from program import lenet_mnist, search, skip_unless_built, summary, write_data

skip_unless_built(lenet_mnist)
with tempfile.TemporaryDirectory() as folder:
    data = write_data(Path(folder, "data"), train=600)
    common = ["--hidden", "24,12", "--validation", 60, "--epochs", 20, "--batch", 32, "--lambda", 0.2]

    dense = Path(folder, "dense")
    search(dense, *common, "--mode", "dense", data=data)
    assert summary(dense)["accuracy"]["test"]["binary"] > 0.95, summary(dense)["accuracy"]

    for number, options in enumerate([["--mode", "frozen-random"], ["--mode", "frozen-random", "--structure", "units"], ["--mode", "joint"],
                                      ["--mode", "joint", "--structure", "units+inputs", "--cost-in-weights"],
                                      ["--mode", "frozen-trained", "--weights", dense / "weights.bin"],
                                      ["--mode", "frozen-trained", "--weights", dense / "weights.bin", "--structure", "units"]]):
        out = Path(folder, str(number))
        search(out, *common, *options, data=data)
        s = summary(out)
        strong = "frozen-random" in options
        assert s["strong_ticket"] is strong
        assert (out / "ticket.tombola").exists() is strong and (out / "weights.bin").exists() is not strong
        chance = 1 / 3
        assert s["accuracy"]["test"]["binary"] > (0.5 if "--structure" in options and strong else 0.9), (options, s["accuracy"])
        assert s["gates"]["sparsity"] > 0.05 or "units" in options, (options, s["gates"])

    # A search does not replace the weights that it began with.
    before = (dense / "weights.bin").read_bytes()
    refused = search(dense, *common, "--mode", "frozen-trained", "--weights", dense / "weights.bin", data=data, expect=1)
    assert "--weights" in refused.stderr and (dense / "weights.bin").read_bytes() == before, refused

    other = search(Path(folder, "4"), *common, "--mode", "frozen-trained", "--weights", Path(folder, "2/weights.bin"), "--resume", data=data,
                   expect=1)
    assert "a checkpoint of the configuration" in other.stderr and "weights" in other.stderr, other

    # Controls stand on the run's own weights: where every gate is open, no mask is the mask.
    opened = Path(folder, "opened")
    search(opened, *common, "--mode", "joint", "--rate", 0, "--start", 1, data=data)
    accuracy = summary(opened)["accuracy"]
    assert accuracy["control"]["unmasked"] == accuracy["test"]["binary"] > 0.9, accuracy

    # The masked weights of another mode stand for its network: as a dense network, frozen, they have the same accuracy.
    joint = Path(folder, "2")
    again = Path(folder, "again")
    search(again, *common[:4], "--mode", "frozen-trained", "--weights", joint / "weights.bin", "--epochs", 1, "--rate", 0, "--start", 1,
           "--rescale", "none", data=data)
    assert summary(again)["accuracy"]["test"]["binary"] == summary(joint)["accuracy"]["test"]["binary"]
