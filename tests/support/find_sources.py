"""Print the files of tests/FOLDER that match PATTERN, one a line, relative to tests/: find_sources.py FOLDER PATTERN"""

import sys
from pathlib import Path

tests = Path(__file__).resolve().parent.parent
folder, pattern = sys.argv[1:]
for path in sorted((tests / folder).glob(pattern)):
    print(path.relative_to(tests).as_posix())
