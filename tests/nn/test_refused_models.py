"""Models that would be learned or saved in part do not compile, and the compiler says why."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

include = Path(os.environ["TOMBOLA_SOURCE_ROOT"]) / "include"
PROGRAM = """#include "tombola/nn/linear.hpp"
#include "tombola/nn/state.hpp"
#include "tombola/nn/summary.hpp"
using namespace tombola;
struct Swish {{}};
struct Model {{
  nn::Linear<nn::Gated, {number}> fc;
  Swish swish;
  explicit Model(nn::Init init) : fc(init, "fc", 2, 3) {{}}
  auto members(){constant} {{ return std::tie({members}); }}
}};
void all({argument}& model) {{
  Writer writer;
  nn::gates<{asked}>(model);
  nn::parameters<{asked}>(model);
  nn::write_state<{asked}>(writer, model);
  nn::summary<{asked}>(model);
}}
"""
GOOD = {"number": "float", "constant": "", "members": "fc", "argument": "Model", "asked": "float"}
IS_CONST = "this model, or a part of it, is const"
CASES = [({}, []), ({"members": "fc, swish"}, ["holds nothing to learn or save"]), ({"argument": "const Model"}, [IS_CONST]), ({"constant": " const"}, [IS_CONST]),
         ({"asked": "double"}, ["nn::gates<double>(model)", "write_state<double>", "summary<double>"]), ({"number": "double", "asked": "double"}, [])]

for changed, messages in CASES:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "model.cpp")
        source.write_text(PROGRAM.format(**{**GOOD, **changed}))
        done = subprocess.run([*shlex.split(os.environ.get("CXX", "c++")), "-std=c++20", "-fopenmp", "-fsyntax-only", f"-I{include}", source], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=300)
    if (done.returncode == 0) != (not messages) or not all(message in done.stderr for message in messages):
        sys.exit(f"{changed}: expected {messages or 'no error'}, got status {done.returncode} and\n{done.stderr}")
