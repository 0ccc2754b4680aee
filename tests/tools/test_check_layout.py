"""tools/check_layout finds each violation in a tree made for it, and nothing in a clean one."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

source = Path(os.environ["TOMBOLA_SOURCE_ROOT"])
HEAD = "/// \\file\n/// A header.\n#pragma once\n"

# file -> (content, the parts of lines that must be reported)
CASES = {
    "include/tombola/core/below.hpp": (HEAD + "#include <vector>\n", []),
    "include/tombola/core/up.hpp": (HEAD + "#include <tombola/ops/add.hpp>\n", [":4: core must not include ops"]),
    "include/tombola/core/outside.hpp": (
        HEAD + "#include <Eigen/Core>\n#include <boost/any.hpp>\n#include <tombola/core/none.hpp>\n",
        [":4: <Eigen/Core> belongs", ":5: <boost/any.hpp> is neither", ":6: tombola/core/none.hpp: no such header"],
    ),
    "include/tombola/core/quoted.hpp": (HEAD + '#include "../nn/linear.hpp"\n', [":4: core must not include nn"]),
    "include/tombola/core/posix.hpp": (HEAD + "#include <sys/stat.h>\n", [":4: <sys/stat.h> belongs"]),
    "include/tombola/core/file.hpp": (HEAD + "#include <sys/stat.h>\n#include <unistd.h>\n", []),
    "include/tombola/core/threads.hpp": (HEAD + "#include <omp.h>\n#pragma omp parallel\n", []),
    "include/tombola/kernels/pragma.hpp": (HEAD + "  # pragma omp simd\n", [":4: an OpenMP pragma"]),
    "include/tombola/kernels/tape.hpp": (HEAD + "#include <tombola/autograd/var.hpp>\n", [":4: kernels must not include autograd"]),
    "include/tombola/kernels/simd.hpp": (HEAD + "#include <immintrin.h>\n#include <xsimd/xsimd.hpp>\n", []),
    "include/tombola/kernels/fast.hpp": (
        HEAD + "#include <arm_neon.h>\n#include <xsimd/xsimd.hpp>\n", [":4: <arm_neon.h>", ":5: <xsimd/xsimd.hpp>"]
    ),
    "include/tombola/autograd/var.hpp": (HEAD, []),
    "include/tombola/ops/add.hpp": (HEAD + "#include <tombola/autograd/var.hpp>\n#include <tombola/core/below.hpp>\n", []),
    "include/tombola/nn/linear.hpp": (HEAD + "#include <tombola/optim/adam.hpp>\n", [":4: nn must not include optim"]),
    "include/tombola/optim/adam.hpp": (HEAD, []),
    "include/tombola/data/gzip.hpp": (HEAD + "#include <zlib.h>\n", [":4: <zlib.h> is reached from tombola.hpp"]),
    "include/tombola/tombola.hpp": (HEAD + "#include <tombola/data/gzip.hpp>\nint version();\n", [":5: the umbrella"]),
    "include/tombola/ticket/prints.hpp": (
        HEAD + '// printf("in a comment") and "std::cout"\nauto s = "getenv(x)";\nvoid f() { std::cout << 1; }\n'
        "void g() { std::printf(s); exit(1); }\nvoid h() { snprintf(s); x.exit(); }\n",
        [":6: cout", ":7: printf", ":7: exit"],
    ),
    "include/tombola/ops/bare.hpp": ("int x;\n", [":1: no #pragma once", ":1: no \\file comment"]),
    "include/tombola/ops/long.hpp": ("/// \\file\n" + "/// More.\n" * 3 + "#pragma once\n", [":1: a \\file comment of 4 lines"]),
    "include/tombola/ops/block.hpp": ("/**\n * \\file\n * One.\n * Two.\n */\n#pragma once\n", [":1: a \\file comment of 5 lines"]),
    "include/tombola/misc/thing.hpp": (HEAD, [":1: not in a room"]),
    "include/tombola/ops/CamelCase.hpp": (HEAD, [":1: the file's name is not snake_case"]),
    "include/tombola/ops/source.cpp": ("", [":1: not a .hpp file"]),
    "docs/page.md": ("see\n/wor" + "k/main and .." + "/shared/data\n", [":2: a path of one machine", ":2: a folder outside"]),
    "tools/script": (".." + "/shared/data\n", []),
    "build-x/bad.hpp": ("", []),
    "runs/bad.hpp": ("", []),
}


def check(root):
    done = subprocess.run(
        [sys.executable, source / "tools/check_layout", "--root", root], text=True, capture_output=True
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout.splitlines()


with tempfile.TemporaryDirectory() as folder:
    root = Path(folder)
    for name, (content, _) in CASES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    status, lines = check(root)
    assert status == 1, status
    expected = [(name, part) for name, (_, parts) in CASES.items() for part in parts]
    for name, part in expected:
        assert any(line.startswith(name + part) for line in lines), f"{name}{part} not in\n" + "\n".join(lines)
    assert len(lines) == len(expected), "more than expected:\n" + "\n".join(lines)

    for name, (_, parts) in CASES.items():
        if parts:
            (root / name).unlink()
    status, lines = check(root)
    assert (status, lines) == (0, []), lines
