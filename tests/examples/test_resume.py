"""A search that is killed, or interrupted, and resumed ends in the same bytes as one that was left alone."""

import os
import random
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from program import check_kills, lenet_mnist, results, search, skip_unless_built, subset, summary

skip_unless_built(lenet_mnist)
options = ["--epochs", "12", "--checkpoint-every", "1", "--target-sparsity", "0.9"]


def command(out, options):
    return [lenet_mnist, "--data", subset, "--hidden", "40,20", "--validation", "500", "--quiet", *options, "--out", out]


def start(out, options=options):
    return subprocess.Popen([str(part) for part in (*command(out, options), "--resume")], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


with tempfile.TemporaryDirectory() as folder:
    undisturbed = Path(folder, "undisturbed")
    began = time.monotonic()
    search(undisturbed, *options)
    whole = time.monotonic() - began

    killed = Path(folder, "killed")
    check_kills(command(killed, options), killed, undisturbed, whole, seed=1)

    # ctrl-C and a polite kill save a checkpoint in the middle of an epoch.
    moments = random.Random(3)
    for sent in (signal.SIGINT, signal.SIGTERM):
        for attempt in range(100):
            interrupted = Path(folder, f"interrupted-{sent}-{attempt}")
            told = [part for part in command(interrupted, options) if part != "--quiet"]
            process = subprocess.Popen([str(part) for part in told], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            while not Path(interrupted, "checkpoint.bin").exists() and process.poll() is None:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, whole / 4))  # a checkpoint is written between two epochs
            process.send_signal(sent)
            said = process.communicate(timeout=60)[0]
            assert process.returncode in (0, 130), (process.returncode, said)
            stop = re.search(r"interrupted after step (\d+); --resume goes on from", said)
            assert (stop is not None) == (process.returncode == 130), said
            if stop and int(stop.group(1)) % 55:  # 7,000 images in batches of 128 are 55 steps
                break
        else:
            raise AssertionError(f"signal {sent} never stopped a search in the middle of an epoch")
        assert not Path(interrupted, "summary.json").exists()
        search(interrupted, *options, "--resume")
        assert results(interrupted) == results(undisturbed), f"signal {sent} and --resume changed the result"

    # One that has ended is resumed: nothing changes, not even how long it took.
    before, told = results(undisturbed), summary(undisturbed)
    search(undisturbed, *options, "--resume")
    assert results(undisturbed) == before and summary(undisturbed) == told

    # It was killed between its last checkpoint and its summary: how long it took is not known, and not said.
    written = Path(undisturbed, "summary.json").read_text()
    Path(undisturbed, "summary.json").unlink()
    search(undisturbed, *options, "--resume")
    untimed = {key: value for key, value in told.items() if key not in ("seconds", "images_per_second")}
    assert results(undisturbed) == before and summary(undisturbed) == untimed
    Path(undisturbed, "summary.json").write_text(written)

    # Several seeds, of which the first has ended and the second was killed.
    several, second = Path(folder, "two"), Path(folder, "second")
    search(second, *options, "--seed", "2")
    process = start(several, [*options, "--replicates", "2"])
    while not Path(several, "seed-2/checkpoint.bin").exists():
        assert process.poll() is None, process.returncode
        time.sleep(0.001)
    process.kill()
    process.wait()
    first = summary(several / "seed-1")
    search(several, *options, "--replicates", "2", "--resume")
    assert results(several / "seed-1") == before and results(several / "seed-2") == results(second)
    seconds = [summary(several / f"seed-{seed}")["seconds"]["search"] for seed in (1, 2)]
    assert seconds[0] == first["seconds"]["search"] and abs(summary(several)["seconds"]["search"]["mean"] - sum(seconds) / 2) < 1e-12

    # A second run in a folder where one is going on is refused and changes nothing; the folder is free as soon as the first is dead.
    def contents(folder):
        return {path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None) for path in (folder, *folder.rglob("*"))}

    endless = ["--epochs", "1000000", "--checkpoint-every", "1"]
    for name, more, where in (("taken", [], "."), ("several", ["--replicates", "2"], "seed-1")):
        out = Path(folder, name)
        process = start(out, [*endless, *more])
        try:
            while not Path(out, where, "checkpoint.bin").exists():
                assert process.poll() is None, "the run ended before a second one could disturb it"
                time.sleep(0.01)
            process.send_signal(signal.SIGSTOP)  # so that whatever changes now is the second run's doing
            os.waitpid(process.pid, os.WUNTRACED)
            before = contents(out)
            for second, choice in ((out, []), (out, ["--resume"]), (out, ["--replicates", "2"]), (out / where, [])):
                message = search(second, *options, *choice, expect=1).stderr
                assert str(second) in message and "a run is going on" in message and len(message.splitlines()) == 1, message
            assert contents(out) == before, "a refused run changed the folder"
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        search(out / where, *options)
        assert results(out / where) == results(undisturbed), "a run after a killed one has another result"

    # A checkpoint of another configuration, or a broken one, is refused and stays.
    before = results(undisturbed)
    message = search(undisturbed, *options, "--resume", "--lambda", "3.5", expect=1).stderr
    assert "checkpoint.bin: at byte" in message and "a checkpoint of the configuration" in message, message
    checkpoint = Path(undisturbed, "checkpoint.bin")
    checkpoint.write_bytes(before["checkpoint.bin"][:1000])
    message = search(undisturbed, *options, "--resume", expect=1).stderr
    assert "checkpoint.bin" in message and "checksum" in message, message
    assert checkpoint.stat().st_size == 1000 and Path(undisturbed, "ticket.tombola").read_bytes() == before["ticket.tombola"]
