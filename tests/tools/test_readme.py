"""The README shows the program that is compiled, and names files that exist."""

import os
import re
from pathlib import Path

root = Path(os.environ["TOMBOLA_SOURCE_ROOT"])
readme = (root / "README.md").read_text()
program = (root / "examples/first_ticket.cpp").read_text()
body = program[program.index("#include"):].strip()
assert f"```cpp\n{body}\n```" in readme, "README.md does not show examples/first_ticket.cpp as it is"

op = (root / "tests/ops/custom_op_test.cpp").read_text()
shown = op[op.index("// clang-format off\n") + len("// clang-format off\n"):op.index("\n// clang-format on")]
assert f"```cpp\n{shown}\n```" in readme, "README.md does not show the op of tests/ops/custom_op_test.cpp as it is"

pages = [re.sub(r"```.*?```", "", page, flags=re.S) for page in (readme, (root / "RESULTS.md").read_text())]
links = [link for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page)]
missing = [link for link in links if not (root / link).exists()]
assert links and not missing, f"links to files that are not there: {missing}"
rooms = {path.name for path in (root / "include/tombola").iterdir() if path.is_dir()}
mapped = set(re.findall(r"^\| `(\w+)/` \|", readme, re.M))
assert rooms == mapped, f"the map of the code differs from include/tombola: {rooms ^ mapped}"
left = re.findall(r"@[A-Z0-9]+@", readme + (root / "RESULTS.md").read_text())
assert not left, f"places that were never filled in: {left}"
