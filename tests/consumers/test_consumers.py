"""Installs into a clean prefix and builds and runs a dependent through pkg-config, CMake and Meson, the latter both from
the prefix and as a subproject."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

source = Path(os.environ["TOMBOLA_SOURCE_ROOT"])
consumers = source / "tests/consumers"
needed = ["meson", "ninja", "cmake", "make", "pkg-config"]
if missing := [tool for tool in needed if not shutil.which(tool)]:
    print("skipped: not installed:", *missing)
    sys.exit(77)


def run(*command, folder, **variables):
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env={**os.environ, **variables}, text=True, capture_output=True
    )
    if done.returncode:
        print(done.stdout, done.stderr)
        sys.exit(f"failed: {command}")
    return done.stdout


def consumer(top, kind, name):
    folder = top / name
    shutil.copytree(consumers / kind, folder)
    shutil.copy(consumers / "program.cpp", folder)
    return folder


with tempfile.TemporaryDirectory() as name:
    top = Path(name)
    first, prefix = top / "first", top / "prefix"
    off = [f"-D{part}=disabled" for part in ("tests", "examples", "tools", "bench")]
    run("meson", "setup", top / "tombola", source, "--prefix", first, *off, folder=top)
    run("meson", "install", "-C", top / "tombola", "--quiet", folder=top)
    installed = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert not [path for path in installed if path.parts[0] not in ("include", "share")], installed
    first.rename(prefix)  # both packages find their files from where they stand

    share = prefix / "share/pkgconfig"
    text = (share / "tombola.pc").read_text()
    assert "-march" not in text and "-mcpu" not in text, text
    (share / "tombola.pc").write_text(text.replace(str(first), str(prefix)))
    in_prefix = {"PKG_CONFIG_PATH": str(share)}

    folder = consumer(top, "pkgconfig", "by_pkgconfig")
    run("make", folder=folder, **in_prefix)
    print("pkg-config:", run(folder / "consumer", folder=folder))

    folder = consumer(top, "cmake", "by_cmake")
    run("cmake", "-S", ".", "-B", "build", f"-DCMAKE_PREFIX_PATH={prefix}", folder=folder)
    run("cmake", "--build", "build", folder=folder)
    print("cmake:", run(folder / "build/consumer", folder=folder))

    folder = consumer(top, "meson", "by_meson")
    run("meson", "setup", "build", "--wrap-mode=nofallback", folder=folder, **in_prefix)
    run("ninja", "-C", "build", folder=folder)
    print("meson, installed:", run(folder / "build/consumer", folder=folder))

    folder = consumer(top, "meson", "by_subproject")
    (folder / "subprojects").mkdir()
    (folder / "subprojects/tombola").symlink_to(source)
    run("meson", "setup", "build", "--force-fallback-for=tombola", folder=folder)
    commands = (folder / "build/compile_commands.json").read_text()
    assert "-march" not in commands and "-mcpu" not in commands, commands
    run("ninja", "-C", "build", folder=folder)
    print("meson, subproject:", run(folder / "build/consumer", folder=folder))
