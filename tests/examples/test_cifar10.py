"""Searches in convolutional networks: every model, mode and structure, tickets that evaluate to the same accuracy, the same bytes whatever happens."""

import gzip
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from program import build, check_kills, lenet_mnist, results, run, skip_unless_built, summary, tombola, write_data

cifar10 = build / "examples/cifar10"
skip_unless_built(cifar10, lenet_mnist, tombola)


def command(out, data, *options):
    """A search on small images, small unless the options say otherwise."""
    small = {"--validation": 40, "--epochs": 3, "--batch": 40, "--moments": 200, "--validate-every": 2, "--shift": 1, "--lambda": 0.3}
    defaults = [part for option, value in small.items() if option not in options for part in (option, value)]
    return [str(part) for part in (cifar10, "--data", data, "--quiet", *defaults, *options, "--out", out)]


with tempfile.TemporaryDirectory() as folder:
    data = write_data(Path(folder, "data"), train=400, test=60, side=8)
    larger = write_data(Path(folder, "larger"), train=80, test=40, side=16)
    models = [["--model", "fast_resnet", "--width", 0.125, "--head-gain", 0.1], ["--model", "shallow_cnn", "--width", 0.25, "--activation", "elu"],
              ["--model", "conv2", "--width", 0.125], ["--model", "conv6", "--width", 0.125, "--rescale", "neuron"],
              ["--model", "resnet18", "--width", 0.125, "--stem", "imagenet"], ["--model", "resnet50", "--width", 0.0625, "--stem", "pooled"],
              ["--model", "conv8", "--width", 0.0625], ["--model", "wide_resnet50_2", "--width", 0.0625, "--stem", "pooled"],
              ["--model", "fast_resnet", "--width", 0.125, "--structure", "units"], ["--model", "conv4", "--width", 0.125, "--structure", "units"],
              ["--model", "resnet34", "--width", 0.0625, "--structure", "units"],
              ["--model", "vit_small", "--width", 0.17, "--depth", 1, "--warmup", 0.4, "--clip", 1], ["--model", "vit_base", "--width", 0.084, "--depth", 1],
              ["--model", "vit_tiny", "--width", 0.34, "--depth", 2, "--head-gain", 2], ["--model", "vit_tiny", "--depth", 1, "--structure", "units"],
              ["--model", "vit_tiny", "--width", 0.34, "--depth", 1, "--patch", 2, "--pooling", "class_token", "--position", "random"],
              ["--model", "vit_tiny", "--width", 0.34, "--depth", 1, "--conv-stem", "8,12,10", "--attention-scale", 0.1, "--branch-gain", 0.4],
              ["--model", "swin", "--width", 0.34, "--patch", 1, "--window", 2],
              ["--model", "swin", "--width", 0.34, "--window", 2, "--depths", "2,1", "--conv-stem", 8, "--attention-scale", 0.1, "--branch-gain", 0.4],
              ["--model", "swin_tiny", "--width", 0.34, "--window", 3, "--structure", "units"]]
    for number, options in enumerate(models):
        out, images = Path(folder, f"model-{number}"), larger if options[1] == "conv8" else data
        run(*command(out, images, *options))
        s = summary(out)
        assert s["strong_ticket"] is True and s["images_per_second"] > 0, s
        assert 0 < s["gates"]["effective_kept"] <= s["gates"]["kept"] < s["gates"]["total"], s["gates"]
        ticket = out / "ticket.tombola"
        assert "intact" in run(tombola, "verify", ticket).stdout
        inspected = json.loads(run(tombola, "inspect", "--json", ticket).stdout)
        gated = {layer["name"] for layer in s["layers"]}  # others, like positions, have no gates
        kept = sum(part["kept"] for part in (*inspected["layers"], *inspected.get("units", [])) if part["name"] in gated)
        assert (kept, s["ticket"]["bytes"]) == (s["gates"]["kept"], ticket.stat().st_size), (options, inspected, s["ticket"])
        again = json.loads(run(tombola, "eval", ticket, "--data", images).stdout)
        assert again["accuracy"] == s["accuracy"]["test"]["binary"], (options, again, s["accuracy"])
        history = Path(out, "history.csv").read_text().splitlines()
        assert (out / "layers.svg").exists() and len(history) == 4 and [line.split(",")[7] == "" for line in history[1:]] == [True, False, False], history

    for options, problem in ((["vit_tiny", "--conv-stem", 8], "halves images to patches of 4"),
                             (["vit_tiny", "--conv-stem", "8,8", "--conv-stem", 8], "--conv-stem: expected to be given once, got 2 times"),
                             (["swin", "--depths", "2,1", "--depths", 1], "--depths: expected to be given once, got 2 times")):
        failed = run(*command(Path(folder, "wrong-list"), data, "--model", *options), expect=None)
        assert failed.returncode != 0 and problem in failed.stderr, failed

    # The noise falls unless its width is learned or the gates have another kind; the last layer's gain is the network's.
    for options, sigma_end, head_gain in (([], 0.05, 0.1), (["--gates", "hard-concrete"], 0, 0.1), (["--sigma-mode", "layer"], 0, 0.1),
                                          (["--sigma-end", 0], 0, 0.1), (["--sigma", 0.03], 0.03, 0.1), (["--model", "vit_tiny", "--depth", 1], 0.05, 1)):
        out = Path(folder, "noise")
        run(*command(out, data, "--width", 0.34, "--epochs", 1, *options))
        config = summary(out)["config"]
        assert (config["sigma_end"], config["head_gain"]) == (sigma_end, head_gain), (options, config)

    # Something is learned: class c lights up pixel c.
    learns = ["--model", "fast_resnet", "--width", 0.25, "--shift", 0, "--flip", "none"]
    learned = Path(folder, "learned")
    run(*command(learned, data, *learns, "--epochs", 12))
    accuracy = summary(learned)["accuracy"]
    assert accuracy["test"]["binary"] > 0.8 > accuracy["control"]["shuffled_mask"], accuracy

    # Other modes leave weights, with their moments; loaded and frozen, with every gate open, they are the same network.
    dense = Path(folder, "dense")
    run(*command(dense, data, *learns, "--epochs", 12, "--mode", "dense"))
    assert not (dense / "ticket.tombola").exists() and summary(dense)["accuracy"]["test"]["binary"] > 0.9, summary(dense)["accuracy"]
    frozen = Path(folder, "frozen")
    run(*command(frozen, data, *learns, "--mode", "frozen-trained", "--weights", dense / "weights.bin", "--epochs", 1, "--rate", 0, "--start", 1,
                 "--rescale", "none"))
    assert summary(frozen)["accuracy"]["test"]["binary"] == summary(dense)["accuracy"]["test"]["binary"]
    for mode in ("joint", "frozen-trained"):
        for structure in ("weights", "units"):
            out = Path(folder, f"{mode}-{structure}")
            more = ["--weights", dense / "weights.bin"] if mode == "frozen-trained" else []
            run(*command(out, data, *learns[:4], "--mode", mode, "--structure", structure, *more))
            assert summary(out)["strong_ticket"] is False and (out / "weights.bin").exists()
    # Frozen in every mode are a transformer's positions: they are in the file too.
    for transformer in (["swin", "--window", 2], ["vit_tiny", "--depth", 1, "--pooling", "class_token", "--position", "random"]):
        trained, out = Path(folder, f"trained-{transformer[0]}"), Path(folder, f"frozen-{transformer[0]}")
        shape = ["--model", *transformer, "--width", 0.34]
        run(*command(trained, data, *shape, "--mode", "dense", "--epochs", 1))
        run(*command(out, data, *shape, "--mode", "frozen-trained", "--weights", trained / "weights.bin", "--epochs", 1, "--rate", 0, "--start", 1,
                     "--rescale", "none", "--seed", 2))
        assert summary(out)["accuracy"]["test"]["binary"] == summary(trained)["accuracy"]["test"]["binary"], transformer
    # Gates on channels that a skip connection reads stand beside the weights: such a file is not plain weights.
    refused = run(*command(Path(folder, "refused"), data, *learns[:4], "--mode", "frozen-trained", "--weights",
                           Path(folder, "joint-units/weights.bin")), expect=1).stderr
    assert "expected the weights of this model alone, got also" in refused, refused

    # The same bytes for any number of threads, and after kill -9 at random moments.
    options = ["--model", "fast_resnet", "--width", 0.125, "--epochs", 6, "--checkpoint-every", 1, "--cutout", 3, "--target-sparsity", 0.8, "--sigma-end", 0.2, "--reach", 0.5, "--sharpness-end", 8]
    undisturbed = Path(folder, "undisturbed")
    began = time.monotonic()
    run(*command(undisturbed, data, *options, "--threads", 1))
    whole = time.monotonic() - began
    for threads in (2, 3, 7):
        out = Path(folder, f"threads-{threads}")
        run(*command(out, data, *options, "--threads", threads))
        assert results(out) == results(undisturbed), f"{threads} threads changed the result"
    killed = Path(folder, "killed")
    check_kills(command(killed, data, *options), killed, undisturbed, whole, seed=2)
    # So does SIGTERM.
    stopped = Path(folder, "stopped")
    process = subprocess.Popen(command(stopped, data, *options), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not Path(stopped, "checkpoint.bin").exists():
        assert process.poll() is None, process.returncode
        time.sleep(0.001)
    process.terminate()
    assert process.wait() in (0, 130)  # lenet_mnist's test looks at when
    run(*command(stopped, data, *options, "--resume"))
    assert results(stopped) == results(undisturbed), "SIGTERM and --resume changed the result"

    # Bad input.
    for wrong, part in ((["--model", "resnet99"], "--model"), (["--model", "conv6", "--width", 0.001], "--width"), (["--flip", "often"], "--flip"),
                        (["--model", "conv8"], "conv_n: expected images whose size 4 halvings divide"), (["--structure", "units+inputs"], "--structure"), (["--structure", "units", "--cost-in-weights"], "--cost-in-weights"),
                        (["--stem", "none"], "--stem"), (["--moments", 0], "--moments"), (["--validate-every", 0], "--validate-every")):
        result = run(*command(Path(folder, "bad"), data, *wrong), expect=None)
        assert result.returncode > 0 and part in result.stderr + result.stdout, (wrong, result)
    for network, option, value in (("fast_resnet", "--stem", "cifar"), ("resnet18", "--activation", "elu"), ("conv2", "--patch", 4), ("resnet18", "--conv-stem", 8),
                                   ("conv6", "--attention-scale", 0.1), ("conv6", "--branch-gain", 0.1), ("swin", "--depth", 2), ("swin", "--pooling", "mean"),
                                   ("swin", "--position", "sine"), ("vit_tiny", "--depths", "2,2"), ("vit_tiny", "--window", 2)):
        refused = run(*command(Path(folder, "bad"), data, "--model", network, option, value), expect=1).stderr
        assert refused == f"cifar10: {option}: expected a network that has such a thing, got {network}\n", refused
    result = run(*command(Path(folder, "bad"), Path(folder, "nowhere")), expect=1)
    assert "nowhere" in result.stderr and len(result.stderr.splitlines()) == 1, result
    environment = {**os.environ, "TOMBOLA_DATA": str(folder), "XDG_CACHE_HOME": str(folder)}
    nothing = [part for part in command(Path(folder, "bad"), data) if part not in ("--data", str(data))]
    result = run(*nothing, expect=1, env=environment)
    assert "tools/fetch-data cifar10" in result.stderr and len(result.stderr.splitlines()) == 1, result

    # CIFAR-10's own files, made up: of the true size, as no other one is read, and compressed, so that they are small.
    own = Path(folder, "cifar10")
    own.mkdir()
    batch = gzip.compress(bytes(10000 * 3073), 1)
    names = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]
    for name in names:
        (own / f"{name}.gz").write_bytes(batch)

    unasked = [part for part in command(Path(folder, "bad"), data, "--validation", 50000) if part not in ("--data", str(data))]

    def refused_for(line, *program):
        stderr = run(*program, expect=1, env=environment).stderr
        assert stderr == f"{Path(program[0]).name}: {own}{line}\n", stderr

    too_few = ": expected more than 50000 training images (--validation), got 50000"  # so all of them were found and read
    refused_for(too_few, *unasked)
    refused_for(too_few, lenet_mnist, "--data", own, "--validation", 50000, "--out", Path(folder, "bad"))
    (own / "data_batch_2.bin.gz").unlink()
    refused_for(": found none of data_batch_2.bin, data_batch_2.bin.gz", *unasked)
    (own / "data_batch_2.bin").write_bytes(bytes(3073))
    refused_for("/data_batch_2.bin: at byte 3073: expected 30730000 bytes, 10000 images, got 3073", *unasked)
    (own / "data_batch_2.bin").write_bytes(bytes(2 * 3073) + b"\x0a" + bytes(9998 * 3073 - 1))
    refused_for("/data_batch_2.bin: at byte 6146: expected a label below 10, got 10 (image 2)", *unasked)
