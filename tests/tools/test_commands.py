"""The project's own commands refuse what they cannot do in one line, before they install or build anything; and install what is missing."""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

root = Path(os.environ["TOMBOLA_SOURCE_ROOT"])


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **options)


for command, says in ((("tools/bench", "--only", "gemm"), "expected --out beside it"), (("tools/bench", "--march", "haswell"), "expected --out beside it"),
                      (("tools/bench", "--march", "../x", "--out", "x"), "--march: expected the name"), (("tools/bench", "--only", "gemm,nothing", "--out", "x"), "got nothing"),
                      (("tools/bench", "--rounds", "0"), "--rounds"), (("tools/bench", "--out"), "--out needs a value"),
                      (("tools/bench", "--nothing"), "unknown option --nothing"), (("tools/reproduce", "--jobs", "0", "s95"), "--jobs: expected at least 1, got 0"),
                      (("tools/reproduce", "nothing"), "unknown nothing"), (("tools/test", "--long=kills.sh,typo"), "got typo")):
    done = run(*command, cwd=root)
    assert done.returncode == 1 and says in done.stderr and len(done.stderr.splitlines()) == 1, (command, done)

with tempfile.TemporaryDirectory() as folder:
    # What dpkg-query says of each package: one word for each architecture, or nothing.
    states = {"there": "installed ", "both": "not-installed installed ", "named": "not-installed ", "half": "half-installed ", "removed": "config-files ", "unknown": ""}
    commands = {"dpkg-query": "case ${!#} in\n" + "".join(f"  {name}) echo -n '{state}' ;;\n" for name, state in states.items()) + "esac",
                "apt-get": f'[[ " $* " == *" install "* ]] && echo "$@" >"{folder}/installed"; exit 0', "sudo": '[[ $1 == -n ]] && shift; exec "$@"'}
    for name, lines in commands.items():
        Path(folder, name).write_text(f"#!/usr/bin/env bash\n{lines}\n")
        Path(folder, name).chmod(0o755)
    script = 'root=$PWD; source tools/lib/setup.sh; install_packages "$@"'
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = run("bash", "-euc", script, "test", *states, cwd=root, env=environment)
    assert done.returncode == 0, done
    asked = Path(folder, "installed").read_text().split()
    assert asked[-4:] == ["named", "half", "removed", "unknown"] and not {"there", "both"} & set(asked), asked
    Path(folder, "installed").unlink()
    done = run("bash", "-euc", script, "test", "there", "both", cwd=root, env=environment)
    assert done.returncode == 0 and not done.stdout and not Path(folder, "installed").exists(), done

# A clone whose owner the system does not know, as in a container: root goes on as root where it may not become them.
with tempfile.TemporaryDirectory() as folder:
    for name, line in {"stat": "echo 12345", "getent": "exit 2", "setpriv": "exit 1"}.items():
        Path(folder, name).write_text(f"#!/bin/sh\n{line}\n")
        Path(folder, name).chmod(0o755)
    done = run("bash", "-euo", "pipefail", "-c", "root=$PWD; source tools/lib/setup.sh; become_owner; echo went on", cwd=root,
               env={**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"})
    assert done.stdout == "went on\n", done

# What counts as passed and failed: a doctest program its cases, a script one; one that dies after its last case failed once.
with tempfile.TemporaryDirectory() as folder:
    cases = "[doctest] test cases:    4 |    {} passed | {} failed | 0 skipped\n".format
    log = [{"result": "OK", "stdout": cases(4, 0)}, {"result": "FAIL", "stdout": cases(3, 1)}, {"result": "FAIL", "stdout": cases(4, 0)}, {"result": "OK"},
           {"result": "OK", "stdout": "nothing of doctest"}, {"result": "FAIL", "stdout": ""}, {"result": "TIMEOUT"}, {"result": "SKIP", "stdout": cases(9, 9)}]
    Path(folder, "testlog.json").write_text("".join(json.dumps(test) + "\n" for test in log))
    done = run(sys.executable, root / "tools/lib/count_tests.py", Path(folder, "testlog.json"))
    assert done.stdout == "13 4\n", done

# The lines of RESULTS.md: of one seed, of several, of no strong ticket; only blocks whose names are all given are written again.
loader = importlib.machinery.SourceFileLoader("reproduce", str(root / "tools/reproduce"))
reproduce = importlib.util.module_from_spec(importlib.util.spec_from_loader("reproduce", loader))
loader.exec_module(reproduce)
with tempfile.TemporaryDirectory() as folder:
    reproduce.ROOT = Path(folder)
    reproduce.OUT = Path(folder, "out")

    def write(name, several, mode, subset=False):
        def figures(value):
            return {"mean": value, "deviation": value / 8} if several else value

        s = {"config": {"mode": mode}, "data": {"subset": subset}, "gates": {"sparsity": figures(0.5), "kept": figures(1000)},
             "accuracy": {"test": {"binary": figures(0.75)}, "control": {"shuffled_mask": figures(0.125)}}}
        if mode == "frozen-random":
            s["ticket"] = {"bytes": figures(800)}
        (reproduce.OUT / name).mkdir(parents=True)
        Path(reproduce.OUT, name, "summary.json").write_text(json.dumps(s))

    write("s95", True, "frozen-random")
    write("target-50", False, "frozen-random")
    write("dense", False, "dense")
    write("s99", False, "frozen-random", subset=True)
    cells = lambda name: [cell.strip() for cell in reproduce.line(name).strip("|").split("|")]
    heads = [cell.strip() for cell in reproduce.header("s95").splitlines()[0].strip("|").split("|")]
    row = dict(zip(heads, cells("s95"), strict=True))
    assert (row["sparsity"], row["test (binary)"], row["kept"], row["shuffled"], row["ticket, bytes"], row["no mask"]) == (
        "50.00 ± 6.25", "**75.00 ± 9.38**", "1000 ± 125", "12.5 ± 1.6", "800 ± 100", "–"), row
    assert dict(zip(heads, cells("target-50")))["test (binary)"] == "**75.00**" and dict(zip(heads, cells("dense")))["test (binary)"] == "75.00"
    try:
        reproduce.line("s99")
    except SystemExit as refused:
        assert "s99: expected full MNIST, got the subset" in str(refused)
    else:
        raise AssertionError("a result on the subset was taken")

    text = "before\n<!-- reproduce s95 -->\nold\n<!-- end -->\nbetween\n<!-- reproduce dense target-50 -->\nold\n<!-- end -->\nafter\n"
    results = Path(folder, "RESULTS.md")
    results.write_text(text)
    reproduce.update(["s95", "dense"])
    assert results.read_text() == text.replace("old", reproduce.header("s95") + "\n" + reproduce.line("s95"), 1)
    reproduce.update(["dense", "target-50"])
    assert results.read_text().endswith("between\n<!-- reproduce dense target-50 -->\n" + "\n".join([reproduce.header("dense"), reproduce.line("dense"), reproduce.line("target-50")]) +
                                        "\n<!-- end -->\nafter\n")

    # A result of these options is kept; of others it is not: then the program runs, and a failure is told.
    program = Path(folder, "build/examples/lenet_mnist")
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@" >>"$0.calls"\n[ ! -e "$0.fails" ]\n')
    program.chmod(0o755)
    Path(reproduce.OUT, "s95/options.txt").write_text(reproduce.SEARCHES["s95"][2])
    reproduce.run("s95", 1)
    assert not Path(f"{program}.calls").exists() and Path(reproduce.OUT, "s95/summary.json").exists()
    Path(reproduce.OUT, "s95/options.txt").write_text("--epochs 1")
    reproduce.run("s95", 2)
    assert Path(f"{program}.calls").read_text().split() == ["--quiet", "--resume", *reproduce.SEARCHES["s95"][2].split(), "--threads", "1", "--out", str(reproduce.OUT / "s95")]
    assert [path.name for path in Path(reproduce.OUT, "s95").iterdir()] == ["options.txt"]
    # Nor is one on the subset kept: the full data may be there by now.
    Path(reproduce.OUT, "s99/options.txt").write_text(reproduce.SEARCHES["s99"][2])
    reproduce.run("s99", 1)
    assert not Path(reproduce.OUT, "s99/summary.json").exists()
    Path(f"{program}.fails").touch()
    try:
        reproduce.run("s95", 1)
    except SystemExit as refused:
        assert str(refused) == "reproduce: s95: the search failed"
    else:
        raise AssertionError("a search that failed was taken")
