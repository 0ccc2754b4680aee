"""Add up what `meson test` logged: count_tests.py TESTLOG.json prints "PASSED FAILED".

A doctest program counts by its test cases, a script counts as one; skipped ones count as neither.
"""

import json
import re
import sys

CASES = re.compile(r"^\[doctest\] test cases: +\d+ \| +(\d+) passed \| +(\d+) failed", re.MULTILINE)

passed = failed = 0
with open(sys.argv[1]) as log:
    for line in log:
        test = json.loads(line)
        good = test["result"] in ("OK", "EXPECTEDFAIL")
        if test["result"] == "SKIP":
            continue
        cases = CASES.search(test.get("stdout") or "")
        here_passed, here_failed = (int(n) for n in cases.groups()) if cases else (int(good), int(not good))
        if not good and not here_failed:
            here_failed = 1  # it died after its last test case
        passed += here_passed
        failed += here_failed
print(passed, failed)
