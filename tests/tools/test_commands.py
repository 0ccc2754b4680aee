"""The project's own commands refuse what they cannot do in one line, before they install or build anything; and install what is missing."""

import os
import subprocess
import tempfile
from pathlib import Path

root = Path(os.environ["TOMBOLA_SOURCE_ROOT"])


def run(*command, **options):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **options)


for command, says in ((("tools/bench", "--only", "gemm"), "expected --out beside it"), (("tools/bench", "--only", "gemm,nothing", "--out", "x"), "got nothing"),
                      (("tools/bench", "--repetitions", "0"), "--repetitions"), (("tools/bench", "--out"), "--out needs a value"),
                      (("tools/bench", "--nothing"), "unknown option --nothing"), (("tools/reproduce", "--jobs", "0", "s95"), "--jobs: expected at least 1, got 0"),
                      (("tools/reproduce", "nothing"), "unknown nothing")):
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
