#!/usr/bin/env bash
# Thirty kills at random moments instead of the few of every day.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export PYTHONDONTWRITEBYTECODE=1 TOMBOLA_KILLS=30
python3 "$root/tests/examples/test_resume.py"
python3 "$root/tests/examples/test_cifar10.py"
