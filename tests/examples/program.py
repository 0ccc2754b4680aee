"""What the tests of the example programs share: running them, small data sets, reading results."""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
from pathlib import Path

build = Path(os.environ["TOMBOLA_BUILD_ROOT"])
source = Path(os.environ["TOMBOLA_SOURCE_ROOT"])
subset = source / "examples/data/mnist-subset"
lenet_mnist = build / "examples/lenet_mnist"
tombola = build / "tools/tombola"


def skip_unless_built(*programs):
    for program in programs:
        if not program.exists():
            print(f"skipped: {program} is not built")
            raise SystemExit(77)


def run(*command, expect=0, **options):
    """Runs a program without input and checks its status; returns what it printed. A program that hangs is Meson's to end, which knows how slow
    a build may be."""
    result = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if expect is not None and result.returncode != expect:
        raise AssertionError(f"{command}: status {result.returncode}, expected {expect}\n{result.stdout}{result.stderr}")
    return result


def search(out, *options, expect=0, data=subset, **more):
    """A search on the subset, small unless the options say otherwise."""
    small = {"--hidden": "40,20", "--validation": "500", "--epochs": "2"}
    defaults = [part for option, value in small.items() if option not in options for part in (option, value)]
    return run(lenet_mnist, "--data", data, "--quiet", *defaults, *options, "--out", out, expect=expect, **more)


def summary(out):
    return json.loads(Path(out, "summary.json").read_text())


def results(out):
    """The bytes that must not depend on threads, interruptions or the hour."""
    names = ["ticket.tombola", "checkpoint.bin", "history.csv"]
    return {name: Path(out, name).read_bytes() for name in names}


def check_kills(command, out, undisturbed, seconds, seed):
    """Kills a search in `out`, resumed each time, within its first `seconds` at random moments: $TOMBOLA_KILLS times (default 4) while it runs.
    Whenever it has ended, its results must be those of the undisturbed search, and it begins anew."""
    moments, kills = random.Random(seed), int(os.environ.get("TOMBOLA_KILLS", "4"))

    def compare():
        assert results(out) == results(undisturbed), f"kill -9 and --resume changed the result, {kills} kills before the last"

    while kills > 0:
        process = subprocess.Popen([str(part) for part in (*command, "--resume")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        try:
            process.wait(moments.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
        status = process.wait()
        if status == 0:
            compare()
            shutil.rmtree(out)
        else:
            assert status == -signal.SIGKILL, status
            kills -= 1
    run(*command, "--resume")
    compare()


def idx(values, *shape):
    """An idx file of unsigned bytes."""
    return struct.pack(f">I{len(shape)}I", 0x0800 + len(shape), *shape) + bytes(values)


def write_data(folder, train=300, test=50, side=4, classes=3):
    """A data set in MNIST's format that a small network learns: class c lights up pixel c."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for stem, count in (("train", train), ("t10k", test)):
        labels = [i * 7 % classes for i in range(count)]
        pixels = bytearray()
        for i, label in enumerate(labels):
            image = [(i * 31 + p * 17) % 60 for p in range(side * side)]
            image[label] = 250
            pixels += bytes(image)
        (folder / f"{stem}-images-idx3-ubyte").write_bytes(idx(pixels, count, side, side))
        (folder / f"{stem}-labels-idx1-ubyte").write_bytes(idx(labels, count))
    return folder
