"""Searches on text: bits per character, tickets that evaluate to the same, the same bytes whatever happens, bad input."""

import json
import math
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from program import build, results, run, skip_unless_built, summary, tombola

char_lm = build / "examples/char_lm"
skip_unless_built(char_lm, tombola)


def command(out, text, *options):
    """A search that is small unless the options say otherwise."""
    small = {"--epochs": 3, "--batch": 8, "--length": 16, "--columns": 16, "--depth": 1, "--heads": 2, "--lambda": 0.3}
    defaults = [part for option, value in small.items() if option not in options for part in (option, value)]
    return [str(part) for part in (char_lm, "--data", text, "--quiet", *defaults, *options, "--out", out)]


with tempfile.TemporaryDirectory() as folder:
    text = Path(folder, "text.txt")
    # Each letter says which comes next, but for the one after a space: a bigram needs about half a bit.
    words = ["abcd", "efgh", "ijkl", "mnop"]
    state, letters = 1, []
    for _ in range(1200):
        state = (state * 1103515245 + 12345) % 2**31
        letters.append(words[state >> 16 & 3] + " ")
    text.write_text("".join(letters))

    # Something is learned, and a fresh process says the same of the ticket.
    learned = Path(folder, "learned")
    run(*command(learned, text, "--columns", 32, "--epochs", 30, "--sigma", 0.3, "--clip", 1))
    s = summary(learned)
    bits = s["bits_per_character"]
    assert s["strong_ticket"] is True and s["characters_per_second"] > 0 and "images_per_second" not in s, s
    assert bits["test"]["binary"] < 0.7 * bits["baselines"]["unigram"], bits
    assert bits["baselines"]["trigram"] < 0.6 < bits["control"]["shuffled_mask"], bits
    assert 0.35 < bits["baselines"]["bigram"] < 0.6, bits
    assert "intact" in run(tombola, "verify", learned / "ticket.tombola").stdout
    again = json.loads(run(tombola, "eval", learned / "ticket.tombola", "--data", text).stdout)
    assert again["bits_per_character"] == bits["test"]["binary"] and again["accuracy"] == s["accuracy"]["test"]["binary"], (again, s)
    assert s["data"]["test"] == 600 and again["characters"] == 37 * 16, again  # whole sequences, with a character after each

    # Other modes and structures.
    for options in (["--mode", "dense"], ["--mode", "joint"], ["--structure", "units"], ["--mode", "joint", "--structure", "units"],
                    ["--replicates", 2], ["--attention-scale", 0.1, "--branch-gain", 0.5, "--head-gain", 0.5]):
        out = Path(folder, "-".join(map(str, options)))
        run(*command(out, text, *options))
        test = summary(out)["bits_per_character"]["test"]["binary"]
        assert math.isfinite(test["mean"] if isinstance(test, dict) else test), test

    # The same bytes for any number of threads, and after kill -9.
    undisturbed = Path(folder, "undisturbed")
    options = ["--target-sparsity", 0.7, "--sigma-end", 0.2, "--epochs", 20, "--checkpoint-every", 1]
    run(*command(undisturbed, text, *options, "--threads", 1))
    for threads in (2, 3):
        out = Path(folder, f"threads-{threads}")
        run(*command(out, text, *options, "--threads", threads))
        assert results(out) == results(undisturbed), f"{threads} threads changed the result"
    killed = Path(folder, "killed")
    process = subprocess.Popen(command(killed, text, *options), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (killed / "checkpoint.bin").exists():
        assert process.poll() is None, "the search ended without a checkpoint"
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the search was over before it was killed"
    run(*command(killed, text, *options, "--resume"))
    assert results(killed) == results(undisturbed), "kill -9 and --resume changed the result"

    # Bad input: one line, which names what is wrong.
    def refuses(*parts, command=None):
        result = run(*command, expect=1)
        assert len(result.stderr.splitlines()) == 1 and all(part in result.stderr for part in parts), result

    bad = Path(folder, "bad")
    refuses("nowhere.txt", command=command(bad, Path(folder, "nowhere.txt")))
    refuses(str(folder), command=command(bad, folder))
    short = Path(folder, "short.txt")
    short.write_text("to be or not to be")
    refuses("short.txt: expected a text of at least 340 bytes", command=command(bad, short))
    refuses("heads that divide the width", command=command(bad, text, "--heads", 3))
    refuses("expected rescaling per layer or none", command=command(bad, text, "--rescale", "neuron"))
    refuses("--structure", command=command(bad, text, "--structure", "units+inputs"))
    strange = Path(folder, "strange.txt")
    strange.write_text("abcd " * 200 + "Z")
    refuses("strange.txt: at byte 1000: expected one of the alphabet's 17 bytes, got 90",
            command=(tombola, "eval", learned / "ticket.tombola", "--data", strange))

    # Without --data: the user's cache, if there is a text in it.
    environment = {name: value for name, value in os.environ.items() if name != "TOMBOLA_DATA"} | {"XDG_CACHE_HOME": folder}
    unsaid = [part for part in command(Path(folder, "cached"), text, "--epochs", 1) if part not in ("--data", str(text))]
    result = run(*unsaid, expect=1, env=environment)
    assert "--data: expected a text file" in result.stderr and "fetch-data text" in result.stderr and len(result.stderr.splitlines()) == 1, result
    homeless = {name: value for name, value in environment.items() if name not in ("HOME", "XDG_CACHE_HOME")}
    assert "neither HOME nor XDG_CACHE_HOME is set" in run(*unsaid, expect=1, env=homeless).stderr
    cache = Path(folder, "tombola/text")
    cache.mkdir(parents=True)
    shutil.copyfile(text, cache / "tinyshakespeare.txt")
    run(*unsaid, env=environment)
    assert summary(Path(folder, "cached"))["data"] == summary(learned)["data"]
