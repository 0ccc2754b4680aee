"""A search that is killed, or interrupted, and resumed ends in the same bytes as one that was left alone."""

import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from program import check_kills, lenet_mnist, results, run, search, skip_unless_built, subset

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

    # ctrl-C saves a checkpoint in the middle of an epoch.
    interrupted = Path(folder, "interrupted")
    process = start(interrupted)
    time.sleep(whole / 2)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) in (0, 130), "ctrl-C must end the search with a checkpoint"
    assert Path(interrupted, "checkpoint.bin").exists()
    search(interrupted, *options, "--resume")
    assert results(interrupted) == results(undisturbed), "ctrl-C and --resume changed the result"

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
